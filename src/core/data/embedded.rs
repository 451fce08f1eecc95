//! An origin inside an `.npz`: the array `origin`, JSON as bytes. `numpy.load` reads the other arrays as before.

use crate::error::{Error, Result};
use crate::origin::Origin;
use crate::torch::files::{Npz, NpzWriter};
use crate::torch::{DType, Tensor};
use std::path::Path;

const NAME: &str = "origin";

/// Adds an origin to an archive.
///
/// # Errors
/// `E0301` when the disk is full.
pub fn write_npz_origin(out: &mut NpzWriter, origin: &Origin) -> Result<()> {
    let text = serde_json::to_string(origin).map_err(|e| Error::run(format!("an origin has no JSON form: {e}")))?;
    out.add(NAME, &Tensor::from_bytes(text.as_bytes(), &[text.len() as i64], DType::Uint8)?)
}

/// The origin in an archive; `None` where it says nothing of itself.
///
/// # Errors
/// `E0301` or `E0302` when it cannot be read.
pub fn read_npz_origin(path: &Path) -> Result<Option<Origin>> {
    let archive = Npz::open(path)?;
    if !archive.names().iter().any(|n| n == NAME) {
        return Ok(None);
    }
    let bytes = archive.rows(NAME)?.all()?.to_bytes()?;
    serde_json::from_slice(&bytes).map(Some).map_err(|e| Error::data(path, format!("`{NAME}` is no origin: {e}")))
}
