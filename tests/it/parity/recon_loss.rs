//! The loss of the VAE and its discriminator by `std/losses`: every term, gradients, and the buffers after each of the two passes.

use super::fixture::{Fixture, fill, hash_tensor, read, shape_of};
use super::kink::{self, Place};
use super::report::{Report, on_this_device};
use super::scripts::{Library, entry, map, tensor};
use crate::support::root;
use lathe::error::{Error, Result};
use lathe::models::{Lpips, PatchGan, PatchGanConfig, Posterior};
use lathe::nn::{Module, State};
use lathe::script::lang::value::from_json;
use lathe::script::rhai::Dynamic;
use lathe::torch::{DType, Tensor, no_grad};
use serde_json::Value;
use std::path::PathBuf;

/// VGG16 is full size; so are these limits.
const FORWARD: f64 = 1e-4;
const GRADIENT: f64 = 5e-4;
/// The discriminator has no VGG16 before it.
const DISC_GRADIENT: f64 = 1e-4;

/// The published heads of LPIPS: those of the fixture, or of one beside it, or of this repository; they are everywhere the same.
fn heads(f: &Fixture) -> Result<State> {
    let mut beside: Vec<PathBuf> = match f.path.parent().map(std::fs::read_dir) {
        Some(Ok(entries)) => entries.flatten().map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "safetensors")).collect(),
        _ => Vec::new(),
    };
    beside.sort();
    beside.push(root().join("tests/golden/loss/lpips.safetensors"));
    let of = |tensors: &State| -> State { tensors.iter().filter(|(k, _)| k.starts_with("lin")).map(|(k, t)| (k.clone(), t.clone())).collect() };
    let mut found = of(f.everything());
    for path in beside {
        if !found.is_empty() {
            break;
        }
        found = of(&read(&path)?);
    }
    Ok(found)
}

/// LPIPS with hashed VGG16 weights under torchvision's names.
pub fn perceptual(f: &Fixture, seed: u64, spec: &Value) -> Result<Module> {
    let mut state = State::new();
    for (name, s) in spec.as_object().into_iter().flatten() {
        let bound = |k: &str| s[k].as_f64().unwrap_or(0.0);
        state.insert(name.clone(), hash_tensor(seed, name, &shape_of(&s["shape"]), bound("lo"), bound("hi"))?);
    }
    state.extend(heads(f)?);
    Lpips::with_state(&state)
}

/// A discriminator of the sizes in `spec`.
pub fn discriminator(spec: &Value) -> Result<Module> {
    let first = shape_of(&spec["main.0.weight"]["shape"]);
    let (Some(&ndf), Some(&in_channels)) = (first.first(), first.get(1)) else {
        return Err(Error::value("parity", "the discriminator's first convolution has no shape"));
    };
    let convolutions = spec.as_object().into_iter().flatten().filter(|(_, s)| shape_of(&s["shape"]).len() == 4).count();
    PatchGan::module(PatchGanConfig { ndf, in_channels, layers: convolutions as i64 - 2, batch_norm: true })
}

pub fn check(f: &Fixture, r: &mut Report) -> Result<()> {
    kink::beside(f, r, at)
}

/// The whole check, at its pictures or beside them.
fn at(f: &Fixture, r: &mut Report, place: Place) -> Result<()> {
    let library = Library::load()?;
    f.config().below("model").below("vq_model").is("quantize_mode", "vae")?;
    let disc = discriminator(&f.meta["disc_spec"])?;
    fill(&disc, &f.meta["disc_spec"], f.seed(), "")?;
    let networks = map([("disc", Dynamic::from(disc.clone())), ("perceptual", Dynamic::from(perceptual(f, f.seed(), &f.meta["vgg_spec"])?))]);
    // The library refuses a name that it does not know.
    let settings = f.config().get("losses");
    let loss = library.call("losses", "single_stage", vec![networks, from_json(settings)])?;
    begin_averages(f, &loss)?;
    let step = f.meta["global_step"].as_i64().unwrap_or(0);

    let images = &place.of(f.get("inputs")?)?;
    let recon = place.of(f.get("reconstructions")?)?.requires_grad_(true)?;
    let moments = f.get("moments")?.copy()?.requires_grad_(true)?;
    let shared = |t: &Tensor| Dynamic::from(t.clone());
    let args = vec![loss.clone(), shared(images), shared(&recon), Dynamic::from(Posterior::new(&moments)?), step.into()];
    let out = library.call("losses", "vae_loss", args)?;
    terms(f, "gen.", &out, r)?;
    tensor(&entry(&out, "loss")?)?.backward()?;
    for (name, x) in [("reconstructions", &recon), ("moments", &moments)] {
        let got = x.grad()?.ok_or_else(|| Error::value("parity", format!("no gradient of the {name}")))?;
        let name = format!("gen.grad_{name}");
        r.gradient(&name, &got, f.get(&name)?, on_this_device(GRADIENT), 0.0)?;
    }
    let untouched = disc.named_parameters().iter().all(|(_, p)| matches!(p.grad(), Ok(None)));
    r.same("the generator's pass gives the discriminator no gradient", untouched, true);
    buffers(f, "gen.after.", &disc, &loss, r)?;

    let out = library.call("losses", "disc_loss", vec![loss.clone(), shared(images), shared(&recon), step.into()])?;
    terms(f, "disc.", &out, r)?;
    tensor(&entry(&out, "loss")?)?.backward()?;
    disc_gradients(f, &disc, r)?;
    buffers(f, "disc.after.", &disc, &loss, r)
}

/// LeCam's averages as they were before the discriminator's pass. The fixtures record them only after it; the mean logits of the pass, which
/// they do record, lead back. That the loss of the pass comes out right is what checks them.
fn begin_averages(f: &Fixture, loss: &Dynamic) -> Result<()> {
    let Ok(averages) = super::scripts::module(&entry(loss, "lecam")?) else { return Ok(()) };
    let decay = tensor(&entry(&entry(loss, "o")?, "lecam_ema_decay")?)?.item()?;
    for (name, value) in averages.state() {
        let after = f.get(&format!("disc.after.{name}"))?;
        let mean = f.get(if name.contains("real") { "disc.dict.logits_real" } else { "disc.dict.logits_fake" })?;
        no_grad(|| value.copy_(&after.sub(&mean.mul(1.0 - decay)?)?.div(decay)?))?;
    }
    Ok(())
}

/// The total and every entry of the reference's dictionary.
fn terms(f: &Fixture, prefix: &str, out: &Dynamic, r: &mut Report) -> Result<()> {
    let total = format!("{prefix}total");
    r.close(&total, &tensor(&entry(out, "loss")?)?, f.get(&total)?, FORWARD)?;
    let (log, dict) = (entry(out, "log")?, format!("{prefix}dict."));
    for (name, want) in f.below(&dict) {
        let got = tensor(&entry(&log, name)?)?.to_dtype(DType::Double)?.reshape(&want.shape())?;
        r.close(&format!("{dict}{name}"), &got, want, FORWARD)?;
        // Small beside 1, and sums of what is not negative: held to the limit relative to themselves.
        if ["reconstruction_loss", "perceptual_loss", "kl_loss"].contains(&name) {
            let (got, want) = (got.item()?, want.to_dtype(DType::Double)?.item()?);
            r.within(&format!("{dict}{name}, relative"), (got - want).abs(), FORWARD * want.abs());
        }
    }
    Ok(())
}

fn disc_gradients(f: &Fixture, disc: &Module, r: &mut Report) -> Result<()> {
    let state = disc.state();
    let grad = |name: &str| state.get(name).map_or(Ok(None), Tensor::grad)?.ok_or_else(|| Error::value("parity", format!("no gradient of `{name}`")));
    for (name, want) in f.below("disc.grad.") {
        r.gradient(&format!("disc.grad.{name}"), &grad(name)?, want, on_this_device(DISC_GRADIENT), 0.0)?;
    }
    for (name, want) in f.meta["disc_grad_norms"].as_object().into_iter().flatten() {
        let (got, want) = (grad(name)?.to_dtype(DType::Double)?.norm()?.item()?, want.as_f64().unwrap_or(f64::NAN));
        r.within_gradient(&format!("norm of disc.grad.{name}"), (got - want).abs(), on_this_device(DISC_GRADIENT) * want);
    }
    Ok(())
}

/// The discriminator's running statistics, and LeCam's averages.
fn buffers(f: &Fixture, prefix: &str, disc: &Module, loss: &Dynamic, r: &mut Report) -> Result<()> {
    let mut state = disc.state();
    if let Ok(averages) = super::scripts::module(&entry(loss, "lecam")?) {
        state.extend(averages.state());
    }
    for (name, want) in f.below(prefix) {
        let got = state.get(name).ok_or_else(|| Error::value("parity", format!("no buffer `{name}`")))?;
        r.close(&format!("{prefix}{name}"), got, want, 1e-5)?;
    }
    Ok(())
}
