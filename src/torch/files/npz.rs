//! Reading `.npz` archives by the array: names without data, one array, or some rows of one that is larger than memory.

use super::npy::Header;
use super::{byte_len, fill_tensor, open};
use crate::error::{Error, Result, did_you_mean};
use crate::torch::{DType, Tensor, dtype_name};
use std::fs::File;
use std::io::{BufReader, Read, Write};
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
        let zip = zip::ZipArchive::new(BufReader::new(open(path)?));
        let zip = zip.map_err(|e| Error::data(path, format!("not a .npz archive: {e}")))?;
        Ok(Npz { path: path.to_owned(), zip })
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

    /// One array as rows that are read when they are wanted. A compressed array is unpacked into a file without a name first.
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
        let bytes = byte_len(header.shape(), header.dtype()).ok_or_else(|| Error::data(&path, format!("array `{name}`: an impossible shape")))?;
        if header.is_foreign() {
            return Err(Error::data(&path, format!("array `{name}` is in Fortran's order or big-endian: save it again in C's order")));
        }
        let (file, offset) = match start {
            Some(start) => (open(&path)?, start + header.len()),
            None => (unpacked(&path, &mut entry, bytes as u64)?, 0),
        };
        let have = file.metadata().map_err(|e| Error::io("read", &path, e))?.len();
        if offset.saturating_add(bytes as u64) > have {
            return Err(Error::data(&path, format!("array `{name}` ends within its data: the file was cut off")));
        }
        Ok(NpyRows { path: path.clone(), name: name.to_owned(), file, offset, dtype: header.dtype(), shape: header.shape().to_vec() })
    }
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
            0 => return Err(Error::data(path, "ends within its data: the file was cut off")),
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
    dtype: DType,
    shape: Vec<i64>,
}

impl NpyRows {
    /// The whole array's shape.
    pub fn shape(&self) -> &[i64] {
        &self.shape
    }

    /// Its dtype.
    pub fn dtype(&self) -> DType {
        self.dtype
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
        let impossible = || Error::data(&self.path, format!("array `{}` ({}): an impossible shape", self.name, dtype_name(self.dtype)));
        let len = byte_len(&shape, self.dtype).ok_or_else(impossible)?;
        let row = byte_len(&self.shape[1..], self.dtype).ok_or_else(impossible)? as u64;
        let at = self.offset + row * start as u64;
        fill_tensor(&shape, self.dtype, len, |buffer| self.file.read_exact_at(buffer, at)).map_err(|e| e.into_error(&self.path))
    }

    /// All of it.
    ///
    /// # Errors
    /// As [`NpyRows::read`].
    pub fn all(&self) -> Result<Tensor> {
        match self.shape.first() {
            Some(n) => self.read(0, *n),
            None => {
                let len = byte_len(&[], self.dtype).unwrap_or(0);
                fill_tensor(&[], self.dtype, len, |buffer| self.file.read_exact_at(buffer, self.offset)).map_err(|e| e.into_error(&self.path))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::torch::files::NpzWriter;

    fn data(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/pt").join(name)
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
}
