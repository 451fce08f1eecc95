//! The discriminator in both modes, its gradients, and the running statistics after one training pass.

use super::fixture::Fixture;
use super::kink::{self, Place};
use super::report::Report;
use lathe::error::{Error, Result};
use lathe::models::{PatchGan, PatchGanConfig};
use lathe::torch::{DType, no_grad};

pub fn check(f: &Fixture, r: &mut Report) -> Result<()> {
    kink::beside(f, r, at)
}

/// The whole check, at its pictures or beside them.
fn at(f: &Fixture, r: &mut Report, place: Place) -> Result<()> {
    let x = place.of(f.get("x")?)?.requires_grad_(true)?;
    let config =
        PatchGanConfig { ndf: f.number("ndf", 64.0) as i64, layers: f.number("n_layers", 3.0) as i64, in_channels: x.size(1)?, batch_norm: true };
    let module = PatchGan::module(config)?;
    f.init(&module)?;
    let names = |m: &[String]| m.iter().filter(|k| !k.ends_with("num_batches_tracked")).cloned().collect::<std::collections::BTreeSet<_>>();
    let own: Vec<String> = module.state().keys().cloned().collect();
    let spec: Vec<String> = f.meta["spec"].as_object().into_iter().flatten().map(|e| e.0.clone()).collect();
    r.same("names", names(&own), names(&spec));

    module.set_training(false);
    let eval = no_grad(|| module.forward(std::slice::from_ref(&x)))?;
    r.close("eval.logits", &eval, f.get("eval.logits")?, 1e-5)?;
    module.set_training(true);
    let y = module.forward(std::slice::from_ref(&x))?;
    r.close("train.logits", &y, f.get("train.logits")?, 1e-5)?;
    let hinge = y.neg()?.add(1.0)?.relu()?.mean(&[], false)?;
    let loss = hinge.sub(&y.mean(&[], false)?)?;
    r.close("train.loss", &loss, f.get("train.loss")?, 1e-5)?;
    loss.backward()?;
    let state = module.state();
    let missing = |name: &str| Error::value("parity", format!("no gradient of `{name}`"));
    r.gradient("train.grad_x", &x.grad()?.ok_or_else(|| missing("x"))?, f.get("train.grad_x")?, 1e-4, 0.0)?;
    for (name, want) in f.below("train.grad.") {
        let got = state.get(name).map_or(Ok(None), |t| t.grad())?.ok_or_else(|| missing(name))?;
        r.gradient(&format!("train.grad.{name}"), &got, want, 1e-4, 0.0)?;
    }
    for (name, want) in f.meta["grad_norms"].as_object().into_iter().flatten() {
        let got = state.get(name).map_or(Ok(None), |t| t.grad())?.ok_or_else(|| missing(name))?;
        let (got, want) = (got.to_dtype(DType::Double)?.norm()?.item()?, want.as_f64().unwrap_or(f64::NAN));
        r.within_gradient(&format!("norm of train.grad.{name}"), (got / want - 1.0).abs(), 1e-4);
    }
    for (name, want) in f.below("after.") {
        let got = state.get(name).ok_or_else(|| Error::value("parity", format!("no buffer `{name}`")))?;
        r.close(&format!("after.{name}"), got, want, 1e-5)?;
    }
    Ok(())
}
