//! Fixtures that are checked in the language itself: `checks/KIND.rhai` has `fn check(f)`, which computes with the standard library what the
//! sidecar describes, and hands it to the methods below. What a sidecar lists as output, fact or gradient and no check compared is a failure.

use super::fixture::{Fixture, fill, hash_normalish, hash_tensor, shape_of};
use super::report::Report;
use super::scripts::tensor;
use crate::support::root;
use lathe::error::{Error, Result};
use lathe::nn::Module;
use lathe::script::lang::value::{from_json, to_json};
use lathe::script::rhai::{Array, Dynamic, EvalAltResult, Map};
use lathe::script::{Runtime, stdlib_folder};
use lathe::torch::Tensor;
use serde_json::Value;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

type Thrown<T> = std::result::Result<T, Box<EvalAltResult>>;

/// A fixture in the hands of a script.
#[derive(Clone)]
pub struct Case(Rc<Inner>);

struct Inner {
    fixture: Fixture,
    report: RefCell<Report>,
    compared: RefCell<BTreeSet<String>>,
}

/// An error as the language throws it.
fn thrown(e: Error) -> Box<EvalAltResult> {
    e.to_string().into()
}

impl Case {
    fn tensor(&self, name: &str) -> Result<Tensor> {
        self.0.fixture.get(name).cloned()
    }

    fn done(&self, name: &str) {
        self.0.compared.borrow_mut().insert(name.to_owned());
    }

    fn limit(&self, name: &str) -> f64 {
        self.0.fixture.meta["tolerances"][name]["atol"].as_f64().unwrap_or(0.0)
    }

    /// A tensor of the fixture against what the script has: shape, dtype, and the largest difference.
    fn close(&self, name: &str, got: &Dynamic) -> Result<()> {
        self.done(name);
        let want = self.tensor(name)?;
        let got = if got.is::<Array>() { listed(got, &want)? } else { tensor(got)? };
        let got = if got.shape().is_empty() && got.dtype() != want.dtype() { got.to_dtype(want.dtype())? } else { got };
        let mut report = self.0.report.borrow_mut();
        if got.shape() != want.shape() || got.dtype() != want.dtype() {
            report.fail(format!("{name}: {:?} {:?}, expected {:?} {:?}", got.shape(), got.dtype(), want.shape(), want.dtype()));
            return Ok(());
        }
        let (got, want) = (got.to_vec_f64()?, want.to_vec_f64()?);
        let error = got.iter().zip(&want).map(|(a, b)| distance(*a, *b)).fold(0.0, |m: f64, e| if e.is_nan() || e > m { e } else { m });
        report.within(name, error, self.limit(name));
        Ok(())
    }

    /// A fact of the sidecar, by its path: integers and flags are equal, other numbers to twelve digits.
    fn same(&self, path: &str, got: &Dynamic) -> Result<()> {
        self.done(&format!("facts.{path}"));
        let want = fact(&self.0.fixture.meta["facts"], path).ok_or_else(|| Error::value("parity", format!("the sidecar has no fact `{path}`")))?;
        let got = to_json(got);
        let mut report = self.0.report.borrow_mut();
        report.same(&format!("fact {path}"), equal(&got, want), true);
        if !equal(&got, want) {
            report.fail(format!("fact {path}: {got}, expected {want}"));
        }
        Ok(())
    }

    /// Hashed weights into a module, whose state dict must be the published one; stored buffers are those that it computed.
    fn init(&self, module: &Module) -> Result<()> {
        let f = &self.0.fixture;
        fill(module, &f.meta["spec"], f.seed(), "")?;
        let state = module.state();
        let published = f.meta["state_dict"].as_object();
        let mut report = self.0.report.borrow_mut();
        for (name, entry) in published.into_iter().flatten() {
            let Some(own) = state.get(name) else {
                report.fail(format!("the network has no `{name}`"));
                continue;
            };
            let shape: Vec<i64> = shape_of(&entry[0]);
            report.same(&format!("shape of {name}"), own.shape(), shape);
        }
        if let Some(published) = published {
            for name in state.keys().filter(|n| !published.contains_key(*n)) {
                report.fail(format!("the network has `{name}`, which the published one has not"));
            }
        }
        drop(report);
        for name in f.meta["tensors"].as_object().into_iter().flatten().map(|(k, _)| k) {
            if let Some(own) = name.strip_prefix("buf.") {
                let buffer = state.get(own).cloned().ok_or_else(|| Error::value("parity", format!("the network has no buffer `{own}`")))?;
                self.close(name, &Dynamic::from(buffer))?;
            }
        }
        Ok(())
    }

    /// Norm and probe of a tensor, and the whole where it is stored, under `NAME` of `grad_check`. None: there is no gradient.
    fn probed(&self, key: &str, parameter: &str, got: Option<&Tensor>) -> Result<()> {
        let f = &self.0.fixture;
        if let Some(entry) = f.meta["grad_check"].get(key) {
            self.done(&format!("grad_check.{key}"));
            match (entry.is_null(), got) {
                (true, None) => self.0.report.borrow_mut().same(key, true, true),
                (true, Some(g)) => {
                    let norm = norm(&g.to_vec_f64()?);
                    self.0.report.borrow_mut().within(&format!("{key} (no gradient)"), norm, 0.0);
                }
                (false, None) => self.0.report.borrow_mut().fail(format!("{key}: no gradient")),
                (false, Some(g)) => {
                    let probe = hash_tensor(f.seed(), &format!("probe.{parameter}"), &g.shape(), -1.0, 1.0)?.to_vec_f64()?;
                    let values = g.to_vec_f64()?;
                    let norm = norm(&values);
                    let sum: f64 = values.iter().zip(&probe).map(|(v, p)| v * p).sum();
                    let number = |k: &str| entry[k].as_f64().unwrap_or(f64::NAN);
                    let mut report = self.0.report.borrow_mut();
                    report.within(&format!("{key} norm"), (norm - number("norm")).abs(), number("atol"));
                    report.within(&format!("{key} probe"), (sum - number("probe")).abs(), number("atol"));
                }
            }
        }
        if f.has(key)
            && let Some(g) = got
        {
            self.close(key, &Dynamic::from(g.clone()))?;
        }
        Ok(())
    }

    /// The gradients of all parameters, under `PREFIXgrad.NAME`.
    fn grads(&self, prefix: &str, module: &Module) -> Result<()> {
        for (name, p) in module.named_parameters() {
            let grad = p.grad()?;
            self.probed(&format!("{prefix}grad.{name}"), &name, grad.as_ref())?;
        }
        Ok(())
    }

    /// The tensors of a module, under `PREFIXNAME`.
    fn weights(&self, prefix: &str, module: &Module) -> Result<()> {
        for (name, p) in module.state() {
            self.probed(&format!("{prefix}{name}"), &name, Some(&p))?;
        }
        Ok(())
    }

    /// What the sidecar describes and no check compared.
    fn forgotten(&self) -> Vec<String> {
        let (meta, compared) = (&self.0.fixture.meta, self.0.compared.borrow());
        let outputs = meta["outputs"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
        let checks = meta["grad_check"].as_object().into_iter().flatten().map(|(k, _)| format!("grad_check.{k}"));
        let facts = meta["facts"].as_object().into_iter().flatten().map(|(k, _)| format!("facts.{k}"));
        // A fact may be compared in parts, by longer paths.
        let in_parts = |name: &str| name.starts_with("facts.") && compared.iter().any(|c| c.starts_with(&format!("{name}/")));
        outputs.chain(checks).chain(facts).filter(|n| !compared.contains(n) && !in_parts(n)).collect()
    }
}

fn norm(values: &[f64]) -> f64 {
    values.iter().map(|v| v * v).sum::<f64>().sqrt()
}

/// The distance of two values; two that are no number, or the same infinity, are equal.
fn distance(a: f64, b: f64) -> f64 {
    if a == b || (a.is_nan() && b.is_nan()) { 0.0 } else { (a - b).abs() }
}

/// A list of numbers as a tensor of the shape and dtype that it is compared with.
fn listed(list: &Dynamic, like: &Tensor) -> Result<Tensor> {
    let list = list.read_lock::<Array>().map(|a| a.clone()).unwrap_or_default();
    let mut numbers = Vec::new();
    for item in &list {
        match item.read_lock::<Array>() {
            Some(row) => row.iter().try_for_each(|x| tensor(x)?.item().map(|v| numbers.push(v)))?,
            None => numbers.push(tensor(item)?.item()?),
        }
    }
    let shape = if numbers.len() == like.numel() as usize { like.shape() } else { vec![numbers.len() as i64] };
    Tensor::from_vec(&numbers, &shape)?.to_dtype(like.dtype())
}

/// The value at a path whose parts are divided by `/`.
fn fact<'a>(facts: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('/').try_fold(facts, |v, part| match v {
        Value::Array(a) => part.parse::<usize>().ok().and_then(|i| a.get(i)),
        v => v.get(part),
    })
}

fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap_or(f64::NAN), b.as_f64().unwrap_or(f64::NAN));
            (a - b).abs() <= 1e-12 * b.abs().max(1.0)
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Value::Object(a), Value::Object(b)) => a.len() == b.len() && a.iter().all(|(k, v)| b.get(k).is_some_and(|w| equal(v, w))),
        (a, b) => a == b,
    }
}

/// The script of a kind, where there is one.
pub fn script_of(kind: &str) -> Option<std::path::PathBuf> {
    let plain = kind.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let path = root().join("tests/it/parity/checks").join(format!("{kind}.rhai"));
    (plain && path.is_file()).then_some(path)
}

/// Runs the check of a kind.
///
/// # Errors
/// Whatever the script threw.
pub fn check(script: &std::path::Path, fixture: Fixture, report: Report) -> (Report, Result<()>) {
    let case = Case(Rc::new(Inner { fixture, report: RefCell::new(report), compared: RefCell::default() }));
    let result = run(script, &case);
    if result.is_ok() {
        let forgotten = case.forgotten();
        let mut report = case.0.report.borrow_mut();
        for name in forgotten {
            report.fail(format!("`{name}` was not compared"));
        }
        for name in case.0.fixture.unseen() {
            report.fail(format!("the tensor `{name}` was not looked at"));
        }
    }
    let report = std::mem::take(&mut *case.0.report.borrow_mut());
    (report, result)
}

fn run(script: &std::path::Path, case: &Case) -> Result<()> {
    let runtime = Runtime::builder()
        .stdlib(stdlib_folder().unwrap_or_else(|| root().join("stdlib")))
        .function("meta", |f: &mut Case, name: &str| from_json(&f.0.fixture.meta[name]))
        .function("config", |f: &mut Case| -> Map { from_json(&f.0.fixture.meta["config"]).try_cast().unwrap_or_default() })
        .function("seed", |f: &mut Case| f.0.fixture.seed() as i64)
        .function("get_tensor", |f: &mut Case, name: &str| -> Thrown<Tensor> { f.tensor(name).map_err(thrown) })
        .function("has_tensor", |f: &mut Case, name: &str| f.0.fixture.has(name))
        .function("names", |f: &mut Case, prefix: &str| -> Array {
            f.0.fixture.tensors.keys().filter(|k| k.starts_with(prefix)).map(|k| Dynamic::from(k.clone())).collect()
        })
        .function("init", |f: &mut Case, module: Module| -> Thrown<()> { f.init(&module).map_err(thrown) })
        .function("close", |f: &mut Case, name: &str, got: Dynamic| -> Thrown<()> { f.close(name, &got).map_err(thrown) })
        .function("same", |f: &mut Case, path: &str, got: Dynamic| -> Thrown<()> { f.same(path, &got).map_err(thrown) })
        .function("grads", |f: &mut Case, prefix: &str, module: Module| -> Thrown<()> { f.grads(prefix, &module).map_err(thrown) })
        .function("weights", |f: &mut Case, prefix: &str, module: Module| -> Thrown<()> { f.weights(prefix, &module).map_err(thrown) })
        .function("probed", |f: &mut Case, key: &str, name: &str, got: Tensor| -> Thrown<()> { f.probed(key, name, Some(&got)).map_err(thrown) })
        .function("hashed", |f: &mut Case, name: &str, shape: Array, lo: f64, hi: f64| -> Thrown<Tensor> {
            hash_tensor(f.0.fixture.seed(), name, &sizes(&shape), lo, hi).map_err(thrown)
        })
        .function("hashed_normal", |f: &mut Case, name: &str, shape: Array, std: f64| -> Thrown<Tensor> {
            hash_normalish(f.0.fixture.seed(), name, &sizes(&shape), std).map_err(thrown)
        })
        .function("within", |f: &mut Case, name: &str, error: f64, limit: f64| f.0.report.borrow_mut().within(name, error, limit))
        .function("done", |f: &mut Case, name: &str| f.done(name))
        .build()?;
    runtime.load(script)?;
    runtime.call("check", vec![Dynamic::from(case.clone())]).map(|_| ())
}

fn sizes(shape: &Array) -> Vec<i64> {
    shape.iter().filter_map(|n| n.as_int().ok()).collect()
}
