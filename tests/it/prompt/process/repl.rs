//! The prompt by the `lathe` binary: through a pipe, and through a real pseudo-terminal.

use super::terminal;
use crate::support::process::on_terminal;
use crate::support::process::{self, parts};
use crate::terminal::Terminal;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

struct Place(process::Place);

impl Place {
    fn new(files: &[(&str, &str)]) -> Self {
        Place(process::Place::new(files))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut c = terminal(self.0.command(args));
        c.env("LATHE_HISTORY", self.path("history"));
        c
    }

    /// Exit code, stdout and stderr of lines that come through a pipe.
    fn pipe(&self, args: &[&str], text: &str) -> (i32, String, String) {
        let mut child = self.command(args).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        parts(child.wait_with_output().unwrap())
    }

    fn repl(&self, args: &[&str]) -> Terminal {
        let mut t = on_terminal(self.command(&[&["repl"], args].concat()));
        t.until("lathe> ");
        t
    }
}

/// Types a line, and waits for a text of what it says and for the next prompt.
fn line(t: &mut Terminal, line: &str, want: &str) {
    t.keys(&format!("{line}\r"));
    t.until(want);
    t.until("lathe> ");
}

#[test]
fn a_pipe_runs_statement_by_statement() {
    let p = Place::new(&[]);
    let text = "let x = 40;\nfn add(a) {\n  a + 2\n}\nadd(x)\n_ * 2\nit[-2]\nlet s = \"a\";\n#{k: [1, 2.5, s, true], t: torch::arange(0, 3)}\nx;\n";
    let (code, out, err) = p.pipe(&["repl"], text);
    assert_eq!((code, out.as_str(), err.as_str()), (0, "42\n84\n42\n#{k: [1, 2.5, \"a\", true], t: tensor[3] i64 [0, 1, 2]}\n", ""), "{err}");
    // The first error ends it, with the place in what was typed.
    let (code, out, err) = p.pipe(&["repl"], "let apple = 1;\nappel + 1\nprint(\"never\")\n");
    assert!(code == 1 && out.is_empty() && !err.contains("never"), "{code} {out}");
    assert!(err.contains("unknown variable `appel`, did you mean `apple`?") && err.contains("--> repl:2:1") && err.contains("^^^^^"), "{err}");
    let (code, out, err) = p.pipe(&["repl", "-e", "1 + 1", "-e", "torch::zeros([2, 3]) + 1"], "");
    assert_eq!((code, out.as_str()), (0, "2\ntensor[2, 3] f32 n=6 all 1\n"), "{err}");
    let (code, _, err) = p.pipe(&["repl", "-e", "torch::zeros([2, 3]).matmul(torch::zeros([2, 3]))"], "");
    assert!(code == 1 && err.contains("matmul"), "{code} {err}");
}

#[test]
fn what_is_typed_stays_and_functions_see_variables() {
    let p = Place::new(&[]);
    let text = "let x = 1\nfn f() { x + 1 }\nf()\nlet x = 10\nf()\nlet c = |a| a + x\nc.call(5)\nimport \"std/flow\" as flow\n\
                fn g(t) { flow::interpolate(\"linear\", torch::ones([2, 1, 1, 1]), torch::zeros([2, 1, 1, 1]), t).x_t.flatten() }\ng(torch::tensor([0.25, 0.25]))\nfn f() { x + 2 }\nf()\n";
    let (code, out, err) = p.pipe(&["repl"], text);
    assert_eq!((code, out.as_str()), (0, "2\n11\n15\ntensor[2] f32 [0.75, 0.75]\n12\n"), "{err}");
    // Five times the same name keeps one tensor: 5 x 64 MB would be seen.
    let text = "let x = torch::zeros([16, 1024, 1024]);\n".repeat(5) + ":mem\n";
    let (code, out, err) = p.pipe(&["repl"], &text);
    assert!(code == 0 && out.contains("cpu      1 tensors in variables, 64.0 MiB"), "{out} {err}");
    let rss: f64 = out.lines().last().unwrap().split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(rss < 400.0 || out.contains("GiB"), "{out}");
}

#[test]
fn errors_point_into_functions_typed_earlier() {
    let p = Place::new(&[]);
    let (code, _, err) = p.pipe(&["repl"], "let a = 1\nfn broken(x) {\n    x.no_such()\n}\nlet b = 2\nbroken(b)\n");
    assert!(code == 1 && err.contains("repl:3:7") && err.contains("x.no_such()") && err.contains("`broken` called here"), "{err}");
    let (_, _, err) = p.pipe(&["repl"], "torch::zeross([1])");
    assert!(err.contains("did you mean `zeros`?") && err.contains("repl:1:1"), "{err}");
    let (_, _, err) = p.pipe(&["repl"], "import \"std/flwo\" as flow");
    assert!(err.contains("did you mean `flow`?") && err.contains("repl:1:8"), "{err}");
    let (_, _, err) = p.pipe(&["repl"], "let y = 1 +* 2");
    assert!(err.contains("repl:1:12"), "{err}");
}

#[test]
fn commands_tell_of_functions_and_variables() {
    let p = Place::new(&[("lib.rhai", "/// Twice a number.\nfn twice(x) {\n    2 * x\n}\nfn main() { }\n")]);
    let (code, out, err) = p.pipe(&["repl", "lib.rhai"], "twice(4)\n:doc twice\n:src twice\n:doc torch::zeros\nlet z = torch::zeros([2]);\n:doc z.reshape\n:vars\n:p torch::ones([2, 2])\n:time 1 + 1\n:help\n");
    assert_eq!(code, 0, "{err}");
    for want in [
        "8\n",
        "twice(x)\nTwice a number.",
        "fn twice(x) {\n    2 * x\n}",
        "torch::zeros(",
        "tensor.reshape(",
        "z  tensor[2] f32 [0, 0]",
        "[[1.0000, 1.0000],\n [1.0000, 1.0000]]",
        "took ",
        ":doc NAME",
    ] {
        assert!(out.contains(want), "`{want}` in {out}");
    }
    let (code, out, err) = p.pipe(&["repl"], "let x = 3\n:save lines.rhai\n");
    assert!(code == 0 && out.contains("lines.rhai: 1 lines"), "{out} {err}");
    let (code, out, err) = p.pipe(&["repl"], ":load lines.rhai\nx + 1\n");
    assert_eq!((code, out.as_str()), (0, "4\n"), "{err}");
    let (code, _, err) = p.pipe(&["repl"], ":dco x\n");
    assert!(code == 1 && err.contains("did you mean `:doc`?"), "{err}");
    let (code, _, err) = p.pipe(&["repl"], ":doc matmull\n");
    assert!(code == 1 && err.contains("did you mean `matmul`?"), "{err}");
}

#[test]
fn completion_offers_what_fits() {
    let p = Place::new(&[("data.txt", "")]);
    let mut t = p.repl(&[]);
    t.keys("torch::ze\t");
    t.until("torch::zeros");
    t.keys("([2, 3])\r");
    t.until("tensor[2, 3] f32");
    t.until("lathe> ");
    line(&mut t, "let picture = torch::ones([4, 4]); let cfg = #{rate: 0.5, depth: 2};", "");
    t.keys("picture.resh\t");
    t.until("picture.reshape(");
    t.keys("[16])\r");
    t.until("tensor[16]");
    t.until("lathe> ");
    t.keys("cfg.dep\t");
    t.until("cfg.depth");
    t.keys("\r");
    t.until("2");
    t.until("lathe> ");
    t.keys("import \"std/fl\t");
    t.until("std/flow");
    t.keys("\" as flow\r");
    t.until("lathe> ");
    t.keys("flow::interp\t");
    t.until("flow::interpolate(");
    t.keys("\x03");
    t.until("lathe> ");
    t.keys("\"da\t");
    t.until("data.txt");
    t.keys("\"\r");
    t.until("lathe> ");
    t.keys(":va\t");
    t.until(":vars");
    t.keys("\r");
    t.until("picture");
    t.until("lathe> ");
    // Several possibilities are listed with what they take.
    t.keys("torch::zero\t\t");
    t.until("torch::zeros(");
    t.keys("\x03");
    t.until("lathe> ");
    // The prompt above may be the one that is drawn again below the list; what is typed while it goes is lost.
    std::thread::sleep(Duration::from_millis(500));
    t.keys(":quit\r");
    t.end();
}

#[test]
fn lines_go_on_and_history_is_kept_and_searched() {
    let p = Place::new(&[]);
    let mut t = p.repl(&[]);
    t.keys("let a = [1,\r");
    t.keys("2, 3];\r");
    t.until("lathe> ");
    line(&mut t, "a.len() + 39", "42");
    line(&mut t, "let other = 7;", "");
    // Up goes through the lines that begin alike.
    t.keys("a.\x1b[A");
    t.until("len() + 39");
    t.keys("\r");
    t.until("42");
    t.until("lathe> ");
    // A pasted session loses its prompts.
    t.keys("\x1b[200~lathe> let p = 20\nlathe> p + 1\n21\n\x1b[201~\r");
    t.until("21");
    t.until("lathe> ");
    t.keys("\x04");
    t.end();
    let history = std::fs::read_to_string(p.path("history")).unwrap();
    assert!(history.contains("a.len() + 39") && history.contains("let other = 7;"), "{history}");
    // Another session finds it with Ctrl-R.
    let mut t = p.repl(&[]);
    t.keys("\x12other");
    t.until("let other = 7;");
    t.keys("\r");
    t.until("lathe> ");
    line(&mut t, "other", "7");
}

#[test]
fn control_c_stops_the_script_and_keeps_variables() {
    let p = Place::new(&[]);
    let mut t = p.repl(&[]);
    line(&mut t, "let kept = 123;", "");
    t.keys("let n = 0; loop { n += 1; }\r");
    std::thread::sleep(Duration::from_millis(800));
    t.keys("\x03");
    t.until("stopped");
    t.until("lathe> ");
    line(&mut t, "kept", "123");
    line(&mut t, "n > 1000", "true");
    // Once on an empty line says how to leave, twice leaves.
    t.keys("\x03");
    t.until("leaves");
    t.until("lathe> ");
    t.keys("\x03");
    t.end();
}

#[test]
fn a_saved_script_is_taken_in() {
    let p = Place::new(&[("lib.rhai", "fn answer() { 41 }\nfn main() { }\n")]);
    let mut t = p.repl(&["lib.rhai"]);
    line(&mut t, "answer()", "41");
    std::fs::write(p.path("new"), "fn answer() { 42 }\nfn more() { answer() + 1 }\nfn main() { }\n").unwrap();
    std::fs::rename(p.path("new"), p.path("lib.rhai")).unwrap();
    line(&mut t, "answer()", "42");
    line(&mut t, "more()", "43");
    std::fs::write(p.path("lib.rhai"), "fn answer() { 42 \n").unwrap();
    t.keys("answer()\r");
    t.until("the last good version stays");
    t.until("42");
    t.until("[stale]> ");
}

#[test]
fn pictures_are_saved_and_shown() {
    let p = Place::new(&[]);
    std::fs::create_dir(p.path("tmp")).unwrap();
    let command = || {
        let mut c = p.command(&["repl"]);
        c.env("TMPDIR", p.path("tmp"));
        c
    };
    // Without a run, in a temporary folder.
    let shown = || {
        let mut all: Vec<PathBuf> = std::fs::read_dir(p.path("tmp")).unwrap().flatten().map(|e| e.path()).collect();
        all.retain(|f| f.file_name().is_some_and(|n| n.to_string_lossy().starts_with("lathe-show-")));
        all
    };
    let mut t = on_terminal(command());
    t.until("lathe> ");
    // Half blocks, as nothing tells of a terminal that can do better.
    t.keys("show(torch::rand([4, 3, 8, 8]))\r");
    t.until("\x1b[48;5;231m");
    t.until("show-0001.png");
    t.until("lathe> ");
    let picture = image::open(shown()[0].join("show-0001.png")).unwrap();
    // Four pictures in a row with two pixels around each.
    assert_eq!((picture.width(), picture.height()), (4 * 10 + 2, 12));
    let (code, out, err) = p.pipe(&["repl"], "show(torch::rand([3, 8, 8]), #{dir: \".\"})\nshow(torch::rand([8, 8]), #{dir: \".\"})\n");
    assert!(code == 0 && out.is_empty() && err.contains("show-0001.png") && err.contains("show-0002.png"), "{out} {err}");
    assert!(p.path("show-0002.png").is_file());
    let (code, _, err) = p.pipe(&["repl"], "show(torch::rand([5, 8, 8]))\n");
    assert!(code == 1 && err.contains("show"), "{err}");
}

#[test]
fn a_breakpoint_opens_the_frame() {
    let script = "import \"std/flow\" as flow;\nfn helper(x) { x * 2 }\nfn main(cfg) {\n    let local = 20;\n    breakpoint();\n    print(`after ${local}`);\n}\n";
    let p = Place::new(&[("b.rhai", script)]);
    let out = p.command(&["run", "b.rhai"]).output().unwrap();
    let err = String::from_utf8(out.stderr).unwrap();
    assert!(out.status.success() && err.contains("there is no terminal here; going on"), "{err}");
    let mut t = on_terminal(p.command(&["run", "b.rhai"]));
    t.until("breakpoint in b.rhai");
    t.until("b.rhai> ");
    t.keys("helper(local)\r");
    t.until("40");
    t.until("b.rhai> ");
    t.keys(":vars\r");
    t.until("cfg");
    t.until("b.rhai> ");
    t.keys("local = 77\r");
    t.until("b.rhai> ");
    t.keys("\x04");
    t.until("after 77");
    t.end();
}

#[test]
fn a_run_can_be_opened() {
    let script = "fn params() { #{output_dir: \"exps\", exp_name: \"try1\", width: 3} }\nfn net(cfg) { nn::linear(cfg.width, 2) }\nfn main(cfg) {\n    let run = train::run(cfg);\n    run.track(\"net\", net(cfg));\n    run.save();\n}\n";
    let p = Place::new(&[("t.rhai", script)]);
    let out = p.command(&["run", "t.rhai"]).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    std::fs::remove_file(p.path("t.rhai")).unwrap();
    let text = "ckpt.step\ncfg.width\nlet n = net(cfg); ckpt.load(\"net\", n); n.state().weight.shape\n";
    let (code, out, err) = p.pipe(&["repl", "--load", "exps/try1"], text);
    assert_eq!((code, out.as_str()), (0, "0\n3\n[2, 3]\n"), "{err}");
    let (code, _, err) = p.pipe(&["repl", "--load", "exps/none"], text);
    assert!(code == 1 && err.contains("exps/none"), "{err}");
}

#[test]
fn slow_lines_say_how_long_they_took() {
    let p = Place::new(&[]);
    let (code, out, err) = p.pipe(&["repl"], "sleep(1.2);\nsleep(0.1);\n1\n");
    let lines: Vec<&str> = out.lines().collect();
    assert!(code == 0 && lines.len() == 2 && lines[1] == "1", "the slow line alone says it: {out} {err}");
    let seconds: f64 = lines[0].strip_prefix("took ").and_then(|t| t.strip_suffix(" s")).unwrap().parse().unwrap();
    assert!((1.2..10.0).contains(&seconds), "{out}");
}

#[test]
fn training_works_at_the_prompt() {
    let script = "fn params() { #{exp_name: \"a\", seed: arg(1, \"\")} }\nfn main(cfg) { }\nfn step(run, batch) {\n    let loss = run.net.forward(torch::ones([1, 2])).square().mean();\n    #{loss: loss}\n}\nfn short(run) { #{loss: 2.0} }\n";
    let p = Place::new(&[("t.rhai", script)]);
    let begin =
        "assert_eq([cfg.seed, cfg.device, cfg.dtype], [1, \"cpu\", \"f32\"]);\nlet run = train::run(cfg);\nrun.track(\"net\", nn::linear(2, 1));\n";
    let lines = "train::fit(run, (), \"step\", #{steps: 3, log_every: 1})\nrun.step\n\
                 let weight = 5.0;\nfn mine(run, batch) { #{loss: weight} }\ntrain::fit(run, (), \"mine\", #{steps: 5, log_every: 1, on_sample: \"short\", sample_every: 5})\nrun.step\n\
                 train::metrics(run.dir)[-1].loss\nlet f = hot(\"mine\"); f.call(run, ()).loss\n";
    let (code, out, err) = p.pipe(&["repl", "t.rhai"], &format!("{begin}{lines}"));
    assert_eq!((code, out.as_str()), (0, "true\n3\ntrue\n5\n5.0\n5.0\n"), "{err}");
    for (line, want) in [
        ("train::fit(run, (), \"stepp\", #{steps: 6})", "this prompt has no function `stepp`, did you mean `step`?"),
        ("train::fit(run, (), \"main\", #{steps: 6, on_log: \"short\"})", "`short` has 1 parameters, and 2 are needed"),
        ("hot(\"nothing\")", "this prompt has no function `nothing`"),
    ] {
        let (code, _, err) = p.pipe(&["repl", "t.rhai"], &format!("{begin}{line}\n"));
        assert!(code == 1 && err.contains(want) && err.contains("lathe repl SCRIPT") && err.contains("--> repl:"), "{line}: {err}");
    }
}

#[test]
fn it_starts_soon() {
    let p = Place::new(&[]);
    let time = |args: &[&str]| {
        let start = Instant::now();
        assert_eq!(p.pipe(args, "").0, 0);
        start.elapsed()
    };
    // Loading libtorch is every verb's; other tests run beside this one, so that the best of five counts.
    let (mut prompt, mut process) = (Duration::MAX, Duration::MAX);
    for _ in 0..5 {
        prompt = prompt.min(time(&["repl"]));
        process = process.min(time(&["--version"]));
    }
    let own = prompt.saturating_sub(process);
    assert!(own < Duration::from_millis(300), "the prompt takes {own:?} more than a process, which takes {process:?}");
}
