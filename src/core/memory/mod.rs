//! How much memory this process may use. A call that asks for more than is left gets an error; what grows without asking ends the run as
//! Ctrl-C would, with a checkpoint where one is due. Without this the kernel ends the process, and nothing is said.
//!
//! Counted is what the process alone fills: pages of mapped files are the system's, which takes them back when it needs them.

mod machine;
mod size;
mod watch;

pub use machine::Machine;
pub use size::{parse, shown};
pub use watch::{Watched, watch};

use crate::error::{Error, ErrorKind, Result};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// The limit in bytes; 0 is none.
static LIMIT: AtomicU64 = AtomicU64::new(0);
/// Bytes in large tensors, by those who allocate them.
static HELD: AtomicU64 = AtomicU64::new(0);
/// What was in use beside them at the last look: freed memory that is kept for later, for one.
static BESIDE: AtomicU64 = AtomicU64::new(0);
/// No less than what is in use: what was at the last look, and all that was asked for since, freed or not.
static AT_MOST: AtomicU64 = AtomicU64::new(0);
/// Hands freed memory that is kept for later back to the system.
static RELEASE: OnceLock<fn()> = OnceLock::new();

/// Freed memory below this is not worth the time to hand it back.
const WORTH_RELEASING: u64 = 64 << 20;

/// Words of every message about the limit, by which one that came through libtorch is known.
pub const OVER: &str = "over the memory limit of";
/// What to do about it.
pub const HELP: &str =
    "ask for less (a smaller batch, resolution or model), or allow more: `--max-memory SIZE`, such as 48G, 0.95 of the machine, or none";

/// Sets the limit; `None` is as much as there is.
pub fn set_limit(bytes: Option<u64>) {
    LIMIT.store(bytes.unwrap_or(0), Ordering::SeqCst);
    // What is in use already counts from the first request on.
    in_use();
}

/// The limit in bytes.
pub fn limit() -> Option<u64> {
    Some(LIMIT.load(Ordering::Relaxed)).filter(|n| *n > 0)
}

/// Says how freed memory that is kept for later is handed back, before a request is refused.
pub(crate) fn on_release(release: fn()) {
    // The first one stays: it is the process's.
    let _ = RELEASE.set(release);
}

/// Bytes that the process fills now, tensors that nobody has written to yet counted too.
pub fn in_use() -> u64 {
    let held = HELD.load(Ordering::Relaxed);
    let filled = machine::filled();
    let used = filled.max(held);
    BESIDE.store(filled.saturating_sub(held), Ordering::Relaxed);
    AT_MOST.store(used, Ordering::Relaxed);
    used
}

/// Takes note of a large tensor that came or went.
pub(crate) fn moved(bytes: i64) {
    if bytes < 0 {
        HELD.fetch_sub(bytes.unsigned_abs(), Ordering::Relaxed);
    } else {
        HELD.fetch_add(bytes.unsigned_abs(), Ordering::Relaxed);
    }
}

/// What is in use once freed memory that is kept for later was handed back, where that is worth it.
fn in_use_after_release() -> u64 {
    let used = in_use();
    match RELEASE.get() {
        Some(release) if BESIDE.load(Ordering::Relaxed) > WORTH_RELEASING => {
            release();
            in_use()
        }
        _ => used,
    }
}

/// Whether so many bytes more are within the limit; otherwise what is to be said. Far from the limit it adds up numbers and looks at
/// nothing.
pub(crate) fn ask(bytes: u64) -> std::result::Result<(), String> {
    let Some(limit) = limit() else { return Ok(()) };
    let fits = |used: u64| used.checked_add(bytes).is_some_and(|n| n <= limit);
    let mut used = AT_MOST.load(Ordering::Relaxed);
    if !fits(used) {
        used = in_use();
    }
    if !fits(used) && bytes <= limit {
        used = in_use_after_release();
    }
    if fits(used) {
        AT_MOST.fetch_add(bytes, Ordering::Relaxed);
        return Ok(());
    }
    Err(format!("{} are asked for with {} in use, {OVER} {}", shown(bytes), shown(used), shown(limit)))
}

/// Fails before memory of a known size is taken that would not be within the limit.
///
/// # Errors
/// `E0203` with the size.
pub fn room(what: &str, bytes: usize) -> Result<()> {
    // What is small is noticed by the watch.
    if bytes < 1 << 20 {
        return Ok(());
    }
    ask(bytes as u64).map_err(|message| refused(what, message))
}

/// The same for so many things of `each` bytes, however many.
///
/// # Errors
/// `E0203` with the size.
pub fn room_for(what: &str, count: usize, each: usize) -> Result<()> {
    room(what, count.saturating_mul(each))
}

fn refused(what: &str, message: String) -> Error {
    Error::new(ErrorKind::OutOfMemory { op: what.to_owned(), message }).help(HELP)
}
