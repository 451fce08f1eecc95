//! Activation functions as layers, for sequences.

use super::forward_one;
use crate::error::{Error, Result, did_you_mean};
use crate::nn::{Built, Module};
use crate::torch::{Tensor, default_device};

/// An activation function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `max(x, 0)`.
    Relu,
    /// `x * sigmoid(x)`.
    Silu,
    /// Exact GELU.
    Gelu,
    /// GELU's tanh approximation.
    GeluTanh,
    /// `x * sigmoid(1.702 x)`: the GELU of CLIP.
    QuickGelu,
    /// Hyperbolic tangent.
    Tanh,
    /// `1 / (1 + e^-x)`.
    Sigmoid,
    /// `x > 0 ? x : 0.2 x`, the slope of image discriminators.
    LeakyRelu,
}
forward_one!(Activation, "activation");

const NAMES: &[(&str, Activation)] = &[
    ("relu", Activation::Relu),
    ("silu", Activation::Silu),
    ("gelu", Activation::Gelu),
    ("gelu_tanh", Activation::GeluTanh),
    ("quick_gelu", Activation::QuickGelu),
    ("tanh", Activation::Tanh),
    ("sigmoid", Activation::Sigmoid),
    ("leaky_relu", Activation::LeakyRelu),
];

impl Activation {
    /// The activation of a name.
    ///
    /// # Errors
    /// `E0202` for an unknown name, with the nearest one.
    pub fn parse(name: &str) -> Result<Self> {
        NAMES.iter().find(|(n, _)| *n == name).map(|(_, a)| *a).ok_or_else(|| {
            let known = NAMES.iter().map(|(n, _)| *n);
            Error::value("activation", format!("unknown activation `{name}`{}", did_you_mean(name, known.clone())))
                .help(format!("one of {}", known.collect::<Vec<_>>().join(", ")))
        })
    }

    /// A module of its own.
    ///
    /// # Errors
    /// `E0202` for an unknown name.
    pub fn module(name: &str) -> Result<Module> {
        let activation = Self::parse(name)?;
        Module::build(name, default_device(), move |_| Ok(Built::layer(activation)))
    }

    /// Runs it.
    ///
    /// # Errors
    /// `E0201` for a tensor without floats.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Activation::Relu => x.relu(),
            Activation::Silu => x.silu(),
            Activation::Gelu => x.gelu(false),
            Activation::GeluTanh => x.gelu(true),
            Activation::QuickGelu => x.mul(&x.mul(1.702)?.sigmoid()?),
            Activation::Tanh => x.tanh(),
            Activation::Sigmoid => x.sigmoid(),
            Activation::LeakyRelu => x.leaky_relu(0.2),
        }
    }
}
