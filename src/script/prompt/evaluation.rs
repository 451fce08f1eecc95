//! The evaluation of a prompt's line that is under way on this thread: what ends it, where its output goes, and its variables.

use rhai::{Dynamic, Scope};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

thread_local! {
    /// The variables of the prompts that are evaluating, the innermost last, for the functions typed there.
    static VARIABLES: RefCell<Vec<BTreeMap<String, Dynamic>>> = const { RefCell::new(Vec::new()) };
    static IS_EVALUATING: Cell<bool> = const { Cell::new(false) };
    static LIMIT: RefCell<Option<Limit>> = const { RefCell::new(None) };
    static CAPTURE: RefCell<Option<Taker>> = const { RefCell::new(None) };
}

/// Evaluates a line by `f` until `limit` ends it.
pub(super) fn under<T>(limit: Limit, f: impl FnOnce() -> T) -> T {
    IS_EVALUATING.set(true);
    VARIABLES.with_borrow_mut(|v| v.push(BTreeMap::new()));
    let before = LIMIT.replace(Some(limit));
    let value = f();
    LIMIT.replace(before);
    let left = VARIABLES.with_borrow_mut(|v| {
        v.pop();
        v.len()
    });
    IS_EVALUATING.set(left > 0);
    value
}

/// The variables of the line under way, for the functions typed at its prompt.
pub(super) fn set_variables(now: BTreeMap<String, Dynamic>) {
    VARIABLES.with_borrow_mut(|v| v.last_mut().map(|v| *v = now));
}

/// What ends an evaluation from outside.
#[derive(Clone, Default)]
pub struct Limit {
    /// Set by whoever no longer wants the result.
    pub cancelled: Option<Arc<AtomicBool>>,
    /// When it must be done.
    pub deadline: Option<Instant>,
    /// Whether Ctrl-C ends it, even where a training step holds it up.
    pub on_interrupt: bool,
}

/// What a line printed, for a prompt that is not on this terminal.
#[derive(Debug, Default)]
pub struct Captured {
    /// The text.
    pub text: String,
    /// Pictures that `show` saved.
    pub pictures: Vec<PathBuf>,
}

/// What a line says, as it says it.
pub enum Output<'a> {
    /// A line that it prints.
    Text(&'a str),
    /// A picture that `show` saved.
    Picture(&'a Path),
}

/// Takes what a line says, at once.
pub type Sink = Rc<dyn Fn(Output)>;

/// Where the output of the line under way goes.
enum Taker {
    Kept(Captured),
    Told(Sink),
}

/// The most that is kept of what one line prints.
const MAX_CAPTURED: usize = 1 << 20;

/// Tells the output of the line under way to whoever told it to take it; whether there is one.
fn take(output: Output, keep: impl FnOnce(&mut Captured)) -> bool {
    let sink = CAPTURE.with_borrow_mut(|taker| match taker {
        None => Err(false),
        Some(Taker::Kept(kept)) => {
            keep(kept);
            Err(true)
        }
        Some(Taker::Told(sink)) => Ok(sink.clone()),
    });
    // Outside of the borrow: what takes it may say something itself.
    sink.map_or_else(
        |is_taken| is_taken,
        |sink| {
            sink(output);
            true
        },
    )
}

/// Takes what a script prints, when a prompt elsewhere waits for it.
pub(crate) fn capture(text: &str) -> bool {
    take(Output::Text(text), |c| {
        if c.text.len() + text.len() < MAX_CAPTURED {
            c.text.push_str(text);
            c.text.push('\n');
        } else if !c.text.ends_with("...\n") {
            c.text.push_str("...\n");
        }
    })
}

/// Takes a picture that a script shows, when a prompt elsewhere waits for it.
pub(crate) fn capture_picture(path: &Path) -> bool {
    // Whoever waits may be in another folder.
    take(Output::Picture(path), |c| c.pictures.push(std::path::absolute(path).unwrap_or_else(|_| path.to_owned())))
}

/// Collects what `f` prints and shows instead of letting it reach this terminal.
pub fn captured<T>(f: impl FnOnce() -> T) -> (T, Captured) {
    let before = CAPTURE.replace(Some(Taker::Kept(Captured::default())));
    let value = f();
    match CAPTURE.replace(before) {
        Some(Taker::Kept(kept)) => (value, kept),
        _ => (value, Captured::default()),
    }
}

/// Tells `sink` what `f` prints and shows instead of letting it reach this terminal.
pub fn told<T>(sink: Sink, f: impl FnOnce() -> T) -> T {
    let before = CAPTURE.replace(Some(Taker::Told(sink)));
    let value = f();
    CAPTURE.replace(before);
    value
}

/// Whether the evaluation under way must end: for the engine's progress hook.
pub(crate) fn must_stop() -> bool {
    IS_EVALUATING.get()
        && LIMIT.with_borrow(|l| {
            l.as_ref().is_some_and(|l| {
                l.cancelled.as_ref().is_some_and(|c| c.load(Ordering::Relaxed))
                    || l.deadline.is_some_and(|d| Instant::now() > d)
                    || (l.on_interrupt && crate::interrupt::pending())
            })
        })
}

/// A prompt's variable, for a function typed there: for the `on_var` hook of the engine's twin.
pub(crate) fn variable(name: &str, scope: &Scope) -> Option<Dynamic> {
    if !IS_EVALUATING.get() || scope.contains(name) {
        return None;
    }
    VARIABLES.with_borrow(|v| v.last().and_then(|v| v.get(name).cloned()))
}
