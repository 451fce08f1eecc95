//! What spinning at barriers costs a small SiT's training step on two threads, alone and with others on the cores: `cargo bench --bench spin`.
//!
//! Every figure comes from processes of their own: the median step of each, and of those the median. The rounds go through all policies, so
//! that each sees the same machine. What is called libgomp's own is `GOMP_SPINCOUNT=300000`, which is what it does when nothing is set.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a program of its own, which prints figures"
)]

use lathe::error::Result;
use lathe::models::{LabelDrop, Sit, SitConfig};
use lathe::torch::bridge::{Spin, spin};
use lathe::torch::{DType, Device, Tensor, set_num_threads};
use lathe::train::optim::{AdamWOptions, adamw};
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const ROUNDS: usize = 3;
const STEPS: usize = 9;
/// What a process of this program does.
const ROLE: &str = "LATHE_BENCH_SPIN";
const OWN: (&str, &str) = ("GOMP_SPINCOUNT", "300000");
const POLICIES: [Option<(&str, &str)>; 5] =
    [None, Some(OWN), Some(("GOMP_SPINCOUNT", "100")), Some(("GOMP_SPINCOUNT", "10000")), Some(("OMP_WAIT_POLICY", "passive"))];
/// What is beside the step: the role of the other process, and the role of the measured one.
const BESIDE: [(&str, Option<&str>, &str); 4] = [
    ("nothing", None, "step"),
    ("a busy process", Some("busy"), "step"),
    ("another training", Some("train"), "step"),
    ("a loader thread, half busy", None, "step with loader"),
];

fn main() -> Result<()> {
    match std::env::var(ROLE).as_deref() {
        Ok("busy") => work(Duration::MAX),
        Ok("train") => steps(usize::MAX).map(drop),
        Ok(role) => {
            if role == "step with loader" {
                std::thread::spawn(load);
            }
            println!("{}", steps(STEPS)?);
            Ok(())
        }
        Err(_) => measure(),
    }
}

fn measure() -> Result<()> {
    println!("ms of a step on two threads, median of {ROUNDS} processes; this one: {}", spin());
    println!("{:28} {:>10} {:>12} {:>10} {:>10} {:>10}", "beside", "as started", "libgomp's", "100", "10000", "passive");
    for (name, other, role) in BESIDE {
        let mut all = [const { Vec::new() }; POLICIES.len()];
        for _ in 0..ROUNDS {
            for (policy, times) in POLICIES.iter().zip(&mut all) {
                let _other = other.map(|o| Running::start(o, *policy));
                times.push(Running::start(role, *policy).answer());
            }
        }
        let ms = all.map(|mut times| median(&mut times) * 1e3);
        println!("{name:28} {:10.1} {:12.1} {:10.1} {:10.1} {:10.1}", ms[0], ms[1], ms[2], ms[3], ms[4]);
    }
    Ok(())
}

/// A process of this program, which ends with its handle.
struct Running(Child);

impl Running {
    fn start(role: &str, policy: Option<(&str, &str)>) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.env(ROLE, role).env_remove("GOMP_SPINCOUNT").env_remove("OMP_WAIT_POLICY").envs(policy).stdout(Stdio::piped());
        Self(command.spawn().unwrap())
    }

    fn answer(mut self) -> f64 {
        let mut text = String::new();
        self.0.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        text.trim().parse().unwrap_or_else(|_| panic!("no figure but {text:?}"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// The median seconds of a step: forward, loss, backward and AdamW.
fn steps(count: usize) -> Result<f64> {
    let user = ["GOMP_SPINCOUNT", "OMP_WAIT_POLICY"].iter().any(|v| std::env::var_os(v).is_some());
    assert_eq!(matches!(spin(), Spin::Lathe(_)), !user && cfg!(target_os = "linux"), "decided by who should: {}", spin());
    set_num_threads(2);
    let config = SitConfig {
        depth: 6,
        hidden: 192,
        heads: 3,
        patch: 1,
        input_size: [8, 8],
        in_channels: 32,
        z_dims: Vec::new(),
        ..SitConfig::named("SiT-S/2")?
    };
    let module = Sit::module("sit", config)?;
    let sit = module.model::<Sit>().expect("built as a SiT");
    let opt = adamw(module.named_parameters().into_iter().filter(|(_, t)| t.requires_grad()).collect::<Vec<_>>(), AdamWOptions::default())?;
    let (x, t) = (Tensor::randn(&[8, 32, 8, 8], DType::Float, Device::Cpu)?, Tensor::rand(&[8], DType::Float, Device::Cpu)?);
    let (y, target) = (Tensor::randint(0, 1000, &[8], Device::Cpu)?, x.randn_like()?);
    let mut times = Vec::new();
    for i in 0..count.saturating_add(2) {
        let start = Instant::now();
        opt.zero_grad()?;
        sit.forward(&x, &t, &y, &LabelDrop::Auto)?.sub(&target)?.square()?.mean(&[], false)?.backward()?;
        opt.step()?;
        // The first two are slower; another training goes on until it is ended.
        if i >= 2 && count < usize::MAX {
            times.push(start.elapsed().as_secs_f64());
        }
    }
    Ok(median(&mut times))
}

/// Keeps a core busy.
fn work(time: Duration) -> Result<()> {
    let start = Instant::now();
    while start.elapsed() < time {
        std::hint::black_box((0..10_000u64).fold(0, |s, i| s ^ std::hint::black_box(i)));
    }
    Ok(())
}

/// Works half of the time, as a thread that decodes pictures for a loader does.
fn load() {
    while work(Duration::from_millis(5)).is_ok() {
        std::thread::sleep(Duration::from_millis(5));
    }
}
