//! Seconds of a SiT-B/1 training step and of a VAE f16d32 encode, beside eager PyTorch in the same run where it is installed.
//!
//! Run: `cargo bench --bench models` (or `make bench`). PEER_PYTHON names a Python with torch 2.11 (default `python3`); without one the
//! peer's column is left out. Rounds alternate between the two programs, so that both see the same machine; the least of all rounds counts.

use lathe::models::{AutoencoderKl, LabelDrop, Sit, SitConfig, VaeConfig};
use lathe::torch::{DType, Device, Tensor, bridge, no_grad};
use lathe::train::optim::{AdamW, AdamWOptions, clip_grad_norm};
use std::time::Instant;

const ROUNDS: usize = 3;
const PEER: &str = include_str!("peer.py");

type Run = Box<dyn FnMut() -> lathe::error::Result<()>>;

fn main() -> lathe::error::Result<()> {
    println!("threads {}, {ROUNDS} rounds, least of each", lathe::torch::num_threads());
    println!("{:34} {:>9} {:>9} {:>7}", "", "lathe s", "eager s", "ratio");
    for (name, make) in cases() {
        let mut run = make()?;
        run()?;
        let (mut own, mut peer) = (f64::MAX, f64::MAX);
        for _ in 0..ROUNDS {
            let start = Instant::now();
            run()?;
            own = own.min(start.elapsed().as_secs_f64());
            if let Some(s) = peer_seconds(name) {
                peer = peer.min(s);
            }
        }
        if peer < f64::MAX {
            println!("{name:34} {own:9.3} {peer:9.3} {:7.2}", own / peer);
        } else {
            println!("{name:34} {own:9.3} {:>9} {:>7}", "-", "-");
        }
    }
    Ok(())
}

type Make = fn() -> lathe::error::Result<Run>;

fn cases() -> [(&'static str, Make); 4] {
    [
        ("sit-b/1 step, batch 8, f32", || sit_step(None)),
        ("sit-b/1 step, batch 8, bf16", || sit_step(Some(DType::BFloat16))),
        ("vae f16d32 encode 256, batch 4, f32", || vae_encode(None)),
        ("vae f16d32 encode 256, batch 4, bf16", || vae_encode(Some(DType::BFloat16))),
    ]
}

/// Forward, loss, backward, clip and AdamW on 32x16x16 latents: 256 tokens.
fn sit_step(dtype: Option<DType>) -> lathe::error::Result<Run> {
    let config = SitConfig { input_size: 16, in_channels: 32, ..SitConfig::named("SiT-B/1")? };
    let module = Sit::module("SiT-B/1", config)?;
    let sit = module.model::<Sit>().expect("built as a SiT");
    let opt = AdamW::new(module.named_parameters().into_iter().filter(|(_, t)| t.requires_grad()).collect(), AdamWOptions::default())?;
    let (x, t) = (Tensor::randn(&[8, 32, 16, 16], DType::Float, Device::Cpu)?, Tensor::rand(&[8], DType::Float, Device::Cpu)?);
    let (y, target) = (Tensor::randint(0, 1000, &[8], Device::Cpu)?, x.randn_like()?);
    Ok(Box::new(move || {
        opt.zero_grad()?;
        let forward = || sit.forward_features(&x, &t, &y, &LabelDrop::Auto);
        let out = match dtype {
            Some(d) => bridge::autocast(Device::Cpu, d, forward)??,
            None => forward()?,
        };
        let projected = out
            .projected
            .iter()
            .try_fold(Tensor::zeros(&[], DType::Float, Device::Cpu)?, |s, p| s.add(&p.to_dtype(DType::Float)?.square()?.mean(&[], false)?))?;
        out.velocity.to_dtype(DType::Float)?.sub(&target)?.square()?.mean(&[], false)?.add(&projected)?.backward()?;
        clip_grad_norm(&module.trainable(), 1.0)?;
        opt.step()
    }))
}

fn vae_encode(dtype: Option<DType>) -> lathe::error::Result<Run> {
    let module = AutoencoderKl::module("f16d32", VaeConfig::named("f16d32")?)?;
    module.set_training(false);
    let vae = module.model::<AutoencoderKl>().expect("built as a VAE");
    let x = Tensor::randn(&[4, 3, 256, 256], DType::Float, Device::Cpu)?;
    Ok(Box::new(move || {
        no_grad(|| match dtype {
            Some(d) => bridge::autocast(Device::Cpu, d, || vae.encode(&x))?.map(drop),
            None => vae.encode(&x).map(drop),
        })
    }))
}

/// Seconds of one warm run of the same case in eager PyTorch, if there is a Python that has it.
fn peer_seconds(case: &str) -> Option<f64> {
    let python = std::env::var("PEER_PYTHON").unwrap_or_else(|_| "python3".into());
    let out = std::process::Command::new(python).args(["-c", PEER, case]).stderr(std::process::Stdio::null()).output().ok()?;
    String::from_utf8(out.stdout).ok()?.trim().parse().ok()
}
