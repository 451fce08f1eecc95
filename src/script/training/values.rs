//! Plain values that a run tracks: numbers, texts, arrays, maps and tensors.
//!
//! The run holds the value: `run.best = 0.5` and `run.history.push(x)` change it, a checkpoint takes what it is then, and a resumed run
//! has it back as `run.best`. A tensor that is tracked by itself is a handle: it is restored in place, so that every variable that holds
//! it sees the restored numbers. Tensors inside of maps and arrays are made anew.

use super::run::{Run, WeakRun};
use crate::error::{Error, ErrorKind, Result};
use crate::nn::State;
use crate::script::lang::value::{type_name, within_levels};
use crate::torch::{Device, Tensor, default_device, no_grad};
use crate::train::{Saved, Tracked};
use rhai::{Array, Dynamic, ImmutableString, Map};
use serde_json::{Value, json};

/// A value of a run that checkpoints hold, under its name there.
pub(crate) struct TrackedValue {
    run: WeakRun,
    name: String,
    is_tensor: bool,
}

impl TrackedValue {
    /// A value that is to be tracked under `name`.
    ///
    /// # Errors
    /// `E0202` for one that has no state, naming the part of it that has none, or is nested too deep.
    pub(crate) fn new(run: &Run, name: &str, value: &Dynamic) -> Result<Self> {
        written(name, value, &mut State::new())?;
        Ok(TrackedValue { run: run.downgrade(), name: name.to_owned(), is_tensor: value.read_lock::<Tensor>().is_some() })
    }

    fn run(&self) -> Result<Run> {
        self.run.upgrade().ok_or_else(|| Error::run(format!("the run of `{}` is closed", self.name)))
    }
}

impl Tracked for TrackedValue {
    fn kind(&self) -> &'static str {
        if self.is_tensor { "tensor" } else { "value" }
    }

    fn save(&self) -> Result<Saved> {
        let value = self.run()?.object(&self.name).unwrap_or_default();
        let mut tensors = State::new();
        let meta = json!({ "value": written(&self.name, &value, &mut tensors)? });
        Ok(Saved { tensors, meta })
    }

    fn restore(&self, saved: &Saved) -> Result<()> {
        let run = self.run()?;
        let value = read(&saved.meta["value"], &saved.tensors)
            .ok_or_else(|| Error::new(ErrorKind::Weights { message: format!("`{}` in the checkpoint is no value of this kind", self.name) }))?;
        let live = run.object(&self.name).and_then(|v| v.read_lock::<Tensor>().map(|t| t.clone()));
        let stored = value.read_lock::<Tensor>().map(|t| t.clone());
        if let (Some(live), Some(stored)) = (live, stored) {
            if live.shape() != stored.shape() {
                let message = format!("`{}` is {}, but the checkpoint holds {}", self.name, live.describe(), stored.describe());
                return Err(Error::new(ErrorKind::Weights { message }));
            }
            return no_grad(|| live.copy_(&stored)).map(drop);
        }
        run.put(&self.name, value)
    }

    /// What is in a value is not looked through before every step.
    fn versions(&self) -> Result<Vec<i64>> {
        let value = self.run()?.object(&self.name);
        value.and_then(|v| v.read_lock::<Tensor>().map(|t| t.version())).into_iter().collect()
    }
}

/// A value as JSON; its tensors go into `tensors`.
fn written(name: &str, value: &Dynamic, tensors: &mut State) -> Result<Value> {
    within_levels("track", name, value)?;
    part(name, value, tensors)
}

/// Floats are texts, since JSON knows no NaN and readers may round.
fn part(place: &str, value: &Dynamic, tensors: &mut State) -> Result<Value> {
    if let Some(list) = value.read_lock::<Array>() {
        let each = list.iter().enumerate().map(|(i, v)| part(&format!("{place}[{i}]"), v, tensors));
        return Ok(Value::Array(each.collect::<Result<_>>()?));
    }
    if let Some(map) = value.read_lock::<Map>() {
        let each = map.iter().map(|(k, v)| Ok((k.to_string(), part(&format!("{place}.{k}"), v, tensors)?)));
        return Ok(json!({ "map": Value::Object(each.collect::<Result<_>>()?) }));
    }
    if let Some(t) = value.read_lock::<Tensor>() {
        let name = tensors.len().to_string();
        tensors.insert(name.clone(), t.detach()?);
        return Ok(json!({ "tensor": name, "cpu": t.device() == Device::Cpu }));
    }
    if let Some(text) = value.read_lock::<ImmutableString>() {
        return Ok(Value::String(text.to_string()));
    }
    if value.is_unit() {
        return Ok(Value::Null);
    }
    if let Ok(x) = value.as_float() {
        return Ok(json!({ "float": format!("{x:?}") }));
    }
    let plain = value.as_int().map(Value::from).or_else(|_| value.as_bool().map(Value::from));
    plain.map_err(|_| {
        let message = format!("`{place}` is {}, which has no state that a checkpoint could hold", type_name(value));
        Error::value("track", message)
            .help("track modules, optimizers and loaders by themselves; `run.set(name, value)` gives a value without saving it")
    })
}

/// The value that was written; `None` where it is none.
fn read(json: &Value, tensors: &State) -> Option<Dynamic> {
    Some(match json {
        Value::Null => Dynamic::UNIT,
        Value::Bool(b) => (*b).into(),
        Value::Number(n) => n.as_i64()?.into(),
        Value::String(text) => text.clone().into(),
        Value::Array(list) => list.iter().map(|v| read(v, tensors)).collect::<Option<Array>>()?.into(),
        Value::Object(entry) => {
            if let Some(x) = entry.get("float") {
                return Some(x.as_str()?.parse::<f64>().ok()?.into());
            }
            if let Some(name) = entry.get("tensor") {
                let t = tensors.get(name.as_str()?)?;
                let device = if entry.get("cpu")?.as_bool()? { Device::Cpu } else { default_device() };
                return Some(Dynamic::from(t.to_device(device).ok()?));
            }
            let map = entry.get("map")?.as_object()?;
            map.iter().map(|(k, v)| Some((k.as_str().into(), read(v, tensors)?))).collect::<Option<Map>>()?.into()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::torch::DType;

    #[test]
    fn values_come_back_as_they_were() {
        let t = Tensor::arange(0.0, 6.0, 1.0, DType::Float, Device::Cpu).unwrap();
        let map: Map = [
            ("n", Dynamic::from(3_i64)),
            ("x", 0.1.into()),
            ("whole", 2.0.into()),
            ("none", Dynamic::UNIT),
            ("on", true.into()),
            ("nan", f64::NAN.into()),
            ("inf", f64::NEG_INFINITY.into()),
            ("text", "float".into()),
            ("map", Map::from_iter([("float".into(), Dynamic::from("1"))]).into()),
            ("list", vec![Dynamic::from(1_i64), Dynamic::from(t.clone())].into()),
        ]
        .into_iter()
        .map(|(k, v): (&str, Dynamic)| (k.into(), v))
        .collect();
        let mut tensors = State::new();
        let text = written("x", &map.clone().into(), &mut tensors).unwrap().to_string();
        let back = read(&serde_json::from_str(&text).unwrap(), &tensors).unwrap().cast::<Map>();
        for key in ["n", "x", "whole", "none", "on", "nan", "inf", "text", "map"] {
            assert_eq!((format!("{:?}", back[key]), back[key].type_name()), (format!("{:?}", map[key]), map[key].type_name()), "{key}");
        }
        let list = back["list"].clone().cast::<Array>();
        assert_eq!(list[1].clone().cast::<Tensor>().to_vec_f64().unwrap(), t.to_vec_f64().unwrap());
    }
}
