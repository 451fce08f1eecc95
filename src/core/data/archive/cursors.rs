//! Readers that stand somewhere in a stream, kept for whoever reads on from there: most reads follow another one.

use std::sync::{Mutex, PoisonError};

/// More are not kept, of however many files: each holds a decoder or a page, and those of a thousand shards would fill the memory.
const KEPT: usize = 64;

/// A reader, the file and the stretch of it that it can read, and where in it it stands.
struct Idle<C> {
    file: usize,
    stretch: usize,
    at: u64,
    reader: C,
}

/// Idle readers of all files of a source, for any thread.
pub(super) struct Cursors<C>(Mutex<Vec<Idle<C>>>);

impl<C> Default for Cursors<C> {
    fn default() -> Self {
        Cursors::new()
    }
}

impl<C> Cursors<C> {
    pub(super) const fn new() -> Self {
        Cursors(Mutex::new(Vec::new()))
    }

    /// Takes the reader of a stretch that stands nearest before `at`, at `least` or behind it, and where it stands.
    pub(super) fn take(&self, file: usize, stretch: usize, least: u64, at: u64) -> Option<(u64, C)> {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |c: &Idle<C>| (c.file, c.stretch) == (file, stretch) && (least..=at).contains(&c.at);
        let best = idle.iter().enumerate().filter(|(_, c)| fits(c)).max_by_key(|(_, c)| c.at).map(|(i, _)| i)?;
        let found = idle.remove(best);
        Some((found.at, found.reader))
    }

    /// Gives a reader back, which stands at `at` now; the one that was idle for longest makes room.
    pub(super) fn put(&self, file: usize, stretch: usize, at: u64, reader: C) {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() == KEPT {
            idle.remove(0);
        }
        idle.push(Idle { file, stretch, at, reader });
    }

    /// Lets go of the readers of a file.
    pub(super) fn forget(&self, file: usize) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|c| c.file != file);
    }

    #[cfg(test)]
    pub(super) fn of(&self, file: usize) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().filter(|c| c.file == file).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_before_a_place_is_taken_once() {
        let cursors = Cursors::default();
        for at in [10, 30, 50] {
            cursors.put(0, 1, at, format!("at {at}"));
        }
        assert_eq!(cursors.take(0, 2, 0, 40), None);
        assert_eq!(cursors.take(1, 1, 0, 40), None);
        assert_eq!(cursors.take(0, 1, 35, 40), None);
        assert_eq!(cursors.take(0, 1, 0, 40), Some((30, "at 30".to_owned())));
        assert_eq!(cursors.take(0, 1, 0, 40), Some((10, "at 10".to_owned())));
        assert_eq!(cursors.take(0, 1, 0, 40), None);
    }

    #[test]
    fn there_is_one_bound_for_all_files() {
        let cursors = Cursors::default();
        for file in 0..10 * KEPT {
            cursors.put(file, 0, 0, ());
        }
        assert_eq!((0..10 * KEPT).map(|f| cursors.of(f)).sum::<usize>(), KEPT);
        assert!(cursors.take(0, 0, 0, 0).is_none(), "the oldest make room");
        cursors.forget(10 * KEPT - 1);
        assert_eq!((cursors.of(10 * KEPT - 1), cursors.of(10 * KEPT - 2)), (0, 1));
    }
}
