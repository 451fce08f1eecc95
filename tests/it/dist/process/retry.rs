//! A step that fails on a rank of a watched job: all wait for the next save, and try it again together.

use super::edits::{log, stop};
use super::{TRAIN, assert_equal, whole};
use crate::support::process::{Place, ok, parts, until};
use std::process::Child;

/// The training with a line before everything else of a step.
pub(super) fn failing(line: &str) -> String {
    TRAIN.replace("let rank = dist::get_rank();", &format!("let rank = dist::get_rank(); {line}"))
}

/// The training with a line between the backward pass and the optimizer's step.
fn failing_late(line: &str) -> String {
    TRAIN.replace("    // Gradients that one rank throws away.", &format!("    {line}"))
}

/// The script of a job, in a folder of its own.
pub(super) fn script(name: &str) -> String {
    format!("{name}/{name}.rhai")
}

pub(super) fn watched(place: &Place, name: &str, text: &str, more: &[&str]) -> Child {
    let script = script(name);
    place.write(&script, text);
    let args = ["run", "--watch", "--nproc", "2", &script, "--exp-name", name, "--threads", "1"];
    place.command(&[&args[..], more].concat()).spawn().unwrap()
}

pub(super) fn until_it_waits(place: &Place, name: &str, times: usize) {
    until("the failure", 120, || log(place, name).matches("all ranks try `step` again").count() == times);
}

fn finished(job: Child) -> String {
    let (code, out, said) = parts(job.wait_with_output().unwrap());
    assert!(code == 0 && out.contains("done by 2"), "{code} {out} {said}");
    said
}

#[test]
fn a_step_that_fails_on_one_rank_is_tried_again_by_all() {
    let place = whole();
    let name = "retried";
    let job = watched(place, name, &failing("if rank == 1 && run.step == 3 { throw \"on purpose\"; }"), &[]);
    until_it_waits(place, name, 1);
    let said = log(place, name);
    assert!(said.contains("`step` failed on rank 1; all have what was before the step") && said.contains("on purpose"), "{said}");
    let (code, out, err) = parts(place.command(&["attach", "exps/retried", "-e", "run.step + dist::get_world_size()"]).output().unwrap());
    assert_eq!((code, out.as_str()), (0, "5\n"), "{err}");
    // A script that is not the job's mends nothing; a save of its own text may, where the cause lay elsewhere.
    place.write("retried/other.rhai", "1");
    std::thread::sleep(std::time::Duration::from_millis(1200));
    until_it_waits(place, name, 1);
    place.write(&script(name), &failing("if rank == 1 && run.step == 3 { throw \"on purpose\"; }"));
    until_it_waits(place, name, 2);
    // Another mistake, of all ranks; then a text that nobody can build; then it is mended.
    place.write(&script(name), &failing("if run.step == 3 { throw \"once more\"; }"));
    until_it_waits(place, name, 3);
    assert!(log(place, name).contains("`step` failed on all 2 ranks"), "{}", log(place, name));
    place.write(&script(name), &failing("let x = ;"));
    until("the refusal", 60, || log(place, name).contains("not reloaded"));
    place.write(&script(name), TRAIN);
    finished(job);
    assert_equal(&place.path("exps/one"), &place.path("exps/retried"), 1e-12);
    let said = ok(&mut place.command(&["replay", "exps/retried"]));
    assert!(said.contains("bit for bit"), "{said}");
}

#[test]
fn wherever_a_step_fails_the_ranks_stay_equal() {
    let place = whole();
    for (i, (text, more)) in [
        // The other rank is in the middle of an average, or has done its step.
        (failing_late("if rank == 0 && run.step == 4 { throw \"late\"; }"), &[][..]),
        (failing_late("if rank == 1 && run.step == 4 { throw \"late\"; }"), &["--plain", "--branch"]),
        (TRAIN.replace("    #{ loss: loss, norm", "    if rank == 1 && run.step == 4 { throw \"at its end\"; }\n    #{ loss: loss, norm"), &[]),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("late-{i}");
        let job = watched(place, &name, &text, more);
        until_it_waits(place, &name, 1);
        place.write(&script(&name), TRAIN);
        // The script compares all ranks at its end.
        finished(job);
    }
}

#[test]
fn a_job_that_waits_can_be_stopped_by_any_rank() {
    let place = whole();
    let job = watched(place, "waits", &failing("if rank == 0 && run.step == 3 { throw \"on purpose\"; }"), &[]);
    until_it_waits(place, "waits", 1);
    super::send(super::process_of(job.id(), 1).unwrap(), "-TERM");
    let (code, _, said) = parts(job.wait_with_output().unwrap());
    assert_eq!(code, 130, "{said}");
    assert!(said.contains("step 3 is saved"), "{said}");
    // What is mended goes on from there.
    let job = watched(place, "waits", TRAIN, &["--pause", "0.02", "--steps", "100000"]);
    until("steps", 120, || log(place, "waits").contains("step 6/"));
    stop(job);
}
