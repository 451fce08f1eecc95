//! Prompts that are attached to a job of several ranks: a line runs on all of them.

use super::edits::{log, stop};
use super::{train, whole};
use crate::support::process::{Place, parts, until};
use std::process::Stdio;

/// Exit code, stdout and stderr of `lathe attach`.
fn attach(place: &Place, name: &str, args: &[&str]) -> (i32, String, String) {
    let run = format!("exps/{name}");
    parts(place.command(&[&["attach", &run], args].concat()).output().unwrap())
}

fn eval(place: &Place, name: &str, line: &str) -> (i32, String, String) {
    attach(place, name, &["-e", line])
}

/// How many steps the log tells.
fn steps(place: &Place, name: &str) -> usize {
    log(place, name).lines().filter(|l| l.contains("step ")).count()
}

/// How far the first parameters of the ranks are apart.
const APART: &str = "let all = dist::all_gather(net.parameters()[0]); (all[0] - all[1]).abs().max().item()";

#[test]
fn a_line_runs_on_every_rank_and_the_first_answers() {
    let place = whole();
    let name = "attached";
    let job = train(place, 2, name, &["--pause", "0.02", "--steps", "100000", "--save-every", "0"]).spawn().unwrap();
    until("steps", 120, || log(place, name).contains("step 3/"));
    let (code, out, said) = eval(place, name, "1 + 1");
    assert_eq!((code, out.as_str()), (0, "2\n"), "{said}");
    let sum = "dist::all_reduce(torch::tensor([dist::get_rank() + 1.0])).item()";
    assert_eq!(eval(place, name, sum).1, "3.0\n");
    // Each rank has its own variables, and the batch of its own rows.
    let (_, out, said) = attach(place, name, &["-e", "let y = 10.0 * (dist::get_rank() + 1);", "-e", "dist::all_reduce(torch::tensor([y])).item()"]);
    assert_eq!(out, "30.0\n", "{said}");
    assert_eq!(eval(place, name, "batch.mean.shape[0]").1, "4\n");
    let (_, out, said) = eval(place, name, "run.cfg.rate = 0.005");
    assert!(out.contains("recorded as edit 1: run.cfg.rate 0.01 -> 0.005"), "{out} {said}");
    assert_eq!(eval(place, name, "dist::all_reduce(torch::tensor([run.cfg.rate])).item() == 2 * torch::tensor([0.005]).item()").1, "true\n");
    let (code, out, said) = eval(place, name, "nett");
    assert!(code == 1 && said.contains("did you mean `net`?") && !format!("{out}{said}").contains("rank 1"), "{out} {said}");

    // What one rank alone fails at leaves no other waiting, and is told.
    let (code, out, said) = eval(place, name, "if dist::get_rank() == 1 { throw \"only here\"; } dist::barrier(); 7");
    assert!(code == 1 && format!("{out}{said}").contains("rank 1 ended with: error") && said.contains("E0802"), "{out} {said}");
    let (code, out, said) = eval(place, name, "if dist::get_rank() == 1 { torch::no_grad(|| net.parameters()[0].mul_(2.0)); }");
    assert!(code == 0 && out.contains("rank 1 changed net.") && out.contains("is that of rank 0"), "{code} {out} {said}");
    assert_eq!(eval(place, name, APART).1, "0.0\n");

    // A client whose time is up, and one that dies.
    let (code, _, said) = attach(place, name, &["--limit", "1", "-e", "if dist::get_rank() == 0 { loop { } } else { dist::barrier(); }"]);
    assert!(code == 1 && said.contains("stopped after 1 s"), "{said}");
    let mut client =
        place.command(&["attach", &format!("exps/{name}"), "-e", "loop { }"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(700));
    client.kill().unwrap();
    client.wait().unwrap();
    let before = steps(place, name);
    until("more steps", 30, || steps(place, name) > before + 5);
    assert_eq!(eval(place, name, APART).1, "0.0\n");
    let (_, table, _) = parts(place.command(&["runs", "exps"]).output().unwrap());
    assert!(table.contains("running x2"), "{table}");
    stop(job);
}
