//! The handle of every optimizer: parameters in groups, their gradients, the state by name.

mod saved;

use super::algorithm::{Algorithm, OnePass, Ready, Step};
use super::overlap::Overlap;
use super::param_group::{Group, ParamGroups, Rates};
use super::shards::Shards;
use super::state::{self, Slot};
use super::{groups, merged};
use crate::dist;
use crate::error::{Error, Result};
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
    /// The first one names the optimizer.
    algorithms: Vec<Box<dyn Algorithm>>,
    lr: Cell<f64>,
    groups: Vec<Group>,
    slots: RefCell<Vec<Slot>>,
    overlap: Overlap,
    /// Where ranks share the parameters out: each keeps the state of some, steps those, and gives them to the others.
    shards: Option<Shards>,
}

impl Optimizer {
    /// An optimizer of named parameters; a tensor that comes twice in a group is taken once, under its first name.
    ///
    /// # Errors
    /// `E0202` when there is nothing to train, a name comes twice, a tensor is in two groups or no float leaf without gaps in memory, or a
    /// rate is out of range.
    pub fn new(params: impl Into<ParamGroups>, made: Rates, algorithm: impl Algorithm + 'static) -> Result<Optimizer> {
        Optimizer::of_several(params, made, vec![Box::new(algorithm)])
    }

    /// One of several algorithms, each of which trains the groups that name it; the first names the optimizer.
    ///
    /// # Errors
    /// As [`Optimizer::new`], and when a group names an algorithm that there is not.
    pub fn of_several(params: impl Into<ParamGroups>, made: Rates, algorithms: Vec<Box<dyn Algorithm>>) -> Result<Optimizer> {
        let op = algorithms.first().map_or("optimizer", |a| a.kind());
        let given = params.into().0;
        // The rate of an only group is the optimizer's.
        let lr = if let [only] = &given[..] { only.lr.unwrap_or(made.lr) } else { made.lr };
        let made = Rates { lr, ..made }.check(op)?;
        let (mut tensors, mut names) = (HashMap::new(), std::collections::HashSet::new());
        let (mut slots, mut all) = (Vec::new(), Vec::new());
        for (i, g) in given.into_iter().enumerate() {
            let Some(algorithm) = algorithms.get(g.algorithm) else {
                let message = format!("group {i} is to be trained by another algorithm, and {op} has none");
                return Err(Error::value(op, message).help("`optim::muon` trains the rest by AdamW"));
            };
            if g.algorithm == 0 && g.betas.is_some() && made.betas.is_none() {
                return Err(Error::value(op, format!("group {i} has `betas`, and {op} has none")));
            }
            let betas = g.betas.or(made.betas);
            let rates = Rates { lr: g.lr.unwrap_or(made.lr), weight_decay: g.weight_decay.unwrap_or(made.weight_decay), betas }.check(op)?;
            let group = Group {
                lr: Cell::new((made.lr, made.lr)),
                weight_decay: Cell::new(rates.weight_decay),
                betas: Cell::new(betas),
                // What an only group was made with is the optimizer's, and its state need not say it.
                made: Rates { weight_decay: made.weight_decay, betas: made.betas.or(betas), ..rates },
                algorithm: g.algorithm,
                numbers: RefCell::new(algorithm.numbers().iter().map(|(_, x)| *x).collect()),
            };
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
        let kept = |s: &Slot| all.get(s.group).and_then(|g: &Group| algorithms.get(g.algorithm)).map(|a| a.state(&s.param)).unwrap_or_default();
        let size = |s: &Slot| if s.param.requires_grad() { state::bytes(&kept(s), &s.param) } else { 0 };
        let shards = Shards::of(|| slots.iter().map(size).collect());
        let inner = Inner { algorithms, lr: Cell::new(made.lr), groups: all, slots: RefCell::new(slots), overlap: Overlap::default(), shards };
        Ok(Optimizer(Rc::new(inner)))
    }

    /// Whether both handles are the same optimizer.
    pub fn is_same(&self, other: &Optimizer) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }

    /// Whether ranks share its parameters out: [`Optimizer::state`] is then this rank's part.
    pub fn is_shared(&self) -> bool {
        self.0.shards.is_some()
    }

    /// Whether this rank steps the parameter `i`.
    fn is_own(&self, i: usize) -> bool {
        self.0.shards.as_ref().is_none_or(|s| s.has(i))
    }

    /// Gives all ranks the parameters that their owners have changed.
    fn share(&self, op: &str, is_changed: impl Fn(&Slot) -> Result<bool>) -> Result<()> {
        let Some(shards) = &self.0.shards else { return Ok(()) };
        let mut changed = Vec::new();
        for (i, slot) in self.0.slots.borrow().iter().enumerate() {
            if is_changed(slot)? {
                changed.push((i, slot.param.clone()));
            }
        }
        shards.share(op, changed.into_iter())
    }

    /// The name of its algorithm: `adamw`.
    pub fn kind(&self) -> &'static str {
        self.0.algorithms.first().map_or("optimizer", |a| a.kind())
    }

    fn algorithm(&self, group: &Group) -> Result<&dyn Algorithm> {
        let missing = || Error::value(self.kind(), "a group has no algorithm");
        self.0.algorithms.get(group.algorithm).map(|a| &**a).ok_or_else(missing)
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
        Rates { lr, ..Rates::default() }.check(self.kind())?;
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
        Ok(self.rates_of(group))
    }

    fn rates_of(&self, group: &Group) -> Rates {
        Rates { lr: group.lr_at(self.lr()), weight_decay: group.weight_decay.get(), betas: group.betas.get() }
    }

    /// Sets what the next steps of the group `i` go by; without betas those stay. The learning rate of an only group is the optimizer's.
    ///
    /// # Errors
    /// `E0202` when there is no such group, a rate is out of range, the group gets a learning rate while the optimizer's is 0, or betas that its
    /// algorithm has not.
    pub fn set_rates(&self, i: usize, rates: Rates) -> Result<()> {
        let group = self.group(i)?;
        rates.check(self.kind())?;
        if rates.betas.is_some() && group.betas.get().is_none() {
            return Err(Error::value(self.kind(), format!("group {i} is trained by {}, which has no `betas`", self.algorithm(group)?.kind())));
        }
        if self.group_count() == 1 {
            self.set_lr(rates.lr)?;
        } else if rates.lr != group.lr_at(self.lr()) {
            group.set_lr(self.kind(), rates.lr, self.lr())?;
        }
        group.weight_decay.set(rates.weight_decay);
        group.betas.set(rates.betas.or(group.betas.get()));
        Ok(())
    }

    /// The name of the algorithm that trains the group `i`.
    ///
    /// # Errors
    /// `E0202` when there is no such group.
    pub fn algorithm_of(&self, i: usize) -> Result<&'static str> {
        Ok(self.algorithm(self.group(i)?)?.kind())
    }

    /// Whether the parameters hold the weights of training: always, but for an algorithm that is judged by others.
    ///
    /// # Errors
    /// `E0202` when a group has no algorithm.
    pub fn is_training(&self) -> Result<bool> {
        let mut groups = self.0.groups.iter();
        groups.try_fold(true, |all, g| Ok(all && self.algorithm(g)?.is_training(&g.numbers.borrow())))
    }

    /// Puts the weights of training into the parameters, or those of evaluation. Of an algorithm that has one kind only nothing changes, and where
    /// they hold them already.
    ///
    /// # Errors
    /// `E0201` when libtorch refuses; where ranks share the parameters out `E0202` while one works alone, as all must call it.
    pub fn set_training(&self, training: bool) -> Result<()> {
        no_grad(|| {
            for (i, group) in self.0.groups.iter().enumerate() {
                let algorithm = self.algorithm(group)?;
                if algorithm.is_training(&group.numbers.borrow()) == training {
                    continue;
                }
                if self.is_shared() {
                    dist::together(self.kind())?;
                }
                let mut held = Vec::new();
                for slot in self.0.slots.borrow_mut().iter_mut().filter(|s| s.group == i && s.state.is_some()) {
                    let kept = algorithm.state(&slot.param);
                    state::check(self.kind(), &kept, slot)?;
                    let (state, param) = (state::present(&kept, slot)?, slot.param.clone());
                    held.push(Ready { grad: param.clone(), param, state, is_first: false });
                }
                let mut numbers = group.numbers.borrow_mut();
                for part in merged(groups(held.iter().map(|r| &r.param))) {
                    let part: Vec<&Ready> = part.iter().map(|&i| &held[i]).collect();
                    algorithm.switch(training, &part, self.rates_of(group), &mut numbers)?;
                }
                // Which of them have a state their owners know alone.
                self.share(self.kind(), |slot| Ok(slot.group == i))?;
            }
            Ok(())
        })
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
        let takes_found_inf = self.0.algorithms.iter().all(|a| a.takes_found_inf());
        if !takes_found_inf
            && let Some(found) = found_inf
            && found.item()? != 0.0
        {
            return Ok(());
        }
        let found_inf = found_inf.filter(|_| takes_found_inf);
        no_grad(|| {
            for group in &self.0.groups {
                self.algorithm(group)?.begin(self.rates_of(group), &mut group.numbers.borrow_mut())?;
            }
            for (group, (rates, ready)) in self.0.groups.iter().zip(self.begin_step()?) {
                let algorithm = self.algorithm(group)?;
                for part in groups(ready.iter().map(|r| &r.param)) {
                    let part: Vec<&Ready> = part.iter().map(|&i| &ready[i]).collect();
                    let found_inf = found_inf.map(|t| t.to_device(part[0].param.device())).transpose()?;
                    algorithm.update(&part, &Step { rates, numbers: &group.numbers.borrow(), found_inf: found_inf.as_ref() })?;
                    if let Some(found_inf) = found_inf {
                        // A step that was not taken does not count.
                        let counters = counters(algorithm, part.iter().copied());
                        let corrections = Value::List(counters.iter().map(|_| (&found_inf).into()).collect());
                        if !counters.is_empty() {
                            call("_foreach_sub_.List", &[Value::List(counters.into_iter().map(Into::into).collect()), corrections], &[])?;
                        }
                    }
                }
            }
            self.share("step", |slot| Ok(slot.param.grad()?.is_some()))
        })
    }

    /// The parameters that have a gradient and that this rank steps, with their state, whose counters are those of the step that begins; by group.
    pub(super) fn begin_step(&self) -> Result<Vec<(Rates, Vec<Ready>)>> {
        let op = self.kind();
        let mut out: Vec<(Rates, Vec<Ready>)> = self.0.groups.iter().map(|g| (self.rates_of(g), Vec::new())).collect();
        for (i, slot) in self.0.slots.borrow_mut().iter_mut().enumerate() {
            let Some(grad) = slot.param.grad()?.filter(|_| self.is_own(i)) else { continue };
            let kept = self.algorithm(self.group(slot.group)?)?.state(&slot.param);
            state::check(op, &kept, slot)?;
            let grad = fitting(op, &slot.name, &slot.param, &grad)?;
            let is_first = slot.state.is_none();
            let state = state::present(&kept, slot)?;
            out[slot.group].1.push(Ready { param: slot.param.clone(), grad, state, is_first });
        }
        let mut all = Vec::new();
        for (group, (_, ready)) in self.0.groups.iter().zip(&out) {
            all.extend(counters(self.algorithm(group)?, ready));
        }
        for group in groups(all.iter().copied()) {
            let counters = Value::List(group.iter().map(|&i| all[i].into()).collect());
            call("_foreach_add_.Scalar", &[counters, 1i64.into()], &[])?;
        }
        Ok(out)
    }

    /// See [`Algorithm::one_pass`].
    pub(super) fn one_pass(&self) -> Option<&dyn OnePass> {
        match &self.0.algorithms[..] {
            [only] => only.one_pass(),
            _ => None,
        }
    }
}

/// The counters among what is kept for parameters.
fn counters<'a>(algorithm: &dyn Algorithm, ready: impl IntoIterator<Item = &'a Ready>) -> Vec<&'a Tensor> {
    let of = |r: &'a Ready| {
        let kept = algorithm.state(&r.param);
        r.state.iter().zip(kept).filter(|(_, k)| k.is_count()).map(|(t, _)| t).collect::<Vec<_>>()
    };
    ready.into_iter().flat_map(of).collect()
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
