//! The word that every rank says at every boundary between two steps, and what all of them hear: the same everywhere.

use super::Dist;
use crate::error::Result;
use crate::torch::Tensor;
use crate::torch::bridge::dist::{Reduce, Work};

/// A loss that is not finite: since which 0-based step, and on which rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bad {
    /// The first such step.
    pub step: u64,
    /// The first rank among those of that step.
    pub rank: usize,
}

/// Who is at a prompt that is attached to the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Guests {
    /// Nobody.
    #[default]
    None,
    /// Somebody, who may want the batch of a step.
    There,
    /// Somebody who has typed what all ranks are to do.
    Wait,
}

/// What a rank says, or what came of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Word {
    /// It was asked to stop.
    pub stop: bool,
    /// It has edits to take in.
    pub edit: bool,
    /// It has met a loss that is not finite.
    pub bad: Option<Bad>,
    /// Who is attached to it.
    pub guests: Guests,
    /// A step that failed is to be tried again.
    pub again: bool,
}

/// How many numbers a word is.
const NUMBERS: usize = 5;
/// More than there are steps.
const STEPS: u64 = 1 << 46;
/// More than there are ranks.
const RANKS: u64 = 1 << 16;

impl Word {
    /// As numbers of which the largest counts: the first step, and there the first rank.
    fn numbers(self) -> [i64; NUMBERS] {
        let bad = self.bad.map_or(0, |b| (STEPS - b.step.min(STEPS - 1)) * RANKS + (RANKS - 1 - (b.rank as u64).min(RANKS - 1)));
        [i64::from(self.stop), i64::from(self.edit), i64::try_from(bad).unwrap_or(i64::MAX), self.guests as i64, i64::from(self.again)]
    }

    fn read(numbers: &[i64]) -> Word {
        let at = |i: usize| numbers.get(i).copied().unwrap_or(0);
        let key = u64::try_from(at(2)).unwrap_or(0);
        let rank = |key: u64| usize::try_from(RANKS - 1 - key % RANKS).unwrap_or(0);
        let guests = match at(3) {
            0 => Guests::None,
            1 => Guests::There,
            _ => Guests::Wait,
        };
        let bad = (key > 0).then(|| Bad { step: STEPS - key / RANKS, rank: rank(key) });
        Word { stop: at(0) > 0, edit: at(1) > 0, bad, guests, again: at(4) > 0 }
    }
}

/// A word on its way.
pub struct Posted {
    numbers: Tensor,
    work: Work,
}

impl Posted {
    /// What came of the words of all ranks.
    ///
    /// # Errors
    /// `E0802` when another rank is gone.
    pub fn hear(self) -> Result<Word> {
        self.work.wait()?;
        Ok(Word::read(&self.numbers.to_vec_i64()?))
    }
}

impl Dist {
    /// Says a word; it travels while the step runs.
    ///
    /// # Errors
    /// `E0802` when another rank is gone.
    pub fn say(&self, word: Word) -> Result<Posted> {
        let numbers = Tensor::from_vec(&word.numbers(), &[NUMBERS as i64])?;
        let work = self.control().all_reduce(std::slice::from_ref(&numbers), Reduce::Max)?;
        Ok(Posted { numbers, work })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_words_the_first_bad_step_counts() {
        let bad = |step, rank| Word { bad: Some(Bad { step, rank }), ..Word::default() };
        let heard = |words: &[Word]| {
            let all: Vec<[i64; NUMBERS]> = words.iter().map(|w| w.numbers()).collect();
            Word::read(&[0, 1, 2, 3, 4].map(|i| all.iter().map(|n| n[i]).max().unwrap()))
        };
        let stop = Word { stop: true, ..Word::default() };
        assert_eq!(heard(&[Word::default(), Word::default()]), Word::default());
        assert_eq!(heard(&[stop, bad(7, 3), bad(7, 2), bad(9, 0)]), Word { bad: Some(Bad { step: 7, rank: 2 }), ..stop });
        assert_eq!(heard(&[bad(0, 0), bad(0, 65_000)]).bad, Some(Bad { step: 0, rank: 0 }));
        let guest = |guests| Word { guests, ..Word::default() };
        assert_eq!(heard(&[guest(Guests::There), guest(Guests::Wait), guest(Guests::None)]).guests, Guests::Wait);
        assert_eq!(heard(&[bad(1 << 40, 65_000)]).bad, Some(Bad { step: 1 << 40, rank: 65_000 }));
    }
}
