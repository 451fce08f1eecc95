//! What verbs print: text for people, or one JSON document for programs, whatever happens.

use crate::error::{Diagnostic, Error, ErrorKind, Result};
use crate::plain::{self, is_plain};
use clap::CommandFactory;
use serde::Serialize;
use serde_json::{Value, json};
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

/// Prints a text. What would steer the terminal is shown instead: names and messages may come from somebody else's files.
///
/// # Errors
/// `E0301` when nobody reads it.
pub(super) fn print(text: &str) -> Result<()> {
    std::io::stdout().lock().write_all(plain::text(text).as_bytes()).map_err(|e| Error::io("write", "stdout", e))
}

/// Whether stdout has its document.
static IS_SAID: AtomicBool = AtomicBool::new(false);

/// Prints a value as the one JSON document of the command. What would steer the terminal has an escape of its own: programs get what the files say.
///
/// # Errors
/// `E0301` when nobody reads it, `E0601` for what has no JSON form.
pub(super) fn print_json(value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(|e| Error::run(format!("the result has no JSON form: {e}")))?;
    IS_SAID.store(true, Ordering::Relaxed);
    let text = escaped(&text) + "\n";
    std::io::stdout().lock().write_all(text.as_bytes()).map_err(|e| Error::io("write", "stdout", e))
}

/// Whether the command line asks for JSON. Scripts that are run have flags of their own.
pub(super) fn wants_json() -> bool {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    if !args.iter().any(|a| a == "--json") {
        return false;
    }
    // The verb is the first that is one: behind it, `run` may be a word that is looked up.
    let verbs = super::Cli::command();
    let verb = args.iter().filter_map(|a| a.to_str()).find(|a| verbs.find_subcommand(a).is_some());
    !matches!(verb, Some("run" | "replay"))
}

/// Prints why there is no result, where a program waits for one: a report of what is wrong is a result.
pub(super) fn print_error(e: &Error) {
    if wants_json() && !IS_SAID.load(Ordering::Relaxed) && !e.is_shown() {
        // There is nothing to be said to a reader that has gone.
        let _ = print_json(&json!({ "error": error(e) }));
    }
}

/// An error as programs read it: with the place that it speaks of, and the other faults that were found with it.
pub(super) fn error(e: &Error) -> Value {
    let (place, also) = match e.kind() {
        ErrorKind::Script(d) | ErrorKind::OverMemory(d) => (d.labels.first(), d.also.iter().map(|d| fault(d, None)).collect()),
        _ => (None, Vec::new()),
    };
    json!({
        "code": e.code(), "message": e.to_string(), "help": e.help_text(), "exit": e.exit_code(),
        "file": place.map(|l| &l.file), "line": place.map(|l| l.line), "column": place.map(|l| l.column), "end": place.map(|l| l.column + l.width),
        "also": also,
    })
}

/// A fault of a script as programs read it; `met_in` is the file of one without a place.
pub(super) fn fault(d: &Diagnostic, met_in: Option<&std::path::Path>) -> Value {
    let place = d.labels.first();
    json!({
        "file": place.map(|l| l.file.clone()).or_else(|| met_in.map(|p| p.display().to_string())),
        "line": place.map(|l| l.line),
        "column": place.map(|l| l.column),
        "end": place.map(|l| l.column + l.width),
        "severity": if d.is_warning { "warning" } else { "error" },
        "code": d.code,
        "message": d.message,
        "help": d.help,
        "replacement": d.replacement().map(|r| json!({ "old": r.old, "new": r.new })),
    })
}

fn escaped(json: &str) -> String {
    let one = |c: char| match c {
        c if is_plain(c) || c == '\n' => c.to_string(),
        c => c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect(),
    };
    json.chars().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_stays_json_and_steers_nothing() {
        let value = serde_json::json!({"a\u{202e}": "\u{1b}\u{9b}\u{e0041}b"});
        let text = escaped(&serde_json::to_string_pretty(&value).unwrap());
        assert!(text.chars().all(|c| is_plain(c) || c == '\n'), "{text:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }
}
