//! Layers: plain structs over a [`Path`](super::Path), each with `forward`, and each with a `module` constructor for scripts.
//! Names, defaults and first values are PyTorch's (timm's for attention, MLP and patch embedding).

mod activation;
mod attention;
mod block;
mod conv;
mod dropout;
mod embedding;
mod linear;
mod mlp;
mod norm;
mod patch;
mod position;
mod rms_norm;
mod sequential;
mod swiglu;

pub use activation::Activation;
pub use attention::{Attention, AttentionOptions};
pub use block::{BlockOptions, TransformerBlock};
pub use conv::{Conv2d, Conv2dOptions};
pub use dropout::Dropout;
pub use embedding::Embedding;
pub use linear::{Linear, LinearInit};
pub use mlp::Mlp;
pub use norm::{BatchNorm2d, BatchNormOptions, GroupNorm, LayerNorm};
pub use patch::{PatchEmbed, patchify};
pub use position::sincos_2d;
pub use rms_norm::RmsNorm;
pub use swiglu::{SwiGlu, SwiGluOptions};

use crate::error::{Error, Result};
use crate::torch::Tensor;

/// The only input of a layer that takes one.
pub(crate) fn one<'a>(layer: &str, inputs: &'a [Tensor]) -> Result<&'a Tensor> {
    match inputs {
        [x] => Ok(x),
        _ => Err(Error::value(layer, format!("takes one input, got {}", inputs.len()))),
    }
}

/// Implements [`Forward`](super::Forward) by the layer's own `forward(&x)`.
macro_rules! forward_one {
    ($layer:ty, $name:literal) => {
        impl $crate::nn::Forward for $layer {
            fn forward(&self, inputs: &[$crate::torch::Tensor]) -> $crate::error::Result<$crate::torch::Tensor> {
                <$layer>::forward(self, $crate::nn::layers::one($name, inputs)?)
            }
        }
    };
}
pub(crate) use forward_one;
