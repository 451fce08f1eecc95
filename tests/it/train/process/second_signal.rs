//! The second signal ends the process at once, whatever it does; the run's checkpoint stays.

use crate::support::process::{Place, parts, signal, until};
use crate::support::saved;
use std::io::Read;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// Two steps that are saved, and one in a call that looks at nothing for minutes.
const SCRIPT: &str = r#"
fn params() { #{output_dir: "exps", exp_name: "long"} }
fn step(run, batch) {
    run.w.add_(1);
    if run.step == 2 { torch::randn([8000, 8000]) @ torch::randn([8000, 8000]); }
    #{loss: run.w.mean()}
}
fn main(cfg) {
    let run = train::run(cfg);
    run.track("w", torch::zeros([3]));
    train::fit(run, (), "step", #{steps: 8, log_every: 0, save_every: 1});
}
"#;

fn ends_within(mut child: Child, seconds: u64) -> (i32, Duration) {
    let start = Instant::now();
    until("the end", seconds, || child.try_wait().unwrap().is_some());
    (child.wait().unwrap().code().unwrap_or(-1), start.elapsed())
}

#[test]
fn a_second_signal_ends_an_operator_at_once_and_keeps_the_checkpoint() {
    for (names, want) in [(["-INT", "-INT"], 130), (["-TERM", "-TERM"], 143), (["-INT", "-TERM"], 143)] {
        let place = Place::new(&[("s.rhai", SCRIPT)]);
        let mut c = place.command(&["run", "s.rhai", "--device", "cpu"]);
        let child = c.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        until("two steps", 60, || saved(&place.path("exps/long")) == [1, 2]);
        std::thread::sleep(Duration::from_millis(300));
        signal(&child, names[0]);
        std::thread::sleep(Duration::from_millis(300));
        signal(&child, names[1]);
        assert_eq!(ends_within(child, 10).0, want, "{names:?}");
        assert_eq!(saved(&place.path("exps/long")), [1, 2]);
        let (code, out, err) = place.lathe(&["repl", "--load", "exps/long", "-e", "ckpt.step"]);
        assert!(code == 0 && out.trim() == "2", "{out} {err}");
    }
}

#[test]
fn a_second_signal_needs_nobody_who_reads_what_is_said() {
    let place = Place::new(&[("s.rhai", "fn main(cfg) { let s = \"x\"; s.pad(1000, 'y'); loop { debug(s); } }\n")]);
    let mut c = place.command(&["run", "s.rhai", "--device", "cpu"]);
    // A pipe that is full: whoever says something waits for ever.
    let mut child = c.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut kept = child.stderr.take().unwrap();
    let mut first = [0; 1];
    kept.read_exact(&mut first).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    signal(&child, "-INT");
    std::thread::sleep(Duration::from_millis(200));
    signal(&child, "-INT");
    assert_eq!(ends_within(child, 10).0, 130);
    drop(kept);
}

#[test]
fn one_signal_ends_a_sleep_and_times_that_are_none_are_refused() {
    let place = Place::new(&[("s.rhai", "fn main(cfg) { print(\"go\"); sleep(1e6); }\n")]);
    let mut c = place.command(&["run", "s.rhai", "--device", "cpu"]);
    let mut child = c.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = [0; 3];
    child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    signal(&child, "-INT");
    let (code, _, err) = parts(child.wait_with_output().unwrap());
    assert!(code == 130 && err.contains("interrupted"), "{err}");
    for time in ["1e308", "-1.0", "-1", "0.0/0.0", "1.0/0.0", "9223372036854775807"] {
        place.write("t.rhai", &format!("fn main(cfg) {{\n    sleep({time});\n}}\n"));
        let (code, _, err) = place.lathe(&["run", "t.rhai"]);
        assert!(code == 1 && err.contains("error[E0202]") && err.contains("t.rhai:2") && err.contains("sleep: the time must be"), "{time}: {err}");
    }
}
