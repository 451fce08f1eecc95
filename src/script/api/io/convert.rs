//! Values of files to and from script values.

use crate::data::{Hdf5Value, Picture, load_hdf5, read_picture};
use crate::error::{Error, Result};
use crate::script::lang::value::{from_json, type_name};
use crate::torch::files::{Named, PtValue, PtView};
use crate::torch::{DType, Tensor};
use rhai::{Array, Dynamic, Map};
use std::path::Path;

/// Deeper than any value that a script makes.
const MAX_DEPTH: usize = 48;
/// More objects than any checkpoint holds; shared ones are counted each time they are met.
const MAX_OBJECTS: usize = 4_000_000;

/// Named tensors as a map.
pub(crate) fn to_map(tensors: Named) -> Map {
    tensors.into_iter().map(|(name, t)| (name.into(), Dynamic::from(t))).collect()
}

/// The tensors of nested maps, names joined by dots.
pub(crate) fn flatten(op: &str, prefix: &str, map: &Map, out: &mut Named, depth: usize) -> Result<()> {
    if depth > MAX_DEPTH {
        return Err(Error::value(op, "the maps are nested too deeply"));
    }
    for (k, v) in map {
        let name = format!("{prefix}{k}");
        if let Some(t) = v.read_lock::<Tensor>() {
            if out.insert(name.clone(), t.clone()).is_some() {
                return Err(Error::value(op, format!("two tensors are called `{name}`")));
            }
        } else if let Some(m) = v.read_lock::<Map>() {
            flatten(op, &format!("{name}."), &m, out, depth + 1)?;
        } else {
            return Err(Error::value(op, format!("`{name}` must be a tensor, got {}", type_name(v))));
        }
    }
    Ok(())
}

/// A checkpoint as maps, arrays, numbers and tensors. An object becomes the map of its attributes; what cannot be held (a cycle,
/// a class) becomes its name.
pub(crate) fn from_pt(value: &PtValue) -> Result<Dynamic> {
    let bytes = crate::files::size(value.path()).unwrap_or(0);
    convert(value, 0, &mut Room { objects: MAX_OBJECTS, bytes: usize::try_from(bytes).unwrap_or(usize::MAX).saturating_add(SHARED_BYTES) })
}

/// Bytes of texts that may be met again and again beyond those in the file.
const SHARED_BYTES: usize = 64 << 20;

/// What may still be converted.
struct Room {
    objects: usize,
    bytes: usize,
}

impl Room {
    fn take(&mut self, value: &PtValue, objects: usize, bytes: usize) -> Result<()> {
        let left = self.objects.checked_sub(objects).zip(self.bytes.checked_sub(bytes));
        let too_many = || Error::data(value.path(), "it holds too many objects").help("take a part: `io::load(path, #{ key: \"ema\" })`");
        (self.objects, self.bytes) = left.ok_or_else(too_many)?;
        Ok(())
    }
}

fn convert(value: &PtValue, depth: usize, room: &mut Room) -> Result<Dynamic> {
    room.take(value, 1, 0)?;
    if depth > MAX_DEPTH {
        return Ok("...".into());
    }
    let map = |entries: Vec<(PtValue, PtValue)>, room: &mut Room| -> Result<Dynamic> {
        let mut out = Map::new();
        for (k, v) in entries {
            let name = key(&k, 0)?;
            room.take(value, 0, name.len())?;
            if out.insert(name.as_str().into(), convert(&v, depth + 1, room)?).is_some() {
                let message = format!("it has two keys that are `{name}` in a map of texts, such as 1 and \"1\"");
                return Err(Error::data(value.path(), message).help("take a part: `io::load(path, #{ key: \"ema\" })`"));
            }
        }
        Ok(out.into())
    };
    Ok(match value.view()? {
        PtView::None => Dynamic::UNIT,
        PtView::Bool(b) => b.into(),
        PtView::Int(i) => i.into(),
        PtView::Long(bytes) => as_float(&bytes).into(),
        PtView::Float(f) => f.into(),
        PtView::Str(s) => {
            room.take(value, 0, s.len())?;
            s.to_string().into()
        }
        PtView::Bytes(b) => {
            room.take(value, 0, b.len())?;
            b.to_vec().into()
        }
        PtView::List(l) => l.iter().map(|v| convert(v, depth + 1, room)).collect::<Result<Array>>()?.into(),
        PtView::Dict(d) => map(d, room)?,
        PtView::Tensor(t) => Dynamic::from(t),
        PtView::Class(name) => name.to_string().into(),
        PtView::Object(class, entries) if entries.is_empty() => format!("<{class}>").into(),
        PtView::Object(_, entries) => map(entries, room)?,
    })
}

/// A key as Python prints it, texts without quotes.
fn key(k: &PtValue, depth: usize) -> Result<String> {
    Ok(match k.view()? {
        PtView::None => "None".into(),
        PtView::List(items) if depth < 4 => {
            let parts = items.iter().take(64).map(|k| key(k, depth + 1)).collect::<Result<Vec<_>>>()?;
            format!("({})", parts.join(", "))
        }
        PtView::Str(s) => s.to_string(),
        PtView::Int(i) => i.to_string(),
        PtView::Float(f) => f.to_string(),
        PtView::Bool(b) => if b { "True" } else { "False" }.into(),
        PtView::Class(c) => c.to_string(),
        _ => "?".into(),
    })
}

/// A two's complement number of any length, little-endian: scripts have no larger ints.
fn as_float(bytes: &[u8]) -> f64 {
    let negative = bytes.last().is_some_and(|b| b & 0x80 != 0);
    let magnitude = bytes.iter().rev().fold(0.0, |n, b| n * 256.0 + f64::from(*b));
    if negative { magnitude - 256f64.powi(i32::try_from(bytes.len()).unwrap_or(i32::MAX)) } else { magnitude }
}

/// A script value as JSON; tensors become numbers or nested arrays.
pub(crate) fn json_of(d: &Dynamic, depth: usize) -> Result<serde_json::Value> {
    use serde_json::Value;
    const MAX_ELEMENTS: usize = 1 << 20;
    if depth > MAX_DEPTH {
        return Err(Error::value("save", "the value is nested too deeply"));
    }
    if let Some(m) = d.read_lock::<Map>() {
        return Ok(Value::Object(m.iter().map(|(k, v)| Ok((k.to_string(), json_of(v, depth + 1)?))).collect::<Result<_>>()?));
    }
    if let Some(a) = d.read_lock::<Array>() {
        return Ok(Value::Array(a.iter().map(|v| json_of(v, depth + 1)).collect::<Result<_>>()?));
    }
    if let Some(t) = d.read_lock::<Tensor>() {
        // Rows are arrays of their own, also empty ones.
        if t.numel() > MAX_ELEMENTS || t.nested_len() > 2 * MAX_ELEMENTS {
            return Err(Error::value("save", format!("a tensor {} is too large for JSON", t.describe())).help("save it as .npy or .safetensors"));
        }
        let flat: Vec<Value> = match t.dtype() {
            DType::Bool => t.to_vec_i64()?.into_iter().map(|i| Value::from(i != 0)).collect(),
            _ if t.is_float() => t.to_vec_f64()?.into_iter().map(Value::from).collect(),
            _ => t.to_vec_i64()?.into_iter().map(Value::from).collect(),
        };
        return Ok(nested(&mut flat.into_iter(), &t.shape()));
    }
    Ok(crate::script::lang::value::to_json(d))
}

fn nested(flat: &mut impl Iterator<Item = serde_json::Value>, shape: &[i64]) -> serde_json::Value {
    match shape.split_first() {
        None => flat.next().unwrap_or_default(),
        Some((n, rest)) => (0..*n).map(|_| nested(flat, rest)).collect(),
    }
}

/// A picture as u8 `[3, H, W]`.
pub(crate) fn load_image(path: &Path) -> Result<Tensor> {
    planes(&read_picture(path)?)
}

fn planes(picture: &Picture) -> Result<Tensor> {
    let size = |n: usize| i64::try_from(n).map_err(|_| Error::value("load", "the picture is too large"));
    Tensor::from_vec(&picture.rgb, &[size(picture.height)?, size(picture.width)?, 3])?.permute(&[2, 0, 1])?.contiguous()
}

/// The data sets of a container as a map, or the one called `key`.
pub(crate) fn hdf5(path: &Path, key: Option<&str>) -> Result<Dynamic> {
    let mut out = Map::new();
    for (name, value) in load_hdf5(path, key)? {
        let value = match value {
            Hdf5Value::Picture(p) => Dynamic::from(planes(&p)?),
            Hdf5Value::Json(json) => from_json(&json),
            Hdf5Value::Tensor(t) => Dynamic::from(t),
        };
        if key.is_some() {
            return Ok(value);
        }
        out.insert(name.into(), value);
    }
    Ok(out.into())
}
