//! Reading fixtures, and the portable weights that they name.

use super::settings::{Settings, unread};
use lathe::error::{Error, Result};
use lathe::nn::{Module, State};
use lathe::torch::{DType, Tensor, default_device, no_grad};
use rayon::prelude::*;
use serde_json::Value;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// One fixture: its sidecar and its tensors.
pub struct Fixture {
    pub path: PathBuf,
    pub kind: String,
    pub meta: Value,
    pub tensors: State,
    /// Names of the tensors that a check looked at.
    seen: RefCell<BTreeSet<String>>,
    /// The settings of `config` that a check looked at.
    read: RefCell<BTreeSet<String>>,
}

impl Fixture {
    /// Opens `X.json` and, where it speaks of tensors, `X.safetensors`.
    ///
    /// # Errors
    /// `E0301` or `E0302` for a sidecar that cannot be read or names no kind, and for tensors that are missing or damaged.
    pub fn open(path: &Path) -> Result<Fixture> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::io("read", path, e))?;
        let meta: Value = serde_json::from_str(&text).map_err(|e| Error::data(path, e.to_string()))?;
        let kind = match meta.get("kind") {
            Some(kind) => kind.as_str().map(str::to_owned),
            // The vectors of the hash itself are the one file that came without.
            None => meta.get("vectors").map(|_| "hashinit".to_owned()),
        };
        let kind = kind.ok_or_else(|| Error::data(path, "this sidecar names no `kind`"))?;
        let data = path.with_extension("safetensors");
        let expected = meta["tensors"].as_object().is_some_and(|t| !t.is_empty());
        let tensors = if expected || data.exists() { read(&data)? } else { State::new() };
        for name in meta["tensors"].as_object().into_iter().flat_map(|t| t.keys()) {
            if !tensors.contains_key(name) {
                return Err(Error::data(&data, format!("lacks the tensor `{name}` of its sidecar")));
            }
        }
        Ok(Fixture { path: path.to_owned(), kind, meta, tensors, seen: RefCell::default(), read: RefCell::default() })
    }

    /// The settings of `config`.
    pub fn config(&self) -> Settings<'_> {
        Settings::new(&self.meta["config"], &self.read)
    }

    /// Those that no check has looked at.
    pub fn unread(&self) -> Vec<String> {
        unread(&self.meta["config"], &self.read.borrow())
    }

    /// A tensor that must be there.
    pub fn get(&self, name: &str) -> Result<&Tensor> {
        self.seen.borrow_mut().insert(name.to_owned());
        self.tensors.get(name).ok_or_else(|| Error::data(&self.path, format!("has no tensor `{name}`")))
    }

    pub fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// All tensors whose name starts with `prefix`, without it.
    pub fn below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a Tensor)> {
        let all = self.tensors.iter().filter_map(move |(k, t)| Some((k.strip_prefix(prefix)?, t)));
        all.inspect(move |(rest, _)| {
            self.seen.borrow_mut().insert(format!("{prefix}{rest}"));
        })
    }

    /// All tensors, for a check that goes through them.
    pub fn everything(&self) -> &State {
        self.seen.borrow_mut().extend(self.tensors.keys().cloned());
        &self.tensors
    }

    /// The tensors that no check has looked at. Weights beside a `spec` are those that it describes.
    pub fn unseen(&self) -> Vec<&str> {
        let seen = self.seen.borrow();
        let described = |name: &str| self.meta["spec"].is_object() && name.starts_with("w.");
        self.tensors.keys().map(String::as_str).filter(|n| !seen.contains(*n) && !described(n)).collect()
    }

    /// The seed of the hashed weights.
    pub fn seed(&self) -> u64 {
        self.meta["seed"].as_u64().unwrap_or(0)
    }

    /// A number of the sidecar, or a default.
    pub fn number(&self, key: &str, default: f64) -> f64 {
        self.meta.get(key).and_then(Value::as_f64).unwrap_or(default)
    }

    /// Sets the weights of a module: hashed where `spec` names them, otherwise as they are; without a `spec`, as stored under `w.`. (Beside a
    /// `spec` the stored ones are the same, but for buffers, which were stored after a training pass.) A name that the module lacks is an error.
    pub fn init(&self, module: &Module) -> Result<()> {
        if self.meta["spec"].is_object() {
            return fill(module, &self.meta["spec"], self.seed(), "");
        }
        let state = module.state();
        let own = |name: &str, shape: &[i64]| {
            let t = state.get(name).ok_or_else(|| Error::data(&self.path, format!("the model has no `{name}`")))?;
            let fits = t.shape() == shape;
            if fits { Ok(t) } else { Err(Error::data(&self.path, format!("`{name}` is {shape:?} there and {:?} in the model", t.shape()))) }
        };
        self.below("w.").try_for_each(|(name, value)| no_grad(|| own(name, &value.shape())?.copy_(value).map(|_| ())))
    }
}

/// The sizes of a JSON list.
pub fn shape_of(v: &Value) -> Vec<i64> {
    v.as_array().into_iter().flatten().filter_map(Value::as_i64).collect()
}

/// All tensors of a safetensors file, on the device under test.
pub fn read(path: &Path) -> Result<State> {
    let bytes = std::fs::read(path).map_err(|e| Error::io("read", path, e))?;
    let file = safetensors::SafeTensors::deserialize(&bytes).map_err(|e| Error::data(path, e.to_string()))?;
    let mut names = file.names();
    names.sort();
    let mut out = State::new();
    for name in names {
        let view = file.tensor(name).map_err(|e| Error::data(path, e.to_string()))?;
        let shape: Vec<i64> = view.shape().iter().map(|&n| n as i64).collect();
        let dtype = match view.dtype() {
            safetensors::Dtype::F64 => DType::Double,
            safetensors::Dtype::F32 => DType::Float,
            safetensors::Dtype::F16 => DType::Half,
            safetensors::Dtype::I64 => DType::Int64,
            safetensors::Dtype::BF16 => DType::BFloat16,
            safetensors::Dtype::I32 => DType::Int,
            safetensors::Dtype::BOOL => DType::Bool,
            safetensors::Dtype::U8 => DType::Uint8,
            other => return Err(Error::data(path, format!("`{name}` is {other:?}"))),
        };
        out.insert(name.to_string(), Tensor::from_bytes(view.data(), &shape, dtype)?.to_device(default_device())?);
    }
    Ok(out)
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

fn base(seed: u64, name: &str) -> u64 {
    let step = |h: u64, b: u8| (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01B3);
    format!("{seed}:{name}").bytes().fold(0xCBF2_9CE4_8422_2325, step)
}

fn value(base: u64, i: u64, lo: f64, hi: f64) -> f32 {
    let z = mix(base.wrapping_add((i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15)));
    (lo + (hi - lo) * ((z >> 40) as f64 / 16_777_216.0)) as f32
}

/// Element `i` of a hashed tensor.
pub fn hash_value(seed: u64, name: &str, i: u64, lo: f64, hi: f64) -> f32 {
    value(base(seed, name), i, lo, hi)
}

/// A tensor of U(lo, hi) values that depend on seed and name only.
pub fn hash_tensor(seed: u64, name: &str, shape: &[i64], lo: f64, hi: f64) -> Result<Tensor> {
    let base = base(seed, name);
    let n: i64 = shape.iter().product();
    let mut data = vec![0f32; n as usize];
    const PART: usize = 1 << 16;
    data.par_chunks_mut(PART).enumerate().for_each(|(part, values)| {
        values.iter_mut().enumerate().for_each(|(i, x)| *x = value(base, (part * PART + i) as u64, lo, hi));
    });
    Tensor::from_vec(&data, shape)?.to_device(default_device())
}

/// The vectors of the hash.
pub fn vectors(f: &Fixture, r: &mut super::report::Report) -> Result<()> {
    for v in f.meta["vectors"].as_array().into_iter().flatten() {
        let number = |k: &str| v[k].as_f64().unwrap_or(f64::NAN);
        let (seed, name) = (v["seed"].as_u64().unwrap_or(0), v["name"].as_str().unwrap_or_default());
        let value = |i| hash_value(seed, name, i, number("lo"), number("hi"));
        for (i, want) in v["first"].as_array().into_iter().flatten().enumerate() {
            r.same(&format!("{seed}:{name} at {i}"), value(i as u64), want.as_f64().unwrap_or(f64::NAN) as f32);
        }
        for (key, want) in v.as_object().into_iter().flatten() {
            if let Some(i) = key.strip_prefix("at_").and_then(|i| i.parse().ok()) {
                r.same(&format!("{seed}:{name} at {i}"), value(i), want.as_f64().unwrap_or(f64::NAN) as f32);
            }
        }
    }
    Ok(())
}

/// Copies hashed values into parameters: `spec` gives shapes and bounds by name, `prefix` goes before the name in the hash.
pub fn fill(module: &Module, spec: &Value, seed: u64, prefix: &str) -> Result<()> {
    let state = module.state();
    for (name, s) in spec.as_object().into_iter().flatten() {
        let target = state.get(name).ok_or_else(|| Error::value("parity", format!("the {} has no `{name}`", module.kind())))?;
        let value =
            hash_tensor(seed, &format!("{prefix}{name}"), &shape_of(&s["shape"]), s["lo"].as_f64().unwrap_or(0.0), s["hi"].as_f64().unwrap_or(0.0))?;
        if target.shape() != value.shape() {
            return Err(Error::value(
                "parity",
                format!("`{name}` is {:?} in the fixture and {:?} in the {}", value.shape(), target.shape(), module.kind()),
            ));
        }
        no_grad(|| target.copy_(&value))?;
    }
    Ok(())
}

/// The same with mean 0 and the given standard deviation.
pub fn hash_normalish(seed: u64, name: &str, shape: &[i64], std: f64) -> Result<Tensor> {
    let bound = std * 3f64.sqrt();
    hash_tensor(seed, name, shape, -bound, bound)
}
