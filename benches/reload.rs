//! Hot reload: `cargo bench --bench reload`.
//!
//! Reload: a script of 500 lines and five modules of 100, one of them edited each time; parsing, checks and swap, in this process.
//! Latency: from the save of a file to the first step that runs it, in a `lathe run --watch` whose steps take 10 ms; the edit is on disk
//! in the run folder by then. Attach: from a line that is sent to a running job to its answer, and what the loop pays while nobody is
//! there. Overhead: what the fit loop and a scripted step cost beside the tensors' own work, and what our hooks add to the language's own loop.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a program of its own, which prints figures"
)]

use lathe::script::rhai::Map;
use lathe::script::{Engine, EngineOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

fn main() -> lathe::error::Result<()> {
    let dir = tempfile::tempdir().expect("a temporary folder");
    reload(dir.path())?;
    latency(dir.path());
    attach(dir.path())?;
    hooks()?;
    overhead(dir.path())
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).expect("a file");
}

fn median(mut times: Vec<Duration>) -> (f64, f64) {
    times.sort();
    (times[times.len() / 2].as_secs_f64() * 1e3, times[times.len() - 1].as_secs_f64() * 1e3)
}

/// Functions as they are in scripts: doc comments, maps, branches, loops, tensors.
fn filler(lines: usize, name: &str) -> String {
    let mut text = String::new();
    let mut i = 0;
    while text.lines().count() < lines {
        text.push_str(&format!(
            "/// Function {i}.\nfn {name}_{i}(x, cfg) {{\n    let a = x * {i} + cfg.dim;\n    let b = #{{ k: a, v: [a, x, {i}], name: \"n{i}\" }};\n    if b.k > 10 && b.v.len() == 3 {{\n        for j in 0..3 {{ a += b.v[j] * 2; }}\n    }} else {{\n        a = torch::zeros([2, {i}]).sum().item() + a;\n    }}\n    a\n}}\n"
        ));
        i += 1;
    }
    text
}

fn reload(dir: &Path) -> lathe::error::Result<()> {
    let imports: String = (0..5).map(|m| format!("import \"./m{m}\" as m{m};\n")).collect();
    for m in 0..5 {
        write(&dir.join(format!("m{m}.rhai")), &filler(100, &format!("g{m}")));
    }
    let path = dir.join("big.rhai");
    let text = |k: i64| format!("{imports}const K = {k};\n{}fn main(cfg) {{ m4::g4_0(1, #{{dim: global::K}}) }}\n", filler(490, "f"));
    write(&path, &text(0));
    let engine = Engine::new(EngineOptions::default());
    engine.load(&path)?;
    let mut times = Vec::new();
    for k in 1..=50 {
        write(&path, &text(k));
        let start = Instant::now();
        let reloaded = engine.reload()?;
        times.push(start.elapsed());
        assert_eq!(reloaded.changed.len(), 1, "the edit was seen");
    }
    let (half, most) = median(times);
    println!("reload of {} lines and 5 modules of 100 (50 times): median {half:.1} ms, most {most:.1} ms", text(0).lines().count());
    Ok(())
}

fn latency(dir: &Path) {
    let text = |v: u32| {
        format!(
            "import \"./m0\" as m0;\nfn params() {{ #{{ output_dir: \"exps\", exp_name: \"try1\", seed: 1 }} }}\nfn main(cfg) {{\n    let run = train::run(cfg);\n    train::fit(run, (), \"step\", #{{steps: 1_000_000, log_every: 0, save_every: 0}});\n}}\nfn step(run, batch) {{\n    print({v});\n    sleep(0.01);\n    #{{loss: 0.0}}\n}}\n{}",
            filler(400, "f")
        )
    };
    let path = dir.join("train.rhai");
    write(&path, &text(0));
    let mut child = Command::new(env!("CARGO_BIN_EXE_lathe"))
        .args(["run", "train.rhai", "--watch", "--device", "cpu", "--threads", "1"])
        .current_dir(dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the lathe binary");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
    let mut times = Vec::new();
    let mut seen = |v: u32| lines.by_ref().any(|l| l == v.to_string());
    assert!(seen(0), "the first step");
    for v in 1..=20 {
        std::thread::sleep(Duration::from_millis(200 + 7 * u64::from(v)));
        let start = Instant::now();
        if v % 2 == 0 {
            write(&path, &text(v));
        } else {
            write(&dir.join("train.rhai.new"), &text(v));
            std::fs::rename(dir.join("train.rhai.new"), &path).expect("a file");
        }
        assert!(seen(v), "version {v}");
        times.push(start.elapsed());
    }
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    let (half, most) = median(times);
    println!("save to new behaviour, steps of 10 ms (20 edits, in place and by rename): median {half:.0} ms, most {most:.0} ms");
}

/// The bound that an answer must keep: one step of 10 ms, and 20 ms.
const STEP_MS: f64 = 10.0;

fn attach(dir: &Path) -> lathe::error::Result<()> {
    let script = "fn params() { #{ output_dir: \"exps\", exp_name: \"attach\", seed: 1 } }\nfn main(cfg) {\n    let run = train::run(cfg);\n    run.track(\"net\", nn::linear(4, 4));\n    train::fit(run, (), \"step\", #{steps: 1_000_000, log_every: 0, save_every: 0});\n}\nfn step(run, batch) {\n    sleep(0.01);\n    #{loss: 0.0}\n}\n";
    write(&dir.join("attach.rhai"), script);
    let lathe = |args: &[&str]| {
        let mut c = Command::new(env!("CARGO_BIN_EXE_lathe"));
        c.args(args).current_dir(dir).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        c
    };
    let mut child = lathe(&["run", "attach.rhai", "--device", "cpu", "--threads", "1"]).spawn().expect("the lathe binary");
    let run = dir.join("exps/attach");
    while lathe::train::attach::connect(&run).is_err() {
        std::thread::sleep(Duration::from_millis(10));
    }
    // The first answer waits for `main` to come to its loop.
    answer(&run);
    let wait = |i: u64| std::thread::sleep(Duration::from_millis(50 + 7 * i));
    let lines: Vec<Duration> = (0..20).map(|i| (wait(i), answer(&run)).1).collect();
    let timed = |args: &[&str], want: &str| {
        let start = Instant::now();
        let out = lathe(args).output().expect("the lathe binary");
        assert!(out.status.success() && String::from_utf8_lossy(&out.stdout).contains(want), "{args:?}");
        start.elapsed()
    };
    let commands: Vec<Duration> = (0..20).map(|i| (wait(i), timed(&["attach", "exps/attach", "-e", "1+1"], "2")).1).collect();
    let starts: Vec<Duration> = (0..20).map(|_| timed(&["--version"], "lathe")).collect();
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    let ((half, most), (start, _)) = (median(lines), median(starts));
    println!("attach, `1+1` beside steps of {STEP_MS} ms (20 times): median {half:.1} ms, most {most:.1} ms; the bound is {:.0} ms", STEP_MS + 20.0);
    let (half, most) = median(commands);
    println!(
        "the whole command `lathe attach RUN -e '1+1'`: median {half:.0} ms, most {most:.0} ms, of which a process takes {start:.0} ms to start"
    );
    // What a step pays while nobody is attached.
    let server = lathe::train::attach::Server::start(dir)?;
    let start = Instant::now();
    let looks = 10_000_000;
    let seen = (0..looks).filter(|_| std::hint::black_box(&server).has_events()).count();
    assert_eq!(seen, 0);
    println!("a look for attached prompts: {:.1} ns a step", start.elapsed().as_secs_f64() / f64::from(looks) * 1e9);
    Ok(())
}

/// Asks a run for `1+1` as `lathe attach` does, and says how long the answer took.
fn answer(run: &Path) -> Duration {
    use lathe::script::prompt::attached::{Call, Got, Reply, Want};
    let start = Instant::now();
    let mut stream = lathe::train::attach::connect(run).expect("the run listens");
    let want = Want::Eval { text: "1+1".into(), mode: lathe::script::prompt::answer::Mode::Plain, color: false, seconds: 60 };
    let line = serde_json::to_string(&Call { id: 1, want }).expect("JSON");
    writeln!(stream, "{line}").expect("the run reads");
    for line in BufReader::new(stream).lines().map_while(Result::ok) {
        if let Got::Answer(a) = serde_json::from_str::<Reply>(&line).expect("a reply").got {
            assert_eq!(a.shown.as_deref(), Some("2"));
            return start.elapsed();
        }
    }
    panic!("the run gave no answer");
}

/// An empty loop in our engine, beside the same one in the language's own engine without what lets it be stopped and limited.
fn hooks() -> lathe::error::Result<()> {
    use lathe::script::rhai;
    const TURNS: f64 = 1e6;
    let text = "let i = 0; while i < 1_000_000 { i += 1; } i";
    let engine = Engine::new(EngineOptions::default());
    let mut bare = rhai::Engine::new();
    bare.set_optimization_level(rhai::OptimizationLevel::None);
    let ast = bare.compile(text).expect("a script");
    let (mut own, mut theirs) = (f64::MAX, f64::MAX);
    for _ in 0..5 {
        let start = Instant::now();
        assert_eq!(engine.eval(text)?.as_int(), Ok(1_000_000));
        own = own.min(start.elapsed().as_secs_f64());
        let start = Instant::now();
        assert_eq!(bare.eval_ast::<i64>(&ast).ok(), Some(1_000_000));
        theirs = theirs.min(start.elapsed().as_secs_f64());
    }
    let ns = |s: f64| s / TURNS * 1e9;
    println!("an empty loop: {:.0} ns a turn, {:.0} ns in the bare language ({:+.0} %)", ns(own), ns(theirs), (own / theirs - 1.0) * 100.0);
    Ok(())
}

/// Steps without tensors, and the scripted calls of a step on tensors so small that nothing else counts.
fn overhead(dir: &Path) -> lathe::error::Result<()> {
    let script = |body: &str| {
        format!(
            "fn main(cfg) {{\n    let run = train::run(#{{ output_dir: cfg.dir, exp_name: cfg.name, seed: 1 }});\n    run.set(\"x\", torch::ones([1]));\n    train::fit(run, (), \"step\", #{{steps: cfg.steps, log_every: 0, save_every: 0}});\n}}\nfn step(run, batch) {{\n    {body}\n    #{{loss: 0.0}}\n}}\n"
        )
    };
    let timed = |name: &str, body: &str, steps: i64| -> lathe::error::Result<f64> {
        let engine = Engine::new(EngineOptions::default());
        engine.load_text("bench.rhai", &script(body))?;
        let mut cfg = Map::new();
        cfg.insert("dir".into(), dir.join("overhead").display().to_string().into());
        cfg.insert("name".into(), name.to_owned().into());
        cfg.insert("steps".into(), steps.into());
        let start = Instant::now();
        let _ = engine.run(cfg)?;
        Ok(start.elapsed().as_secs_f64() / steps as f64 * 1e6)
    };
    let empty = timed("empty", "", 20_000)?;
    println!("fit loop and an empty scripted step: {empty:.0} us a step");
    let many = timed("many", "let x = run.x; let i = 0; while i < 400 { x = x.neg(); x = x + 1; i += 1; }", 500)? - empty;
    let direct = {
        let mut x = lathe::torch::Tensor::from_slice(&[1.0_f32])?;
        let start = Instant::now();
        for _ in 0..500 * 400 {
            x = x.neg()?.add(1)?;
        }
        start.elapsed().as_secs_f64() / 500.0 * 1e6
    };
    println!("800 scripted operators: {many:.0} us, {:.0} us more than from Rust ({direct:.0} us)", many - direct);
    Ok(())
}
