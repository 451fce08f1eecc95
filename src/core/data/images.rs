//! Sets of pictures of one size: a folder of shards, or pictures that are cropped when they are drawn.

use super::batch::{Batch, Samples};
use super::choose::{Pick, choose};
use super::direct::{Crop, Direct, DirectOptions};
use super::draws::drawn;
use super::flip::flipped;
use super::manifest::{Attribute, Dataset, check_labels, check_version};
use super::shards::{Field, Shards};
use super::size::Size;
use crate::error::{Error, Result};
use crate::files;
use crate::origin::{Origin, hash_of};
use crate::torch::{DType, Tensor};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A data set folder made by [`preprocess`](super::preprocess()), memory-mapped; or pictures in a folder or packed, of which each is decoded and cropped
/// when it is drawn. Clones share it.
#[derive(Clone)]
pub struct ImageSet {
    all: Arc<Inner>,
    /// Whether every picture is there a second time, mirrored.
    with_flips: bool,
    /// How often every picture is there, cropped at other places.
    crops: usize,
}

/// More crops of one picture are none of it.
const MOST_CROPS: usize = 1000;
/// Tells what is drawn for these crops from what a loader draws.
const CROPS: u64 = 0x6372_6f70_7065_6421;

struct Inner {
    folder: PathBuf,
    pixels: Pixels,
}

enum Pixels {
    Shards(Box<Dataset>, Shards),
    Direct(Box<Direct>),
}

impl std::fmt::Debug for ImageSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let d = self.dataset();
        let flips = if self.with_flips { " and their mirror images" } else { "" };
        let crops = if self.crops > 1 { format!(", {} crops of each", self.crops) } else { String::new() };
        write!(f, "{} pictures of {}{crops}{flips}, {} classes, in {}", d.count, d.size(), d.classes.len(), self.folder().display())
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
        let Size { height, width } = dataset.size();
        let mut fields = vec![
            Field { name: "images".into(), dtype: DType::Uint8, shape: vec![3, height, width] },
            Field { name: "labels".into(), dtype: DType::Int64, shape: vec![] },
        ];
        if !dataset.attributes.is_empty() {
            fields.push(Field { name: "attributes".into(), dtype: DType::Uint8, shape: vec![dataset.attributes.len()] });
        }
        let shards = Shards::open(folder, &dataset.shards, fields)?;
        if shards.len() != dataset.count {
            return Err(Error::data(&manifest, format!("`count` is {}, its shards hold {}", dataset.count, shards.len())));
        }
        let counts = &dataset.class_counts;
        if !counts.is_empty()
            && (counts.len() != dataset.classes.len() || counts.iter().try_fold(0usize, |n, c| n.checked_add(*c)) != Some(dataset.count))
        {
            return Err(Error::data(
                &manifest,
                format!("`class_counts` {counts:?} are not those of {} pictures of {} classes", dataset.count, dataset.classes.len()),
            ));
        }
        Ok(ImageSet::new(folder, Pixels::Shards(Box::new(dataset), shards)))
    }

    /// Opens a data set folder; or anything else that [`preprocess`](super::preprocess()) takes, whose pictures are then decoded and cropped when they are drawn.
    ///
    /// # Errors
    /// As [`ImageSet::open`], and as `preprocess` for a source that it would refuse; `E0202` for a size that is not that of the shards.
    pub fn open_any(path: impl AsRef<Path>, options: &DirectOptions) -> Result<ImageSet> {
        let path = path.as_ref();
        if is_prepared(path)? {
            let set = ImageSet::open(path)?;
            let Size { height, width } = set.size();
            // A resolution alone asks for squares.
            let wanted_width = if options.width == 0 { options.resolution } else { options.width };
            for (name, wanted, there) in [("resolution", options.resolution, height), ("width", wanted_width, width)] {
                if ![0, there].contains(&wanted) {
                    let message = format!("option `{name}` is {wanted}, and the shards in `{}` have {there}: {}", path.display(), set.size());
                    return Err(Error::value("images", message).help("leave it out, or make shards of that size with `preprocess`"));
                }
            }
            return Ok(set);
        }
        Ok(ImageSet::new(path, Pixels::Direct(Box::new(Direct::open(path, options)?))))
    }

    fn new(folder: &Path, pixels: Pixels) -> ImageSet {
        ImageSet { all: Arc::new(Inner { folder: folder.to_owned(), pixels }), with_flips: false, crops: 1 }
    }

    /// The same pictures, and behind them all of them mirrored: picture `n + i` is picture `i` with left and right exchanged.
    #[must_use]
    pub fn and_flips(&self) -> ImageSet {
        ImageSet { with_flips: true, ..self.clone() }
    }

    /// Every picture so often, with `n` pictures picture `k * n + i` is crop `k` of picture `i`: crop 0 is the middle, the others are drawn by their number
    /// alone ([`random_crop`](super::crop::random_crop)). Mirror images of all come behind all.
    ///
    /// # Errors
    /// `E0202` for a number out of range, and for shards, whose pictures are cropped already.
    pub fn and_crops(&self, crops: usize) -> Result<ImageSet> {
        if !(1..=MOST_CROPS).contains(&crops) {
            return Err(Error::value("with_crops", format!("so many crops of a picture: {crops}")).help(format!("1 to {MOST_CROPS}")));
        }
        if crops > 1 && !self.has_crops() {
            let message = format!("the pictures of `{}` are cropped already: there are no others of them", self.folder().display());
            return Err(Error::value("with_crops", message)
                .help("give the pictures themselves (a folder, tars, parquet), not the shards that `preprocess` made of them"));
        }
        Ok(ImageSet { crops, ..self.clone() })
    }

    /// Pictures and crops of them, without mirror images.
    fn cropped_len(&self) -> usize {
        self.plain_len() * self.crops
    }

    /// The picture of a position, and its crop.
    fn cropped(&self, position: usize) -> (usize, Crop) {
        let (i, k) = (position % self.plain_len(), position / self.plain_len() % self.crops);
        (i, (k > 0).then(|| drawn(CROPS, 0, k as u64, i)))
    }

    /// Whether it is a folder of shards, just as it lies there.
    pub fn is_prepared(&self) -> bool {
        !self.with_flips && self.crops == 1 && matches!(self.all.pixels, Pixels::Shards(..))
    }

    /// Pictures, without mirror images.
    fn plain_len(&self) -> usize {
        self.dataset().count
    }

    /// The samples at these positions, decoded on all cores where they are decoded at all.
    ///
    /// # Errors
    /// As [`Samples::gather`].
    pub fn take(&self, positions: &[usize]) -> Result<Batch> {
        self.collect(positions, None, true)
    }

    fn collect(&self, positions: &[usize], draws: Option<&[u64]>, on_all_cores: bool) -> Result<Batch> {
        let mut wanted: Vec<(usize, Crop)> = positions.iter().map(|p| self.cropped(*p)).collect();
        if let Some(draws) = draws {
            wanted.iter_mut().zip(draws).for_each(|((_, crop), draw)| *crop = Some(*draw));
        }
        let batch = self.plain(&wanted, on_all_cores)?;
        if !self.with_flips && self.crops == 1 {
            return Ok(batch);
        }
        let flips: Vec<bool> = positions.iter().map(|p| *p >= self.cropped_len()).collect();
        // Of a picture that cannot be read the next one took the place.
        let block = |p: &usize| (p - p % self.plain_len()) as i64;
        let index = batch.get("index")?.to_vec_i64()?.iter().zip(positions).map(|(i, p)| i + block(p)).collect::<Vec<_>>();
        let batch = flipped(batch, &flips)?;
        let mut all = Batch::default();
        for (name, tensor) in batch.tensors().iter().filter(|(name, _)| name.as_str() != "flipped") {
            all = all.with(name, if name == "index" { Tensor::from_slice(&index)? } else { tensor.clone() });
        }
        Ok(all)
    }

    fn plain(&self, wanted: &[(usize, Crop)], on_all_cores: bool) -> Result<Batch> {
        let shards = match &self.all.pixels {
            Pixels::Direct(direct) => return direct.gather(wanted, on_all_cores),
            Pixels::Shards(_, shards) => shards,
        };
        let positions = &wanted.iter().map(|(i, _)| *i).collect::<Vec<_>>()[..];
        let index: Vec<i64> = positions.iter().map(|p| *p as i64).collect();
        let labels = shards.tensor(1, positions)?;
        check_labels(&labels.to_vec_i64()?, self.classes().len()).map_err(|e| Error::data(self.folder(), e))?;
        let mut batch = Batch::default().with("images", shards.tensor(0, positions)?).with("labels", labels);
        if !self.attributes().is_empty() {
            batch = batch.with("attributes", shards.tensor(2, positions)?);
        }
        Ok(batch.with("index", Tensor::from_slice(&index)?))
    }

    /// Reads every shard and compares its SHA-256.
    ///
    /// # Errors
    /// `E0302` naming the first shard that differs; `E0202` for pictures that nothing has prepared.
    pub fn verify(&self) -> Result<()> {
        match &self.all.pixels {
            Pixels::Shards(_, shards) => shards.verify(),
            Pixels::Direct(_) => {
                let message = format!("no sums of the pictures in `{}` are recorded", self.folder().display());
                Err(Error::value("verify", message).help("`preprocess` records them"))
            }
        }
    }

    /// Where it lies.
    pub fn folder(&self) -> &Path {
        &self.all.folder
    }

    /// Everything that `dataset.json` says, or would say.
    pub fn dataset(&self) -> &Dataset {
        match &self.all.pixels {
            Pixels::Shards(dataset, _) => dataset,
            Pixels::Direct(direct) => &direct.dataset,
        }
    }

    /// Of each picture.
    pub fn size(&self) -> Size {
        self.dataset().size()
    }

    /// The class of each label.
    pub fn classes(&self) -> &[String] {
        &self.dataset().classes
    }

    /// The labels at these positions.
    ///
    /// # Errors
    /// `E0203` without memory.
    pub fn labels(&self, positions: &[usize]) -> Result<Vec<i64>> {
        let plain: Vec<usize> = positions.iter().map(|p| p % self.plain_len()).collect();
        match &self.all.pixels {
            Pixels::Shards(_, shards) => shards.tensor(1, &plain)?.to_vec_i64(),
            Pixels::Direct(direct) => Ok(plain.iter().map(|p| direct.label(*p)).collect()),
        }
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
        &self.dataset().attributes
    }

    /// What it holds, by the hashes in `dataset.json`: nothing is read for it. Of pictures that nothing has prepared as far as their names, classes and sizes
    /// tell.
    pub fn origin(&self) -> Origin {
        let d = self.dataset();
        let mut origin = d.origin(self.folder());
        if let Pixels::Direct(_) = &self.all.pixels {
            let id = hash_of(&[&json!(["cropped", d.size().json(), d.classes, d.attributes, d.pixels, d.source]).to_string()]);
            origin = origin.with_id(id);
        }
        if self.crops > 1 {
            let id = hash_of(&[&json!(["crops", self.crops, origin.id]).to_string()]);
            let about = format!("{}, {} crops of each", origin.about, self.crops);
            origin = origin.with_id(id).about(about);
        }
        if self.with_flips {
            let id = hash_of(&[&json!(["and flips", origin.id]).to_string()]);
            let about = format!("{} and their mirror images", origin.about);
            origin = origin.with_id(id).about(about);
        }
        origin
    }
}

impl Samples for ImageSet {
    fn len(&self) -> usize {
        if self.with_flips { 2 * self.cropped_len() } else { self.cropped_len() }
    }

    fn identity(&self) -> String {
        self.origin().id
    }

    fn has_pictures(&self) -> bool {
        true
    }

    fn has_crops(&self) -> bool {
        matches!(self.all.pixels, Pixels::Direct(_))
    }

    fn gather_cropped(&self, positions: &[usize], draws: &[u64]) -> Result<Batch> {
        self.collect(positions, Some(draws), false)
    }

    fn gather(&self, positions: &[usize]) -> Result<Batch> {
        self.collect(positions, None, false)
    }
}

/// Whether a path is a folder of shards, finished or not, and not of pictures.
fn is_prepared(path: &Path) -> Result<bool> {
    if !path.is_dir() {
        return Ok(false);
    }
    if ["dataset.partial.json", "images-00000.safetensors"].iter().any(|n| path.join(n).is_file()) {
        return Ok(true);
    }
    let manifest = path.join("dataset.json");
    if !manifest.is_file() {
        return Ok(false);
    }
    // One of labels says which pictures there are.
    let whole: serde_json::Value = files::read_json(&manifest)?;
    Ok(whole.get("labels").is_none())
}
