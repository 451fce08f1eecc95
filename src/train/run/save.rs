//! Writing a checkpoint.

use super::OpenRun;
use crate::dist;
use crate::dist::Alone;
use crate::error::{Error, Result};
use crate::train::checkpoint::{Head, Part};
use crate::train::metrics::Window;
use crate::train::tracked::Saved;
use crate::train::{checkpoint, keep, rng};
use std::cell::RefCell;
use std::path::PathBuf;

impl OpenRun {
    /// What the loader was before the step whose sample callback an interrupt cut off.
    pub(in crate::train) fn take_owed(&self) -> Option<Saved> {
        self.0.owed.borrow_mut().take()
    }

    /// Writes a checkpoint of the steps done.
    ///
    /// # Errors
    /// `E0601` inside a step, which is not done yet; `E0301` when the system refuses, as with a full disk: older checkpoints stay.
    pub fn save(&self) -> Result<PathBuf> {
        if self.0.in_step.get() {
            return Err(
                Error::run("a checkpoint inside a step would hold half of it").help("use the option `save_every` of `fit`, or save in `on_sample`")
            );
        }
        self.resume()?;
        self.save_owing(None)
    }

    /// The values since the last log line: of several ranks their means, as all of them are put back.
    pub(super) fn window_of_all(&self) -> Result<Window> {
        let own = self.0.window.borrow().clone();
        let Some(d) = dist::at_work() else { return Ok(own) };
        let others = d.gather(&own.to_bytes()?)?.iter().map(|t| Window::from_bytes(t)).collect::<Result<Vec<_>>>()?;
        Ok(own.mean_of(&others))
    }

    pub(in crate::train) fn save_owing(&self, before: Option<Saved>) -> Result<PathBuf> {
        let inner = &*self.0;
        let mut parts = Vec::new();
        for (name, object) in inner.tracked.borrow().iter() {
            let saved = object.shared().map_or_else(|| object.save(), |s| s.whole()).map_err(|e| e.context(format!("saving `{name}`")))?;
            parts.push(Part { name: name.clone(), kind: object.kind().to_owned(), saved });
        }
        let own = |name: &str, saved| Part { name: name.to_owned(), kind: "run".to_owned(), saved };
        parts.push(own("_rng", rng::save()?));
        let others = rng::of_others()?;
        parts.extend(others.into_iter().map(|(rank, saved)| own(&format!("_rng.{rank}"), saved)));
        parts.push(own("_window", self.window_of_all()?.save()?));
        let owed = before.as_ref().map(|_| "sample".to_owned()).into_iter().collect();
        parts.extend(before.map(|saved| own("_before", saved)));
        if let Some(log) = &*inner.metrics.borrow() {
            log.sync()?;
        }
        let made_from = inner.made_from.borrow().clone();
        let head = Head { step: self.step(), seconds: self.seconds(), generation: self.edit(), owed, back_to: inner.back_to.get(), made_from };
        let path = match dist::alone("save", || checkpoint::write(&self.checkpoints(), head, &parts))? {
            Alone::Done(path) => path,
            Alone::Waited => self.checkpoints().join(checkpoint::folder_name(self.step())),
        };
        inner.saved_at.set(Some(self.step()));
        inner.restored.take();
        if self.is_owner() && keep::prune(&self.checkpoints(), inner.keep.get())? > 0 && !inner.is_prune_said.replace(true) {
            self.say(&format!("  {}  keeps {} of its checkpoints from now on; others are removed", self.name(), inner.keep.get()));
        }
        self.update_status(|_| ())?;
        Ok(path)
    }

    /// Whether the newest checkpoint is of this very step.
    pub(in crate::train) fn is_saved(&self) -> bool {
        self.0.saved_at.get() == Some(self.step())
    }

    /// The newest checkpoint.
    pub(in crate::train) fn saved_path(&self) -> Option<PathBuf> {
        self.saved_step().map(|step| self.checkpoints().join(checkpoint::folder_name(step)))
    }

    /// The step of the newest checkpoint.
    pub(in crate::train) fn saved_step(&self) -> Option<u64> {
        self.0.saved_at.get()
    }

    pub(in crate::train) fn window(&self) -> &RefCell<Window> {
        &self.0.window
    }
}
