//! What a network costs that is written in Rhai, beside the same network in Rust: `cargo bench --bench scripted`.
//!
//! The network is SiT: `models::sit` of the host, and benches/sit.rhai with the same weights, whose outputs are compared first. Forward,
//! and forward with backward, in turn; the ratio of each pair is taken, and their median.
#![allow(clippy::disallowed_methods, clippy::disallowed_macros, clippy::unwrap_used, reason = "a program of its own, which prints figures")]

use lathe::script::rhai::{Dynamic, Map};
use lathe::script::{Engine, EngineOptions, on_big_stack};
use std::path::Path;
use std::time::Instant;

/// Name, blocks, width, heads, side of the latents, batch, pairs.
const SIZES: &[(&str, i64, i64, i64, i64, i64, usize)] =
    &[("4 blocks of 64, 16 tokens", 4, 64, 4, 4, 8, 101), ("SiT-S/1", 12, 384, 6, 16, 8, 9), ("SiT-B/1", 12, 768, 12, 16, 8, 5)];

fn main() -> lathe::error::Result<()> {
    on_big_stack(measure)?
}

fn measure() -> lathe::error::Result<()> {
    println!("threads {}; the script's seconds, the host's, and the median ratio of pairs (least and most)", lathe::torch::num_threads());
    let engine = Engine::new(EngineOptions::default());
    engine.load(Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/sit.rhai"))?;
    for &(name, depth, hidden, heads, side, batch, pairs) in SIZES {
        let o = engine.call("begin", vec![config(depth, hidden, heads, side).into(), batch.into()])?;
        for (what, own, host) in [("forward", "script_forward", "host_forward"), ("forward and backward", "script_step", "host_step")] {
            let time = |f: &str| {
                let start = Instant::now();
                engine.call(f, vec![o.clone()]).map(|_| start.elapsed().as_secs_f64())
            };
            time(own)?;
            time(host)?;
            let mut all = Vec::new();
            for i in 0..pairs {
                // Who comes first changes from pair to pair.
                let (a, b) = if i % 2 == 0 {
                    (time(own)?, time(host)?)
                } else {
                    let b = time(host)?;
                    (time(own)?, b)
                };
                all.push((a / b, a, b));
            }
            all.sort_by(|a, b| a.0.total_cmp(&b.0));
            let least = |pick: fn(&(f64, f64, f64)) -> f64| all.iter().map(pick).fold(f64::MAX, f64::min);
            let (first, mid, last) = (all[0].0, all[pairs / 2].0, all[pairs - 1].0);
            println!("{name:26} {what:22} {:9.5} {:9.5} {mid:6.3} ({first:.2} to {last:.2})", least(|p| p.1), least(|p| p.2));
        }
    }
    Ok(())
}

/// The settings of both networks.
fn config(depth: i64, hidden: i64, heads: i64, side: i64) -> Map {
    let map = |pairs: &[(&str, i64)]| -> Map { pairs.iter().map(|&(k, v)| (k.into(), Dynamic::from(v))).collect() };
    let mut both = map(&[("depth", depth), ("hidden", hidden), ("heads", heads), ("patch", 1), ("input_size", side), ("in_channels", 32)]);
    both.extend(map(&[("num_classes", 1000), ("projector_dim", 2048), ("encoder_depth", depth / 2)]));
    let (mut host, mut script) = (both.clone(), both);
    host.insert("z_dims".into(), Dynamic::from_array(vec![768_i64.into()]));
    script.insert("z_dim".into(), 768_i64.into());
    [("host".into(), host.into()), ("script".into(), script.into())].into_iter().collect()
}
