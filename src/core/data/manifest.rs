//! `dataset.json` and `latents.json`: what a data set folder holds.

use super::decode::{Lost, PixelRule};
use super::latent_layout::{Features, Layout, Precision};
use super::size::{Size, is_square};
use crate::error::{Error, Result};
use crate::origin::{Made, Origin, hash_of};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::path::Path;

/// The version of both files; a newer one is refused.
pub const FORMAT_VERSION: u32 = 1;

/// One attribute: a column of `attributes.csv`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attribute {
    /// The column's name.
    pub name: String,
    /// The distinct values, sorted; the shards hold positions in this list.
    pub values: Vec<String>,
}

/// One shard file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardInfo {
    /// Its name in the folder.
    pub file: String,
    /// How many samples it holds.
    pub count: usize,
    /// Its size.
    pub bytes: u64,
    /// The SHA-256 of its content.
    pub sha256: String,
}

/// A picture that could not be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// Relative to the source folder.
    pub path: String,
    /// Why.
    pub reason: String,
}

/// So many pictures that cannot be used are named one by one.
pub(super) const NAMED: usize = 20;

/// Names what is skipped, one by one at first; `rest` goes on behind the number of the others.
pub(super) fn name_skipped(all: &[Skipped], rest: &str, say: &dyn Fn(&str)) {
    all.iter().take(NAMED).for_each(|s| say(&format!("skipped {}: {}", s.path, s.reason)));
    if all.len() > NAMED {
        say(&format!("skipped {} more{rest}", all.len() - NAMED));
    }
}

/// How many pictures lost something on their way to 8-bit RGB.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostCounts {
    /// 16-bit grey above 255, which was clipped.
    pub clipped: usize,
    /// Transparency.
    pub alpha: usize,
}

impl From<Lost> for LostCounts {
    fn from(lost: Lost) -> LostCounts {
        LostCounts { clipped: usize::from(lost.clipped), alpha: usize::from(lost.alpha) }
    }
}

impl std::ops::AddAssign for LostCounts {
    fn add_assign(&mut self, other: LostCounts) {
        self.clipped += other.clipped;
        self.alpha += other.alpha;
    }
}

impl LostCounts {
    /// A line for each kind.
    pub fn words(self) -> Vec<String> {
        let count = |n: usize| if n == 1 { "1 picture".to_owned() } else { format!("{n} pictures") };
        let mut lines = Vec::new();
        if self.clipped > 0 {
            let lost = "of 16-bit grey above 255 clipped to white, as Pillow does";
            lines.push(format!("{} {lost}: `pixels: \"scale\"` (--pixels scale) keeps their range", count(self.clipped)));
        }
        if self.alpha > 0 {
            lines.push(format!("{} with transparency, which is dropped, as Pillow does: what lay under it shows", count(self.alpha)));
        }
        lines
    }
}

/// The content of `dataset.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dataset {
    /// [`FORMAT_VERSION`].
    pub version: u32,
    /// `images-*.safetensors` hold u8 `[N, 3, H, W]`; this is H.
    pub resolution: usize,
    /// W; 0, and not in the file, for squares.
    #[serde(default, skip_serializing_if = "is_square")]
    pub width: usize,
    /// Pictures in all shards.
    pub count: usize,
    /// The class of each label.
    pub classes: Vec<String>,
    /// Pictures of each class.
    pub class_counts: Vec<usize>,
    /// What the columns of `attributes` mean; empty without attributes.
    pub attributes: Vec<Attribute>,
    /// What became of 16-bit grey.
    #[serde(default)]
    pub pixels: PixelRule,
    /// How many of the pictures lost something.
    #[serde(default)]
    pub lost: LostCounts,
    /// The shards in order.
    pub shards: Vec<ShardInfo>,
    /// SHA-256 over the list of source pictures: path, label, size.
    pub source: String,
    /// Pictures of the source, before skipping.
    pub source_count: usize,
    /// Source pictures in each shard, before skipping.
    pub shard_size: usize,
    /// Broken pictures, which are not in the shards.
    pub skipped: Vec<Skipped>,
}

impl Dataset {
    /// Of each picture.
    pub fn size(&self) -> Size {
        Size::of_kept(self.resolution, self.width)
    }

    /// What the shards hold: order, labels, attributes and pixels, by the hashes that were made while they were written.
    pub fn origin(&self, folder: &Path) -> Origin {
        let shards: Vec<Value> = self.shards.iter().map(|s| json!([s.count, s.sha256])).collect();
        let id = hash_of(&[&json!(["images", self.size().json(), self.classes, self.attributes, shards]).to_string()]);
        let pictures = Origin { kind: "pictures".into(), id: self.source.clone(), ..Origin::default() };
        Origin::new("images", folder)
            .about(format!("{} pictures of {}", self.count, self.size()))
            .with_id(id)
            .made(Made::from([("pictures".to_owned(), pictures.about(format!("{} files", self.source_count)))]), Map::new())
    }
}

/// The per-channel statistics of latents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LatentStats {
    /// How many samples they come from.
    pub count: usize,
    /// The mean of each channel.
    pub mean: Vec<f64>,
    /// The standard deviation of each channel of sampled latents `mean + std * eps`: `sqrt(var(mean) + E[std^2])`.
    pub std: Vec<f64>,
    /// The standard deviation of each channel of the posterior means alone.
    pub std_of_mean: Vec<f64>,
}

/// The content of `latents.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Latents {
    /// [`FORMAT_VERSION`].
    pub version: u32,
    /// A name for people: which VAE, which data.
    pub name: String,
    /// The hash of the VAE's weights that made them.
    pub vae: String,
    /// `[C, h, w]` of one latent.
    pub shape: [usize; 3],
    /// Latents in all shards.
    pub count: usize,
    /// The class of each label; empty when unknown.
    pub classes: Vec<String>,
    /// What the columns of `attributes` mean; empty without attributes.
    pub attributes: Vec<Attribute>,
    /// Latents in each shard but the last.
    pub shard_size: usize,
    /// The shards in order.
    pub shards: Vec<ShardInfo>,
    /// Per-channel statistics over all of them.
    pub stats: LatentStats,
    /// What they were made from: `images`, and the `vae` with its path. Empty where an earlier version or another program wrote them.
    #[serde(default, skip_serializing_if = "Made::is_empty")]
    pub made_from: Made,
    /// The settings that decided about them.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub settings: Map<String, Value>,
    /// What moments and features are kept as.
    #[serde(default, skip_serializing_if = "Precision::is_whole")]
    pub dtype: Precision,
    /// What that costs; nothing where nothing is rounded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rounding: Option<Rounding>,
    /// The vision models whose features are beside them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<Features>,
}

/// How far the means of latents are from what was computed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rounding {
    /// The largest distance.
    pub max: f64,
    /// The root of the mean squared distance, over that of the latents' own deviation.
    pub relative: f64,
}

impl Latents {
    pub(super) fn layout(&self) -> Layout<'_> {
        Layout { shape: self.shape, precision: self.dtype, attributes: &self.attributes, features: &self.features }
    }

    /// What they are: what the pictures, the VAE and the settings make them; where one of these is not known, what the shards hold.
    pub fn origin(&self, folder: &Path) -> Origin {
        let mut from = self.made_from.clone();
        if !self.vae.is_empty() {
            from.entry("vae".into()).or_insert_with(|| Origin { kind: "weights".into(), ..Origin::default() }).id.clone_from(&self.vae);
        }
        let mut settings = self.settings.clone();
        settings.insert("shape".into(), json!(self.shape));
        if !self.dtype.is_whole() {
            settings.insert("dtype".into(), json!(self.dtype));
        }
        if !self.features.is_empty() {
            settings.insert("features".into(), json!(self.features));
        }
        let about = format!("{} latents {:?}", self.count, self.shape);
        let o = Origin::new("latents", folder).about(about).made(from, settings);
        if o.from.contains_key("images") && o.from.contains_key("vae") {
            return o.derived();
        }
        let shards: Vec<Value> = self.shards.iter().map(|s| json!([s.count, s.sha256])).collect();
        let id = hash_of(&[&json!(["latents", self.shape, self.classes, self.attributes, shards]).to_string()]);
        o.with_id(id)
    }
}

/// Refuses a folder of a later format.
pub(crate) fn check_version(path: &Path, version: u32) -> Result<()> {
    if version == FORMAT_VERSION {
        return Ok(());
    }
    Err(Error::data(path, format!("its format has version {version}, this program reads version {FORMAT_VERSION}")))
}

/// Fails for a label that none of so many classes has; where no classes are known, any may be.
pub(super) fn check_labels(labels: &[i64], classes: usize) -> Result<(), String> {
    match labels.iter().find(|l| usize::try_from(**l).is_ok_and(|l| l >= classes) || **l < 0) {
        Some(label) if classes > 0 => Err(format!("a label is {label}, but there are {classes} classes: labels go from 0 to {}", classes - 1)),
        _ => Ok(()),
    }
}
