//! A step of several ranks: what they say around it, and how all of them try it again when it fails on one.

use super::{Batches, Fall, Fit, Retry};
use crate::dist::Fell;
use crate::error::{Error, Result};
use crate::interrupt;
use crate::train::job::Job;
use crate::train::metrics::Metrics;
use crate::train::rng;
use crate::train::tracked::Saved;
use crate::train::watcher::{part, watched};

impl<L: Batches> Fit<'_, L> {
    /// One step with its batch, on all ranks.
    pub(super) fn step_of_all(&mut self, before: &Saved) -> Result<(Metrics, L::Batch)> {
        if self.job.as_ref().is_some_and(Job::retries) {
            return self.step_until_done(before);
        }
        self.say()?;
        let batch = self.batch()?;
        let metrics = self.own_step(&batch)?;
        self.hear()?;
        Ok((metrics, batch))
    }

    fn own_step(&mut self, batch: &L::Batch) -> Result<Metrics> {
        self.run.set_in_step(true);
        let metrics = watched(self.steps.watcher(), part::STEP, || self.steps.step(self.run, batch));
        self.run.set_in_step(false);
        metrics
    }

    fn say(&mut self) -> Result<()> {
        let Some(job) = &self.job else { return Ok(()) };
        let is_first = self.run.is_owner();
        job.post(interrupt::pending(), is_first && self.steps.wants_edit(), if is_first { self.steps.guests() } else { Default::default() })
    }

    fn hear(&self) -> Result<()> {
        if let Some(job) = &self.job {
            self.run.set_heard(job.hear()?);
        }
        Ok(())
    }

    /// A step that is done when every rank has done it: until then all try it again, with the same batch and the same random numbers.
    fn step_until_done(&mut self, before: &Saved) -> Result<(Metrics, L::Batch)> {
        let run = self.run;
        let random = rng::save()?;
        let (state, parts) = (run.versions()?, run.versions_of_parts()?);
        loop {
            let batch = self.batch()?;
            let done = self.own_step(&batch).and_then(|metrics| {
                self.say()?;
                self.hear()?;
                Ok(metrics)
            });
            let error = match done {
                Ok(metrics) => return Ok((metrics, batch)),
                Err(e) => e,
            };
            let Some(d) = self.job.as_ref().map(Job::dist) else { return Err(error) };
            let Some(is_own) = (if error.is_interrupt() { None } else { d.fell(&error)? }) else { return Err(error) };
            // The script may have changed the batch in place.
            self.loader.restore(before)?;
            rng::restore(&random)?;
            let own = Fell {
                error: is_own.then(|| error.render(false)),
                has_changed: run.versions()? != state,
                has_changed_part: run.versions_of_parts()? != parts,
                step: run.step(),
            };
            let all = d.meet_again(&own)?;
            run.drop_gradients()?;
            if all.iter().any(|f| f.has_changed_part) {
                // What one rank alone keeps, and has changed, nobody can give back.
                let error = if is_own { error } else { of_another(&errors_of(all)) };
                run.warn(PARTS);
                return Err(error);
            }
            // What a rank still has that was before the step all have.
            let whole = all.iter().position(|f| !f.has_changed);
            let first = all.iter().position(|f| f.error.is_some()).unwrap_or(0);
            if all.iter().any(|f| f.has_changed) {
                run.spread(d, whole.unwrap_or(first))?;
            }
            let errors = errors_of(all);
            let fall = Fall { error: is_own.then_some(&error), errors, has_changed_state: whole.is_none() };
            let outcome = self.steps.failed_together(run, &fall);
            let Fall { errors, .. } = fall;
            let error = match outcome {
                Ok(Retry::Again) => continue,
                Ok(Retry::Stop) if is_own => error,
                Ok(Retry::Stop) => of_another(&errors),
                Err(e) => e,
            };
            // The step is not done: the steps before it are whole, and worth a checkpoint.
            if whole.is_some() && !run.is_saved() && run.step() > 0 {
                self.check_now(&batch)?;
                run.save_owing(None)?;
            }
            return Err(error);
        }
    }
}

const PARTS: &str = "the optimizer's step had begun, and under --shard-optimizer no rank has what another one has changed: \
                     the same command goes on from the last checkpoint";

/// What failed, by rank.
fn errors_of(all: Vec<Fell>) -> Vec<(usize, String)> {
    all.into_iter().enumerate().filter_map(|(rank, f)| Some((rank, f.error?))).collect()
}

/// The error of a step that is not tried again, where it failed on other ranks alone.
fn of_another(errors: &[(usize, String)]) -> Error {
    let (rank, why) = errors.first().map_or((0, ""), |(rank, why)| (*rank, why.as_str()));
    Error::run(format!("the step failed on rank {rank}: {why}"))
}
