//! AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101) on libtorch's fused kernel, as `torch.optim.AdamW(fused=True)`.

use super::algorithm::{Algorithm, Kept, OnePass, PassItem, Ready, Step};
use super::{Optimizer, ParamGroups, Rates};
use crate::error::{Error, Result};
use crate::torch::Tensor;
use crate::torch::bridge::{AdamWItem, AdamWPass, Value, adamw_pass, bump_version, call};

/// The settings of [`adamw`], with PyTorch's names and defaults.
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
    /// Whether the largest average so far takes the place of the average of squares (Reddi et al. 2018, arXiv 1904.09237).
    pub amsgrad: bool,
    /// Whether steps go up the gradient.
    pub maximize: bool,
}

impl Default for AdamWOptions {
    fn default() -> Self {
        AdamWOptions { lr: 1e-3, betas: (0.9, 0.999), eps: 1e-8, weight_decay: 0.01, amsgrad: false, maximize: false }
    }
}

/// AdamW of named parameters, in one group or several. Its state is `<name>.exp_avg`, `<name>.exp_avg_sq`, with `amsgrad`
/// `<name>.max_exp_avg_sq`, and `<name>.step`.
///
/// # Errors
/// `E0202` when a setting is out of range, and as [`Optimizer::new`].
pub fn adamw(params: impl Into<ParamGroups>, options: AdamWOptions) -> Result<Optimizer> {
    let AdamWOptions { lr, betas, weight_decay, .. } = options;
    Optimizer::new(params, Rates { lr, weight_decay, betas: Some(betas) }, AdamW::new(options)?)
}

/// The arithmetic of [`adamw`].
pub(super) struct AdamW(AdamWOptions);

impl AdamW {
    /// # Errors
    /// `E0202` when a setting is out of range.
    pub fn new(options: AdamWOptions) -> Result<AdamW> {
        let AdamWOptions { lr, betas, eps, weight_decay, .. } = options;
        Rates { lr, weight_decay, betas: Some(betas) }.check("adamw")?;
        if eps.is_nan() || eps < 0.0 {
            return Err(Error::value("adamw", format!("`eps` must not be negative, got {eps}")));
        }
        Ok(AdamW(options))
    }
}

impl Algorithm for AdamW {
    fn kind(&self) -> &'static str {
        "adamw"
    }

    fn state(&self, _: &Tensor) -> Vec<Kept> {
        let largest = self.0.amsgrad.then_some(Kept::Like("max_exp_avg_sq"));
        [Kept::Like("exp_avg"), Kept::Like("exp_avg_sq"), Kept::Count("step")].into_iter().chain(largest).collect()
    }

    fn takes_found_inf(&self) -> bool {
        true
    }

    fn update(&self, ready: &[&Ready], step: &Step) -> Result<()> {
        let of = |f: fn(&Ready) -> Option<&Tensor>| Value::List(ready.iter().filter_map(|r| f(r)).map(Into::into).collect());
        let args = [
            of(|r| Some(&r.param)),
            of(|r| Some(&r.grad)),
            of(|r| r.state.first()),
            of(|r| r.state.get(1)),
            of(|r| r.state.get(3)),
            of(|r| r.state.get(2)),
        ];
        let (beta1, beta2) = step.rates.betas.unwrap_or(self.0.betas);
        let kw = [
            ("lr", step.rates.lr.into()),
            ("beta1", beta1.into()),
            ("beta2", beta2.into()),
            ("weight_decay", step.rates.weight_decay.into()),
            ("eps", self.0.eps.into()),
            ("amsgrad", self.0.amsgrad.into()),
            ("maximize", self.0.maximize.into()),
            ("found_inf", step.found_inf.cloned().into()),
        ];
        call("_fused_adamw_", &args, &kw)?;
        // The kernel does not tell autograd.
        ready.iter().for_each(|r| std::iter::once(&r.param).chain(&r.state).for_each(bump_version));
        Ok(())
    }

    fn one_pass(&self) -> Option<&dyn OnePass> {
        (!self.0.amsgrad && !self.0.maximize).then_some(self)
    }
}

impl OnePass for AdamW {
    fn pass(&self, items: Vec<PassItem>, rates: Rates, scale: f64, decay: f64) -> Result<()> {
        let item = |PassItem { ready, average }: PassItem| {
            let [exp_avg, exp_avg_sq, step] = <[Tensor; 3]>::try_from(ready.state).map_err(|_| Error::value("adamw", "a state is incomplete"))?;
            Ok(AdamWItem { step: step.item()?, param: ready.param, grad: ready.grad, exp_avg, exp_avg_sq, average })
        };
        let items: Vec<AdamWItem> = items.into_iter().map(item).collect::<Result<_>>()?;
        let betas = rates.betas.unwrap_or(self.0.betas);
        adamw_pass(&items, &AdamWPass { lr: rates.lr, betas, eps: self.0.eps, weight_decay: rates.weight_decay, scale, decay })
    }
}
