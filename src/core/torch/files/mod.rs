//! Tensors in files: PyTorch checkpoints (read as data, nothing is ever called), safetensors, NumPy arrays.

mod distributed;
mod foreign;
mod npy;
mod npz;
mod pickle;
mod program;
mod pt;
mod pt_write;
mod safetensors;
mod slice;
mod state;
mod stored;
#[cfg(test)]
mod tests;

pub use distributed::Distributed;
pub use foreign::{instead_of, is_zip_of_arrays};
pub use npy::{NpzWriter, read_npy, read_npz, write_npy};
pub use npz::{NpyRows, Npz};
pub use program::{is_torchscript, read_torchscript_state};
pub(super) use program::{load_program, plain};
pub use pt::{PtValue, PtView, read_pt};
pub use pt_write::{PtItem, write_pt};
pub use safetensors::{SafeTensorsInfo, read_safetensors, read_some_safetensors, safetensors_info, write_safetensors};
pub use state::{pt_parts, state_dict};

use super::{DType, Tensor, bridge};
use crate::error::{Error, Result};
use crate::files;
use indexmap::IndexMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// What to do about a file that was cut off.
const CUT_OFF: &str = "a download that did not finish? fetch it again";

/// Names and tensors, in order.
pub type Named = IndexMap<String, Tensor>;

/// What was read of the tensors that were asked for.
#[derive(Default)]
pub struct Taken {
    /// Those that could be read.
    pub tensors: Named,
    /// Names and types of those that no tensor here can hold.
    pub unread: Vec<(String, String)>,
}

/// The length of a tensor's data in bytes; `None` when sizes are negative or do not fit an address.
fn byte_len(shape: &[i64], dtype: DType) -> Option<usize> {
    let len = shape.iter().try_fold(dtype.elt_size_in_bytes(), |n, &d| usize::try_from(d).ok().and_then(|d| n.checked_mul(d)))?;
    isize::try_from(len).is_ok().then_some(len)
}

/// Bytes of a stream that are read first; then as many as are there already.
const CHUNK: usize = 1 << 20;
/// Deflate does not compress better than this.
const MAX_RATIO: u64 = 1100;

/// The next `len` bytes of a stream, for which memory grows with the data that comes, not with what is claimed: few bytes of a deflated
/// entry can claim a thousand times as many.
fn read_growing(r: &mut impl std::io::Read, len: usize) -> std::io::Result<Vec<u8>> {
    let mut data = Vec::new();
    while data.len() < len {
        let (at, step) = (data.len(), (len - data.len()).min(data.len().max(CHUNK)));
        crate::memory::ask(step as u64).map_err(|e| std::io::Error::new(std::io::ErrorKind::OutOfMemory, e))?;
        data.try_reserve_exact(step).map_err(|_| std::io::Error::from(std::io::ErrorKind::OutOfMemory))?;
        data.resize(at + step, 0);
        r.read_exact(&mut data[at..])?;
    }
    Ok(data)
}

/// Reads a CPU tensor from the bytes of `file` at `offset`, which must be there, in the type by which they lie there.
fn read_tensor(file: &File, path: &Path, offset: u64, shape: &[i64], dtype: DType) -> Result<Tensor> {
    let len = byte_len(shape, dtype).ok_or_else(|| Error::data(path, format!("a tensor of shape {shape:?} is impossible")))?;
    let end = offset.checked_add(len as u64);
    let have = file.metadata().map_err(|e| Error::io("read", path, e))?.len();
    if end.is_none_or(|end| end > have) {
        let message = format!("the file ends within its data: a tensor of {len} bytes at {offset}, {have} bytes in all");
        return Err(Error::data(path, message).help(CUT_OFF));
    }
    fill_tensor(shape, dtype, len, |buffer| file.read_exact_at(buffer, offset)).map_err(|e| e.into_error(path))
}

enum FillError {
    Torch(Error),
    Io(std::io::Error),
}

impl From<Error> for FillError {
    fn from(e: Error) -> Self {
        FillError::Torch(e)
    }
}

impl FillError {
    fn into_error(self, path: &Path) -> Error {
        match self {
            FillError::Torch(e) => e.context(path.display().to_string()),
            FillError::Io(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => Error::data(path, "the file ends within its data").help(CUT_OFF),
            FillError::Io(e) if e.kind() == std::io::ErrorKind::OutOfMemory => {
                super::out_of_memory("load", &e.to_string()).context(path.display().to_string())
            }
            FillError::Io(e) => Error::io("read", path, e),
        }
    }
}

/// A CPU tensor whose `len` bytes are written by `fill`.
fn fill_tensor(shape: &[i64], dtype: DType, len: usize, fill: impl FnOnce(&mut [u8]) -> std::io::Result<()>) -> Result<Tensor, FillError> {
    // Bytes other than 0 and 1 in a bool tensor are undefined behaviour in C++: read them as numbers and compare.
    let raw = if dtype == DType::Bool { DType::Uint8 } else { dtype };
    let t = bridge::filled(shape, raw, len, |buffer| fill(buffer).map_err(FillError::Io))?;
    if dtype == DType::Bool { t.ne(0i64).map_err(FillError::Torch) } else { Ok(t) }
}

/// Opens a file for reading.
fn open(path: &Path) -> Result<File> {
    let file = files::open(path)?;
    if file.metadata().map_err(|e| Error::io("open", path, e))?.is_dir() {
        return Err(Error::data(path, "a folder, not a file"));
    }
    Ok(file)
}
