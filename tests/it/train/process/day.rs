//! A day with runs: which checkpoints stay, going back to one, deaths in the set-up, `lathe runs` and what it removes, what stays on the terminal.

use crate::support::process::{Place, ok, on_terminal, refused, said};
use crate::support::{files, metrics, name, saved, text};
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;

/// A network so small that a step is nothing but its noise.
const TRAIN: &str = r#"
fn params() {
    #{
        output_dir: "exps", exp_name: "try1", seed: 3, max_train_steps: 20, checkpointing_steps: 2, keep_last: 0, keep_every: 0, resume_step: 0,
        fail: "", spin: 0,
    }
}

fn main(cfg) {
    let run = train::run(cfg);
    if cfg.fail != "" { throw cfg.fail; }
    let net = nn::linear(2, 1);
    run.track("net", net);
    run.track("opt", optim::adamw(net, #{lr: 0.01}));
    train::fit(run, (), "step", #{
        steps: cfg.max_train_steps, log_every: 1, save_every: cfg.checkpointing_steps, keep_last: cfg.keep_last, keep_every: cfg.keep_every,
        sample_every: 4, on_sample: "sample",
    });
}

fn step(run, batch) {
    let i = 0;
    while i < run.cfg.spin { i += 1; }
    let loss = run.net.forward(torch::randn([4, 2])).square().mean();
    run.opt.zero_grad();
    loss.backward();
    run.opt.step();
    #{loss: loss}
}

fn sample(run, batch) { run.image("noise", torch::rand([1, 3, 8, 8])); }
"#;

const OWN_LOOP: &str = r#"
fn main(cfg) {
    let run = train::run(#{exp_name: "own"});
    for i in run.resume()..4 {
        run.step = i + 1;
        run.log(#{loss: 0.5 / (i + 1)});
    }
    run.save();
    if io::exists("finish") { run.finish(); }
}
"#;

struct Day(Place);

impl Day {
    fn new() -> Self {
        Day(Place::new(&[("train.rhai", TRAIN), ("own.rhai", OWN_LOOP)]))
    }

    fn command(&self, flags: &[&str]) -> Command {
        let mut c = self.0.command(&["run", "train.rhai", "--device", "cpu", "--threads", "1"]);
        c.args(flags);
        c
    }

    fn run(&self, flags: &[&str]) -> String {
        ok(&mut self.command(flags))
    }

    fn dir(&self, run: &str) -> PathBuf {
        self.0.path("exps").join(run)
    }

    fn log(&self, run: &str) -> Vec<String> {
        metrics(&self.dir(run)).iter().map(Value::to_string).collect()
    }

    /// The table of runs.
    fn table(&self) -> Vec<Value> {
        let out = self.0.command(&["runs", "--json"]).output().unwrap();
        serde_json::from_slice(&out.stdout).unwrap()
    }

    fn row(&self, name: &str) -> Value {
        self.table().into_iter().find(|r| r["name"] == name).unwrap()
    }
}

#[test]
fn checkpoint_retention_keeps_the_newest_and_round_steps() {
    let day = Day::new();
    let all = day.run(&["--keep-last", "2", "--keep-every", "8"]);
    assert_eq!(saved(&day.dir("try1")), [8, 16, 18, 20]);
    let line = "try1  keeps the newest 2 and one every 8 steps of its checkpoints from now on; others are removed";
    assert_eq!(all.matches(line).count(), 1, "said once:\n{all}");
    day.run(&["--exp-name", "all"]);
    assert_eq!(saved(&day.dir("all")).len(), 10);
    // A run that goes on may keep others: no number depends on it.
    let all = day.run(&["--exp-name", "all", "--max-train-steps", "22", "--keep-last", "1"]);
    assert!(!all.contains("other settings"), "{all}");
    assert_eq!(saved(&day.dir("all")), [22]);
}

#[test]
fn resume_from_a_chosen_step_puts_later_ones_aside() {
    let day = Day::new();
    day.run(&[]);
    let want = day.log("try1");
    let pictures = |dir: PathBuf| files(&dir).iter().map(|p| name(p)).collect::<Vec<_>>();
    let drawn = pictures(day.dir("try1").join("samples"));
    let all = day.run(&["--resume-step", "8"]);
    assert!(all.contains("try1  goes back to step 8: 6 later checkpoints are now in exps/try1/superseded/after-0000008/"), "{all}");
    assert!(all.contains("goes on at step 8"), "{all}");
    assert_eq!((day.log("try1"), saved(&day.dir("try1")).len()), (want.clone(), 10), "the same again");
    let aside = day.dir("try1").join("superseded/after-0000008");
    assert_eq!(saved(&aside), [10, 12, 14, 16, 18, 20]);
    assert_eq!(metrics(&aside).len(), want.len(), "their metrics are kept as they were");
    assert_eq!(pictures(aside.join("samples")), drawn[2..], "and the pictures of steps 12, 16 and 20");
    assert_eq!(pictures(day.dir("try1").join("samples")), drawn);
    // After a stop the same command goes on with what it has trained since.
    let all = day.run(&["--resume-step", "8", "--max-train-steps", "24"]);
    assert!(all.contains("try1  went back to step 8 before, and goes on with what it has trained since"), "{all}");
    assert_eq!(*saved(&day.dir("try1")).last().unwrap(), 24);
    assert_eq!(day.log("try1")[..20], want[..]);
    // What was put aside can be opened, and the newest one stays where nothing is later.
    let out = refused(&mut day.command(&["--resume-step", "7"]), &["`exps/try1` holds no checkpoint of step 7", "it has those of steps 2, 4, 6, 8"]);
    assert!(!out.contains("goes back"), "{out}");
    refused(&mut day.command(&["--exp-name", "new", "--resume-step", "7"]), &["it has none"]);
    day.0.write("look.rhai", r#"fn main() { print(train::checkpoint("exps/try1/superseded/after-0000008/checkpoints/0000020").step); }"#);
    assert_eq!(ok(&mut day.0.command(&["run", "look.rhai"])), "20\n");
}

#[test]
fn resume_from_a_chosen_step_takes_back_the_edits_after_it() {
    let day = Day::new();
    day.run(&["--max-train-steps", "10"]);
    day.0.write("train.rhai", &TRAIN.replace("#{loss: loss}", "#{loss: loss, seven: 7}"));
    day.run(&[]);
    assert!(day.dir("try1").join("edits/0001-step-10").is_dir());
    let all = day.run(&["--resume-step", "6"]);
    assert!(all.contains("1 edit is newer than the checkpoint and now in edits/superseded/"), "{all}");
    assert!(day.dir("try1").join("edits/superseded/0001-step-10").is_dir() && day.dir("try1").join("edits/0001-step-6").is_dir());
    let lines = metrics(&day.dir("try1"));
    let marks: Vec<_> = lines.iter().filter(|l| l["edit"].is_number()).map(|l| l["step"].as_u64().unwrap()).collect();
    assert_eq!(marks, [6], "the log has the edit where it is now");
    assert!(lines.iter().all(|l| l["loss"].is_null() || l["seven"].is_number() == (l["step"].as_u64().unwrap() > 6)), "{lines:?}");
    // The record is whole: it can be trained again.
    let all = ok(&mut day.0.command(&["replay", "exps/try1"]));
    assert!(all.contains("bit for bit"), "{all}");
}

#[test]
fn a_death_in_set_up_is_known_with_its_reason() {
    let day = Day::new();
    let out = day.command(&["--fail", "the weights are missing"]).output().unwrap();
    assert_eq!(out.status.code(), Some(1), "{}", said(&out));
    let row = day.row("try1");
    assert_eq!(row["state"], "failed");
    assert!(row["error"].as_str().unwrap().contains("the weights are missing"), "{row}");
    let log = day.0.read("exps/try1/log.txt");
    assert!(log.contains("the weights are missing") && log.contains("train.rhai:11"), "{log}");
    let table = ok(&mut day.0.command(&["runs"]));
    assert!(table.contains("failed") && table.lines().last().unwrap().starts_with("try1: "), "{table}");
    // What fails in a step has its reason there too, once.
    day.0.write("train.rhai", &TRAIN.replace("    #{loss: loss}", "    if run.step == 5 { throw \"oh no\"; }\n    #{loss: loss}"));
    day.command(&["--exp-name", "late"]).output().unwrap();
    assert_eq!(day.0.read("exps/late/log.txt").matches("error[E0501]: oh no").count(), 1);
    // Mended, it is no longer failed.
    day.0.write("train.rhai", TRAIN);
    day.run(&[]);
    assert_eq!((&day.row("try1")["state"], &day.row("try1")["error"]), (&"finished".into(), &Value::Null));
}

#[test]
fn an_own_loop_tells_its_loss() {
    let day = Day::new();
    ok(&mut day.0.command(&["run", "own.rhai"]));
    let row = day.row("own");
    assert_eq!((row["step"].as_u64(), row["loss"].as_f64(), &row["state"]), (Some(4), Some(0.125), &"stopped".into()));
    day.0.write("finish", "");
    ok(&mut day.0.command(&["run", "own.rhai"]));
    assert_eq!(day.row("own")["state"], "finished");
}

#[test]
fn prune_removes_what_left_nothing() {
    let day = Day::new();
    day.run(&["--max-train-steps", "2"]);
    for name in ["dead1", "dead2"] {
        day.command(&["--exp-name", name, "--fail", "oh"]).output().unwrap();
    }
    let names = |day: &Day| day.table().iter().map(|r| r["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    let all = ok(&mut day.0.command(&["runs", "--prune"]));
    for line in ["exps/dead1  failed  no checkpoint, 0 lines of metrics  ", "exps/dead2  ", "nothing is removed: `--yes` removes them"] {
        assert!(all.contains(line), "no `{line}` in\n{all}");
    }
    assert!(!all.contains("try1"), "{all}");
    assert_eq!(names(&day).len(), 3);
    let all = ok(&mut day.0.command(&["runs", "--prune", "--yes"]));
    assert!(all.contains("removed 2 runs ("), "{all}");
    assert_eq!(names(&day), ["try1"]);
    assert!(ok(&mut day.0.command(&["runs", "--prune"])).contains("nothing to remove"));
    assert_eq!(day.0.command(&["runs", "--yes"]).output().unwrap().status.code(), Some(2));
}

#[test]
fn env_json_knows_commit_and_host() {
    let day = Day::new();
    let git = |args: &[&str]| {
        let set = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"];
        let out = Command::new("git").args(set).args(args).current_dir(day.0.folder()).output().unwrap();
        assert!(out.status.success(), "{}", said(&out));
        text(&out.stdout).trim().to_owned()
    };
    let env = |run: &str| -> Value {
        day.run(&["--exp-name", run, "--max-train-steps", "1"]);
        serde_json::from_str(&day.0.read(&format!("exps/{run}/env.json"))).unwrap()
    };
    assert!(env("none")["commit"].is_null(), "no repository");
    git(&["init", "--quiet"]);
    git(&["add", "train.rhai"]);
    git(&["commit", "--quiet", "-m", "one"]);
    let clean = env("clean");
    assert_eq!((clean["commit"].as_str().unwrap(), &clean["dirty"]), (git(&["rev-parse", "HEAD"]).as_str(), &Value::Bool(false)));
    assert!(!clean["host"].as_str().unwrap().is_empty() && clean["gpus"].is_array(), "{clean}");
    day.0.write("train.rhai", &format!("{TRAIN}\n// changed\n"));
    assert_eq!(env("dirty")["dirty"], true);
}

#[test]
fn replay_takes_a_number_of_threads() {
    let day = Day::new();
    day.run(&[]);
    let all = ok(&mut day.0.command(&["replay", "exps/try1", "--threads", "2"]));
    assert!(all.contains("warning: 2 threads instead of 1: the numbers may differ in the last bits"), "{all}");
    assert!(day.0.read("exps/try1-replay/env.json").contains("\"threads\": 2"));
    assert_eq!(day.0.command(&["replay", "exps/try1", "--threads", "0"]).output().unwrap().status.code(), Some(2));
}

#[test]
fn a_finished_training_leaves_its_lines_on_the_terminal() {
    let day = Day::new();
    day.run(&["--max-train-steps", "400", "--checkpointing-steps", "0"]);
    let flags = ["--max-train-steps", "440", "--checkpointing-steps", "0", "--spin", "30000"];
    let mut command = day.command(&flags);
    command.env("TERM", "xterm");
    let all = on_terminal(command).end();
    for line in ["try1  step 401/440  ", "try1  step 440/440  ", "try1  finished: 440 steps in "] {
        assert!(all.contains(line), "no `{line}` in\n{all}");
    }
    let closing = all.lines().rev().find(|l| l.contains("finished: ")).unwrap();
    assert!(closing.contains("  loss ") && closing.contains("  saved in exps/try1/checkpoints/0000440"), "{closing}");
    // The bar counts from where this process started: with the 400 steps before, it would be thousands a second.
    let rates: Vec<f64> = all.split("/440 steps  ").skip(1).filter_map(|s| s.split("/s").next()?.trim().parse().ok()).collect();
    assert!(!rates.is_empty() && rates.iter().all(|r| *r < 400.0), "{rates:?} in\n{all}");
}
