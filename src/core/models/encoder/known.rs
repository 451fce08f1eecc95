//! The vision models that have names, and where their weights are published.

use super::config::VitConfig;
use super::preprocess::{IMAGENET, Preprocess, Resize};
use super::{clip, dinov1, dinov2, dinov3, ijepa, lite0, mae, mocov3, pe, siglip2, webssl};
use crate::error::{Error, Result, did_you_mean};

/// Where a model's weights come from.
#[derive(Debug, Clone, PartialEq)]
pub struct Published {
    /// The name of the official file, and of REPA's copy of it where that differs.
    pub files: Vec<String>,
    /// Where the official file is.
    pub url: String,
    /// The SHA-256 of the official file, as far as its publisher says it: the first digits, or all, or none.
    pub sha256: &'static str,
    /// The same weights on huggingface.co, where they are: a repository in transformers' layout, or `owner/repo/file`.
    pub hugging_face: Option<String>,
    /// Places of the weights in the official checkpoint, best first.
    pub keys: &'static [&'static str],
}

/// What a name stands for.
#[derive(Debug, Clone, PartialEq)]
pub enum Network {
    /// EfficientNet-Lite0.
    Lite0,
    /// A vision transformer.
    Vit(Box<VitConfig>),
}

/// One name of `models::encoder`.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    /// `dinov2-vit-b`.
    pub name: String,
    /// The network.
    pub network: Network,
    /// Its weights.
    pub published: Published,
    /// What happens to pictures before; its resolution is the usual one for pictures of 256.
    pub preprocess: Preprocess,
}

impl Known {
    /// A vision transformer whose inputs are normalised by ImageNet's mean and deviation; patches of 14 pixels see pictures of 256 at 224, as
    /// REPA resizes them, so that the grid is 16 as with patches of 16.
    pub fn vit(name: String, config: VitConfig, published: Published) -> Self {
        let resolution = [Self::vit_resolution(256, config.patch); 2];
        let (mean, std) = IMAGENET;
        let preprocess = Preprocess { unit: 255.0, mean, std, resize_first: false, resize: Resize::Bicubic, resolution };
        Known { name, network: Network::Vit(Box::new(config)), published, preprocess }
    }

    /// The resolution at which REPA shows pictures of that side to a transformer of that patch: 14/16 of it for a patch of 14.
    fn vit_resolution(pictures: i64, patch: i64) -> i64 {
        if patch == 14 { pictures.saturating_mul(14) / 16 } else { pictures }
    }

    /// The resolution for pictures of that side, of each side by itself.
    pub fn resolution_for(&self, pictures: i64, patch: i64) -> i64 {
        match self.network {
            Network::Lite0 => pictures,
            Network::Vit(_) => Self::vit_resolution(pictures, patch),
        }
    }

    /// Everything that exists.
    pub fn all() -> Vec<Known> {
        let dino = [dinov1::known, dinov2::known, dinov3::known, webssl::known];
        let others = [clip::known, ijepa::known, lite0::known, mae::known, mocov3::known, pe::known, siglip2::known];
        dino.iter().chain(&others).flat_map(|line| line()).collect()
    }

    /// The model of that name; capitals do not matter.
    ///
    /// # Errors
    /// `E0202` for another name, with the nearest one.
    pub fn find(name: &str) -> Result<Known> {
        let all = Self::all();
        if let Some(known) = all.iter().find(|k| k.name.eq_ignore_ascii_case(name)) {
            return Ok(known.clone());
        }
        let names = || all.iter().map(|k| k.name.as_str());
        if name.to_ascii_lowercase().contains("naflex") {
            return Err(Error::value("encoder", format!("`{name}`: NaFlex models read pictures of any shape, which is not implemented"))
                .help("`siglip2-b`, `siglip2-l` and `siglip2-so400m` read squares of a fixed size"));
        }
        Err(Error::value("encoder", format!("unknown vision model `{name}`{}", did_you_mean(name, names())))
            .help(format!("one of {}, or `torchscript:PATH`", names().collect::<Vec<_>>().join(", "))))
    }
}
