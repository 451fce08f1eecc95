//! Averaging gradients over all ranks while the backward pass computes the rest, by c10d's Reducer.

use crate::dist::{self, Dist};
use crate::error::{Error, Result};
use crate::torch::bridge::dist::{Order, Reducer, reaches};
use crate::torch::{DType, Device, Tensor, default_device};
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};

/// A parameter that is trained, and its number in the optimizer.
type Trained = (usize, Tensor);

/// The bucket that is sent first is small, so that something is on its way soon: as in PyTorch, once it has rebuilt its buckets.
const FIRST: i64 = 1 << 20;

/// What a parameter is to the Reducer: it must be made anew where one differs.
type Key = (usize, DType, Device);

/// A Reducer, and what it was made for: the groups of ranks, the parameters, and the order of their gradients.
type Made = ((u64, Vec<Key>, Vec<usize>), Reducer);

/// The Reducer of an optimizer, made when it is first needed.
#[derive(Default)]
pub(super) struct Overlap {
    made: RefCell<Option<Made>>,
    /// When the gradient of each parameter came in the first backward pass of rank 0, by its number in the optimizer. A parameter may be registered anywhere: a Reducer that went by
    /// that would keep all buckets back for one whose gradient comes late.
    order: RefCell<Option<HashMap<usize, usize>>>,
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
        let trained: Vec<Trained> = params().into_iter().enumerate().filter(|(_, p)| p.requires_grad() && p.numel() > 0).collect();
        let params: Vec<Tensor> = trained.iter().map(|(_, p)| p.clone()).collect();
        if self.is_off.get() {
            // It sees what a pass comes to, also of one whose gradients stay here for now.
            self.made_for(d, &trained)?;
            return loss.backward();
        }
        // A reducer that no gradient wakes sends nothing, and the others would wait for it: then all average before they use them.
        let [reached, ordered] = d.all_of([reaches(loss, &params)?, self.order.borrow().is_some()])?;
        if !reached {
            return loss.backward();
        }
        if !ordered {
            return self.first(d, loss, &trained);
        }
        self.made_for(d, &trained)?;
        let made = self.made.borrow();
        let Some((_, reducer)) = &*made else { return loss.backward() };
        reducer.prepare(loss)?;
        loss.backward()?;
        dist::marked(&params)
    }

    /// The first pass tells in which order gradients come; they are averaged before they are used.
    fn first(&self, d: &Dist, loss: &Tensor, trained: &[Trained]) -> Result<()> {
        *self.made.borrow_mut() = None;
        let coming = Order::of(trained.iter().map(|(_, p)| p))?;
        loss.backward()?;
        let order: Vec<usize> = coming.end()?.into_iter().map(|i| trained[i].0).collect();
        // Ranks may branch differently, and must send the same buckets.
        let bytes: Vec<u8> = order.iter().flat_map(|i| (*i as u64).to_le_bytes()).collect();
        let bytes = d.said_by(0, &bytes)?;
        let order: Vec<usize> = bytes.as_chunks::<8>().0.iter().filter_map(|b| usize::try_from(u64::from_le_bytes(*b)).ok()).collect();
        let (theirs, own): (HashSet<&usize>, HashSet<&usize>) = (order.iter().collect(), trained.iter().map(|(i, _)| i).collect());
        if theirs != own {
            let message = format!("ranks train different parameters: `backward` has {} here, and {} on rank 0", own.len(), theirs.len());
            return Err(Error::disagree(message).help("every rank must freeze and train the same parameters"));
        }
        *self.order.borrow_mut() = Some(order.into_iter().enumerate().map(|(turn, i)| (i, turn)).collect());
        Ok(())
    }

    /// Makes the Reducer of these parameters, where the order of their gradients is known and it is not there yet. One that is trained since comes last.
    fn made_for(&self, d: &Dist, trained: &[Trained]) -> Result<()> {
        let known = self.order.borrow();
        let Some(known) = &*known else { return Ok(()) };
        let mut order: Vec<usize> = (0..trained.len()).collect();
        order.sort_by_key(|i| known.get(&trained[*i].0).copied().unwrap_or(usize::MAX));
        let params: Vec<Tensor> = trained.iter().map(|(_, p)| p.clone()).collect();
        let (number, group) = d.data(params.first().map_or_else(default_device, Tensor::device));
        let keys: Vec<Key> = params.iter().map(|p| (p.as_tch().data_ptr() as usize, p.dtype(), p.device())).collect();
        let mut made = self.made.borrow_mut();
        let key = (number, keys, order);
        if made.as_ref().is_none_or(|(of, _)| *of != key) {
            *made = None;
            let reducer = Reducer::new(group, &params, &key.2, FIRST, d.options.bucket_bytes(), d.options.wire)?;
            *made = Some((key, reducer));
        }
        Ok(())
    }
}
