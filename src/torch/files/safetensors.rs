//! safetensors: tensors and a map of strings, nothing else.

use super::{Named, open, read_tensor};
use crate::error::{Error, Result};
use crate::files;
use crate::torch::{DType, dtype_name};
use ::safetensors::tensor::{Dtype, Metadata, TensorInfo};
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

fn dtype_of(d: Dtype) -> Option<DType> {
    Some(match d {
        Dtype::F32 => DType::Float,
        Dtype::F64 => DType::Double,
        Dtype::F16 => DType::Half,
        Dtype::BF16 => DType::BFloat16,
        Dtype::I64 => DType::Int64,
        Dtype::I32 => DType::Int,
        Dtype::I16 => DType::Int16,
        Dtype::I8 => DType::Int8,
        Dtype::U8 => DType::Uint8,
        Dtype::BOOL => DType::Bool,
        Dtype::C64 => DType::ComplexFloat,
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

/// The header, checked against the file's length, and where the data begins.
fn header(path: &Path, file: &File) -> Result<(u64, Metadata)> {
    let bad = |message: String| Error::data(path, message);
    let io = |e| Error::io("read", path, e);
    let len = file.metadata().map_err(io)?.len();
    let mut size = [0u8; 8];
    if len < 8 {
        return Err(bad("not a safetensors file: it is too short".into()));
    }
    file.read_exact_at(&mut size, 0).map_err(io)?;
    let size = u64::from_le_bytes(size);
    if size > MAX_HEADER || size > len - 8 {
        return Err(bad("not a safetensors file, or cut off within its header".into()));
    }
    // Only the header is read through the map, right here; the data is read by ordinary calls, for which a file that shrinks
    // meanwhile is an error and not a signal.
    let map = crate::torch::bridge::map(file).map_err(io)?;
    let (_, metadata) =
        ::safetensors::SafeTensors::read_metadata(&map).map_err(|e| bad(format!("a damaged safetensors file, or one that was cut off: {e}")))?;
    Ok((8 + size, metadata))
}

/// In the order of the data, which is that of the writer.
fn in_order(metadata: &Metadata) -> Vec<(String, TensorInfo)> {
    let mut all: Vec<_> = metadata.tensors().into_iter().map(|(name, info)| (name, info.clone())).collect();
    all.sort_by_key(|(_, info)| info.data_offsets);
    all
}

/// Reads the header of a safetensors file.
///
/// # Errors
/// `E0301` when the file cannot be read, `E0302` when it is damaged.
pub fn safetensors_info(path: &Path) -> Result<SafeTensorsInfo> {
    let (_, metadata) = header(path, &open(path)?)?;
    let tensors = in_order(&metadata).into_iter().map(|(name, info)| (name, format!("{:?}", info.dtype), info.shape)).collect();
    Ok(SafeTensorsInfo { tensors, metadata: metadata.metadata().clone().unwrap_or_default() })
}

/// Reads all tensors of a safetensors file, on the CPU, and its `__metadata__`.
///
/// # Errors
/// `E0301` when the file cannot be read, `E0302` when it is damaged or holds a dtype that tensors here lack.
pub fn read_safetensors(path: &Path) -> Result<(Named, HashMap<String, String>)> {
    let file = open(path)?;
    let (start, metadata) = header(path, &file)?;
    let mut out = Named::new();
    for (name, info) in in_order(&metadata) {
        let dtype = dtype_of(info.dtype).ok_or_else(|| Error::data(path, format!("`{name}` has the unsupported dtype {:?}", info.dtype)))?;
        let shape = info.shape.iter().map(|&d| i64::try_from(d)).collect::<Result<Vec<_>, _>>();
        let shape = shape.map_err(|_| Error::data(path, format!("`{name}` has an impossible shape")))?;
        out.insert(name, read_tensor(&file, path, start + info.data_offsets.0 as u64, &shape, dtype)?);
    }
    Ok((out, metadata.metadata().clone().unwrap_or_default()))
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
