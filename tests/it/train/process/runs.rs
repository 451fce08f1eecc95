//! Training by the `lathe` binary: real processes, real signals, the same numbers as if nothing had happened.

use crate::support::process::{Place, signal, until};
use crate::support::{Dice, avatars, files, metrics, name, saved, text};
use serde_json::Value;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// A small network, an optimizer, an average and noise; checkpoints are large enough that a kill often falls into one.
const SCRIPT: &str = r#"
fn params() {
    #{
        output_dir: "", exp_name: "try1", seed: 3, max_train_steps: 60, save_every: 3, log_every: 4, sample_every: 10, keep: 0,
        pictures: "", ballast: 500_000, spin: 2000,
    }
}

fn main(cfg) {
    let shards = `${cfg.output_dir}/shards`;
    data::preprocess(cfg.pictures, shards, #{resolution: 16, max_images: 44});
    let run = train::run(cfg);
    let net = nn::sequential([nn::linear(768, 16), nn::linear(16, 1)]);
    run.track("net", net);
    run.track("opt", optim::adamw(net, #{lr: 0.01}));
    run.track("ema", optim::ema(net, 0.9));
    run.track("ballast", nn::linear(cfg.ballast, 1));
    run.log(#{parameters: net.count()});
    let loader = data::images(shards).loader(#{batch: 8, shuffle: true, seed: cfg.seed});
    train::fit(run, loader, "step", #{
        steps: cfg.max_train_steps, log_every: cfg.log_every, save_every: cfg.save_every, sample_every: cfg.sample_every, on_sample: "sample",
        keep: cfg.keep,
    });
    print(`done ${run.step}`);
}

fn step(run, batch) {
    let i = 0;
    while i < run.cfg.spin { i += 1; }
    let x = batch.images.float().flatten(1, -1) / 127.5 - 1.0;
    let loss = (run.net.forward(x + 0.1 * x.randn_like()) - batch.labels.float().unsqueeze(1)).abs().mean();
    run.opt.lr = 0.01 / (1 + run.step);
    run.opt.zero_grad();
    loss.backward();
    let norm = optim::clip_grad_norm(run.net, 1.0);
    run.opt.step();
    run.ema.update();
    #{loss: loss, grad_norm: norm}
}

fn sample(run, batch) {
    run.image("noise", torch::rand([4, 3, 16, 16]));
    run.log(#{noise: torch::randn([1]), first: batch.index.select(0, 0)});
}
"#;

struct Runs(Place);

impl Runs {
    fn new() -> Self {
        Runs(Place::new(&[("train.rhai", SCRIPT)]))
    }

    fn run_dir(&self, name: &str) -> PathBuf {
        self.0.path("exps").join(name)
    }

    fn command(&self, name: &str, flags: &[&str]) -> Command {
        let mut c = self.0.command(&["run", "train.rhai", "--device", "cpu", "--threads", "1", "--exp-name", name]);
        c.arg("--output-dir").arg(self.0.path("exps")).arg("--pictures").arg(avatars()).args(flags);
        c
    }

    fn run(&self, name: &str, flags: &[&str]) -> Output {
        self.command(name, flags).output().unwrap()
    }

    fn start(&self, name: &str, flags: &[&str]) -> Child {
        self.command(name, flags).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// The log without times, line by line.
    fn log(&self, name: &str) -> Vec<String> {
        metrics(&self.run_dir(name)).iter().map(Value::to_string).collect()
    }

    /// The bytes of what a checkpoint holds.
    fn checkpoint(&self, name: &str, step: u64) -> Vec<(String, Vec<u8>)> {
        let dir = self.run_dir(name).join("checkpoints").join(format!("{step:07}"));
        ["net", "opt", "ema", "_rng", "_window"]
            .iter()
            .map(|f| ((*f).to_owned(), std::fs::read(dir.join(format!("{f}.safetensors"))).unwrap_or_default()))
            .collect()
    }

    fn steps_saved(&self, name: &str) -> Vec<u64> {
        saved(&self.run_dir(name))
    }
}

fn ok(out: &Output) -> String {
    let err = text(&out.stderr);
    assert!(out.status.success(), "{:?}\n{err}", out.status);
    err
}

#[test]
fn killed_again_and_again_the_numbers_are_those_of_an_uninterrupted_run() {
    let place = Runs::new();
    let said = ok(&place.run("whole", &[]));
    assert!(said.contains("  whole  step 60/60  "), "{said}");
    let want = place.log("whole");
    assert_eq!(want.len(), 1 + 16 + 6, "{want:#?}");
    let mut dice = Dice(7);
    let mut kills = 0;
    let mut last = 0;
    loop {
        let mut child = place.start("killed", &[]);
        // Kill after a few more checkpoints, at any moment: in a step, in the middle of a checkpoint, while it starts.
        let more = dice.roll(4);
        let target = last + 3 * more;
        let mut over = false;
        until("progress", 60, || {
            over = child.try_wait().unwrap().is_some();
            over || place.steps_saved("killed").last().copied().unwrap_or(0) >= target
        });
        std::thread::sleep(Duration::from_millis(dice.roll(40)));
        if !over {
            signal(&child, "-KILL");
        }
        let status = child.wait().unwrap();
        last = place.steps_saved("killed").last().copied().unwrap_or(0);
        if status.success() || last >= 54 {
            break;
        }
        kills += 1;
    }
    assert!(kills >= 5, "only {kills} kills");
    let said = ok(&place.run("killed", &[]));
    assert!(said.contains("goes on at step") || said.contains("is finished"), "{said}");
    assert_eq!(place.log("killed"), want, "after {kills} kills");
    assert_eq!(place.checkpoint("killed", 60), place.checkpoint("whole", 60));
    assert!(!place.checkpoint("whole", 60)[1].1.is_empty(), "the optimizer has a state");
    let left = files(&place.run_dir("killed").join("checkpoints"));
    assert!(left.iter().all(|f| !name(f).starts_with('.')), "nothing half-written is left: {left:?}");
    // A third start finds nothing to do.
    let out = place.run("killed", &[]);
    assert!(ok(&out).contains("killed  is finished: 60 of 60 steps are done"));
    assert_eq!((text(&out.stdout), place.log("killed")), ("done 60\n".to_owned(), want));
}

#[test]
fn signals_finish_the_step_and_save() {
    let place = Runs::new();
    for name in ["INT", "TERM"] {
        let mut child = place.start(name, &["--max-train-steps", "100000"]);
        until("a checkpoint", 60, || !place.steps_saved(name).is_empty());
        signal(&child, &format!("-{name}"));
        let status = child.wait().unwrap();
        assert_eq!(status.code(), Some(130), "{name}");
        let saved = *place.steps_saved(name).last().unwrap();
        let status: Value = serde_json::from_slice(&std::fs::read(place.run_dir(name).join("run.json")).unwrap()).unwrap();
        assert_eq!((&status["state"], status["step"].as_u64()), (&"stopped".into(), Some(saved)));
        // It goes on from exactly there, and the log is whole.
        let more = (saved + 8).to_string();
        let out = place.run(name, &["--max-train-steps", &more]);
        assert!(ok(&out).contains(&format!("goes on at step {saved}")), "{}", text(&out.stderr));
        let whole = place.run("whole", &["--max-train-steps", &more]);
        ok(&whole);
        let (a, b) = (place.log(name), place.log("whole"));
        assert_eq!(a[..a.len() - 3], b[..a.len() - 3]);
        std::fs::remove_dir_all(place.0.path("exps")).unwrap();
    }
}

#[test]
fn two_processes_cannot_write_one_run() {
    let place = Runs::new();
    let mut first = place.start("try1", &["--max-train-steps", "100000", "--keep", "2"]);
    until("a checkpoint", 60, || !place.steps_saved("try1").is_empty());
    let out = place.run("try1", &[]);
    let said = text(&out.stderr);
    assert_eq!(out.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("error[E0601]: process {} works on the run", first.id())), "{said}");
    assert_eq!(table(&place)[0]["state"], "running");
    signal(&first, "-KILL");
    first.wait().unwrap();
    assert_eq!(table(&place)[0]["state"], "killed");
    assert!(place.steps_saved("try1").len() <= 3, "two are kept, one may be new");
    // The dead process holds nothing.
    let step = *place.steps_saved("try1").last().unwrap() + 1;
    ok(&place.run("try1", &["--max-train-steps", &step.to_string()]));
    let rows = table(&place);
    assert_eq!((&rows[0]["state"], rows[0]["step"].as_u64(), rows[0]["name"].as_str()), (&"finished".into(), Some(step), Some("try1")));
    let shown = place.0.command(&["runs", "exps"]).output().unwrap();
    assert!(text(&shown.stdout).contains("finished") && text(&shown.stdout).starts_with("name "), "{}", text(&shown.stdout));
}

fn table(place: &Runs) -> Value {
    let out = place.0.command(&["runs", "--json", "exps"]).output().unwrap();
    ok(&out);
    serde_json::from_slice(&out.stdout).unwrap()
}

#[test]
fn a_full_disk_harms_nothing() {
    let place = Runs::new();
    ok(&place.run("full", &["--max-train-steps", "6", "--ballast", "200000"]));
    let before = place.checkpoint("full", 6);
    // No file may grow beyond 400 kB now; the ballast alone is 800 kB. Every write fails as on a full disk, with EFBIG.
    let mut limited = Command::new("sh");
    limited.arg("-c").arg("trap '' XFSZ; ulimit -f 800; exec \"$@\"").arg("sh");
    let plain = place.command("full", &["--ballast", "200000"]);
    let out = limited.arg(plain.get_program()).args(plain.get_args()).current_dir(place.0.folder()).output().unwrap();
    let said = text(&out.stderr);
    assert_eq!(out.status.code(), Some(1), "{said}");
    assert!(said.contains("the checkpoint was not written: cannot write") && said.contains("the last good checkpoint is untouched"), "{said}");
    assert_eq!((place.steps_saved("full"), place.checkpoint("full", 6)), (vec![3, 6], before));
    assert_eq!(files(&place.run_dir("full").join("checkpoints")).len(), 2, "nothing half-written takes the room");
    // With room again, the same command goes on.
    assert!(ok(&place.run("full", &["--max-train-steps", "9", "--ballast", "200000"])).contains("goes on at step 6"));
    assert_eq!(place.steps_saved("full"), [3, 6, 9]);
}

#[test]
fn a_batch_behind_a_loss_that_is_not_finite_can_be_opened() {
    let place = Runs::new();
    let script = place.0.path("train.rhai");
    std::fs::write(&script, SCRIPT.replace("#{loss: loss, grad_norm", "if run.step == 13 { loss = loss * 0.0 / 0.0; }\n    #{loss: loss, grad_norm"))
        .unwrap();
    let out = place.run("nan", &["--ballast", "10"]);
    let said = text(&out.stderr);
    assert_eq!(out.status.code(), Some(1), "{said}");
    assert!(said.contains("error[E0601]: `loss` is NaN at step 14 of `nan`") && said.contains("the last checkpoint is of step 12"), "{said}");
    // The command from the message.
    let from = said.find("`let batch = io::load(").unwrap() + 1;
    let command = &said[from..from + said[from..].find('`').unwrap()];
    std::fs::write(&script, format!("{command} print(batch.images.shape); print(batch.index.shape);")).unwrap();
    let out = place.0.command(&["run", "train.rhai"]).output().unwrap();
    assert_eq!(text(&out.stdout), "[8, 3, 16, 16]\n[8]\n", "{}", text(&out.stderr));
}

#[test]
fn the_folder_tells_how_it_was_made() {
    let place = Runs::new();
    ok(&place.run("try1", &["--max-train-steps", "2", "--ballast", "10"]));
    let dir = place.run_dir("try1");
    let read = |name: &str| std::fs::read_to_string(dir.join(name)).unwrap();
    assert!(read("config.toml").contains("ballast = 10  # --ballast\n"), "{}", read("config.toml"));
    assert!(read("command.txt").contains("--max-train-steps 2"));
    assert_eq!(read("sources/train.rhai"), SCRIPT);
    assert!(read("log.txt").contains("try1  step 2/2  ") && read("log.txt").contains("done 2"));
    assert!(read("env.json").contains("\"libtorch\": \"2.11"), "{}", read("env.json"));
    let png = image::open(dir.join("samples/step-0000002-noise.png")).unwrap();
    assert_eq!((png.width(), png.height()), (34, 34));
    assert_eq!(files(&dir).iter().filter(|f| name(f).contains("tfevents")).count(), 1);
    // Other settings are said, another seed is refused, and the run goes on with it by force.
    let out = place.run("try1", &["--max-train-steps", "2", "--ballast", "10", "--spin", "1"]);
    assert!(ok(&out).contains("goes on with other settings:\n  spin: 2000 -> 1"), "{}", text(&out.stderr));
    let out = place.run("try1", &["--seed", "4", "--ballast", "10"]);
    assert_eq!(out.status.code(), Some(1));
    assert!(text(&out.stderr).contains("seed: 3 -> 4"), "{}", text(&out.stderr));
    let out = place.run("try1", &["--ballast", "11"]);
    assert_eq!(out.status.code(), Some(1));
    assert!(text(&out.stderr).contains("weight is [1, 11] here and [1, 10] in the file"), "{}", text(&out.stderr));
    assert!(read("config.toml").contains("ballast = 10"), "refused settings are not written down");
    assert!(dir.join("config.1.toml").exists());
}
