//! Root mean square normalisation: Zhang & Sennrich 2019, arXiv 1910.07467.

use super::forward_one;
use crate::error::Result;
use crate::nn::{Built, Init, Module, Path};
use crate::torch::{Tensor, default_device};

/// `x / sqrt(mean(x^2) + eps) * weight` over the last dimension: `[.., D]` -> `[.., D]`. The mean is taken in f32 at least.
#[derive(Debug, Clone)]
pub struct RmsNorm {
    weight: Option<Tensor>,
    eps: f64,
    in_float: bool,
}
forward_one!(RmsNorm, "rms_norm");

impl RmsNorm {
    /// Registers `weight`, if it is wanted. `in_float` multiplies by it before the result is cast back.
    ///
    /// # Errors
    /// `E0201` for a size that libtorch refuses.
    pub fn new(p: &Path, size: i64, eps: f64, affine: bool, in_float: bool) -> Result<Self> {
        let weight = if affine { Some(p.param("weight", &[size], Init::Ones)?) } else { None };
        Ok(RmsNorm { weight, eps, in_float })
    }

    /// A module of its own.
    ///
    /// # Errors
    /// As [`RmsNorm::new`].
    pub fn module(size: i64, eps: f64, affine: bool, in_float: bool) -> Result<Module> {
        Module::build("rms_norm", default_device(), move |p| Ok(Built::layer(RmsNorm::new(p, size, eps, affine, in_float)?)))
    }

    /// Runs it.
    ///
    /// # Errors
    /// `E0201` when the last size of `x` does not fit.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.rms_norm(self.weight.as_ref(), self.eps, self.in_float)
    }
}
