//! What ten steps must come to: the first gradients, and the weights, statistics and averages at the end.
//!
//! The fixtures state how far the reference's own float32 run was from its float64 run; limits follow the rule of their `logs_rtol`: twenty
//! times that, at least 2e-5 of the largest value. A parameter whose gradient is mathematically zero (key biases, biases before a group norm
//! of one channel a group) is moved by rounding noise, which Adam turns into whole steps: those are not compared.

use super::report::{Report, on_this_device};
use super::trajectory::{Config, Session};
use lathe::error::{Error, Result};
use lathe::torch::{DType, Tensor};
use serde_json::Value;

/// Relative L2 error of gradients; the VAE's come through VGG16.
const GRADIENT: f64 = 1e-4;
const GRADIENT_VAE: f64 = 5e-4;
/// Gradients below this part of their model's largest are rounding noise around zero.
const ZERO: f64 = 1e-6;
const FACTOR: f64 = 20.0;
const LEAST: f64 = 2e-5;

/// `sit.blocks.0.mlp.fc1.bias` -> `sit`, and the rest.
fn split(name: &str) -> Result<(&str, &str)> {
    name.split_once('.').ok_or_else(|| Error::value("parity", format!("`{name}` names no model")))
}

/// The norms of all gradients of the first step, by name.
fn norms<'a>(s: &'a Session) -> impl Iterator<Item = (&'a str, f64)> {
    s.f.meta["step0_grad_norms"].as_object().into_iter().flatten().map(|(k, v)| (k.as_str(), v.as_f64().unwrap_or(f64::NAN)))
}

/// The norm up to which a gradient of that model counts as zero.
fn zero(s: &Session, model: &str) -> f64 {
    ZERO * norms(s).filter(|(n, _)| split(n).is_ok_and(|(m, _)| m == model)).map(|n| n.1).fold(0.0, f64::max)
}

/// Whether a parameter is moved by noise alone.
fn is_noise(s: &Session, model: &str, name: &str) -> bool {
    let full = format!("{model}.{name}");
    norms(s).any(|(n, norm)| n == full && norm <= zero(s, model))
}

/// The gradients of the first step as they were before clipping: the script leaves them clipped, by the norm that it logs.
pub fn gradients(s: &Session, logged: impl Fn(&str) -> Result<f64>, r: &mut Report) -> Result<()> {
    let maximum = Config::of(s.f).number("max_grad_norm", 1.0);
    for model in ["vae", "disc", "sit"] {
        let Ok(module) = s.model(model) else { continue };
        let clipped = (maximum / (logged(&format!("grad_norm_{model}"))? + 1e-6)).min(1.0);
        let (limit, zero) = (if model == "vae" { on_this_device(GRADIENT_VAE) } else { GRADIENT }, zero(s, model));
        let state = module.state();
        let grad = |name: &str| -> Result<Tensor> {
            let grad = state.get(name).map_or(Ok(None), Tensor::grad)?;
            grad.ok_or_else(|| Error::value("parity", format!("no gradient of `{model}.{name}`")))?.to_dtype(DType::Double)?.div(clipped)
        };
        let prefix = format!("step0.grad.{model}.");
        for (name, want) in s.f.below(&prefix) {
            let (got, want) = queries_and_values(name, grad(name)?, want.to_dtype(DType::Double)?)?;
            r.gradient(&format!("{prefix}{name}"), &got, &want, limit, zero)?;
        }
        for (full, want) in norms(s) {
            let (of, name) = split(full)?;
            if of == model {
                let got = grad(name)?.norm()?.item()?;
                let (error, limit) = if want <= zero { (got, zero) } else { ((got - want).abs(), limit * want) };
                r.within_gradient(&format!("norm of step0.grad.{full}"), error, limit);
            }
        }
    }
    Ok(())
}

/// Without the middle third of a fused `qkv` bias: the keys'.
fn queries_and_values(name: &str, got: Tensor, want: Tensor) -> Result<(Tensor, Tensor)> {
    if !name.ends_with("attn.qkv.bias") {
        return Ok((got, want));
    }
    let third = want.size(0)? / 3;
    let parts = |t: &Tensor| Tensor::cat(&[t.narrow(0, 0, third)?, t.narrow(0, 2 * third, third)?], 0);
    Ok((parts(&got)?, parts(&want)?))
}

/// How far the reference's runs were apart in a tensor: as stated, else the most among its model's parameters or statistics.
fn deviation(s: &Session, full: &str) -> f64 {
    let stated = s.f.meta["final_weight_max_abs_dev_f32_vs_f64"].as_object();
    if let Some(x) = stated.and_then(|d| d.get(full)).and_then(Value::as_f64) {
        return x;
    }
    let class = |name: &str| (name.split('.').next().unwrap_or_default().to_owned(), name.contains("running_"));
    let alike = stated.into_iter().flatten().filter(|(name, _)| class(name) == class(full));
    alike.filter_map(|(_, x)| x.as_f64()).fold(0.0, f64::max)
}

/// Final tensors element by element, and the norm and sum of everything else.
pub fn weights(s: &Session, r: &mut Report) -> Result<()> {
    for (full, want) in s.f.below("final.") {
        let (model, name) = split(full)?;
        let got = s.model(model)?.state().get(name).cloned().ok_or_else(|| Error::value("parity", format!("no `{full}`")))?;
        if !want.is_float() {
            r.same(&format!("final.{full}"), got.item()?, want.item()?);
            continue;
        }
        if got.shape() != want.shape() {
            r.fail(format!("final.{full}: shape {:?}, expected {:?}", got.shape(), want.shape()));
            continue;
        }
        let (got, want) = queries_and_values(name, got.detach()?.to_dtype(DType::Double)?, want.to_dtype(DType::Double)?)?;
        let limit = (FACTOR * deviation(s, full)).max(LEAST * want.abs()?.max()?.item()?);
        r.within(&format!("final.{full}"), got.sub(&want)?.abs()?.max()?.item()?, limit);
    }
    for (full, want) in s.f.meta["final_checksums"].as_object().into_iter().flatten() {
        let (model, name) = split(full)?;
        // The average of a noisy parameter is noisy as well.
        let source = if model == "ema" { "sit" } else { model };
        if name.ends_with("attn.qkv.bias") || is_noise(s, source, name) {
            continue;
        }
        let state = s.model(model)?.state();
        let got = state.get(name).ok_or_else(|| Error::value("parity", format!("no `{full}`")))?.detach()?.to_dtype(DType::Double)?;
        let number = |k: &str| want[k].as_f64().unwrap_or(f64::NAN);
        let element = (FACTOR * deviation(s, full)).max(LEAST * got.abs()?.max()?.item()?);
        // Independent errors of that size in all elements.
        let limit = element * (got.numel() as f64).sqrt();
        r.within(&format!("l2 of final.{full}"), (got.norm()?.item()? - number("l2")).abs(), limit);
        r.within(&format!("sum of final.{full}"), (got.sum(&[], false)?.item()? - number("sum")).abs(), limit);
    }
    Ok(())
}
