//! `--max-memory`: what asks for too much gets an error, what grows without asking ends the run with a checkpoint, and nothing waits for
//! the kernel's killer.

use crate::support::process::{Place, parts};
use crate::support::saved;
use std::io::Write;

/// A limit that a script without tensors is well below.
const LIMIT: &str = "600M";

fn run(place: &Place, flags: &[&str]) -> (i32, String, String) {
    place.lathe(&[&["run", "--max-memory", LIMIT, "s.rhai", "--device", "cpu"], flags].concat())
}

fn ends(text: &str, wanted: &[&str]) -> String {
    let (code, out, err) = run(&Place::new(&[("s.rhai", text)]), &[]);
    assert_eq!(code, 1, "{out} {err}");
    assert_eq!(err.lines().filter(|l| l.starts_with("error[E0203]")).count(), 1, "one message: {err}");
    wanted.iter().for_each(|w| assert!(err.contains(w), "no `{w}` in {err}"));
    assert!(!err.contains("interrupted") && !err.contains("panicked"), "{err}");
    out
}

#[test]
fn an_operator_over_the_limit_says_line_size_and_remedy() {
    ends(
        "fn main(cfg) {\n    let x = torch::zeros([1000, 1000]);\n    let y = torch::zeros([1_000_000_000]);\n}\n",
        &["s.rhai:3:", "3.7 GiB are asked for", "over the memory limit of 600.0 MiB", "--max-memory SIZE"],
    );
    // Also by broadcasting, repetition, in the middle of an operator, and in a backward pass.
    ends("fn main(cfg) { let x = torch::arange(40000); x.unsqueeze(1) * x.unsqueeze(0); }\n", &["s.rhai:1:", "over the memory limit"]);
    ends("fn main(cfg) { torch::eye(60).float().repeat([2000, 2000]); }\n", &["over the memory limit"]);
    ends("fn main(cfg) { F::one_hot(torch::tensor([0, 2_000_000_000])); }\n", &["over the memory limit"]);
    ends(
        "fn main(cfg) { let x = torch::ones([9000, 1], #{requires_grad: true}); let y = x @ torch::ones([1, 9000]); y.exp().exp().sum().backward(); }\n",
        &["over the memory limit"],
    );
}

#[test]
fn an_operator_that_was_refused_can_be_caught_and_less_works() {
    let place = Place::new(&[(
        "s.rhai",
        "fn main(cfg) {
            let code = \"\";
            for i in 0..100 { try { torch::zeros([1_000_000_000]) } catch (e) { code = e.code; } }
            let kept = [];
            let refused = 0;
            for i in 0..100 { try { kept.push(torch::ones([4_000_000])) } catch (e) { refused += 1; } }
            print(`${code} ${kept.len() > 10 && kept.len() < 40} ${refused + kept.len()}`);
            kept.clear();
            print(torch::ones([40_000_000]).sum().item());
        }",
    )]);
    let (code, out, err) = run(&place, &[]);
    assert_eq!((code, out.as_str()), (0, "E0203 true 100\n40000000.0\n"), "{err}");
}

#[test]
fn values_of_a_script_that_fill_the_memory_end_it_with_the_line() {
    // One string or array has limits of its own; many together have not.
    let text = "fn main(cfg) {
    try { hold(100); } catch { print(\"caught\"); }
    print(\"went on\");
}
fn hold(n) {
    let s = \"x\";
    for i in 0..25 { s += s; }
    let t = torch::zeros([2]);
    hold(n - 1) + s.len()
}
";
    assert_eq!(ends(text, &["s.rhai:8:", "are in use, over the memory limit of 600.0 MiB", "--max-memory SIZE"]), "");
}

#[test]
fn one_call_that_fills_the_memory_ends_the_process_with_a_word() {
    let text = "fn main(cfg) {
    let s = \"x\";
    for i in 0..27 { s += s; }
    let t = torch::zeros([2]);
    s.split(\"\");
    print(\"went on\");
}
";
    assert_eq!(ends(text, &["s.rhai:", "are in use, over the memory limit of 600.0 MiB", "the process ends"]), "");
}

/// A run whose fifth step needs more than there is.
const STEPS: &str = r#"
fn params() { #{output_dir: "exps", exp_name: "m", big: 1_000_000_000, how: "tensor"} }
fn step(run, batch) {
    if run.step == 4 {
        if run.cfg.how == "tensor" { torch::zeros([run.cfg.big]); }
        if run.cfg.how == "values" { hold(run.cfg.big / 10_000_000); }
        if run.cfg.how == "late" { run.w.add_(1); torch::zeros([run.cfg.big]); }
    }
    run.w.add_(1);
    #{loss: run.w.mean()}
}
fn hold(n) {
    if n == 0 { return 0; }
    let s = "x";
    for i in 0..25 { s += s; }
    hold(n - 1) + s.len()
}
fn main(cfg) {
    let run = train::run(cfg);
    run.track("w", torch::zeros([3]));
    train::fit(run, (), "step", #{steps: 8, log_every: 1, save_every: 2});
    print(run.w.to_array());
}
"#;

#[test]
fn a_step_without_memory_saves_the_steps_before_it_and_the_run_goes_on() {
    for (how, wanted) in [("tensor", "out of memory in step 5: step 4 is saved"), ("values", "step 4 is saved")] {
        let place = Place::new(&[("s.rhai", STEPS)]);
        let (code, out, err) = run(&place, &["--how", how]);
        assert!(code == 1 && err.contains("error[E0203]") && err.contains(wanted) && !err.contains("interrupted"), "{how}: {out} {err}");
        assert_eq!(saved(&place.path("exps/m")), [2, 4], "{how}: {err}");
        let status = place.read("exps/m/run.json");
        assert!(status.contains("\"failed\"") && status.contains("out of memory"), "{how}: {status}");
        assert!(place.read("exps/m/log.txt").contains("over the memory limit"), "{how}");
        let (code, out, err) = run(&place, &["--how", how, "--big", "1000"]);
        assert_eq!((code, out.as_str()), (0, "[8.0, 8.0, 8.0]\n"), "{how}: {err}");
    }
    // Half a step is never saved.
    let place = Place::new(&[("s.rhai", STEPS)]);
    let (code, _, err) = run(&place, &["--how", "late"]);
    assert!(code == 1 && err.contains("had changed the weights") && err.contains("step 4 is saved"), "{err}");
    assert_eq!(saved(&place.path("exps/m")), [2, 4]);
}

#[test]
fn an_archive_whose_arrays_add_up_to_more_than_there_is_is_refused() {
    let place = Place::new(&[("s.rhai", "fn main(cfg) { let all = io::load(\"bomb.npz\"); print(all.len()); }\n")]);
    let mut zip = zip::ZipWriter::new(std::fs::File::create(place.path("bomb.npz")).unwrap());
    let deflated = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    let (count, zeros) = (40_000_000, vec![0_u8; 1 << 20]);
    for i in 0..5 {
        zip.start_file(format!("a{i}.npy"), deflated).unwrap();
        let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({count},), }}");
        let header = format!("{header:<117}\n");
        zip.write_all(&[b"\x93NUMPY\x01\x00".as_slice(), &(header.len() as u16).to_le_bytes(), header.as_bytes()].concat()).unwrap();
        let mut left = 4 * count;
        while left > 0 {
            let n = left.min(zeros.len());
            zip.write_all(&zeros[..n]).unwrap();
            left -= n;
        }
    }
    zip.finish().unwrap();
    assert!(std::fs::metadata(place.path("bomb.npz")).unwrap().len() < 2 << 20);
    let (code, out, err) = run(&place, &[]);
    assert!(code == 1 && err.contains("error[E0203]") && err.contains("bomb.npz") && err.contains("over the memory limit"), "{out} {err}");
    let (code, out, err) = place.lathe(&["run", "--max-memory", "none", "s.rhai", "--device", "cpu"]);
    assert_eq!((code, out.as_str()), (0, "5\n"), "{err}");
}

#[test]
fn the_limit_is_read_before_and_after_the_script_and_told_by_doctor() {
    let place = Place::new(&[
        ("s.rhai", "fn main(cfg) { torch::zeros([200_000_000]); print(\"made\"); }\n"),
        ("own.rhai", "fn params() { #{max_memory: 3} } fn main(cfg) { print(cfg.max_memory); }\n"),
        ("t.rhai", "fn test_it() { torch::zeros([200_000_000]); }\n"),
    ]);
    for (args, wanted) in [
        (&["run", "--max-memory", "600M", "s.rhai"][..], (1, "")),
        (&["run", "s.rhai", "--max-memory", "600M"], (1, "")),
        (&["run", "s.rhai", "--max-memory=none"], (0, "made\n")),
        (&["--max-memory", "4G", "run", "s.rhai"], (0, "made\n")),
        // A script's own setting of that name stays its own.
        (&["run", "own.rhai", "--max-memory", "5"], (0, "5\n")),
        (&["run", "s.rhai", "--max-memory", "lots"], (2, "")),
        (&["--max-memory", "8192", "run", "s.rhai"], (2, "")),
        (&["repl", "--max-memory", "600M", "-e", "torch::zeros([200_000_000]).shape"], (1, "")),
    ] {
        let (code, out, err) = parts(place.command(args).output().unwrap());
        assert_eq!((code, out.as_str()), wanted, "{args:?}: {err}");
    }
    let (code, _, err) = place.lathe(&["test", "--max-memory", "600M", "t.rhai"]);
    assert!(code == 1 && err.contains("over the memory limit"), "{err}");
    let (_, out, _) = place.lathe(&["doctor"]);
    assert!(out.contains("memory") && out.contains("a command may use"), "{out}");
    let (_, out, _) = place.lathe(&["doctor", "--max-memory", "600M"]);
    assert!(out.contains("a command may use 600.0 MiB"), "{out}");
}
