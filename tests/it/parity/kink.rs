//! Gradients through ReLUs, maxima and signs.
//!
//! Such a gradient jumps where a unit lies at its kink, and which side rounding takes there differs between processors, in PyTorch itself too. A
//! limit that allowed the jump would hide errors of its size. So where the gradient at the recorded inputs is off, it is held to the same limit at
//! neighbours: inputs moved by no more than float32's rounding adds up to. There some units lie on the other side, and a right gradient is the
//! recorded one on one of the sides; a wrong one is wrong on both.

use super::fixture::Fixture;
use super::report::Report;
use lathe::error::Result;
use lathe::torch::{DType, Device, Tensor};
use rand::{Rng, SeedableRng};

/// How far neighbours lie, relative to each number.
const STEPS: [f64; 3] = [3e-7, 1e-6, 3e-6];
/// Neighbours at each distance.
const EACH: u64 = 6;

/// Where the gradient is taken: at the inputs, or beside them.
#[derive(Clone, Copy, Default)]
pub struct Place {
    step: f64,
    seed: u64,
}

impl Place {
    /// An input, moved.
    pub fn of(self, x: &Tensor) -> Result<Tensor> {
        if self.step == 0.0 {
            return x.copy();
        }
        let mut draw = rand_chacha::ChaCha8Rng::seed_from_u64(self.seed);
        let factors: Vec<f64> = (0..x.numel()).map(|_| 1.0 + self.step * (2.0 * draw.random::<f64>() - 1.0)).collect();
        let factors = Tensor::from_vec(&factors, &x.shape())?;
        x.to_device(Device::Cpu)?.to_dtype(DType::Double)?.mul(&factors)?.to_dtype(x.dtype())?.to_device(x.device())
    }
}

/// Runs a check at the recorded inputs, and beside them where its gradients alone are off.
pub fn beside(f: &Fixture, r: &mut Report, check: impl Fn(&Fixture, &mut Report, Place) -> Result<()>) -> Result<()> {
    let mut here = Report::default();
    check(f, &mut here, Place::default())?;
    if let Some(worst) = here.only_gradients() {
        for (i, step) in STEPS.iter().enumerate() {
            for seed in 0..EACH {
                let mut there = Report::default();
                check(f, &mut there, Place { step: *step, seed: i as u64 * EACH + seed })?;
                if there.failures().is_empty() {
                    there.kink(format!(
                        "{} is {:.2e} off at a kink, and within its limit where the inputs are moved by {step:.0e}",
                        worst.name, worst.error
                    ));
                    r.add(there);
                    return Ok(());
                }
            }
        }
    }
    r.add(here);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The gradient of `scale * sum |x|`, as recorded at a place where the first number was below 0.
    fn check(scale: f64) -> impl Fn(&Fixture, &mut Report, Place) -> Result<()> {
        move |f: &Fixture, r: &mut Report, place: Place| {
            // A number that rounding moves across zero, and three that it does not.
            let x = place.of(&Tensor::from_slice(&[1.0f64, 1.0, -2.0, 3.0])?)?;
            let x = x.sub(&Tensor::from_slice(&[1.0 - 1e-7, 0.0, 0.0, 0.0])?)?.requires_grad_(true)?;
            x.abs()?.sum(&[], false)?.mul(scale)?.backward()?;
            r.gradient("sum |x|", &x.grad()?.unwrap(), f.get("grad")?, 1e-4, 0.0)
        }
    }

    fn run(scale: f64) -> Report {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.json");
        std::fs::write(&path, json!({"kind": "test"}).to_string()).unwrap();
        let grad = Tensor::from_slice(&[-1.0f64, 1.0, -1.0, 1.0]).unwrap();
        lathe::torch::files::write_safetensors(&path.with_extension("safetensors"), &[("grad".to_owned(), grad)].into(), &Default::default())
            .unwrap();
        let mut r = Report::default();
        beside(&Fixture::open(&path).unwrap(), &mut r, check(scale)).unwrap();
        r
    }

    #[test]
    fn a_gradient_at_a_kink_is_found_beside_it_and_a_wrong_one_nowhere() {
        let right = run(1.0);
        assert!(right.failures().is_empty() && right.line().contains("sum |x| is 1.00e0 off at a kink"), "{}", right.line());
        assert_eq!(run(1.01).failures().len(), 1);
        assert_eq!(run(-1.0).failures().len(), 1);
    }
}
