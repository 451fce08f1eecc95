//! PatchGAN: the discriminator of pix2pix, as latent diffusion trains its autoencoders against it.
//!
//! CompVis/taming-transformers `NLayerDiscriminator` with batch norm (arXiv 1611.07004, 2012.09841). In training every forward pass
//! normalises by its own batch and moves the running statistics, so real and generated images must be passed apart.

use crate::error::{Error, Result};
use crate::models::names::strip_prefix;
use crate::nn::bounds::{WIDEST, within};
use crate::nn::layers::{BatchNorm2d, BatchNormOptions, Conv2d, Conv2dOptions, LinearInit};
use crate::nn::{Built, Init, Module, Path};
use crate::torch::{Tensor, default_device};

/// The architecture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PatchGanConfig {
    /// Base width.
    pub ndf: i64,
    /// Number of strided convolutions.
    pub layers: i64,
    /// Image channels.
    pub in_channels: i64,
    /// Whether a batch is normalised between the convolutions; without it a picture's logits do not depend on the others of its batch.
    pub batch_norm: bool,
}

impl Default for PatchGanConfig {
    fn default() -> Self {
        PatchGanConfig { ndf: 64, layers: 3, in_channels: 3, batch_norm: true }
    }
}

struct Stage {
    conv: Conv2d,
    norm: Option<BatchNorm2d>,
}

/// One logit for each patch of an image: `[B, C, H, W]` -> `[B, 1, H', W']`.
pub struct PatchGan {
    stages: Vec<Stage>,
    last: Conv2d,
}
crate::nn::layers::forward_one!(PatchGan, "discriminator");

impl PatchGan {
    /// Registers all parameters under `p`: `main.0`, `main.2`, `main.3`, ... as the reference.
    ///
    /// # Errors
    /// `E0202` for a configuration that makes no network.
    pub fn new(p: &Path, c: PatchGanConfig) -> Result<Self> {
        if c.ndf < 1 || !(1..=16).contains(&c.layers) || c.in_channels < 1 {
            return Err(Error::value("discriminator", format!("ndf and in_channels must be at least 1, layers 1 to 16: {c:?}")));
        }
        within("discriminator", &[("ndf", c.ndf), ("in_channels", c.in_channels)], WIDEST / 8)?;
        let p = p.pp("main");
        let conv = |index: i64, inputs, outputs, stride: i64, bias| {
            let options = Conv2dOptions { bias, init: LinearInit::NormalWeight(0.02), ..Conv2dOptions::default().stride(stride).padding(1) };
            Conv2d::new(&p.pp(index), inputs, outputs, [4, 4], options)
        };
        let mut stages = vec![Stage { conv: conv(0, c.in_channels, c.ndf, 2, true)?, norm: None }];
        let (mut width, mut index) = (c.ndf, 2);
        for n in 1..=c.layers {
            let outputs = c.ndf * (1 << n.min(3));
            let stage = conv(index, width, outputs, if n < c.layers { 2 } else { 1 }, !c.batch_norm)?;
            let options = || BatchNormOptions { weight: Init::Normal(1.0, 0.02), ..BatchNormOptions::default() };
            let norm = c.batch_norm.then(|| BatchNorm2d::new(&p.pp(index + 1), outputs, options())).transpose()?;
            stages.push(Stage { conv: stage, norm });
            (width, index) = (outputs, index + 3);
        }
        Ok(PatchGan { stages, last: conv(index, width, 1, 1, true)? })
    }

    /// A module of its own, with random weights. It loads state dicts with or without a prefix (`loss.discriminator.`).
    ///
    /// # Errors
    /// As [`PatchGan::new`].
    pub fn module(config: PatchGanConfig) -> Result<Module> {
        Module::build("discriminator", default_device(), move |p| {
            Ok(Built::layer(Self::new(p, config)?).importing(|state| strip_prefix(state, "main.0.weight")))
        })
    }

    /// The logits: high for real.
    ///
    /// # Errors
    /// `E0201` for other channels, or an image too small for the layers.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mut h = x.clone();
        for stage in &self.stages {
            h = stage.conv.forward(&h)?;
            if let Some(norm) = &stage.norm {
                h = norm.forward(&h)?;
            }
            h = h.leaky_relu(0.2)?;
        }
        self.last.forward(&h)
    }
}
