//! The plain transformer block.

use super::{Attention, AttentionOptions, LayerNorm, LinearInit, Mlp, forward_one};
use crate::error::{Error, Result};
use crate::nn::bounds::{WIDEST, within};
use crate::nn::{Built, Module, Path};
use crate::torch::{Tensor, default_device};

/// Options of [`TransformerBlock`], with the values of timm's ViT.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BlockOptions {
    /// Attention heads.
    pub heads: i64,
    /// Width of the MLP over the block's width.
    pub mlp_ratio: f64,
    /// Whether the query, key, value map has a bias.
    pub qkv_bias: bool,
    /// Whether queries and keys are normalised.
    pub qk_norm: bool,
    /// Layer norms' epsilon.
    pub eps: f64,
    /// Whether GELU is the tanh approximation.
    pub tanh: bool,
    /// First values of all linear maps.
    pub init: LinearInit,
}

impl Default for BlockOptions {
    fn default() -> Self {
        BlockOptions::new(1)
    }
}

impl BlockOptions {
    /// `heads` heads, ratio 4, bias, eps 1e-6, exact GELU.
    pub fn new(heads: i64) -> Self {
        BlockOptions { heads, mlp_ratio: 4.0, qkv_bias: true, qk_norm: false, eps: 1e-6, tanh: false, init: LinearInit::Torch }
    }
}

/// Pre-LN transformer block, `x += attn(norm1(x)); x += mlp(norm2(x))`: `[B, N, D]` -> `[B, N, D]`.
#[derive(Debug, Clone)]
pub struct TransformerBlock {
    norm1: LayerNorm,
    attn: Attention,
    norm2: LayerNorm,
    mlp: Mlp,
}
forward_one!(TransformerBlock, "transformer_block");

impl TransformerBlock {
    /// Registers `norm1`, `attn`, `norm2` and `mlp`.
    ///
    /// # Errors
    /// `E0202` when the heads do not divide the width or the ratio gives no hidden unit.
    pub fn new(p: &Path, dim: i64, o: BlockOptions) -> Result<Self> {
        let hidden = (dim as f64 * o.mlp_ratio) as i64;
        within("transformer_block", &[("dim", dim), ("dim * mlp_ratio", hidden.max(1))], WIDEST)?;
        if hidden < 1 {
            return Err(Error::value("transformer_block", format!("mlp_ratio {} of width {dim} leaves no hidden unit", o.mlp_ratio)));
        }
        let attention = AttentionOptions { heads: o.heads, qkv_bias: o.qkv_bias, qk_norm: o.qk_norm, init: o.init };
        Ok(TransformerBlock {
            norm1: LayerNorm::new(&p.pp("norm1"), dim, o.eps, true)?,
            attn: Attention::new(&p.pp("attn"), dim, attention)?,
            norm2: LayerNorm::new(&p.pp("norm2"), dim, o.eps, true)?,
            mlp: Mlp::new(&p.pp("mlp"), dim, hidden, dim, o.tanh, o.init)?,
        })
    }

    /// A module of its own.
    ///
    /// # Errors
    /// As [`TransformerBlock::new`].
    pub fn module(dim: i64, options: BlockOptions) -> Result<Module> {
        Module::build("transformer_block", default_device(), move |p| Ok(Built::layer(TransformerBlock::new(p, dim, options)?)))
    }

    /// Runs it.
    ///
    /// # Errors
    /// `E0202` for a rank other than 3, `E0201` for another width.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = x.add(&self.attn.forward(&self.norm1.forward(x)?)?)?;
        x.add(&self.mlp.forward(&self.norm2.forward(&x)?)?)
    }
}
