//! Recipes: a paper's settings in a small file beside the scripts, `recipes/NAME.toml`, and the page that lists them all.
//!
//! A recipe's head, the comment before its first key, says what it does, and in fields of its own where it comes from (`Source:`), how it is run
//! (`Run:`), what to expect (`Expect:`), and runs for trying it (`Try:`, one a line: a name, and flags).

use crate::error::{Error, Result};
use crate::files;
use crate::script::settings::params::SCRIPT;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// The first line of the page.
const MARK: &str = "<!-- Made by `lathe doc --recipes` from scripts/recipes: edit the files there. A test compares. -->";

/// The fields of a head.
const FIELDS: [&str; 4] = ["Source", "Run", "Expect", "Try"];

/// A recipe.
#[derive(Debug)]
pub struct Recipe {
    /// Its name: `irepa` for `recipes/irepa.toml`.
    pub name: String,
    /// The script that it is for, without folders and extension; empty when it does not say.
    pub script: String,
    /// What its head says before the fields.
    about: String,
    fields: BTreeMap<&'static str, Vec<String>>,
    /// The settings, as they stand in the file.
    settings: String,
}

/// Where the recipes of a script are: in `recipes/` beside it.
pub fn recipes_folder(script: &Path) -> PathBuf {
    script.parent().unwrap_or(Path::new("")).join("recipes")
}

/// The recipes in a folder, by name; none where there is no folder.
///
/// # Errors
/// `E0301` and `E0302` when one cannot be read.
pub fn recipes(folder: &Path) -> Result<Vec<Recipe>> {
    let listed = files::list(folder)?.into_iter().filter(|(_, path)| path.extension().is_some_and(|x| x == "toml"));
    listed.map(|(_, path)| read(&path)).collect()
}

fn read(path: &Path) -> Result<Recipe> {
    let text = files::read_text(path)?;
    let table: toml::Table = text.parse().map_err(|e: toml::de::Error| Error::data(path, e.message()))?;
    let name = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    let script = table.get(SCRIPT).and_then(|s| s.as_str()).unwrap_or_default().to_owned();
    let mut recipe = Recipe { name, script, about: String::new(), fields: BTreeMap::new(), settings: String::new() };
    let mut field = None;
    for line in text.lines().map_while(|l| l.strip_prefix('#')) {
        let line = line.strip_prefix(' ').unwrap_or(line).trim_end();
        let named = FIELDS.into_iter().find_map(|f| Some((f, line.strip_prefix(f)?.strip_prefix(':')?)));
        if let Some((name, rest)) = named {
            field = Some(name);
            recipe.fields.entry(name).or_default().push(rest.trim().to_owned());
        } else if let (Some(name), true) = (field, line.starts_with(' ')) {
            recipe.fields.entry(name).or_default().push(line.trim().to_owned());
        } else {
            field = None;
            let _ = writeln!(recipe.about, "{line}");
        }
    }
    recipe.about = recipe.about.trim().to_owned();
    let is_setting = |l: &&str| !l.starts_with('#') && !l.replace(' ', "").starts_with(&format!("{SCRIPT}="));
    recipe.settings = text.lines().filter(is_setting).collect::<Vec<_>>().join("\n").trim().to_owned();
    Ok(recipe)
}

impl Recipe {
    /// A field of the head, its lines joined.
    fn field(&self, name: &str) -> String {
        self.fields.get(name).map(|lines| lines.join(" ")).unwrap_or_default()
    }

    /// The part of the page that is about it.
    fn section(&self) -> String {
        let mut out = format!("\n### {}\n\n{}\n", self.name, self.about);
        let fields = [("Source", self.field("Source")), ("Run", format!("`{}`", self.field("Run"))), ("Expect", self.field("Expect"))];
        out.push('\n');
        for (name, text) in fields.iter().filter(|(_, text)| !text.trim_matches('`').is_empty()) {
            let _ = writeln!(out, "- {name}: {text}");
        }
        let _ = write!(out, "\n```toml\n{}\n```\n", self.settings);
        let tries = self.fields.get("Try").map(Vec::as_slice).unwrap_or_default();
        if !tries.is_empty() {
            out.push_str("\n```sh\n");
            for run in tries {
                let (name, flags) = run.split_once(' ').unwrap_or((run, ""));
                let _ = writeln!(out, "{}", format!("{} {name} --config {} {}", self.script, self.name, flags.trim()).trim_end());
            }
            out.push_str("```\n");
        }
        out
    }
}

/// The page: what `README.md` among the recipes says, a table, and each recipe with its settings and runs for trying it.
pub fn recipe_page(readme: &str, recipes: &[Recipe]) -> String {
    let mut out = format!("{MARK}\n{}\n", readme.trim());
    let mut by_script: BTreeMap<&str, Vec<&Recipe>> = BTreeMap::new();
    recipes.iter().for_each(|r| by_script.entry(&r.script).or_default().push(r));
    out.push_str("\n## All recipes\n\n| script | recipe | |\n| --- | --- | --- |\n");
    for r in by_script.values().flatten() {
        let summary = r.about.split("\n\n").next().unwrap_or_default().replace('\n', " ");
        let _ = writeln!(out, "| `{}` | [{1}](#{1}) | {2} |", r.script, r.name, summary.replace('|', "\\|"));
    }
    for (script, recipes) in &by_script {
        let _ = write!(out, "\n## {script}\n");
        recipes.iter().for_each(|r| out.push_str(&r.section()));
    }
    out
}
