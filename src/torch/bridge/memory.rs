//! Memory that the system or libtorch owns, as Rust sees it.

use crate::torch::{DType, Device, Tensor};
use memmap2::Mmap;
use std::fs::File;

/// Maps a file for reading. It must be one that is never written in place: whoever shortens it while it is in use ends the process,
/// as with any mapped file. Files of ours appear by a rename and stay as they are.
///
/// # Errors
/// When the system refuses.
pub(crate) fn map(file: &File) -> std::io::Result<Mmap> {
    // SAFETY: the map is read-only, keeps its pages for as long as it lives, and is of a file that nobody writes in place.
    unsafe { Mmap::map(file) }
}

/// A new CPU tensor of `len` bytes that `fill` writes.
///
/// # Errors
/// `E0201` when libtorch refuses the shape; else what `fill` returns.
pub(crate) fn filled<E: From<crate::error::Error>>(
    shape: &[i64],
    dtype: DType,
    len: usize,
    fill: impl FnOnce(&mut [u8]) -> Result<(), E>,
) -> Result<Tensor, E> {
    let t = Tensor::empty(shape, dtype, Device::Cpu)?;
    if t.numel() * dtype.elt_size_in_bytes() != len {
        return Err(crate::error::Error::value("tensor", format!("{len} bytes do not make a {}", t.describe())).into());
    }
    if len > 0 {
        // SAFETY: a new contiguous CPU tensor, of `len` bytes as was just seen, that nobody else sees yet.
        fill(unsafe { std::slice::from_raw_parts_mut(t.0.data_ptr().cast::<u8>(), len) })?;
    }
    Ok(t)
}
