//! Averaging gradients over all ranks while the backward pass computes the rest, by c10d's Reducer.

use crate::dist;
use crate::error::Result;
use crate::torch::bridge::dist::{Reducer, reaches};
use crate::torch::{DType, Device, Tensor, default_device};
use std::cell::{Cell, RefCell};

/// The first bucket is small, so that something is on its way soon: as in PyTorch.
const FIRST: i64 = 1 << 20;

/// What a parameter is to the Reducer: it must be made anew where one differs.
type Key = (usize, DType, Device);

/// A Reducer, and what it was made for.
type Made = ((u64, Vec<Key>), Reducer);

/// The Reducer of an optimizer, made when it is first needed; for which groups of ranks and parameters.
#[derive(Default)]
pub(super) struct Overlap {
    made: RefCell<Option<Made>>,
    is_off: Cell<bool>,
}

/// Turns averaging on again, whatever happens.
struct On<'a>(&'a Cell<bool>, bool);

impl Drop for On<'_> {
    fn drop(&mut self) {
        self.0.set(self.1);
    }
}

impl Overlap {
    pub fn off<T>(&self, f: impl FnOnce() -> Result<T>) -> Result<T> {
        let _on = On(&self.is_off, self.is_off.replace(true));
        f()
    }

    pub fn backward(&self, loss: &Tensor, params: impl FnOnce() -> Vec<Tensor>) -> Result<()> {
        let Some(d) = dist::together("backward")? else { return loss.backward() };
        let params: Vec<Tensor> = params().into_iter().filter(|p| p.requires_grad() && p.numel() > 0).collect();
        let (number, group) = d.data(params.first().map_or_else(default_device, Tensor::device));
        let keys: Vec<Key> = params.iter().map(|p| (p.as_tch().data_ptr() as usize, p.dtype(), p.device())).collect();
        let key = (number, keys);
        let mut made = self.made.borrow_mut();
        if made.as_ref().is_none_or(|(of, _)| *of != key) {
            *made = None;
            *made = Some((key, Reducer::new(group, &params, FIRST, d.options.bucket_bytes(), d.options.wire)?));
        }
        let Some((_, reducer)) = &*made else { return loss.backward() };
        // It sees what a pass comes to, also of one whose gradients stay here for now.
        if self.is_off.get() {
            return loss.backward();
        }
        // A reducer that no gradient wakes sends nothing, and the others would wait for it: then all average before they use them.
        if !d.all(reaches(loss, &params)?)? {
            return loss.backward();
        }
        reducer.prepare(loss)?;
        loss.backward()?;
        dist::marked(&params)
    }
}
