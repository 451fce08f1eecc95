//! What `train::fit` calls in a script, and how script objects become tracked ones.

use super::data::batch_map;
use super::train::Run;
use crate::data::{Batch, Loader};
use crate::error::{Error, Result};
use crate::nn::Module;
use crate::script::bind::Cx;
use crate::script::value::type_name;
use crate::torch::Tensor;
use crate::train::optim::{AdamW, Ema, GradScaler};
use crate::train::{Metric, Metrics, Run as TrainRun, Steps, Tracked};
use rhai::{Dynamic, FnPtr, Map};
use std::rc::Rc;

/// The state of a script object, if it has one.
pub(super) fn tracked(object: &Dynamic) -> Option<Rc<dyn Tracked>> {
    fn of<T: Tracked + Clone + 'static>(object: &Dynamic) -> Option<Rc<dyn Tracked>> {
        object.read_lock::<T>().map(|t| Rc::new(t.clone()) as Rc<dyn Tracked>)
    }
    of::<Module>(object)
        .or_else(|| of::<AdamW>(object))
        .or_else(|| of::<Ema>(object))
        .or_else(|| of::<GradScaler>(object))
        .or_else(|| of::<Loader>(object))
}

/// A batch on its way from a loader into a script.
pub(super) trait IntoBatch {
    fn batch(&self) -> Dynamic;
}

impl IntoBatch for () {
    fn batch(&self) -> Dynamic {
        Dynamic::UNIT
    }
}

impl IntoBatch for Batch {
    fn batch(&self) -> Dynamic {
        batch_map(self.clone()).into()
    }
}

/// The metrics in a script value: a map of numbers, bools and tensors with one element.
pub(super) fn metrics_of(function: &str, value: &Dynamic) -> Result<Metrics> {
    if value.is_unit() {
        return Ok(Metrics::new());
    }
    let Some(map) = value.read_lock::<Map>() else {
        return Err(Error::value(function, format!("a map of metrics is needed, such as `#{{loss: loss}}`, got {}", type_name(value))));
    };
    let mut metrics = Metrics::new();
    for (name, d) in map.iter() {
        let number = d.as_float().ok().or_else(|| d.as_int().ok().map(|i| i as f64)).or_else(|| d.as_bool().ok().map(|b| f64::from(u8::from(b))));
        let metric = match (number, d.read_lock::<Tensor>()) {
            (Some(x), _) => Metric::Number(x),
            (None, Some(t)) => Metric::Tensor(t.clone()),
            // A loss that this step does not have.
            (None, None) if d.is_unit() => continue,
            (None, None) => return Err(Error::value(function, format!("the metric `{name}` must be a number or a tensor, got {}", type_name(d)))),
        };
        metrics.insert(name.to_string(), metric);
    }
    Ok(metrics)
}

/// A function that `fit` calls: by name in the newest version of the calling script, or a pointer.
pub(super) enum Callback {
    Named(String, usize),
    Pointer(FnPtr),
}

impl Callback {
    /// `arities`: how many parameters it may have, the usual number first.
    pub(super) fn new(cx: &Cx, what: &str, f: &Dynamic, arities: &[usize]) -> Result<Self> {
        if let Some(f) = f.read_lock::<FnPtr>() {
            return Ok(Callback::Pointer(f.clone()));
        }
        if !f.is_string() {
            return Err(Error::value("fit", format!("`{what}` must be the name of a function of this script, got {}", type_name(f))));
        }
        let name = f.to_string();
        let mut first = None;
        for &n in arities {
            match cx.require(&name, n) {
                Ok(()) => return Ok(Callback::Named(name, n)),
                Err(e) => {
                    first.get_or_insert(e);
                }
            }
        }
        Err(first.expect("at least one number of parameters is allowed"))
    }

    fn call(&self, cx: &Cx, mut args: Vec<Dynamic>) -> Result<Dynamic> {
        match self {
            Callback::Named(name, n) => {
                args.truncate(*n);
                cx.call_named(name, args)
            }
            Callback::Pointer(f) => cx.call(f, args),
        }
    }
}

/// The steps of a script.
pub(super) struct ScriptSteps<'a, 'b> {
    pub cx: &'a Cx<'b>,
    pub run: Run,
    pub step: Callback,
    pub on_sample: Option<Callback>,
    pub on_log: Option<Callback>,
}

impl<B: IntoBatch> Steps<B> for ScriptSteps<'_, '_> {
    fn step(&mut self, _: &TrainRun, batch: &B) -> Result<Metrics> {
        let batch = batch.batch();
        self.run.keep_batch(&batch);
        let value = self.step.call(self.cx, vec![Dynamic::from(self.run.clone()), batch])?;
        metrics_of("step", &value)
    }

    fn on_sample(&mut self, _: &TrainRun, batch: &B) -> Result<()> {
        match &self.on_sample {
            Some(f) => f.call(self.cx, vec![Dynamic::from(self.run.clone()), batch.batch()]).map(|_| ()),
            None => Ok(()),
        }
    }

    fn on_log(&mut self, _: &TrainRun, values: &[(String, f64)]) -> Result<()> {
        let Some(f) = &self.on_log else { return Ok(()) };
        let values: Map = values.iter().map(|(k, v)| (k.as_str().into(), (*v).into())).collect();
        f.call(self.cx, vec![Dynamic::from(self.run.clone()), values.into()]).map(|_| ())
    }

    fn between(&mut self, run: &TrainRun) -> Result<()> {
        self.run.answer(self.cx)?;
        run.set_generation(self.cx.program()?.current().number);
        Ok(())
    }
}
