//! Lion (Chen et al. 2023, arXiv 2302.06675): steps of one size along the sign of an average, as lucidrains/lion-pytorch writes it.

use super::algorithm::{Algorithm, Kept, Ready, Step};
use super::{Optimizer, ParamGroups, Rates, foreach};
use crate::error::{Error, Result};
use crate::torch::Tensor;
use crate::torch::bridge::call1;

/// The settings of [`lion`], with lion-pytorch's names and defaults.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LionOptions {
    /// Learning rate: a third to a tenth of AdamW's.
    pub lr: f64,
    /// How much of the average goes into the direction, and how much of it each step keeps.
    pub betas: (f64, f64),
    /// Each step first multiplies the weights by `1 - lr * weight_decay`.
    pub weight_decay: f64,
    /// Divides the weight decay by the first learning rate: the weights shrink by `weight_decay` where a schedule is at its peak.
    pub decoupled_weight_decay: bool,
    /// What of the step stays where it goes against the gradient (arXiv 2411.16085): 1 all, 0 nothing. The others grow to make up for it.
    pub cautious_factor: f64,
    /// Weight decay only where the step makes a weight smaller (arXiv 2510.12402).
    pub cautious_wd: bool,
}

impl Default for LionOptions {
    fn default() -> Self {
        LionOptions { lr: 1e-4, betas: (0.9, 0.99), weight_decay: 0.0, decoupled_weight_decay: false, cautious_factor: 1.0, cautious_wd: false }
    }
}

/// Lion of named parameters, in one group or several. Its state is `<name>.exp_avg`.
///
/// # Errors
/// `E0202` when a setting is out of range, and as [`Optimizer::new`].
pub fn lion(params: impl Into<ParamGroups>, options: LionOptions) -> Result<Optimizer> {
    let o = options;
    if !(0.0..=1.0).contains(&o.cautious_factor) {
        return Err(Error::value("lion", format!("`cautious_factor` must be from 0 to 1, got {}", o.cautious_factor)));
    }
    if o.decoupled_weight_decay && o.lr == 0.0 {
        return Err(Error::value("lion", "`decoupled_weight_decay` needs an `lr` above 0: it is what the decay is divided by"));
    }
    let rates = Rates { lr: o.lr, weight_decay: o.weight_decay, betas: Some(o.betas) };
    Optimizer::new(params, rates, Lion(o))
}

struct Lion(LionOptions);

impl Lion {
    /// Turned towards where direction and gradient agree.
    fn cautious(&self, directions: &[Tensor], grads: &[Tensor]) -> Result<()> {
        for (direction, grad) in directions.iter().zip(grads) {
            let agree = call1("gt", &[direction.mul(grad)?.into(), 0.0.into()], &[])?.to_dtype(grad.dtype())?;
            let scale = agree.mul(1.0 - self.0.cautious_factor)?.add(self.0.cautious_factor)?;
            direction.mul_(&scale.div(&scale.mean(&[], false)?.clamp(Some(1e-5), None)?)?)?;
        }
        Ok(())
    }

    fn decay(&self, params: &[Tensor], directions: &[Tensor], by: f64) -> Result<()> {
        if by == 0.0 || !self.0.cautious_wd {
            return foreach::mul_(params, 1.0 - by);
        }
        for (param, direction) in params.iter().zip(directions) {
            let shrinks = call1("gt", &[direction.mul(param)?.into(), 0.0.into()], &[])?.to_dtype(param.dtype())?;
            param.mul_(&shrinks.mul(-by)?.add(1.0)?)?;
        }
        Ok(())
    }
}

impl Algorithm for Lion {
    fn kind(&self) -> &'static str {
        "lion"
    }

    fn state(&self, _: &Tensor) -> Vec<Kept> {
        vec![Kept::Like("exp_avg")]
    }

    fn update(&self, ready: &[&Ready], step: &Step) -> Result<()> {
        let Rates { lr, weight_decay, betas } = step.rates;
        let (beta1, beta2) = betas.unwrap_or(self.0.betas);
        let weight_decay = if self.0.decoupled_weight_decay { weight_decay / self.0.lr } else { weight_decay };
        let of = |f: fn(&Ready) -> &Tensor| ready.iter().map(|r| f(r).clone()).collect::<Vec<Tensor>>();
        let (params, grads, averages) = (of(|r| &r.param), of(|r| &r.grad), of(|r| &r.state[0]));
        let directions = foreach::mul(&averages, beta1)?;
        foreach::add_(&directions, &grads, 1.0 - beta1)?;
        foreach::sign_(&directions)?;
        if self.0.cautious_factor < 1.0 {
            self.cautious(&directions, &grads)?;
        }
        self.decay(&params, &directions, lr * weight_decay)?;
        foreach::add_(&params, &directions, -lr)?;
        foreach::mul_(&averages, beta2)?;
        foreach::add_(&averages, &grads, 1.0 - beta2)
    }
}
