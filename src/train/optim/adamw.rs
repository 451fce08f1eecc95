//! AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101) on libtorch's fused kernel, as `torch.optim.AdamW(fused=True)`.

use super::groups;
use crate::error::{Error, Result, did_you_mean};
use crate::nn::State;
use crate::torch::bridge::{Value, call};
use crate::torch::{DType, Device, Tensor, no_grad};
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::rc::Rc;

/// The settings of [`AdamW`], with PyTorch's names and defaults.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamWOptions {
    /// Learning rate.
    pub lr: f64,
    /// Decay of the averages of the gradient and of its square.
    pub betas: (f64, f64),
    /// Added to the denominator.
    pub eps: f64,
    /// Decoupled weight decay: each step first multiplies the weights by `1 - lr * weight_decay`.
    pub weight_decay: f64,
}

impl Default for AdamWOptions {
    fn default() -> Self {
        AdamWOptions { lr: 1e-3, betas: (0.9, 0.999), eps: 1e-8, weight_decay: 0.01 }
    }
}

impl AdamWOptions {
    fn check(&self) -> Result<()> {
        let refuse = |what: &str| Err(Error::value("adamw", what.to_owned()));
        if !(self.lr >= 0.0 && self.lr.is_finite()) {
            return refuse(&format!("`lr` must be a number that is not negative, got {}", self.lr));
        }
        if ![self.betas.0, self.betas.1].iter().all(|b| (0.0..1.0).contains(b)) {
            return refuse(&format!("`betas` must be from 0 to below 1, got {:?}", self.betas));
        }
        if !(self.eps >= 0.0 && self.weight_decay >= 0.0) {
            return refuse(&format!("`eps` and `weight_decay` must not be negative, got {} and {}", self.eps, self.weight_decay));
        }
        Ok(())
    }
}

/// The optimizer. A cheap handle: clones are the same optimizer.
///
/// Its state is plain tensors, made for a parameter at its first gradient: `<name>.exp_avg`, `<name>.exp_avg_sq` and `<name>.step`.
/// A parameter without a gradient is skipped, as in PyTorch.
#[derive(Clone)]
pub struct AdamW(Rc<Inner>);

struct Inner {
    options: AdamWOptions,
    lr: Cell<f64>,
    slots: RefCell<Vec<Slot>>,
}

struct Slot {
    name: String,
    param: Tensor,
    moments: Option<Moments>,
}

#[derive(Clone)]
pub(super) struct Moments {
    pub exp_avg: Tensor,
    pub exp_avg_sq: Tensor,
    /// f32 scalar on the parameter's device, as the fused kernel wants it.
    pub step: Tensor,
}

/// What one step needs of a parameter that has a gradient.
pub(super) struct Ready {
    pub param: Tensor,
    pub grad: Tensor,
    pub moments: Moments,
}

impl Moments {
    fn new(param: &Tensor) -> Result<Moments> {
        let zeros = || param.detach()?.zeros_like();
        Ok(Moments { exp_avg: zeros()?, exp_avg_sq: zeros()?, step: Tensor::zeros(&[], DType::Float, param.device())? })
    }
}

/// The name under which a state holds the learning rate. A parameter cannot be called so: names of state have a suffix.
const LR: &str = "lr";

impl AdamW {
    /// An optimizer of named parameters; a tensor that comes twice is taken once, under its first name.
    ///
    /// # Errors
    /// `E0202` when there is nothing to train, a name comes twice, a tensor is no float leaf without gaps in memory, or a setting is out of range.
    pub fn new(params: Vec<(String, Tensor)>, options: AdamWOptions) -> Result<AdamW> {
        options.check()?;
        let (mut tensors, mut names) = (HashSet::new(), HashSet::new());
        let mut slots = Vec::new();
        for (name, param) in params {
            if !(param.is_float() && param.is_leaf() && !param.is_sparse() && param.is_dense()) {
                let message = format!("`{name}` cannot be trained: {}", param.describe());
                return Err(Error::value("adamw", message).help("parameters are float tensors that nothing was computed from and that have no gaps"));
            }
            if param.numel() > 0 && !tensors.insert(param.id()) {
                continue;
            }
            if !names.insert(name.clone()) {
                return Err(Error::value("adamw", format!("two parameters are called `{name}`")).help("give modules that are trained together names"));
            }
            slots.push(Slot { name, param, moments: None });
        }
        if !slots.iter().any(|s| s.param.requires_grad()) {
            let message = if slots.is_empty() { "there are no parameters" } else { "every parameter is frozen" };
            return Err(Error::value("adamw", message).help("pass `module.parameters()` or a module that is not frozen"));
        }
        Ok(AdamW(Rc::new(Inner { options, lr: Cell::new(options.lr), slots: RefCell::new(slots) })))
    }

    /// Whether both handles are the same optimizer.
    pub fn is_same(&self, other: &AdamW) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }

    /// The settings it was made with; the learning rate may have changed since.
    pub fn options(&self) -> AdamWOptions {
        self.0.options
    }

    /// The learning rate.
    pub fn lr(&self) -> f64 {
        self.0.lr.get()
    }

    /// Sets the learning rate of the steps that follow.
    ///
    /// # Errors
    /// `E0202` when it is negative or not finite.
    pub fn set_lr(&self, lr: f64) -> Result<()> {
        AdamWOptions { lr, ..self.0.options }.check()?;
        self.0.lr.set(lr);
        Ok(())
    }

    /// The parameters with their names.
    pub fn params(&self) -> Vec<(String, Tensor)> {
        self.0.slots.borrow().iter().map(|s| (s.name.clone(), s.param.clone())).collect()
    }

    /// Drops all gradients, so that parameters which the next loss does not reach are skipped.
    ///
    /// # Errors
    /// `E0201` when libtorch refuses.
    pub fn zero_grad(&self) -> Result<()> {
        self.0.slots.borrow().iter().try_for_each(|s| s.param.clear_grad())
    }

    /// One step along the gradients.
    ///
    /// # Errors
    /// `E0201` when libtorch refuses, `E0202` when a gradient does not fit its parameter.
    pub fn step(&self) -> Result<()> {
        self.step_unless(None)
    }

    /// One step, which changes nothing when the f32 scalar `found_inf` is 1. Nothing is read from the device.
    ///
    /// # Errors
    /// As [`AdamW::step`].
    pub fn step_unless(&self, found_inf: Option<&Tensor>) -> Result<()> {
        no_grad(|| {
            let ready = self.begin_step()?;
            for group in groups(ready.iter().map(|r| &r.param)) {
                self.fused(&group.iter().map(|&i| &ready[i]).collect::<Vec<_>>(), found_inf)?;
            }
            Ok(())
        })
    }

    /// The parameters that have a gradient, with their state, whose counters are those of the step that begins.
    pub(super) fn begin_step(&self) -> Result<Vec<Ready>> {
        let mut slots = self.0.slots.borrow_mut();
        let mut ready: Vec<Ready> = Vec::new();
        for slot in slots.iter_mut() {
            let Some(grad) = slot.param.grad()? else { continue };
            let grad = fitting(&slot.name, &slot.param, &grad)?;
            let moments = match &slot.moments {
                Some(m) if m.step.device() == slot.param.device() && m.exp_avg.dtype() == slot.param.dtype() => m.clone(),
                // The module was moved or converted since the last step.
                Some(m) => m.like(&slot.param)?,
                None => Moments::new(&slot.param)?,
            };
            slot.moments = Some(moments.clone());
            ready.push(Ready { param: slot.param.clone(), grad, moments });
        }
        for group in groups(ready.iter().map(|r| &r.moments.step)) {
            let steps = Value::List(group.iter().map(|&i| (&ready[i].moments.step).into()).collect());
            call("_foreach_add_.Scalar", &[steps, 1i64.into()], &[])?;
        }
        Ok(ready)
    }

    fn fused(&self, ready: &[&Ready], found_inf: Option<&Tensor>) -> Result<()> {
        let of = |f: fn(&Ready) -> &Tensor| Value::List(ready.iter().map(|r| f(r).into()).collect());
        let o = &self.0.options;
        let steps = of(|r| &r.moments.step);
        let found_inf = found_inf.map(|t| t.to_device(ready[0].param.device())).transpose()?;
        let args =
            [of(|r| &r.param), of(|r| &r.grad), of(|r| &r.moments.exp_avg), of(|r| &r.moments.exp_avg_sq), Value::List(Vec::new()), steps.clone()];
        let kw = [
            ("lr", self.0.lr.get().into()),
            ("beta1", o.betas.0.into()),
            ("beta2", o.betas.1.into()),
            ("weight_decay", o.weight_decay.into()),
            ("eps", o.eps.into()),
            ("amsgrad", false.into()),
            ("maximize", false.into()),
            ("found_inf", found_inf.clone().into()),
        ];
        call("_fused_adamw_", &args, &kw)?;
        if let Some(found_inf) = found_inf {
            // A step that was not taken does not count.
            let corrections = Value::List(ready.iter().map(|_| (&found_inf).into()).collect());
            call("_foreach_sub_.List", &[steps, corrections], &[])?;
        }
        Ok(())
    }

    /// The state, sharing memory with the optimizer: `<name>.exp_avg`, `<name>.exp_avg_sq`, `<name>.step` of every parameter that has
    /// had a gradient, and `lr`.
    ///
    /// # Errors
    /// `E0201` when libtorch refuses.
    pub fn state(&self) -> Result<State> {
        let mut out = State::new();
        out.insert(LR.into(), Tensor::full(&[], self.0.lr.get(), DType::Double, Device::Cpu)?);
        for s in self.0.slots.borrow().iter() {
            let Some(m) = &s.moments else { continue };
            out.insert(format!("{}.exp_avg", s.name), m.exp_avg.clone());
            out.insert(format!("{}.exp_avg_sq", s.name), m.exp_avg_sq.clone());
            out.insert(format!("{}.step", s.name), m.step.clone());
        }
        Ok(out)
    }

    /// Puts a state back, the learning rate included; the steps that follow are bit for bit those that would have followed then.
    /// Nothing is changed unless everything fits.
    ///
    /// # Errors
    /// `E0401` when it belongs to other parameters.
    pub fn load_state(&self, state: &State) -> Result<()> {
        let mut slots = self.0.slots.borrow_mut();
        let mut new = Vec::new();
        let mut used = 0;
        for s in slots.iter() {
            let get = |part: &str| state.get(&format!("{}.{part}", s.name));
            let (Some(exp_avg), Some(exp_avg_sq), Some(step)) = (get("exp_avg"), get("exp_avg_sq"), get("step")) else {
                if ["exp_avg", "exp_avg_sq", "step"].iter().any(|p| get(p).is_some()) {
                    return Err(Error::weights(format!("the optimizer's state of `{}` is incomplete", s.name)));
                }
                new.push(None);
                continue;
            };
            for t in [exp_avg, exp_avg_sq] {
                if t.shape() != s.param.shape() {
                    return Err(Error::weights(format!(
                        "the optimizer's state of `{}` has shape {:?}, not {:?}",
                        s.name,
                        t.shape(),
                        s.param.shape()
                    )));
                }
            }
            if step.numel() != 1 {
                return Err(Error::weights(format!("the step counter of `{}` is not one number", s.name)));
            }
            used += 3;
            let m = Moments { exp_avg: exp_avg.clone(), exp_avg_sq: exp_avg_sq.clone(), step: step.clone() };
            new.push(Some(m.like(&s.param)?));
        }
        let lr = state.get(LR).map(Tensor::item).transpose()?;
        if used + usize::from(lr.is_some()) != state.len() {
            let known: HashSet<&str> = slots.iter().map(|s| s.name.as_str()).collect();
            let of = |k: &str| k.rsplit_once('.').map_or(k.to_owned(), |(name, _)| name.to_owned());
            let unknown = state.keys().filter(|k| *k != LR).map(|k| of(k)).find(|k| !known.contains(k.as_str())).unwrap_or_default();
            let near = did_you_mean(&unknown, known.iter().copied());
            return Err(Error::weights(format!("the optimizer's state speaks of `{unknown}`, which it does not train{near}")));
        }
        if let Some(lr) = lr {
            self.set_lr(lr)?;
        }
        for (slot, moments) in slots.iter_mut().zip(new) {
            slot.moments = moments;
        }
        Ok(())
    }
}

impl Moments {
    /// Copies in the layout, dtype and on the device of the parameter.
    fn like(&self, param: &Tensor) -> Result<Moments> {
        let new = Moments::new(param)?;
        no_grad(|| {
            new.exp_avg.copy_(&self.exp_avg)?;
            new.exp_avg_sq.copy_(&self.exp_avg_sq)?;
            new.step.copy_(&self.step.reshape(&[])?)
        })?;
        Ok(new)
    }
}

/// The gradient in the parameter's own layout: the kernel walks both by address.
fn fitting(name: &str, param: &Tensor, grad: &Tensor) -> Result<Tensor> {
    if grad.is_sparse() {
        return Err(Error::value("adamw", format!("`{name}` has a sparse gradient")).help("embeddings with `sparse: true` are not supported"));
    }
    if grad.shape() != param.shape() || grad.device() != param.device() {
        return Err(Error::value("adamw", format!("the gradient of `{name}` is {}, the parameter {}", grad.describe(), param.describe())));
    }
    if grad.dtype() == param.dtype() && grad.strides() == param.strides() {
        return Ok(grad.clone());
    }
    param.detach()?.empty_like()?.copy_(grad)
}
