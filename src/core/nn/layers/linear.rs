//! The affine map.

use super::forward_one;
use crate::error::Result;
use crate::nn::{Built, Init, Module, Path};
use crate::torch::{Tensor, default_device};

/// How a linear layer, or a layer made of them, starts.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum LinearInit {
    /// `nn.Linear`'s default: weight and bias U(-b, b) with `b = 1 / sqrt(in)`.
    #[default]
    Torch,
    /// `xavier_uniform_` weight, zero bias: transformers of the ViT and DiT line.
    Xavier,
    /// N(0, std) weight, zero bias.
    Normal(f64),
    /// N(0, std) weight, PyTorch's default bias: convolutions of image discriminators.
    NormalWeight(f64),
    /// All zero: a branch that starts as nothing.
    Zeros,
}

impl LinearInit {
    /// The rules for weight and bias of a layer with `fan_in` inputs.
    pub fn rules(self, fan_in: i64) -> (Init, Init) {
        match self {
            LinearInit::Torch => (Init::FanIn, Init::Bias(fan_in)),
            LinearInit::Xavier => (Init::XavierUniformFlat, Init::Zeros),
            LinearInit::Normal(std) => (Init::Normal(0.0, std), Init::Zeros),
            LinearInit::NormalWeight(std) => (Init::Normal(0.0, std), Init::Bias(fan_in)),
            LinearInit::Zeros => (Init::Zeros, Init::Zeros),
        }
    }
}

/// `x @ weight.t() + bias`: `[.., in]` -> `[.., out]`.
#[derive(Debug, Clone)]
pub struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
}
forward_one!(Linear, "linear");

impl Linear {
    /// Registers `weight` `[out, in]` and, if wanted, `bias` `[out]`.
    ///
    /// # Errors
    /// `E0201` for sizes that libtorch refuses, `E0203` without memory.
    pub fn new(p: &Path, inputs: i64, outputs: i64, bias: bool, init: LinearInit) -> Result<Self> {
        Self::named(p, ["weight", if bias { "bias" } else { "" }], inputs, outputs, init)
    }

    /// The same under other names than `weight` and `bias`, such as `in_proj_weight` of `nn.MultiheadAttention`; an empty name leaves the
    /// bias out.
    ///
    /// # Errors
    /// As [`Linear::new`].
    pub fn named(p: &Path, names: [&str; 2], inputs: i64, outputs: i64, init: LinearInit) -> Result<Self> {
        let (w, b) = init.rules(inputs);
        let weight = p.param(names[0], &[outputs, inputs], w)?;
        let bias = (!names[1].is_empty()).then(|| p.param(names[1], &[outputs], b)).transpose()?;
        Ok(Linear { weight, bias })
    }

    /// A module of its own.
    ///
    /// # Errors
    /// As [`Linear::new`].
    pub fn module(inputs: i64, outputs: i64, bias: bool, init: LinearInit) -> Result<Module> {
        Module::build("linear", default_device(), move |p| Ok(Built::layer(Linear::new(p, inputs, outputs, bias, init)?)))
    }

    /// Runs it.
    ///
    /// # Errors
    /// `E0201` when the last size of `x` is not `in`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.linear(&self.weight, self.bias.as_ref())
    }
}
