//! NumPy arrays: `.npy`, and `.npz` archives of them.
//!
//! The header is read here and not by a crate: it is a Python literal, and `py_literal`, which `npyz` uses, is a parser of all literals that
//! recurses on hostile nesting. `npyz` also leaves to be done what is most of this file: the bound on what a header may claim, and rows of a
//! `.npz` that come one by one.

use super::stored::Stored;
use super::{CUT_OFF, FillError, MAX_RATIO, Named, byte_len, fill_tensor, instead_of, open, read_growing, read_tensor};
use crate::error::{Error, Result};
use crate::files;
use crate::torch::{DType, Tensor, dtype_name};
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 6] = b"\x93NUMPY";
const MAX_HEADER: usize = 1 << 16;

/// numpy's code of a dtype; `None` for those it lacks.
fn code_of(dtype: DType) -> Option<&'static str> {
    Some(match dtype {
        DType::Bool => "|b1",
        DType::Uint8 => "|u1",
        DType::Int8 => "|i1",
        DType::Int16 => "<i2",
        DType::Int => "<i4",
        DType::Int64 => "<i8",
        DType::Half => "<f2",
        DType::Float => "<f4",
        DType::Double => "<f8",
        DType::ComplexFloat => "<c8",
        DType::ComplexDouble => "<c16",
        _ => return None,
    })
}

fn dtype_of(code: &str) -> Option<Stored> {
    let plain = |code: &str| {
        Some(match code {
            "b1" => DType::Bool,
            "u1" => DType::Uint8,
            "i1" => DType::Int8,
            "i2" => DType::Int16,
            "i4" => DType::Int,
            "i8" => DType::Int64,
            "f2" => DType::Half,
            "f4" => DType::Float,
            "f8" => DType::Double,
            "c8" => DType::ComplexFloat,
            "c16" => DType::ComplexDouble,
            _ => return None,
        })
    };
    match code {
        "u2" => Some(Stored::Unsigned(DType::Int16)),
        "u4" => Some(Stored::Unsigned(DType::Int)),
        "u8" => Some(Stored::Unsigned(DType::Int64)),
        code => plain(code).map(Stored::Plain),
    }
}

#[derive(Clone, Debug)]
pub(super) struct Header {
    stored: Stored,
    /// Bytes to swap in each group; 0 for little-endian data.
    swap: usize,
    fortran: bool,
    shape: Vec<i64>,
    /// Of the header itself, in bytes.
    len: u64,
}

impl Header {
    pub(super) fn read(r: &mut impl Read) -> Result<Header, String> {
        let cut = |_| "it ends within its header".to_owned();
        let mut head = [0u8; 8];
        r.read_exact(&mut head).map_err(cut)?;
        if &head[..6] != MAGIC {
            return Err("not a NumPy array".into());
        }
        let (size, prefix) = if head[6] == 1 {
            let mut n = [0u8; 2];
            r.read_exact(&mut n).map_err(cut)?;
            (usize::from(u16::from_le_bytes(n)), 10)
        } else {
            let mut n = [0u8; 4];
            r.read_exact(&mut n).map_err(cut)?;
            (u32::from_le_bytes(n) as usize, 12)
        };
        if size > MAX_HEADER {
            return Err("its header is too long".into());
        }
        let mut text = vec![0u8; size];
        r.read_exact(&mut text).map_err(cut)?;
        let text = String::from_utf8(text).map_err(|_| "its header is not text".to_owned())?;
        let value = |key: &str| text.split_once(&format!("'{key}':")).map(|(_, rest)| rest.trim_start());
        let descr = value("descr").and_then(|v| v.strip_prefix('\'')).and_then(|v| v.split_once('\'')).map(|(code, _)| code);
        let descr = descr.ok_or("an array of records, which is not a tensor")?;
        let (order, code) = descr.split_at_checked(1).ok_or("its dtype is malformed")?;
        let stored = dtype_of(code).ok_or_else(|| format!("numpy dtype `{descr}` is not supported"))?;
        let fortran = match value("fortran_order") {
            Some(v) if v.starts_with("True") => true,
            Some(v) if v.starts_with("False") => false,
            _ => return Err("its header lacks `fortran_order`".into()),
        };
        let shape = value("shape").and_then(|v| v.strip_prefix('(')).and_then(|v| v.split_once(')')).map(|(s, _)| s);
        let shape = shape.ok_or("its header lacks `shape`")?.split(',').map(str::trim).filter(|s| !s.is_empty());
        let shape = shape.map(|s| s.trim_end_matches('L').parse::<u32>().map(i64::from)).collect::<Result<Vec<_>, _>>();
        let shape = shape.map_err(|_| "its shape is malformed".to_owned())?;
        // Complex numbers are pairs: each half is swapped by itself.
        let width = stored.raw().elt_size_in_bytes() / if code.starts_with('c') { 2 } else { 1 };
        let swap = if order == ">" && width > 1 { width } else { 0 };
        Ok(Header { stored, swap, fortran, shape, len: prefix + size as u64 })
    }

    /// Of the finished array.
    pub(super) fn stored(&self) -> Stored {
        self.stored
    }

    pub(super) fn shape(&self) -> &[i64] {
        &self.shape
    }

    /// Of the header itself, in bytes.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Whether the bytes lie in another order than a tensor's.
    pub(super) fn is_foreign(&self) -> bool {
        self.swap > 0 || (self.fortran && self.shape.len() > 1)
    }

    /// Whether the first index runs fastest.
    pub(super) fn is_fortran(&self) -> bool {
        self.fortran && self.shape.len() > 1
    }

    /// Bytes to swap in each group, 0 for none.
    pub(super) fn swap(&self) -> usize {
        self.swap
    }

    /// The shape in which the bytes lie.
    fn layout(&self) -> Vec<i64> {
        if self.fortran { self.shape.iter().rev().copied().collect() } else { self.shape.clone() }
    }

    fn finish(&self, t: Tensor) -> Result<Tensor> {
        let t = if self.fortran { in_c_order(&t)? } else { t };
        self.stored.finish(t)
    }

    fn bytes(&self) -> Result<usize, String> {
        byte_len(&self.shape, self.stored.raw()).ok_or_else(|| format!("a shape {:?} is impossible", self.shape))
    }
}

/// An array whose dimensions were read in reverse, as Fortran's order lies in a file, in C's order.
pub(super) fn in_c_order(reversed: &Tensor) -> Result<Tensor> {
    let dims: Vec<i64> = (0..reversed.rank() as i64).rev().collect();
    reversed.permute(&dims)?.contiguous()
}

pub(super) fn swap_groups(data: &mut [u8], width: usize) {
    if width > 1 {
        data.chunks_exact_mut(width).for_each(<[u8]>::reverse);
    }
}

/// Reads an array from a stream whose header was read, which holds at most `limit` bytes.
fn read_stream(path: &Path, header: &Header, r: &mut impl Read, limit: u64) -> Result<Tensor> {
    let len = header.bytes().map_err(|e| Error::data(path, e))?;
    if len as u64 > limit {
        let message = format!("its shape {:?} needs more data than the file holds: it was cut off", header.shape);
        return Err(Error::data(path, message).help(CUT_OFF));
    }
    let mut data = read_growing(r, len).map_err(|e| FillError::Io(e).into_error(path))?;
    // At its end an archive's entry compares its checksum.
    let _trailing = r.read(&mut [0u8; 1]).map_err(|e| FillError::Io(e).into_error(path))?;
    swap_groups(&mut data, header.swap);
    let t = fill_tensor(&header.layout(), header.stored.raw(), len, |buffer| {
        buffer.copy_from_slice(&data);
        Ok(())
    });
    header.finish(t.map_err(|e| e.into_error(path))?)
}

/// Reads a `.npy` file.
///
/// # Errors
/// `E0301` when it cannot be read, `E0302` when it is damaged or its dtype is not a tensor's.
pub fn read_npy(path: &Path) -> Result<Tensor> {
    let file = open(path)?;
    let len = file.metadata().map_err(|e| Error::io("read", path, e))?.len();
    let mut reader = BufReader::new(&file);
    let header = Header::read(&mut reader).map_err(|e| instead_of(path, "one NumPy array (.npy)").unwrap_or_else(|| Error::data(path, e)))?;
    if header.swap > 0 {
        return read_stream(path, &header, &mut reader, len);
    }
    header.finish(read_tensor(&file, path, header.len, &header.layout(), header.stored.raw())?)
}

/// Reads all arrays of a `.npz` file, in its order.
///
/// # Errors
/// As [`read_npy`].
pub fn read_npz(path: &Path) -> Result<Named> {
    let bad = |e: zip::result::ZipError| Error::data(path, format!("a damaged .npz archive: {e}"));
    let mut zip = super::npz::archive(path)?;
    let mut out = Named::new();
    // Entries over the same bytes would be as many arrays out of one.
    let (mut packed, size) = (0u64, files::size(path)?);
    for i in 0..zip.len() {
        let mut entry = zip.by_index(i).map_err(bad)?;
        packed = packed.saturating_add(entry.compressed_size());
        if packed > size {
            return Err(Error::data(path, "a damaged .npz archive: its entries lie over each other"));
        }
        let name = entry.name().map_err(bad)?.into_owned();
        let Some(name) = name.strip_suffix(".npy").map(str::to_owned) else { continue };
        let limit = entry.compressed_size().saturating_mul(MAX_RATIO).min(entry.size());
        let header = Header::read(&mut entry).map_err(|e| Error::data(path, format!("array `{name}`: {e}")))?;
        let t = read_stream(path, &header, &mut entry, limit).map_err(|e| e.context(format!("array `{name}`")))?;
        out.insert(name, t);
    }
    if out.is_empty() && !zip.is_empty() {
        return Err(instead_of(path, "an .npz archive").unwrap_or_else(|| Error::data(path, "an archive without arrays")));
    }
    Ok(out)
}

fn write_header(out: &mut impl Write, dtype: DType, shape: &[i64]) -> Result<(), String> {
    let code = code_of(dtype).ok_or_else(|| format!("numpy has no dtype {}; convert it with `.float()`", dtype_name(dtype)))?;
    let sizes: Vec<String> = shape.iter().map(i64::to_string).collect();
    let comma = if shape.len() == 1 { "," } else { "" };
    let mut text = format!("{{'descr': '{code}', 'fortran_order': False, 'shape': ({}{comma}), }}", sizes.join(", "));
    // Data begins at a multiple of 64, so that numpy can map it.
    while !(text.len() + 11).is_multiple_of(64) {
        text.push(' ');
    }
    text.push('\n');
    let size = u16::try_from(text.len()).map_err(|_| "a shape of too many dimensions".to_owned())?;
    let io = |e: std::io::Error| e.to_string();
    out.write_all(MAGIC).and_then(|()| out.write_all(&[1, 0])).and_then(|()| out.write_all(&size.to_le_bytes())).map_err(io)?;
    out.write_all(text.as_bytes()).map_err(io)
}

/// Writes a tensor as `.npy`; the file appears whole or not at all.
///
/// # Errors
/// `E0301` when it cannot be written, `E0202` for bf16, which numpy lacks.
pub fn write_npy(path: &Path, tensor: &Tensor) -> Result<()> {
    let bytes = tensor.to_bytes()?;
    files::write_atomic(path, |out| {
        write_header(out, tensor.dtype(), &tensor.shape()).map_err(|e| Error::value("save", e))?;
        out.write_all(&bytes).map_err(|e| Error::io("write", path, e))
    })
}

/// Writes a `.npz` archive piece by piece, so that a large array never lies in memory as a whole. The file appears under its
/// name at [`NpzWriter::finish`]; a writer that is dropped before leaves nothing.
pub struct NpzWriter {
    path: PathBuf,
    zip: zip::ZipWriter<BufWriter<File>>,
    temp: files::Temporary,
    /// The array being written: its name, dtype, the shape of one row, rows still to come.
    open: Option<(String, DType, Vec<i64>, i64)>,
}

impl NpzWriter {
    /// Begins an archive.
    ///
    /// # Errors
    /// `E0301` when the folder cannot be written.
    pub fn create(path: &Path) -> Result<NpzWriter> {
        let (file, temp) = files::temporary(path)?;
        Ok(NpzWriter { path: path.to_owned(), zip: zip::ZipWriter::new(BufWriter::with_capacity(1 << 20, file)), temp, open: None })
    }

    /// Begins an array `[rows, ..]` to which [`NpzWriter::push`] adds rows.
    ///
    /// # Errors
    /// `E0202` when the one before lacks rows or numpy has no such dtype, `E0301` when the disk is full.
    pub fn begin(&mut self, name: &str, dtype: DType, shape: &[i64]) -> Result<()> {
        self.complete()?;
        if let Some(n) = shape.iter().find(|n| **n < 0) {
            return Err(Error::value("npz", format!("`{name}` has the sizes {shape:?}: {n} is none")));
        }
        // What cannot be written leaves no entry behind.
        let mut header = Vec::new();
        write_header(&mut header, dtype, shape).map_err(|e| Error::value("npz", e))?;
        let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored).large_file(true);
        self.zip.start_file(format!("{name}.npy"), options).map_err(|e| self.failed(e.into()))?;
        self.zip.write_all(&header).map_err(|e| self.failed(e))?;
        let rows = shape.first().copied().unwrap_or(1);
        self.open = Some((name.to_owned(), dtype, shape.get(1..).unwrap_or_default().to_vec(), rows));
        Ok(())
    }

    /// Adds rows `[n, ..]` to the array that was begun.
    ///
    /// # Errors
    /// `E0202` when they do not fit it, `E0301` when the disk is full.
    pub fn push(&mut self, rows: &Tensor) -> Result<()> {
        let shape = rows.shape();
        let Some((name, dtype, row, left)) = &mut self.open else { return Err(Error::value("npz", "no array was begun")) };
        let fits = rows.dtype() == *dtype && shape.get(1..) == Some(row.as_slice()) && shape[0] <= *left;
        if !fits {
            let message = format!("`{name}` takes rows {row:?} of {}, {left} more; got {}", dtype_name(*dtype), rows.describe());
            return Err(Error::value("npz", message));
        }
        *left -= shape[0];
        let bytes = rows.to_bytes()?;
        self.zip.write_all(&bytes).map_err(|e| self.failed(e))
    }

    /// Adds a whole tensor.
    ///
    /// # Errors
    /// As [`NpzWriter::begin`] and [`NpzWriter::push`].
    pub fn add(&mut self, name: &str, tensor: &Tensor) -> Result<()> {
        let shape = tensor.shape();
        self.begin(name, tensor.dtype(), &shape)?;
        if shape.is_empty() {
            self.open = None;
            let bytes = tensor.to_bytes()?;
            return self.zip.write_all(&bytes).map_err(|e| self.failed(e));
        }
        if shape[0] > 0 { self.push(tensor) } else { Ok(()) }
    }

    /// Ends the archive and gives it its name.
    ///
    /// # Errors
    /// `E0202` when the last array lacks rows, `E0301` when the disk is full.
    pub fn finish(mut self) -> Result<()> {
        self.complete()?;
        let io = |e: std::io::Error| Error::io("write", &self.path, e);
        let mut out = self.zip.finish().map_err(|e| io(e.into()))?;
        out.flush().and_then(|()| out.rewind()).and_then(|()| out.get_ref().sync_all()).map_err(io)?;
        self.temp.persist()
    }

    fn complete(&mut self) -> Result<()> {
        match self.open.take() {
            Some((name, _, _, left)) if left > 0 => Err(Error::value("npz", format!("array `{name}` still lacks {left} rows"))),
            _ => Ok(()),
        }
    }

    fn failed(&self, e: std::io::Error) -> Error {
        Error::io("write", &self.path, e)
    }
}
