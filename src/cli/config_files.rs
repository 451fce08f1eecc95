//! What `--config` names: a file, or a recipe, which is `recipes/NAME.toml` beside the script.

use crate::error::{Error, Result, did_you_mean};
use crate::script::docs::{recipes, recipes_folder};
use std::path::{Path, PathBuf};

/// The files that were named, in the order given.
///
/// # Errors
/// `E0101` for a recipe that is not there, with those of this script.
pub(super) fn find(script: &Path, given: &[PathBuf]) -> Result<Vec<PathBuf>> {
    given.iter().map(|name| if is_file(name) { Ok(name.clone()) } else { recipe(script, &name.to_string_lossy()) }).collect()
}

/// A path, or a name with an extension, means a file; a bare name does where there is such a file.
fn is_file(name: &Path) -> bool {
    name.extension().is_some() || name.components().count() != 1 || name.is_file()
}

fn recipe(script: &Path, name: &str) -> Result<PathBuf> {
    let folder = recipes_folder(script);
    let path = folder.join(format!("{name}.toml"));
    if path.is_file() {
        return Ok(path);
    }
    // What is wrong with another recipe is no matter of this one.
    let stem = script.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    let mut fitting: Vec<String> =
        recipes(&folder).unwrap_or_default().into_iter().filter(|r| r.script == stem || r.script.is_empty()).map(|r| r.name).collect();
    fitting.sort_by_key(|known| strsim::damerau_levenshtein(name, known));
    let near = did_you_mean(name, fitting.iter().map(String::as_str));
    let help = match fitting.as_slice() {
        [] => format!("`{stem}` has no recipes: {} holds none; a file is given with its extension, `{name}.toml`", folder.display()),
        all => format!("recipes for `{stem}`: {}; a file is given with its extension, `{name}.toml`", all.join(", ")),
    };
    Err(Error::usage(format!("there is no recipe `{name}`{near}")).help(help))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_name_is_a_recipe_and_a_path_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("recipes");
        std::fs::create_dir(&folder).unwrap();
        for (name, script) in [("irepa", "train"), ("repa", "train"), ("haste", "train"), ("irepas", "other")] {
            std::fs::write(folder.join(format!("{name}.toml")), format!("# About.\nscript = \"{script}\"\n")).unwrap();
        }
        let script = dir.path().join("train.rhai");
        let given = ["irepa", "a.toml", "./b", "folder/c"].map(PathBuf::from);
        assert_eq!(find(&script, &given).unwrap(), [folder.join("irepa.toml"), "a.toml".into(), "./b".into(), "folder/c".into()]);
        // Nearest first, and none of another script.
        let e = find(&script, &["irep".into()]).unwrap_err();
        assert_eq!((e.to_string().as_str(), e.exit_code()), ("there is no recipe `irep`, did you mean `irepa`?", 2));
        assert!(e.help_text().unwrap().starts_with("recipes for `train`: irepa, repa, haste; "), "{e:?}");
        let e = find(&dir.path().join("lonely/train.rhai"), &["x".into()]).unwrap_err();
        assert!(e.help_text().unwrap().contains("holds none"), "{e:?}");
    }
}
