//! REPA-E's HDF5 containers as h5py reads them.

use crate::data::hdf5::{file, options, quiet};
use crate::support::process::python;
use lathe::data::{ImageSet, LatentLabels, export_images, export_latents, import_latents, preprocess};
use std::process::Command;

#[test]
fn h5py_reads_what_is_written() {
    let packages = match python("h5py==3.16.0 numpy==2.4.6 pillow==13.0.0", "h5py, PIL") {
        Ok(folder) => folder,
        Err(why) => return println!("skipped: h5py_reads_what_is_written: {why}"),
    };
    let dir = tempfile::tempdir().unwrap();
    let set = preprocess(file("images.h5"), dir.path().join("set"), &quiet()).unwrap();
    export_images(&ImageSet::open(set.folder).unwrap(), &dir.path().join("images.h5")).unwrap();
    let latents = import_latents(&file("latents.h5"), &dir.path().join("l"), LatentLabels::Container(&file("images.h5")), options()).unwrap();
    export_latents(&latents, &dir.path().join("vae.h5")).unwrap();
    let out = Command::new("python3").arg(file("read.py")).args([dir.path(), &file("")]).env("PYTHONPATH", packages).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}
