//! Pictures that are decoded and cropped whenever they are drawn, from wherever they lie.

use super::archive::Columns;
use super::batch::Batch;
use super::choose::Pick;
use super::crop::{center_crop, random_crop, to_planes};
use super::decode::{PixelRule, decode};
use super::manifest::{Dataset, FORMAT_VERSION, LostCounts, NAMED, name_skipped};
use super::open_source::{Wanted, open_source};
use super::size::Size;
use super::source::{Item, Limit, Source};
use crate::error::{Error, Result};
use crate::files::Pass;
use crate::interrupt;
use crate::torch::{DType, Tensor};
use rayon::prelude::*;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// So many in a row that cannot be read are no accident.
const IN_A_ROW: usize = 16;
/// The side of the crops where nothing says another.
const RESOLUTION: usize = 256;

/// How pictures are taken that nothing has prepared.
#[derive(Debug, Clone)]
pub struct DirectOptions {
    /// The side of the crops, in pixels; their height where `width` is another; 0: 256.
    pub resolution: usize,
    /// The width of the crops; 0 for squares.
    pub width: usize,
    /// Of parquet, the column of the pictures.
    pub image_column: String,
    /// Of parquet, the column of the labels; empty where there are none.
    pub label_column: String,
    /// What becomes of 16-bit grey.
    pub pixels: PixelRule,
    /// Fail at a broken picture, instead of taking the next one in its place.
    pub strict: bool,
}

impl Default for DirectOptions {
    fn default() -> Self {
        DirectOptions {
            resolution: 0,
            width: 0,
            image_column: "image".into(),
            label_column: "label".into(),
            pixels: PixelRule::default(),
            strict: false,
        }
    }
}

/// Which part of a picture: the middle, or that of a number.
pub(super) type Crop = Option<u64>;

/// A source whose pictures are cropped when they are drawn.
pub(super) struct Direct {
    source: Source,
    pub(super) dataset: Dataset,
    strict: bool,
    /// Positions that cannot be read.
    broken: Mutex<BTreeSet<usize>>,
    /// By what right threads open files.
    pass: Pass,
}

impl Direct {
    /// Lists the pictures of any source. Says how their classes are known, and what is skipped.
    pub(super) fn open(root: &Path, options: &DirectOptions) -> Result<Direct> {
        let resolution = if options.resolution == 0 { RESOLUTION } else { options.resolution };
        let size = Size::of_options("images", resolution, options.width)?;
        let columns = Columns { image: options.image_column.clone(), label: options.label_column.clone() };
        let limit = Limit { most: None, pick: Pick::First, seed: 0 };
        let source = open_source(root, &Wanted { limit, attributes: None, columns })?;
        let mut class_counts = vec![0; source.classes.len()];
        source.items.iter().for_each(|i| class_counts[i.label] += 1);
        let dataset = Dataset {
            version: FORMAT_VERSION,
            resolution: size.height,
            width: size.width_kept(),
            count: source.items.len(),
            classes: source.classes.clone(),
            class_counts,
            attributes: source.attributes.clone(),
            pixels: options.pixels,
            lost: LostCounts::default(),
            shards: Vec::new(),
            source: source.hash(),
            source_count: source.items.len(),
            shard_size: 0,
            skipped: source.skipped.clone(),
        };
        let say = |line: &str| crate::space::say(&format!("{}: {line}", root.display()));
        say(&format!("{} pictures, {}; each is cropped to {size} when it is drawn", dataset.count, source.labelling));
        source.left_out.iter().for_each(|line| say(line));
        name_skipped(&source.skipped, "", &say);
        Ok(Direct { source, dataset, strict: options.strict, broken: Mutex::default(), pass: Pass::here() })
    }

    pub(super) fn label(&self, position: usize) -> i64 {
        self.source.items[position].label as i64
    }

    /// These pictures as one batch, decoded on this thread, or on all cores, each with its crop: the middle, or as drawn. Of one that cannot be read the next one takes the place, with its label.
    pub(super) fn gather(&self, positions: &[(usize, Crop)], on_all_cores: bool) -> Result<Batch> {
        let picture = self.dataset.size();
        let size = picture.bytes();
        let mut pixels = Vec::new();
        let bytes = positions.len() * size;
        pixels
            .try_reserve_exact(bytes)
            .map_err(|_| Error::run(format!("not enough memory for a batch of {bytes} bytes")).help("choose a smaller batch"))?;
        pixels.resize(bytes, 0);
        let one = |(planes, (position, crop)): (&mut [u8], &(usize, Crop))| self.draw(*position, *crop, planes);
        let taken: Vec<usize> = if on_all_cores {
            pixels.par_chunks_exact_mut(size).zip(positions.par_iter()).map(one).collect::<Result<_>>()?
        } else {
            pixels.chunks_exact_mut(size).zip(positions).map(one).collect::<Result<_>>()?
        };
        let labels: Vec<i64> = taken.iter().map(|p| self.label(*p)).collect();
        let index: Vec<i64> = taken.iter().map(|p| *p as i64).collect();
        let shape = [positions.len() as i64, 3, picture.height as i64, picture.width as i64];
        let mut batch =
            Batch::default().with("images", Tensor::from_bytes(&pixels, &shape, DType::Uint8)?).with("labels", Tensor::from_slice(&labels)?);
        let factors = self.dataset.attributes.len();
        if factors > 0 {
            let values: Vec<u8> = taken.iter().flat_map(|p| &self.source.values[p * factors..][..factors]).copied().collect();
            batch = batch.with("attributes", Tensor::from_bytes(&values, &[positions.len() as i64, factors as i64], DType::Uint8)?);
        }
        Ok(batch.with("index", Tensor::from_slice(&index)?))
    }

    /// Draws a picture, or the next one that can be read; returns which it was.
    fn draw(&self, position: usize, crop: Crop, planes: &mut [u8]) -> Result<usize> {
        let _pass = self.pass.enter();
        let len = self.source.items.len();
        for tries in 0..IN_A_ROW.min(len) {
            interrupt::check()?;
            let at = (position + tries) % len;
            if self.broken.lock().unwrap_or_else(PoisonError::into_inner).contains(&at) {
                continue;
            }
            match self.picture(&self.source.items[at], crop, planes) {
                Ok(()) => return Ok(at),
                Err(e) if self.strict => return Err(e.help("`preprocess` names, counts and skips such pictures")),
                Err(e) => self.tell(at, &e),
            }
        }
        let first = &self.source.items[position];
        Err(Error::data(&first.path, format!("neither this picture nor the {} behind it can be read", IN_A_ROW.min(len) - 1))
            .help("`lathe run scripts/preprocess.rhai` names every picture that cannot be read"))
    }

    fn picture(&self, item: &Item, crop: Crop, planes: &mut [u8]) -> Result<()> {
        let bytes = self.source.read(item)?;
        let decoded = decode(&bytes, self.dataset.pixels).map_err(|reason| Error::data(&item.path, reason))?;
        let size = self.dataset.size();
        let cut = match crop {
            None => center_crop(&decoded.picture, size)?,
            Some(draw) => random_crop(&decoded.picture, size, draw)?,
        };
        to_planes(&cut.rgb, planes);
        Ok(())
    }

    fn tell(&self, at: usize, e: &Error) {
        let mut broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner);
        if !broken.insert(at) {
            return;
        }
        match broken.len() {
            n if n <= NAMED => crate::space::say(&format!("a picture that cannot be read; the next one takes its place: {e}")),
            n if n == NAMED + 1 => crate::space::say("more pictures cannot be read, and are not named any more"),
            _ => {}
        }
    }
}
