//! How deep scripts may nest: a thread with a large stack, and guards that stop a script before any stack runs out.
//!
//! rhai counts its own call levels, but not the calls that pass through Rust (a callback, a function of another module),
//! each of which starts counting anew. Those are counted here; and because frames differ in size, every operation also
//! looks at how much stack is left.

use crate::error::{Diagnostic, Error, Result};
use std::cell::Cell;

/// The stack of a thread that runs scripts.
const BIG_STACK: usize = 256 << 20;
/// What stays free for libtorch and for the error's own way out.
const RESERVE: usize = 512 << 10;
/// How often Rust and scripts may call each other, one inside the other.
pub(crate) const MAX_CROSSINGS: usize = 128;
/// How deep script functions may call each other within one such call.
pub(crate) const MAX_CALL_LEVELS: usize = 1000;

thread_local! {
    static CROSSINGS: Cell<usize> = const { Cell::new(0) };
}

/// Runs `f` on a thread with a stack of 256 MB and waits for it: where scripts should run, so that deep recursion ends in
/// an error at a comfortable depth.
///
/// # Errors
/// `E0902` when the thread cannot be started or panics.
pub fn on_big_stack<T: Send>(f: impl FnOnce() -> T + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("script".into())
            .stack_size(BIG_STACK)
            .spawn_scoped(scope, f)
            .map_err(|e| Error::io("create", "a thread with a stack of 256 MB", e))?;
        thread.join().map_err(|panic| internal(&*panic))
    })
}

/// Whether so little stack is left that the script must end.
pub(crate) fn is_short() -> bool {
    stacker::remaining_stack().is_some_and(|left| left < RESERVE)
}

/// One call from Rust into a script, for as long as it lives.
pub(crate) struct Crossing(());

impl Crossing {
    /// Counts a call from Rust into a script.
    ///
    /// # Errors
    /// `E0501` when too many of them are under way, or the stack is nearly used up.
    pub(crate) fn enter() -> Result<Self> {
        let n = CROSSINGS.get();
        if n >= MAX_CROSSINGS || is_short() {
            let message = format!("calls between modules, callbacks and Rust are nested too deeply ({n})");
            return Err(Error::script(Diagnostic { help: Some(ENDLESS.into()), ..Diagnostic::plain("E0501", message) }));
        }
        CROSSINGS.set(n + 1);
        Ok(Crossing(()))
    }
}

/// The usual reason for calls that are nested too deeply.
pub(crate) const ENDLESS: &str = "does a function call itself without an end?";

impl Drop for Crossing {
    fn drop(&mut self) {
        CROSSINGS.set(CROSSINGS.get() - 1);
    }
}

/// A panic as an error: our own fault, never the user's.
pub(crate) fn internal(panic: &(dyn std::any::Any + Send)) -> Error {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("panic");
    let help = "this is a fault in Lathe or in a function that the host program added; please report it with the script";
    Error::script(Diagnostic { help: Some(help.into()), ..Diagnostic::plain("E0902", format!("internal error: {text}")) })
}
