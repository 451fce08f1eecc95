//! Stochastic gradient descent with momentum (Sutskever et al. 2013) on libtorch's fused kernel, as `torch.optim.SGD(fused=True)`.

use super::algorithm::{Algorithm, Kept, Ready, Step};
use super::{Optimizer, ParamGroups, Rates};
use crate::error::{Error, Result};
use crate::torch::Tensor;
use crate::torch::bridge::{Value, bump_version, call};

/// The settings of [`sgd`], with PyTorch's names and defaults.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SgdOptions {
    /// Learning rate.
    pub lr: f64,
    /// How much of the buffer each step keeps: `buffer = momentum * buffer + (1 - dampening) * gradient`; the first gradient is the first buffer.
    pub momentum: f64,
    /// How much of each gradient after the first the buffer does not take in.
    pub dampening: f64,
    /// Added to the gradient as `weight_decay * weight`.
    pub weight_decay: f64,
    /// Steps along `gradient + momentum * buffer` in place of the buffer.
    pub nesterov: bool,
}

impl Default for SgdOptions {
    fn default() -> Self {
        SgdOptions { lr: 1e-3, momentum: 0.0, dampening: 0.0, weight_decay: 0.0, nesterov: false }
    }
}

/// SGD of named parameters, in one group or several. With momentum its state is `<name>.momentum_buffer`.
///
/// # Errors
/// `E0202` when a setting is out of range, and as [`Optimizer::new`].
pub fn sgd(params: impl Into<ParamGroups>, options: SgdOptions) -> Result<Optimizer> {
    let SgdOptions { lr, momentum, dampening, weight_decay, nesterov } = options;
    if !(momentum >= 0.0 && momentum.is_finite() && dampening.is_finite()) {
        let message = format!("`momentum` must not be negative and `dampening` a number, got {momentum} and {dampening}");
        return Err(Error::value("sgd", message));
    }
    if nesterov && (momentum == 0.0 || dampening != 0.0) {
        return Err(Error::value("sgd", "`nesterov` needs a `momentum` and no `dampening`"));
    }
    Optimizer::new(params, Rates { lr, weight_decay, betas: None }, Sgd { momentum, dampening, nesterov })
}

struct Sgd {
    momentum: f64,
    dampening: f64,
    nesterov: bool,
}

impl Algorithm for Sgd {
    fn kind(&self) -> &'static str {
        "sgd"
    }

    fn state(&self, _: &Tensor) -> Vec<Kept> {
        if self.momentum == 0.0 { Vec::new() } else { vec![Kept::Like("momentum_buffer")] }
    }

    fn update(&self, ready: &[&Ready], step: &Step) -> Result<()> {
        // A parameter whose first gradient comes later than those of others has its first step then.
        for first in [true, false] {
            let some: Vec<&&Ready> = ready.iter().filter(|r| r.is_first == first).collect();
            if some.is_empty() {
                continue;
            }
            let of = |f: fn(&Ready) -> Option<&Tensor>| Value::List(some.iter().filter_map(|r| f(r)).map(Into::into).collect());
            let kw = [
                ("weight_decay", step.rates.weight_decay.into()),
                ("momentum", self.momentum.into()),
                ("lr", step.rates.lr.into()),
                ("dampening", self.dampening.into()),
                ("nesterov", self.nesterov.into()),
                ("maximize", false.into()),
                ("is_first_step", first.into()),
            ];
            call("_fused_sgd_", &[of(|r| Some(&r.param)), of(|r| Some(&r.grad)), of(|r| r.state.first())], &kw)?;
            // The kernel does not tell autograd.
            some.iter().for_each(|r| std::iter::once(&r.param).chain(&r.state).for_each(bump_version));
        }
        Ok(())
    }
}
