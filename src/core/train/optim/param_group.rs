//! Groups of parameters, each with rates of its own, as `param_groups` of PyTorch.

use crate::error::{Error, Result};
use crate::torch::Tensor;
use std::cell::{Cell, RefCell};

/// Parameters that are trained alike, with their names. What is left out is the optimizer's own.
#[derive(Debug, Clone, Default)]
pub struct ParamGroup {
    /// The parameters.
    pub params: Vec<(String, Tensor)>,
    /// Learning rate.
    pub lr: Option<f64>,
    /// Weight decay.
    pub weight_decay: Option<f64>,
    /// Decay of the averages of the gradient and of its square.
    pub betas: Option<(f64, f64)>,
    /// Which of the optimizer's algorithms trains it, where it has several: 0 is the first.
    pub algorithm: usize,
}

/// The groups that an optimizer is made of; named parameters alone are one group.
pub struct ParamGroups(pub Vec<ParamGroup>);

impl From<Vec<(String, Tensor)>> for ParamGroups {
    fn from(params: Vec<(String, Tensor)>) -> Self {
        ParamGroups(vec![ParamGroup { params, ..ParamGroup::default() }])
    }
}

/// What a step of one group goes by.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Rates {
    /// Learning rate.
    pub lr: f64,
    /// Weight decay.
    pub weight_decay: f64,
    /// Decay of the averages of the gradient and of its square, for an algorithm that has them.
    pub betas: Option<(f64, f64)>,
}

impl Rates {
    /// Refuses what is out of range, in the name of `op`.
    ///
    /// # Errors
    /// `E0202` when the learning rate is negative or not finite, the weight decay negative, or a beta not from 0 to below 1.
    pub(super) fn check(self, op: &str) -> Result<Self> {
        if !(self.lr >= 0.0 && self.lr.is_finite()) {
            return Err(Error::value(op, format!("`lr` must be a number that is not negative, got {}", self.lr)));
        }
        if self.weight_decay.is_nan() || self.weight_decay < 0.0 {
            return Err(Error::value(op, format!("`weight_decay` must not be negative, got {}", self.weight_decay)));
        }
        if let Some(betas) = self.betas
            && ![betas.0, betas.1].iter().all(|b| (0.0..1.0).contains(b))
        {
            return Err(Error::value(op, format!("`betas` must be from 0 to below 1, got {betas:?}")));
        }
        Ok(self)
    }
}

/// A group inside of an optimizer.
pub(super) struct Group {
    /// The learning rate as it was set, and the optimizer's at that time: a later one of the optimizer moves the group's in proportion.
    pub lr: Cell<(f64, f64)>,
    pub weight_decay: Cell<f64>,
    pub betas: Cell<Option<(f64, f64)>>,
    /// As it was made.
    pub made: Rates,
    pub algorithm: usize,
    /// What its algorithm keeps for it.
    pub numbers: RefCell<Vec<f64>>,
}

impl Group {
    /// The learning rate while the optimizer's is `base`.
    pub fn lr_at(&self, base: f64) -> f64 {
        match self.lr.get() {
            (lr, then) if then == base => lr,
            // Without an own rate it follows to the last bit.
            (lr, then) if lr == then => base,
            (lr, then) => lr * (base / then),
        }
    }

    /// Sets the learning rate that holds while the optimizer's is `base`.
    ///
    /// # Errors
    /// `E0202` when no proportion follows from it: `base` is 0 and `lr` is not.
    pub fn set_lr(&self, op: &str, lr: f64, base: f64) -> Result<()> {
        if base == 0.0 && lr != 0.0 {
            let help = "a group's rate moves in proportion to the optimizer's `lr`: make that more than 0 first";
            return Err(Error::value(op, "a group cannot have a learning rate of its own while the optimizer's is 0").help(help));
        }
        self.lr.set((lr, base));
        Ok(())
    }

    /// Whether a state must speak of its rates: they are not those that it was made with.
    pub fn has_changed(&self) -> bool {
        self.weight_decay.get() != self.made.weight_decay || self.betas.get() != self.made.betas
    }
}
