//! Every way of saving ends in one whole swap; every broken save leaves the last good version.

use std::io::Write;
use std::process::Stdio;

use super::place::{A, B, Job, Place, TRAIN};
use crate::support::{files, name, root, text};

fn versions(place: &Place, main: u64, a: u64, b: u64) {
    let n = |text: &str, v: u64| text.replace("VERSION = 1", &format!("VERSION = {v}"));
    place.write("train.rhai", &n(TRAIN, main));
    place.write("a.rhai", &n(A, a));
    place.write("lib/b.rhai", &n(B, b));
}

/// All edits were whole: each line of the log says the versions of all three scripts.
fn seen(place: &Place) -> Vec<(f64, f64, f64)> {
    let mut seen: Vec<(f64, f64, f64)> = place.steps("try1").iter().map(|l| ["main", "a", "b"].map(|k| l[k].as_f64().unwrap()).into()).collect();
    seen.dedup();
    seen
}

#[test]
fn editors_ways_of_saving_end_in_one_swap_each() {
    let place = Place::new();
    let mut job = place.start(&["--watch"]);
    job.until_version("a", 1);
    // In place by another file that is renamed, as sed does.
    place.sh("sed -i 's/VERSION = 1/VERSION = 2/' a.rhai");
    job.until_version("a", 2);
    place.sh("sed 's/VERSION = 2/VERSION = 3/' a.rhai > a.rhai.new; mv a.rhai.new a.rhai");
    job.until_version("a", 3);
    // As vim does with `backupcopy=no`: the old file becomes the backup, a new one is written.
    place.sh("sed 's/VERSION = 3/VERSION = 4/' a.rhai > /tmp/$$; touch .a.rhai.swp; mv a.rhai a.rhai~; cat /tmp/$$ > a.rhai; rm /tmp/$$ .a.rhai.swp a.rhai~");
    job.until_version("a", 4);
    // Truncated, and written a while later.
    place.sh("sed 's/VERSION = 4/VERSION = 5/' a.rhai > n; : > a.rhai; sleep 0.15; cat n > a.rhai; rm n");
    job.until_version("a", 5);
    // Removed, and made anew a while later.
    place.sh("sed 's/VERSION = 5/VERSION = 6/' a.rhai > n; rm a.rhai; sleep 0.15; cat n > a.rhai; rm n");
    job.until_version("a", 6);
    // Half first, the rest a moment later.
    place.sh("sed 's/VERSION = 6/VERSION = 7/' a.rhai > n; head -c 40 n > a.rhai; sleep 0.06; cat n > a.rhai; rm n");
    job.until_version("a", 7);
    // In place without another file.
    place.sh("printf 8 | dd of=a.rhai bs=1 seek=16 conv=notrunc status=none");
    job.until_version("a", 8);
    // The module in a folder below, and all at once.
    place.sh("sed -i 's/VERSION = 1/VERSION = 2/' lib/b.rhai");
    job.until_version("b", 2);
    versions(&place, 9, 9, 9);
    job.until_version("main", 9);
    job.until_more(2);
    let edits = place.edits("try1");
    let said = job.said();
    assert_eq!(job.stop().code(), Some(130));
    assert!(!said.contains("error"), "{said}");
    assert!(!said.contains("[stale"), "{said}");
    let want = [(1, 1, 1), (1, 2, 1), (1, 3, 1), (1, 4, 1), (1, 5, 1), (1, 6, 1), (1, 7, 1), (1, 8, 1), (1, 8, 2), (9, 9, 9)];
    assert_eq!(seen(&place), want.map(|(m, a, b)| (f64::from(m), f64::from(a), f64::from(b))), "{said}");
    assert_eq!(edits.len(), 9, "{edits:?}");
    assert!(said.contains("reloaded a.rhai in ") && said.contains("(no function changed); recorded in exps/try1/edits/"), "{said}");

    // What is recorded: the step, the diff, the whole texts, and a mark among the metrics.
    let (first, last) = (place.edit(&edits[0]), place.edit(&edits[8]));
    assert_eq!((first["kind"].as_str(), first["number"].as_u64(), last["number"].as_u64()), (Some("reload"), Some(1), Some(9)));
    assert_eq!(name(&edits[0]), format!("0001-step-{}", first["step"]));
    let diff = std::fs::read_to_string(edits[0].join("diff.patch")).unwrap();
    assert!(diff.starts_with("--- a/a.rhai\n+++ b/a.rhai\n@@ -1,3 +1,3 @@\n-const VERSION = 1;\n+const VERSION = 2;\n"), "{diff}");
    assert_eq!(std::fs::read_to_string(edits[8].join("sources/train.rhai")).unwrap(), place.read("train.rhai"));
    assert_eq!(place.read("exps/try1/sources/train.rhai"), TRAIN, "the run began with these");
    let changed: Vec<&str> = last["changed"].as_array().unwrap().iter().map(|c| c["script"].as_str().unwrap()).collect();
    assert_eq!(changed, ["a.rhai", "lib/b.rhai", "train.rhai"]);
    let log = place.log("try1");
    let at = log.iter().position(|l| l["edit"].as_f64() == Some(9.0)).expect("a mark");
    assert_eq!((&log[at]["step"], &log[at - 1]["main"], &log[at + 1]["main"]), (&last["step"], &1.0.into(), &9.0.into()));
    // The patch is one that `patch` takes.
    place.sh("cp -r exps/try1/sources p; for e in exps/try1/edits/0*; do patch -s -d p -p1 < $e/diff.patch; done; cmp p/train.rhai train.rhai; cmp p/a.rhai a.rhai; cmp p/lib/b.rhai lib/b.rhai");
    // The newest checkpoint names the last edit.
    let newest = files(&place.path("exps/try1/checkpoints")).pop().unwrap();
    let state: serde_json::Value = serde_json::from_slice(&std::fs::read(newest.join("state.json")).unwrap()).unwrap();
    assert_eq!(state["generation"], 9);
}

/// A broken save is shown once with its place, marks every line, and changes nothing until it is mended.
fn broken_then_mended(job: &mut Job, what: &str, break_it: &str, shown: &[&str], mark: &str, version: u64) {
    let place = job.place;
    place.sh("cp train.rhai good; cp a.rhai good_a");
    let before = job.said().len();
    place.sh(break_it);
    job.until(what, |job| job.said()[before..].contains("not reloaded"));
    job.until_more(5);
    let said = job.said()[before..].to_owned();
    for want in shown {
        assert_eq!(said.matches(want).count(), 1, "{what}: `{want}` in\n{said}");
    }
    let lines: Vec<&str> = said[said.find("not reloaded").unwrap()..].lines().skip(1).collect();
    assert!(lines.len() > 3 && lines.iter().all(|l| l.ends_with(mark)), "{what}: `{mark}` in\n{said}");
    let log = place.read("exps/try1/log.txt");
    assert!(log.lines().rev().find(|l| l.contains("step")).unwrap().ends_with(mark), "{log}");
    // The same again says nothing new.
    place.sh("touch train.rhai a.rhai");
    job.until_more(12);
    assert_eq!(job.said()[before..].matches(shown[0]).count(), 1, "{what}");
    let edits = place.edits("try1").len();
    place.sh(&format!("mv good train.rhai; mv good_a a.rhai; sed -i 's/VERSION = [0-9]*/VERSION = {version}/' train.rhai"));
    job.until_version("main", version);
    job.until_more(2);
    assert_eq!(place.edits("try1").len(), edits + 1);
    assert!(!job.said().lines().last().unwrap().contains("[stale"), "{what}");
}

#[test]
fn broken_saves_leave_the_last_good_version() {
    let place = Place::new();
    let mut job = place.start(&["--watch"]);
    job.until_version("main", 1);
    let j = &mut job;
    broken_then_mended(
        j,
        "a syntax error",
        "sed -i '3s/.*/const VERSION = ;/' train.rhai",
        &["--> train.rhai:3:17", "error[E0502]"],
        "  [stale: train.rhai:3]",
        2,
    );
    broken_then_mended(j, "an unknown function", "sed -i 's/run.opt.step()/run.opt.stepp()/' train.rhai", &["did you mean"], ":30]", 3);
    broken_then_mended(
        j,
        "a missing step",
        "sed -i 's/^fn step(/fn stop(/' train.rhai",
        &["error[E0503]: the running loop needs it: `train.rhai` has no function `step`"],
        "  [stale: train.rhai:23]",
        4,
    );
    broken_then_mended(
        j,
        "a step with another number of parameters",
        "sed -i 's/^fn step(run, batch)/fn step(run, batch, more)/' train.rhai",
        &["`step` in `train.rhai` has 3 parameters, but is called with 2"],
        "  [stale: train.rhai:23]",
        5,
    );
    broken_then_mended(j, "a module's missing function", "sed -i 's/fn target/fn aim/' a.rhai", &["has no function `target`"], ":26]", 6);
    broken_then_mended(j, "a setting out of its limits", "sed -i 's/arg(0.01/arg(-1.0/' train.rhai", &["`lr` must be at least 0"], "]", 7);
    broken_then_mended(j, "a file that is gone", "rm a.rhai", &["there is no `"], "  [stale: train.rhai:1]", 8);
    // Back to what runs: no edit, and said.
    place.sh("cp train.rhai good; echo 'fn (' >> train.rhai");
    job.until_said("[stale: train.rhai:36]");
    place.sh("mv good train.rhai");
    job.until_said("the scripts on disk are those that run again");
    assert_eq!(place.edits("try1").len(), 7);
    assert_eq!(job.stop().code(), Some(130));
}

#[test]
fn a_new_step_that_fails_waits_for_the_next_save() {
    let place = Place::new();
    let mut job = place.start(&["--watch"]);
    job.until_version("main", 1);
    place.sh("sed -i -e 's/VERSION = 1/VERSION = 2/' -e 's/run.opt.zero_grad();/throw \"oh\";/' train.rhai");
    job.until_said("`step` is tried again at the next save");
    let stands = place.steps("try1");
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(place.steps("try1"), stands, "no step is done while it waits");
    assert!(job.said().contains("error[E0501]: oh\n  --> train.rhai:28:5"), "{}", job.said());
    // A mistake while it waits is shown as always.
    place.sh("cp train.rhai saved; echo 'fn (' >> train.rhai");
    job.until_said("not reloaded");
    place.sh("sed -e 's/VERSION = 2/VERSION = 3/' -e 's/throw \"oh\";/run.opt.zero_grad();/' saved > train.rhai");
    job.until_version("main", 3);
    job.until_more(3);
    let lines = place.steps("try1");
    let steps: Vec<u64> = lines.iter().map(|l| l["step"].as_u64().unwrap()).collect();
    assert_eq!(steps, (1..=steps.len() as u64).collect::<Vec<_>>(), "each step once");
    assert!(lines.iter().all(|l| l["main"] != 2.0));
    assert_eq!(job.stop().code(), Some(130));
    // The failed try left no trace: the numbers are those of a run without any edit.
    let n = steps.len().to_string();
    place.write("train.rhai", TRAIN);
    assert!(place.start(&["--exp-name", "plain", "--steps", &n, "--wait", "0"]).wait().success());
    let losses = |run: &str| place.steps(run).iter().map(|l| l["loss"].clone()).collect::<Vec<_>>();
    assert_eq!(losses("try1")[..steps.len() - 1], losses("plain")[..steps.len() - 1]);
}

#[test]
fn prompts_are_answered_while_a_failed_step_waits() {
    let place = Place::new();
    let mut job = place.start(&["--watch"]);
    job.until_version("main", 1);
    place.sh("sed -i 's/run.opt.zero_grad();/throw \"oh\";/' train.rhai");
    job.until_said("is tried again at the next save");
    let steps = place.steps("try1").len();
    let eval = |line: &str| {
        let out = place.output(&["attach", "exps/try1", "-e", line]);
        assert!(out.status.success(), "{line}: {}", text(&out.stderr));
        text(&out.stdout).trim().to_owned()
    };
    assert_eq!(eval("1 + 1"), "2");
    assert_eq!(eval("run.step"), steps.to_string());
    assert!(eval("run.cfg.factor = 2.0;").contains("run.cfg.factor 1.0 -> 2.0"), "recorded as an edit");
    assert_eq!(place.steps("try1").len(), steps, "it still waits");
    // Tried again without a save, it fails again.
    let mut prompt = place.command(&["attach", "exps/try1"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    prompt.stdin.take().unwrap().write_all(b":reload\n").unwrap();
    assert_eq!(text(&prompt.wait_with_output().unwrap().stdout), "nothing differs from what runs; the failed step is tried again\n");
    job.until("a second failure", |job| job.said().matches("is tried again at the next save").count() == 2);
    place.sh("sed 's/throw \"oh\";/run.opt.zero_grad();/' train.rhai > mended; mv mended train.rhai");
    job.until_more(3);
    assert_eq!(eval("run.cfg.factor"), "2.0");
    assert_eq!(job.stop().code(), Some(130));
    let out = place.output(&["replay", "exps/try1"]);
    assert!(out.status.success() && text(&out.stderr).contains("bit for bit"), "{}", text(&out.stderr));
}

#[test]
fn a_job_that_waits_can_be_stopped_and_goes_on() {
    let place = Place::new();
    let mut job = place.start(&["--watch", "--save-every", "100000"]);
    job.until_version("main", 1);
    place.sh("sed -i 's/run.opt.zero_grad();/throw \"oh\";/' train.rhai");
    job.until_said("is tried again");
    let done = place.steps("try1").len();
    assert_eq!(job.stop().code(), Some(130));
    assert!(place.path(&format!("exps/try1/checkpoints/{done:07}")).is_dir(), "the steps before it are saved");
    place.sh("sed -i 's/throw \"oh\";/run.opt.zero_grad();/' train.rhai");
    let more = (done + 5).to_string();
    assert!(place.start(&["--steps", &more, "--wait", "0"]).wait().success());
    assert_eq!(place.steps("try1").len(), done + 5);
    place.write("train.rhai", TRAIN);
    assert!(place.start(&["--exp-name", "plain", "--steps", &more, "--wait", "0"]).wait().success());
    let losses = |run: &str| place.steps(run).iter().map(|l| l["loss"].clone()).collect::<Vec<_>>();
    assert_eq!(losses("try1")[..done + 4], losses("plain")[..done + 4]);
}

#[test]
fn without_a_watch_sighup_reloads_once() {
    let place = Place::new();
    let mut job = place.start(&[]);
    job.until_version("main", 1);
    place.sh("sed -i 's/VERSION = 1/VERSION = 2/' train.rhai");
    // The lines say that the script on disk is another one, and nothing else happens.
    job.until_said("[stale: train.rhai:3]");
    job.until_more(10);
    assert_eq!(place.edits("try1").len(), 0);
    job.signal("-HUP");
    job.until_version("main", 2);
    job.until_more(3);
    assert!(!job.said().lines().last().unwrap().contains("[stale"), "{}", job.said());
    place.sh("echo 'fn (' >> train.rhai");
    job.signal("-HUP");
    job.until_said("send SIGHUP again when it is mended");
    job.until_said("[stale: train.rhai:36]");
    // A new step that fails stops the run, with the steps before it saved.
    place.sh("sed -i -e '$d' -e 's/run.opt.zero_grad();/throw \"oh\";/' train.rhai");
    job.signal("-HUP");
    let status = job.child.wait().unwrap();
    assert_eq!(status.code(), Some(1), "{}", job.said());
    assert!(job.said().contains("error[E0501]: oh"), "{}", job.said());
    let done = place.steps("try1").len();
    assert!(place.path(&format!("exps/try1/checkpoints/{done:07}")).is_dir(), "step {done}");
}

#[test]
fn live_settings_change_and_others_need_a_restart() {
    let place = Place::new();
    place.write("c.toml", "factor = 2.0\n");
    let mut job = place.start(&["--watch", "--config", "c.toml", "--wait", "10"]);
    job.until_version("main", 1);
    let lr = |x: f64| move |job: &Job| job.place.steps("try1").last().is_some_and(|l| l["lr"].as_f64() == Some(x));
    place.sh("sed -i 's/arg(0.01/arg(0.005/' train.rhai");
    job.until("the new default", lr(0.005));
    assert!(job.said().contains("(1 function changed; lr 0.01 -> 0.005); recorded in"), "{}", job.said());
    place.sh("echo 'lr = 0.002' >> c.toml");
    job.until("the value in the file", lr(0.002));
    assert!(job.said().contains("changed lr 0.005 -> 0.002 at step "), "{}", job.said());
    // Not live; and a flag and a file go before the script's default.
    place.sh("sed -i -e 's/width: 4/width: 5/' -e 's/wait: 10/wait: 20/' -e 's/arg(0.005/arg(0.5/' train.rhai");
    job.until_said("width 4 -> 5 needs a restart: the setting is not `live`");
    job.until_said("`wait` stays 10: the flag --wait goes before the edited default");
    job.until_said("`lr` stays 0.002: c.toml:2 goes before the edited default");
    place.sh("echo 'nonsense = 1' >> c.toml");
    job.until_said("[stale: c.toml:3]");
    assert!(job.said().contains("c.toml:3: unknown setting `--nonsense`"), "{}", job.said());
    place.sh("sed -i -e '$d' -e 's/lr = .*/lr = 0.001/' c.toml");
    job.until("the mended file", lr(0.001));
    // A new setting is there at once.
    place.sh("sed -i -e 's/width: 5,/width: 5, extra: 7,/' -e 's/lr: run.cfg.lr}/lr: run.cfg.lr, extra: run.cfg.extra}/' train.rhai");
    job.until("a new setting", |job| job.place.steps("try1").last().is_some_and(|l| l["extra"].as_f64() == Some(7.0)));
    assert_eq!(job.said().matches("needs a restart").count(), 1, "said once");
    let edits = place.edits("try1");
    let settings = |i: usize| place.edit(&edits[i])["settings"].clone();
    assert_eq!(settings(1), serde_json::json!([{"name": "lr", "old": 0.005, "new": 0.002}]));
    assert!(!edits[1].join("diff.patch").exists(), "no script changed");
    assert_eq!(job.stop().code(), Some(130));
}

#[test]
fn how_often_is_logged_may_be_live() {
    let place = Place::new();
    place.sh("sed -i 's/log_every: 1,/log_every: arg(1, \"\", #{live: true}),/' train.rhai");
    let mut job = place.start(&["--watch"]);
    job.until_version("main", 1);
    place.sh("sed -i 's/log_every: arg(1,/log_every: arg(7,/' train.rhai");
    job.until_said("log_every 1 -> 7");
    job.until_more(3);
    assert_eq!(job.stop().code(), Some(130));
    let steps: Vec<u64> = place.steps("try1").iter().map(|l| l["step"].as_u64().unwrap()).collect();
    assert!(steps[steps.len() - 3..].iter().all(|s| s % 7 == 0), "{steps:?}");
}

#[test]
fn where_events_do_not_come_looking_does() {
    let place = Place::new();
    let mut job = place.start(&["--watch=poll"]);
    job.until_version("main", 1);
    assert!(job.said().contains("watching by looking at the files now and then: as --watch=poll asks"), "{}", job.said());
    place.sh("sed -i 's/VERSION = 1/VERSION = 2/' lib/b.rhai");
    job.until_version("b", 2);
    assert_eq!(job.stop().code(), Some(130));
}

#[test]
fn the_standard_library_reloads_too() {
    let place = Place::new();
    let stdlib = root().join("stdlib").display().to_string();
    place.sh(&format!("mkdir stdlib; cp {stdlib}/*.rhai stdlib/; echo 'fn version() {{ 1 }}' >> stdlib/flow.rhai"));
    place.sh("sed -i -e '1i import \"std/flow\" as flow;' -e 's/a: a::version()/a: flow::version()/' train.rhai");
    let mut job = place.start(&["--watch"]);
    job.until_version("a", 1);
    place.sh("sed -i 's/fn version() { 1 }/fn version() { 2 }/' stdlib/flow.rhai");
    job.until_version("a", 2);
    assert!(job.said().contains("reloaded std/flow in ") && job.said().contains("(1 function changed)"), "{}", job.said());
    // A module that is imported only now is watched from then on.
    place.write("late.rhai", "fn version() { 3 }\n");
    place.sh("sed -i -e '1i import \"./late\" as late;' -e 's/a: flow::version()/a: late::version()/' train.rhai");
    job.until_version("a", 3);
    place.sh("sed -i 's/3/4/' late.rhai");
    job.until_version("a", 4);
    assert_eq!(job.stop().code(), Some(130));
}

#[test]
fn a_loop_of_ones_own_reloads_at_a_hot_function() {
    let place = Place::new();
    place.write(
        "train.rhai",
        r#"import "./a" as a;
fn params() { #{ exp_name: "try1", seed: 1 } }
fn main(cfg) {
    let run = train::run(cfg);
    let f = hot("step");
    for i in run.resume()..100_000 {
        f.call(run);
        run.step = i + 1;
    }
}
fn step(run) {
    sleep(0.005);
    run.log(#{a: a::version(), main: 1});
}
"#,
    );
    let mut job = place.start(&["--watch"]);
    job.until_version("a", 1);
    place.sh("sed -i 's/VERSION = 1/VERSION = 2/' a.rhai");
    job.until_version("a", 2);
    place.sh("sed -i 's/main: 1}/main: 1 \\/ 0}/' train.rhai");
    job.until_said("`step` is tried again at the next save");
    place.sh("sed -i 's/main: 1 \\/ 0}/main: 2}/' train.rhai");
    job.until_version("main", 2);
    assert_eq!(job.stop().code(), Some(130));
    assert_eq!(place.edits("try1").len(), 3);
    let steps: Vec<u64> = place.steps("try1").iter().map(|l| l["step"].as_u64().unwrap()).collect();
    assert_eq!(steps, (0..steps.len() as u64).collect::<Vec<_>>(), "no step is left out or done twice");
}
