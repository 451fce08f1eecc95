//! How long parts of the models take: initialisation, forward and backward, and encoding in either memory layout.
//!
//! Run: `cargo bench --bench networks`. The least of two runs counts, by the clock and in processor time; machines differ, so nothing is
//! compared.
#![allow(clippy::disallowed_macros, clippy::disallowed_methods, reason = "a program of its own, which prints figures")]

use lathe::error::Result;
use lathe::models::{AutoencoderKl, LabelDrop, Sit, SitConfig, VaeConfig};
use lathe::torch::{DType, Device, Tensor, bridge::autocast, no_grad, num_threads};
use std::time::Instant;

const RUNS: u32 = 2;

/// Seconds of processor time of this process so far: unlike the clock, it does not count other programs.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<f64> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2).filter_map(|f| f.parse().ok()).collect();
    fields.iter().sum::<f64>() / 100.0
}

fn time(name: &str, mut f: impl FnMut() -> Result<()>) -> Result<()> {
    f()?;
    let (mut best, mut best_cpu) = (f64::MAX, f64::MAX);
    for _ in 0..RUNS {
        let (start, start_cpu) = (Instant::now(), cpu());
        f()?;
        best = best.min(start.elapsed().as_secs_f64());
        best_cpu = best_cpu.min(cpu() - start_cpu);
    }
    println!("{name:52} {best:8.3} s {best_cpu:8.2} s of processor time");
    Ok(())
}

fn main() -> Result<()> {
    println!("{} threads, least of {RUNS}", num_threads());
    sit_b1()?;
    vae_f16d32()
}

fn sit_b1() -> Result<()> {
    let config = SitConfig { in_channels: 32, input_size: [16, 16], ..SitConfig::named("SiT-B/1")? };
    time("SiT-B/1, initialisation", || Sit::module("sit", config.clone()).map(drop))?;
    let module = Sit::module("sit", config)?;
    let sit = module.model::<Sit>().expect("built as a SiT");
    let x = Tensor::randn(&[8, 32, 16, 16], DType::Float, Device::Cpu)?;
    let (t, y) = (Tensor::rand(&[8], DType::Float, Device::Cpu)?, Tensor::randint(0, 1000, &[8], Device::Cpu)?);
    let step = || {
        let out = sit.forward_features(&x, &t, &y, &LabelDrop::Auto)?;
        let loss = out.velocity.square()?.mean(&[], false)?.add(&out.projected[0].square()?.mean(&[], false)?)?;
        loss.backward()?;
        module.state().values().try_for_each(|p| p.zero_grad().map(drop))
    };
    time("SiT-B/1 batch 8, forward", || no_grad(|| sit.forward(&x, &t, &y, &LabelDrop::Auto)).map(drop))?;
    time("SiT-B/1 batch 8, forward and backward", step)?;
    time("SiT-B/1 batch 8, forward and backward, bf16", || autocast(Device::Cpu, DType::BFloat16, step)?)
}

fn vae_f16d32() -> Result<()> {
    let module = AutoencoderKl::module("vae", VaeConfig::named("f16d32")?)?;
    let vae = module.model::<AutoencoderKl>().expect("built as a VAE");
    let x = Tensor::randn(&[4, 3, 256, 256], DType::Float, Device::Cpu)?;
    for (training, layout) in [(true, "ordinary layout"), (false, "channels last")] {
        module.set_training(training);
        let encode = || no_grad(|| vae.encode(&x)).map(drop);
        time(&format!("f16d32 encode 256x256 batch 4, {layout}"), encode)?;
        time(&format!("f16d32 encode 256x256 batch 4, {layout}, bf16"), || autocast(Device::Cpu, DType::BFloat16, encode)?)?;
    }
    Ok(())
}
