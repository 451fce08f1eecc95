//! What a script may use up, and the meter that counts it.
//!
//! rhai counts operations anew in every call that passes through Rust, so they are counted here, over callbacks and modules.

use super::codes::{INTERRUPTED, LIMIT};
use crate::error::{Diagnostic, Error};
use crate::interrupt::{self, Scope};
use rhai::{Dynamic, ImmutableString};
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// What a script may use up in one call from the host program. `None` is as much as there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Operations of the language: statements, calls, operators. What a registered function does counts as one.
    pub operations: Option<u64>,
    /// Time on the clock. Registered functions that take long look at it as well; a single libtorch operator does not.
    pub time: Option<Duration>,
    /// How deep script functions may call each other; 1000 without it.
    pub call_depth: Option<usize>,
    /// Bytes of one string; 256 MB without it.
    pub string_bytes: Option<usize>,
    /// Elements of one array or map, those inside them counted too; 1,000,000 without it.
    pub elements: Option<usize>,
}

/// How the termination token of an exceeded limit begins.
const TOKEN: &str = "limit: ";
/// Operations between two looks at the clock and at what other threads ask for.
const LOOK_EVERY: u64 = 64;

/// Counts for one engine.
pub(crate) struct Meter {
    limits: Limits,
    /// The limit of operations.
    most: u64,
    stop: Arc<AtomicBool>,
    /// Calls from the host program that are under way, one inside the other: only the outermost counts anew.
    depth: Cell<usize>,
    operations: Cell<u64>,
    deadline: Cell<Option<Instant>>,
}

impl Meter {
    pub(crate) fn new(limits: Limits) -> Self {
        Meter {
            limits,
            most: limits.operations.unwrap_or(u64::MAX),
            stop: Arc::default(),
            depth: Cell::new(0),
            operations: Cell::new(0),
            deadline: Cell::new(None),
        }
    }

    /// What the program sets to stop its script from another thread.
    pub(crate) fn stop(&self) -> Arc<AtomicBool> {
        self.stop.clone()
    }

    /// Runs one call from the host program under the limits.
    pub(crate) fn run<T>(&self, f: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        if self.depth.get() == 0 {
            self.operations.set(0);
            self.deadline.set(self.limits.time.map(|t| Instant::now() + t));
        }
        struct Leave<'a>(&'a Cell<usize>);
        impl Drop for Leave<'_> {
            fn drop(&mut self) {
                self.0.set(self.0.get() - 1);
            }
        }
        self.depth.set(self.depth.get() + 1);
        let leave = Leave(&self.depth);
        let scope = Scope { stop: self.stop.clone(), deadline: self.deadline.get() };
        let result = interrupt::within(scope, f);
        drop(leave);
        // A long call in Rust that saw the deadline knows only that it was to stop.
        match result {
            Err(e) if e.is_interrupt() && self.is_late() => Err(Error::script(Diagnostic::plain(LIMIT, self.time_text()))),
            other => other,
        }
    }

    /// Counts one operation.
    pub(crate) fn count(&self) -> u64 {
        let n = self.operations.get() + 1;
        self.operations.set(n);
        n
    }

    /// The reason to end the script after `n` operations, if there is one.
    pub(crate) fn look(&self, n: u64) -> Option<Dynamic> {
        if n > self.most {
            return Some(token(format!("the script ran more than {} operations", self.most)));
        }
        if !n.is_multiple_of(LOOK_EVERY) {
            return None;
        }
        if self.is_late() {
            return Some(token(self.time_text()));
        }
        // Also the scopes of runtimes around this one.
        interrupt::requested().then(|| INTERRUPTED.into())
    }

    fn is_late(&self) -> bool {
        self.deadline.get().is_some_and(|d| Instant::now() >= d)
    }

    fn time_text(&self) -> String {
        format!("the script ran longer than {:?}", self.limits.time.unwrap_or_default())
    }
}

fn token(text: String) -> Dynamic {
    format!("{TOKEN}{text}").into()
}

/// The message in a termination token, if an exceeded limit ended the script.
pub(crate) fn exceeded(token: &Dynamic) -> Option<String> {
    token.read_lock::<ImmutableString>()?.strip_prefix(TOKEN).map(str::to_owned)
}
