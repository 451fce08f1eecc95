//! What the script costs in a training step of SiT-B/1: `cargo bench --bench step`.
//!
//! The step is `step` of scripts/train_ldm.rhai itself, with alignment, on a batch of 8 latents that is in memory. Everything that a
//! script calls is clocked; what calls back into the script counts as script, and so does all that is no work on tensors (settings, maps,
//! the run). The overhead is what is left of the step: on a model so small that the machine is quiet, and on SiT-B/1.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a program of its own, which prints figures"
)]

use lathe::script::rhai::{Dynamic, Map};
use lathe::script::{ApiFn, Engine, EngineOptions, Receiver, on_big_stack};
use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Namespaces and types whose functions are work on tensors.
const SPACES: &[&str] = &["torch", "F", "nn", "optim", "models"];
const TYPES: &[&str] = &["Tensor", "Module", "Optimizer", "Ema", "GradScaler"];

#[derive(Default)]
struct Clock {
    /// Calls under way, the innermost last: whether each has called back into the script.
    under_way: Vec<bool>,
    work: Duration,
    calls: u64,
}

thread_local! {
    static CLOCK: RefCell<Clock> = RefCell::default();
}

fn main() -> lathe::error::Result<()> {
    on_big_stack(measure)?
}

fn measure() -> lathe::error::Result<()> {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let tiny = "#{ depth: 2, hidden: 32, heads: 2, patch: 1, projector_dim: 32 }";
    let small = run(dir.path(), "tiny", &format!("{tiny} + #{{ input_size: 4 }}"), 16, 200)?;
    let large = run(dir.path(), "large", "#{ name: \"SiT-B/1\", input_size: 16 }", 256, 3)?;
    let ms = |d: Duration| d.as_secs_f64() * 1e3;
    println!("train_ldm's step, batch 8, threads {}; {} calls from the script", lathe::torch::num_threads(), small.calls);
    println!("  tiny denoiser   {:8.3} ms a step, of which outside of work on tensors {:.3} ms", ms(small.step), ms(small.outside));
    println!("  SiT-B/1         {:8.0} ms a step, of which outside of work on tensors {:.3} ms", ms(large.step), ms(large.outside));
    let share = |outside: Duration| 100.0 * outside.as_secs_f64() / large.step.as_secs_f64();
    println!("scripted overhead of a SiT-B/1 step: {:.4} % by the tiny one, {:.4} % by its own", share(small.outside), share(large.outside));
    Ok(())
}

struct Measured {
    step: Duration,
    outside: Duration,
    calls: u64,
}

/// The median step of a denoiser with `tokens` tokens.
fn run(dir: &Path, name: &str, sit: &str, tokens: i64, steps: usize) -> lathe::error::Result<Measured> {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
    let text = std::fs::read_to_string(scripts.join("train_ldm.rhai")).expect("the script");
    std::fs::write(dir.join("train_ldm.rhai"), text).expect("a file");
    let side = (tokens as f64).sqrt() as i64;
    let main = format!(
        "import \"./train_ldm\" as ldm;\nimport \"std/denoisers\" as denoisers;\nfn main(cfg) {{ }}\n\
         fn begin(cfg) {{\n    let run = train::run(cfg);\n    ldm::begin(run, denoisers::of_sit(models::sit(#{{ in_channels: 32, num_classes: 1000, z_dims: [768], encoder_depth: 2 }} + {sit})), ());\n    run\n}}\n\
         fn batch() {{\n    let shape = [8, 32, {side}, {side}];\n    #{{ mean: torch::randn(shape), std: torch::ones(shape), labels: torch::randint(0, 1000, [8]), features: [torch::randn([8, {tokens}, 768])] }}\n}}\n\
         fn step(run, batch) {{ ldm::step(run, batch) }}\n"
    );
    std::fs::write(dir.join("bench.rhai"), main).expect("a file");
    let plain = Engine::new(EngineOptions::default());
    plain.load(scripts.join("train_ldm.rhai"))?;
    let mut cfg: Map = plain.params()?.defaults().map();
    cfg.insert("output_dir".into(), dir.display().to_string().into());
    cfg.insert("exp_name".into(), name.to_owned().into());

    let mut engine = Engine::new(EngineOptions::default());
    let functions: Vec<ApiFn> = engine.functions().iter().cloned().map(clocked).collect();
    engine.register(functions);
    engine.load(dir.join("bench.rhai"))?;
    let run = engine.call("begin", vec![cfg.into()])?;
    let batch = engine.call("batch", vec![])?;
    let step = || engine.call("step", vec![run.clone(), batch.clone()]);
    let log: Dynamic = step()?;
    assert!(log.read_lock::<Map>().is_some_and(|m| m.contains_key("proj") && m.contains_key("loss")), "it aligns and trains");
    let mut all: Vec<(Duration, Duration, u64)> = Vec::new();
    for _ in 0..steps {
        CLOCK.take();
        let start = Instant::now();
        let _ = step()?;
        let time = start.elapsed();
        let clock = CLOCK.take();
        all.push((time, time.saturating_sub(clock.work), clock.calls));
    }
    let median = |pick: &dyn Fn(&(Duration, Duration, u64)) -> Duration| {
        let mut times: Vec<Duration> = all.iter().map(pick).collect();
        times.sort();
        times[times.len() / 2]
    };
    Ok(Measured { step: median(&|t| t.0), outside: median(&|t| t.1), calls: all[0].2 })
}

/// The same function, with its time on the clock.
fn clocked(f: ApiFn) -> ApiFn {
    let is_work = match f.receiver {
        Receiver::Namespace(ns) => SPACES.contains(&ns),
        Receiver::Method(ty, ..) => TYPES.contains(&ty),
        Receiver::Model(..) => true,
        Receiver::Global => false,
    };
    let inner = f.call.clone();
    let call = move |made: lathe::script::Call, args| {
        CLOCK.with_borrow_mut(|c| {
            c.under_way.last_mut().into_iter().for_each(|outer| *outer = true);
            c.under_way.push(false);
            c.calls += 1;
        });
        let start = Instant::now();
        let result = inner(made, args);
        let time = start.elapsed();
        CLOCK.with_borrow_mut(|c| {
            let called_back = c.under_way.pop().unwrap_or(false);
            if is_work && !called_back {
                c.work += time;
            }
        });
        result
    };
    ApiFn { call: Rc::new(call), ..f }
}
