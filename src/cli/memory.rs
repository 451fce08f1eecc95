//! `--max-memory`: how much memory the process may use, the same for every verb.

use crate::error::Result;
use crate::memory::{self, Machine};
use crate::torch::bridge;

/// The share of the machine's memory without the flag.
const USUAL: &str = "0.9";

/// Sets the limit, and watches over it.
///
/// # Errors
/// `E0101` for a size that cannot be read.
pub(super) fn start(given: Option<&str>) -> Result<()> {
    match given {
        Some(text) => set(text)?,
        None => memory::set_limit(Machine::read().and_then(|machine| memory::parse(USUAL, Some(machine)).ok().flatten())),
    }
    bridge::bound_memory()?;
    memory::watch(ending);
    Ok(())
}

/// Sets the limit alone: for a flag that is read later.
///
/// # Errors
/// `E0101` for a size that cannot be read.
pub(super) fn set(text: &str) -> Result<()> {
    memory::set_limit(memory::parse(text, Machine::read())?);
    Ok(())
}

/// Says why the process ends, and where the script was last.
fn ending(why: &str) {
    crate::train::ending(&crate::script::lang::place::shown().map_or_else(|| why.to_owned(), |at| format!("{why}, after {at}")));
}
