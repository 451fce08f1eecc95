//! Script values to PyTorch files.

use crate::error::{Error, Result};
use crate::nn::State;
use crate::script::lang::value::type_name;
use crate::torch::Tensor;
use crate::torch::files::{PtItem, write_pt, write_safetensors};
use rhai::{Array, Dynamic, Map};
use std::collections::HashMap;
use std::path::Path;

/// Deeper than any value that a script makes.
const MAX_DEPTH: usize = 48;

/// A value as it goes into a `.pt` file.
pub(crate) fn item_of(value: &Dynamic, depth: usize) -> Result<PtItem> {
    if depth > MAX_DEPTH {
        return Err(Error::value("save", "the value is nested too deeply"));
    }
    if let Some(t) = value.read_lock::<Tensor>() {
        return Ok(PtItem::Tensor(t.clone()));
    }
    if let Some(map) = value.read_lock::<Map>() {
        return map.iter().map(|(k, v)| Ok((k.to_string(), item_of(v, depth + 1)?))).collect::<Result<_>>().map(PtItem::Dict);
    }
    if let Some(list) = value.read_lock::<Array>() {
        return list.iter().map(|v| item_of(v, depth + 1)).collect::<Result<_>>().map(PtItem::List);
    }
    if value.is_unit() {
        return Ok(PtItem::None);
    }
    let plain = value.as_bool().map(PtItem::Bool).or_else(|_| value.as_int().map(PtItem::Int)).or_else(|_| value.as_float().map(PtItem::Float));
    plain.or_else(|_| value.clone().into_string().map(PtItem::Str)).map_err(|_| {
        let message = format!("PyTorch files hold tensors, numbers, strings, arrays and maps of them, got {}", type_name(value));
        Error::value("save", message)
    })
}

/// A state dict as a file of the kind that its name says: PyTorch's, or safetensors.
pub(crate) fn write_state(path: &Path, state: &State) -> Result<()> {
    let ext = path.extension().map(|e| e.to_string_lossy().to_lowercase());
    match ext.as_deref() {
        Some("pt" | "pth" | "ckpt" | "bin") => {
            let entries = state.iter().map(|(k, t)| (k.clone(), PtItem::Tensor(t.clone()))).collect();
            write_pt(path, &PtItem::Dict(entries))
        }
        _ => write_safetensors(path, state, &HashMap::new()),
    }
}
