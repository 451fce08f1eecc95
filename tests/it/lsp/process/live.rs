//! What a running run tells beside the lines of its script: last values, shapes, and nothing beside lines that changed.

use super::Served;
use crate::support::metrics;
use crate::support::process::{lathe, until};
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

pub(super) const TRAIN: &str = "import \"./helper\" as helper;

fn params() { #{ output_dir: \"exps\", exp_name: \"try1\", seed: 1, loss: 3 } }

fn main(cfg) {
    let run = train::run(cfg);
    train::fit(run, (), \"step\", #{ steps: 1_000_000, log_every: 1, save_every: 0 });
}

fn step(run, batch) {
    let x = torch::randn([4, 3]);
    let log = #{ loss: x.square().mean() };
    log.align = helper::align(x);
    sleep(0.05);
    log
}
";
pub(super) const HELPER: &str = "fn align(x) {\n    let y = x.matmul(x.t());\n    y.mean()\n}\n";

/// A run of a project, killed when dropped.
pub(super) struct Run(Child);

impl Run {
    /// Starts the script of a project, and waits for its first steps.
    pub(super) fn begin(project: &Path, name: &str) -> Run {
        let args = ["run", "train.rhai", "--device", "cpu", "--threads", "1", "--exp-name", name];
        let run = Run(lathe(project, &args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        until("the first steps", 60, || metrics(&project.join("exps").join(name)).len() > 2);
        run
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A client that redraws hints, with what it has set.
fn served(live: &str) -> Served {
    let mut c = Served::raw();
    let workspace = json!({ "inlayHint": { "refreshSupport": true } });
    let options = json!({ "live": live });
    let params = json!({ "rootUri": c.uri(""), "capabilities": { "general": { "positionEncodings": ["utf-8"] }, "workspace": workspace }, "initializationOptions": options });
    c.ask("initialize", params);
    c.encoding = "utf-8".into();
    c.tell("initialized", json!({}));
    c.write("train.rhai", TRAIN);
    c.write("helper.rhai", HELPER);
    c
}

/// The hints of a text that runs tell, by line.
fn hints(c: &mut Served, name: &str) -> Vec<(u64, String)> {
    let end = json!({ "line": 1000, "character": 0 });
    let params = json!({ "textDocument": { "uri": c.uri(name) }, "range": { "start": { "line": 0, "character": 0 }, "end": end } });
    let all = c.ask("textDocument/inlayHint", params);
    let told = all.as_array().unwrap().iter().filter(|h| h["kind"].is_null());
    told.map(|h| (h["position"]["line"].as_u64().unwrap(), h["label"].as_str().unwrap().to_owned())).collect()
}

/// Asks until what it shows is what is wanted.
fn awaited(c: &mut Served, name: &str, mut wanted: impl FnMut(&[(u64, String)]) -> bool) -> Vec<(u64, String)> {
    let begin = Instant::now();
    loop {
        let found = hints(c, name);
        if wanted(&found) {
            return found;
        }
        assert!(begin.elapsed() < Duration::from_secs(30), "{found:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn lines(found: &[(u64, String)]) -> Vec<u64> {
    found.iter().map(|(line, _)| *line).collect()
}

#[test]
fn a_running_run_is_shown_beside_its_lines() {
    let mut c = served("metrics");
    let run = Run::begin(&c.path(""), "try1");
    c.open("train.rhai", TRAIN);
    c.open("helper.rhai", HELPER);
    let found = awaited(&mut c, "train.rhai", |f| !f.is_empty());
    assert_eq!(lines(&found), [11, 12], "the step's own map and its member, not the setting of that name: {found:?}");
    assert!(found.iter().all(|(_, l)| l.contains(" at step ") && l.ends_with(", run try1")), "{found:?}");
    assert!(hints(&mut c, "helper.rhai").is_empty(), "no metric is named there");
    // Told anew, at most once a second.
    c.kept.clear();
    let begin = Instant::now();
    let mut refreshed = 0;
    while begin.elapsed() < Duration::from_secs(2) {
        c.ask("workspace/symbol", json!({ "query": "no such symbol" }));
        refreshed += c.kept.iter().filter(|m| m["method"] == "workspace/inlayHint/refresh").count();
        c.kept.clear();
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!((1..=3).contains(&refreshed), "{refreshed} times in two seconds");
    assert!(hints(&mut c, "train.rhai") != found);
    // A changed line is silent; those that moved are not.
    let edited = TRAIN.replace("log.align = helper::align(x);", "log.align = helper::align(x * 2.0);").replace("fn step", "// Moved.\n\nfn step");
    c.change("train.rhai", 2, json!([{ "text": edited }]));
    assert_eq!(lines(&hints(&mut c, "train.rhai")), [13]);
    c.change("train.rhai", 3, json!([{ "text": TRAIN }]));
    // Of two runs the newest.
    let second = Run::begin(&c.path(""), "try2");
    awaited(&mut c, "train.rhai", |f| f.first().is_some_and(|(_, l)| l.ends_with(", run try2, the newest of 2")));
    // Shapes, of one step of that run, in the module as well.
    c.tell("workspace/didChangeConfiguration", json!({ "settings": { "lathe": { "live": "shapes" } } }));
    let found = awaited(&mut c, "train.rhai", |f| f.iter().any(|(_, l)| l.contains("f32 cpu")));
    let at = |found: &[(u64, String)], line: u64| found.iter().find(|(l, _)| *l == line).map(|(_, t)| t.clone()).unwrap_or_default();
    assert_eq!(at(&found, 10), "[4, 3] f32 cpu", "{found:?}");
    assert!(at(&found, 11).starts_with("[] f32 cpu; "), "{found:?}");
    let found = hints(&mut c, "helper.rhai");
    assert_eq!(found, [(1, "[4, 4] f32 cpu".to_owned()), (2, "[] f32 cpu".to_owned())]);
    // What is wrong in the settings is said, and what was set before stays.
    c.tell("workspace/didChangeConfiguration", json!({ "settings": { "lathe": { "live": "all" } } }));
    c.settle();
    let told: Vec<&Value> = c.kept.iter().filter(|m| m["method"] == "window/showMessage").collect();
    assert!(told.len() == 1 && told[0]["params"]["message"].as_str().unwrap().contains("`lathe.live` is \"off\""), "{told:?}");
    c.tell("workspace/didChangeConfiguration", json!({ "settings": { "lathe": { "live": "off" } } }));
    assert!(hints(&mut c, "train.rhai").is_empty());
    c.tell("workspace/didChangeConfiguration", json!({ "settings": { "lathe": { "live": "metrics" } } }));
    // A run that has ended tells nothing; and what the second was asked for, at a step that the first had done, has changed no number.
    drop(second);
    awaited(&mut c, "train.rhai", |f| f.first().is_some_and(|(_, l)| l.ends_with(", run try1")));
    drop(run);
    let logged = |name: &str| metrics(&c.path(&format!("exps/{name}")));
    let both: Vec<_> = logged("try1").into_iter().zip(logged("try2")).collect();
    assert!(both.len() > 2 && both.iter().all(|(a, b)| a == b), "the losses of both runs are the same");
    awaited(&mut c, "train.rhai", <[_]>::is_empty);
}
