//! How a job ends: asked to, by a loss that is not finite, or because a rank is gone; and how it goes on.

use super::{assert_equal, process_of, quiet, send, train, whole};
use crate::support::process::{Place, ok, parts, until};
use crate::support::{Dice, saved};
use std::process::Child;
use std::time::{Duration, Instant};

/// Waits until a run has a checkpoint of a later step than `step`.
fn until_saved(place: &Place, name: &str, step: u64) {
    let run = place.path(&format!("exps/{name}"));
    until("a checkpoint", 120, || run.join("checkpoints").is_dir() && saved(&run).last().is_some_and(|s| *s > step));
}

/// A job that takes its time, with a checkpoint after every step.
fn slow(place: &Place, ranks: usize, name: &str, more: &[&str]) -> Child {
    let mut c = train(place, ranks, name, &["--pause", "0.05", "--save-every", "1"]);
    c.args(more);
    c.spawn().unwrap()
}

#[test]
fn a_job_that_is_stopped_goes_on_with_any_number_of_ranks() {
    let place = whole();
    let stop = |child: Child, rank: usize, signal: &str| {
        send(process_of(child.id(), rank).unwrap(), signal);
        let (code, _, said) = parts(child.wait_with_output().unwrap());
        assert_eq!(code, 130, "{said}");
        assert!(said.contains("is saved, and the same command goes on from there"), "{said}");
    };
    let job = slow(place, 2, "resumed", &[]);
    until_saved(place, "resumed", 2);
    // Any rank may be asked: all stop at the same step.
    stop(job, 1, "-TERM");
    let first = *saved(&place.path("exps/resumed")).last().unwrap();
    let job = slow(place, 1, "resumed", &[]);
    until_saved(place, "resumed", first + 2);
    send(job.id(), "-TERM");
    assert_eq!(parts(job.wait_with_output().unwrap()).0, 130);
    ok(&mut train(place, 4, "resumed", &["--save-every", "1"]));
    assert_equal(&place.path("exps/one"), &place.path("exps/resumed"), 1e-12);
}

#[test]
fn a_killed_rank_is_named_and_the_job_goes_on_from_its_last_checkpoint() {
    let place = whole();
    for victim in [1, 0] {
        let name = format!("killed-{victim}");
        let job = slow(place, 2, &name, &[]);
        until_saved(place, &name, 3);
        let since = Instant::now();
        send(process_of(job.id(), victim).unwrap(), "-KILL");
        let (code, _, said) = parts(job.wait_with_output().unwrap());
        assert!(since.elapsed() < Duration::from_secs(15), "{:?}", since.elapsed());
        assert!([137, 75].contains(&code), "{code}: {said}");
        assert!(said.contains(&format!("rank {victim} was ended by signal 9")), "{said}");
        if victim == 1 {
            assert!(said.contains("error[E0802]: rank 1 is gone"), "{said}");
        } else {
            assert!(said.contains("error[E0802]") && said.contains("rank 0"), "{said}");
        }
        ok(&mut train(place, 2, &name, &["--save-every", "1"]));
        assert_equal(&place.path("exps/one"), &place.path(&format!("exps/{name}")), 1e-12);
    }
}

/// `LATHE_DIST_KILLS=50` for more: while it joins, trains, saves or ends, any rank.
#[test]
fn a_rank_killed_at_any_moment_costs_nothing_that_was_saved() {
    let place = whole();
    let n: u64 = std::env::var("LATHE_DIST_KILLS").map_or(3, |n| n.parse().unwrap());
    let mut dice = Dice(7);
    for i in 0..n {
        let name = format!("moment-{i}");
        let job = slow(place, 2, &name, &[]);
        std::thread::sleep(Duration::from_millis(dice.roll(2500)));
        let victim = usize::try_from(dice.roll(2)).unwrap();
        // It may not be there yet, or not any more.
        if let Some(pid) = process_of(job.id(), victim) {
            send(pid, "-KILL");
        }
        let since = Instant::now();
        let (code, _, said) = parts(job.wait_with_output().unwrap());
        assert!(since.elapsed() < Duration::from_secs(20) && [0, 75, 137].contains(&code), "{code} after {:?}: {said}", since.elapsed());
        assert!(!said.contains("panicked"), "{said}");
        ok(&mut train(place, 2, &name, &["--save-every", "1"]));
        assert_equal(&place.path("exps/one"), &place.path(&format!("exps/{name}")), 1e-12);
    }
}

#[test]
fn a_rank_that_hangs_is_given_up() {
    let place = whole();
    let job = slow(place, 2, "hangs", &["--dist-timeout", "3"]);
    until_saved(place, "hangs", 2);
    let hung = process_of(job.id(), 1).unwrap();
    send(hung, "-STOP");
    let since = Instant::now();
    let (code, _, said) = parts(job.wait_with_output().unwrap());
    assert!(since.elapsed() < Duration::from_secs(40), "{:?}", since.elapsed());
    assert_eq!(code, 75, "{said}");
    assert!(said.contains("error[E0802]: rank 1 is gone, or hangs"), "{said}");
}

#[test]
fn a_loss_that_is_not_finite_is_named_with_step_and_rank_on_all() {
    let place = whole();
    let (code, _, said) = parts(train(place, 2, "nan", &["--nan-at", "7"]).output().unwrap());
    assert_eq!(code, 1, "{said}");
    let wanted = "error[E0601]: `loss` is";
    assert_eq!(said.matches(wanted).count(), 2, "{said}");
    assert_eq!(said.matches("at step 8 of `nan` on rank 1").count(), 2, "{said}");
    assert!(place.path("exps/nan/nonfinite-0000008-rank1.safetensors").is_file());
    assert_eq!(saved(&place.path("exps/nan")), [5]);
}

#[test]
fn a_script_that_fails_on_one_rank_ends_all_with_its_reason() {
    let place = whole();
    let text =
        super::TRAIN.replace("let rank = dist::get_rank();", "let rank = dist::get_rank(); if rank == 1 && run.step == 3 { throw \"on purpose\"; }");
    place.write("fails.rhai", &text);
    let (code, _, said) = parts(place.command(&["run", "--nproc", "2", "fails.rhai", "--exp-name", "fails", "--threads", "1"]).output().unwrap());
    assert!([1, 75].contains(&code), "{code}: {said}");
    assert!(said.contains("[rank 1]") && said.contains("on purpose"), "{said}");
    assert!(said.contains("error[E0802]: rank 1 failed: "), "{said}");
}

#[test]
fn what_one_rank_does_alone_is_told() {
    let place = whole();
    let text =
        super::TRAIN.replace("let rank = dist::get_rank();", "let rank = dist::get_rank(); if rank == 0 && run.step == 3 { dist::barrier(); }");
    place.write("alone.rhai", &text);
    let args = ["run", "--nproc", "2", "alone.rhai", "--exp-name", "alone", "--threads", "1", "--dist-timeout", "3"];
    let (code, _, said) = parts(place.command(&args).output().unwrap());
    assert!([1, 75].contains(&code), "{code}: {said}");
    assert!(said.contains("error[E0802]") || said.contains("error[E0803]"), "{said}");
    let text = super::TRAIN.replace("    train::fit(run,", "    if dist::get_rank() == 0 { run.save(); }\n    train::fit(run,");
    place.write("alone.rhai", &text);
    let args = ["run", "--nproc", "2", "alone.rhai", "--exp-name", "alone-saved", "--threads", "1", "--dist-timeout", "3"];
    let (code, _, said) = parts(place.command(&args).output().unwrap());
    assert!([1, 75].contains(&code), "{code}: {said}");
    // A word of Gloo in a message of one's own is not another rank's fault.
    let text = super::TRAIN.replace("let rank = dist::get_rank();", "let rank = dist::get_rank(); if rank == 1 { throw \"no igloo/1.png\"; }");
    place.write("igloo.rhai", &text);
    let (code, _, said) = parts(place.command(&["run", "--nproc", "2", "igloo.rhai", "--exp-name", "igloo", "--threads", "1"]).output().unwrap());
    assert!([1, 75].contains(&code) && said.contains("error[E0802]: rank 1 failed: no igloo/1.png"), "{code}: {said}");
}

#[test]
fn nobody_is_left_when_the_parent_is_killed() {
    let place = whole();
    let mut parent = quiet(train(place, 2, "orphans", &["--pause", "0.2", "--save-every", "1"]));
    until_saved(place, "orphans", 1);
    let ranks = [0, 1].map(|r| process_of(parent.id(), r).unwrap());
    send(parent.id(), "-KILL");
    parent.wait().unwrap();
    until("the ranks to end", 10, || ranks.iter().all(|pid| !std::path::Path::new(&format!("/proc/{pid}/fd")).exists() || is_zombie(*pid)));
}

fn is_zombie(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|s| s.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z')))
}
