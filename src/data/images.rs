//! A folder of image shards.

use super::batch::{Batch, Samples};
use super::choose::{Pick, choose};
use super::manifest::{Attribute, Dataset, check_version};
use super::shards::{Field, Shards};
use crate::error::{Error, Result};
use crate::files;
use crate::torch::{DType, Tensor};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A data set folder made by [`preprocess`](super::preprocess()), memory-mapped. Clones share it.
#[derive(Clone)]
pub struct ImageSet(Arc<Inner>);

struct Inner {
    folder: PathBuf,
    dataset: Dataset,
    shards: Shards,
}

impl std::fmt::Debug for ImageSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let d = &self.0.dataset;
        write!(f, "{} pictures of {r} x {r}, {} classes, in {}", d.count, d.classes.len(), self.0.folder.display(), r = d.resolution)
    }
}

impl ImageSet {
    /// Opens a data set folder and checks that each shard has its recorded size, dtype and shape.
    ///
    /// # Errors
    /// `E0301` when a file is missing, `E0302` when one is truncated or does not fit.
    pub fn open(folder: impl AsRef<Path>) -> Result<ImageSet> {
        let folder = folder.as_ref();
        let manifest = folder.join("dataset.json");
        if !manifest.is_file() {
            let partial = folder.join("dataset.partial.json").is_file();
            let what = if partial { "the data set is not finished" } else { "not a data set folder: there is no dataset.json" };
            return Err(Error::data(folder, what).help(if partial {
                "run the same `preprocess` again, it continues"
            } else {
                "`data::preprocess(pictures, folder)` makes one"
            }));
        }
        let dataset: Dataset = files::read_json(&manifest)
            .map_err(|e| e.help("a data set folder is made by `data::preprocess`; is this the folder with the pictures?"))?;
        check_version(&manifest, dataset.version)?;
        let r = dataset.resolution;
        let mut fields =
            vec![Field { name: "images", dtype: DType::Uint8, shape: vec![3, r, r] }, Field { name: "labels", dtype: DType::Int64, shape: vec![] }];
        if !dataset.attributes.is_empty() {
            fields.push(Field { name: "attributes", dtype: DType::Uint8, shape: vec![dataset.attributes.len()] });
        }
        let shards = Shards::open(folder, &dataset.shards, fields)?;
        if shards.len() != dataset.count {
            return Err(Error::data(&manifest, format!("`count` is {}, its shards hold {}", dataset.count, shards.len())));
        }
        Ok(ImageSet(Arc::new(Inner { folder: folder.to_owned(), dataset, shards })))
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

    /// Everything that `dataset.json` says.
    pub fn dataset(&self) -> &Dataset {
        &self.0.dataset
    }

    /// The side of the pictures.
    pub fn resolution(&self) -> usize {
        self.0.dataset.resolution
    }

    /// The class of each label.
    pub fn classes(&self) -> &[String] {
        &self.0.dataset.classes
    }

    /// The labels at these positions.
    ///
    /// # Errors
    /// `E0203` without memory.
    pub fn labels(&self, positions: &[usize]) -> Result<Vec<i64>> {
        self.0.shards.tensor(1, positions)?.to_vec_i64()
    }

    /// The positions of at most `most` pictures, in order.
    ///
    /// # Errors
    /// As [`ImageSet::labels`].
    pub fn choose(&self, most: usize, pick: Pick, seed: u64) -> Result<Vec<usize>> {
        let labels = self.labels(&(0..self.len()).collect::<Vec<_>>())?;
        Ok(choose(&labels.into_iter().map(|l| l as usize).collect::<Vec<_>>(), most, pick, seed))
    }

    /// The attributes' names and values.
    pub fn attributes(&self) -> &[Attribute] {
        &self.0.dataset.attributes
    }
}

impl Samples for ImageSet {
    fn len(&self) -> usize {
        self.0.shards.len()
    }

    fn gather(&self, positions: &[usize]) -> Result<Batch> {
        let shards = &self.0.shards;
        let index: Vec<i64> = positions.iter().map(|p| *p as i64).collect();
        let mut batch = Batch::default().with("images", shards.tensor(0, positions)?).with("labels", shards.tensor(1, positions)?);
        if !self.attributes().is_empty() {
            batch = batch.with("attributes", shards.tensor(2, positions)?);
        }
        Ok(batch.with("index", Tensor::from_slice(&index)?))
    }
}
