//! Whether a step that failed had changed what a checkpoint would hold, told cheaply enough to be prepared before every step.

use super::run::OpenRun;
use crate::error::Result;
use crate::torch::Tensor;
use std::collections::HashSet;

/// The tensors of a run as they were before a step.
pub(super) struct Marks {
    /// Those that stay the same from step to step; a rate, for one, is made anew whenever it is asked for.
    kept: Vec<Tensor>,
    versions: Vec<i64>,
    /// How many there were in all.
    count: usize,
}

/// Where its elements lie; 0 for a sparse one, which has no such place.
fn address(t: &Tensor) -> usize {
    if t.is_sparse() { 0 } else { t.as_tch().data_ptr() as usize }
}

impl Marks {
    /// Finds the tensors of a run. What it tracks may get more of them, as an optimizer does in its first step: then this is to be done again.
    ///
    /// # Errors
    /// `E0201` when libtorch refuses.
    pub(super) fn new(run: &OpenRun) -> Result<Self> {
        // Those of the first list are alive while the second is made: what is made anew has another address.
        let (first, second) = (run.tensors()?, run.tensors()?);
        let stays: HashSet<usize> = second.iter().map(address).collect();
        let count = first.len();
        let kept = first.into_iter().filter(|t| stays.contains(&address(t))).collect();
        Ok(Marks { kept, versions: Vec::new(), count })
    }

    /// Takes note of how often each was changed until now.
    ///
    /// # Errors
    /// `E0201` for a tensor that does not count.
    pub(super) fn take(&mut self) -> Result<()> {
        self.versions.clear();
        for t in &self.kept {
            self.versions.push(t.version()?);
        }
        Ok(())
    }

    /// Whether nothing has changed since then: no tensor in its place, and none in the place of another.
    ///
    /// # Errors
    /// `E0201` when libtorch refuses.
    pub(super) fn hold(&self, run: &OpenRun) -> Result<bool> {
        let now = run.tensors()?;
        let there: HashSet<usize> = now.iter().map(address).collect();
        if now.len() != self.count || self.versions.len() != self.kept.len() {
            return Ok(false);
        }
        for (t, before) in self.kept.iter().zip(&self.versions) {
            if !there.contains(&address(t)) || t.version()? != *before {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
