//! Frozen vision models: the targets of alignment, and the eyes of distances between pictures.
//!
//! One name, one file: a model of another kind implements [`VisionModel`] and gets a line in [`BUILT`].

mod lite0;
mod locate;

pub use lite0::EfficientNetLite0;
pub use locate::weights as encoder_weights;
pub use locate::{cache as cache_folder, folders as weight_folders};

use crate::error::{Error, Result, did_you_mean};
use crate::nn::{Built, Module, Path, State, read_state};
use crate::torch::{Tensor, default_device};
use std::path::PathBuf;

/// What a vision model can do with pixels `[B, 3, H, W]` f32 in 0..255, RGB, already at its resolution. Each does its own normalisation.
pub trait VisionModel {
    /// The tokens: `[B, grid * grid, dim]`.
    ///
    /// # Errors
    /// `E0201` when libtorch refuses.
    fn features(&self, pixels: &Tensor) -> Result<Tensor>;

    /// The width of the tokens.
    fn dim(&self) -> i64;

    /// Tokens along one side.
    fn grid(&self) -> i64;

    /// One vector for each picture, for distances: `[B, D]`.
    ///
    /// # Errors
    /// `E0201` when libtorch refuses.
    fn pooled(&self, pixels: &Tensor) -> Result<Tensor>;

    /// Feature maps from fine to coarse, `[B, C, h, w]` each.
    ///
    /// # Errors
    /// `E0202` for a model that has no maps of several sizes.
    fn maps(&self, _pixels: &Tensor) -> Result<Vec<Tensor>> {
        Err(Error::value("encoder", "this vision model has no feature maps of several sizes"))
    }

    /// Scores of the 1000 ImageNet classes: `[B, 1000]`.
    ///
    /// # Errors
    /// `E0202` for a model without a classifier.
    fn logits(&self, _pixels: &Tensor) -> Result<Tensor> {
        Err(Error::value("encoder", "this vision model has no classifier"))
    }
}

/// How an encoder is made.
#[derive(Debug, Clone, Default)]
pub struct EncoderOptions {
    /// The file of the weights; otherwise they are looked for, see [`Encoder::module`].
    pub weights: Option<PathBuf>,
    /// Pictures are resized to this side before the model; the model's own where not given.
    pub resolution: Option<i64>,
    /// Picture pixels along one side of a token, for models with maps of several sizes.
    pub stride: Option<i64>,
}

type Constructor = fn(&Path, &EncoderOptions) -> Result<(Box<dyn VisionModel>, i64)>;

/// Every encoder that exists: its name, and how it is built with its resolution.
const BUILT: &[(&str, Constructor)] = &[("efficientnet-lite0", lite0::build)];

/// A frozen vision model with its resolution.
pub struct Encoder {
    model: Box<dyn VisionModel>,
    resolution: i64,
}

crate::nn::layers::forward_one!(Encoder, "encoder");

impl Encoder {
    /// A module with real weights and without gradients of its own. The weights come from `options.weights`; else from the folder
    /// `LATHE_WEIGHTS`; else from `weights/` in `LATHE_CACHE` or the user's cache folder, where `make weights` puts them.
    ///
    /// # Errors
    /// `E0202` for an unknown name or option, `E0301` when the weights are not there, with the command that fetches them, `E0401` when
    /// they belong to another network.
    pub fn module(name: &str, options: EncoderOptions) -> Result<Module> {
        let module = Self::untrained(name, options.clone())?;
        let path = locate::weights(name, options.weights)?;
        let state = read_state(&path, None)?;
        module.load_state(&state, true).map_err(|e| e.context(path.display().to_string()))?;
        Ok(module)
    }

    /// The same network with the weights of a state dict.
    ///
    /// # Errors
    /// `E0202` for an unknown name or option, `E0401` when the weights belong to another network.
    pub fn with_state(name: &str, options: EncoderOptions, state: &State) -> Result<Module> {
        let module = Self::untrained(name, options)?;
        module.load_state(state, true)?;
        Ok(module)
    }

    fn untrained(name: &str, options: EncoderOptions) -> Result<Module> {
        let known = BUILT.iter().map(|b| b.0);
        let &(_, build) = BUILT.iter().find(|b| b.0 == name).ok_or_else(|| {
            Error::value("encoder", format!("unknown vision model `{name}`{}", did_you_mean(name, known.clone())))
                .help(format!("this version has: {}", known.collect::<Vec<_>>().join(", ")))
        })?;
        let module = Module::build(name, default_device(), move |p| {
            let (model, resolution) = build(p, &options)?;
            Ok(Built::layer(Encoder { model, resolution }))
        })?;
        module.set_requires_grad(false)?;
        module.set_training(false);
        Ok(module)
    }

    /// Tokens of pictures `[B, 3, H, W]`: u8 pixels, or floats in [-1, 1] through which gradients flow. `[B, grid * grid, dim]`.
    ///
    /// # Errors
    /// `E0202` for another shape or dtype.
    pub fn features(&self, images: &Tensor) -> Result<Tensor> {
        self.model.features(&self.pixels(images)?)
    }

    /// The same: what a module's `forward` does.
    ///
    /// # Errors
    /// As [`Encoder::features`].
    pub fn forward(&self, images: &Tensor) -> Result<Tensor> {
        self.features(images)
    }

    /// One vector for each picture, for distances: `[B, D]`.
    ///
    /// # Errors
    /// As [`Encoder::features`].
    pub fn pooled(&self, images: &Tensor) -> Result<Tensor> {
        self.model.pooled(&self.pixels(images)?)
    }

    /// Feature maps from fine to coarse: `[B, C, h, w]` each.
    ///
    /// # Errors
    /// As [`Encoder::features`]; `E0202` for a model that has none.
    pub fn maps(&self, images: &Tensor) -> Result<Vec<Tensor>> {
        self.model.maps(&self.pixels(images)?)
    }

    /// Scores of the ImageNet classes: `[B, 1000]`.
    ///
    /// # Errors
    /// As [`Encoder::features`]; `E0202` for a model without a classifier.
    pub fn logits(&self, images: &Tensor) -> Result<Tensor> {
        self.model.logits(&self.pixels(images)?)
    }

    /// The width of the tokens.
    pub fn dim(&self) -> i64 {
        self.model.dim()
    }

    /// Tokens along one side.
    pub fn grid(&self) -> i64 {
        self.model.grid()
    }

    /// The side to which pictures are resized.
    pub fn resolution(&self) -> i64 {
        self.resolution
    }

    /// Pixels 0..255 at the model's resolution. Bicubic without antialiasing, as REPA and REPA-E resize.
    fn pixels(&self, images: &Tensor) -> Result<Tensor> {
        let (_, c, h, w) = images.size4()?;
        if c != 3 {
            return Err(Error::value("encoder", format!("pictures have 3 channels, got {}", images.describe())));
        }
        let pixels = match images.dtype() {
            crate::torch::DType::Uint8 => images.to_dtype(crate::torch::DType::Float)?,
            _ if images.is_float() => images.add(1.0)?.mul(127.5)?,
            _ => return Err(Error::value("encoder", format!("pictures are u8, or floats in [-1, 1]; got {}", images.describe()))),
        };
        let side = self.resolution;
        if (h, w) == (side, side) { Ok(pixels) } else { pixels.upsample_bicubic2d([side, side], false) }
    }
}
