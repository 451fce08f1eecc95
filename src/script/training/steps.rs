//! What `train::fit` calls in a script, and how script objects become tracked ones.

use super::boundary::Boundary;
use super::hot::{Busy, Hot};
use super::profile::Profile;
use super::run::Run;
use crate::data::{Batch, Loader};
use crate::dist::{self, Guests};
use crate::error::{Diagnostic, Error, ErrorKind, Result};
use crate::nn::Module;
use crate::script::bind::Cx;
use crate::script::lang::value::type_name;
use crate::script::units::at::At;
use crate::script::units::program::{AtWork, Program};
use crate::torch::Tensor;
use crate::train::metrics::OWN;
use crate::train::optim::{Ema, GradScaler, Optimizer};
use crate::train::{Failure, Fall, FitOptions, Metric, Metrics, OpenRun, Retry, Steps, Tracked, Watcher};
use rhai::{Dynamic, FnPtr, Map};
use std::rc::Rc;

/// The state of a script object, if it has one.
pub(crate) fn tracked(object: &Dynamic) -> Option<Rc<dyn Tracked>> {
    fn of<T: Tracked + Clone + 'static>(object: &Dynamic) -> Option<Rc<dyn Tracked>> {
        object.read_lock::<T>().map(|t| Rc::new(t.clone()) as Rc<dyn Tracked>)
    }
    of::<Module>(object)
        .or_else(|| of::<Optimizer>(object))
        .or_else(|| of::<Ema>(object))
        .or_else(|| of::<GradScaler>(object))
        .or_else(|| of::<Loader>(object))
}

/// Whether two values are the same object: one that is changed through any of its handles.
pub(crate) fn is_same_object(a: &Dynamic, b: &Dynamic) -> bool {
    fn both<T: Clone + 'static>(a: &Dynamic, b: &Dynamic, is_same: impl Fn(&T, &T) -> bool) -> bool {
        a.read_lock::<T>().zip(b.read_lock::<T>()).is_some_and(|(a, b)| is_same(&a, &b))
    }
    both::<Module>(a, b, |a, b| a.is_same(b))
        || both::<Optimizer>(a, b, |a, b| a.is_same(b))
        || both::<Tensor>(a, b, |a, b| a.numel() > 0 && a.id() == b.id())
        || both::<Ema>(a, b, |a, b| a.module().is_same(&b.module()))
        || both::<GradScaler>(a, b, |a, b| a.state().values().zip(b.state().values()).all(|(a, b)| a.is_same(b)))
        || both::<Loader>(a, b, |a, b| a.is_same(b))
}

/// A batch as scripts see it: its tensors by name.
pub fn batch_map(batch: &Batch) -> Map {
    batch.tensors().iter().map(|(name, t)| (name.into(), Dynamic::from(t.clone()))).collect()
}

/// A batch on its way from a loader into a script.
pub(crate) trait IntoBatch {
    fn batch(&self) -> Dynamic;
}

impl IntoBatch for () {
    fn batch(&self) -> Dynamic {
        Dynamic::UNIT
    }
}

impl IntoBatch for Batch {
    fn batch(&self) -> Dynamic {
        batch_map(self).into()
    }
}

/// The metrics in a script value: a map of numbers, bools and tensors with one element.
pub(crate) fn metrics_of(function: &str, value: &Dynamic) -> Result<Metrics> {
    if value.is_unit() {
        return Ok(Metrics::new());
    }
    let Some(map) = value.read_lock::<Map>() else {
        return Err(Error::value(function, format!("a map of metrics is needed, such as `#{{loss: loss}}`, got {}", type_name(value))));
    };
    let mut metrics = Metrics::new();
    for (name, d) in map.iter() {
        if OWN.contains(&name.as_str()) {
            return Err(Error::value(function, format!("no metric can be called `{name}`: a line of metrics.jsonl has a key of that name"))
                .help(format!("another name, such as `my_{name}`")));
        }
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
pub(crate) enum Callback {
    Named {
        name: String,
        arity: usize,
        needed: Needed,
    },
    /// One that a prompt has, by name.
    Typed {
        f: FnPtr,
        arity: usize,
    },
    Pointer(FnPtr),
}

/// A function that every new version of its script must have, for as long as this lives.
pub(crate) struct Needed {
    program: Rc<Program>,
    unit: String,
    name: String,
    arity: usize,
}

impl Drop for Needed {
    fn drop(&mut self) {
        self.program.release(&self.unit, &self.name, self.arity);
    }
}

impl Callback {
    /// `arities`: how many parameters it may have, the usual number first.
    pub(crate) fn new(cx: &Cx, what: &str, f: &Dynamic, arities: &[usize]) -> Result<Self> {
        if let Some(f) = f.read_lock::<FnPtr>() {
            return Ok(Callback::Pointer(f.clone()));
        }
        if !f.is_string() {
            return Err(Error::value("fit", format!("`{what}` must be the name of a function of this script, got {}", type_name(f))));
        }
        let name = f.to_string();
        if let Some((f, arity)) = cx.typed(&name, Some(arities))? {
            return Ok(Callback::Typed { f, arity });
        }
        let mut first = None;
        for &n in arities {
            match cx.require(&name, n) {
                Ok(()) => {
                    let needed = Needed { program: cx.program()?, unit: cx.caller()?, name: name.clone(), arity: n };
                    return Ok(Callback::Named { name, arity: n, needed });
                }
                Err(e) => {
                    first.get_or_insert(e);
                }
            }
        }
        Err(first.expect("at least one number of parameters is allowed"))
    }

    fn call(&self, cx: &Cx, mut args: Vec<Dynamic>) -> Result<Dynamic> {
        match self {
            Callback::Named { name, arity, needed } => {
                args.truncate(*arity);
                cx.call_in(&needed.unit, name, args)
            }
            Callback::Typed { f, arity } => {
                args.truncate(*arity);
                cx.call(f, args)
            }
            Callback::Pointer(f) => cx.call(f, args),
        }
    }
}

/// The call of a step that failed and may wait to be tried again, among the host's values: to look at its variables.
pub(crate) struct FailedStep {
    pub unit: String,
    pub name: String,
    pub args: Vec<Dynamic>,
    pub error: Diagnostic,
}

/// The steps of a script.
pub(crate) struct ScriptSteps<'a, 'b> {
    pub cx: &'a Cx<'b>,
    pub run: Run,
    pub step: Callback,
    pub on_sample: Option<Callback>,
    pub on_log: Option<Callback>,
    pub hot: Option<Rc<Hot>>,
    pub profile: Option<Rc<Profile>>,
    pub _busy: Option<Busy>,
    /// Where the script is meanwhile.
    pub _work: AtWork,
}

impl ScriptSteps<'_, '_> {
    fn at<T>(&self, f: impl FnOnce(&Hot, &Boundary) -> T) -> Result<Option<T>> {
        let Some(hot) = &self.hot else { return Ok(None) };
        let program = self.cx.program()?;
        Ok(Some(f(hot, &Boundary { program: &program, rhai: self.cx.native().engine(), run: Some(&self.run) })))
    }
}

impl<B: IntoBatch> Steps<B> for ScriptSteps<'_, '_> {
    fn step(&mut self, _: &OpenRun, batch: &B) -> Result<Metrics> {
        let kept = batch.batch();
        self.run.keep_batch(&kept);
        self.cx.host().remove::<FailedStep>();
        let value = self.step.call(self.cx, vec![Dynamic::from(self.run.clone()), kept]);
        let may_retry = self.hot.as_ref().is_some_and(|hot| hot.may_retry());
        let waits = value.is_err() && may_retry;
        // One of several ranks may wait because the step failed on another.
        self.run.keep_late_batch(waits || (may_retry && dist::size() > 1), || batch.batch());
        if let (Err(e), true, Callback::Named { name, arity, needed }) = (&value, waits, &self.step)
            && let ErrorKind::Script(error) = e.kind()
        {
            let mut args = vec![Dynamic::from(self.run.clone()), batch.batch()];
            args.truncate(*arity);
            self.cx.host().put(FailedStep { unit: needed.unit.clone(), name: name.clone(), args, error: (**error).clone() });
        }
        let value = value?;
        let metrics = metrics_of("step", &value)?;
        if let Some(hot) = &self.hot {
            hot.step_done();
        }
        Ok(metrics)
    }

    fn on_sample(&mut self, _: &OpenRun, batch: &B) -> Result<()> {
        match &self.on_sample {
            Some(f) => f.call(self.cx, vec![Dynamic::from(self.run.clone()), batch.batch()]).map(|_| ()),
            None => Ok(()),
        }
    }

    fn on_log(&mut self, _: &OpenRun, values: &[(String, f64)]) -> Result<()> {
        let Some(f) = &self.on_log else { return Ok(()) };
        let values: Map = values.iter().map(|(k, v)| (k.as_str().into(), (*v).into())).collect();
        f.call(self.cx, vec![Dynamic::from(self.run.clone()), values.into()]).map(|_| ())
    }

    fn between(&mut self, _: &OpenRun) -> Result<()> {
        self.at(|hot, at| hot.between(at))?.unwrap_or(Ok(()))?;
        self.run.answer(&At { rhai: self.cx.native().engine(), program: &self.cx.program()?, host: self.cx.host() }, false)
    }

    fn watcher(&self) -> Option<Rc<dyn Watcher>> {
        Some(self.profile.clone()?)
    }

    fn guests(&mut self) -> Guests {
        self.run.guests()
    }

    fn retries_together(&mut self, on: bool) {
        if let Some(hot) = &self.hot {
            hot.set_retries_together(on);
        }
    }

    fn wants_edit(&mut self) -> bool {
        self.hot.as_ref().is_some_and(|hot| hot.wants())
    }

    fn change_options(&mut self, options: &mut FitOptions) {
        if let Some(hot) = &self.hot {
            hot.change_options(options);
        }
    }

    fn before_log(&mut self, _: &OpenRun) {
        // Without a program there is nothing that could be stale.
        let _ = self.at(|hot, at| hot.look(at));
    }

    fn may_retry(&self) -> bool {
        self.hot.as_ref().is_some_and(|hot| hot.may_retry())
    }

    fn failed(&mut self, _: &OpenRun, failure: &Failure) -> Result<Retry> {
        self.at(|hot, at| hot.failed(at, failure))?.unwrap_or(Ok(Retry::Stop))
    }

    fn failed_together(&mut self, _: &OpenRun, fall: &Fall) -> Result<Retry> {
        self.at(|hot, at| hot.fell(at, fall))?.unwrap_or(Ok(Retry::Stop))
    }
}
