//! What an earlier Lathe wrote stays good: a run folder is replayed, and its checkpoint gone on from.

use crate::support::process::{Place, ok, said};
use crate::support::{metrics, root};
use serde_json::Value;
use std::path::Path;

/// Losses on other kernels than those of the recording machine differ in the last bits, which training carries on.
const CLOSE: f64 = 1e-3;

/// A copy of the recorded run, as if it had run there.
fn place() -> Place {
    let place = Place::new(&[]);
    let from = root().join("tests/data/old_run");
    for entry in walkdir::WalkDir::new(&from) {
        let entry = entry.unwrap();
        let to = place.folder().join(entry.path().strip_prefix(&from).unwrap());
        if entry.file_type().is_dir() {
            std::fs::create_dir_all(to).unwrap();
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
    let start = place.read("runs/old/start.json");
    assert!(start.contains("/where/it/ran"));
    let folder = place.folder().canonicalize().unwrap();
    place.write("runs/old/start.json", &start.replace("/where/it/ran", folder.to_str().unwrap()));
    place
}

/// The same lines with the same names, and numbers that are close.
fn alike(a: &[Value], b: &[Value]) {
    assert_eq!(a.len(), b.len(), "{a:?}\n{b:?}");
    for (a, b) in a.iter().zip(b) {
        let (a, b) = (a.as_object().unwrap(), b.as_object().unwrap());
        assert!(a.keys().eq(b.keys()), "{a:?}\n{b:?}");
        for (key, x) in a {
            let (x, y) = (x.as_f64().unwrap(), b[key].as_f64().unwrap());
            assert!((x - y).abs() <= CLOSE * x.abs().max(1e-6), "{key}: {x} and {y}");
        }
    }
}

fn logged(file: &Path) -> Vec<Value> {
    let lines = std::fs::read_to_string(file).unwrap();
    lines
        .lines()
        .map(|l| {
            let mut v: Value = serde_json::from_str(l).unwrap();
            v.as_object_mut().unwrap().remove("time");
            v
        })
        .collect()
}

#[test]
fn an_earlier_run_is_replayed_with_its_edits() {
    let place = place();
    let out = place.command(&["replay", "runs/old"]).output().unwrap();
    let all = said(&out);
    // On other kernels the numbers are not the same bits, which `lathe replay` says and fails for.
    assert!(out.status.success() || all.contains("step 1"), "{all}");
    for line in ["repeated edit 1 of step 55", "repeated edit 2 of step 110"] {
        assert!(all.contains(line), "no `{line}` in\n{all}");
    }
    alike(&metrics(&place.path("runs/old")), &metrics(&place.path("runs/old-replay")));
}

#[test]
fn an_earlier_checkpoint_is_gone_on_from() {
    let place = place();
    let all = ok(&mut place.command(&["run", "train.rhai", "--max-train-steps", "130"]));
    assert!(all.contains("goes on at step 119"), "{all}");
    let lines = metrics(&place.path("runs/old"));
    assert_eq!(lines.len(), 5 + 2, "five lines as before, the changed setting, and the last step: {lines:?}");
    alike(&lines[6..], &logged(&place.path("resumed.jsonl")));
}
