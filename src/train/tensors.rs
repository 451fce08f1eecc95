//! Named tensors as a safetensors file: streamed one tensor at a time, with a checksum of what was written.

use crate::error::{Error, Result};
use crate::nn::State;
use crate::torch::{DType, Device, Tensor, dtype_name};
use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::Path;

/// Size and CRC-32C of a file, by which a truncated or altered one is recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sum {
    /// Its length.
    pub bytes: u64,
    /// CRC-32C (Castagnoli) of all bytes.
    pub crc32c: u32,
}

const TYPES: &[(DType, Dtype)] = &[
    (DType::Bool, Dtype::BOOL),
    (DType::Uint8, Dtype::U8),
    (DType::Int8, Dtype::I8),
    (DType::Int16, Dtype::I16),
    (DType::Half, Dtype::F16),
    (DType::BFloat16, Dtype::BF16),
    (DType::Int, Dtype::I32),
    (DType::Float, Dtype::F32),
    (DType::ComplexFloat, Dtype::C64),
    (DType::Double, Dtype::F64),
    (DType::Int64, Dtype::I64),
];

struct Summing<W> {
    inner: W,
    sum: Sum,
}

impl<W: Write> Write for Summing<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let n = self.inner.write(bytes)?;
        self.sum.crc32c = crc32c::crc32c_append(self.sum.crc32c, &bytes[..n]);
        self.sum.bytes += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

/// Writes a safetensors file and syncs it. Not atomic by itself: meant for a folder that is renamed when it is whole.
/// `info` becomes the file's metadata. At most one tensor is copied at a time.
///
/// # Errors
/// `E0202` for a dtype that the format lacks, `E0301` when the system refuses, as with a full disk.
pub fn write(path: &Path, state: &State, info: &[(&str, String)]) -> Result<Sum> {
    let mut order = Vec::new();
    for (name, t) in state {
        let dtype = TYPES
            .iter()
            .find(|(k, _)| *k == t.dtype())
            .map(|(_, d)| *d)
            .ok_or_else(|| Error::value("save", format!("`{name}` is {}, which safetensors cannot hold", dtype_name(t.dtype()))))?;
        order.push((name, t, dtype));
    }
    // The format wants the widest elements first, so that every tensor is aligned.
    order.sort_by_key(|(_, _, d)| std::cmp::Reverse(*d));
    let (mut infos, mut at) = (Vec::new(), 0);
    for (name, t, dtype) in &order {
        let end = at + t.numel() * t.dtype().elt_size_in_bytes();
        let shape = t.shape().iter().map(|&d| usize::try_from(d).unwrap_or(0)).collect();
        infos.push(((*name).clone(), TensorInfo { dtype: *dtype, shape, data_offsets: (at, end) }));
        at = end;
    }
    let info = info.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect::<HashMap<_, _>>();
    let broken = |e: String| Error::data(path, format!("the header cannot be written: {e}"));
    let metadata = Metadata::new((!info.is_empty()).then_some(info), infos).map_err(|e| broken(e.to_string()))?;
    let mut header = serde_json::to_vec(&metadata).map_err(|e| broken(e.to_string()))?;
    header.resize(header.len().next_multiple_of(8), b' ');

    let io = |e| Error::io("write", path, e);
    let file = File::create(path).map_err(io)?;
    let mut out = Summing { inner: BufWriter::with_capacity(1 << 20, file), sum: Sum { bytes: 0, crc32c: 0 } };
    out.write_all(&(header.len() as u64).to_le_bytes()).and_then(|()| out.write_all(&header)).map_err(io)?;
    for (_, t, _) in &order {
        out.write_all(&t.to_bytes()?).map_err(io)?;
    }
    out.flush().map_err(io)?;
    let Summing { inner, sum } = out;
    inner.into_inner().map_err(|e| io(e.into_error()))?.sync_all().map_err(io)?;
    Ok(sum)
}

/// Reads a safetensors file into CPU tensors, in the order of the file.
///
/// # Errors
/// `E0301` when it cannot be read, `E0302` when it is truncated or no safetensors file.
pub fn read(path: &Path) -> Result<State> {
    let io = |e| Error::io("read", path, e);
    let file = File::open(path).map_err(io)?;
    let length = file.metadata().map_err(io)?.len();
    let mut file = BufReader::with_capacity(1 << 20, file);
    let mut n = [0u8; 8];
    file.read_exact(&mut n).map_err(|_| Error::data(path, "is too short for a safetensors file"))?;
    let n = u64::from_le_bytes(n);
    if n > length.saturating_sub(8) || n > 100_000_000 {
        return Err(Error::data(path, "is not a safetensors file, or its header is cut off"));
    }
    let mut header = vec![0; usize::try_from(n).unwrap_or(0)];
    file.read_exact(&mut header).map_err(io)?;
    let metadata: Metadata = serde_json::from_slice(&header).map_err(|e| Error::data(path, format!("its header is broken: {e}")))?;
    let want = 8 + n + metadata.data_len() as u64;
    if want != length {
        return Err(Error::data(path, format!("has {length} bytes and should have {want}")));
    }
    let mut state = State::new();
    for name in metadata.offset_keys() {
        let info = metadata.info(&name).expect("the key comes from the same header");
        let dtype = TYPES
            .iter()
            .find(|(_, d)| *d == info.dtype)
            .map(|(k, _)| *k)
            .ok_or_else(|| Error::data(path, format!("`{name}` has the dtype {:?}, which is not supported", info.dtype)))?;
        let shape: Vec<i64> = info.shape.iter().map(|&d| i64::try_from(d).unwrap_or(i64::MAX)).collect();
        let mut bytes = vec![0; info.data_offsets.1 - info.data_offsets.0];
        file.read_exact(&mut bytes).map_err(io)?;
        let t = if bytes.is_empty() { Tensor::zeros(&shape, dtype, Device::Cpu)? } else { Tensor::from_bytes(&bytes, &shape, dtype)? };
        state.insert(name, t);
    }
    Ok(state)
}

/// Size and checksum of a file as it lies on disk.
///
/// # Errors
/// `E0301` when it cannot be read.
pub fn sum(path: &Path) -> Result<Sum> {
    let io = |e| Error::io("read", path, e);
    let mut file = File::open(path).map_err(io)?;
    let mut sum = Sum { bytes: 0, crc32c: 0 };
    let mut buffer = vec![0; 1 << 20];
    loop {
        let n = file.read(&mut buffer).map_err(io)?;
        if n == 0 {
            return Ok(sum);
        }
        sum.crc32c = crc32c::crc32c_append(sum.crc32c, &buffer[..n]);
        sum.bytes += n as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> State {
        let mut s = State::new();
        s.insert("flag".into(), Tensor::from_bytes(&[1, 0, 1], &[3], DType::Bool).unwrap());
        s.insert("w".into(), Tensor::randn(&[3, 5], DType::Float, Device::Cpu).unwrap().t().unwrap());
        s.insert("half".into(), Tensor::randn(&[7], DType::BFloat16, Device::Cpu).unwrap());
        s.insert("n".into(), Tensor::full(&[], 7.0, DType::Int64, Device::Cpu).unwrap());
        s.insert("none".into(), Tensor::zeros(&[0, 4], DType::Double, Device::Cpu).unwrap());
        s
    }

    #[test]
    fn every_bit_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.safetensors");
        let state = example();
        let written = write(&path, &state, &[("by", "test".into())]).unwrap();
        assert_eq!(written, sum(&path).unwrap());
        let back = read(&path).unwrap();
        assert_eq!(back.len(), state.len());
        for (name, t) in &state {
            assert_eq!(
                (t.shape(), t.dtype(), t.to_bytes().unwrap()),
                (back[name].shape(), back[name].dtype(), back[name].to_bytes().unwrap()),
                "{name}"
            );
        }
        // The reference implementation agrees on the layout.
        let bytes = std::fs::read(&path).unwrap();
        let theirs = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(theirs.tensor("w").unwrap().data(), state["w"].to_bytes().unwrap());
    }

    #[test]
    fn every_truncation_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.safetensors");
        write(&path, &example(), &[]).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for n in 0..whole.len() {
            std::fs::write(&path, &whole[..n]).unwrap();
            assert_eq!(read(&path).unwrap_err().code(), "E0302", "{n} bytes of {}", whole.len());
        }
    }

    #[test]
    fn broken_headers_are_errors() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.safetensors");
        write(&path, &example(), &[]).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x55;
            std::fs::write(&path, &bytes).unwrap();
            if let Err(e) = read(&path) {
                assert_eq!(e.code(), "E0302", "byte {at}: {e}");
            }
        }
    }
}
