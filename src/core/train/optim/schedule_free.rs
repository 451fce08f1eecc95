//! Schedule-free AdamW (Defazio et al. 2024, arXiv 2405.15682), as facebookresearch/schedule_free's `AdamWScheduleFree`: an average of the weights
//! takes the place of a schedule.

use super::algorithm::{Algorithm, Kept, Ready, Step};
use super::{Optimizer, ParamGroups, Rates, foreach};
use crate::error::{Error, Result};
use crate::torch::Tensor;

/// The settings of [`schedule_free_adamw`], with schedulefree's names and defaults.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScheduleFreeOptions {
    /// Learning rate: one to ten times AdamW's.
    pub lr: f64,
    /// How near the gradient is taken to the average (0.9 to 0.98), and the decay of the average of its square.
    pub betas: (f64, f64),
    /// Added to the denominator.
    pub eps: f64,
    /// Weight decay at the weights of training.
    pub weight_decay: f64,
    /// Steps in which the learning rate rises.
    pub warmup_steps: i64,
    /// The average weighs step `t` by `t^r`.
    pub r: f64,
    /// And by the largest learning rate so far to this power.
    pub weight_lr_power: f64,
}

impl Default for ScheduleFreeOptions {
    fn default() -> Self {
        ScheduleFreeOptions { lr: 2.5e-3, betas: (0.9, 0.999), eps: 1e-8, weight_decay: 0.0, warmup_steps: 0, r: 0.0, weight_lr_power: 2.0 }
    }
}

/// Schedule-free AdamW of named parameters, in one group or several. While it trains the parameters hold the weights of training;
/// [`Optimizer::set_training`] puts the average into them, and back. Its state is `<name>.z`, `<name>.exp_avg_sq`, and of each group the numbers
/// `k` (steps), `weight_sum`, `lr_max` and `train_mode`.
///
/// # Errors
/// `E0202` when a setting is out of range, and as [`Optimizer::new`].
pub fn schedule_free_adamw(params: impl Into<ParamGroups>, options: ScheduleFreeOptions) -> Result<Optimizer> {
    let o = options;
    if o.warmup_steps < 0 || o.eps.is_nan() || o.eps < 0.0 {
        return Err(Error::value(KIND, format!("`warmup_steps` and `eps` must not be negative, got {} and {}", o.warmup_steps, o.eps)));
    }
    if !(o.r.is_finite() && o.weight_lr_power.is_finite()) {
        return Err(Error::value(KIND, format!("`r` and `weight_lr_power` must be numbers, got {} and {}", o.r, o.weight_lr_power)));
    }
    let params = params.into();
    // The weights of evaluation are y + (1 - 1 / beta1) (z - y).
    let betas = params.0.iter().filter_map(|g| g.betas).chain([o.betas]);
    if betas.into_iter().any(|b| b.0 == 0.0) {
        return Err(Error::value(KIND, "the first of `betas` must be above 0: the average is computed back by it"));
    }
    let rates = Rates { lr: o.lr, weight_decay: o.weight_decay, betas: Some(o.betas) };
    Optimizer::new(params, rates, ScheduleFree(o))
}

const KIND: &str = "schedule_free_adamw";
const K: usize = 0;
const WEIGHT_SUM: usize = 1;
const LR_MAX: usize = 2;
const TRAIN_MODE: usize = 3;

struct ScheduleFree(ScheduleFreeOptions);

impl ScheduleFree {
    /// The learning rate of the step `k`, from 0.
    fn lr(&self, lr: f64, k: f64) -> f64 {
        let warmup = self.0.warmup_steps as f64;
        if k < warmup { lr * ((k + 1.0) / warmup) } else { lr }
    }

    /// What the step `k` weighs in the average.
    fn weight(&self, k: f64, lr_max: f64) -> f64 {
        (k + 1.0).powf(self.0.r) * lr_max.powf(self.0.weight_lr_power)
    }
}

impl Algorithm for ScheduleFree {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn state(&self, _: &Tensor) -> Vec<Kept> {
        vec![Kept::Like("z"), Kept::Like("exp_avg_sq")]
    }

    fn numbers(&self) -> &'static [(&'static str, f64)] {
        &[("k", 0.0), ("weight_sum", 0.0), ("lr_max", -1.0), ("train_mode", 1.0)]
    }

    fn begin(&self, rates: Rates, numbers: &mut [f64]) -> Result<()> {
        if !self.is_training(numbers) {
            let message = format!("{KIND}: the parameters hold the weights of evaluation, and no step can be taken from there");
            return Err(Error::run(message).help("call `opt.train()` before the step, and `opt.eval()` before evaluation"));
        }
        let k = numbers[K];
        numbers[LR_MAX] = numbers[LR_MAX].max(self.lr(rates.lr, k));
        numbers[WEIGHT_SUM] += self.weight(k, numbers[LR_MAX]);
        numbers[K] = k + 1.0;
        Ok(())
    }

    fn update(&self, ready: &[&Ready], step: &Step) -> Result<()> {
        let (beta1, beta2) = step.rates.betas.unwrap_or(self.0.betas);
        let k = step.numbers[K] - 1.0;
        let lr = self.lr(step.rates.lr, k);
        let part = self.weight(k, step.numbers[LR_MAX]) / step.numbers[WEIGHT_SUM];
        let part = if part.is_finite() { part } else { 0.0 };
        for r in ready.iter().filter(|r| r.is_first) {
            r.state[0].copy_(&r.param)?;
        }
        let of = |f: fn(&Ready) -> &Tensor| ready.iter().map(|r| f(r).clone()).collect::<Vec<Tensor>>();
        let (y, grads, z, squares) = (of(|r| &r.param), of(|r| &r.grad), of(|r| &r.state[0]), of(|r| &r.state[1]));
        foreach::mul_(&squares, beta2)?;
        foreach::addcmul_(&squares, &grads, &grads, 1.0 - beta2)?;
        let denominators = foreach::div_number(&squares, 1.0 - beta2.powf(k + 1.0))?;
        foreach::sqrt_(&denominators)?;
        foreach::add_number_(&denominators, self.0.eps)?;
        let directions = foreach::div(&grads, &denominators)?;
        if step.rates.weight_decay != 0.0 {
            foreach::add_(&directions, &y, step.rates.weight_decay)?;
        }
        foreach::lerp_(&y, &z, part)?;
        foreach::add_(&y, &directions, lr * (beta1 * (1.0 - part) - 1.0))?;
        foreach::add_(&z, &directions, -lr)
    }

    fn is_training(&self, numbers: &[f64]) -> bool {
        numbers[TRAIN_MODE] != 0.0
    }

    fn switch(&self, training: bool, held: &[&Ready], rates: Rates, numbers: &mut [f64]) -> Result<()> {
        let beta1 = rates.betas.unwrap_or(self.0.betas).0;
        let of = |f: fn(&Ready) -> &Tensor| held.iter().map(|r| f(r).clone()).collect::<Vec<Tensor>>();
        if !held.is_empty() {
            foreach::lerp_(&of(|r| &r.param), &of(|r| &r.state[0]), if training { 1.0 - beta1 } else { 1.0 - 1.0 / beta1 })?;
        }
        numbers[TRAIN_MODE] = f64::from(u8::from(training));
        Ok(())
    }
}
