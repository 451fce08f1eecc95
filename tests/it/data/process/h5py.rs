//! REPA-E's HDF5 containers as h5py reads them.

use crate::data::hdf5::{file, options, quiet};
use lathe::data::{ImageSet, LatentLabels, export_images, export_latents, import_latents, preprocess};

#[test]
fn h5py_reads_what_is_written() {
    // Set LATHE_H5PY to a Python with h5py and Pillow to have the reference's own way of reading repeated.
    let Some(python) = std::env::var_os("LATHE_H5PY") else { return };
    let dir = tempfile::tempdir().unwrap();
    let set = preprocess(file("images.h5"), dir.path().join("set"), &quiet()).unwrap();
    export_images(&ImageSet::open(set.folder).unwrap(), &dir.path().join("images.h5")).unwrap();
    let latents = import_latents(&file("latents.h5"), &dir.path().join("l"), LatentLabels::Container(&file("images.h5")), options()).unwrap();
    export_latents(&latents, &dir.path().join("vae.h5")).unwrap();
    let out = std::process::Command::new(python).arg(file("read.py")).args([dir.path(), &file("")]).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}
