//! The samplers of `std/samplers` on a hashed SiT: the latents, the model calls with their times, and the recorded noise.

use super::fixture::Fixture;
use super::report::Report;
use super::scripts::{Library, map};
use super::sit::config;
use lathe::error::{Error, Result};
use lathe::models::Sit;
use lathe::nn::Module;
use lathe::script::rhai::Dynamic;
use lathe::torch::Tensor;
use lathe::torch::draws::{self, Draw, Law};
use serde_json::Value;
use std::cell::RefCell;
use std::rc::Rc;

/// Relative to the largest value.
const LIMIT: f64 = 1e-5;
/// The reference hard-codes the label of no class.
const NULL_LABEL: i64 = 1000;

type Calls = Rc<RefCell<Vec<(i64, Vec<f64>)>>>;

/// The network, noting with which batch and times it is called.
fn watched(sit: &Module) -> Result<(Module, Calls)> {
    let calls = Calls::default();
    let (group, noted) = (Module::group(), calls.clone());
    group.set_child("sit", sit.clone())?;
    group.set_forward(Rc::new(move |m, inputs| {
        let t = inputs.get(1).ok_or_else(|| Error::value("parity", "the sampler gave no times"))?;
        noted.borrow_mut().push((inputs[0].size(0)?, t.to_vec_f64()?));
        m.child("sit").ok_or_else(|| Error::value("parity", "no network"))?.forward(inputs)
    }))?;
    Ok((group, calls))
}

pub fn check(f: &Fixture, r: &mut Report) -> Result<()> {
    let library = Library::load()?;
    let sit = Sit::module("sit", config(f)?)?;
    f.init(&sit)?;
    sit.set_training(false);
    let (model, calls) = watched(&sit)?;
    let cases = f.meta["cases"].as_array().ok_or_else(|| Error::data(&f.path, "has no cases"))?;
    for (i, case) in cases.iter().enumerate() {
        let i = case["case"].as_u64().map_or(i.to_string(), |n| n.to_string());
        let mode = case["mode"].as_str().ok_or_else(|| Error::data(&f.path, format!("case {i} has no mode")))?;
        calls.borrow_mut().clear();
        let args = vec![Dynamic::from(model.clone()), Dynamic::from(f.get("latents")?.clone()), Dynamic::from(f.get("y")?.clone()), options(case, r)];
        let noise = noise(f, &i)?;
        let draws = noise.into_iter().map(|value| Draw { law: Law::Normal, value }).collect();
        let out = draws::replay(draws, || library.tensor("samplers", mode, args)).map_err(|e| e.context(format!("case {i}")))?;
        let want = f.get(&format!("case{i}.out"))?;
        r.same(&format!("case{i}.out dtype"), out.dtype(), want.dtype());
        let largest = want.abs()?.max()?.item()?;
        let error = if out.shape() == want.shape() { out.sub(want)?.abs()?.max()?.item()? } else { f64::NAN };
        r.within(&format!("case{i}.out, {mode}"), error, LIMIT * largest);
        compare_calls(&i, &case["model_calls"], &calls.borrow(), r);
    }
    Ok(())
}

/// What a case says beside the sampler's options.
const BESIDE: [&str; 3] = ["case", "mode", "model_calls"];

/// The options of a case, as a script gives them.
fn options(case: &Value, r: &mut Report) -> Dynamic {
    let known = ["num_steps", "heun", "cfg_scale", "guidance_low", "guidance_high", "path_type"];
    for key in case.as_object().into_iter().flatten().map(|e| e.0.as_str()).filter(|k| !known.contains(k) && !BESIDE.contains(k)) {
        r.fail(format!("`cases.{key}` is unknown to the check of samplers, which would ignore it"));
    }
    let given = known.into_iter().filter_map(|k| case.get(k).map(|v| (k, lathe::script::lang::value::from_json(v))));
    map(given.chain([("null_label", NULL_LABEL.into())]))
}

/// The recorded draws of a case, one for each step that has one.
fn noise(f: &Fixture, case: &str) -> Result<Vec<Tensor>> {
    let name = format!("case{case}.noise");
    if !f.has(&name) {
        return Ok(Vec::new());
    }
    let all = f.get(&name)?;
    (0..all.size(0)?).map(|i| all.narrow(0, i, 1)?.squeeze(Some(0))).collect()
}

/// The batch of every model call and its time, which all samples share, in the model's float32.
fn compare_calls(case: &str, want: &Value, got: &[(i64, Vec<f64>)], r: &mut Report) {
    let want: Vec<(i64, f64)> =
        want.as_array().into_iter().flatten().map(|c| (c["batch"].as_i64().unwrap_or(0), c["t"].as_f64().unwrap_or(f64::NAN))).collect();
    let shared = |(batch, times): &(i64, Vec<f64>)| (*batch, times.first().copied().filter(|t| times.iter().all(|x| x == t)).unwrap_or(f64::NAN));
    r.same(&format!("case{case}: model calls"), got.iter().map(shared).collect::<Vec<_>>(), want);
}
