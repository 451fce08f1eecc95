//! `lathe attach` on real runs in other processes: live objects, edits on record, and clients that misbehave.

use super::job::{self, Job};
use crate::support::process::on_terminal;
use crate::support::process::{signal, until};
use crate::terminal::Terminal;
use lathe::script::prompt::answer::Mode;
use lathe::script::prompt::attached::{Call, Got, Reply, Want};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

const SCRIPT: &str = r#"
fn params() { #{output_dir: "", exp_name: "try1", lr: 0.01, steps: 1_000_000} }
fn double(x) { 2 * x }
fn main(cfg) {
    let run = train::run(cfg);
    run.track("net", nn::linear(4, 1));
    run.track("opt", optim::adamw(run.net, #{lr: cfg.lr}));
    train::fit(run, (), "step", #{steps: cfg.steps, log_every: 1, save_every: 0});
}
fn step(run, batch) {
    let loss = run.net.forward(torch::randn([8, 4])).square().mean();
    run.opt.zero_grad();
    loss.backward();
    run.opt.step();
    let i = 0;
    while i < 2000 { i += 1; }
    #{loss: loss}
}
"#;

fn wait(what: &str, done: impl FnMut() -> bool) {
    until(what, 60, done);
}

/// A line for a run, as `lathe attach` sends it.
fn request(id: u64, text: &str) -> String {
    let want = Want::Eval { text: text.to_owned(), mode: Mode::Plain, color: false, seconds: 60 };
    serde_json::to_string(&Call { id, want }).unwrap() + "\n"
}

/// The value of a line, by the socket itself: without the time that a process takes to start.
fn value(run: &Path, text: &str) -> String {
    let mut stream = lathe::train::attach::connect(run).unwrap();
    stream.write_all(request(1, text).as_bytes()).unwrap();
    for line in BufReader::new(stream).lines() {
        if let Got::Answer(answer) = serde_json::from_str::<Reply>(&line.unwrap()).unwrap().got {
            return answer.shown.or(answer.error).unwrap_or_default();
        }
    }
    panic!("no answer to {text}");
}

#[test]
fn live_objects_are_read_and_changed_and_changes_recorded() {
    let job = Job::with(SCRIPT);
    let (code, out, err) = job.eval("1+1");
    assert_eq!((code, out.as_str()), (0, "2\n"), "{err}");
    let (code, out, err) = job.eval("net.state().weight");
    assert!(code == 0 && out.starts_with("tensor[1, 4] f32"), "{out} {err}");
    let (_, out, _) = job.eval("double(21)");
    assert_eq!(out, "42\n", "the script's functions are there");
    let (_, out, _) = job.eval("print(\"here\"); run.step > 0");
    assert_eq!(out, "here\ntrue\n", "what a line prints goes to whoever typed it");
    assert_eq!(job.eval("let y = 5; fn f(a) { y + a + run.step * 0 } f(2)").1, "7\n", "typed functions see the prompt's variables");
    assert!(job.edits().is_empty(), "looking is no edit");

    let (code, out, err) = job.eval("run.opt.lr = 0.0005");
    assert!(code == 0 && out.contains("recorded as edit 1: opt.lr 0.01 -> 0.0005"), "{out} {err}");
    assert_eq!(job.eval("opt.lr").1, "0.0005\n", "another client sees it");
    let (_, out, err) = job.eval("run.cfg.lr = 0.25");
    assert!(out.contains("run.cfg.lr 0.01 -> 0.25"), "{out} {err}");
    let (_, out, err) = job.eval("torch::no_grad(|| net.parameters()[0].mul_(2.0));");
    assert!(out.contains("net.weight in place") && !out.contains("tensor["), "{out} {err}");
    let edits = job.edits();
    assert!(edits.len() == 3 && edits[0].contains("\"text\": \"run.opt.lr = 0.0005\"") && edits[0].contains("\"kind\": \"typed\""), "{edits:?}");
    assert!(std::fs::read_to_string(job.run().join("log.txt")).unwrap().contains("edit typed at step"));

    let (code, _, err) = job.eval("nett");
    assert!(code == 1 && err.contains("did you mean `net`?") && err.contains(":1:1"), "{err}");
    let (code, out, err) = job.eval("show(torch::rand([3, 8, 8]))");
    assert!(code == 0 && out.contains("samples/show-0001.png") && job.run().join("samples/show-0001.png").is_file(), "{out} {err}");
}

#[test]
fn weights_that_are_not_finite_are_seen() {
    let job = Job::with(SCRIPT);
    let (code, out, err) = job.eval("torch::no_grad(|| net.parameters()[0].fill_(0.0 / 0.0)); net.state().weight");
    assert!(code == 0 && out.contains("NaN! 4"), "{out} {err}");
    // The run itself notices at its next loss, and attaching then says that it is gone.
    wait("the run's end", || job.eval("1").0 == 1);
    assert!(job.eval("1").2.contains("no process works on"), "{}", job.eval("1").2);
    wait("the socket's end", || !job.run().join("attach.sock").exists());
}

#[test]
fn a_client_that_dies_or_loops_does_not_stall_the_run() {
    let job = Job::with(SCRIPT);
    let mut client = job.attach(&["-e", "loop { }"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // While it evaluates, no step is done.
    wait("the evaluation", || {
        let before = job.steps();
        std::thread::sleep(Duration::from_millis(700));
        job.steps() == before
    });
    // SIGKILL: it cannot say that it leaves.
    client.kill().unwrap();
    client.wait().unwrap();
    let before = job.steps();
    wait("more steps", || job.steps() > before + 5);
    let start = Instant::now();
    let out = job.attach(&["--limit", "1", "-e", "loop { }"]).output().unwrap();
    let err = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.code() == Some(1) && err.contains("stopped after 1 s"), "{err}");
    assert!(start.elapsed() < Duration::from_secs(30));
    assert_eq!(job.eval("1+1").1, "2\n");
}

#[test]
fn an_answer_comes_at_the_end_of_the_step_under_way() {
    let job = Job::with(&SCRIPT.replace("let i = 0;", "sleep(0.4); let i = 0;"));
    for _ in 0..3 {
        let done = job.steps();
        wait("a step", || job.steps() > done);
        // In the middle of the next step: its end answers, and not the end of the one after.
        std::thread::sleep(Duration::from_millis(100));
        let during = job.steps();
        assert_eq!(value(&job.run(), "run.step"), (during + 1).to_string());
    }
}

#[test]
fn clients_that_hang_do_not_slow_the_run() {
    let job = Job::with(SCRIPT);
    let rate = || {
        let (start, before) = (Instant::now(), job.steps());
        std::thread::sleep(Duration::from_millis(1500));
        (job.steps() - before) as f64 / start.elapsed().as_secs_f64()
    };
    let open = || lathe::train::attach::connect(&job.run()).unwrap();
    let alone = rate();
    // One that says nothing, one that stops in the middle of a line, one that never reads what it asked for.
    let silent = open();
    let mut half = open();
    half.write_all(request(1, "1 + 1").split_at(20).0.as_bytes()).unwrap();
    let mut deaf: UnixStream = open();
    for id in 0..15 {
        deaf.write_all(request(id, "let s = \"\"; s.pad(1_000_000, \"x\"); s").as_bytes()).unwrap();
    }
    wait("its lines to be answered", || value(&job.run(), "1 + 1") == "2");
    // A run that waits for one of them does no step at all; the bound leaves room for whatever else the machine does.
    let beside = rate();
    assert!(beside > alone / 4.0, "{alone:.0} steps a second without clients, {beside:.0} with them");
    assert_eq!(value(&job.run(), "2 + 2"), "4");
    drop((silent, half, deaf));
}

#[test]
fn a_run_that_does_not_step_is_not_waited_for_without_an_end() {
    let job = Job::begin(&SCRIPT.replace("train::fit", "sleep(600.0); train::fit"), &[]);
    wait("the socket", || job.run().join("attach.sock").exists());
    let start = Instant::now();
    let out = job.attach(&["--timeout", "1", "-e", "run.opt.lr = 9.0"]).output().unwrap();
    let err = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.code() == Some(1) && out.stdout.is_empty(), "{err}");
    assert!(err.contains("`try1` came to no end of a step within 1 s: nothing was evaluated") && err.contains("--timeout SECONDS"), "{err}");
    assert!(start.elapsed() < Duration::from_secs(20));
    // From a pipe as well.
    let mut child = job.attach(&["--timeout", "1"]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"1 + 1\n").unwrap();
    let out = child.wait_with_output().unwrap();
    assert!(out.status.code() == Some(1) && String::from_utf8_lossy(&out.stderr).contains("within 1 s"));
}

#[test]
fn two_clients_have_variables_of_their_own_and_share_the_run() {
    let job = Job::with(SCRIPT);
    let open = || {
        let mut t = on_terminal(job.attach(&[]));
        t.until("> ");
        t
    };
    let (mut a, mut b) = (open(), open());
    let line = |t: &mut Terminal, text: &str, want: &str| {
        t.keys(&format!("{text}\r"));
        t.until(want);
        // `try1:1 301> `
        t.until("try1:");
        t.until("> ");
    };
    line(&mut a, "let mine = 11;", "");
    line(&mut b, "let mine = 22;", "");
    line(&mut a, "run.opt.lr = 0.125", "recorded as edit 1");
    line(&mut b, "mine + 1", "23");
    line(&mut a, "mine + 1", "12");
    line(&mut b, "opt.lr", "0.125");
    line(&mut a, ":doc torch::zeros", "torch::zeros(shape");
    // Completion knows the live objects.
    a.keys("run.op\t");
    a.until("run.opt");
}

#[test]
fn a_stale_socket_is_replaced_and_none_is_left() {
    let mut job = Job::with(SCRIPT);
    // SIGKILL: the socket stays.
    job.child.kill().unwrap();
    job.child.wait().unwrap();
    assert!(job.run().join("attach.sock").exists());
    let (code, _, err) = job.eval("1");
    assert!(code == 1 && err.contains("no process works on") && err.contains("lathe repl --load"), "{err}");
    job.child = job::spawn(&job.place, &[]);
    wait("an answer", || job.eval("1+1").1 == "2\n");
    // A clean end takes it away.
    signal(&job.child, "-INT");
    job.child.wait().unwrap();
    assert!(!job.run().join("attach.sock").exists());
}
