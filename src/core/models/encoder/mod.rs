//! Frozen vision models: the targets of alignment, and the eyes of distances between pictures.
//!
//! One line of models, one file, which lists its names in [`Known::all`]; a network of another kind implements [`VisionModel`].

mod clip;
mod config;
mod dinov1;
mod dinov2;
mod dinov3;
mod hugging_face;
mod ijepa;
mod import;
mod known;
mod lite0;
mod locate;
mod mae;
mod mocov3;
mod names;
mod pe;
mod positions;
mod preprocess;
mod rope;
mod siglip2;
mod size;
mod torchscript;
mod vit;
mod webssl;

pub use config::{Ffn, LastNorm, Positions, VitConfig, VitOptions};
pub use known::{Known, Network, Published};
pub use lite0::EfficientNetLite0;
pub use locate::item as encoder_item;
pub use locate::weights as encoder_weights;
pub use positions::{Interpolation, interpolate_positions, resample_positions};
pub use preprocess::{Preprocess, Resize};
pub use rope::Rope;
pub use vit::Vit;

use crate::error::{Error, Result};
use crate::fetch::Item;
use crate::nn::{Built, Module, State};
use crate::torch::{Tensor, default_device};
use size::{Size, square};
use std::path::{Path as FilePath, PathBuf};

/// What a vision model computes from its input, `[B, 3, H, W]` as [`Preprocess`] makes it.
pub trait VisionModel {
    /// The tokens, row by row: `[B, rows * columns, dim]`.
    ///
    /// # Errors
    /// `E0201` when libtorch refuses, `E0202` for an input of another size.
    fn features(&self, input: &Tensor) -> Result<Tensor>;

    /// The width of the tokens.
    fn dim(&self) -> i64;

    /// Rows and columns of the tokens.
    fn grid_size(&self) -> Size;

    /// One vector for each picture, for distances: `[B, D]`.
    ///
    /// # Errors
    /// `E0201` when libtorch refuses.
    fn pooled(&self, input: &Tensor) -> Result<Tensor>;

    /// All tokens of a transformer's last block, before the last norm: class token, registers, patches.
    ///
    /// # Errors
    /// `E0202` for a model that is no transformer.
    fn hidden(&self, _input: &Tensor) -> Result<Tensor> {
        Err(Error::value("encoder", "this vision model has no tokens before a last norm"))
    }

    /// Feature maps from fine to coarse, `[B, C, h, w]` each.
    ///
    /// # Errors
    /// `E0202` for a model that has no maps of several sizes.
    fn maps(&self, _input: &Tensor) -> Result<Vec<Tensor>> {
        Err(Error::value("encoder", "this vision model has no feature maps of several sizes"))
    }

    /// Scores of the 1000 ImageNet classes: `[B, 1000]`.
    ///
    /// # Errors
    /// `E0202` for a model without a classifier.
    fn logits(&self, _input: &Tensor) -> Result<Tensor> {
        Err(Error::value("encoder", "this vision model has no classifier"))
    }
}

/// How an encoder is made.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EncoderOptions {
    /// The file of the weights, or a folder of Hugging Face; otherwise they are looked for, see [`encoder_weights`].
    pub weights: Option<PathBuf>,
    /// The place of the weights in a checkpoint; otherwise the model's usual ones are looked at.
    pub key: Option<String>,
    /// Height and width of the network's input, to which pictures are resized; the model's own where not given.
    pub resolution: Option<Size>,
    /// Height and width of the pictures that will come, from which the resolution follows as in REPA, of each side: the same for patches of 16 pixels, 14/16
    /// of it for patches of 14.
    pub pictures: Option<Size>,
    /// Picture pixels along one side of a token, for models with maps of several sizes.
    pub stride: Option<i64>,
    /// Mean of the normalisation, in [0, 1], instead of the model's own.
    pub mean: Option<[f64; 3]>,
    /// Deviation of the normalisation.
    pub std: Option<[f64; 3]>,
    /// Other sizes of a transformer.
    pub vit: VitOptions,
    /// Tokens to leave out at the front of a TorchScript program's.
    pub skip: Option<i64>,
    /// The key or index of the tokens in what a TorchScript program returns.
    pub output: Option<String>,
}

impl EncoderOptions {
    /// Refuses the named options where they are given: the model has no use for them.
    fn refuse(&self, name: &str, options: &[&str]) -> Result<()> {
        let given = |option: &str| match option {
            "stride" => self.stride.is_some(),
            "skip" => self.skip.is_some(),
            "output" => self.output.is_some(),
            "key" => self.key.is_some(),
            "weights" => self.weights.is_some(),
            _ => self.vit != VitOptions::default(),
        };
        match options.iter().find(|o| given(o)) {
            Some(option) => Err(Error::value("encoder", format!("{name} has no option for {option}"))),
            None => Ok(()),
        }
    }
}

/// A frozen vision model with its preprocessing.
pub struct Encoder {
    model: Box<dyn VisionModel>,
    preprocess: Preprocess,
    /// Any tensor of the network: pictures go where it is.
    anchor: Option<Tensor>,
}

crate::nn::layers::forward_one!(Encoder, "encoder");

impl Encoder {
    /// A module with real weights and without gradients of its own: one of [`Known::all`], or `torchscript:PATH`. The weights are those of
    /// [`encoder_weights`].
    ///
    /// # Errors
    /// `E0202` for an unknown name or option, `E0301` when the weights are not there, with where to get them, `E0401` when they belong to
    /// another network.
    pub fn module(name: &str, options: EncoderOptions) -> Result<Module> {
        if let Some(path) = name.strip_prefix("torchscript:") {
            return Self::torchscript(FilePath::new(path), options);
        }
        let known = Known::find(name)?;
        let path = locate::find(&known, options.weights.clone())?;
        let module = Self::build(&known, &options, false)?;
        let named = |e: Error| e.context(path.display().to_string());
        let state = locate::read(&path, options.key.as_deref(), &known.published)?;
        module.load_state(&state, true).map_err(named)?;
        Ok(module)
    }

    /// What can be fetched for an encoder whose weights are not there, and the error where it may not be.
    ///
    /// # Errors
    /// `E0202` for an unknown name; the error itself where nothing can be fetched.
    pub fn absent(name: &str, options: &EncoderOptions) -> Result<Option<(Item, Error)>> {
        if name.starts_with("torchscript:") || options.weights.is_some() {
            return Ok(None);
        }
        let known = Known::find(name)?;
        match locate::find(&known, None) {
            Ok(_) => Ok(None),
            Err(missing) => match locate::item(&known) {
                Some(item) => Ok(Some((item, missing))),
                None => Err(missing),
            },
        }
    }

    /// The same network with the weights of a state dict, under any of the names in which they are published.
    ///
    /// # Errors
    /// `E0202` for an unknown name or option, `E0401` when the weights belong to another network.
    pub fn with_state(name: &str, options: EncoderOptions, state: &State) -> Result<Module> {
        options.refuse(name, &["weights", "key"])?;
        let module = Self::build(&Known::find(name)?, &options, false)?;
        module.load_state(state, true)?;
        Ok(module)
    }

    /// The same network with random weights: for tests, and as the floor of an ablation.
    ///
    /// # Errors
    /// `E0202` for an unknown name or option.
    pub fn untrained(name: &str, options: EncoderOptions) -> Result<Module> {
        options.refuse(name, &["weights", "key"])?;
        Self::build(&Known::find(name)?, &options, true)
    }

    fn build(known: &Known, options: &EncoderOptions, draw: bool) -> Result<Module> {
        options.refuse(&known.name, &["skip", "output"])?;
        let (name, known, options) = (known.name.clone(), known.clone(), options.clone());
        let module = Module::build(name, default_device(), move |p| {
            let preprocess = |patch| options.preprocess(known.preprocess, |pictures| known.resolution_for(pictures, patch));
            match &known.network {
                Network::Lite0 => {
                    options.refuse(&known.name, &["sizes of a transformer"])?;
                    let preprocess = preprocess(1);
                    let model = EfficientNetLite0::new(p, preprocess.resolution, options.stride.unwrap_or(lite0::STRIDE))?;
                    Ok(Built::layer(Encoder { model: Box::new(model), preprocess, anchor: p.anchor() }))
                }
                Network::Vit(config) => {
                    options.refuse(&known.name, &["stride"])?;
                    let config = config.with(&options.vit);
                    let preprocess = preprocess(config.patch);
                    let (import, is_open) = Vit::importer(&config, preprocess.resolution)?;
                    let model = Vit::new(p, config, preprocess.resolution, draw)?;
                    Ok(Built::layer(Encoder { model: Box::new(model), preprocess, anchor: p.anchor() }).importing(import).reading_own(is_open))
                }
            }
        })?;
        Self::freeze(module)
    }

    fn torchscript(path: &FilePath, options: EncoderOptions) -> Result<Module> {
        let name = format!("torchscript:{}", path.display());
        options.refuse(&name, &["weights", "key", "stride", "sizes of a transformer"])?;
        let path = path.to_owned();
        let module = Module::build(name, default_device(), move |p| {
            let (mean, std) = preprocess::IMAGENET;
            let usual = Preprocess { unit: 255.0, mean, std, resize_first: false, resize: Resize::Bicubic, resolution: [torchscript::RESOLUTION; 2] };
            let preprocess = options.preprocess(usual, |_| torchscript::RESOLUTION);
            let model = torchscript::Program::new(p, &path, &options, preprocess.resolution)?;
            Ok(Built::layer(Encoder { model: Box::new(model), preprocess, anchor: p.anchor() }))
        })?;
        Self::freeze(module)
    }

    fn freeze(module: Module) -> Result<Module> {
        module.set_requires_grad(false)?;
        module.set_training(false);
        Ok(module)
    }

    /// Pictures `[B, 3, H, W]`, u8 or floats in [-1, 1], on any device, as the network's input on its own.
    ///
    /// # Errors
    /// `E0202` for another shape or dtype.
    pub fn preprocess(&self, images: &Tensor) -> Result<Tensor> {
        let device = self.anchor.as_ref().map_or_else(default_device, Tensor::device);
        self.preprocess.apply(&images.to_device(device)?)
    }

    /// The network, which takes what [`Encoder::preprocess`] makes.
    pub fn network(&self) -> &dyn VisionModel {
        &*self.model
    }

    /// Tokens of pictures `[B, 3, H, W]`: u8 pixels, or floats in [-1, 1] through which gradients flow. `[B, rows * columns, dim]`, row by row.
    ///
    /// # Errors
    /// `E0202` for another shape or dtype.
    pub fn features(&self, images: &Tensor) -> Result<Tensor> {
        self.model.features(&self.preprocess(images)?)
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
        self.model.pooled(&self.preprocess(images)?)
    }

    /// Feature maps from fine to coarse: `[B, C, h, w]` each.
    ///
    /// # Errors
    /// As [`Encoder::features`]; `E0202` for a model that has none.
    pub fn maps(&self, images: &Tensor) -> Result<Vec<Tensor>> {
        self.model.maps(&self.preprocess(images)?)
    }

    /// Scores of the ImageNet classes: `[B, 1000]`.
    ///
    /// # Errors
    /// As [`Encoder::features`]; `E0202` for a model without a classifier.
    pub fn logits(&self, images: &Tensor) -> Result<Tensor> {
        self.model.logits(&self.preprocess(images)?)
    }

    /// The width of the tokens.
    pub fn dim(&self) -> i64 {
        self.model.dim()
    }

    /// Rows and columns of the tokens.
    pub fn grid_size(&self) -> [i64; 2] {
        self.model.grid_size()
    }

    /// Tokens along one side of a square.
    ///
    /// # Errors
    /// `E0202` for an encoder whose tokens are no square.
    pub fn grid(&self) -> Result<i64> {
        square(self.grid_size(), "the grid of this vision model's tokens", "grid_size")
    }

    /// Height and width to which pictures are resized.
    pub fn input_size(&self) -> [i64; 2] {
        self.preprocess.resolution
    }

    /// The side of the square to which pictures are resized.
    ///
    /// # Errors
    /// `E0202` for an encoder whose input is no square.
    pub fn resolution(&self) -> Result<i64> {
        square(self.input_size(), "the input of this vision model", "input_size")
    }
}

impl EncoderOptions {
    /// A model's usual preprocessing with what was set; `resolution_for` gives the resolution for one side of pictures.
    fn preprocess(&self, usual: Preprocess, resolution_for: impl Fn(i64) -> i64) -> Preprocess {
        Preprocess {
            resolution: self.resolution.or(self.pictures.map(|sides| sides.map(resolution_for))).unwrap_or(usual.resolution),
            mean: self.mean.map_or(usual.mean, |m| m.map(|v| v * 255.0 / usual.unit)),
            std: self.std.map_or(usual.std, |s| s.map(|v| v * 255.0 / usual.unit)),
            ..usual
        }
    }
}
