//! Real pictures in every form that can be judged.

use crate::support::process::{ok, script};
use crate::support::{files, path};
use lathe::torch::files::NpzWriter;
use lathe::torch::{DType, Tensor};
use std::path::{Path, PathBuf};

/// The pictures of a folder in the order of their names, decoded by another library: u8 `[N, H, W, 3]`.
pub fn decoded(folder: &Path) -> Tensor {
    let files = files(folder);
    let pictures: Vec<_> = files.iter().map(|f| image::open(f).unwrap().to_rgb8()).collect();
    let (w, h) = pictures[0].dimensions();
    let bytes: Vec<u8> = pictures.iter().flat_map(|p| p.as_raw().clone()).collect();
    Tensor::from_bytes(&bytes, &[files.len() as i64, i64::from(h), i64::from(w), 3], DType::Uint8).unwrap()
}

/// `[N, H, W, 3]` as networks take it.
pub fn planes(x: &Tensor) -> Tensor {
    x.permute(&[0, 3, 1, 2]).unwrap().contiguous().unwrap()
}

/// An `.npz` of these arrays.
pub fn npz(file: PathBuf, arrays: &[(&str, &Tensor)]) -> PathBuf {
    let mut w = NpzWriter::create(&file).unwrap();
    arrays.iter().for_each(|(name, t)| w.add(name, t).unwrap());
    w.finish().unwrap();
    file
}

/// Shards of a folder, made by `preprocess`.
pub fn shards(from: &Path, to: PathBuf, resolution: &str) -> PathBuf {
    ok(&mut script("preprocess", &["--imagenet-path", path(from), "--output-path", path(&to), "--resolution", resolution]));
    to
}
