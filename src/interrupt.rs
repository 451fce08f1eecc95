//! Ctrl-C and SIGTERM: one flag that every long call polls.

use crate::error::{Error, Result};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

static STOP: AtomicBool = AtomicBool::new(false);
static HOLDS: AtomicUsize = AtomicUsize::new(0);
static SIGNALS: AtomicUsize = AtomicUsize::new(0);
static PROMPT: AtomicBool = AtomicBool::new(false);

/// Catches SIGINT and SIGTERM from now on: the first asks everything to save and stop, the second ends the process at once.
///
/// # Errors
/// `E0301` when the system refuses the handler.
pub fn install() -> Result<()> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM]).map_err(|e| Error::io("open", "signals", e))?;
    std::thread::spawn(move || {
        for signal in signals.forever() {
            STOP.store(true, Ordering::SeqCst);
            let is_prompt = PROMPT.load(Ordering::SeqCst);
            // At a prompt there is nothing to be saved, and only Ctrl-C means the line.
            let is_first = SIGNALS.fetch_add(1, Ordering::SeqCst) == 0 && !(is_prompt && signal == SIGTERM);
            if is_first && is_prompt {
            } else if is_first {
                eprintln!("\nstopping after this step; once more to stop at once");
            } else {
                // The user does not want to wait: whatever is being written is under a temporary name.
                signal_hook::low_level::exit(128 + signal);
            }
        }
    });
    Ok(())
}

/// Runs `f`, which may take SIGINT for itself, and gives it back to whom it belonged.
pub fn keep_handler<T>(f: impl FnOnce() -> T) -> T {
    // SAFETY: a zeroed `sigaction` is a valid one; both calls only read and write it.
    let mut before: libc::sigaction = unsafe { std::mem::zeroed() };
    let known = unsafe { libc::sigaction(libc::SIGINT, std::ptr::null(), &raw mut before) } == 0;
    let value = f();
    if known {
        // SAFETY: `before` is what the system itself gave.
        unsafe { libc::sigaction(libc::SIGINT, &raw const before, std::ptr::null_mut()) };
    }
    value
}

/// Says that a prompt has the terminal: Ctrl-C ends its line instead of a run.
pub fn at_prompt(on: bool) {
    PROMPT.store(on, Ordering::SeqCst);
}

/// Whether something asked to stop, and nothing holds it up.
pub fn requested() -> bool {
    STOP.load(Ordering::Relaxed) && HOLDS.load(Ordering::Relaxed) == 0
}

/// Whether something asked to stop, held up or not: for whoever holds.
pub fn pending() -> bool {
    STOP.load(Ordering::Relaxed)
}

/// Holds requests up until it is dropped, so that what is half done becomes whole: a training step, for one.
/// A second signal still ends the process at once.
#[must_use]
pub struct Hold(());

/// Holds requests up.
pub fn hold() -> Hold {
    HOLDS.fetch_add(1, Ordering::SeqCst);
    Hold(())
}

impl Drop for Hold {
    fn drop(&mut self) {
        HOLDS.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Asks everything to stop, as Ctrl-C does.
pub fn request() {
    STOP.store(true, Ordering::SeqCst);
}

/// Forgets the request: the REPL's next line runs again.
pub fn clear() {
    STOP.store(false, Ordering::SeqCst);
    SIGNALS.store(0, Ordering::SeqCst);
}

/// Fails when something asked to stop: for loops in long calls.
///
/// # Errors
/// `E0901`.
pub fn check() -> Result<()> {
    if requested() { Err(Error::interrupted()) } else { Ok(()) }
}
