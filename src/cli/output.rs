//! What verbs print.

use crate::error::{Error, Result};
use crate::plain::{self, is_plain};
use std::io::Write;

/// Prints a text. What would steer the terminal is shown instead: names and messages may come from somebody else's files.
///
/// # Errors
/// `E0301` when nobody reads it.
pub(super) fn print(text: &str) -> Result<()> {
    std::io::stdout().lock().write_all(plain::text(text).as_bytes()).map_err(|e| Error::io("write", "stdout", e))
}

/// The same for JSON, in which such a character has an escape of its own: programs get what the files say.
///
/// # Errors
/// As [`print`].
pub(super) fn print_json(text: &str) -> Result<()> {
    std::io::stdout().lock().write_all(escaped(text).as_bytes()).map_err(|e| Error::io("write", "stdout", e))
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
