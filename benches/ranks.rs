//! What training by two ranks costs on one machine: `cargo bench --bench ranks`.
//!
//! A step of SiT-B/1 (f32, batch 8 of all) by one process with two threads, by two ranks with one thread each, and by PyTorch's
//! DistributedDataParallel on the same two processes where `PEER_PYTHON` names a Python with torch 2.11. Rounds alternate; the least of all counts.
//! And the word that ranks say at every step.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a program of its own, which prints figures"
)]

use lathe::dist::{self, Options, Word, World};
use lathe::error::Result;
use lathe::models::{LabelDrop, Sit, SitConfig};
use lathe::torch::{DType, Device, Tensor, set_num_threads};
use lathe::train::optim::{AdamWOptions, adamw, clip_grad_norm};
use std::io::Read;
use std::process::{Command, Stdio};
use std::time::Instant;

const ROUNDS: usize = 2;
const STEPS: usize = 2;
const BATCH: i64 = 8;
/// What a process of this program does.
const ROLE: &str = "LATHE_BENCH_RANKS";
const PEER: &str = include_str!("peer.py");

fn main() -> Result<()> {
    match std::env::var(ROLE).as_deref() {
        Ok("word") => word(),
        Ok(role) => steps(role),
        Err(_) => measure(),
    }
}

fn measure() -> Result<()> {
    println!("word of two ranks: {}", run("word", 2).trim());
    let python = std::env::var("PEER_PYTHON").unwrap_or_else(|_| "python3".into());
    let peer = Command::new(&python).args(["-c", "import torch"]).stderr(Stdio::null()).status().is_ok_and(|s| s.success());
    let mut least = [f64::MAX; 4];
    for _ in 0..ROUNDS {
        for (i, (role, n)) in [("alone", 1), ("overlap", 2), ("after", 2)].into_iter().enumerate() {
            least[i] = least[i].min(run(role, n).trim().parse().unwrap());
        }
        if peer {
            least[3] = least[3].min(run_peer(&python));
        }
    }
    let names =
        ["one process, two threads", "two ranks, averaged during the backward pass", "two ranks, averaged after it", "torch DDP, two processes"];
    for (name, s) in names.iter().zip(least).filter(|(_, s)| *s < f64::MAX) {
        println!("{name:46} {s:8.3} s  {:5.2} of one process", s / least[0]);
    }
    Ok(())
}

/// The variables of each of `n` ranks.
fn ranks(mut command: impl FnMut() -> Command, n: usize) -> String {
    let port = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let start = |rank: usize| {
        let mut c = command();
        let size = n.to_string();
        for (name, value) in [("RANK", rank.to_string()), ("LOCAL_RANK", rank.to_string()), ("WORLD_SIZE", size.clone()), ("LOCAL_WORLD_SIZE", size)]
        {
            c.env(name, value);
        }
        c.env("MASTER_ADDR", "127.0.0.1").env("MASTER_PORT", port.to_string());
        c.stdout(if rank == 0 { Stdio::piped() } else { Stdio::null() }).spawn().unwrap()
    };
    let mut all: Vec<_> = (0..n).map(start).collect();
    let mut text = String::new();
    all[0].stdout.take().unwrap().read_to_string(&mut text).unwrap();
    all.iter_mut().for_each(|c| assert!(c.wait().unwrap().success()));
    text
}

fn run(role: &str, n: usize) -> String {
    let threads = if n > 1 { "1" } else { "2" };
    ranks(
        || {
            let mut c = Command::new(std::env::current_exe().unwrap());
            c.env(ROLE, role).env("OMP_NUM_THREADS", threads);
            c
        },
        n,
    )
}

fn run_peer(python: &str) -> f64 {
    let text = ranks(
        || {
            let mut c = Command::new(python);
            c.args(["-c", PEER, "sit f32", "cpu", &(BATCH / 2).to_string(), &STEPS.to_string()]).env("OMP_NUM_THREADS", "1");
            c
        },
        2,
    );
    text.split_whitespace().last().unwrap().parse().unwrap()
}

fn join() -> Result<&'static dist::Dist> {
    let world: World = dist::launch::world(&|name| std::env::var(name).ok())?.expect("the parent sets it");
    // Where ranks are on machines of their own: the interface between them.
    let iface = std::env::var("LATHE_BENCH_IFACE").unwrap_or_default();
    dist::join(world, Options { iface, ..Options::default() })
}

/// How long ranks take to agree on a word, when nothing else is to be done.
fn word() -> Result<()> {
    let d = join()?;
    let mut times = Vec::new();
    for _ in 0..500 {
        let start = Instant::now();
        d.say(Word::default())?.hear()?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    println!("median {:.3} ms, 99 of 100 within {:.3} ms", times[250], times[495]);
    dist::leave();
    Ok(())
}

/// The mean seconds of a step after a first one: zero, forward, loss, backward, clip, AdamW.
fn steps(role: &str) -> Result<()> {
    let d = join()?;
    set_num_threads(if d.world.size > 1 { 1 } else { 2 });
    let rows = BATCH / d.world.size as i64;
    let module = Sit::module("SiT-B/1", SitConfig { input_size: [16, 16], in_channels: 32, ..SitConfig::named("SiT-B/1")? })?;
    let sit = module.model::<Sit>().expect("built as a SiT");
    let params: Vec<(String, Tensor)> = module.named_parameters().into_iter().filter(|(_, t)| t.requires_grad()).collect();
    let opt = adamw(params, AdamWOptions::default())?;
    let (x, t) = (Tensor::randn(&[rows, 32, 16, 16], DType::Float, Device::Cpu)?, Tensor::rand(&[rows], DType::Float, Device::Cpu)?);
    let (y, target) = (Tensor::randint(0, 1000, &[rows], Device::Cpu)?, x.randn_like()?);
    let step = || -> Result<()> {
        opt.zero_grad()?;
        let out = sit.forward_features(&x, &t, &y, &LabelDrop::Auto)?;
        let none = Tensor::zeros(&[], DType::Float, Device::Cpu)?;
        let projected = out.projected.iter().try_fold(none, |s, p| s.add(&p.square()?.mean(&[], false)?))?;
        let loss = out.velocity.sub(&target)?.square()?.mean(&[], false)?.add(&projected)?;
        if role == "after" {
            loss.backward()?
        } else {
            opt.backward(&loss)?
        }
        clip_grad_norm(&module.trainable(), 1.0)?;
        opt.step()
    };
    step()?;
    step()?;
    let start = Instant::now();
    (0..STEPS).try_for_each(|_| step())?;
    println!("{}", start.elapsed().as_secs_f64() / STEPS as f64);
    dist::leave();
    Ok(())
}
