//! Ctrl-C and SIGTERM: one flag that every long call polls. SIGHUP: another, which asks for a reload.

use crate::error::{Error, Result};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

static STOP: AtomicBool = AtomicBool::new(false);
static RELOAD: AtomicBool = AtomicBool::new(false);
static HOLDS: AtomicUsize = AtomicUsize::new(0);
static SIGNALS: AtomicUsize = AtomicUsize::new(0);

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
            if SIGNALS.fetch_add(1, Ordering::SeqCst) == 0 {
                eprintln!("\nstopping after this step; once more to stop at once");
            } else {
                // The user does not want to wait: whatever is being written is under a temporary name.
                signal_hook::low_level::exit(128 + signal);
            }
        }
    });
    Ok(())
}

/// Catches SIGHUP from now on: it asks for a reload at the next boundary between two steps. When it comes because the terminal was
/// closed, the process ends as it would without this.
///
/// # Errors
/// `E0301` when the system refuses the handler.
pub fn install_reload() -> Result<()> {
    use signal_hook::consts::SIGHUP;
    let mut signals = signal_hook::iterator::Signals::new([SIGHUP]).map_err(|e| Error::io("open", "signals", e))?;
    let has_terminal = || std::fs::File::open("/dev/tty").is_ok();
    let had_terminal = has_terminal();
    std::thread::spawn(move || {
        for signal in signals.forever() {
            if had_terminal && !has_terminal() {
                // Nobody can read what would be said, and writing it would fail.
                let _ = signal_hook::low_level::emulate_default_handler(signal);
            }
            RELOAD.store(true, Ordering::SeqCst);
        }
    });
    Ok(())
}

/// Whether SIGHUP asked for a reload since the last time.
pub fn take_reload() -> bool {
    RELOAD.load(Ordering::Relaxed) && RELOAD.swap(false, Ordering::SeqCst)
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
