//! Loss scaling for f16, as `torch.amp.GradScaler`: small gradients are lifted into the range of f16, and a step whose gradients
//! overflowed is not taken.

use super::{Optimizer, groups};
use crate::dist;
use crate::error::{Error, Result};
use crate::nn::State;
use crate::torch::bridge::{Value, bump_version, call};
use crate::torch::{DType, Device, Tensor, default_device, no_grad};
use std::cell::RefCell;
use std::rc::Rc;

/// The settings of [`GradScaler`], with PyTorch's names and defaults.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GradScalerOptions {
    /// The first factor.
    pub init_scale: f64,
    /// By what it grows after `growth_interval` steps without overflow.
    pub growth_factor: f64,
    /// By what it shrinks after an overflow.
    pub backoff_factor: f64,
    /// How many steps without overflow it takes to grow.
    pub growth_interval: i64,
    /// Whether it does anything: scripts can keep one code path for f32 and bf16.
    pub enabled: bool,
}

impl Default for GradScalerOptions {
    fn default() -> Self {
        GradScalerOptions { init_scale: 65536.0, growth_factor: 2.0, backoff_factor: 0.5, growth_interval: 2000, enabled: true }
    }
}

/// Scales losses and watches gradients. A cheap handle: clones are the same scaler.
///
/// A step is `scaler.scale(loss).backward()`, optionally `unscale(opt)` and clipping, `step(opt)`, `update()`.
#[derive(Clone)]
pub struct GradScaler(Rc<Inner>);

struct Inner {
    options: GradScalerOptions,
    /// f32 scalar and i32 scalar on the device of the losses.
    scale: RefCell<Tensor>,
    tracker: RefCell<Tensor>,
    /// What this step found in the gradients of each optimizer that was unscaled.
    found: RefCell<Vec<(Optimizer, Tensor)>>,
}

impl GradScaler {
    /// A scaler on the default device.
    ///
    /// # Errors
    /// `E0202` when a setting is out of range.
    pub fn new(options: GradScalerOptions) -> Result<GradScaler> {
        let o = options;
        if !(o.init_scale > 0.0 && o.growth_factor > 1.0 && o.backoff_factor > 0.0 && o.backoff_factor < 1.0 && o.growth_interval > 0) {
            let message = "`init_scale` and `growth_interval` must be above 0, `growth_factor` above 1, `backoff_factor` between 0 and 1";
            return Err(Error::value("grad_scaler", message));
        }
        let device = default_device();
        let scale = Tensor::full(&[], o.init_scale, DType::Float, device)?;
        let tracker = Tensor::zeros(&[], DType::Int, device)?;
        let inner = Inner { options, scale: scale.into(), tracker: tracker.into(), found: RefCell::default() };
        Ok(GradScaler(Rc::new(inner)))
    }

    /// The present factor; reads it from the device.
    ///
    /// # Errors
    /// `E0201` when libtorch refuses.
    pub fn get_scale(&self) -> Result<f64> {
        if self.0.options.enabled { self.0.scale.borrow().item() } else { Ok(1.0) }
    }

    /// The loss times the factor, for `backward`.
    ///
    /// # Errors
    /// `E0201` when libtorch refuses.
    pub fn scale(&self, loss: &Tensor) -> Result<Tensor> {
        if !self.0.options.enabled {
            return Ok(loss.clone());
        }
        self.move_to(loss.device())?;
        let scale = self.0.scale.borrow().clone();
        loss.mul(&scale)
    }

    fn found_in(&self, opt: &Optimizer) -> Option<Tensor> {
        self.0.found.borrow().iter().find(|(o, _)| o.is_same(opt)).map(|(_, t)| t.clone())
    }

    /// Divides the gradients of an optimizer's parameters by the factor, so that they can be clipped or looked at. At most once a step.
    ///
    /// # Errors
    /// `E0601` when it was done already in this step.
    pub fn unscale(&self, opt: &Optimizer) -> Result<()> {
        if !self.0.options.enabled {
            return Ok(());
        }
        if self.found_in(opt).is_some() {
            return Err(
                Error::run("grad_scaler: the gradients are unscaled already").help("call `unscale` once, before `step`, and `update` after it")
            );
        }
        let params = opt.tensors();
        // What overflowed on one rank has overflowed in the mean of all.
        dist::average("unscale", || params.clone())?;
        no_grad(|| {
            let mut grads = Vec::new();
            for p in &params {
                grads.extend(p.grad()?);
            }
            let scale = self.0.scale.borrow().clone();
            // In f64, as PyTorch does: 1 / scale in f32 may be a denormal number.
            let inverse = scale.to_dtype(DType::Double)?.reciprocal()?.to_dtype(DType::Float)?;
            let mut total = Tensor::zeros(&[], DType::Float, scale.device())?;
            for group in groups(&grads) {
                let device = grads[group[0]].device();
                let found = Tensor::zeros(&[], DType::Float, device)?;
                let list = Value::List(group.iter().map(|&i| (&grads[i]).into()).collect());
                call("_amp_foreach_non_finite_check_and_unscale_", &[list, (&found).into(), inverse.to_device(device)?.into()], &[])?;
                group.iter().for_each(|&i| bump_version(&grads[i]));
                total = total.add(&found.to_device(scale.device())?)?.clamp(None, Some(1.0))?;
            }
            dist::rescaled(&params)?;
            self.0.found.borrow_mut().push((opt.clone(), total));
            Ok(())
        })
    }

    /// Takes the optimizer's step, unless a gradient is infinite or NaN. Nothing is read from the device, unless the algorithm cannot do without
    /// ([`Algorithm::takes_found_inf`](super::algorithm::Algorithm::takes_found_inf)).
    ///
    /// # Errors
    /// As [`Optimizer::step`].
    pub fn step(&self, opt: &Optimizer) -> Result<()> {
        if !self.0.options.enabled {
            return opt.step();
        }
        if self.found_in(opt).is_none() {
            self.unscale(opt)?;
        }
        opt.step_unless(self.found_in(opt).as_ref())
    }

    /// Adjusts the factor to what the steps of all optimizers found.
    ///
    /// # Errors
    /// `E0601` when there was no step since the last time.
    pub fn update(&self) -> Result<()> {
        let o = &self.0.options;
        if !o.enabled {
            return Ok(());
        }
        let mut all = std::mem::take(&mut *self.0.found.borrow_mut()).into_iter().map(|(_, t)| t);
        let mut found = all.next().ok_or_else(|| Error::run("grad_scaler: `update` before any `step`"))?;
        for t in all {
            found = found.add(&t)?;
        }
        let (scale, tracker) = (self.0.scale.borrow().clone(), self.0.tracker.borrow().clone());
        let args = [scale.into(), tracker.into(), found.into(), o.growth_factor.into(), o.backoff_factor.into(), o.growth_interval.into()];
        no_grad(|| call("_amp_update_scale_", &args, &[])).map(|_| ())
    }

    /// `scale` (f32) and `growth_tracker` (i32).
    pub fn state(&self) -> State {
        [("scale".to_owned(), self.0.scale.borrow().clone()), ("growth_tracker".to_owned(), self.0.tracker.borrow().clone())].into_iter().collect()
    }

    /// Puts a state back.
    ///
    /// # Errors
    /// `E0401` when it is not a scaler's.
    pub fn load_state(&self, state: &State) -> Result<()> {
        let get = |name: &str| match state.get(name) {
            Some(t) if t.numel() == 1 => Ok(t),
            _ => Err(Error::weights(format!("a gradient scaler's state holds one number `{name}`"))),
        };
        let (scale, tracker) = (get("scale")?, get("growth_tracker")?);
        no_grad(|| {
            self.0.scale.borrow().copy_(&scale.reshape(&[])?)?;
            self.0.tracker.borrow().copy_(&tracker.reshape(&[])?).map(|_| ())
        })
    }

    fn move_to(&self, device: Device) -> Result<()> {
        for slot in [&self.0.scale, &self.0.tracker] {
            let moved = slot.borrow().to_device(device)?;
            *slot.borrow_mut() = moved;
        }
        Ok(())
    }
}
