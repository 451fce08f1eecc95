//! Dropout.

use super::forward_one;
use crate::error::{Error, Result};
use crate::nn::{Built, Mode, Module, Path};
use crate::torch::{Tensor, default_device};

/// Zeroes elements with probability `p` in training and scales the others by `1 / (1 - p)`.
#[derive(Debug, Clone)]
pub struct Dropout {
    p: f64,
    mode: Mode,
}
forward_one!(Dropout, "dropout");

impl Dropout {
    /// Registers nothing; follows the mode of the path's model.
    ///
    /// # Errors
    /// `E0202` when `p` is no probability.
    pub fn new(path: &Path, p: f64) -> Result<Self> {
        if !(0.0..=1.0).contains(&p) {
            return Err(Error::value("dropout", format!("p must be between 0 and 1, got {p}")));
        }
        Ok(Dropout { p, mode: path.mode() })
    }

    /// A module of its own.
    ///
    /// # Errors
    /// As [`Dropout::new`].
    pub fn module(p: f64) -> Result<Module> {
        Module::build("dropout", default_device(), move |path| Ok(Built::layer(Dropout::new(path, p)?)))
    }

    /// Runs it.
    ///
    /// # Errors
    /// `E0201` when libtorch refuses.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if self.p == 0.0 || !self.mode.training() {
            return Ok(x.clone());
        }
        x.dropout(self.p, true)
    }
}
