//! Memory that the system or libtorch owns, as Rust sees it.

use super::ffi;
use crate::error::Result;
use crate::torch::{DType, Device, Tensor, from_message};
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

/// For the fuzz: from now on tensors on the CPU lie between walls, so that what reads or writes outside of them ends the process. New memory
/// holds the byte `fill`; more than `limit` bytes in all are an error. Tensors that exist stay where they are.
pub fn guard_memory(fill: u8, limit: i64) {
    // SAFETY: replaces the allocator of new tensors; each keeps the function that frees it.
    unsafe { ffi::lathe_guard_memory(fill.into(), limit) };
}

/// For the fuzz: where the storage of a tensor lies, and how many bytes it has. Views of one tensor share it.
///
/// # Errors
/// `E0201` for a tensor without a storage.
pub fn storage(t: &Tensor) -> Result<(i64, i64)> {
    let (mut at, mut bytes) = (0, 0);
    // SAFETY: a tensor that outlives the call.
    let done = unsafe { ffi::checked(|e| ffi::lathe_storage(t.0.as_ptr().cast(), &mut at, &mut bytes, e)) };
    done.map_err(|f| from_message("storage", &[], &f.message))?;
    Ok((at, bytes))
}

/// Counts a change of a tensor that libtorch has not seen.
pub fn bump_version(t: &Tensor) {
    // SAFETY: a tensor.
    unsafe { ffi::lathe_bump_version(t.0.as_ptr().cast_mut().cast()) };
}
