//! Loops of a script's own: tracked values, `run.stopping()`, and `finish`, which saves.

use crate::support::process::{Place, parts, signal, until};
use crate::support::saved;
use std::process::Stdio;

/// A loop that tracks values of every kind, and says at its end what they are.
const LOOP: &str = r#"
fn params() { #{output_dir: "exps", exp_name: "own", steps: 6, pause: 0.0} }
fn main(cfg) {
    let run = train::run(cfg);
    let mean = torch::zeros([3]);
    run.track("mean", mean);
    run.track("best", 1.0);
    run.track("count", 0);
    run.track("history", []);
    run.track("notes", #{first: "none", tensors: [torch::zeros([2])]});
    for i in run.resume()..cfg.steps {
        mean.add_(1.0);
        run.best = run.best / 2;
        run.count += 1;
        run.history.push(i);
        run.notes.first = `step ${i}`;
        run.notes.tensors[0][1] = i;
        run.step = i + 1;
        if cfg.pause > 0.0 { let t = timestamp(); while t.elapsed < cfg.pause { } }
        if run.stopping() { break; }
    }
    run.finish();
    print(`${mean.to_array()} ${run.mean.to_array()} ${run.best} ${run.count} ${run.history} ${run.notes.first} ${run.notes.tensors[0].to_array()}`);
}
"#;

#[test]
fn tracked_values_are_restored() {
    let place = Place::new(&[("own.rhai", LOOP)]);
    let run = |steps: &str| parts(place.command(&["run", "own.rhai", "--device", "cpu", "--steps", steps]).output().unwrap());
    let (code, out, err) = run("2");
    assert_eq!((code, out.as_str()), (0, "[2.0, 2.0, 2.0] [2.0, 2.0, 2.0] 0.25 2 [0, 1] step 1 [0.0, 1.0]\n"), "{err}");
    assert_eq!(saved(&place.path("exps/own")), [2], "finish saves");
    let (code, out, err) = run("4");
    assert_eq!((code, out.as_str()), (0, "[4.0, 4.0, 4.0] [4.0, 4.0, 4.0] 0.0625 4 [0, 1, 2, 3] step 3 [0.0, 3.0]\n"), "{err}");
}

#[test]
fn what_has_no_state_is_refused_with_its_place() {
    let place = Place::new(&[(
        "t.rhai",
        "fn main() {\n    let run = train::run(#{output_dir: \"exps\", exp_name: \"x\"});\n    run.track(\"a\", #{list: [1, nn::linear(1, 1)]});\n}\n",
    )]);
    let (code, _, err) = place.lathe(&["run", "t.rhai", "--device", "cpu"]);
    assert!(code == 1 && err.contains("`a.list[1]` is module, which has no state") && err.contains("t.rhai:3"), "{err}");
    place.write(
        "u.rhai",
        "fn main() {\n    let run = train::run(#{output_dir: \"exps\", exp_name: \"y\"});\n    run.track(\"best\", 1);\n    run.bst = 2;\n}\n",
    );
    let (code, _, err) = place.lathe(&["run", "u.rhai", "--device", "cpu"]);
    assert!(code == 1 && err.contains("the run has no `bst`, did you mean `best`?"), "{err}");
}

#[test]
fn an_interrupt_lets_an_own_loop_save() {
    let place = Place::new(&[("own.rhai", LOOP)]);
    for name in ["-INT", "-TERM"] {
        let mut c = place.command(&["run", "own.rhai", "--device", "cpu", "--steps", "100000", "--pause", "0.02"]);
        let child = c.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let status = || std::fs::read_to_string(place.path("exps/own/run.json")).unwrap_or_default();
        until("the loop", 60, || status().contains("running"));
        std::thread::sleep(std::time::Duration::from_millis(600));
        signal(&child, name);
        let (code, out, err) = parts(child.wait_with_output().unwrap());
        assert_eq!(code, 130, "{out} {err}");
        let steps = saved(&place.path("exps/own")).last().copied().unwrap();
        assert!(out.contains(&format!("step {}", steps - 1)) && status().contains("stopped"), "{out} {err}");
    }
}
