//! A folder with scripts and runs, and a job in it that is edited while it runs.

use crate::support::{files, metrics, name, process, resident};
use serde_json::Value;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output};
use std::time::{Duration, Instant};

/// A loop that is fast, notes which version of each script made each step, and needs random numbers and an optimizer.
pub const TRAIN: &str = r#"import "./a" as a;
import "./lib/b" as b;
const VERSION = 1;

fn params() {
    #{
        output_dir: "exps", exp_name: "try1", seed: 3, steps: 100_000, save_every: 10, log_every: 1, wait: 10,
        lr: arg(0.01, "step size", #{live: true, min: 0.0}),
        factor: arg(1.0, "of the loss", #{live: true}),
        width: 4,
    }
}

fn main(cfg) {
    let run = train::run(cfg);
    let net = nn::linear(4, cfg.width);
    run.track("net", net);
    run.track("opt", optim::adamw(net, #{lr: cfg.lr}));
    train::fit(run, (), "step", #{steps: cfg.steps, log_every: cfg.log_every, save_every: cfg.save_every, keep: 3});
    print(`done ${run.step}`);
}

fn step(run, batch) {
    sleep_ms(run.cfg.wait);
    let x = torch::randn([8, 4]);
    let loss = b::loss(run.net.forward(x), a::target(x)) * run.cfg.factor;
    run.opt.lr = run.cfg.lr;
    run.opt.zero_grad();
    loss.backward();
    run.opt.step();
    #{loss: loss, main: global::VERSION, a: a::version(), b: b::version(), lr: run.cfg.lr}
}

/// Waits so long that a step is no shorter than a real one.
fn sleep_ms(n) { sleep(n / 1000.0); }
"#;

pub const A: &str = "const VERSION = 1;\nfn version() { global::VERSION }\nfn target(x) { x * 2.0 }\n";
pub const B: &str = "const VERSION = 1;\nfn version() { global::VERSION }\nfn loss(y, t) { (y - t).square().mean() }\n";

/// The folder of these scripts.
pub struct Place(process::Place);

impl Deref for Place {
    type Target = process::Place;

    fn deref(&self) -> &process::Place {
        &self.0
    }
}

impl Place {
    pub fn new() -> Self {
        Place(process::Place::new(&[("train.rhai", TRAIN), ("a.rhai", A), ("lib/b.rhai", B)]))
    }

    /// A folder with a script `train.rhai` and what it needs.
    pub fn with(files: &[(&str, &str)]) -> Self {
        Place(process::Place::new(files))
    }

    /// Runs a shell command in the folder: the tools that people edit with.
    pub fn sh(&self, command: &str) {
        let status = Command::new("sh").args(["-ec", command]).current_dir(self.folder()).status().unwrap();
        assert!(status.success(), "{command}");
    }

    pub fn output(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Starts `lathe run train.rhai` with more flags; what it says goes to `said.txt`.
    pub fn start(&self, flags: &[&str]) -> Job<'_> {
        let said = std::fs::OpenOptions::new().create(true).append(true).open(self.path("said.txt")).unwrap();
        let args = [&["run", "train.rhai", "--device", "cpu", "--threads", "1"], flags].concat();
        let child = self.command(&args).stdout(said.try_clone().unwrap()).stderr(said).spawn().unwrap();
        Job { place: self, child }
    }

    /// The logged lines of a run, without the time.
    pub fn log(&self, run: &str) -> Vec<Value> {
        metrics(&self.path("exps").join(run))
    }

    /// The steps of a run, without the lines that mark edits.
    pub fn steps(&self, run: &str) -> Vec<Value> {
        self.log(run).into_iter().filter(|l| l.get("edit").is_none()).collect()
    }

    /// The folders of edits, in order.
    pub fn edits(&self, run: &str) -> Vec<PathBuf> {
        let folder = self.path(&format!("exps/{run}/edits"));
        let all = if folder.exists() { files(&folder) } else { Vec::new() };
        all.into_iter().filter(|p| name(p).starts_with(|c: char| c.is_ascii_digit())).collect()
    }

    /// The record of an edit.
    pub fn edit(&self, folder: &Path) -> Value {
        serde_json::from_slice(&std::fs::read(folder.join("edit.json")).unwrap()).unwrap()
    }
}

/// A job that runs; killed when dropped.
pub struct Job<'a> {
    pub place: &'a Place,
    pub child: Child,
}

impl Job<'_> {
    /// Everything said so far.
    pub fn said(&self) -> String {
        std::fs::read_to_string(self.place.path("said.txt")).unwrap_or_default()
    }

    /// The end of what was said, and every line that is no log line.
    fn said_last(&self) -> String {
        let said = self.said();
        let n = said.lines().count();
        said.lines().enumerate().filter(|(i, l)| i + 10 > n || !l.contains(" it/s ")).map(|(_, l)| format!("{l}\n")).collect()
    }

    /// Waits until `done` says so; the job must live meanwhile.
    pub fn until(&mut self, what: &str, mut done: impl FnMut(&Self) -> bool) {
        let start = Instant::now();
        while !done(self) {
            if let Some(status) = self.child.try_wait().unwrap() {
                // It may have ended just now, with what is waited for.
                assert!(done(self), "ended ({status}) before {what}:\n{}", self.said_last());
                return;
            }
            assert!(start.elapsed() < Duration::from_secs(60), "waited too long for {what}:\n{}", self.said_last());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    pub fn until_said(&mut self, text: &str) {
        self.until(&format!("`{text}`"), |job| job.said().contains(text));
    }

    /// Waits until the last step was made by that version of a script.
    pub fn until_version(&mut self, script: &str, version: u64) {
        let is = |v: &Value| v[script].as_f64() == Some(version as f64);
        self.until(&format!("version {version} of {script}"), |job| job.place.steps("try1").last().is_some_and(is));
    }

    /// Waits for `n` more steps.
    pub fn until_more(&mut self, n: usize) {
        let now = self.place.steps("try1").len();
        self.until("more steps", |job| job.place.steps("try1").len() >= now + n);
    }

    /// Resident memory in bytes.
    pub fn resident(&self) -> u64 {
        resident(&self.child.id().to_string())
    }

    pub fn signal(&self, name: &str) {
        process::signal(&self.child, name);
    }

    /// Ctrl-C, and the end.
    pub fn stop(mut self) -> ExitStatus {
        self.signal("-INT");
        self.child.wait().unwrap()
    }

    pub fn wait(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Job<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
