//! What an attached prompt tells: values that the next step overwrites, and the variables where a step or a line failed.

use super::job::Job;
use super::terminal;
use crate::support::process::{Place, until};

const SCRIPT: &str = r#"
fn params() { #{output_dir: "", exp_name: "try1", learning_rate: 0.01, steps: 1_000_000} }
fn main(cfg) {
    let run = train::run(cfg);
    run.track("net", nn::linear(4, 1));
    run.track("opt", optim::adamw(run.net, #{lr: cfg.learning_rate}));
    train::fit(run, (), "step", #{steps: cfg.steps, log_every: 1, save_every: 0});
}
fn half(x) { let part = 2; x / part }
fn step(run, batch) {
    let cfg = run.cfg;
    run.opt.lr = cfg.learning_rate * half(2.0);
    let loss = run.net.forward(torch::randn([8, 4])).square().mean();
    run.opt.zero_grad();
    loss.backward();
    run.opt.step();
    let i = 0;
    while i < 2000 { i += 1; }
    #{loss: loss}
}
"#;

#[test]
fn what_the_next_step_overwrites_is_told() {
    let job = Job::watched(SCRIPT);
    let (code, out, err) = job.eval("run.opt.lr = 0.5");
    let want = "t.rhai:12 sets `opt.lr` in every step; set `run.cfg.learning_rate` instead";
    assert!(code == 0 && out.contains("recorded as edit 1") && out.contains(want), "{out} {err}");
    let (_, out, err) = job.eval("run.cfg.learning_rate = 0.25");
    assert!(out.contains("run.cfg.learning_rate 0.01 -> 0.25") && !out.contains("instead"), "{out} {err}");
    let (_, out, err) = job.eval("run.opt.groups[0].weight_decay = 0.5;");
    assert!(!out.contains("in every step"), "{out} {err}");
}

#[test]
fn what_only_the_next_step_shows_is_told_then() {
    let text = SCRIPT.replace("run.opt.lr = cfg.learning_rate * half(2.0);", "set_rate(run.opt, cfg.learning_rate);");
    let job = Job::watched(&(text + "fn set_rate(o, rate) { o.lr = rate; }\n"));
    let (_, out, err) = job.eval("run.opt.lr = 0.5");
    assert!(out.contains("recorded as edit 1") && !out.contains("every step"), "{out} {err}");
    let want = "`opt.lr` was typed as 0.5, but the next step made it 0.01";
    until("the note in the log", 60, || job.log().contains(want));
    let (_, out, err) = job.eval("1");
    assert!(out.contains(want), "{out} {err}");
    assert!(!job.eval("1").1.contains(want), "said once");
}

#[test]
fn debug_shows_the_variables_of_a_failed_step() {
    let job = Job::watched(SCRIPT);
    let text = SCRIPT.replace("let part = 2; x / part", "let part = [2.0]; let wide = 7; x / part");
    job.place.write("t.rhai", &text);
    until("the failure", 60, || job.log().contains("is tried again at the next save"));
    let weight = job.eval("net.state().weight.sum().item()").1;
    let (code, out, err) = job.eval(":debug");
    assert!(code == 0, "{out} {err}");
    for word in ["t.rhai:9", "part = [2.0]", "wide = 7", "x = 2.0", "t.rhai:12", "cfg = #{", "run = run `try1`"] {
        assert!(out.contains(word), "{word}: {out}");
    }
    assert_eq!(job.eval("net.state().weight.sum().item()").1, weight, "nothing of the run has changed");
    job.place.write("t.rhai", SCRIPT);
    let steps = job.steps();
    until("more steps", 60, || job.steps() > steps + 2);
    let (code, _, err) = job.eval(":debug");
    assert!(code == 1 && err.contains("no line has failed"), "{err}");
}

#[test]
fn debug_shows_the_variables_of_a_failed_line() {
    let place = Place::new(&[]);
    // From a pipe nothing is run behind a failure, so the lines are typed on a terminal.
    let mut session = crate::support::process::on_terminal(terminal(place.command(&["repl"])));
    for line in ["fn f(a) { let b = a * 2; let c = [b]; c + 1.5 }", "let x = 4;", "f(x)"] {
        session.until("lathe> ");
        session.line(line);
    }
    session.until("does not work between");
    session.until("lathe> ");
    session.line(":debug");
    session.until("b = 8");
    session.until("c = [8]");
    session.until("lathe> ");
    session.line("locals.b + 1");
    session.until("9");
}
