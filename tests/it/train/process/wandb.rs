//! The script of docs/guide/dashboards.md, with W&B's own client: what it writes offline is read back, and so is what it makes of TensorBoard's files.

use crate::support::process::{Place, ok, parts, python};
use crate::support::{files, name, root};
use serde_json::Value;
use std::process::Command;

/// The packages and their versions: pictures need Pillow.
const WANDB: &str = "wandb==0.31.0 pillow==13.0.0";

const RUN: &str = r#"
fn params() { #{output_dir: "exps", exp_name: "a", rate: 0.5} }
fn step(run, batch) { run.w.add_(run.cfg.rate); #{loss: run.w.mean(), odd: if run.step == 2 { 0.0 / 0.0 } else { 1.5 }} }
fn grid(run, batch) { run.image("dots", torch::zeros([1, 3, 8, 8]).to_dtype("u8")); }
fn main(cfg) {
    let run = train::run(cfg);
    run.track("w", torch::zeros([2]));
    train::fit(run, (), "step", #{steps: 4, save_every: 4, log_every: 1, sample_every: 4, on_sample: "grid"});
}
"#;

/// Prints each history record of a `.wandb` file as a line of JSON: LevelDB's log format around W&B's messages.
const READ: &str = r#"
import json, struct, sys
from wandb.proto import wandb_internal_pb2 as pb
data, at, buf = open(sys.argv[1], "rb").read(), 7, b""
while at + 7 <= len(data):
    room = 32768 - at % 32768
    if room < 7:
        at += room
        continue
    _, n, kind = struct.unpack("<IHB", data[at : at + 7])
    buf, at = buf + data[at + 7 : at + 7 + n], at + 7 + n
    if kind in (1, 4):
        record, buf = pb.Record.FromString(buf), b""
        if record.WhichOneof("record_type") == "history":
            print(json.dumps({i.key or "/".join(i.nested_key): json.loads(i.value_json, parse_constant=str) for i in record.history.item}))
        if record.WhichOneof("record_type") == "run":
            print(json.dumps({u.key: json.loads(u.value_json) for u in record.run.config.update}))
"#;

/// Has W&B's own reader of event files look at those of a run. While it watches a folder it takes files of its host that are newer than its start.
const EVENTS: &str = r#"
import pathlib, shutil, socket, sys, time, wandb
with wandb.init(project="lathe") as run:
    run._tensorboard_callback(sys.argv[2], True, sys.argv[2])
    time.sleep(1.1)
    pathlib.Path(sys.argv[2]).mkdir()
    for old in pathlib.Path(sys.argv[1]).glob("*tfevents*"):
        shutil.copy(old, f"{sys.argv[2]}/events.out.tfevents.{int(time.time())}.{socket.gethostname()}.1.0")
"#;

#[test]
fn wandb_takes_the_figures_of_a_run() {
    let package = match python(WANDB, "wandb, PIL") {
        Ok(folder) => folder,
        Err(why) => return println!("skipped: wandb_takes_the_figures_of_a_run: {why}"),
    };
    let page = std::fs::read_to_string(root().join("docs/guide/dashboards.md")).unwrap();
    let script = page.split("```python\n").nth(1).and_then(|s| s.split("```").next()).expect("the page has the script");
    let place = Place::new(&[("s.rhai", RUN), ("to_wandb.py", script), ("read.py", READ), ("events.py", EVENTS)]);
    ok(&mut place.command(&["run", "s.rhai"]));
    let python = |args: &[&str]| {
        let mut c = Command::new("python3");
        c.current_dir(place.folder()).args(args).env("PYTHONPATH", &package).env("WANDB_MODE", "offline").env("WANDB_SILENT", "true");
        for (kind, at) in [("CACHE", "wb/cache"), ("CONFIG", "wb/config"), ("DATA", "wb/data")] {
            c.env(format!("WANDB_{kind}_DIR"), place.path(at));
        }
        let (code, out, said) = parts(c.output().unwrap());
        assert_eq!(code, 0, "{out}{said}");
        out
    };
    let read = |at: &str| -> Vec<Value> {
        let run = files(&place.path(at)).into_iter().find(|p| name(p).starts_with("offline-run-")).unwrap();
        let file = files(&run).into_iter().find(|p| name(p).ends_with(".wandb")).unwrap();
        python(&["read.py", file.to_str().unwrap()]).lines().map(|l| serde_json::from_str(l).unwrap()).collect()
    };
    python(&["to_wandb.py", "exps/a"]);
    let records = read("wandb");
    assert!(records.iter().any(|r| r["rate"] == 0.5), "the settings: {records:?}");
    let steps: Vec<(i64, f64)> = records.iter().filter_map(|r| Some((r["step"].as_i64()?, r["loss"].as_f64()?))).collect();
    assert_eq!(steps, [(1, 0.5), (2, 1.0), (3, 1.5), (4, 2.0)], "{records:?}");
    let odd = |step: i64| records.iter().find(|r| r["step"] == step).map(|r| r["odd"].clone());
    assert_eq!((odd(2), odd(3)), (Some(1.5.into()), Some(Value::Null)), "NaN is left out: {records:?}");
    assert!(records.iter().any(|r| r.as_object().unwrap().keys().any(|k| k.starts_with("dots"))), "the picture: {records:?}");
    std::fs::rename(place.path("wandb"), place.path("first")).unwrap();
    python(&["events.py", &place.at("exps/a"), &place.at("board")]);
    let records = read("wandb");
    let losses: Vec<f64> = records.iter().filter_map(|r| r["loss"].as_f64()).collect();
    assert_eq!(losses, [0.5, 1.0, 1.5, 2.0], "{records:?}");
}
