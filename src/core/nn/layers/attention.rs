//! Self-attention as timm's `Attention`.

use super::{LayerNorm, Linear, LinearInit, forward_one};
use crate::error::{Error, Result};
use crate::nn::bounds::{WIDEST, within};
use crate::nn::{Built, Module, Path};
use crate::torch::{Tensor, default_device};

/// timm's options.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AttentionOptions {
    /// Number of heads, a divisor of the width.
    pub heads: i64,
    /// Whether the joint query, key, value map has a bias.
    pub qkv_bias: bool,
    /// Whether queries and keys are layer-normalised (eps 1e-5) for each head.
    pub qk_norm: bool,
    /// First values of both maps.
    pub init: LinearInit,
}

impl Default for AttentionOptions {
    fn default() -> Self {
        AttentionOptions::new(1)
    }
}

impl AttentionOptions {
    /// `heads` heads, with bias, without norms.
    pub fn new(heads: i64) -> Self {
        AttentionOptions { heads, qkv_bias: true, qk_norm: false, init: LinearInit::Torch }
    }
}

/// Multi-head self-attention: `[B, N, D]` -> `[B, N, D]`. Parameters `qkv` (fused), `proj` and, with `qk_norm`, `q_norm`, `k_norm`.
#[derive(Debug, Clone)]
pub struct Attention {
    qkv: Linear,
    norms: Option<(LayerNorm, LayerNorm)>,
    proj: Linear,
    heads: i64,
}
forward_one!(Attention, "attention");

impl Attention {
    /// Registers its parameters.
    ///
    /// # Errors
    /// `E0202` when the heads do not divide the width.
    pub fn new(p: &Path, dim: i64, o: AttentionOptions) -> Result<Self> {
        if o.heads < 1 || dim < 1 || dim % o.heads != 0 {
            return Err(Error::value("attention", format!("{} heads do not divide the width {dim}", o.heads)));
        }
        within("attention", &[("dim", dim)], WIDEST)?;
        let head = dim / o.heads;
        let norm = |name| LayerNorm::new(&p.pp(name), head, 1e-5, true);
        Ok(Attention {
            qkv: Linear::new(&p.pp("qkv"), dim, 3 * dim, o.qkv_bias, o.init)?,
            norms: o.qk_norm.then(|| Ok::<_, Error>((norm("q_norm")?, norm("k_norm")?))).transpose()?,
            proj: Linear::new(&p.pp("proj"), dim, dim, true, o.init)?,
            heads: o.heads,
        })
    }

    /// The same over maps that are registered already: `qkv` `[3 D, D]`, `proj` `[D, D]`, with `heads` a divisor of D.
    pub fn of(qkv: Linear, proj: Linear, heads: i64) -> Self {
        Attention { qkv, norms: None, proj, heads }
    }

    /// A module of its own.
    ///
    /// # Errors
    /// As [`Attention::new`].
    pub fn module(dim: i64, options: AttentionOptions) -> Result<Module> {
        Module::build("attention", default_device(), move |p| Ok(Built::layer(Attention::new(p, dim, options)?)))
    }

    /// Runs it.
    ///
    /// # Errors
    /// `E0202` for a rank other than 3, `E0201` for another width.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.forward_with(x, |queries_or_keys| Ok(queries_or_keys.clone()))
    }

    /// The same where `turn` changes queries and keys, `[B, heads, N, D / heads]` each, before they meet: rotary positions.
    ///
    /// # Errors
    /// As [`Attention::forward`], and those of `turn`.
    pub fn forward_with(&self, x: &Tensor, turn: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
        let (b, n, d) = x.size3()?;
        // Views only: the fused kernel takes strided inputs.
        let qkv = self.qkv.forward(x)?.view(&[b, n, 3, self.heads, d / self.heads])?.permute(&[2, 0, 3, 1, 4])?;
        let (mut q, mut k, v) = (qkv.select(0, 0)?, qkv.select(0, 1)?, qkv.select(0, 2)?);
        if let Some((q_norm, k_norm)) = &self.norms {
            (q, k) = (q_norm.forward(&q)?, k_norm.forward(&k)?);
        }
        let out = Tensor::attention(&turn(&q)?, &turn(&k)?, &v, None, false, None)?;
        self.proj.forward(&out.transpose(1, 2)?.reshape(&[b, n, d])?)
    }
}
