//! In place of the HDF5 library in a build without the feature `hdf5`.

use super::Entry;
use crate::error::{Error, Result};
use crate::torch::Tensor;
use std::collections::BTreeMap;
use std::path::Path;

fn absent(path: &Path) -> Error {
    Error::data(path, "this build reads no HDF5").help("build with `cargo build --release --features hdf5` (needs cmake)")
}

/// There is none in such a build.
#[derive(Debug)]
pub(crate) enum Container {}

impl Container {
    pub(crate) fn open(path: &Path) -> Result<Container> {
        Err(absent(path))
    }

    pub(crate) fn entries(&self) -> &BTreeMap<String, Entry> {
        match *self {}
    }

    pub(crate) fn bytes(&self, _name: &str) -> Result<Vec<u8>> {
        match *self {}
    }

    pub(crate) fn tensor(&self, _name: &str) -> Result<Tensor> {
        match *self {}
    }
}

/// There is none in such a build.
pub(crate) enum Creator {}

impl Creator {
    pub(crate) fn create(path: &Path) -> Result<Creator> {
        Err(absent(path))
    }

    pub(crate) fn bytes(&self, _name: &str, _data: &[u8]) -> Result<()> {
        match *self {}
    }

    pub(crate) fn floats(&self, _name: &str, _data: &[f32], _shape: &[usize]) -> Result<()> {
        match *self {}
    }

    pub(crate) fn finish(self) -> Result<()> {
        match self {}
    }
}
