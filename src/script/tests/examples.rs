//! Every registered function has a doc comment, and its example runs.

use super::engine;
use crate::script::api;

/// The text of each ```` ```rhai ```` block.
fn examples(doc: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut open: Option<Vec<&str>> = None;
    for line in doc.lines() {
        let line = line.strip_prefix(' ').unwrap_or(line);
        match (&mut open, line.trim()) {
            (None, "```rhai") => open = Some(Vec::new()),
            (Some(_), "```") => blocks.extend(open.take().map(|lines| lines.join("\n"))),
            (Some(lines), _) => lines.push(line),
            (None, _) => {}
        }
    }
    blocks
}

#[test]
fn every_function_is_documented() {
    let missing: Vec<String> = api::all().iter().filter(|f| f.doc.trim().is_empty() || examples(f.doc).is_empty()).map(|f| f.signature()).collect();
    assert!(missing.is_empty(), "without a doc comment or a ```rhai example:\n{}", missing.join("\n"));
}

#[test]
fn every_example_runs() {
    let engine = engine();
    let mut failures = Vec::new();
    for f in api::all() {
        for example in examples(f.doc) {
            if let Err(e) = engine.eval(&example) {
                failures.push(format!("{}\n{}", f.signature(), e.render(false)));
            }
        }
    }
    assert!(failures.is_empty(), "{} examples fail:\n{}", failures.len(), failures.join("\n\n"));
}
