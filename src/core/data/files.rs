//! Files that appear whole or not at all, and safetensors shards that are written and read without a second copy.

use crate::error::{Error, ErrorKind, Result};
use crate::files;
use crate::torch::DType;
use memmap2::Mmap;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// What a written file weighs, and the SHA-256 of its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
}

/// Hashes and counts what goes through it.
struct Hashing<W> {
    inner: W,
    hash: Sha256,
    bytes: u64,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        let n = self.inner.write(buf)?;
        self.hash.update(&buf[..n]);
        self.bytes += n as u64;
        Ok(n)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

/// Writes a file that appears whole or not at all, and hashes it on the way.
pub(crate) fn write_whole(path: &Path, fill: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<Written> {
    let mut written = None;
    let done = files::write_atomic(path, |out| {
        let mut out = Hashing { inner: out, hash: Sha256::new(), bytes: 0 };
        fill(&mut out).map_err(|e| Error::io("write", path, e))?;
        written = Some(Written { bytes: out.bytes, sha256: files::hex(&out.hash.finalize()) });
        Ok(())
    });
    done.map_err(|e| {
        if matches!(e.kind(), ErrorKind::Io { source, .. } if source.kind() == std::io::ErrorKind::StorageFull) {
            return e.help("the disk is full; what was written before is whole, and the same command continues there");
        }
        e
    })?;
    Ok(written.expect("set when the file was filled"))
}

/// Removes what a killed run left half written in `folder`.
pub(crate) fn remove_leftovers(folder: &Path, stem: &str) -> Result<()> {
    for (name, path) in files::list(folder)? {
        if name.starts_with(&format!(".{stem}")) && name.ends_with(".part") {
            files::remove(&path)?;
        }
    }
    Ok(())
}

/// Writes JSON for people: indented, with a newline at the end.
pub(crate) fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<Written> {
    let text = files::json(value)?;
    write_whole(path, |out| out.write_all(&text))
}

/// One tensor of a shard to be written.
pub(crate) struct Column<'a> {
    pub(crate) name: String,
    pub(crate) dtype: DType,
    pub(crate) shape: Vec<usize>,
    pub(crate) data: &'a [u8],
}

fn format_name(dtype: DType) -> &'static str {
    match dtype {
        DType::Uint8 => "U8",
        DType::Int64 => "I64",
        DType::Float => "F32",
        DType::BFloat16 => "BF16",
        other => unreachable!("shards hold u8, i64, f32 and bf16, not {other:?}"),
    }
}

/// Writes a safetensors file, streaming each tensor from its slice.
pub(crate) fn write_shard(path: &Path, columns: &[Column]) -> Result<Written> {
    let (mut header, mut at) = (Map::new(), 0);
    for c in columns {
        let size: usize = c.shape.iter().product::<usize>() * c.dtype.elt_size_in_bytes();
        assert_eq!(size, c.data.len(), "the shape of `{}` fits its data", c.name);
        header.insert(c.name.clone(), json!({"dtype": format_name(c.dtype), "shape": c.shape, "data_offsets": [at, at + size]}));
        at += size;
    }
    let mut header = Value::Object(header).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    write_whole(path, |out| {
        out.write_all(&(header.len() as u64).to_le_bytes())?;
        out.write_all(&header)?;
        columns.iter().try_for_each(|c| out.write_all(c.data))
    })
}

/// A memory-mapped safetensors shard: where each tensor's bytes lie.
#[derive(Debug)]
pub(crate) struct Shard {
    path: PathBuf,
    map: Mmap,
    columns: Vec<(String, DType, Vec<usize>, Range<usize>)>,
}

impl Shard {
    /// Maps a shard and reads its header; `bytes` is the size it must have.
    pub(crate) fn open(path: &Path, bytes: Option<u64>) -> Result<Shard> {
        let file = files::open(path)?;
        let actual = file.metadata().map_err(|e| Error::io("read", path, e))?.len();
        if let Some(want) = bytes.filter(|want| *want != actual) {
            let state = if actual < want { "truncated" } else { "changed" };
            return Err(Error::data(path, format!("the file is {state}: {actual} bytes instead of {want}"))
                .help("make the data set again, or fetch this file again"));
        }
        // Shards appear by rename and are never written in place.
        let map = crate::torch::bridge::map(&file).map_err(|e| Error::io("map", path, e))?;
        let bad = |what: String| Error::data(path, format!("not a whole safetensors file: {what}"));
        let (header_size, header) = safetensors::SafeTensors::read_metadata(&map).map_err(|e| bad(e.to_string()))?;
        let data = header_size + 8;
        let mut columns = Vec::new();
        for (name, info) in header.tensors() {
            let dtype = match info.dtype {
                safetensors::Dtype::U8 => DType::Uint8,
                safetensors::Dtype::I64 => DType::Int64,
                safetensors::Dtype::F32 => DType::Float,
                safetensors::Dtype::BF16 => DType::BFloat16,
                other => return Err(bad(format!("`{name}` is {other:?}"))),
            };
            let range = data + info.data_offsets.0..data + info.data_offsets.1;
            columns.push((name, dtype, info.shape.clone(), range));
        }
        Ok(Shard { path: path.to_owned(), map, columns })
    }

    /// The bytes of a tensor, which must have that dtype and shape; `None` in the shape is any size.
    pub(crate) fn column(&self, name: &str, dtype: DType, shape: &[Option<usize>]) -> Result<Range<usize>> {
        let bad = |what: String| Error::data(&self.path, what);
        let (_, d, s, range) = self.columns.iter().find(|c| c.0 == name).ok_or_else(|| bad(format!("there is no tensor `{name}` in it")))?;
        let fits = s.len() == shape.len() && s.iter().zip(shape).all(|(a, b)| b.is_none_or(|b| b == *a));
        if *d != dtype || !fits {
            let want: Vec<String> = shape.iter().map(|n| n.map_or("any".into(), |n| n.to_string())).collect();
            let (got, want_type) = (format_name(*d), format_name(dtype));
            return Err(bad(format!("`{name}` is {got} {s:?}, expected {want_type} [{}]", want.join(", "))));
        }
        Ok(range.clone())
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.map
    }

    /// Reads the whole file and compares its hash.
    pub(crate) fn verify(&self, sha256: &str) -> Result<()> {
        let actual = files::hex(&Sha256::digest(&self.map[..]));
        if actual == sha256 { Ok(()) } else { Err(Error::data(&self.path, format!("its SHA-256 is {actual}, expected {sha256}"))) }
    }
}
