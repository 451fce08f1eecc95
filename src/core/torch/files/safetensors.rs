//! safetensors: tensors and a map of strings, nothing else.

use super::stored::Stored;
use super::{CUT_OFF, Named, Taken, byte_len, instead_of, open, read_tensor};
use crate::error::{Error, Result};
use crate::files;
use crate::torch::{DType, dtype_name};
use ::safetensors::tensor::Dtype;
use serde::Deserialize;
use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// What a safetensors file says of itself, without its data.
#[derive(Debug, Clone)]
pub struct SafeTensorsInfo {
    /// Name, dtype (`F32`, `BF16`, ... as in the file) and shape, in the order of the data.
    pub tensors: Vec<(String, String, Vec<usize>)>,
    /// The `__metadata__` map.
    pub metadata: HashMap<String, String>,
}

/// The format's own limit.
const MAX_HEADER: u64 = 100_000_000;

/// A dtype by its code; `None` for one that cannot be read.
fn dtype_of(code: &str) -> Option<Stored> {
    Some(match code {
        "F32" => Stored::Plain(DType::Float),
        "F64" => Stored::Plain(DType::Double),
        "F16" => Stored::Plain(DType::Half),
        "BF16" => Stored::Plain(DType::BFloat16),
        "I64" => Stored::Plain(DType::Int64),
        "I32" => Stored::Plain(DType::Int),
        "I16" => Stored::Plain(DType::Int16),
        "I8" => Stored::Plain(DType::Int8),
        "U8" => Stored::Plain(DType::Uint8),
        "BOOL" => Stored::Plain(DType::Bool),
        "C64" => Stored::Plain(DType::ComplexFloat),
        "F8_E4M3" => Stored::Float8(DType::Float8e4m3fn),
        "F8_E5M2" => Stored::Float8(DType::Float8e5m2),
        "F8_E4M3FNUZ" => Stored::Float8(DType::Float8e4m3fnuz),
        "F8_E5M2FNUZ" => Stored::Float8(DType::Float8e5m2fnuz),
        "F8_E8M0" => Stored::Exponent,
        "U16" => Stored::Unsigned(DType::Int16),
        "U32" => Stored::Unsigned(DType::Int),
        "U64" => Stored::Unsigned(DType::Int64),
        _ => return None,
    })
}

fn code_of(d: DType) -> Option<Dtype> {
    Some(match d {
        DType::Float => Dtype::F32,
        DType::Double => Dtype::F64,
        DType::Half => Dtype::F16,
        DType::BFloat16 => Dtype::BF16,
        DType::Int64 => Dtype::I64,
        DType::Int => Dtype::I32,
        DType::Int16 => Dtype::I16,
        DType::Int8 => Dtype::I8,
        DType::Uint8 => Dtype::U8,
        DType::Bool => Dtype::BOOL,
        DType::ComplexFloat => Dtype::C64,
        _ => return None,
    })
}

/// A tensor in the header. Its dtype stays text: one that nobody reads may be of any.
#[derive(Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: (u64, u64),
}

struct Header {
    /// Where the data begins.
    start: u64,
    /// In the order of the data, which is that of the writer.
    tensors: Vec<(String, Entry)>,
    metadata: HashMap<String, String>,
}

impl Header {
    /// Reads it and checks it against the file's length. The crate's own reader refuses a file for one dtype that it does not know.
    fn read(path: &Path, file: &File) -> Result<Header> {
        let bad = |message: String| instead_of(path, "a safetensors file").unwrap_or_else(|| Error::data(path, message));
        let io = |e| Error::io("read", path, e);
        let len = file.metadata().map_err(io)?.len();
        let mut size = [0u8; 8];
        if len < 8 {
            return Err(bad("not a safetensors file: it is too short".into()));
        }
        file.read_exact_at(&mut size, 0).map_err(io)?;
        let size = u64::from_le_bytes(size);
        if size > MAX_HEADER || size > len - 8 {
            let e = bad("not a safetensors file, or cut off within its header".into());
            return Err(e.help(CUT_OFF));
        }
        let mut text = vec![0u8; usize::try_from(size).unwrap_or(usize::MAX)];
        file.read_exact_at(&mut text, 8).map_err(io)?;
        let damaged = |message: String| Error::data(path, format!("a damaged safetensors file: {message}"));
        let mut all: serde_json::Map<String, serde_json::Value> =
            serde_json::from_slice(&text).map_err(|e| bad(format!("a damaged safetensors file: {e}")))?;
        let metadata = all.remove("__metadata__").map(serde_json::from_value).transpose().map_err(|e| damaged(format!("`__metadata__`: {e}")))?;
        let entry = |(name, value)| match serde_json::from_value::<Entry>(value) {
            Ok(entry) => Ok((name, entry)),
            Err(e) => Err(damaged(format!("`{name}`: {e}"))),
        };
        let mut tensors = all.into_iter().map(entry).collect::<Result<Vec<_>>>()?;
        tensors.sort_by_key(|(_, e)| e.data_offsets);
        let mut end = 0;
        for (name, e) in &tensors {
            let shape = e.sizes().ok_or_else(|| damaged(format!("`{name}` has an impossible shape")))?;
            let bytes = match dtype_of(&e.dtype) {
                Some(stored) => Some(byte_len(&shape, stored.raw()).ok_or_else(|| damaged(format!("`{name}` has an impossible shape")))? as u64),
                None => None,
            };
            let (from, to) = e.data_offsets;
            if from != end || to < from || bytes.is_some_and(|b| b != to - from) {
                return Err(damaged(format!("the data of `{name}` is not where it should be, or of another length")));
            }
            end = to;
        }
        let start = 8 + size;
        let want = start.checked_add(end).ok_or_else(|| damaged("its data is too long".into()))?;
        if want > len {
            return Err(Error::data(path, format!("was cut off: {len} of its {want} bytes are there")).help(CUT_OFF));
        }
        if want < len {
            return Err(damaged(format!("{} bytes lie behind its data", len - want)));
        }
        Ok(Header { start, tensors, metadata: metadata.unwrap_or_default() })
    }
}

impl Entry {
    fn sizes(&self) -> Option<Vec<i64>> {
        self.shape.iter().map(|&d| i64::try_from(d).ok()).collect()
    }
}

/// Reads the header of a safetensors file.
///
/// # Errors
/// `E0301` when the file cannot be read, `E0302` when it is damaged or another kind of file.
pub fn safetensors_info(path: &Path) -> Result<SafeTensorsInfo> {
    let header = Header::read(path, &open(path)?)?;
    let tensors = header.tensors.into_iter().map(|(name, e)| (name, e.dtype, e.shape)).collect();
    Ok(SafeTensorsInfo { tensors, metadata: header.metadata })
}

/// Reads all tensors of a safetensors file, on the CPU, and its `__metadata__`. Floats of 8 bits become f32, unsigned integers signed ones.
///
/// # Errors
/// `E0301` when the file cannot be read, `E0302` when it is damaged or holds a dtype that tensors here lack.
pub fn read_safetensors(path: &Path) -> Result<(Named, HashMap<String, String>)> {
    let file = open(path)?;
    let header = Header::read(path, &file)?;
    let taken = take(path, &file, &header, &|_| true)?;
    match taken.unread.first() {
        Some((name, dtype)) => Err(Error::data(path, format!("`{name}` has the unsupported dtype {dtype}"))),
        None => Ok((taken.tensors, header.metadata)),
    }
}

/// Reads the tensors whose names are `wanted`.
///
/// # Errors
/// `E0301` when the file cannot be read, `E0302` when it is damaged.
pub fn read_some_safetensors(path: &Path, wanted: &dyn Fn(&str) -> bool) -> Result<Taken> {
    let file = open(path)?;
    let header = Header::read(path, &file)?;
    take(path, &file, &header, wanted)
}

fn take(path: &Path, file: &File, header: &Header, wanted: &dyn Fn(&str) -> bool) -> Result<Taken> {
    let mut out = Taken::default();
    for (name, e) in header.tensors.iter().filter(|(name, _)| wanted(name)) {
        let (Some(stored), Some(shape)) = (dtype_of(&e.dtype), e.sizes()) else {
            out.unread.push((name.clone(), e.dtype.clone()));
            continue;
        };
        let t = read_tensor(file, path, header.start + e.data_offsets.0, &shape, stored.raw())?;
        let t = stored.finish(t).map_err(|e| e.context(format!("`{}`: `{name}`", path.display())))?;
        out.tensors.insert(name.clone(), t);
    }
    Ok(out)
}

/// Writes tensors and a map of strings; the file appears whole or not at all. Tensors on a GPU are copied one at a time.
///
/// # Errors
/// `E0301` when the file cannot be written, `E0202` for a dtype that the format lacks.
pub fn write_safetensors(path: &Path, tensors: &Named, metadata: &HashMap<String, String>) -> Result<()> {
    // Largest alignment first, as the format's own writer, then in the given order.
    let mut order: Vec<_> = tensors.iter().collect();
    order.sort_by_key(|(_, t)| std::cmp::Reverse(t.dtype().elt_size_in_bytes()));
    let mut header = serde_json::Map::new();
    if !metadata.is_empty() {
        let sorted: std::collections::BTreeMap<_, _> = metadata.iter().collect();
        header.insert("__metadata__".into(), serde_json::json!(sorted));
    }
    let mut at = 0;
    for (name, t) in &order {
        let dtype =
            code_of(t.dtype()).ok_or_else(|| Error::value("save", format!("`{name}`: safetensors has no dtype {}", dtype_name(t.dtype()))))?;
        if name.as_str() == "__metadata__" {
            return Err(Error::value("save", "a tensor cannot be called `__metadata__` in safetensors"));
        }
        let end = at + t.numel() * t.dtype().elt_size_in_bytes();
        let dtype = serde_json::to_value(dtype).map_err(|e| Error::value("save", e.to_string()))?;
        header.insert((*name).clone(), serde_json::json!({"dtype": dtype, "shape": t.shape(), "data_offsets": [at, end]}));
        at = end;
    }
    let mut text = serde_json::Value::Object(header).to_string();
    while !text.len().is_multiple_of(8) {
        text.push(' ');
    }
    if text.len() as u64 > MAX_HEADER {
        return Err(Error::value("save", "the names and metadata are larger than safetensors allows (100 MB)"));
    }
    files::write_atomic(path, |out| {
        let io = |e| Error::io("write", path, e);
        out.write_all(&(text.len() as u64).to_le_bytes()).map_err(io)?;
        out.write_all(text.as_bytes()).map_err(io)?;
        order.iter().try_for_each(|(_, t)| out.write_all(&t.to_bytes()?).map_err(io))
    })
}
