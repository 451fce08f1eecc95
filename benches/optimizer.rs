//! AdamW, clipping and the moving average over 128 M parameters, against tch's own: `cargo bench --bench optimizer`.
//!
//! Prints the CPU time of one step of each (least of ten rounds, in turn) and their ratio. Both do the same arithmetic on the same shapes:
//! those of a SiT-B with wide conditioning, 400 tensors.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a program of its own, which prints figures"
)]

use lathe::nn::{Built, Init, Module};
use lathe::torch::{Device, Tensor};
use lathe::train::optim::{AdamWOptions, Ema, adamw, step};
use tch::nn::OptimizerConfig;

const ROUNDS: usize = 10;
const DECAY: f64 = 0.9999;

fn shapes() -> Vec<Vec<i64>> {
    let mut all = Vec::new();
    for _ in 0..12 {
        all.extend([[2304, 768], [768, 768], [3072, 768], [768, 3072], [4608, 768]].map(|s| s.to_vec()));
        all.extend([2304, 768, 3072, 768, 4608].map(|n| vec![n]));
    }
    all.resize(400, vec![768]);
    all
}

/// Seconds that all threads of this process have computed, those that have ended too.
fn cpu_seconds() -> f64 {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    t.tv_sec as f64 + t.tv_nsec as f64 * 1e-9
}

type Step = Box<dyn FnMut()>;

/// CPU and wall time of one call, in milliseconds.
fn measure(f: &mut Step) -> [f64; 2] {
    let (cpu, wall) = (cpu_seconds(), std::time::Instant::now());
    f();
    [(cpu_seconds() - cpu) * 1e3, wall.elapsed().as_secs_f64() * 1e3]
}

/// A step of ours.
fn ours() -> Result<Step, lathe::error::Error> {
    let module = Module::build("bench", Device::Cpu, |path| {
        for (i, shape) in shapes().iter().enumerate() {
            path.param(&format!("p{i}"), shape, Init::Normal(0.0, 0.02))?;
        }
        Ok(Built::layer(|inputs: &[Tensor]| Ok(inputs[0].clone())))
    })?;
    let params = module.trainable();
    for p in &params {
        p.sum(&[], false)?.mul(1e-3)?.backward()?;
    }
    let opt = adamw(module.named_parameters(), AdamWOptions { lr: 1e-4, ..AdamWOptions::default() })?;
    let ema = Ema::new(&module, DECAY)?;
    Ok(Box::new(move || {
        step(&opt, &params, 1.0, Some(&ema)).expect("gradients that fit, and the same module");
    }))
}

/// The same with tch's optimizer and a loop over the tensors.
fn theirs() -> Result<Step, tch::TchError> {
    let store = tch::nn::VarStore::new(tch::Device::Cpu);
    let init = tch::nn::Init::Randn { mean: 0.0, stdev: 0.02 };
    let params: Vec<tch::Tensor> = shapes().iter().enumerate().map(|(i, s)| store.root().var(&format!("p{i}"), s, init)).collect();
    for p in &params {
        (p.sum(tch::Kind::Float) * 1e-3).f_backward()?;
    }
    let mut opt = tch::nn::AdamW { wd: 0.01, ..Default::default() }.build(&store, 1e-4)?;
    let mut average: Vec<tch::Tensor> = tch::no_grad(|| params.iter().map(|p| p.detach().copy()).collect());
    Ok(Box::new(move || {
        opt.clip_grad_norm(1.0);
        opt.step();
        tch::no_grad(|| {
            for (a, p) in average.iter_mut().zip(&params) {
                let _ = a.lerp_(p, 1.0 - DECAY);
            }
        });
    }))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let numbers: i64 = shapes().iter().map(|s| s.iter().product::<i64>()).sum();
    println!(
        "AdamW + clipping + average, {} tensors, {:.1} M parameters, {} threads",
        shapes().len(),
        numbers as f64 / 1e6,
        lathe::torch::num_threads()
    );
    let (mut ours, mut theirs) = (ours()?, theirs()?);
    let mut least = [[f64::MAX; 2]; 2];
    // In turn, so that both see the same machine; the first round warms up.
    for round in 0..=ROUNDS {
        for (least, f) in least.iter_mut().zip([&mut ours, &mut theirs]) {
            let found = measure(f);
            if round > 0 {
                *least = [least[0].min(found[0]), least[1].min(found[1])];
            }
        }
    }
    let [ours, theirs] = least;
    println!("  lathe  cpu {:7.1} ms   wall {:7.1} ms", ours[0], ours[1]);
    println!("  tch    cpu {:7.1} ms   wall {:7.1} ms", theirs[0], theirs[1]);
    println!("  ratio  cpu {:7.2}      wall {:7.2}", theirs[0] / ours[0], theirs[1] / ours[1]);
    Ok(())
}
