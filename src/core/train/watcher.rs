//! Whoever measures the steps of a fit.

use super::run::OpenRun;
use std::rc::Rc;

/// What a step does besides the step function, by the names that a watcher is told.
pub mod part {
    /// Waiting for the loader's next batch.
    pub const BATCH: &str = "batch";
    /// What happens between two steps: reloads, prompts.
    pub const BETWEEN: &str = "between steps";
    /// The step function.
    pub const STEP: &str = "step";
    /// Writing a line of metrics, and `on_log`.
    pub const LOG: &str = "log";
    /// `on_sample`.
    pub const SAMPLE: &str = "on_sample";
    /// Writing a checkpoint.
    pub const SAVE: &str = "checkpoint";
}

/// Looks at the steps of a fit and at what they consist of.
pub trait Watcher {
    /// A step begins, with what comes before it.
    fn begins(&self, run: &OpenRun);

    /// It ends, with its log line and checkpoint.
    fn ends(&self, run: &OpenRun);

    /// A part of it begins: see [`part`].
    fn enters(&self, part: &'static str);

    /// The part that began last ends.
    fn leaves(&self);
}

/// Runs `f` as a part of a step.
pub(super) fn watched<T>(watcher: Option<Rc<dyn Watcher>>, part: &'static str, f: impl FnOnce() -> T) -> T {
    let Some(watcher) = watcher else { return f() };
    watcher.enters(part);
    let done = f();
    watcher.leaves();
    done
}
