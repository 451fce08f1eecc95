//! REPA-E's HDF5 containers, with the cargo feature `hdf5` (the C library is compiled, which needs cmake).
//!
//! `images.h5` holds the bytes of one PNG file in each data set (`00000/img00000000.png`) and `dataset.json` with the labels; a container of
//! latents holds `00000/img-mean-std-00000000.npy`, f32 `[2C, h, w]`: mean, then standard deviation. Beside `NAME.h5` lies `NAME_h5.json`, the list
//! of its keys. The reference sorts both lists and pairs pictures and latents by position.

#[cfg(not(feature = "hdf5"))]
#[path = "absent.rs"]
mod container;
#[cfg(feature = "hdf5")]
mod container;
mod load;

pub(crate) use container::{Container, Creator};
pub use load::{Hdf5Value, load_hdf5};
pub(crate) use load::{labels, pictures};

use super::manifest::Skipped;
use crate::error::{Error, Result};
use crate::files;
use crate::torch::DType;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What a data set of a container holds.
#[cfg_attr(not(feature = "hdf5"), allow(dead_code))]
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(not(feature = "hdf5"), expect(dead_code, reason = "the library alone says what there is"))]
pub(crate) enum Kind {
    /// The bytes of a file: strings of a fixed length, opaque data.
    Bytes,
    /// A string of variable length.
    Text,
    /// Numbers, and the dtype that holds all of them.
    Number(DType),
    /// Something else, in the library's words.
    Other(String),
}

/// One data set of a container.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// Of its data when read.
    pub(crate) bytes: u64,
    pub(crate) shape: Vec<usize>,
    pub(crate) kind: Kind,
    /// Where its bytes lie in the file, when they lie there in one piece.
    #[cfg_attr(not(feature = "hdf5"), expect(dead_code))]
    pub(crate) offset: Option<u64>,
}

/// Whether a path is called like an HDF5 container.
pub fn is_hdf5(path: impl AsRef<Path>) -> bool {
    path.as_ref().extension().is_some_and(|e| e.eq_ignore_ascii_case("h5") || e.eq_ignore_ascii_case("hdf5"))
}

/// Where the list of a container's keys lies: `images_h5.json` beside `images.h5`.
pub fn hdf5_key_list(path: impl AsRef<Path>) -> PathBuf {
    let path = path.as_ref();
    path.with_file_name(format!("{}_h5.json", path.file_stem().unwrap_or_default().to_string_lossy()))
}

/// The keys of `container` that end in one of `endings`, sorted. A list beside the container decides which belong to it.
pub(crate) fn keys(container: &Container, path: &Path, endings: &[&str], skipped: &mut Vec<Skipped>) -> Result<Vec<String>> {
    let is_wanted = |name: &str| name.rsplit_once('.').is_some_and(|(_, e)| endings.contains(&e.to_lowercase().as_str()));
    let mut found: Vec<String> = container.entries().keys().filter(|n| is_wanted(n)).cloned().collect();
    let list = hdf5_key_list(path);
    if list.is_file() {
        let listed: BTreeSet<String> = files::read_json::<Vec<String>>(&list)
            .map_err(|e| e.help("expected the keys of the container: [\"00000/img00000000.png\", ..]"))?
            .into_iter()
            .collect();
        let missing: Vec<&String> = listed.iter().filter(|n| is_wanted(n) && !container.entries().contains_key(*n)).collect();
        if let Some(first) = missing.first() {
            let message = format!("it lists `{first}`, which `{}` does not hold ({} such keys)", path.display(), missing.len());
            return Err(Error::data(&list, message).help("the list and the container belong together: copy both again"));
        }
        let (kept, other): (Vec<String>, Vec<String>) = found.into_iter().partition(|n| listed.contains(n));
        skipped.extend(other.into_iter().map(|path| Skipped { path, reason: format!("it is not in {}", list.display()) }));
        found = kept;
    }
    Ok(found)
}
