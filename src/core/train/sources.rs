//! The scripts of a run as they are kept with it: texts, how they import each other, and their hashes.
//!
//! A folder of sources holds each script under its own name (`train.rhai`, `std/flow.rhai`) and `sources.json`, by which the
//! whole program can be put together again without the files it came from.

use crate::error::{Error, Result};
use crate::files;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// How the scripts in a folder belong together.
const MANIFEST: &str = "sources.json";

/// One script of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Unique in the program: `train.rhai`, `std/flow.rhai`.
    pub id: String,
    /// As messages show it.
    pub shown: String,
    /// Its text.
    pub text: Arc<str>,
    /// Import paths as written, with the id each leads to.
    pub imports: BTreeMap<String, String>,
}

/// The scripts of a run: the one that was started first, then every module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    /// The id of the script that was started.
    pub entry: String,
    /// All scripts.
    pub units: Vec<Source>,
}

/// One script that differs between two sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference<'a> {
    /// Before; `None` for a new script.
    pub old: Option<&'a Source>,
    /// After; `None` for one that is no longer used.
    pub new: Option<&'a Source>,
}

impl<'a> Difference<'a> {
    /// The script, in its newest version.
    pub fn source(&self) -> &'a Source {
        self.new.or(self.old).expect("one side has it, or there would be no difference")
    }

    /// The change as a unified diff, `a/NAME` to `b/NAME`.
    pub fn unified(&self) -> String {
        let text = |s: Option<&'a Source>| s.map_or("", |s| &*s.text);
        let name = |side: &str, s: Option<&Source>| s.map_or("/dev/null".to_owned(), |s| format!("{side}/{}", s.id));
        let diff = similar::TextDiff::from_lines(text(self.old), text(self.new));
        diff.unified_diff().header(&name("a", self.old), &name("b", self.new)).to_string()
    }
}

#[derive(Serialize, Deserialize)]
struct Manifest {
    entry: String,
    hash: String,
    units: Vec<UnitRecord>,
}

#[derive(Serialize, Deserialize)]
struct UnitRecord {
    id: String,
    shown: String,
    file: String,
    sha256: String,
    imports: BTreeMap<String, String>,
}

/// SHA-256 in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    files::hex(&Sha256::digest(bytes))
}

impl Sources {
    /// The script of that id.
    pub fn get(&self, id: &str) -> Option<&Source> {
        self.units.iter().find(|u| u.id == id)
    }

    /// One hash over every script, whatever their order.
    pub fn hash(&self) -> String {
        let lines: BTreeSet<String> = self.units.iter().map(|u| format!("{}\0{}\n", u.id, sha256(u.text.as_bytes()))).collect();
        sha256(lines.into_iter().collect::<String>().as_bytes())
    }

    /// The scripts whose text is another one in `new`, or that only one side has.
    pub fn differences<'a>(&'a self, new: &'a Sources) -> Vec<Difference<'a>> {
        let ids: BTreeSet<&str> = self.units.iter().chain(&new.units).map(|u| u.id.as_str()).collect();
        let pair = |id: &str| Difference { old: self.get(id), new: new.get(id) };
        ids.into_iter().map(pair).filter(|d| d.old.map(|s| &s.text) != d.new.map(|s| &s.text)).collect()
    }

    /// Writes every script and the manifest below `dir`, synced; nothing is written outside `dir`, whatever the scripts are called.
    ///
    /// # Errors
    /// `E0301` when the system refuses.
    pub fn write(&self, dir: &Path) -> Result<()> {
        let mut taken = BTreeSet::from([PathBuf::from(MANIFEST)]);
        let mut units = Vec::new();
        for unit in &self.units {
            let file = file_of(&unit.id, &taken);
            let path = dir.join(&file);
            if let Some(parent) = path.parent() {
                files::create_dir(parent)?;
            }
            files::write_synced(&path, unit.text.as_bytes())?;
            units.push(UnitRecord {
                id: unit.id.clone(),
                shown: unit.shown.clone(),
                file: file.display().to_string(),
                sha256: sha256(unit.text.as_bytes()),
                imports: unit.imports.clone(),
            });
            taken.insert(file);
        }
        let manifest = Manifest { entry: self.entry.clone(), hash: self.hash(), units };
        files::create_dir(dir)?;
        files::write_synced(&dir.join(MANIFEST), &files::json(&manifest)?)?;
        files::sync_dir(dir)
    }

    /// Whether a folder holds scripts with their manifest.
    pub fn are_in(dir: &Path) -> bool {
        dir.join(MANIFEST).is_file()
    }

    /// Reads what [`Sources::write`] wrote.
    ///
    /// # Errors
    /// `E0301` or `E0302` when a file is missing or is not what was written.
    pub fn read(dir: &Path) -> Result<Sources> {
        let path = dir.join(MANIFEST);
        let manifest: Manifest = files::read_json(&path)?;
        let mut units = Vec::new();
        for unit in manifest.units {
            let inside = Path::new(&unit.file).components().all(|c| matches!(c, Component::Normal(_)));
            if !inside {
                return Err(Error::data(&path, format!("names `{}`, outside its folder", unit.file)));
            }
            let file = dir.join(&unit.file);
            let text = files::read_record(&file)?;
            if sha256(text.as_bytes()) != unit.sha256 {
                return Err(Error::data(&file, "was altered after it was recorded: its hash differs"));
            }
            units.push(Source { id: unit.id, shown: unit.shown, text: text.into(), imports: unit.imports });
        }
        Ok(Sources { entry: manifest.entry, units })
    }
}

/// A file name of its own for a script: ids may be absolute, climb, or differ only in what is left out.
fn file_of(id: &str, taken: &BTreeSet<PathBuf>) -> PathBuf {
    let mut inside: PathBuf = Path::new(id).components().filter(|c| matches!(c, Component::Normal(_))).collect();
    if inside.as_os_str().is_empty() {
        inside.push("script");
    }
    while taken.iter().any(|t| t.starts_with(&inside) || inside.starts_with(t)) {
        inside = Path::new("other").join(inside);
    }
    inside
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(id: &str, text: &str) -> Source {
        Source { id: id.into(), shown: format!("scripts/{id}"), text: text.into(), imports: BTreeMap::from([("./a".into(), "a.rhai".into())]) }
    }

    #[test]
    fn sources_come_back_and_stay_inside() {
        let dir = tempfile::tempdir().unwrap();
        let ids = ["train.rhai", "std/flow.rhai", "./std/flow.rhai", "../../etc/x.rhai", "/abs/y.rhai", "sources.json", "std", ".."];
        let sources = Sources { entry: "train.rhai".into(), units: ids.iter().map(|id| source(id, &format!("// {id}"))).collect() };
        let inner = dir.path().join("sources");
        sources.write(&inner).unwrap();
        assert_eq!(Sources::read(&inner).unwrap(), sources);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing beside the folder");
        assert_eq!(std::fs::read_to_string(inner.join("std/flow.rhai")).unwrap(), "// std/flow.rhai");
        std::fs::write(inner.join("train.rhai"), "// other").unwrap();
        let e = Sources::read(&inner).unwrap_err();
        assert!(e.to_string().contains("was altered"), "{e}");
    }

    #[test]
    fn differences_are_named_and_shown() {
        let set = |units: &[(&str, &str)]| Sources { entry: "a".into(), units: units.iter().map(|(id, t)| source(id, t)).collect() };
        let (old, new) = (set(&[("a", "1\n2\n"), ("b", "x\n"), ("c", "same\n")]), set(&[("c", "same\n"), ("a", "1\n3\n"), ("d", "y\n")]));
        let text: String = old.differences(&new).iter().map(Difference::unified).collect();
        assert_eq!(
            text,
            "--- a/a\n+++ b/a\n@@ -1,2 +1,2 @@\n 1\n-2\n+3\n--- a/b\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n--- /dev/null\n+++ b/d\n@@ -0,0 +1 @@\n+y\n"
        );
        assert!(old.differences(&old).is_empty());
        assert_ne!(old.hash(), new.hash());
        let mut turned = old.clone();
        turned.units.reverse();
        assert_eq!(old.hash(), turned.hash());
    }
}
