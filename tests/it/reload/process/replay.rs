//! What a run records is enough to train it again, bit for bit, whatever happened to it.

use super::place::{Job, Place, TRAIN};
use crate::support::{files, name, text};
use std::process::Output;

fn ok(out: &Output) -> String {
    let said = text(&out.stderr);
    assert!(out.status.success(), "{said}");
    said
}

fn replay(place: &Place, run: &str) -> String {
    ok(&place.output(&["replay", &format!("exps/{run}")]))
}

/// Everything logged, edits too, is the same, and so are the weights and the optimizer's state in the last checkpoint.
fn assert_same(place: &Place, a: &str, b: &str) {
    assert_eq!(place.log(a), place.log(b));
    let edits = |run: &str| place.edits(run).iter().map(|e| (name(e), place.edit(e)["hash"].clone())).collect::<Vec<_>>();
    assert_eq!(edits(a), edits(b));
    let last = |run: &str| files(&place.path(&format!("exps/{run}/checkpoints"))).pop().unwrap();
    let (x, y) = (last(a), last(b));
    assert_eq!(name(&x), name(&y));
    for part in ["net", "opt", "_rng"] {
        let read = |dir: &std::path::Path| std::fs::read(dir.join(format!("{part}.safetensors"))).unwrap();
        assert_eq!(read(&x), read(&y), "{part}");
    }
}

fn edited(job: &mut Job, command: &str) {
    let n = job.place.edits("try1").len();
    job.place.sh(command);
    job.until("an edit", |job| job.place.edits("try1").len() > n);
    job.until_more(3);
}

#[test]
fn an_edited_run_is_trained_again_bit_for_bit() {
    let place = Place::new();
    place.write("c.toml", "factor = 2.0\n");
    let mut job = place.start(&["--watch", "--config", "c.toml", "--wait", "5"]);
    job.until_version("main", 1);
    edited(&mut job, "sed -i 's/x \\* 2.0/x * 3.0 + torch::randn([1])/' a.rhai");
    edited(&mut job, "echo 'lr = 0.5' >> c.toml");
    // Broken, then mended: one edit.
    place.sh("cp lib/b.rhai good; echo 'fn (' >> lib/b.rhai");
    job.until_said("not reloaded");
    edited(&mut job, "sed 's/square/abs/' good > lib/b.rhai; rm good");
    // A constant that draws a random number, and a step that fails at run time after it changed the weights.
    edited(&mut job, "sed -i 's/const VERSION = 1;/const VERSION = 2; const NOISE = torch::randn([1]).item();/' train.rhai");
    place.sh("sed -i 's/    #{loss: loss,/    throw \"oh\"; #{loss: loss,/' train.rhai");
    job.until_said("is tried again at the next save");
    assert!(job.said().contains("`step` had changed weights or an optimizer before it failed"), "{}", job.said());
    edited(&mut job, "sed -i -e 's/throw \"oh\"; //' -e 's/VERSION = 2/VERSION = 3/' train.rhai");
    assert_eq!(job.stop().code(), Some(130));
    assert_eq!(place.edits("try1").len(), 6);
    // What is on disk does not matter.
    place.sh("rm -r a.rhai lib train.rhai c.toml");
    let said = replay(&place, "try1");
    assert!(said.contains("the numbers are those of `") && said.contains("bit for bit"), "{said}");
    assert!(said.contains("repeated edit 6 of step "), "{said}");
    assert_same(&place, "try1", "try1-replay");
    // A replay is a run with its own record.
    assert!(replay(&place, "try1-replay").contains("bit for bit"));
    // Other numbers are noticed.
    let log = place.read("exps/try1/metrics.jsonl");
    let at = log.find("\"loss\":").unwrap() + 7;
    place.write("exps/try1/metrics.jsonl", &format!("{}9{}", &log[..at], &log[at..]));
    let out = place.output(&["replay", "exps/try1", "--exp-name", "third"]);
    assert_eq!(out.status.code(), Some(1));
    assert!(text(&out.stderr).contains("after 0 equal lines the numbers are not those of"), "{}", text(&out.stderr));
    // A record that was tampered with is not run.
    place.write("exps/try1/sources/a.rhai", "fn version() { 1 }\n");
    let out = place.output(&["replay", "exps/try1", "--exp-name", "fourth"]);
    assert!(out.status.code() == Some(1) && text(&out.stderr).contains("was altered after it was recorded"), "{}", text(&out.stderr));
    let out = place.output(&["replay", "exps/try1", "--exp-name", "try1"]);
    assert_eq!(out.status.code(), Some(2), "{}", text(&out.stderr));
}

#[test]
fn killed_after_an_edit_the_run_goes_on_with_it_and_says_so() {
    let place = Place::new();
    let mut job = place.start(&["--watch", "--wait", "5"]);
    job.until_version("main", 1);
    edited(&mut job, "sed -i 's/x \\* 2.0/x * 3.0/' a.rhai");
    // A checkpoint with the edit in it, then an edit that no checkpoint has.
    let checkpoint = |job: &Job, edit: u64| {
        let Ok(all) = std::fs::read_dir(job.place.path("exps/try1/checkpoints")) else { return false };
        let Some(newest) = all.map(|e| e.unwrap().path()).filter(|p| !name(p).starts_with('.')).max() else { return false };
        job.place.read(&format!("{}/state.json", newest.display())).contains(&format!("\"generation\": {edit}"))
    };
    job.until("a checkpoint with the edit", |job| checkpoint(job, 1));
    place.sh("sed -i 's/square/abs/' lib/b.rhai");
    job.until("the second edit", |job| job.place.edits("try1").len() == 2);
    job.signal("-KILL");
    job.wait();
    let (edits, before) = (place.edits("try1"), place.log("try1").len());
    // In most cases no checkpoint came after the second edit.
    let state = files(&place.path("exps/try1/checkpoints")).pop().unwrap();
    let has_both = place.read(&format!("{}/state.json", state.display())).contains("\"generation\": 2");
    let at: u64 = name(&state).parse().unwrap();
    let last = (at + 20).to_string();
    let said = {
        let job = place.start(&["--steps", &last, "--wait", "0"]);
        let said_before = place.read("said.txt").len();
        assert!(job.wait().success());
        place.read("said.txt")[said_before..].to_owned()
    };
    // Other settings are an edit of their own in any case.
    assert!(said.contains("goes on with edits: ") && said.contains("steps 100000 -> "), "{said}");
    let now = place.edits("try1");
    assert_eq!(now[0], edits[0]);
    if !has_both {
        assert!(said.contains("1 edit is newer than the checkpoint and now in edits/superseded/"), "{said}");
        assert!(said.contains("goes on with edits: lib/b.rhai, "), "{said}");
        assert!(place.path("exps/try1/edits/superseded").join(name(&edits[1])).is_dir());
        assert_eq!((now.len(), name(&now[1])), (2, format!("0002-step-{at}")));
    }
    let record = place.edit(now.last().unwrap());
    assert_eq!((record["kind"].as_str(), record["step"].as_u64()), (Some("resume"), Some(at)));
    assert!(before > 0 && place.log("try1").iter().filter(|l| l.get("edit").is_some()).count() == now.len());
    // And once more with nothing changed: the scripts as edited, and no further edit.
    let said = ok(&place.output(&["run", "train.rhai", "--device", "cpu", "--threads", "1", "--steps", &last, "--wait", "0"]));
    assert!(said.contains(&format!("goes on with the scripts as edited, as of edit {}", now.len())), "{said}");
    assert_eq!(place.edits("try1"), now);
    // The replay goes through the same: other processes, other settings.
    let said = replay(&place, "try1");
    assert!(said.contains("bit for bit"), "{said}");
    assert_same(&place, "try1", "try1-replay");
}

#[test]
fn a_run_that_is_trained_longer_is_replayed_whole() {
    let place = Place::new();
    let run = |steps: &str| {
        let flags = ["run", "train.rhai", "--device", "cpu", "--threads", "1", "--wait", "0", "--log-every", "7", "--steps", steps];
        ok(&place.output(&flags))
    };
    run("20");
    // Another width cannot go on; another step size and loss can, and `main` runs anew with them.
    place.sh("sed -i 's/square/abs/' lib/b.rhai; sed -i 's/arg(0.01/arg(0.02/' train.rhai");
    let said = run("40");
    assert!(said.contains("goes on with edits: lib/b.rhai, train.rhai, lr 0.01 -> 0.02, steps 20 -> 40"), "{said}");
    run("50");
    assert_eq!(place.edits("try1").len(), 2);
    place.sh("rm train.rhai a.rhai lib/b.rhai");
    let said = replay(&place, "try1");
    assert!(said.contains("bit for bit"), "{said}");
    assert_same(&place, "try1", "try1-replay");
    assert_eq!(place.read("exps/try1-replay/checkpoints/0000050/state.json").matches("\"generation\": 2").count(), 1);
}

#[test]
fn two_runs_are_compared() {
    let place = Place::new();
    let flags = ["run", "train.rhai", "--device", "cpu", "--threads", "1", "--wait", "0", "--steps", "5"];
    ok(&place.output(&flags));
    place.write("train.rhai", &TRAIN.replace("VERSION = 1", "VERSION = 2"));
    ok(&place.output(&[&flags[..], &["--exp-name", "try2", "--lr", "0.1"]].concat()));
    let out = place.output(&["diff", "exps/try1", "exps/try2"]);
    ok(&out);
    let shown = text(&out.stdout);
    for want in [
        "settings that differ: 1 of ",
        "  lr  0.01  0.1\n",
        "scripts that differ: 1\n--- a/train.rhai\n+++ b/train.rhai\n",
        "-const VERSION = 1;\n+const VERSION = 2;\n",
        "  run      exps/try1     exps/try2\n",
        "  steps    5             5\n",
        "the same",
    ] {
        assert!(shown.contains(want), "`{want}` in\n{shown}");
    }
    let out = place.output(&["diff", "exps/try1", "exps/try2", "--json"]);
    let v: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(v["settings"], serde_json::json!([{"name": "lr", "a": 0.01, "b": 0.1}]));
    assert_eq!((&v["scripts"][0]["script"], &v["runs"][1]["step"]), (&"train.rhai".into(), &5.into()));
    assert_eq!(place.output(&["diff", "exps/try1", "exps"]).status.code(), Some(1));
}

#[test]
fn a_record_allows_nothing_by_what_it_says() {
    let place = Place::new();
    place.sh("mkdir project outside; mv train.rhai a.rhai lib project; touch project/lathe.toml outside/secret.txt");
    // A script that looks at what a setting names, and for a file in its working directory.
    place.sh(
        "cd project; sed -i -e 's/width: 4,/width: 4, data: \"data\",/' -e 's/let net = /io::exists(cfg.data); io::exists(\"secret.txt\"); let net = /' train.rhai",
    );
    let lathe = |args: &[&str]| place.command(args).current_dir(place.path("project")).output().unwrap();
    let secret = place.path("outside").canonicalize().unwrap().join("secret.txt").display().to_string();
    let flags = ["run", "train.rhai", "--device", "cpu", "--threads", "1", "--steps", "4", "--wait", "0", "--data", &secret];
    ok(&lathe(&flags));
    // The setting was a flag then; now it is only what the record says.
    let refused = |args: &[&str]| {
        let out = lathe(args);
        let said = text(&out.stderr);
        assert!(out.status.code() == Some(1) && said.contains("E0701") && said.contains(&format!("--allow-read {secret}")), "{said}");
    };
    refused(&["replay", "exps/try1", "--exp-name", "refused"]);
    assert!(ok(&lathe(&["replay", "exps/try1", "--exp-name", "allowed", "--allow-read", "../outside"])).contains("bit for bit"));
    // The folder in which it claims to have been started is none of its project.
    let start = std::fs::read_to_string(place.path("project/exps/try1/start.json")).unwrap();
    let (from, to) = (place.path("project").canonicalize().unwrap(), place.path("outside").canonicalize().unwrap());
    let elsewhere = start
        .replace(&format!("\"{}\"", from.display()), &format!("\"{}\"", to.display()))
        .replace(&secret, &from.join("data").display().to_string());
    assert_ne!(start, elsewhere);
    place.write("project/exps/try1/start.json", &elsewhere);
    refused(&["replay", "exps/try1", "--exp-name", "elsewhere"]);
    // Nor is what its settings file says taken at the prompt.
    let out = lathe(&["repl", "--load", "exps/try1", "-e", "io::exists(cfg.data)"]);
    assert!(out.status.code() == Some(1) && text(&out.stderr).contains("E0701"), "{}", text(&out.stderr));
}
