//! AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101) on libtorch's fused kernel, as `torch.optim.AdamW(fused=True)`.

use super::algorithm::{Algorithm, Kept, OnePass, PassItem, Ready};
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
}

impl Default for AdamWOptions {
    fn default() -> Self {
        AdamWOptions { lr: 1e-3, betas: (0.9, 0.999), eps: 1e-8, weight_decay: 0.01 }
    }
}

/// AdamW of named parameters, in one group or several. Its state is `<name>.exp_avg`, `<name>.exp_avg_sq` and `<name>.step`.
///
/// # Errors
/// `E0202` when a setting is out of range, and as [`Optimizer::new`].
pub fn adamw(params: impl Into<ParamGroups>, options: AdamWOptions) -> Result<Optimizer> {
    let AdamWOptions { lr, betas, eps, weight_decay } = options;
    let rates = Rates { lr, weight_decay: 0.0 }.check("adamw")?;
    if ![betas.0, betas.1].iter().all(|b| (0.0..1.0).contains(b)) {
        return Err(Error::value("adamw", format!("`betas` must be from 0 to below 1, got {betas:?}")));
    }
    if !(eps >= 0.0 && weight_decay >= 0.0) {
        return Err(Error::value("adamw", format!("`eps` and `weight_decay` must not be negative, got {eps} and {weight_decay}")));
    }
    Optimizer::new(params, Rates { weight_decay, ..rates }, AdamW { betas, eps })
}

struct AdamW {
    betas: (f64, f64),
    eps: f64,
}

impl Algorithm for AdamW {
    fn kind(&self) -> &'static str {
        "adamw"
    }

    fn state(&self) -> &'static [Kept] {
        &[Kept::Like("exp_avg"), Kept::Like("exp_avg_sq"), Kept::Count("step")]
    }

    fn takes_found_inf(&self) -> bool {
        true
    }

    fn update(&self, ready: &[&Ready], rates: Rates, found_inf: Option<&Tensor>) -> Result<()> {
        let of = |f: fn(&Ready) -> &Tensor| Value::List(ready.iter().map(|r| f(r).into()).collect());
        let args = [of(|r| &r.param), of(|r| &r.grad), of(|r| &r.state[0]), of(|r| &r.state[1]), Value::List(Vec::new()), of(|r| &r.state[2])];
        let kw = [
            ("lr", rates.lr.into()),
            ("beta1", self.betas.0.into()),
            ("beta2", self.betas.1.into()),
            ("weight_decay", rates.weight_decay.into()),
            ("eps", self.eps.into()),
            ("amsgrad", false.into()),
            ("maximize", false.into()),
            ("found_inf", found_inf.cloned().into()),
        ];
        call("_fused_adamw_", &args, &kw)?;
        // The kernel does not tell autograd.
        ready.iter().for_each(|r| std::iter::once(&r.param).chain(&r.state).for_each(bump_version));
        Ok(())
    }

    fn one_pass(&self) -> Option<&dyn OnePass> {
        Some(self)
    }
}

impl OnePass for AdamW {
    fn pass(&self, items: Vec<PassItem>, rates: Rates, scale: f64, decay: f64) -> Result<()> {
        let item = |PassItem { ready, average }: PassItem| {
            let [exp_avg, exp_avg_sq, step] = <[Tensor; 3]>::try_from(ready.state).map_err(|_| Error::value("adamw", "a state is incomplete"))?;
            Ok(AdamWItem { step: step.item()?, param: ready.param, grad: ready.grad, exp_avg, exp_avg_sq, average })
        };
        let items: Vec<AdamWItem> = items.into_iter().map(item).collect::<Result<_>>()?;
        let pass = AdamWPass { lr: rates.lr, betas: self.betas, eps: self.eps, weight_decay: rates.weight_decay, scale, decay };
        adamw_pass(&items, &pass)
    }
}
