//! Evaluations, and the figures that they leave.

use crate::support::path;
use crate::support::process::{ok, script};
use serde_json::Value;
use std::path::Path;

/// `result.json` of an evaluation.
pub fn result(folder: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(folder.join("result.json")).unwrap()).unwrap()
}

/// One figure of it.
pub fn figure<'a>(result: &'a Value, name: &str) -> &'a Value {
    let found = result["figures"].as_array().unwrap().iter().find(|f| f["name"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {result}"))
}

pub fn number(v: &Value) -> f64 {
    v.as_f64().unwrap_or_else(|| panic!("{v} is no number"))
}

/// The settings of an evaluation of samples against a reference, and more.
pub fn flags<'a>(samples: &'a Path, reference: &'a Path, out: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
    [&["--samples", path(samples), "--reference", path(reference), "--output", path(out)], more].concat()
}

/// `evaluate` of samples against a reference: the figures, and what was said.
pub fn evaluate(samples: &Path, reference: &Path, out: &Path, more: &[&str]) -> (Value, String) {
    let text = ok(&mut script("evaluate", &flags(samples, reference, out, more)));
    (result(out), text)
}

/// What `evaluate` says where it must refuse with these words.
pub fn refused(samples: &Path, reference: &Path, out: &Path, more: &[&str], words: &[&str]) -> String {
    crate::support::process::refused(&mut script("evaluate", &flags(samples, reference, out, more)), words)
}
