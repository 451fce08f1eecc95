//! LPIPS with hashed VGG16 weights and the real heads: distance, layers, features, gradients; and loading under the reference's names.

use super::fixture::{Fixture, hash_tensor, shape_of};
use super::kink::{self, Place};
use super::report::Report;
use super::strides::strided;
use lathe::error::{Error, Result};
use lathe::models::Lpips;
use lathe::nn::State;
use lathe::torch::{Tensor, no_grad};

const FORWARD: f64 = 1e-4;
const GRADIENT: f64 = 5e-4;

pub fn check(f: &Fixture, r: &mut Report) -> Result<()> {
    kink::beside(f, r, at)
}

/// The whole check, at its pictures or beside them.
fn at(f: &Fixture, r: &mut Report, place: Place) -> Result<()> {
    let (mut own, mut reference) = (State::new(), State::new());
    for (name, spec) in f.meta["spec"].as_object().into_iter().flatten() {
        let value = hash_tensor(f.seed(), name, &shape_of(&spec["shape"]), spec["lo"].as_f64().unwrap_or(0.0), spec["hi"].as_f64().unwrap_or(0.0))?;
        own.insert(name.clone(), value.clone());
        reference.insert(spec["ref_name"].as_str().unwrap_or(name).to_owned(), value);
    }
    for (name, value) in f.below("lin") {
        own.insert(format!("lin{name}"), value.clone());
        reference.insert(format!("perceptual_loss.lpips.lin{name}"), value.clone());
    }
    own.insert("classifier.0.weight".into(), Tensor::from_slice(&[0f32])?);
    let module = Lpips::with_state(&own)?;
    let lpips = module.model::<Lpips>().ok_or_else(|| Error::value("parity", "no LPIPS"))?;

    let (a, b) = (place.of(f.get("a")?)?.requires_grad_(true)?, place.of(f.get("b")?)?.requires_grad_(true)?);
    let distance = module.forward(&[a.clone(), b.clone()])?;
    r.close("lpips", &distance, f.get("lpips")?, FORWARD)?;
    distance.mean(&[], false)?.backward()?;
    for (name, x) in [("grad_a_of_mean", &a), ("grad_b_of_mean", &b)] {
        let got = x.grad()?.ok_or_else(|| Error::value("parity", "no gradient of an image"))?;
        r.gradient(name, &got, f.get(name)?, GRADIENT, 0.0)?;
    }
    r.same("frozen", module.trainable().len(), 0);
    no_grad(|| {
        for (i, layer) in lpips.layers(&a, &b)?.iter().enumerate() {
            let want = f.get(&format!("layer{i}"))?;
            r.close(&format!("layer{i}"), &layer.reshape(&want.shape())?, want, FORWARD)?;
        }
        for (i, map) in lpips.maps(&a)?.iter().enumerate() {
            let name = format!("feat{i}_a_strided");
            let want = f.get(&name)?;
            r.close(&name, &strided(map, want)?, want, FORWARD)?;
        }
        let again = Lpips::with_state(&reference)?.forward(&[a.detach()?, b.detach()?])?;
        r.close("under the reference's names", &again, f.get("lpips")?, FORWARD)
    })
}
