//! Groups of parameters, each with a learning rate and a weight decay of its own, as `param_groups` of PyTorch.

use crate::error::{Error, Result};
use crate::torch::Tensor;
use std::cell::Cell;

/// Parameters that are trained alike, with their names. What is left out is the optimizer's own.
#[derive(Debug, Clone)]
pub struct ParamGroup {
    /// The parameters.
    pub params: Vec<(String, Tensor)>,
    /// Learning rate.
    pub lr: Option<f64>,
    /// Weight decay.
    pub weight_decay: Option<f64>,
}

/// The groups that an optimizer is made of; named parameters alone are one group.
pub struct ParamGroups(pub Vec<ParamGroup>);

impl From<Vec<(String, Tensor)>> for ParamGroups {
    fn from(params: Vec<(String, Tensor)>) -> Self {
        ParamGroups(vec![ParamGroup { params, lr: None, weight_decay: None }])
    }
}

/// What a step of one group goes by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// Learning rate.
    pub lr: f64,
    /// Weight decay.
    pub weight_decay: f64,
}

impl Rates {
    /// Refuses what is out of range, in the name of `op`.
    ///
    /// # Errors
    /// `E0202` when the learning rate is negative or not finite, or the weight decay negative.
    pub(super) fn check(self, op: &str) -> Result<Self> {
        if !(self.lr >= 0.0 && self.lr.is_finite()) {
            return Err(Error::value(op, format!("`lr` must be a number that is not negative, got {}", self.lr)));
        }
        if self.weight_decay.is_nan() || self.weight_decay < 0.0 {
            return Err(Error::value(op, format!("`weight_decay` must not be negative, got {}", self.weight_decay)));
        }
        Ok(self)
    }
}

/// The rates of a group inside of an optimizer.
pub(super) struct Group {
    /// The learning rate as it was set, and the optimizer's at that time: a later one of the optimizer moves the group's in proportion.
    pub lr: Cell<(f64, f64)>,
    pub weight_decay: Cell<f64>,
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
}
