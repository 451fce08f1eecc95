//! A folder of cached latents.

use super::batch::{Batch, Samples};
use super::latent_layout::{Features, feature_name};
use super::manifest::{Attribute, Latents, check_labels, check_version};
use super::shards::Shards;
use crate::error::{Error, Result};
use crate::files;
use crate::origin::Origin;
use crate::torch::{DType, Tensor};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A folder of latents made by a [`LatentWriter`](super::LatentWriter), memory-mapped. Clones share it.
#[derive(Clone)]
pub struct LatentSet(Arc<Inner>, With);

/// Whether batches have the features that are kept.
#[derive(Clone, Copy, PartialEq)]
enum With {
    Features,
    LatentsAlone,
}

struct Inner {
    folder: PathBuf,
    latents: Latents,
    shards: Shards,
}

impl std::fmt::Debug for LatentSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let l = &self.0.latents;
        write!(f, "{} latents {:?} of `{}`, in {}", l.count, l.shape, l.name, self.0.folder.display())
    }
}

impl LatentSet {
    /// Opens a folder of latents and checks that each shard has its recorded size, dtype and shape.
    ///
    /// # Errors
    /// `E0301` when a file is missing, `E0302` when one is truncated or does not fit.
    pub fn open(folder: impl AsRef<Path>) -> Result<LatentSet> {
        let folder = folder.as_ref();
        let manifest = folder.join("latents.json");
        if !manifest.is_file() {
            let partial = folder.join("latents.partial.json").is_file();
            let what = if partial { "the latents are not finished" } else { "not a folder of latents: there is no latents.json" };
            return Err(Error::data(folder, what).help("a latent writer makes one, as scripts/cache_latents.rhai does"));
        }
        let latents: Latents = files::read_json(&manifest)?;
        check_version(&manifest, latents.version)?;
        let shards = Shards::open(folder, &latents.shards, latents.layout().fields())?;
        let channels = latents.shape[0];
        let stats = &latents.stats;
        if shards.len() != latents.count || [&stats.mean, &stats.std, &stats.std_of_mean].iter().any(|v| v.len() != channels) {
            return Err(Error::data(&manifest, "its counts or statistics do not fit its shards"));
        }
        Ok(LatentSet(Arc::new(Inner { folder: folder.to_owned(), latents, shards }), With::Features))
    }

    /// Reads every shard and compares its SHA-256.
    ///
    /// # Errors
    /// `E0302` naming the first shard that differs.
    pub fn verify(&self) -> Result<()> {
        self.0.shards.verify()
    }

    /// Where it lies.
    pub fn folder(&self) -> &Path {
        &self.0.folder
    }

    /// Everything that `latents.json` says.
    pub fn latents(&self) -> &Latents {
        &self.0.latents
    }

    /// The class of each label; empty when unknown.
    pub fn classes(&self) -> &[String] {
        &self.0.latents.classes
    }

    /// The attributes' names and values.
    pub fn attributes(&self) -> &[Attribute] {
        &self.0.latents.attributes
    }

    /// The vision models whose features are kept beside the latents.
    pub fn features(&self) -> &[Features] {
        if self.1 == With::Features { &self.0.latents.features } else { &[] }
    }

    /// The same without features, which are not read then.
    #[must_use]
    pub fn without_features(&self) -> LatentSet {
        LatentSet(self.0.clone(), With::LatentsAlone)
    }

    /// What they are and what they were made from, as `latents.json` says: nothing is read for it.
    pub fn origin(&self) -> Origin {
        self.0.latents.origin(&self.0.folder)
    }

    /// `(bias, scale)`, f32 `[1, C, 1, 1]` each: `(z - bias) * scale` has mean 0 and standard deviation 1 in each channel.
    ///
    /// Bias is the channel's mean, scale one over its standard deviation, both of sampled latents (see
    /// [`LatentStats`](super::manifest::LatentStats)): `latents_bias` and `latents_scale` of the reference.
    ///
    /// # Errors
    /// `E0302` when a channel does not vary, so that no scale exists.
    pub fn stats(&self) -> Result<(Tensor, Tensor)> {
        let stats = &self.0.latents.stats;
        if let Some(c) = stats.std.iter().position(|s| s.is_nan() || *s <= 0.0) {
            let what = format!("channel {c} of the latents has a standard deviation of {}, so it cannot be normalised", stats.std[c]);
            return Err(Error::data(self.0.folder.join("latents.json"), what));
        }
        let shape = [1, self.0.latents.shape[0] as i64, 1, 1];
        let bias: Vec<f32> = stats.mean.iter().map(|m| *m as f32).collect();
        let scale: Vec<f32> = stats.std.iter().map(|s| (1.0 / s) as f32).collect();
        Ok((Tensor::from_vec(&bias, &shape)?, Tensor::from_vec(&scale, &shape)?))
    }
}

impl Samples for LatentSet {
    fn len(&self) -> usize {
        self.0.shards.len()
    }

    fn identity(&self) -> String {
        self.origin().id
    }

    fn gather(&self, positions: &[usize]) -> Result<Batch> {
        let shards = &self.0.shards;
        let float = |field: usize| shards.tensor(field, positions)?.to_dtype(DType::Float);
        let labels = shards.tensor(2, positions)?;
        check_labels(&labels.to_vec_i64()?, self.0.latents.classes.len()).map_err(|e| Error::data(&self.0.folder, e))?;
        let mut batch = Batch::default().with("mean", float(0)?).with("std", float(1)?).with("labels", labels);
        let mut next = 4;
        if !self.attributes().is_empty() {
            batch = batch.with("attributes", shards.tensor(next, positions)?);
            next += 1;
        }
        for i in 0..self.features().len() {
            batch = batch.with(&feature_name(i), float(next + i)?);
        }
        Ok(batch.with("index", shards.tensor(3, positions)?))
    }
}
