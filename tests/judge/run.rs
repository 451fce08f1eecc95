//! The scripts as processes, and the figures that they leave.

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output, Stdio};

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// `lathe run scripts/SCRIPT.rhai` in the project, on one thread.
pub fn command(script: &str, args: &[&str]) -> Command {
    let mut c = Command::new(env!("CARGO_BIN_EXE_lathe"));
    c.current_dir(root()).args(["run", &format!("scripts/{script}.rhai"), "--device", "cpu", "--threads", "1"]).args(args);
    c.stdout(Stdio::piped()).stderr(Stdio::piped());
    c
}

fn said(o: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&o.stdout), String::from_utf8_lossy(&o.stderr))
}

/// What a run that succeeds says.
pub fn ok(script: &str, args: &[&str]) -> String {
    let o = command(script, args).output().unwrap();
    assert!(o.status.success(), "{script} {args:?}: {:?}\n{}", o.status, said(&o));
    said(&o)
}

/// What a run says that must be refused with these words: one message, no panic.
pub fn refused(script: &str, args: &[&str], words: &[&str]) -> String {
    let o = command(script, args).output().unwrap();
    let text = said(&o);
    assert!(matches!(o.status.code(), Some(1 | 2)), "{script} {args:?}: {:?}\n{text}", o.status);
    assert!(!text.contains("panicked"), "{text}");
    for word in words {
        assert!(text.contains(word), "no `{word}` in\n{text}");
    }
    text
}

/// A path as text.
pub fn path(p: &Path) -> &str {
    p.to_str().unwrap()
}

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

/// `evaluate` of samples against a reference: the figures, and what was said.
pub fn evaluate(samples: &Path, reference: &Path, out: &Path, more: &[&str]) -> (Value, String) {
    let own = ["--samples", path(samples), "--reference", path(reference), "--output", path(out)];
    let text = ok("evaluate", &[&own[..], more].concat());
    (result(out), text)
}
