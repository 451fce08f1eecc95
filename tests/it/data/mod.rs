//! Data: decoding of odd files, preprocessing with every kind of accident, loaders, latent caches, damaged files.

mod alone;
mod crops;
mod hdf5;
mod labels;
mod latents;
mod loader;
mod odd;
mod packed;
mod preprocess;
mod process;
mod windows;

use crate::support::{files, name, pictures};
use std::collections::BTreeMap;
use std::path::Path;

/// Every file of a folder with its content.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    files(folder).iter().map(|f| (name(f), std::fs::read(f).unwrap())).collect()
}

/// A source folder with some avatars: `(folder, count)` each.
fn some_avatars(into: &Path, counts: &[(&str, usize)]) {
    for (class, n) in counts {
        pictures(into.join(class), class, 0, *n);
    }
}
