//! What verbs print.

use crate::error::{Error, Result};
use crate::plain;
use std::io::Write;

/// Prints a text. What would steer the terminal is shown instead: names and messages may come from somebody else's files.
///
/// # Errors
/// `E0301` when nobody reads it.
pub(super) fn print(text: &str) -> Result<()> {
    std::io::stdout().lock().write_all(plain::text(text).as_bytes()).map_err(|e| Error::io("write", "stdout", e))
}
