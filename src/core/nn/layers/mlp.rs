//! The two-layer perceptron of a transformer block.

use super::{Linear, LinearInit, forward_one};
use crate::error::Result;
use crate::nn::{Built, Module, Path};
use crate::torch::{Tensor, default_device};

/// `fc2(gelu(fc1(x)))`: `[.., in]` -> `[.., out]`.
#[derive(Debug, Clone)]
pub struct Mlp {
    fc1: Linear,
    fc2: Linear,
    tanh: bool,
}
forward_one!(Mlp, "mlp");

impl Mlp {
    /// Registers `fc1` and `fc2`; `tanh` takes the approximated GELU.
    ///
    /// # Errors
    /// `E0201` for sizes that libtorch refuses.
    pub fn new(p: &Path, inputs: i64, hidden: i64, outputs: i64, tanh: bool, init: LinearInit) -> Result<Self> {
        Ok(Mlp { fc1: Linear::new(&p.pp("fc1"), inputs, hidden, true, init)?, fc2: Linear::new(&p.pp("fc2"), hidden, outputs, true, init)?, tanh })
    }

    /// A module of its own.
    ///
    /// # Errors
    /// As [`Mlp::new`].
    pub fn module(inputs: i64, hidden: i64, outputs: i64, tanh: bool, init: LinearInit) -> Result<Module> {
        Module::build("mlp", default_device(), move |p| Ok(Built::layer(Mlp::new(p, inputs, hidden, outputs, tanh, init)?)))
    }

    /// Runs it.
    ///
    /// # Errors
    /// `E0201` when the last size of `x` does not fit.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.fc2.forward(&self.fc1.forward(x)?.gelu(self.tanh)?)
    }
}
