//! Whose work a thread does. A program may hold several runtimes: what each says, logs and measures is kept apart by the space
//! that it enters for the time of a call. The `lathe` command has none: it speaks on stderr.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Takes a line.
pub type LineSink = Box<dyn Fn(&str)>;
/// Takes the metrics of a step: steps done, names and values.
pub type MetricSink = Box<dyn Fn(u64, &[(String, f64)])>;

/// How far a long call is.
#[derive(Debug, Clone, PartialEq)]
pub struct Bar<'a> {
    /// Which one.
    pub id: u64,
    /// What is done.
    pub label: &'a str,
    /// What is counted.
    pub unit: &'a str,
    /// So many are done.
    pub done: u64,
    /// Of so many.
    pub total: u64,
    /// Seconds to the end, where known.
    pub left: Option<f64>,
    /// A remark, such as the last metrics.
    pub message: &'a str,
    /// Whether this is the last that is heard of it.
    pub is_finished: bool,
}

/// Takes how far a call is, each time that it gets on.
pub type BarSink = Box<dyn Fn(&Bar)>;

/// A runtime's own place for what is said while it works.
#[derive(Default)]
pub struct Space {
    id: u64,
    say: Option<LineSink>,
    metrics: Option<MetricSink>,
    bars: Option<BarSink>,
}

static NEXT: AtomicU64 = AtomicU64::new(1);

thread_local! {
    static CURRENT: RefCell<Option<Rc<Space>>> = const { RefCell::new(None) };
}

impl Space {
    /// A space of its own; what it has no sink for goes where it would without a space.
    pub fn new(say: Option<LineSink>, metrics: Option<MetricSink>) -> Self {
        Space { id: NEXT.fetch_add(1, Ordering::Relaxed), say, metrics, bars: None }
    }

    /// The same with a sink for how far long calls are: see [`bar`].
    #[must_use]
    pub fn with_bars(self, bars: BarSink) -> Self {
        Space { bars: Some(bars), ..self }
    }
}

/// Puts the space back that was there before, also when `f` panics.
struct Restore(Option<Rc<Space>>);

impl Drop for Restore {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}

/// Runs `f` as work of `space`.
pub fn within<T>(space: &Rc<Space>, f: impl FnOnce() -> T) -> T {
    let _restore = Restore(CURRENT.replace(Some(space.clone())));
    f()
}

fn current() -> Option<Rc<Space>> {
    CURRENT.with_borrow(Clone::clone)
}

/// The space of this thread; 0 outside of all, as on a worker thread.
pub fn id() -> u64 {
    current().map_or(0, |s| s.id)
}

/// Whether lines go to a program instead of a terminal.
pub fn has_sink() -> bool {
    current().is_some_and(|s| s.say.is_some())
}

/// Says a line: to the space's own sink, or on stderr.
#[expect(clippy::disallowed_macros, reason = "what others call instead")]
pub fn say(line: &str) {
    match current() {
        Some(space) if space.say.is_some() => space.say.iter().for_each(|sink| sink(line)),
        _ => eprintln!("{}", crate::plain::text(line)),
    }
}

/// Hands the metrics of a step to the space's sink, if it has one.
pub fn metrics(step: u64, values: &[(String, f64)]) {
    if let Some(space) = current()
        && let Some(sink) = &space.metrics
    {
        sink(step, values);
    }
}

/// Whether the space has a sink for how far long calls are.
pub fn has_bars() -> bool {
    current().is_some_and(|s| s.bars.is_some())
}

/// Hands how far a call is to the space's sink, if it has one.
pub fn bar(bar: &Bar) {
    if let Some(space) = current()
        && let Some(sink) = &space.bars
    {
        sink(bar);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_nest_and_come_back_after_a_panic() {
        let heard: Rc<RefCell<Vec<String>>> = Rc::default();
        let space = |name: &'static str| {
            let heard = heard.clone();
            Rc::new(Space::new(Some(Box::new(move |line| heard.borrow_mut().push(format!("{name}: {line}")))), None))
        };
        let (a, b) = (space("a"), space("b"));
        assert_eq!((id(), has_sink()), (0, false));
        within(&a, || {
            say("1");
            within(&b, || say("2"));
            let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| within(&b, || panic!("on purpose"))));
            assert!(panicked.is_err());
            say("3");
        });
        assert_eq!(*heard.borrow(), ["a: 1", "b: 2", "a: 3"]);
        assert_eq!(id(), 0);
    }
}
