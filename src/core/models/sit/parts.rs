//! Blocks, embeddings and the last layer of SiT.

use super::SitConfig;
use crate::error::{Error, Result};
use crate::nn::Path;
use crate::nn::layers::{Attention, AttentionOptions, Embedding, LayerNorm, Linear, LinearInit, Mlp};
use crate::torch::{DType, Tensor};

/// Sinusoids that the time goes through.
const FREQUENCIES: i64 = 256;

/// `x * (1 + scale) + shift` with one shift and scale for each sample: `[B, N, D]`, `[B, D]`, `[B, D]`.
fn modulate(x: &Tensor, shift: &Tensor, scale: &Tensor) -> Result<Tensor> {
    shift.unsqueeze(1)?.addcmul(x, &scale.add(1.0)?.unsqueeze(1)?)
}

/// Sinusoids of the time, `[cos, sin]`, max period 10000, t not scaled: `[B]` -> `[B, 256]` f32.
///
/// # Errors
/// `E0201` when libtorch refuses.
pub fn timestep_embedding(t: &Tensor) -> Result<Tensor> {
    let half = FREQUENCIES / 2;
    let index = Tensor::arange(0.0, half as f64, 1.0, DType::Float, t.device())?;
    let freqs = index.mul(-(10000f64.ln()))?.div(half as f64)?.exp()?;
    let args = t.to_dtype(DType::Float)?.reshape(&[-1, 1])?.mul(&freqs)?;
    Tensor::cat(&[args.cos()?, args.sin()?], 1)
}

/// Time -> width.
pub struct TimestepEmbedder {
    first: Linear,
    second: Linear,
}

impl TimestepEmbedder {
    pub fn new(p: &Path, hidden: i64) -> Result<Self> {
        let mlp = p.pp("mlp");
        Ok(TimestepEmbedder {
            first: Linear::new(&mlp.pp(0), FREQUENCIES, hidden, true, LinearInit::Normal(0.02))?,
            second: Linear::new(&mlp.pp(2), hidden, hidden, true, LinearInit::Normal(0.02))?,
        })
    }

    /// `[B]` -> `[B, D]`, in `dtype`.
    pub fn forward(&self, t: &Tensor, dtype: DType) -> Result<Tensor> {
        self.second.forward(&self.first.forward(&timestep_embedding(t)?.to_dtype(dtype)?)?.silu()?)
    }
}

/// Class labels -> width, with one more row for the null class.
pub struct LabelEmbedder(Embedding);

impl LabelEmbedder {
    pub fn new(p: &Path, classes: i64, hidden: i64) -> Result<Self> {
        Ok(LabelEmbedder(Embedding::new(&p.pp("embedding_table"), classes + 1, hidden, 0.02)?))
    }

    /// i64 `[B]` -> `[B, D]`.
    pub fn forward(&self, y: &Tensor) -> Result<Tensor> {
        self.0.forward(y)
    }
}

/// The block of DiT with adaLN-Zero.
pub struct SitBlock {
    norm: LayerNorm,
    attn: Attention,
    mlp: Mlp,
    modulation: Linear,
}

impl SitBlock {
    pub fn new(p: &Path, c: &SitConfig) -> Result<Self> {
        let attention = AttentionOptions { qk_norm: c.qk_norm, init: LinearInit::Xavier, ..AttentionOptions::new(c.heads) };
        let hidden = (c.hidden as f64 * c.mlp_ratio) as i64;
        Ok(SitBlock {
            norm: LayerNorm::new(p, c.hidden, 1e-6, false)?,
            attn: Attention::new(&p.pp("attn"), c.hidden, attention)?,
            mlp: Mlp::new(&p.pp("mlp"), c.hidden, hidden, c.hidden, true, LinearInit::Xavier)?,
            modulation: Linear::new(&p.pp("adaLN_modulation").pp(1), c.hidden, 6 * c.hidden, true, LinearInit::Zeros)?,
        })
    }

    /// `x` `[B, N, D]`; `c` `[B, D]` is the condition after SiLU, which all blocks share.
    pub fn forward(&self, x: &Tensor, c: &Tensor) -> Result<Tensor> {
        let parts = self.modulation.forward(c)?.chunk(6, 1)?;
        let [shift_msa, scale_msa, gate_msa, shift_mlp, scale_mlp, gate_mlp] = &parts[..] else {
            return Err(Error::value("sit", format!("the condition {} does not split into six", c.describe())));
        };
        let attn = self.attn.forward(&modulate(&self.norm.forward(x)?, shift_msa, scale_msa)?)?;
        let x = x.addcmul(&gate_msa.unsqueeze(1)?, &attn)?;
        let mlp = self.mlp.forward(&modulate(&self.norm.forward(&x)?, shift_mlp, scale_mlp)?)?;
        x.addcmul(&gate_mlp.unsqueeze(1)?, &mlp)
    }
}

/// Tokens -> patches of the velocity.
pub struct FinalLayer {
    norm: LayerNorm,
    linear: Linear,
    modulation: Linear,
}

impl FinalLayer {
    pub fn new(p: &Path, c: &SitConfig) -> Result<Self> {
        Ok(FinalLayer {
            norm: LayerNorm::new(p, c.hidden, 1e-6, false)?,
            linear: Linear::new(&p.pp("linear"), c.hidden, c.patch * c.patch * c.in_channels, true, LinearInit::Zeros)?,
            modulation: Linear::new(&p.pp("adaLN_modulation").pp(1), c.hidden, 2 * c.hidden, true, LinearInit::Zeros)?,
        })
    }

    /// `[B, N, D]`, `[B, D]` -> `[B, N, p * p * C]`.
    pub fn forward(&self, x: &Tensor, c: &Tensor) -> Result<Tensor> {
        let parts = self.modulation.forward(c)?.chunk(2, 1)?;
        let [shift, scale] = &parts[..] else {
            return Err(Error::value("sit", format!("the condition {} does not split into two", c.describe())));
        };
        self.linear.forward(&modulate(&self.norm.forward(x)?, shift, scale)?)
    }
}

/// From a block's tokens to a vision model's features: three linear maps with SiLU between.
pub struct Projector([Linear; 3]);

impl Projector {
    pub fn new(p: &Path, inputs: i64, hidden: i64, outputs: i64) -> Result<Self> {
        let linear = |i: i64, a, b| Linear::new(&p.pp(i), a, b, true, LinearInit::Xavier);
        Ok(Projector([linear(0, inputs, hidden)?, linear(2, hidden, hidden)?, linear(4, hidden, outputs)?]))
    }

    /// `[B, N, D]` -> `[B, N, z]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let [a, b, c] = &self.0;
        c.forward(&b.forward(&a.forward(x)?.silu()?)?.silu()?)
    }
}
