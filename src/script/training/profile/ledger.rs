//! What lines and parts of steps have taken, from calls that begin and end one inside the other.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// What of a step is in none of its parts.
pub(super) const REST: &str = "the rest of the loop";
/// `main`, where no fit is measured.
pub(super) const MAIN: &str = "main";

/// Something that takes time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// A line of a text, which is known by its number.
    Line(usize, usize),
    /// A part of a step.
    Part(&'static str),
}

/// What a place has taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Figures {
    /// How often it began.
    pub calls: u64,
    /// In it alone.
    pub own: Duration,
    /// With what it called in turn.
    pub total: Duration,
}

struct Frame {
    place: Place,
    start: Instant,
    /// What others took inside of it.
    inner: Duration,
    /// Whether its own time is the language's: a function of a script, whose calls are seen as well.
    is_script: bool,
    /// Whether the same place is under way already: its total has this in it.
    is_again: bool,
}

/// What lines and parts have taken.
#[derive(Default)]
pub(super) struct Ledger {
    tags: Vec<String>,
    table: HashMap<Place, Figures>,
    stack: Vec<Frame>,
}

impl Ledger {
    fn number(&mut self, tag: &str) -> usize {
        self.tags.iter().position(|t| t == tag).unwrap_or_else(|| {
            self.tags.push(tag.to_owned());
            self.tags.len() - 1
        })
    }

    fn push(&mut self, place: Place, is_script: bool) {
        let is_again = self.stack.iter().any(|f| f.place == place);
        self.stack.push(Frame { place, start: Instant::now(), inner: Duration::ZERO, is_script, is_again });
    }

    fn pop(&mut self) {
        let Some(frame) = self.stack.pop() else { return };
        let total = frame.start.elapsed();
        let own = total.saturating_sub(frame.inner);
        if let Some(outer) = self.stack.last_mut() {
            outer.inner += total;
        }
        let whose = match frame.is_script {
            true => self.stack.iter().rev().map(|f| f.place).find(|p| matches!(p, Place::Part(_))).unwrap_or(Place::Part(MAIN)),
            false => frame.place,
        };
        self.table.entry(whose).or_default().own += own;
        let figures = self.table.entry(frame.place).or_default();
        figures.calls += 1;
        if !frame.is_again {
            figures.total += total;
        }
    }

    /// A part begins.
    pub(super) fn enter(&mut self, part: &'static str) {
        self.push(Place::Part(part), false);
    }

    /// The part that began last ends.
    pub(super) fn leave(&mut self) {
        // A call that did not end, because something unwound through it, ends with it.
        while let Some(Frame { place: Place::Line(..), .. }) = self.stack.last() {
            self.pop();
        }
        self.pop();
    }

    /// A line calls something.
    pub(super) fn call(&mut self, tag: &str, line: usize, is_native: bool) {
        let number = self.number(tag);
        self.push(Place::Line(number, line), !is_native);
    }

    /// The call that began last ends. One that began before anything was measured is not known here.
    pub(super) fn returned(&mut self) {
        if matches!(self.stack.last(), Some(Frame { place: Place::Line(..), .. })) {
            self.pop();
        }
    }

    /// Everything that took time, what took most first.
    pub(super) fn all(&self) -> Vec<(Place, Figures)> {
        let mut all: Vec<(Place, Figures)> = self.table.iter().map(|(p, f)| (*p, *f)).collect();
        all.sort_by_key(|(place, f)| {
            let at = match place {
                Place::Line(tag, line) => (*tag, *line, ""),
                Place::Part(part) => (usize::MAX, 0, *part),
            };
            (std::cmp::Reverse(f.own), at)
        });
        all
    }

    /// The tag of a text by its number.
    pub(super) fn tag(&self, number: usize) -> &str {
        self.tags.get(number).map_or("", String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(ledger: &Ledger, place: Place) -> Figures {
        ledger.all().into_iter().find(|(p, _)| *p == place).unwrap_or_else(|| panic!("{place:?}")).1
    }

    #[test]
    fn own_times_add_up_to_the_whole() {
        let mut ledger = Ledger::default();
        ledger.returned();
        let pause = || std::thread::sleep(Duration::from_millis(2));
        ledger.enter("step");
        pause();
        ledger.call("a", 3, true);
        pause();
        ledger.call("a", 7, false);
        pause();
        // The same line again, inside of itself.
        ledger.call("a", 3, true);
        pause();
        ledger.returned();
        ledger.returned();
        ledger.returned();
        ledger.leave();
        let (step, outer, module) = (figures(&ledger, Place::Part("step")), figures(&ledger, Place::Line(0, 3)), figures(&ledger, Place::Line(0, 7)));
        assert_eq!((step.calls, outer.calls, module.calls), (1, 2, 1));
        assert_eq!(module.own, Duration::ZERO, "a script's function is the language");
        assert!(module.total >= Duration::from_millis(4) && outer.total > module.total, "{outer:?} {module:?}");
        let sum: Duration = ledger.all().iter().map(|(_, f)| f.own).sum();
        assert_eq!(sum, step.total);
        assert!(step.own >= Duration::from_millis(4) && outer.own >= Duration::from_millis(4), "{step:?} {outer:?}");
    }
}
