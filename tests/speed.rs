//! How long the models take, for `docs/benchmarks.md`. Run with
//! `cargo test --release --test speed -- --ignored --nocapture --test-threads 1`; nothing is asserted, since machines differ.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests make files as others would, and stop where one fails"
)]

use lathe::models::{AutoencoderKl, LabelDrop, Sit, SitConfig, VaeConfig};
use lathe::torch::{DType, Device, Tensor, bridge::autocast, no_grad, num_threads};
use std::time::Instant;

/// Seconds of processor time of this process so far: unlike the clock, it does not count other programs.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<f64> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2).filter_map(|f| f.parse().ok()).collect();
    fields.iter().sum::<f64>() / 100.0
}

fn time(name: &str, runs: u32, mut f: impl FnMut()) {
    f();
    let (mut best, mut best_cpu) = (f64::MAX, f64::MAX);
    for _ in 0..runs {
        let (start, start_cpu) = (Instant::now(), cpu());
        f();
        best = best.min(start.elapsed().as_secs_f64());
        best_cpu = best_cpu.min(cpu() - start_cpu);
    }
    println!("  {name}: {best:.3} s, {best_cpu:.2} s of processor time, {} threads", num_threads());
}

fn randn(shape: &[i64]) -> Tensor {
    Tensor::randn(shape, DType::Float, Device::Cpu).unwrap()
}

#[test]
#[ignore = "a measurement"]
fn sit_b1() {
    let config = SitConfig { in_channels: 32, input_size: 16, ..SitConfig::named("SiT-B/1").unwrap() };
    time("SiT-B/1, initialisation", 2, || drop(Sit::module("sit", config.clone()).unwrap()));
    let module = Sit::module("sit", config).unwrap();
    let sit = module.model::<Sit>().unwrap();
    let (x, t, y) =
        (randn(&[8, 32, 16, 16]), Tensor::rand(&[8], DType::Float, Device::Cpu).unwrap(), Tensor::randint(0, 1000, &[8], Device::Cpu).unwrap());
    let step = || {
        let out = sit.forward_features(&x, &t, &y, &LabelDrop::Auto).unwrap();
        let loss =
            out.velocity.square().unwrap().mean(&[], false).unwrap().add(&out.projected[0].square().unwrap().mean(&[], false).unwrap()).unwrap();
        loss.backward().unwrap();
        module.state().values().for_each(|p| p.zero_grad().unwrap());
    };
    time("SiT-B/1 batch 8, forward", 2, || drop(no_grad(|| sit.forward(&x, &t, &y, &LabelDrop::Auto)).unwrap()));
    time("SiT-B/1 batch 8, forward and backward", 2, step);
    time("SiT-B/1 batch 8, forward and backward, bf16", 2, || autocast(Device::Cpu, DType::BFloat16, step).unwrap());
}

#[test]
#[ignore = "a measurement"]
fn vae_f16d32() {
    let module = AutoencoderKl::module("vae", VaeConfig::named("f16d32").unwrap()).unwrap();
    let vae = module.model::<AutoencoderKl>().unwrap();
    let x = randn(&[4, 3, 256, 256]);
    for training in [true, false] {
        module.set_training(training);
        let layout = if training { "ordinary layout" } else { "channels last" };
        time(&format!("f16d32 encode 256x256 batch 4, {layout}"), 2, || drop(no_grad(|| vae.encode(&x)).unwrap()));
        let bf16 = || autocast(Device::Cpu, DType::BFloat16, || drop(no_grad(|| vae.encode(&x)).unwrap())).unwrap();
        time(&format!("f16d32 encode 256x256 batch 4, {layout}, bf16"), 2, bf16);
    }
}
