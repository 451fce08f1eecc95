//! Readers that stand somewhere in a stream, kept for whoever reads on from there: most reads follow another one.

use std::sync::{Mutex, PoisonError};

/// More are not kept: each holds a buffer or a page.
const KEPT: usize = 24;

/// A reader, the stretch of the stream that it can read, and where in it it stands.
struct Idle<C> {
    stretch: usize,
    at: u64,
    reader: C,
}

/// Idle readers of one file, for any thread.
pub(super) struct Cursors<C>(Mutex<Vec<Idle<C>>>);

impl<C> Default for Cursors<C> {
    fn default() -> Self {
        Cursors(Mutex::new(Vec::new()))
    }
}

impl<C> Cursors<C> {
    /// Takes the reader of a stretch that stands nearest before `at`, at `least` or behind it, and where it stands.
    pub(super) fn take(&self, stretch: usize, least: u64, at: u64) -> Option<(u64, C)> {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |c: &Idle<C>| c.stretch == stretch && (least..=at).contains(&c.at);
        let best = idle.iter().enumerate().filter(|(_, c)| fits(c)).max_by_key(|(_, c)| c.at).map(|(i, _)| i)?;
        let found = idle.remove(best);
        Some((found.at, found.reader))
    }

    /// Gives a reader back, which stands at `at` now; the one that was idle for longest makes room.
    pub(super) fn put(&self, stretch: usize, at: u64, reader: C) {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() == KEPT {
            idle.remove(0);
        }
        idle.push(Idle { stretch, at, reader });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_before_a_place_is_taken_once() {
        let cursors = Cursors::default();
        for at in [10, 30, 50] {
            cursors.put(1, at, format!("at {at}"));
        }
        assert_eq!(cursors.take(2, 0, 40), None);
        assert_eq!(cursors.take(1, 35, 40), None);
        assert_eq!(cursors.take(1, 0, 40), Some((30, "at 30".to_owned())));
        assert_eq!(cursors.take(1, 0, 40), Some((10, "at 10".to_owned())));
        assert_eq!(cursors.take(1, 0, 40), None);
        for at in 100..200 {
            cursors.put(1, at, String::new());
        }
        assert_eq!(cursors.take(1, 0, 150), None, "the oldest make room");
    }
}
