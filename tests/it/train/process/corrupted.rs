//! The newest checkpoint is damaged, in every way: the one before is taken, and that is said in one line with the reason. And clocks that jump.

use crate::support::process::{Place, ok, said, until};
use crate::support::{files, metrics, saved};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const TRAIN: &str = r#"
fn params() { #{ output_dir: "exps", exp_name: "try1", seed: 3, max_train_steps: 6, wait: 0 } }
fn main(cfg) {
    let run = train::run(cfg);
    let net = nn::linear(4, 2);
    run.track("net", net);
    run.track("opt", optim::adamw(net, #{lr: 0.1}));
    train::fit(run, (), "step", #{steps: cfg.max_train_steps, log_every: 1, save_every: 2});
}
fn step(run, batch) {
    sleep(run.cfg.wait / 1000.0);
    let loss = run.net.forward(torch::randn([8, 4])).square().mean();
    run.opt.zero_grad();
    loss.backward();
    run.opt.step();
    #{loss: loss, mark: mark()}
}
fn mark() { 1 }
"#;

struct Runs(Place);

impl Runs {
    fn new() -> Self {
        let r = Runs(Place::new(&[
            ("train.rhai", TRAIN),
            ("look.rhai", "fn params() { #{ exp_path: \"\" } }\nfn main(cfg) { print(train::checkpoint(cfg.exp_path).step); }"),
        ]));
        ok(&mut r.train(&[]));
        r
    }

    fn train(&self, more: &[&str]) -> Command {
        let mut c = self.0.command(&["run", "train.rhai", "--device", "cpu", "--threads", "1"]);
        c.args(more);
        c
    }

    fn checkpoint(&self, step: u64) -> PathBuf {
        self.0.path(&format!("exps/try1/checkpoints/{step:07}"))
    }

    /// What the last checkpoint holds.
    fn weights(&self) -> Vec<Vec<u8>> {
        ["net", "opt", "_rng"].iter().map(|f| std::fs::read(self.checkpoint(6).join(format!("{f}.safetensors"))).unwrap()).collect()
    }

    fn log(&self) -> Vec<String> {
        metrics(&self.0.path("exps/try1")).iter().map(Value::to_string).collect()
    }
}

fn change(path: &Path, how: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).unwrap();
    how(&mut bytes);
    std::fs::write(path, bytes).unwrap();
}

type Damage = (&'static str, fn(&Path), &'static str);

/// What happens to a checkpoint's folder, and what is said of it.
const DAMAGES: &[Damage] = &[
    ("truncated", |c| change(&c.join("net.safetensors"), |b| b.truncate(b.len() - 3)), "net.safetensors`: has "),
    ("a flipped bit", |c| change(&c.join("opt.safetensors"), |b| *b.last_mut().unwrap() ^= 1), "opt.safetensors`: was altered: its checksum differs"),
    ("an empty file", |c| change(&c.join("net.safetensors"), Vec::clear), "net.safetensors`: has 0 bytes and should have "),
    ("a missing file", |c| std::fs::remove_file(c.join("net.safetensors")).unwrap(), "net.safetensors`"),
    ("no state", |c| std::fs::remove_file(c.join("state.json")).unwrap(), "state.json`"),
    ("half a state", |c| change(&c.join("state.json"), |b| b.truncate(b.len() / 2)), "state.json`: is cut off or altered"),
    ("an empty state", |c| change(&c.join("state.json"), Vec::clear), "state.json`: is cut off or altered"),
    ("another JSON", |c| change(&c.join("state.json"), |b| *b = b"[1, 2]".to_vec()), "state.json`: is cut off or altered"),
    (
        "impossible steps",
        |c| {
            change(&c.join("state.json"), |b| {
                let mut state: Value = serde_json::from_slice(b).unwrap();
                state["step"] = u64::MAX.into();
                *b = state.to_string().into_bytes();
            });
        },
        "state.json`: was altered: no run has done 18446744073709551615 steps",
    ),
    (
        "a part outside",
        |c| change(&c.join("state.json"), |b| *b = String::from_utf8_lossy(b).replace("\"net\"", "\"../../net\"").into_bytes()),
        "would lie outside of the folder",
    ),
    (
        "a pipe",
        |c| {
            std::fs::remove_file(c.join("state.json")).unwrap();
            assert!(Command::new("mkfifo").arg(c.join("state.json")).status().unwrap().success());
        },
        "state.json`: is no plain file",
    ),
    (
        "a pipe for weights",
        |c| {
            std::fs::remove_file(c.join("net.safetensors")).unwrap();
            assert!(Command::new("mkfifo").arg(c.join("net.safetensors")).status().unwrap().success());
        },
        "net.safetensors`: has 0 bytes and should have ",
    ),
];

/// The lines that speak of a damaged checkpoint.
fn warnings(out: &Output) -> Vec<String> {
    said(out).lines().filter(|l| l.contains("damaged checkpoint")).map(str::to_owned).collect()
}

#[test]
fn a_corrupted_newest_checkpoint_is_passed_over_with_its_reason() {
    let r = Runs::new();
    let (want, weights) = (r.log(), r.weights());
    for (what, damage, reason) in DAMAGES {
        damage(&r.checkpoint(6));
        // Whoever looks at the run takes the one before as well.
        for args in [&["run", "look.rhai", "--exp-path", "exps/try1"][..], &["repl", "--load", "exps/try1", "-e", "ckpt.step"]] {
            let out = r.0.command(args).output().unwrap();
            let lines = warnings(&out);
            assert!(out.status.success() && crate::support::text(&out.stdout).lines().any(|l| l == "4"), "{what}: {}", said(&out));
            assert!(lines.len() == 1 && lines[0].contains("skipping a damaged checkpoint") && lines[0].contains(reason), "{what}: {lines:?}");
        }
        let out = r.train(&[]).output().unwrap();
        let lines = warnings(&out);
        assert!(out.status.success() && said(&out).contains("goes on at step 4"), "{what}: {}", said(&out));
        assert!(lines.len() == 1 && lines[0].contains("skipping a damaged checkpoint") && lines[0].contains(reason), "{what}: {lines:?}");
        assert_eq!((r.log(), r.weights()), (want.clone(), weights.clone()), "{what}: the same numbers again");
        assert_eq!(saved(&r.0.path("exps/try1")), [2, 4, 6], "{what}");
    }
}

#[test]
fn where_the_only_checkpoint_is_damaged_nothing_starts_over() {
    let r = Runs::new();
    for step in [2, 4] {
        std::fs::remove_dir_all(r.checkpoint(step)).unwrap();
    }
    change(&r.checkpoint(6).join("net.safetensors"), |b| b.truncate(10));
    for args in [&["run", "train.rhai"][..], &["run", "look.rhai", "--exp-path", "exps/try1"], &["repl", "--load", "exps/try1", "-e", "1"]] {
        let out = r.0.command(args).output().unwrap();
        let all = said(&out);
        assert_eq!(out.status.code(), Some(1), "{all}");
        assert!(all.contains("none of its 1 checkpoints is whole") && all.contains("net.safetensors`: has 10 bytes and should have"), "{all}");
        assert!(all.contains("restore one from a backup, or remove the folder to start over"), "{all}");
    }
    assert_eq!(saved(&r.0.path("exps/try1")), [6], "nothing is removed");
}

#[test]
fn clocks_that_jump_mislead_nobody() {
    let r = Runs::new();
    // Written in the future, and before time began.
    for (name, updated, started) in [("ahead", 4e12, 4e12), ("before", -1e9, -1e9), ("zero", 0.0, 0.0), ("far", 1e300, -1e300)] {
        let mut status: Value = serde_json::from_str(&r.0.read("exps/try1/run.json")).unwrap();
        (status["updated"], status["started"]) = (updated.into(), started.into());
        r.0.write(&format!("exps/{name}/run.json"), &status.to_string());
    }
    let out = ok(&mut r.0.command(&["runs", "exps"]));
    let rows: Vec<&str> = out.lines().map(|l| l.split(' ').next().unwrap()).collect();
    assert_eq!(rows, ["name", "far", "before", "zero", "try1", "ahead"], "by when they were begun:\n{out}");
    assert!(out.lines().any(|l| l.starts_with("ahead") && l.contains(" 0s ")), "nothing is younger than now:\n{out}");
    ok(&mut r.0.command(&["runs", "exps", "--prune"]));
    // Files of any time: a run goes on, and TensorBoard's files stay in order though the clock went back.
    let sh = |command: &str| assert!(Command::new("sh").args(["-ec", command]).current_dir(r.0.folder()).status().unwrap().success(), "{command}");
    sh("find exps -exec touch -h -d '2100-01-01' {} +; touch -d '1960-01-01' train.rhai exps/try1/metrics.jsonl");
    let events = || files(&r.0.path("exps/try1")).into_iter().filter(|p| p.to_string_lossy().contains("tfevents")).collect::<Vec<_>>();
    let old = events().pop().unwrap();
    std::fs::rename(&old, old.with_file_name("events.out.tfevents.4102444800.1.0.lathe")).unwrap();
    assert!(ok(&mut r.train(&["--max-train-steps", "8"])).contains("goes on at step 6"));
    assert_eq!(events().len(), 2);
    let first = |p: &Path| crate::support::name(p).split('.').nth(3).unwrap().parse::<u64>().unwrap();
    assert!(first(&events()[1]) > 4_102_444_800, "the newer file comes later: {:?}", events());
    // A save that has the same time and length as what it replaces is noticed.
    let mut child = r.train(&["--max-train-steps", "100000", "--wait", "10", "--exp-name", "watched", "--watch"]).spawn().unwrap();
    let mark = |n: f64| metrics(&r.0.path("exps/watched")).last().is_some_and(|l| l["mark"].as_f64() == Some(n));
    until("a step", 60, || mark(1.0));
    for (n, time) in [(2, "1960-01-01"), (3, "2100-01-01"), (4, "2100-01-01"), (5, "1970-01-01")] {
        sh(&format!("sed 's/fn mark() {{ .* }}/fn mark() {{ {n} }}/' train.rhai > new; touch -d '{time}' new; mv new train.rhai"));
        until("the edit", 60, || mark(f64::from(n)));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}
