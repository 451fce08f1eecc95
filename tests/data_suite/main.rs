//! Data: decoding of odd files, preprocessing with every kind of accident, loaders, latent caches.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests make files as others would, and stop where one fails"
)]

mod latents;
mod loader;
mod odd;
mod preprocess;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The real pictures of the repository: 3,000 avatars in four folders, with attributes.
fn avatars() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/avatars64")
}

/// Every file of a folder with its content.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap());
    files.map(|e| (e.file_name().to_string_lossy().into_owned(), std::fs::read(e.path()).unwrap())).collect()
}

/// A source folder with some avatars: `(folder, count)` each.
fn some_avatars(into: &Path, counts: &[(&str, usize)]) {
    for (class, n) in counts {
        let mut files: Vec<PathBuf> = std::fs::read_dir(avatars().join(class)).unwrap().map(|e| e.unwrap().path()).collect();
        files.sort();
        std::fs::create_dir_all(into.join(class)).unwrap();
        for f in &files[..*n] {
            std::fs::copy(f, into.join(class).join(f.file_name().unwrap())).unwrap();
        }
    }
}
