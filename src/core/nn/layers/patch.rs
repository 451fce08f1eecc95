//! Pictures to tokens.

use super::{Conv2d, Conv2dOptions, LinearInit, forward_one};
use crate::error::Result;
use crate::nn::{Built, Module, Path};
use crate::torch::{Tensor, default_device};

/// A map as tokens, row by row: `[B, C, h, w]` -> `[B, h * w, C]`.
///
/// # Errors
/// `E0202` for another rank.
pub fn patchify(x: &Tensor) -> Result<Tensor> {
    x.size4()?;
    x.flatten(2, 3)?.transpose(1, 2)
}

/// Patches through one linear map: `[B, C, H, W]` -> `[B, (H / p) * (W / p), D]`. Its parameters are those of a convolution, `proj`.
#[derive(Debug, Clone)]
pub struct PatchEmbed {
    proj: Conv2d,
}
forward_one!(PatchEmbed, "patch_embed");

impl PatchEmbed {
    /// Registers `proj.weight` `[dim, channels, patch, patch]` and `proj.bias`.
    ///
    /// # Errors
    /// `E0202` for a patch below 1.
    pub fn new(p: &Path, channels: i64, dim: i64, patch: i64, init: LinearInit) -> Result<Self> {
        let options = Conv2dOptions { init, ..Conv2dOptions::default().stride(patch) };
        Ok(PatchEmbed { proj: Conv2d::new(&p.pp("proj"), channels, dim, [patch, patch], options)? })
    }

    /// A module of its own.
    ///
    /// # Errors
    /// As [`PatchEmbed::new`].
    pub fn module(channels: i64, dim: i64, patch: i64, init: LinearInit) -> Result<Module> {
        Module::build("patch_embed", default_device(), move |p| Ok(Built::layer(PatchEmbed::new(p, channels, dim, patch, init)?)))
    }

    /// Runs it.
    ///
    /// # Errors
    /// `E0202` for a rank other than 4, `E0201` for other channels.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        patchify(&self.proj.forward(x)?)
    }
}
