//! An average that ranks share out: each keeps the averages of its own parameters, and has the others only while somebody wants to use them.

use super::shards::Shards;
use crate::dist;
use crate::error::{Error, Result};
use crate::nn::Entry;
use crate::torch::{Tensor, no_grad};
use std::cell::Cell;

/// What this rank has of the entries of an averaged module. Buffers all ranks have.
pub(super) struct Parts {
    shards: Shards,
    shapes: Vec<Vec<i64>>,
    /// Whether the others are here too.
    is_whole: Cell<bool>,
}

impl Parts {
    /// Of a module with all its tensors, where several ranks are to share it out.
    pub fn of(entries: &[Entry]) -> Option<Parts> {
        let first: Vec<usize> = entries
            .iter()
            .enumerate()
            .map(|(i, e)| entries[..i].iter().position(|o| e.tensor.numel() > 0 && o.tensor.id() == e.tensor.id()).unwrap_or(i))
            .collect();
        let size = |(i, e): (usize, &Entry)| if e.buffer || first[i] != i { 0 } else { e.tensor.numel() * e.tensor.dtype().elt_size_in_bytes() };
        let mut shards = Shards::of(|| entries.iter().enumerate().map(size).collect())?;
        first.iter().enumerate().for_each(|(i, other)| shards.tie(i, *other));
        Some(Parts { shards, shapes: entries.iter().map(|e| e.tensor.shape()).collect(), is_whole: Cell::new(true) })
    }

    /// How many entries the module had.
    pub fn len(&self) -> usize {
        self.shards.len()
    }

    /// Whether this rank keeps the entry `i`.
    pub fn keeps(&self, i: usize, entry: &Entry) -> bool {
        entry.buffer || self.shards.has(i)
    }

    /// The shape of the entry `i` when it is here.
    pub fn shape(&self, i: usize) -> Vec<i64> {
        self.shapes.get(i).cloned().unwrap_or_default()
    }

    /// Whether everything is here.
    pub fn is_whole(&self) -> bool {
        self.is_whole.get()
    }

    fn of_others<'a>(&'a self, entries: &'a [Entry]) -> impl Iterator<Item = (usize, &'a Entry)> {
        entries.iter().enumerate().filter(|(i, e)| !self.keeps(*i, e))
    }

    /// Drops what belongs to others. A use of it is then an error of shapes.
    pub fn disperse(&self, entries: &[Entry]) -> Result<()> {
        self.is_whole.set(false);
        let empty = |t: &Tensor| t.set_data(&Tensor::empty(&[0], t.dtype(), t.device())?);
        no_grad(|| self.of_others(entries).try_for_each(|(_, e)| empty(&e.tensor)))
    }

    /// Makes room for what belongs to others.
    pub fn make_room(&self, entries: &[Entry]) -> Result<()> {
        let room = |(i, e): (usize, &Entry)| e.tensor.set_data(&Tensor::empty(&self.shape(i), e.tensor.dtype(), e.tensor.device())?);
        no_grad(|| self.of_others(entries).try_for_each(room))
    }

    /// Gets what belongs to others. Called by all.
    ///
    /// # Errors
    /// `E0802` when another rank is gone, `E0803` when one does not call it, `E0202` where this one works alone.
    pub fn assemble(&self, entries: &[Entry]) -> Result<()> {
        if self.is_whole() {
            return Ok(());
        }
        let Some(d) = dist::at_work() else {
            let message = "the weights of the average are with other ranks, which share it out (--shard-optimizer) and wait for this one";
            let help = "an average that is tracked is whole in `on_sample`; elsewhere all ranks must ask for `ema.module`";
            return Err(Error::value("ema.module", message).help(help));
        };
        d.called_by_all("ema.module")?;
        self.make_room(entries)?;
        let shared = entries.iter().enumerate().filter(|(_, e)| !e.buffer).map(|(i, e)| (i, e.tensor.clone()));
        no_grad(|| self.shards.share("ema.module", shared))?;
        self.is_whole.set(true);
        Ok(())
    }
}
