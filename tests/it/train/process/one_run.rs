//! One run, one owner: names, `fit` inside `fit`, two processes.

use crate::support::process::{Place, refused, signal, until};
use crate::support::saved;
use std::process::Stdio;

const RUN: &str = r#"
fn params() { #{output_dir: "exps", exp_name: "a", inner: "", steps: 3} }
fn net(run) { run.track("w", torch::zeros([2])); }
fn small(run, batch) { run.w.add_(1); #{loss: run.w.mean()} }
fn step(run, batch) {
    if run.step == 1 && run.cfg.inner == "same" { train::fit(run, (), "small", #{steps: 2}); }
    if run.step == 1 && run.cfg.inner == "other" {
        let other = train::run(run.cfg + #{exp_name: "b"});
        net(other);
        train::fit(other, (), "small", #{steps: 2});
    }
    small(run, batch)
}
fn main(cfg) {
    let run = train::run(cfg);
    net(run);
    train::fit(run, (), "step", #{steps: cfg.steps, save_every: 1, log_every: 1});
    print(run.w.to_array());
}
"#;

#[test]
fn fit_inside_of_its_own_steps_is_refused_and_of_another_run_works() {
    let place = Place::new(&[("s.rhai", RUN)]);
    refused(&mut place.command(&["run", "s.rhai", "--inner", "same"]), &["E0601", "`a` is being trained already", "s.rhai:6"]);
    assert_eq!(saved(&place.path("exps/a")), [1]);
    let place = Place::new(&[("s.rhai", RUN)]);
    let (code, out, err) = place.lathe(&["run", "s.rhai", "--inner", "other"]);
    assert_eq!((code, out.as_str()), (0, "[3.0, 3.0]\n"), "{err}");
    assert_eq!((saved(&place.path("exps/a")), saved(&place.path("exps/b"))), (vec![1, 2, 3], vec![2]));
}

#[test]
fn names_that_hide_something_or_lead_elsewhere_are_refused_before_anything_is_made() {
    let place = Place::new(&[("s.rhai", RUN)]);
    for name in ["a\nb", "a\tb", "a\u{202e}b", "a\u{1b}[2J", "../a", "/tmp/a", "a//b", "-a", &"x".repeat(300)] {
        let said = refused(&mut place.command(&["run", "s.rhai", &format!("--exp-name={name}")]), &["E0101", "is no name for a run"]);
        assert!(!said.contains('\u{202e}') && !said.contains('\u{1b}'), "{said:?}");
    }
    assert!(!place.path("exps").exists());
}

#[test]
fn names_of_strangers_are_written_out_in_tables() {
    let place = Place::new(&[("s.rhai", RUN)]);
    for name in ["a", "b"] {
        let (code, _, err) = place.lathe(&["run", "s.rhai", "--exp-name", name]);
        assert_eq!(code, 0, "{err}");
    }
    let odd = "a\u{202e}\n\u{1b}[31m";
    std::fs::rename(place.path("exps/a"), place.path("exps").join(odd)).unwrap();
    let status = place.path("exps").join(odd).join("run.json");
    let text = std::fs::read_to_string(&status).unwrap();
    std::fs::write(
        &status,
        text.replace("s.rhai", "s\\u001b[2J.rhai").replace("finished", "failed").replacen('{', "{\"error\": \"no\\u001b]0;x\\u0007\",", 1),
    )
    .unwrap();
    let all = place.at("exps");
    let (code, out, err) = place.lathe(&["runs", &all]);
    assert!(
        code == 0 && out.contains("a\\u{202e}\\n\\u{1b}[31m") && out.contains("s\\u{1b}[2J.rhai") && out.contains("no\\u{1b}]0;x\\u{7}"),
        "{out} {err}"
    );
    let folder = format!("exps/{odd}");
    let (code, compared, err) = place.lathe(&["compare", &folder, "exps/b"]);
    assert!(code == 0, "{err}");
    for text in [out, compared] {
        assert!(!text.contains(['\u{202e}', '\u{1b}', '\u{7}']), "{text:?}");
    }
}

#[test]
fn a_run_that_is_open_is_refused_by_another_path_and_free_after_a_kill() {
    let place = Place::new(&[("s.rhai", RUN)]);
    let mut c = place.command(&["run", "s.rhai", "--steps", "100000000"]);
    let mut child = c.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until("a checkpoint", 60, || !saved(&place.path("exps/a")).is_empty());
    std::os::unix::fs::symlink(place.path("exps"), place.path("link")).unwrap();
    std::os::unix::fs::symlink(place.path("exps/a"), place.path("exps/c")).unwrap();
    let by = format!("process {} works on the run", child.id());
    refused(&mut place.command(&["run", "s.rhai", "--output-dir", "link"]), &["E0601", &by]);
    refused(&mut place.command(&["run", "s.rhai", "--exp-name", "c"]), &["E0601", &by]);
    signal(&child, "-KILL");
    child.wait().unwrap();
    let steps = (saved(&place.path("exps/a")).last().unwrap() + 1).to_string();
    let (code, _, err) = place.lathe(&["run", "s.rhai", "--steps", &steps]);
    assert_eq!(code, 0, "{err}");
}
