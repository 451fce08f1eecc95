//! The gated perceptron of today's transformers: Shazeer 2020, arXiv 2002.05202.

use super::{Linear, LinearInit, forward_one};
use crate::error::Result;
use crate::nn::{Built, Module, Path};
use crate::torch::{Tensor, default_device};

/// `out(silu(gate(x)) * value(x))`: `[.., in]` -> `[.., out]`.
#[derive(Debug, Clone)]
pub struct SwiGlu {
    /// Gate and value in one map, or in one each.
    inner: Vec<Linear>,
    out: Linear,
}
forward_one!(SwiGlu, "swiglu");

/// Sizes of a [`SwiGlu`] and the names of its maps.
#[derive(Debug, Clone)]
pub struct SwiGluOptions {
    /// Inputs, between, and outputs.
    pub sizes: [i64; 3],
    /// Names of the map to gate and value, and of the one after; or of gate, value, and the one after.
    pub names: Vec<String>,
    /// Whether the maps have biases.
    pub bias: bool,
    /// First values.
    pub init: LinearInit,
}

impl SwiGlu {
    /// Registers its maps.
    ///
    /// # Errors
    /// `E0202` for other than two or three names; `E0201` for sizes that libtorch refuses.
    pub fn new(p: &Path, o: &SwiGluOptions) -> Result<Self> {
        let [inputs, hidden, outputs] = o.sizes;
        let map = |name: &str, from, to| Linear::new(&p.pp(name), from, to, o.bias, o.init);
        match &o.names[..] {
            [both, out] => Ok(SwiGlu { inner: vec![map(both, inputs, 2 * hidden)?], out: map(out, hidden, outputs)? }),
            [gate, value, out] => {
                Ok(SwiGlu { inner: vec![map(gate, inputs, hidden)?, map(value, inputs, hidden)?], out: map(out, hidden, outputs)? })
            }
            _ => Err(crate::error::Error::value("swiglu", format!("two or three names are needed, got {:?}", o.names))
                .help("[\"w12\", \"w3\"] for gate and value in one map, [\"w1\", \"w2\", \"w3\"] for a map each")),
        }
    }

    /// A module of its own.
    ///
    /// # Errors
    /// As [`SwiGlu::new`].
    pub fn module(options: SwiGluOptions) -> Result<Module> {
        Module::build("swiglu", default_device(), move |p| Ok(Built::layer(SwiGlu::new(p, &options)?)))
    }

    /// Runs it.
    ///
    /// # Errors
    /// `E0201` when the last size of `x` does not fit.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let hidden = match &self.inner[..] {
            [both] => {
                let halves = both.forward(x)?.chunk(2, -1)?;
                halves[0].silu()?.mul(&halves[1])?
            }
            maps => maps[0].forward(x)?.silu()?.mul(&maps[1].forward(x)?)?,
        };
        self.out.forward(&hidden)
    }
}
