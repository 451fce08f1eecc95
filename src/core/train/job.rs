//! What the ranks of a job agree on around a step: to stop, to take edits in, what is not finite, and the numbers of a log line.

use super::metrics::NonFinite;
use crate::dist::{self, Bad, Dist, Guests, Posted, Rng, Word};
use crate::error::{Error, Result};
use crate::torch::share::take_moved;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use std::cell::{Cell, RefCell};

/// The part of one rank in a fit.
pub(super) struct Job {
    dist: &'static Dist,
    posted: RefCell<Option<Posted>>,
    /// What all heard last.
    heard: Cell<Word>,
    /// What is not finite here, until all know.
    bad: RefCell<Option<NonFinite>>,
    is_warned: Cell<bool>,
    /// Whether a step that fails on a rank is tried again by all.
    retries: bool,
}

/// A metric on its way: its sum as bits, and of how many values.
#[derive(Serialize, Deserialize)]
struct Sum {
    name: String,
    bits: u64,
    count: usize,
}

impl Job {
    /// The job, where this process is one of several ranks. `retries`, of the first rank: whether a step that fails is tried again.
    pub fn begin(retries: bool) -> Result<Option<Self>> {
        let Some(dist) = dist::at_work() else { return Ok(None) };
        let retries = dist.said_by(0, &[u8::from(retries)])? == [1];
        let job = Job { dist, posted: RefCell::default(), heard: Cell::default(), bad: RefCell::default(), is_warned: Cell::default(), retries };
        Ok(Some(job))
    }

    /// Whether a step that fails on a rank is tried again by all. Then all hear after a step that every rank has done it: the word is said
    /// then, and not before the step.
    pub fn retries(&self) -> bool {
        self.retries
    }

    /// The ranks.
    pub fn dist(&self) -> &'static Dist {
        self.dist
    }

    fn word(&self) -> Word {
        let bad = self.bad.borrow().as_ref().map(|b| Bad { step: b.step, rank: self.dist.world.rank });
        Word { bad, ..Word::default() }
    }

    /// Says, before a step, what the others must know after it; after it where all [try again](Job::retries).
    pub fn post(&self, stop: bool, edit: bool, guests: Guests) -> Result<()> {
        *self.posted.borrow_mut() = Some(self.dist.say(Word { stop, edit, guests, ..self.word() })?);
        Ok(())
    }

    /// Hears, after the step, what all said before it.
    pub fn hear(&self) -> Result<Word> {
        if let Some(posted) = self.posted.borrow_mut().take() {
            self.heard.set(posted.hear()?);
        }
        if self.dist.options.rng == Rng::Global && take_moved()? && !self.is_warned.replace(true) {
            tracing::warn!(
                "something was drawn that is not that of one process: dropout, an in-place draw, a sampling operator called by name, or a draw \
                 whose first size is not the number of samples; `--rng rank` gives each rank numbers of its own"
            );
        }
        Ok(self.heard.get())
    }

    /// What all heard after the last step.
    pub fn heard(&self) -> Word {
        self.heard.get()
    }

    /// Keeps what is not finite here; the first such step of any rank, as far as it is known. `now`: all know of it before anything is logged
    /// or saved.
    pub fn agree(&self, bad: Option<NonFinite>, now: bool) -> Result<Option<Bad>> {
        if let Some(bad) = bad {
            self.bad.borrow_mut().get_or_insert(bad);
        }
        if now { Ok(self.dist.say(self.word())?.hear()?.bad) } else { Ok(self.heard.get().bad) }
    }

    /// The error of a step that is not finite, from the rank that has met it: the same on all. `tell` makes it there.
    pub fn refuse(&self, bad: Bad, tell: impl FnOnce(&NonFinite) -> Error) -> Error {
        let own = self.bad.borrow_mut().take().filter(|_| bad.rank == self.dist.world.rank);
        let told = own.map_or_else(String::new, |own| {
            let e = tell(&own);
            format!("{e}\n{}", e.help_text().unwrap_or_default())
        });
        match self.dist.said_by(bad.rank, told.as_bytes()) {
            Ok(told) => {
                let told = String::from_utf8_lossy(&told).into_owned();
                let (message, help) = told.split_once('\n').unwrap_or((&told, ""));
                Error::run(format!("{message} on rank {}", bad.rank)).help(help.to_owned())
            }
            Err(e) => e,
        }
    }

    /// The means over all ranks, of as many values as each has.
    pub fn means(&self, sums: Vec<(String, f64, usize)>) -> Result<Vec<(String, f64)>> {
        let broken = |e: serde_json::Error| Error::run(format!("metrics: {e}"));
        let own: Vec<Sum> = sums.into_iter().map(|(name, sum, count)| Sum { name, bits: sum.to_bits(), count }).collect();
        let mut all: IndexMap<String, (f64, usize)> = IndexMap::new();
        for text in self.dist.gather(&serde_json::to_vec(&own).map_err(broken)?)? {
            for Sum { name, bits, count } in serde_json::from_slice::<Vec<Sum>>(&text).map_err(broken)? {
                let of = all.entry(name).or_default();
                *of = (of.0 + f64::from_bits(bits), of.1 + count);
            }
        }
        Ok(all.into_iter().map(|(name, (sum, count))| (name, sum / count.max(1) as f64)).collect())
    }

    /// `2 ranks, 16 samples each` for the first line of a run.
    pub fn describe(&self) -> String {
        let w = &self.dist.world;
        format!("{} ranks on {:?}, started by {}", w.size, self.dist.options.backend, w.launcher)
    }
}
