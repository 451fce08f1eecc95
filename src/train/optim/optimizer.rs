//! The handle of every optimizer: parameters in groups, their gradients, the state by name.

use super::algorithm::{Algorithm, Kept, OnePass, Ready};
use super::overlap::Overlap;
use super::param_group::{Group, ParamGroups, Rates};
use super::{groups, state};
use crate::dist;
use crate::error::{Error, Result};
use crate::nn::State;
use crate::torch::bridge::{Value, call};
use crate::torch::{Tensor, no_grad};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

/// An optimizer, whatever its arithmetic: see [`Algorithm`]. A cheap handle: clones are the same optimizer.
///
/// Its state is plain tensors, made for a parameter at its first gradient. A parameter without a gradient is skipped, as in PyTorch.
#[derive(Clone)]
pub struct Optimizer(Rc<Inner>);

struct Inner {
    algorithm: Box<dyn Algorithm>,
    /// As it was made.
    made: Rates,
    lr: Cell<f64>,
    groups: Vec<Group>,
    slots: RefCell<Vec<Slot>>,
    overlap: Overlap,
}

pub(super) struct Slot {
    pub name: String,
    pub param: Tensor,
    pub group: usize,
    /// What the algorithm keeps, once there was a gradient.
    pub state: Option<Vec<Tensor>>,
}

impl Optimizer {
    /// An optimizer of named parameters; a tensor that comes twice in a group is taken once, under its first name.
    ///
    /// # Errors
    /// `E0202` when there is nothing to train, a name comes twice, a tensor is in two groups or no float leaf without gaps in memory, or a
    /// rate is out of range.
    pub fn new(params: impl Into<ParamGroups>, made: Rates, algorithm: impl Algorithm + 'static) -> Result<Optimizer> {
        let op = algorithm.kind();
        let given = params.into().0;
        // The rate of an only group is the optimizer's.
        let lr = if let [only] = &given[..] { only.lr.unwrap_or(made.lr) } else { made.lr };
        let made = Rates { lr, ..made }.check(op)?;
        let (mut tensors, mut names) = (HashMap::new(), std::collections::HashSet::new());
        let (mut slots, mut all) = (Vec::new(), Vec::new());
        for (i, g) in given.into_iter().enumerate() {
            let rates = Rates { lr: g.lr.unwrap_or(made.lr), weight_decay: g.weight_decay.unwrap_or(made.weight_decay) }.check(op)?;
            let group = Group { lr: Cell::new((made.lr, made.lr)), weight_decay: Cell::new(rates.weight_decay) };
            group.set_lr(op, rates.lr, made.lr)?;
            all.push(group);
            for (name, param) in g.params {
                if !(param.is_float() && param.is_leaf() && !param.is_sparse() && param.is_dense()) {
                    let message = format!("`{name}` cannot be trained: {}", param.describe());
                    return Err(Error::value(op, message).help("parameters are float tensors that nothing was computed from and that have no gaps"));
                }
                if param.numel() > 0
                    && let Some(other) = tensors.insert(param.id(), i)
                {
                    if other == i {
                        continue;
                    }
                    return Err(Error::value(op, format!("`{name}` is in group {other} and in group {i}")).help("a parameter belongs to one group"));
                }
                if !names.insert(name.clone()) {
                    return Err(Error::value(op, format!("two parameters are called `{name}`")).help("give modules that are trained together names"));
                }
                slots.push(Slot { name, param, group: i, state: None });
            }
        }
        if !slots.iter().any(|s| s.param.requires_grad()) {
            let message = if slots.is_empty() { "there are no parameters" } else { "every parameter is frozen" };
            return Err(Error::value(op, message).help("pass `module.parameters()` or a module that is not frozen"));
        }
        let inner = Inner {
            algorithm: Box::new(algorithm),
            made,
            lr: Cell::new(made.lr),
            groups: all,
            slots: RefCell::new(slots),
            overlap: Overlap::default(),
        };
        Ok(Optimizer(Rc::new(inner)))
    }

    /// Whether both handles are the same optimizer.
    pub fn is_same(&self, other: &Optimizer) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }

    /// The name of its algorithm: `adamw`.
    pub fn kind(&self) -> &'static str {
        self.0.algorithm.kind()
    }

    /// The learning rate.
    pub fn lr(&self) -> f64 {
        self.0.lr.get()
    }

    /// Sets the learning rate of the steps that follow. A group with a rate of its own keeps its proportion to it, as under a scheduler of
    /// PyTorch.
    ///
    /// # Errors
    /// `E0202` when it is negative or not finite.
    pub fn set_lr(&self, lr: f64) -> Result<()> {
        Rates { lr, weight_decay: 0.0 }.check(self.kind())?;
        self.0.lr.set(lr);
        Ok(())
    }

    /// How many groups there are.
    pub fn group_count(&self) -> usize {
        self.0.groups.len()
    }

    /// What the next step of the group `i` goes by.
    ///
    /// # Errors
    /// `E0202` when there is no such group.
    pub fn rates(&self, i: usize) -> Result<Rates> {
        let group = self.group(i)?;
        Ok(Rates { lr: group.lr_at(self.lr()), weight_decay: group.weight_decay.get() })
    }

    /// Sets what the next steps of the group `i` go by. The learning rate of an only group is the optimizer's.
    ///
    /// # Errors
    /// `E0202` when there is no such group, a rate is out of range, or the group gets a learning rate while the optimizer's is 0.
    pub fn set_rates(&self, i: usize, rates: Rates) -> Result<()> {
        let group = self.group(i)?;
        rates.check(self.kind())?;
        if self.group_count() == 1 {
            self.set_lr(rates.lr)?;
        } else if rates.lr != group.lr_at(self.lr()) {
            group.set_lr(self.kind(), rates.lr, self.lr())?;
        }
        group.weight_decay.set(rates.weight_decay);
        Ok(())
    }

    fn group(&self, i: usize) -> Result<&Group> {
        let missing = || Error::value(self.kind(), format!("there is no group {i}, it has {}", self.group_count()));
        self.0.groups.get(i).ok_or_else(missing)
    }

    /// The parameters with their names.
    pub fn params(&self) -> Vec<(String, Tensor)> {
        self.0.slots.borrow().iter().map(|s| (s.name.clone(), s.param.clone())).collect()
    }

    /// The parameters.
    pub fn tensors(&self) -> Vec<Tensor> {
        self.0.slots.borrow().iter().map(|s| s.param.clone()).collect()
    }

    /// The names of the parameters of the group `i`.
    pub fn names(&self, i: usize) -> Vec<String> {
        self.0.slots.borrow().iter().filter(|s| s.group == i).map(|s| s.name.clone()).collect()
    }

    /// Drops all gradients, so that parameters which the next loss does not reach are skipped.
    ///
    /// # Errors
    /// `E0201` when libtorch refuses.
    pub fn zero_grad(&self) -> Result<()> {
        self.0.slots.borrow().iter().try_for_each(|s| s.param.clear_grad())
    }

    /// The backward pass of `loss`. In a job of several ranks the gradients of this optimizer's parameters are averaged while it runs, and not only
    /// before the step; every rank must call it, whatever its loss reaches.
    ///
    /// # Errors
    /// As `loss.backward()`; `E0802` when another rank is gone.
    pub fn backward(&self, loss: &Tensor) -> Result<()> {
        self.0.overlap.backward(loss, || self.tensors())
    }

    /// Runs `f`, in which [`Optimizer::backward`] averages nothing: for all but the last part of an accumulated batch.
    ///
    /// # Errors
    /// What `f` returns.
    pub fn no_sync<T>(&self, f: impl FnOnce() -> Result<T>) -> Result<T> {
        self.0.overlap.off(f)
    }

    /// One step along the gradients.
    ///
    /// # Errors
    /// `E0201` when libtorch refuses, `E0202` when a gradient does not fit its parameter.
    pub fn step(&self) -> Result<()> {
        self.step_unless(None)
    }

    /// One step, which changes nothing when the f32 scalar `found_inf` is 1. Nothing is read from the device, unless the algorithm cannot do
    /// without.
    ///
    /// # Errors
    /// As [`Optimizer::step`].
    pub fn step_unless(&self, found_inf: Option<&Tensor>) -> Result<()> {
        dist::average("step", || self.tensors())?;
        let algorithm = &self.0.algorithm;
        if !algorithm.takes_found_inf()
            && let Some(found) = found_inf
            && found.item()? != 0.0
        {
            return Ok(());
        }
        no_grad(|| {
            for (rates, ready) in self.begin_step()? {
                for group in groups(ready.iter().map(|r| &r.param)) {
                    let ready: Vec<&Ready> = group.iter().map(|&i| &ready[i]).collect();
                    let found_inf = found_inf.map(|t| t.to_device(ready[0].param.device())).transpose()?;
                    algorithm.update(&ready, rates, found_inf.as_ref())?;
                    if let Some(found_inf) = found_inf {
                        // A step that was not taken does not count.
                        let counters = self.counters(ready.iter().copied());
                        let corrections = Value::List(counters.iter().map(|_| (&found_inf).into()).collect());
                        if !counters.is_empty() {
                            call("_foreach_sub_.List", &[Value::List(counters.into_iter().map(Into::into).collect()), corrections], &[])?;
                        }
                    }
                }
            }
            Ok(())
        })
    }

    /// The parameters that have a gradient, with their state, whose counters are those of the step that begins; by group.
    pub(super) fn begin_step(&self) -> Result<Vec<(Rates, Vec<Ready>)>> {
        let (op, kept) = (self.kind(), self.0.algorithm.state());
        let mut out: Vec<(Rates, Vec<Ready>)> = (0..self.group_count()).map(|i| Ok((self.rates(i)?, Vec::new()))).collect::<Result<_>>()?;
        for slot in self.0.slots.borrow_mut().iter_mut() {
            let Some(grad) = slot.param.grad()? else { continue };
            state::check(op, kept, slot)?;
            let grad = fitting(op, &slot.name, &slot.param, &grad)?;
            let is_first = slot.state.is_none();
            let state = match &slot.state {
                Some(s) if state::is_like(kept, s, &slot.param) => s.clone(),
                // The module was moved or converted since the last step.
                Some(s) => state::copy_like(kept, s, &slot.param)?,
                None => state::make(kept, &slot.param)?,
            };
            slot.state = Some(state.clone());
            out[slot.group].1.push(Ready { param: slot.param.clone(), grad, state, is_first });
        }
        let counters = self.counters(out.iter().flat_map(|(_, ready)| ready));
        for group in groups(counters.iter().copied()) {
            let counters = Value::List(group.iter().map(|&i| counters[i].into()).collect());
            call("_foreach_add_.Scalar", &[counters, 1i64.into()], &[])?;
        }
        Ok(out)
    }

    fn counters<'a>(&self, ready: impl IntoIterator<Item = &'a Ready>) -> Vec<&'a Tensor> {
        let is_count: Vec<bool> = self.0.algorithm.state().iter().map(|k| matches!(k, Kept::Count(_))).collect();
        ready.into_iter().flat_map(|r| r.state.iter().zip(&is_count).filter(|(_, is)| **is).map(|(t, _)| t)).collect()
    }

    /// See [`Algorithm::one_pass`].
    pub(super) fn one_pass(&self) -> Option<&dyn OnePass> {
        self.0.algorithm.one_pass()
    }

    /// The state, sharing memory with the optimizer: `<name>.exp_avg` and the like of every parameter that has had a gradient, and `lr`. Where
    /// there are several groups, or one whose weight decay was set, also `groups.<i>.lr`, `groups.<i>.weight_decay`, and `groups.<i>.base_lr`, the
    /// optimizer's own learning rate to which the group's is in proportion.
    ///
    /// # Errors
    /// `E0201` when libtorch refuses.
    pub fn state(&self) -> Result<State> {
        let mut out = State::new();
        out.insert(state::LR.into(), state::number(self.lr())?);
        if !matches!(&self.0.groups[..], [only] if only.weight_decay.get() == self.0.made.weight_decay) {
            for (i, g) in self.0.groups.iter().enumerate() {
                let (lr, base) = g.lr.get();
                for (part, x) in [(state::LR, lr), ("base_lr", base), ("weight_decay", g.weight_decay.get())] {
                    out.insert(format!("groups.{i}.{part}"), state::number(x)?);
                }
            }
        }
        for s in self.0.slots.borrow().iter() {
            for (kept, t) in self.0.algorithm.state().iter().zip(s.state.iter().flatten()) {
                out.insert(format!("{}.{}", s.name, kept.name()), t.clone());
            }
        }
        Ok(out)
    }

    /// Puts a state back, the learning rates included; the steps that follow are bit for bit those that would have followed then.
    /// Nothing is changed unless everything fits.
    ///
    /// # Errors
    /// `E0401` when it belongs to other parameters or groups.
    pub fn load_state(&self, state: &State) -> Result<()> {
        let mut slots = self.0.slots.borrow_mut();
        let read = state::read(self.kind(), self.0.algorithm.state(), &slots, self.group_count(), state)?;
        if let Some(lr) = read.lr {
            self.set_lr(lr)?;
        }
        for (i, group) in self.0.groups.iter().enumerate() {
            // A state of one group without rates of its own does not speak of them.
            let (lr, base, weight_decay) = read.groups.get(i).copied().unwrap_or((self.lr(), self.lr(), self.0.made.weight_decay));
            group.lr.set((lr, base));
            group.weight_decay.set(weight_decay);
        }
        for (slot, state) in slots.iter_mut().zip(read.slots) {
            slot.state = state;
        }
        Ok(())
    }
}

/// The gradient in the parameter's own layout: kernels walk both by address.
fn fitting(op: &str, name: &str, param: &Tensor, grad: &Tensor) -> Result<Tensor> {
    if grad.is_sparse() {
        return Err(Error::value(op, format!("`{name}` has a sparse gradient")).help("embeddings with `sparse: true` are not supported"));
    }
    if grad.shape() != param.shape() || grad.device() != param.device() {
        return Err(Error::value(op, format!("the gradient of `{name}` is {}, the parameter {}", grad.describe(), param.describe())));
    }
    if grad.dtype() == param.dtype() && grad.strides() == param.strides() {
        return Ok(grad.clone());
    }
    param.detach()?.empty_like()?.copy_(grad)
}
