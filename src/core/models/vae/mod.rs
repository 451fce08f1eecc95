//! AutoencoderKL: the variational autoencoder of latent diffusion.
//!
//! CompVis/latent-diffusion, `ldm/models/autoencoder.py`, as used by REPA-E (arXiv 2504.10483) and Send-VAE (arXiv 2601.05823).
//! Shapes: B batch, C image channels, D latent channels, H W image size, h w latent size `H / 2^(levels - 1)`.

mod coder;
mod diffusers;
mod names;
mod parts;
mod posterior;

pub use posterior::Posterior;

use crate::error::{Error, Result, did_you_mean};
use crate::nn::bounds::{DEEPEST, WIDEST, room_for_weights, within};
use crate::nn::layers::{Conv2d, Conv2dOptions};
use crate::nn::{Built, Mode, Module, Path};
use crate::torch::{Device, Tensor, default_device};
use coder::{Decoder, Encoder};
pub use names::{ANCHOR, from_any, quant_convs, to_diffusers};
use parts::channels_last;

/// The architecture, with the reference's names.
#[derive(Debug, Clone, PartialEq)]
pub struct VaeConfig {
    /// Base width.
    pub ch: i64,
    /// Width of each level over `ch`, finest level first; each further level halves the resolution.
    pub ch_mult: Vec<i64>,
    /// Residual blocks of a level in the encoder; the decoder has one more.
    pub num_res_blocks: i64,
    /// Latent channels between encoder and `quant_conv`.
    pub z_channels: i64,
    /// Latent channels of the posterior.
    pub embed_dim: i64,
    /// Nominal resolutions whose levels have attention after each block.
    pub attn_resolutions: Vec<i64>,
    /// The nominal input resolution, from which the levels' resolutions are counted; any input size can be encoded.
    pub resolution: i64,
    /// Image channels.
    pub in_channels: i64,
    /// Channels of the reconstruction.
    pub out_ch: i64,
    /// Dropout inside the residual blocks, in training.
    pub dropout: f64,
    /// Groups of every group norm.
    pub norm_groups: i64,
    /// Whether a 1x1 convolution makes the moments. Without it `embed_dim` is `z_channels`.
    pub use_quant_conv: bool,
    /// Whether a 1x1 convolution stands before the decoder.
    pub use_post_quant_conv: bool,
}

impl Default for VaeConfig {
    /// f8d4, the VAE of Stable Diffusion.
    fn default() -> Self {
        VaeConfig {
            ch: 128,
            ch_mult: vec![1, 2, 4, 4],
            num_res_blocks: 2,
            z_channels: 4,
            embed_dim: 4,
            attn_resolutions: vec![16],
            resolution: 256,
            in_channels: 3,
            out_ch: 3,
            dropout: 0.0,
            norm_groups: 32,
            use_quant_conv: true,
            use_post_quant_conv: true,
        }
    }
}

impl VaeConfig {
    /// The names that [`VaeConfig::named`] knows.
    pub const NAMES: [&'static str; 3] = ["f8d4", "f8d16", "f16d32"];

    /// A published architecture: `f8d4` (SD-VAE), `f8d16` (FLUX, Stable Diffusion 3) or `f16d32` (VA-VAE, E2E-VAE, Send-VAE).
    ///
    /// # Errors
    /// `E0202` for another name.
    pub fn named(name: &str) -> Result<Self> {
        match name {
            "f8d4" => Ok(Self::default()),
            "f8d16" => {
                Ok(VaeConfig { z_channels: 16, embed_dim: 16, use_quant_conv: false, use_post_quant_conv: false, ..Self::default() })
            }
            "f16d32" => Ok(VaeConfig { ch_mult: vec![1, 1, 2, 2, 4], z_channels: 32, embed_dim: 32, ..Self::default() }),
            _ => Err(Error::value("vae", format!("unknown architecture `{name}`{}", did_you_mean(name, Self::NAMES))).help(
                "`f8d4`, `f8d16`, `f16d32`, a map such as `#{ch: 64, ch_mult: [1, 2, 4], z_channels: 4}`, or a folder of diffusers with its config.json",
            )),
        }
    }

    /// How many image pixels one latent pixel covers along one side.
    pub fn factor(&self) -> i64 {
        1 << (self.ch_mult.len().max(1) - 1)
    }

    fn check(&self) -> Result<()> {
        if self.ch_mult.is_empty() || self.ch_mult.len() > 16 {
            return Err(Error::value("vae", format!("`ch_mult` must have 1 to 16 levels, got {}", self.ch_mult.len())));
        }
        let widths = [
            ("ch", self.ch),
            ("z_channels", self.z_channels),
            ("embed_dim", self.embed_dim),
            ("resolution", self.resolution),
            ("in_channels", self.in_channels),
            ("out_ch", self.out_ch),
            ("norm_groups", self.norm_groups),
        ];
        within("vae", &widths, WIDEST)?;
        within("vae", &[("num_res_blocks", self.num_res_blocks)], DEEPEST)?;
        for m in &self.ch_mult {
            within("vae", &[("ch_mult", *m)], WIDEST)?;
            within("vae", &[("ch * ch_mult", m * self.ch)], WIDEST)?;
        }
        // Two convolutions of 3x3 in each block of encoder and decoder.
        let level = |m: &i64| 2.0 * self.num_res_blocks as f64 * 18.0 * ((m * self.ch) as f64).powi(2);
        room_for_weights("vae", self.ch_mult.iter().map(level).sum())?;
        if self.embed_dim != self.z_channels && !(self.use_quant_conv && self.use_post_quant_conv) {
            let message = format!("without `quant_conv` and `post_quant_conv`, embed_dim {} must be z_channels {}", self.embed_dim, self.z_channels);
            return Err(Error::value("vae", message));
        }
        match self.ch_mult.iter().map(|m| m * self.ch).find(|w| w % self.norm_groups != 0) {
            Some(w) => Err(Error::value("vae", format!("a level's width {w} is no multiple of norm_groups {}", self.norm_groups))
                .help("choose `ch` and `ch_mult` so that `ch * m` is a multiple, or set `norm_groups`")),
            None => Ok(()),
        }
    }
}

/// The autoencoder.
pub struct AutoencoderKl {
    config: VaeConfig,
    encoder: Encoder,
    decoder: Decoder,
    quant_conv: Option<Conv2d>,
    post_quant_conv: Option<Conv2d>,
    mode: Mode,
}

impl AutoencoderKl {
    /// Registers all parameters under `p`.
    ///
    /// # Errors
    /// `E0202` for a configuration that makes no network.
    pub fn new(p: &Path, config: VaeConfig) -> Result<Self> {
        config.check()?;
        let point = |name: &str, inputs, outputs| Conv2d::new(&p.pp(name), inputs, outputs, [1, 1], Conv2dOptions::default());
        Ok(AutoencoderKl {
            encoder: Encoder::new(&p.pp("encoder"), &config)?,
            decoder: Decoder::new(&p.pp("decoder"), &config)?,
            quant_conv: config.use_quant_conv.then(|| point("quant_conv", 2 * config.z_channels, 2 * config.embed_dim)).transpose()?,
            post_quant_conv: config.use_post_quant_conv.then(|| point("post_quant_conv", config.embed_dim, config.z_channels)).transpose()?,
            mode: p.mode(),
            config,
        })
    }

    /// A module of its own, with random weights, called `kind` in messages. It loads state dicts with the names of latent
    /// diffusion and REPA-E, with or without a prefix, and of diffusers.
    ///
    /// # Errors
    /// As [`AutoencoderKl::new`].
    pub fn module(kind: &str, config: VaeConfig) -> Result<Module> {
        Module::build(kind, default_device(), move |p| {
            let import = config.clone();
            Ok(Built::model(Self::new(p, config.clone())?).importing(move |state| names::import(state, import.ch_mult.len())))
        })
    }

    /// The architecture.
    pub fn config(&self) -> &VaeConfig {
        &self.config
    }

    /// Mean and log-variance before clamping: images `[B, C, H, W]` in [-1, 1] -> `[B, 2 D, h, w]`.
    ///
    /// # Errors
    /// `E0202` for another rank, `E0201` for other channels.
    pub fn moments(&self, x: &Tensor) -> Result<Tensor> {
        let moments = self.encoder.forward(&self.layout(x)?)?;
        self.quant_conv.as_ref().map_or(Ok(moments.clone()), |conv| conv.forward(&moments))
    }

    /// The posterior of images `[B, C, H, W]` in [-1, 1].
    ///
    /// # Errors
    /// As [`AutoencoderKl::moments`].
    pub fn encode(&self, x: &Tensor) -> Result<Posterior> {
        // Latents go through arithmetic and files: they leave in the ordinary layout.
        Posterior::new(&self.moments(x)?.contiguous()?)
    }

    /// Images from latents `[B, D, h, w]` -> `[B, C, H, W]`, in [-1, 1] as far as trained.
    ///
    /// # Errors
    /// `E0202` for another rank, `E0201` for other channels.
    pub fn decode(&self, z: &Tensor) -> Result<Tensor> {
        let z = self.layout(z)?;
        let z = self.post_quant_conv.as_ref().map_or(Ok(z.clone()), |conv| conv.forward(&z))?;
        self.decoder.forward(&z)?.contiguous()
    }

    /// Channels last on the CPU outside training: the forward pass of convolutions is faster so. The backward pass is not, nor group
    /// normalisation on a GPU.
    fn layout(&self, x: &Tensor) -> Result<Tensor> {
        x.size4()?;
        if self.mode.training() || x.device() != Device::Cpu { Ok(x.clone()) } else { channels_last(x) }
    }
}
