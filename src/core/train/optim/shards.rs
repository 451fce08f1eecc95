//! Which rank keeps what of an optimizer or an average: `--shard-optimizer`.

use crate::dist;
use crate::error::Result;
use crate::torch::Tensor;

/// The ranks that numbered things belong to.
pub(super) struct Shards {
    owners: Vec<usize>,
    rank: usize,
}

impl Shards {
    /// Things of these sizes, where several ranks are to share them out.
    pub fn of(sizes: impl FnOnce() -> Vec<usize>) -> Option<Shards> {
        let d = dist::at_work().filter(|d| d.options.shard_optimizer)?;
        Some(Shards { owners: dist::owners(&sizes(), d.world.size), rank: d.world.rank })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.owners.len()
    }

    /// Whether the thing `i` belongs to this rank.
    pub fn has(&self, i: usize) -> bool {
        self.owners.get(i) == Some(&self.rank)
    }

    /// Gives the thing `i` to the owner of `other`.
    pub fn tie(&mut self, i: usize, other: usize) {
        self.owners[i] = self.owners[other];
    }

    /// Gives all ranks the owners' values of these tensors.
    ///
    /// # Errors
    /// `E0802` when another rank is gone, `E0202` where this one works alone.
    pub fn share(&self, op: &str, tensors: impl Iterator<Item = (usize, Tensor)>) -> Result<()> {
        let Some(d) = dist::together(op)? else { return Ok(()) };
        let tensors: Vec<(usize, Tensor)> = tensors.filter_map(|(i, t)| Some((*self.owners.get(i)?, t))).collect();
        d.share(&tensors)
    }
}
