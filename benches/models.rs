//! Seconds of a SiT-B/1 training step and of a VAE f16d32 encode, beside eager PyTorch in the same run where it is installed.
//!
//! Run: `cargo bench --bench models` (or `make bench`). PEER_PYTHON names a Python with torch 2.11 (default `python3`); without one the
//! peer's column is left out. Rounds alternate between the two programs, so that both see the same machine; the least of all rounds counts.
//! `LATHE_DEVICE=cuda` measures a GPU, with batches that fill it and the mean of five steps a round.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a program of its own, which prints figures"
)]

use lathe::models::{AutoencoderKl, LabelDrop, Sit, SitConfig, VaeConfig};
use lathe::torch::{DType, Device, Tensor, bridge, no_grad};
use lathe::train::optim::{AdamWOptions, adamw, clip_grad_norm};
use std::time::Instant;

const ROUNDS: usize = 3;
const PEER: &str = include_str!("peer.py");

/// One step or encode; the tensor it gives is read when all of a round have been queued.
type Run = Box<dyn FnMut() -> lathe::error::Result<Tensor>>;

fn main() -> lathe::error::Result<()> {
    bridge::load_cuda();
    bridge::keep_memory();
    let name = std::env::var("LATHE_DEVICE").unwrap_or_else(|_| "cpu".into());
    let at = lathe::torch::parse_device(&name)?;
    let cuda = at != Device::Cpu;
    let (steps, batches) = if cuda { (5, [256, 64]) } else { (1, [8, 4]) };
    println!("device {name}, threads {}, {ROUNDS} rounds of {steps}, least of each", lathe::torch::num_threads());
    println!("{:42} {:>9} {:>9} {:>7}", "", "lathe s", "eager s", "ratio");
    for (kind, batch) in [("sit-b/1 step", batches[0]), ("vae f16d32 encode 256", batches[1])] {
        for dtype in [None, Some(DType::BFloat16)] {
            let case = format!("{kind}, batch {batch}, {}", if dtype.is_some() { "bf16" } else { "f32" });
            let mut run = if kind.starts_with("sit") { sit_step(at, batch, dtype)? } else { vae_encode(at, batch, dtype)? };
            seconds(&mut run, steps)?;
            let (mut own, mut peer) = (f64::MAX, f64::MAX);
            for _ in 0..ROUNDS {
                own = own.min(seconds(&mut run, steps)?);
                if let Some(s) = peer_seconds(&case, &name, batch, steps) {
                    peer = peer.min(s);
                }
            }
            if peer < f64::MAX {
                println!("{case:42} {own:9.4} {peer:9.4} {:7.2}", own / peer);
            } else {
                println!("{case:42} {own:9.4} {:>9} {:>7}", "-", "-");
            }
        }
    }
    Ok(())
}

/// Mean seconds of `steps` runs. Reading a value of the last waits for the device.
fn seconds(run: &mut Run, steps: usize) -> lathe::error::Result<f64> {
    let start = Instant::now();
    for left in (0..steps).rev() {
        let out = run()?;
        if left == 0 {
            out.to_dtype(DType::Float)?.mean(&[], false)?.item()?;
        }
    }
    Ok(start.elapsed().as_secs_f64() / steps as f64)
}

/// Forward, loss, backward, clip and AdamW on 32x16x16 latents: 256 tokens.
fn sit_step(at: Device, batch: i64, dtype: Option<DType>) -> lathe::error::Result<Run> {
    let config = SitConfig { input_size: [16, 16], in_channels: 32, ..SitConfig::named("SiT-B/1")? };
    let module = Sit::module("SiT-B/1", config)?;
    module.to(Some(at), None)?;
    let sit = module.model::<Sit>().expect("built as a SiT");
    let opt = adamw(module.named_parameters().into_iter().filter(|(_, t)| t.requires_grad()).collect::<Vec<_>>(), AdamWOptions::default())?;
    let (x, t) = (Tensor::randn(&[batch, 32, 16, 16], DType::Float, at)?, Tensor::rand(&[batch], DType::Float, at)?);
    let (y, target) = (Tensor::randint(0, 1000, &[batch], at)?, x.randn_like()?);
    Ok(Box::new(move || {
        opt.zero_grad()?;
        let forward = || sit.forward_features(&x, &t, &y, &LabelDrop::Auto);
        let out = match dtype {
            Some(d) => bridge::autocast(at, d, forward)??,
            None => forward()?,
        };
        let projected = out
            .projected
            .iter()
            .try_fold(Tensor::zeros(&[], DType::Float, at)?, |s, p| s.add(&p.to_dtype(DType::Float)?.square()?.mean(&[], false)?))?;
        let loss = out.velocity.to_dtype(DType::Float)?.sub(&target)?.square()?.mean(&[], false)?.add(&projected)?;
        loss.backward()?;
        clip_grad_norm(&module.trainable(), 1.0)?;
        opt.step()?;
        loss.detach()
    }))
}

fn vae_encode(at: Device, batch: i64, dtype: Option<DType>) -> lathe::error::Result<Run> {
    let module = AutoencoderKl::module("f16d32", VaeConfig::named("f16d32")?)?;
    module.to(Some(at), None)?;
    module.set_training(false);
    let vae = module.model::<AutoencoderKl>().expect("built as a VAE");
    let x = Tensor::randn(&[batch, 3, 256, 256], DType::Float, at)?;
    Ok(Box::new(move || {
        let posterior = no_grad(|| match dtype {
            Some(d) => bridge::autocast(at, d, || vae.encode(&x))?,
            None => vae.encode(&x),
        })?;
        Ok(posterior.mode())
    }))
}

/// Seconds of a warm run of the same case in eager PyTorch, if there is a Python that has it.
fn peer_seconds(case: &str, device: &str, batch: i64, steps: usize) -> Option<f64> {
    let python = std::env::var("PEER_PYTHON").unwrap_or_else(|_| "python3".into());
    let args = ["-c", PEER, case, device, &batch.to_string(), &steps.to_string()];
    let out = std::process::Command::new(python).args(args).stderr(std::process::Stdio::null()).output().ok()?;
    String::from_utf8(out.stdout).ok()?.trim().parse().ok()
}
