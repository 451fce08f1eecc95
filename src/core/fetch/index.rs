//! Weights in several files: the list of them, `model.safetensors.index.json`, stands for all that it names.

use super::Source;
use super::reference::{HubFile, is_part};
use crate::error::{Error, Result};
use crate::files;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::path::Path;

/// What such a list is called at its end.
const ENDING: &str = ".index.json";

/// The files that `path`, which came from `source`, names beside itself; none where it is no list.
///
/// # Errors
/// `E0301` and `E0302` for a list that is none.
pub(super) fn named(source: &Source, path: &Path) -> Result<Vec<Source>> {
    let Source::Hub(list) = source else { return Ok(Vec::new()) };
    if !list.file.ends_with(ENDING) {
        return Ok(Vec::new());
    }
    let bad = |what: &str| Error::data(path, format!("is no list of weights in several files: {what}"));
    let text: Value = files::read_json(path)?;
    let map: &Map<String, Value> = text.get("weight_map").and_then(Value::as_object).ok_or_else(|| bad("it has no `weight_map`"))?;
    let names = map.values().map(|v| v.as_str().filter(|n| is_part(n) && !n.contains('/'))).collect::<Option<BTreeSet<&str>>>();
    let names = names.ok_or_else(|| bad("a name in it is none of a file beside it"))?;
    let folder = list.file.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
    Ok(names.into_iter().map(|n| Source::Hub(HubFile { file: format!("{folder}{n}"), ..list.clone() })).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_stands_for_the_files_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let list = |text: &str| {
            files::write(&path, text).unwrap();
            let found = named(&Source::Hub(HubFile::new("a/b", "vae/model.safetensors.index.json")), &path)?;
            Ok::<_, Error>(found.iter().map(Source::id).collect::<Vec<_>>())
        };
        let found = list(r#"{"weight_map": {"a": "m-2.safetensors", "b": "m-1.safetensors", "c": "m-2.safetensors"}}"#).unwrap();
        assert_eq!(found, ["hf://a/b/vae/m-1.safetensors", "hf://a/b/vae/m-2.safetensors"]);
        for text in ["{}", "[", r#"{"weight_map": {"a": "../m"}}"#, r#"{"weight_map": {"a": 3}}"#, r#"{"weight_map": {"a": "d/m"}}"#] {
            assert_eq!(list(text).unwrap_err().code(), "E0302", "{text}");
        }
        assert!(named(&Source::Hub(HubFile::new("a/b", "config.json")), &path).unwrap().is_empty());
    }
}
