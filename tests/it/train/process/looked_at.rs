//! `lathe run --profile` and `--find-nan`: where a step's time goes, what stops being finite, and that neither changes a number.

use crate::support::metrics;
use crate::support::process::{Place, ok, refused, said};
use serde_json::Value;

const TRAIN: &str = r#"import "./helper" as helper;
fn params() { #{ output_dir: "exps", exp_name: "try1", seed: 3, max_train_steps: 12, wait: 0, weak: 1.0 } }
fn main(cfg) {
    let run = train::run(cfg);
    let net = nn::linear(64, 64);
    run.track("net", net);
    run.track("opt", optim::adamw(net, #{lr: 0.01}));
    train::fit(run, (), "step", #{steps: cfg.max_train_steps, log_every: 1, save_every: 0});
}
fn step(run, batch) {
    sleep(run.cfg.wait / 1000.0);
    let y = run.net.forward(torch::randn([32, 64]));
    let loss = helper::loss(y, run.cfg.weak);
    run.opt.zero_grad();
    loss.backward();
    run.opt.step();
    #{ loss: loss }
}
"#;
const HELPER: &str = "fn loss(y, weak) {\n    let rooted = (y.square() * weak).sqrt();\n    rooted.mean()\n}\n";

fn place() -> Place {
    Place::new(&[("train.rhai", TRAIN), ("helper.rhai", HELPER)])
}

/// The losses of a run, as they were written.
fn losses(place: &Place, name: &str) -> Vec<String> {
    metrics(&place.path(&format!("exps/{name}"))).iter().map(|l| l["loss"].to_string()).collect()
}

fn run(place: &Place, name: &str, more: &[&str]) -> String {
    let args = [&["run"], more, &["train.rhai", "--device", "cpu", "--threads", "1", "--exp-name", name]].concat();
    said(&place.command(&args).output().unwrap())
}

/// Milliseconds of one step by place.
fn figures(table: &str) -> Vec<(f64, f64, String)> {
    let rows = table.lines().skip_while(|l| !l.trim_start().starts_with("own ms")).skip(1);
    rows.map(|row| {
        let words: Vec<&str> = row.split_whitespace().collect();
        (words[0].parse().unwrap(), words[2].parse().unwrap(), words[4..].join(" "))
    })
    .collect()
}

#[test]
fn a_profile_adds_up_and_changes_nothing() {
    let place = place();
    ok(&mut place.command(&["run", "train.rhai", "--device", "cpu", "--threads", "1", "--exp-name", "plain"]));
    let args = ["run", "--profile=4", "train.rhai", "--device", "cpu", "--threads", "1", "--exp-name", "profiled", "--wait", "60"];
    let out = place.command(&args).output().unwrap();
    let told = said(&out);
    assert!(out.status.success(), "{told}");
    assert!(told.contains("profile of 4 steps: exps/profiled/profile/lines.txt"), "{told}");
    assert!(told.contains("trace of 3 more: exps/profiled/profile/trace.json"), "{told}");
    assert!(!told.contains("ERROR"), "libkineto is quiet: {told}");
    assert_eq!(losses(&place, "plain"), losses(&place, "profiled"));

    // The own times are the step's, by the clock of the log: the steps from 4 to 7 were measured.
    let table = place.read("exps/profiled/profile/lines.txt");
    assert!(table.starts_with("# train.rhai on cpu, steps 4 to 7: "), "{table}");
    let rows = figures(&table);
    let sum: f64 = rows.iter().map(|(own, ..)| own).sum();
    let log = place.read("exps/profiled/metrics.jsonl");
    let time: Vec<f64> = log.lines().map(|l| serde_json::from_str::<Value>(l).unwrap()["time"].as_f64().unwrap()).collect();
    let step = 1e3 * (time[6] - time[2]) / 4.0;
    assert!((sum - step).abs() < 0.05 * step, "{sum} ms in lines, {step} ms by the clock:\n{table}");
    let row = |what: &str| rows.iter().find(|(.., place)| place.contains(what)).unwrap_or_else(|| panic!("no {what}:\n{table}"));
    // Where it sleeps, too.
    assert!(row("the language itself, in the step function").0 > 59.0, "{table}");
    let module = row("train.rhai:13 let loss = helper::loss(");
    assert!(module.1 > module.0 && module.1 >= row("helper.rhai:2 ").0, "what it calls is in its total:\n{table}");
    assert!(row("train.rhai:15 loss.backward();").0 > 0.0);
    row("the log line");

    // libtorch's own events, within the ranges of the lines that made them.
    let trace: Value = serde_json::from_str(&place.read("exps/profiled/profile/trace.json")).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    let spans = |name: &str| -> Vec<(f64, f64)> {
        let of = events.iter().filter(|e| e["name"] == name && e["ph"] == "X");
        of.map(|e| (e["ts"].as_f64().unwrap(), e["ts"].as_f64().unwrap() + e["dur"].as_f64().unwrap())).collect()
    };
    let (lines, roots) = (spans("helper.rhai:2 sqrt"), spans("aten::sqrt"));
    assert_eq!(lines.len(), 3, "one for each step that was traced");
    assert!(lines.iter().all(|l| roots.iter().any(|r| l.0 <= r.0 && r.1 <= l.1)), "{lines:?} {roots:?}");
    assert_eq!(spans("step").len(), 3);
}

#[test]
fn a_script_without_a_fit_is_measured_whole() {
    let place = Place::new(&[("plain.rhai", "fn main(cfg) {\n    let x = torch::ones([4, 4]);\n    sleep(0.02);\n    x.sum()\n}\n")]);
    let told = ok(&mut place.command(&["run", "plain.rhai", "--profile", "--device", "cpu"]));
    assert!(told.contains("profile of the whole script: plain.profile/lines.txt"), "{told}");
    let table = place.read("plain.profile/lines.txt");
    assert!(table.starts_with("# plain.rhai on cpu, all of `main`: "), "{table}");
    assert!(figures(&table).iter().any(|(.., at)| at == "plain.rhai:2 let x = torch::ones([4, 4]);"), "{table}");
    assert!(figures(&table).iter().any(|(own, _, at)| *own > 19.0 && at == "the language itself"), "{table}");
    let place = self::place();
    let told = run(&place, "short", &["--profile"]);
    assert!(told.contains("profile: exps/short/profile/lines.txt"), "what there was is written: {told}");
    refused(&mut place.command(&["run", "train.rhai", "--profile=none"]), &["E0101", "`--profile` takes a number of steps", "none"]);
}

#[test]
fn what_stops_being_finite_ends_the_run_with_its_line() {
    let place = place();
    ok(&mut place.command(&["run", "train.rhai", "--device", "cpu", "--threads", "1", "--exp-name", "plain"]));
    run(&place, "found", &["--find-nan"]);
    assert_eq!(losses(&place, "plain"), losses(&place, "found"));
    assert_eq!(losses(&place, "found").len(), 12);
    // Backwards: the loss is 0.
    let weak = ["run", "train.rhai", "--find-nan", "--device", "cpu", "--exp-name", "weak", "--weak", "0"];
    let words = [
        "E0601",
        "the gradient of `sqrt` is not finite",
        "helper.rhai:2:",
        "^",
        "train.rhai:15:",
        "parameters with such gradients: `net.weight`, `net.bias`",
    ];
    refused(&mut place.command(&weak), &words);
    // Forwards.
    let negative = ["run", "--find-nan", "train.rhai", "--device", "cpu", "--exp-name", "negative", "--weak", "-1"];
    refused(&mut place.command(&negative), &["E0601", "`sqrt` gave NaN: tensor [32, 64] f32", "helper.rhai:2:", "^^^^", "train.rhai:13:"]);
    assert!(metrics(&place.path("exps/negative")).is_empty());
}
