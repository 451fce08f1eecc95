//! Edits of several ranks: what rank 0 has seen all take in at one boundary, or none does.

use super::{GRACE, Hot, Plan, Prepared, Read, Watch};
use crate::dist::Dist;
use crate::error::{Error, Result};
use crate::interrupt;
use crate::script::training::boundary::Boundary;
use crate::script::training::offer::Offer;
use crate::script::units::changes::Reloaded;
use crate::train::rng;
use std::time::Instant;

/// What is sent where the texts on disk are those that run.
const SAME: &[u8] = b"same";

/// What came of taking an edit in.
pub(crate) enum Taken {
    /// There is nothing to take in, yet or at all; or somebody refuses it, which was said.
    Nothing,
    /// What is on disk is what runs, and was saved again, or somebody asked.
    Same,
    /// All run it.
    New(Reloaded),
}

/// What rank 0 has found on disk.
enum Found {
    Nothing,
    Same,
    New(Box<(Prepared, Plan)>),
}

impl Hot {
    /// Whether there is something that all ranks should take in at the next boundary.
    pub(crate) fn wants(&self) -> bool {
        let asked = interrupt::take_reload();
        if asked || self.watch.as_ref().is_some_and(Watch::rang) {
            self.wanted.set(true);
            self.asked.set(asked || self.asked.get());
        }
        self.wanted.get()
    }

    /// Says whether all ranks try a step again that fails on one.
    pub(crate) fn set_retries_together(&self, on: bool) {
        self.retries_together.set(on);
    }

    /// The boundary where all ranks take in what rank 0 has seen, or none does.
    pub(super) fn together(&self, at: &Boundary, d: &Dist) -> Result<()> {
        if self.fits.get() == 0 {
            if self.wants() && !self.is_told.replace(true) {
                at.say("warning: edits are not taken in: where several ranks train, `train::fit` takes them in, and a loop of one's own does not");
            }
            return Ok(());
        }
        let Some(run) = at.run else { return Ok(()) };
        if run.run().heard().edit {
            self.take_in(at, d)?;
        } else {
            self.report_late(at);
        }
        Ok(())
    }

    /// Shows an error that has waited for the rest of a save.
    pub(super) fn report_late(&self, at: &Boundary) {
        if self.held.borrow().as_ref().is_some_and(|(since, _)| since.elapsed() >= GRACE) {
            self.report(at);
        }
    }

    /// Takes in what rank 0 finds on disk. Called by all ranks.
    ///
    /// # Errors
    /// `E0802` when a rank is gone. An edit that cannot be taken in is none.
    pub(crate) fn take_in(&self, at: &Boundary, d: &Dist) -> Result<Taken> {
        let is_first = at.run.is_none_or(|r| r.run().is_owner());
        let found = if is_first { self.find(at) } else { Found::Nothing };
        let (text, mut mine) = match found {
            Found::Nothing => (Vec::new(), None),
            Found::Same => (SAME.to_vec(), None),
            Found::New(found) => (Offer::text(&found.0, &found.1)?, Some(*found)),
        };
        let offer = d.said_by(0, &text)?;
        if offer.is_empty() || offer == SAME {
            return Ok(if offer.is_empty() { Taken::Nothing } else { Taken::Same });
        }
        // Everybody builds it, and says so, before anybody runs it.
        let offer = Offer::read(&offer)?;
        let settings = offer.settings.clone();
        let built = match mine.take() {
            Some((prepared, plan)) => Ok((prepared, Some(plan))),
            None => rng::apart(|| at.program.prepare_recorded(at.rhai, offer.sources())).map(|prepared| (prepared, None)),
        };
        let words = d.gather(built.as_ref().err().map_or_else(String::new, ToString::to_string).as_bytes())?;
        if let Some((rank, why)) = words.iter().enumerate().find(|(_, why)| !why.is_empty()) {
            self.refuse(at, Error::disagree(format!("rank {rank} refuses the edit: {}", String::from_utf8_lossy(why))));
            return Ok(Taken::Nothing);
        }
        let (prepared, plan) = built?;
        // First where it is recorded: what cannot be recorded nobody takes.
        let put = |prepared| self.put(at, prepared, &settings);
        if let Some(plan) = plan {
            let done = put(prepared);
            d.said_by(0, done.as_ref().err().map_or_else(String::new, ToString::to_string).as_bytes())?;
            return Ok(match done {
                Ok((reloaded, recorded)) => {
                    self.took(at, &reloaded, plan, recorded.as_deref());
                    Taken::New(reloaded)
                }
                Err(e) => {
                    self.refuse(at, e);
                    Taken::Nothing
                }
            });
        }
        if !d.said_by(0, &[])?.is_empty() {
            return Ok(Taken::Nothing);
        }
        let (reloaded, _) = put(prepared)?;
        let step = at.run.map_or(0, |r| r.run().step());
        at.say(&format!("took in an edit at step {step} ({} scripts changed)", reloaded.changed.len()));
        Ok(Taken::New(reloaded))
    }

    fn refuse(&self, at: &Boundary, error: Error) {
        *self.held.borrow_mut() = Some((Instant::now(), error));
        self.report(at);
    }

    /// What rank 0 has read and checked.
    fn find(&self, at: &Boundary) -> Found {
        match self.read(at) {
            Ok(Read::New(prepared, plan)) => {
                self.wanted.set(false);
                self.asked.set(false);
                self.was_saved();
                Found::New(Box::new((prepared, plan)))
            }
            Ok(Read::Same(plan)) => {
                self.wanted.set(false);
                self.same(at, plan);
                // Another script of the folder was saved: no step that failed is mended by that.
                let (asked, saved) = (self.asked.take(), self.was_saved());
                if asked || saved { Found::Same } else { Found::Nothing }
            }
            // It is read again at the next boundary.
            Ok(Read::Unsettled) => Found::Nothing,
            Err(e) => {
                self.wanted.set(false);
                *self.held.borrow_mut() = Some((Instant::now(), e));
                Found::Nothing
            }
        }
    }
}
