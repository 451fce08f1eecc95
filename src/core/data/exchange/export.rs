//! Our sets as the reference's containers.

use crate::data::files::write_json;
use crate::data::hdf5::{Creator, hdf5_key_list};
use crate::data::{ImageSet, LatentSet, Samples};
use crate::error::{Error, Result};
use image::ImageEncoder;
use serde_json::{Value, json};
use std::path::Path;

const BATCH: usize = 64;

/// `00001/img00001234.png`: the folder is the number's first five digits of eight.
fn key(prefix: &str, number: i64, ending: &str) -> String {
    format!("{:05}/{prefix}{number:08}.{ending}", number / 1000)
}

/// Writes the labels into the container, ends it, and writes the list of its keys beside it.
fn finish(creator: Creator, path: &Path, labels: Vec<(String, i64)>) -> Result<usize> {
    let mut names: Vec<String> = labels.iter().map(|(name, _)| name.clone()).collect();
    let labels: Vec<Value> = labels.into_iter().map(|(name, label)| json!([name, label])).collect();
    let count = labels.len();
    creator.bytes("dataset.json", json!({ "labels": labels }).to_string().as_bytes())?;
    creator.finish()?;
    names.push("dataset.json".into());
    write_json(&hdf5_key_list(path), &names)?;
    Ok(count)
}

fn batches(len: usize) -> impl Iterator<Item = Vec<usize>> {
    (0..len).step_by(BATCH).map(move |at| (at..(at + BATCH).min(len)).collect())
}

/// Writes pictures as `images.h5`: PNG files with `dataset.json`, and `images_h5.json` beside it. Returns how many.
///
/// # Errors
/// `E0301` when a file cannot be written, `E0302` in a build without HDF5.
pub fn export_images(set: &ImageSet, path: &Path) -> Result<usize> {
    let creator = Creator::create(path)?;
    let side = |n: usize| u32::try_from(n).map_err(|_| Error::value("export_h5", "the pictures are too large"));
    let (height, width) = (side(set.size().height)?, side(set.size().width)?);
    let mut labels = Vec::new();
    for positions in batches(set.len()) {
        crate::interrupt::check()?;
        let batch = set.gather(&positions)?;
        let images = batch.get("images")?.permute(&[0, 2, 3, 1])?.contiguous()?.unbind(0)?;
        for ((at, image), label) in positions.iter().zip(images).zip(batch.get("labels")?.to_vec_i64()?) {
            let mut png = Vec::new();
            image::codecs::png::PngEncoder::new(&mut png)
                .write_image(&image.to_bytes()?, width, height, image::ExtendedColorType::Rgb8)
                .map_err(|e| Error::value("export_h5", e.to_string()))?;
            let name = key("img", *at as i64, "png");
            creator.bytes(&name, &png)?;
            labels.push((name, label));
        }
    }
    finish(creator, path, labels)
}

/// Writes latents as `NAME.h5`, mean and standard deviation f32 `[2C, h, w]`, and `NAME_h5.json` beside it. Returns how many.
///
/// The keys carry the positions of the pictures, so that the reference pairs them with those.
///
/// # Errors
/// As [`export_images`].
pub fn export_latents(set: &LatentSet, path: &Path) -> Result<usize> {
    let creator = Creator::create(path)?;
    let [c, h, w] = set.latents().shape;
    let mut labels = Vec::new();
    for positions in batches(set.len()) {
        crate::interrupt::check()?;
        let batch = set.gather(&positions)?;
        let both = crate::torch::Tensor::cat(&[batch.get("mean")?.clone(), batch.get("std")?.clone()], 1)?.to_vec_f32()?;
        let (index, labels_of) = (batch.get("index")?.to_vec_i64()?, batch.get("labels")?.to_vec_i64()?);
        for ((row, number), label) in both.chunks_exact(2 * c * h * w).zip(index).zip(labels_of) {
            let name = key("img-mean-std-", number, "npy");
            creator.floats(&name, row, &[2 * c, h, w])?;
            labels.push((name, label));
        }
    }
    finish(creator, path, labels)
}
