//! Objects that several ranks share out among them, so that each keeps a part: optimizers and averages under `--shard-optimizer`.

use super::optim::{Ema, Optimizer};
use super::run::OpenRun;
use super::tracked::{Saved, Tracked};
use crate::dist;
use crate::error::Result;
use crate::nn::State;

/// What there is to an object of which [`Tracked::save`] gives this rank's part.
pub trait Shared {
    /// What all ranks have of it.
    ///
    /// # Errors
    /// `E0201` when libtorch refuses.
    fn common(&self) -> Result<Saved>;

    /// Puts that back.
    ///
    /// # Errors
    /// `E0401` when it is of another object.
    fn restore_common(&self, saved: &Saved) -> Result<()>;

    /// All of it, on rank 0; this rank's part on the others. Called by all ranks.
    ///
    /// # Errors
    /// `E0802` when another rank is gone.
    fn whole(&self) -> Result<Saved>;

    /// Has all of it on every rank for a while. Called by all ranks.
    ///
    /// # Errors
    /// `E0802` when another rank is gone.
    fn assemble(&self) -> Result<()> {
        Ok(())
    }

    /// Ends that.
    ///
    /// # Errors
    /// `E0201` when libtorch refuses.
    fn disperse(&self) -> Result<()> {
        Ok(())
    }
}

/// The parts of all ranks as one, on rank 0.
fn collected(what: &str, own: &State) -> Result<State> {
    let Some(d) = dist::together(what)? else { return Ok(State::new()) };
    let own: Vec<_> = own.iter().map(|(name, t)| (name.clone(), t.clone())).collect();
    Ok(d.collect(&own)?.into_iter().collect())
}

impl Shared for Optimizer {
    fn common(&self) -> Result<Saved> {
        self.common_state().map(Saved::tensors)
    }

    fn restore_common(&self, saved: &Saved) -> Result<()> {
        self.load_common(&saved.tensors)
    }

    fn whole(&self) -> Result<Saved> {
        let (mut all, own) = (self.common_state()?, self.slot_state()?);
        let others = collected("save", &own)?;
        all.extend(own);
        all.extend(others);
        Ok(Saved::tensors(all))
    }
}

impl Shared for Ema {
    fn common(&self) -> Result<Saved> {
        let tensors = self.module().entries().into_iter().filter(|e| e.persistent && e.buffer).map(|e| (e.name, e.tensor)).collect();
        Ok(Saved { tensors, ..self.about() })
    }

    fn restore_common(&self, saved: &Saved) -> Result<()> {
        let mut all = self.save()?;
        all.tensors.extend(saved.tensors.clone());
        self.restore(&Saved { tensors: all.tensors, meta: saved.meta.clone() })
    }

    fn whole(&self) -> Result<Saved> {
        let mut own = self.kept();
        let common = self.common()?.tensors;
        let parts: State = own.iter().filter(|(name, _)| !common.contains_key(*name)).map(|(name, t)| (name.clone(), t.clone())).collect();
        let mut others = collected("save", &parts)?;
        // In the order of the module, as one process would write it.
        let names = self.module().state().into_iter().map(|(name, _)| name);
        let tensors = names.filter_map(|name| own.shift_remove(&name).or_else(|| others.shift_remove(&name)).map(|t| (name, t))).collect();
        Ok(Saved { tensors, ..self.about() })
    }

    fn assemble(&self) -> Result<()> {
        self.whole_module().map(drop)
    }

    fn disperse(&self) -> Result<()> {
        Ema::disperse(self)
    }
}

impl OpenRun {
    /// Runs `f` while every rank has all of what is tracked. Called by all.
    ///
    /// # Errors
    /// What `f` returns; `E0802` when another rank is gone.
    pub(super) fn whole<T>(&self, f: impl FnOnce() -> Result<T>) -> Result<T> {
        let objects = self.tracked();
        let shared = || objects.iter().filter_map(|(_, o)| o.shared());
        shared().try_for_each(Shared::assemble)?;
        let result = f();
        shared().try_for_each(Shared::disperse)?;
        result
    }

    /// How often each tensor was changed in place that this rank alone keeps.
    pub(super) fn versions_of_parts(&self) -> Result<Vec<i64>> {
        let mut versions = Vec::new();
        for (_, object) in self.tracked().iter().filter(|(_, o)| o.shared().is_some()) {
            versions.extend(object.versions()?);
        }
        Ok(versions)
    }
}
