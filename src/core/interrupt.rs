//! Ctrl-C and SIGTERM: one flag that every long call polls. SIGHUP: another, which asks for a reload.

use crate::error::{Diagnostic, Error, Result};
use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Instant;

static STOP: AtomicBool = AtomicBool::new(false);
static RELOAD: AtomicBool = AtomicBool::new(false);
static HOLDS: AtomicUsize = AtomicUsize::new(0);
/// Why everything is to stop, where nobody asked for it.
static REASON: Mutex<Option<Diagnostic>> = Mutex::new(None);
/// The reason bears no delay: what is half done stays so.
static URGENT: AtomicBool = AtomicBool::new(false);
/// A first signal has come: the next one ends the process.
static AGAIN: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);
/// What scripts look at after every operation: 1 for a request to stop, and 2 for each line that a prompt evaluates.
static LOOK: AtomicUsize = AtomicUsize::new(0);
static PROMPT: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

thread_local! {
    /// Reasons to stop that concern this thread alone, the innermost last.
    static SCOPES: RefCell<Vec<Scope>> = const { RefCell::new(Vec::new()) };
    /// How many holds of this thread there are.
    static OWN_HOLDS: Cell<usize> = const { Cell::new(0) };
}

/// A reason to stop that concerns one runtime, not the process: its program asks for it, or its time is up.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// Set by the program, from any thread.
    pub stop: Arc<AtomicBool>,
    /// When the time is up.
    pub deadline: Option<Instant>,
}

impl Scope {
    /// Whether there is a reason to stop now.
    pub fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.deadline.is_some_and(|d| Instant::now() >= d)
    }
}

/// Leaves a scope, also when a panic goes through it.
struct Leave;

impl Drop for Leave {
    fn drop(&mut self) {
        SCOPES.with_borrow_mut(|scopes| scopes.pop());
    }
}

/// Runs `f` so that long calls on this thread end when the scope is over.
pub fn within<T>(scope: Scope, f: impl FnOnce() -> T) -> T {
    SCOPES.with_borrow_mut(|scopes| scopes.push(scope));
    let _leave = Leave;
    f()
}

fn is_scope_over() -> bool {
    SCOPES.with_borrow(|scopes| scopes.iter().any(Scope::is_over))
}

/// Catches SIGINT and SIGTERM from now on: the first asks everything to save and stop, the second ends the process at once.
///
/// # Errors
/// `E0301` when the system refuses the handler.
pub fn install() -> Result<()> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    use signal_hook::flag::{register, register_conditional_shutdown};
    let io = |e| Error::io("open", "signals", e);
    for signal in [SIGINT, SIGTERM] {
        // In the handler itself, which needs no thread, no lock and no reader of what is said: the user does not want to wait. Whatever is
        // being written is under a temporary name.
        register_conditional_shutdown(signal, 128 + signal, AGAIN.clone()).map_err(io)?;
        if signal == SIGTERM {
            // At a prompt there is nothing to be saved, and only Ctrl-C means the line.
            register_conditional_shutdown(signal, 128 + signal, PROMPT.clone()).map_err(io)?;
        }
        register(signal, AGAIN.clone()).map_err(io)?;
    }
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM]).map_err(io)?;
    #[expect(clippy::disallowed_macros, reason = "a signal concerns the process, not what one space says")]
    std::thread::spawn(move || {
        for _ in signals.forever() {
            request();
            // Of several processes that a terminal stops one says it.
            if !PROMPT.load(Ordering::SeqCst) && std::env::var("RANK").ok().is_none_or(|rank| rank == "0") {
                eprintln!("\nstopping after this step; once more to stop at once");
            }
        }
    });
    Ok(())
}

/// Lets SIGINT ask everything to stop from now on, however often it comes: for what goes on afterwards. SIGTERM ends the process at once.
///
/// # Errors
/// `E0301` when the system refuses the handler.
pub fn install_request() -> Result<()> {
    let mut signals = signal_hook::iterator::Signals::new([signal_hook::consts::SIGINT]).map_err(|e| Error::io("open", "signals", e))?;
    std::thread::spawn(move || signals.forever().for_each(|_| request()));
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
    #[expect(clippy::disallowed_methods, reason = "no file: whether there is a terminal")]
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

/// Says that a prompt has the terminal: Ctrl-C ends its line instead of a run.
pub fn at_prompt(on: bool) {
    PROMPT.store(on, Ordering::SeqCst);
}

/// While this lives there is nothing to save: the first signal ends the process, as the second does otherwise.
#[must_use]
pub struct AtOnce(PhantomData<*const ()>);

/// Lets the first signal end the process.
pub fn at_once() -> AtOnce {
    AGAIN.store(true, Ordering::SeqCst);
    AtOnce(PhantomData)
}

impl Drop for AtOnce {
    fn drop(&mut self) {
        AGAIN.store(STOP.load(Ordering::SeqCst), Ordering::SeqCst);
    }
}

/// Whether something asked to stop, and nothing holds it up.
pub fn requested() -> bool {
    process_requested() || (OWN_HOLDS.get() == 0 && is_scope_over())
}

/// The same for the whole process alone: what is asked at every operation of a script must cost nothing.
#[inline]
pub fn process_requested() -> bool {
    STOP.load(Ordering::Relaxed) && (HOLDS.load(Ordering::Relaxed) == 0 || URGENT.load(Ordering::Relaxed))
}

/// Whether something asked to stop, held up or not: for whoever holds.
pub fn pending() -> bool {
    STOP.load(Ordering::Relaxed) || is_scope_over()
}

/// Whether scripts need look at nothing but their own counters: no request to stop, and no line of a prompt. One atomic read.
#[inline]
pub fn is_quiet() -> bool {
    LOOK.load(Ordering::Relaxed) == 0
}

/// A line that a prompt evaluates: scripts look after every operation whether it must end, until this is dropped.
#[must_use]
pub struct Line(PhantomData<*const ()>);

/// Begins the evaluation of a line.
pub fn line() -> Line {
    LOOK.fetch_add(2, Ordering::SeqCst);
    Line(PhantomData)
}

impl Drop for Line {
    fn drop(&mut self) {
        LOOK.fetch_sub(2, Ordering::SeqCst);
    }
}

/// Holds requests up until it is dropped, so that what is half done becomes whole: a training step, for one.
/// A second signal still ends the process at once. It is of the thread that holds.
#[must_use]
pub struct Hold(PhantomData<*const ()>);

/// Holds requests up.
pub fn hold() -> Hold {
    HOLDS.fetch_add(1, Ordering::SeqCst);
    OWN_HOLDS.set(OWN_HOLDS.get() + 1);
    Hold(PhantomData)
}

impl Drop for Hold {
    fn drop(&mut self) {
        HOLDS.fetch_sub(1, Ordering::SeqCst);
        OWN_HOLDS.set(OWN_HOLDS.get() - 1);
    }
}

/// Asks everything to stop, as Ctrl-C does.
pub fn request() {
    STOP.store(true, Ordering::SeqCst);
    LOOK.fetch_or(1, Ordering::SeqCst);
}

/// Asks everything to stop for a reason of the process's own, which its error then says. What holds requests up is not waited for when it
/// is urgent. A user who asked before has the say.
pub fn request_because(reason: Diagnostic, is_urgent: bool) {
    let mut kept = REASON.lock().unwrap_or_else(PoisonError::into_inner);
    if kept.is_none() && STOP.load(Ordering::SeqCst) && !is_urgent {
        return;
    }
    *kept = Some(reason);
    URGENT.store(is_urgent, Ordering::SeqCst);
    drop(kept);
    request();
}

/// The error with which whatever was asked to stop ends: `E0901` after Ctrl-C or SIGTERM, else one that says the reason.
pub fn stopped() -> Error {
    match &*REASON.lock().unwrap_or_else(PoisonError::into_inner) {
        Some(reason) if STOP.load(Ordering::Relaxed) => Error::over_memory(reason.clone()),
        _ => Error::interrupted(),
    }
}

/// Forgets the request: the REPL's next line runs again.
pub fn clear() {
    *REASON.lock().unwrap_or_else(PoisonError::into_inner) = None;
    URGENT.store(false, Ordering::SeqCst);
    STOP.store(false, Ordering::SeqCst);
    LOOK.fetch_and(!1, Ordering::SeqCst);
    AGAIN.store(false, Ordering::SeqCst);
}

/// Fails when something asked to stop: for loops in long calls.
///
/// # Errors
/// `E0901`, or the reason: see [`stopped`].
pub fn check() -> Result<()> {
    if requested() { Err(stopped()) } else { Ok(()) }
}
