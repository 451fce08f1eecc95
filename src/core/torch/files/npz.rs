//! Reading `.npz` archives by the array: names without data, one array, or some rows of one that is larger than memory.

use super::npy::{Header, in_c_order, swap_groups};
use super::stored::Stored;
use super::{CUT_OFF, byte_len, fill_tensor, instead_of, open};
use crate::error::{Error, Result, did_you_mean};
use crate::torch::{DType, Tensor, dtype_name};
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// An archive of arrays.
pub struct Npz {
    path: PathBuf,
    zip: zip::ZipArchive<BufReader<File>>,
}

impl Npz {
    /// Opens an archive; no array is read.
    ///
    /// # Errors
    /// `E0301` when it cannot be read, `E0302` when it is no archive.
    pub fn open(path: &Path) -> Result<Npz> {
        Ok(Npz { path: path.to_owned(), zip: archive(path)? })
    }

    /// The names of its arrays.
    pub fn names(&self) -> Vec<String> {
        self.zip.file_names().filter_map(|n| n.ok()?.strip_suffix(".npy").map(str::to_owned)).collect()
    }

    /// Name, length and CRC-32 of each array, as the archive lists them: no array is read.
    ///
    /// # Errors
    /// `E0302` for a damaged archive.
    pub fn sums(&mut self) -> Result<Vec<(String, u64, u32)>> {
        let bad = |e: zip::result::ZipError| Error::data(&self.path, format!("a damaged .npz archive: {e}"));
        let mut out = Vec::new();
        for i in 0..self.zip.len() {
            let entry = self.zip.by_index_raw(i).map_err(bad)?;
            out.push((entry.name().map_err(bad)?.into_owned(), entry.size(), entry.crc32()));
        }
        Ok(out)
    }

    /// The shape of an array, from its header: it is not read, nor unpacked.
    ///
    /// # Errors
    /// `E0302` when there is no such array, or the archive is damaged.
    pub fn shape(&mut self, name: &str) -> Result<Vec<i64>> {
        let bad = |e: &dyn std::fmt::Display| Error::data(&self.path, format!("array `{name}`: {e}"));
        let index = self.zip.index_for_name(&format!("{name}.npy")).ok_or_else(|| bad(&"it is not there"))?;
        let mut entry = self.zip.by_index(index).map_err(|e| bad(&e))?;
        Header::read(&mut entry).map(|h| h.shape().to_vec()).map_err(|e| bad(&e))
    }

    /// One array as rows that are read when they are wanted. A compressed array is unpacked into a file without a name first, and one in
    /// Fortran's order or of big-endian numbers is put in order there, with a word in the log.
    ///
    /// # Errors
    /// `E0302` when there is no such array (naming those that are), or its data is damaged; `E0301` when the disk is full.
    pub fn rows(mut self, name: &str) -> Result<NpyRows> {
        let names = self.names();
        let path = self.path.clone();
        let Some(index) = self.zip.index_for_name(&format!("{name}.npy")) else {
            let near = did_you_mean(name, names.iter().map(String::as_str));
            return Err(Error::data(&path, format!("has no array `{name}`{near}; it holds {}", listed(&names))));
        };
        let bad = |e: zip::result::ZipError| Error::data(&path, format!("a damaged .npz archive: {e}"));
        let mut entry = self.zip.by_index(index).map_err(bad)?;
        let stored = entry.compression() == zip::CompressionMethod::Stored;
        let start = entry.data_start().filter(|_| stored);
        let header = Header::read(&mut entry).map_err(|e| Error::data(&path, format!("array `{name}`: {e}")))?;
        let bytes = byte_len(header.shape(), header.stored().raw());
        let bytes = bytes.ok_or_else(|| Error::data(&path, format!("array `{name}`: an impossible shape")))?;
        let (file, offset) = match start {
            Some(start) => (open(&path)?, start + header.len()),
            None => (unpacked(&path, &mut entry, bytes as u64)?, 0),
        };
        let have = file.metadata().map_err(|e| Error::io("read", &path, e))?.len();
        if offset.saturating_add(bytes as u64) > have {
            return Err(Error::data(&path, format!("array `{name}` ends within its data: the file was cut off")).help(CUT_OFF));
        }
        let (file, offset) = if header.is_foreign() {
            let why = if header.is_fortran() { "in Fortran's order" } else { "big-endian" };
            tracing::info!("`{}`: array `{name}` is {why}: it is put in order in a temporary file first", path.display());
            (put_in_order(&path, &file, offset, &header)?, 0)
        } else {
            (file, offset)
        };
        Ok(NpyRows { path: path.clone(), name: name.to_owned(), file, offset, stored: header.stored(), shape: header.shape().to_vec() })
    }
}

/// Opens the archive itself.
pub(super) fn archive(path: &Path) -> Result<zip::ZipArchive<BufReader<File>>> {
    let damaged =
        |e: zip::result::ZipError| instead_of(path, "an .npz archive").unwrap_or_else(|| Error::data(path, format!("not a .npz archive: {e}")));
    zip::ZipArchive::new(BufReader::new(open(path)?)).map_err(damaged)
}

/// Bytes of rows that are put in order at a time.
const BLOCK: usize = 256 << 20;

/// An array in C's order and little-endian, in a file that vanishes when it is closed. It is read as often as the array is larger than [`BLOCK`].
fn put_in_order(path: &Path, file: &File, offset: u64, header: &Header) -> Result<File> {
    let (raw, shape) = (header.stored().raw(), header.shape());
    let width = raw.elt_size_in_bytes();
    let impossible = || Error::data(path, "an impossible shape");
    let rows = shape.first().copied().unwrap_or(1);
    let row = byte_len(shape.get(1..).unwrap_or_default(), raw).ok_or_else(impossible)?;
    let block = i64::try_from(BLOCK / row.max(1)).unwrap_or(1).clamp(1, rows.max(1));
    let temp = || std::env::temp_dir();
    let out = tempfile::tempfile().map_err(|e| Error::io("create", temp(), e))?;
    let mut writer = BufWriter::with_capacity(1 << 20, &out);
    let mut first = 0;
    while first < rows && row > 0 {
        crate::interrupt::check()?;
        let n = block.min(rows - first);
        let run = n as usize * width;
        let read = |buffer: &mut [u8]| {
            if !header.is_fortran() {
                return file.read_exact_at(buffer, offset + first as u64 * row as u64);
            }
            // The rows' index runs fastest: the values of these rows lie together, once for each place within a row.
            let mut places = buffer.chunks_exact_mut(run).enumerate();
            places.try_for_each(|(at, part)| file.read_exact_at(part, offset + (at as u64 * rows as u64 + first as u64) * width as u64))
        };
        let shape: Vec<i64> = std::iter::once(n).chain(shape.get(1..).unwrap_or_default().iter().copied()).collect();
        let layout: Vec<i64> = if header.is_fortran() { shape.iter().rev().copied().collect() } else { shape };
        let block = fill_tensor(&layout, raw, n as usize * row, |buffer| {
            read(buffer)?;
            swap_groups(buffer, header.swap());
            Ok(())
        });
        let block = block.map_err(|e| e.into_error(path))?;
        let block = if header.is_fortran() { in_c_order(&block)? } else { block };
        writer.write_all(&block.to_bytes()?).map_err(|e| Error::io("write", temp(), e).help("TMPDIR names another folder for temporary files"))?;
        first += n;
    }
    writer.flush().map_err(|e| Error::io("write", temp(), e))?;
    drop(writer);
    Ok(out)
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "none".into() } else { names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ") }
}

/// The rest of an entry in a file that vanishes when it is closed.
fn unpacked(path: &Path, entry: &mut impl Read, bytes: u64) -> Result<File> {
    let mut file = tempfile::tempfile().map_err(|e| Error::io("create", std::env::temp_dir(), e))?;
    let mut buffer = vec![0u8; 1 << 20];
    let mut left = bytes;
    while left > 0 {
        crate::interrupt::check()?;
        let n = entry.read(&mut buffer[..(1 << 20).min(usize::try_from(left).unwrap_or(usize::MAX))]);
        match n.map_err(|e| Error::data(path, format!("a damaged .npz archive: {e}")))? {
            0 => return Err(Error::data(path, "ends within its data: the file was cut off").help(CUT_OFF)),
            n => {
                file.write_all(&buffer[..n]).map_err(|e| {
                    Error::io("write", std::env::temp_dir(), e).help("the archive is compressed and is unpacked there; TMPDIR names another folder")
                })?;
                left -= n as u64;
            }
        }
    }
    Ok(file)
}

/// An array `[N, ..]` on disk.
#[derive(Debug)]
pub struct NpyRows {
    path: PathBuf,
    name: String,
    file: File,
    offset: u64,
    stored: Stored,
    shape: Vec<i64>,
}

impl NpyRows {
    /// The whole array's shape.
    pub fn shape(&self) -> &[i64] {
        &self.shape
    }

    /// Its dtype.
    pub fn dtype(&self) -> DType {
        self.stored.dtype()
    }

    /// Rows `start .. start + n`: `[n, ..]`.
    ///
    /// # Errors
    /// `E0202` for rows that are not there, `E0301` when the file cannot be read.
    pub fn read(&self, start: i64, n: i64) -> Result<Tensor> {
        let total = self.shape.first().copied().unwrap_or(0);
        if start < 0 || n < 0 || start.checked_add(n).is_none_or(|end| end > total) {
            return Err(Error::value("read", format!("rows {start} to {start}+{n} of `{}`, which has {total}", self.name)));
        }
        let shape: Vec<i64> = std::iter::once(n).chain(self.shape[1..].iter().copied()).collect();
        let impossible = || Error::data(&self.path, format!("array `{}` ({}): an impossible shape", self.name, dtype_name(self.dtype())));
        let raw = self.stored.raw();
        let len = byte_len(&shape, raw).ok_or_else(impossible)?;
        let row = byte_len(&self.shape[1..], raw).ok_or_else(impossible)? as u64;
        self.fill(&shape, len, self.offset + row * start as u64)
    }

    fn fill(&self, shape: &[i64], len: usize, at: u64) -> Result<Tensor> {
        let t = fill_tensor(shape, self.stored.raw(), len, |buffer| self.file.read_exact_at(buffer, at));
        self.stored.finish(t.map_err(|e| e.into_error(&self.path))?)
    }

    /// All of it.
    ///
    /// # Errors
    /// As [`NpyRows::read`].
    pub fn all(&self) -> Result<Tensor> {
        match self.shape.first() {
            Some(n) => self.read(0, *n),
            None => self.fill(&[], byte_len(&[], self.stored.raw()).unwrap_or(0), self.offset),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::torch::files::NpzWriter;

    fn data(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/pt").join(name)
    }

    #[test]
    fn rows_of_stored_arrays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.npz");
        let x = Tensor::arange(0.0, 60.0, 1.0, DType::Uint8, crate::torch::Device::Cpu).unwrap().view(&[5, 3, 4]).unwrap();
        let mut w = NpzWriter::create(&path).unwrap();
        w.add("first", &x.narrow(0, 0, 1).unwrap()).unwrap();
        w.add("arr_0", &x).unwrap();
        w.finish().unwrap();
        assert_eq!(Npz::open(&path).unwrap().names(), ["first", "arr_0"]);
        let rows = Npz::open(&path).unwrap().rows("arr_0").unwrap();
        assert_eq!((rows.shape(), rows.dtype()), (&[5, 3, 4][..], DType::Uint8));
        assert_eq!(rows.read(3, 2).unwrap().to_vec_i64().unwrap(), (36..60).collect::<Vec<i64>>());
        assert!(rows.read(4, 2).is_err() && rows.read(-1, 1).is_err());
        let e = Npz::open(&path).unwrap().rows("arr0").unwrap_err().to_string();
        assert!(e.contains("`arr_0`"), "{e}");
    }

    /// The same arrays that the other tests read whole, which numpy compressed.
    #[test]
    fn compressed_arrays_are_unpacked() {
        let path = data("compressed.npz");
        for (name, want) in crate::torch::files::read_npz(&path).unwrap() {
            let rows = Npz::open(&path).unwrap().rows(&name).unwrap();
            assert_eq!(rows.all().unwrap().to_bytes().unwrap(), want.to_bytes().unwrap(), "{name}");
        }
        assert!(Npz::open(&data("state.pt")).is_ok_and(|z| z.rows("arr_0").is_err()) && Npz::open(&data("make.py")).is_err());
    }

    /// `fortran.npz` holds `x`, `fortran` and `big` of the same values `[5, 3, 2]`, as numpy writes transposed and big-endian arrays; `make_odd.py`.
    #[test]
    fn npz_fortran_and_big_endian_arrays_are_read_by_rows() {
        let path = data("fortran.npz");
        for deflated in ["", "_deflated"] {
            let path = path.with_file_name(format!("fortran{deflated}.npz"));
            let plain = Npz::open(&path).unwrap().rows("x").unwrap();
            for name in ["fortran", "big"] {
                let rows = Npz::open(&path).unwrap().rows(name).unwrap();
                assert_eq!((rows.shape(), rows.dtype()), (plain.shape(), plain.dtype()));
                assert_eq!(rows.read(1, 3).unwrap().to_bytes().unwrap(), plain.read(1, 3).unwrap().to_bytes().unwrap(), "{name}");
                assert_eq!(rows.all().unwrap().to_bytes().unwrap(), plain.all().unwrap().to_bytes().unwrap(), "{name}");
            }
        }
        let unsigned = Npz::open(&path).unwrap().rows("u16").unwrap();
        assert_eq!((unsigned.dtype(), unsigned.all().unwrap().to_vec_i64().unwrap()), (DType::Int, vec![65535, 1]));
    }
}
