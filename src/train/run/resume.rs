//! Going on from a checkpoint.

use super::open::FORCE;
use super::{LOADER, OpenRun};
use crate::dist::Alone;
use crate::error::{Error, Result};
use crate::train::checkpoint::Checkpoint;
use crate::train::events::Events;
use crate::train::tracked::Tracked;
use crate::train::{checkpoint, edits, metrics, rewind, rng};
use crate::{dist, origin};
use std::path::PathBuf;
use std::time::Instant;

impl OpenRun {
    pub(super) fn checkpoints(&self) -> PathBuf {
        self.dir().join("checkpoints")
    }

    /// Goes on from the newest whole checkpoint, if there is one, or from that of the step that was asked for, and returns the number of
    /// steps done. Everything that is tracked is put back, and the random generators, the clock and the log. A second call changes nothing.
    ///
    /// # Errors
    /// `E0101` when there is no checkpoint of the step that was asked for,
    /// `E0401` with the difference when the checkpoint belongs to other objects, `E0302` when every checkpoint is damaged.
    pub fn resume(&self) -> Result<u64> {
        let inner = &*self.0;
        if inner.since.get().is_some() {
            return Ok(self.step());
        }
        let found = self.found()?;
        self.compare_origins(found.as_ref())?;
        if let Some(c) = &found {
            self.restore(c)?;
            if let Some(step) = inner.resume_step {
                self.go_back(step)?;
            }
            self.say(&format!("  {}  goes on at step {}", self.name(), crate::progress::grouped(self.step(), ' ')));
        }
        let edits = found.as_ref().map_or(0, |c| c.head().generation);
        if self.is_owner() {
            *inner.metrics.borrow_mut() = Some(metrics::Log::open(&self.dir().join("metrics.jsonl"), found.is_some().then(|| self.step()), edits)?);
            *inner.events.borrow_mut() = Some(Events::create(self.dir(), found.is_some().then(|| self.step()))?);
        }
        inner.since.set(Some(Instant::now()));
        if let Some(new) = inner.new_config.take() {
            new.write(self.dir())?;
        }
        let resumed = found.is_some();
        if resumed {
            self.settle(edits)?;
        }
        *inner.restored.borrow_mut() = found;
        self.begin_together(resumed)?;
        // A resumed run has these lines from its first start.
        let early = std::mem::take(&mut *inner.early.borrow_mut());
        if !resumed {
            early.iter().try_for_each(|values| self.write(values))?;
        }
        Ok(self.step())
    }

    /// The checkpoint from which it goes on. Of several ranks the first says which: what others see of a shared disk may be older.
    pub(super) fn found(&self) -> Result<Option<Checkpoint>> {
        let look = || match self.0.resume_step {
            None => checkpoint::latest(&self.checkpoints(), &mut |w| self.warn(&w)),
            Some(step) => self.found_at(step).map(Some),
        };
        let Some(d) = dist::at_work() else { return look() };
        let found = match dist::alone("resume", look)? {
            Alone::Done(found) => found,
            Alone::Waited => None,
        };
        let step = found.as_ref().map_or(String::new(), |c| c.head().step.to_string());
        let step = String::from_utf8_lossy(&d.said_by(0, step.as_bytes())?).into_owned();
        if self.is_owner() || step.is_empty() {
            return Ok(found);
        }
        let path = self.checkpoints().join(checkpoint::folder_name(step.parse().unwrap_or(0)));
        let open = Checkpoint::open(&path).map(Some);
        open.map_err(|e| {
            Error::disagree(format!("rank 0 goes on from `{}`, which rank {} cannot read: {e}", path.display(), d.world.rank))
                .help("all ranks need the same --output-dir, on a disk that they share")
        })
    }

    /// Makes sure that all ranks begin with the same, and gives each its own random numbers where it is to have them.
    pub(super) fn begin_together(&self, resumed: bool) -> Result<()> {
        let Some(d) = dist::at_work() else { return Ok(()) };
        let mut lines = String::new();
        for (name, object) in self.0.tracked.borrow().iter() {
            let saved = object.shared().map_or_else(|| object.save(), |s| s.common())?;
            lines.push_str(&format!("{name} {}\n", crate::nn::digest_state(&saved.tensors)?));
        }
        d.same("weights", lines.as_bytes(), |a, b| {
            let names = |t: &[u8]| String::from_utf8_lossy(t).lines().map(str::to_owned).collect::<Vec<_>>();
            let differ: Vec<String> =
                names(a).iter().zip(names(b)).filter(|(a, b)| *a != b).filter_map(|(a, _)| a.split(' ').next().map(|n| format!("`{n}`"))).collect();
            format!(" {}", differ.join(", "))
        })?;
        if !resumed && d.options.rng == dist::Rng::Rank {
            rng::of_rank(d.world.rank, self.0.seed, self.step())?;
        }
        Ok(())
    }

    /// The checkpoint from which it goes on when it was asked to go on from `step`.
    pub(super) fn found_at(&self, step: u64) -> Result<Checkpoint> {
        Ok(match rewind::find(self.dir(), step, &mut |w| self.warn(&w))? {
            rewind::Found::There(c) => c,
            rewind::Found::Later(c) => {
                let first = crate::progress::grouped(step, ' ');
                self.say(&format!(
                    "  {}  went back to step {first} before, and goes on with what it has trained since; to go back again, move the later folders out of {}/",
                    self.name(),
                    self.checkpoints().display()
                ));
                c
            }
        })
    }

    /// Puts what came after the step aside, now that the checkpoint of the step is in place.
    pub(super) fn go_back(&self, step: u64) -> Result<()> {
        self.0.back_to.set(Some(step));
        if self.step() > step {
            return Ok(());
        }
        if self.is_owner()
            && let Some((n, folder)) = rewind::put_aside(self.dir(), step)?
        {
            let what = if n == 1 { "1 later checkpoint is".to_owned() } else { format!("{n} later checkpoints are") };
            self.say(&format!("  {}  goes back to step {}: {what} now in {}/", self.name(), crate::progress::grouped(step, ' '), folder.display()));
        }
        Ok(())
    }

    /// Refuses to go on with another content than the checkpoint's, or to repeat a recorded run with another than it had.
    pub(super) fn compare_origins(&self, found: Option<&Checkpoint>) -> Result<()> {
        let now = self.0.made_from.borrow();
        let other = origin::differences(&self.0.expected, &now);
        if !other.is_empty() {
            return Err(Error::run(format!("the recorded run was made from something else than what is there now:{}", origin::listed(&other)))
                .help("it can be repeated only with what it had: put that back where it was"));
        }
        let Some(c) = found else {
            return if now.is_empty() || !self.is_owner() { Ok(()) } else { edits::add_made_from(self.dir(), &now) };
        };
        let then = &c.head().made_from;
        if then.is_empty() && !now.is_empty() {
            origin::say_unknown(&format!("`{}`", c.path().display()), "what its run was made from");
        }
        let (allowed, refused): (Vec<_>, Vec<_>) = origin::differences(then, &now).into_iter().partition(|d| self.0.allowed.has(&d.role));
        if !refused.is_empty() {
            let mut names: Vec<&str> = refused.iter().map(|d| d.role.split('.').next().unwrap_or_default()).collect();
            names.dedup();
            return Err(Error::usage(format!("the run `{}` was made from something else:{}", self.name(), origin::listed(&refused))).help(format!(
                "choose another --exp-name, or let the run go on with it: `--allow-change {}`, which is recorded as an edit",
                names.join(",")
            )));
        }
        if !allowed.is_empty() {
            self.warn(&format!("`{}` goes on with other content:{}", self.name(), origin::listed(&allowed)));
        }
        self.0.replaced.borrow_mut().extend(allowed.into_iter().map(|d| d.text));
        Ok(())
    }

    /// Puts the state `name` of a checkpoint back into an object, as far as it may differ.
    pub(super) fn put_back(&self, c: &Checkpoint, name: &str, object: &dyn Tracked) -> Result<()> {
        if let Some(note) = c.restore_changed(name, object, self.0.allowed.loader())? {
            self.say(&format!("  {}  {note}", self.name()));
        }
        Ok(())
    }

    pub(super) fn restore(&self, c: &Checkpoint) -> Result<()> {
        let tracked = self.0.tracked.borrow();
        let held = c.parts();
        let quote = |names: Vec<&str>| names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ");
        let missing: Vec<&str> = tracked.keys().map(String::as_str).filter(|n| !c.has(n)).collect();
        let unexpected: Vec<&str> = held.iter().map(|(n, _)| *n).filter(|n| !tracked.contains_key(*n) && *n != LOADER).collect();
        let mut parts = Vec::new();
        if !missing.is_empty() {
            parts.push(format!("it lacks {}", quote(missing)));
        }
        if !unexpected.is_empty() {
            parts.push(format!("it holds {}, which this script does not track", quote(unexpected)));
        }
        if !parts.is_empty() {
            let message = format!("the checkpoint `{}` belongs to another set of objects: {}", c.path().display(), parts.join("; "));
            if !self.0.allowed.force {
                return Err(Error::weights(message).help(format!("{FORCE}; what is missing then keeps its first values")));
            }
            self.warn(&message);
        }
        for (name, object) in tracked.iter().filter(|(n, _)| c.has(n)) {
            self.put_back(c, name, &**object)?;
        }
        self.0.window.borrow_mut().restore(&c.read("_window")?)?;
        if c.has("_before") {
            *self.0.owed.borrow_mut() = Some(c.read("_before")?);
        }
        self.restore_generators(c)?;
        self.0.step.set(c.head().step);
        self.0.base.set(c.head().seconds);
        self.0.back_to.set(c.head().back_to);
        self.0.saved_at.set(Some(c.head().step));
        Ok(())
    }

    /// The random generators: those of all ranks are the same, unless each draws its own.
    pub(super) fn restore_generators(&self, c: &Checkpoint) -> Result<()> {
        let own = dist::at_work().filter(|d| d.options.rng == dist::Rng::Rank && d.world.rank > 0).map(|d| d.world.rank);
        match own {
            Some(rank) if c.has(&format!("_rng.{rank}")) => rng::restore(&c.read(&format!("_rng.{rank}"))?),
            Some(rank) => {
                self.say(&format!("  {}  the checkpoint has no generators of rank {rank}, which begins with new ones", self.name()));
                rng::of_rank(rank, self.0.seed, c.head().step)
            }
            None => rng::restore(&c.read("_rng")?),
        }
    }
}
