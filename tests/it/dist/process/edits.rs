//! Edits reach all ranks at one step, or none; and the record trains the job again.

use super::{TRAIN, process_of, whole};
use crate::support::process::{Place, ok, parts, until};
use std::process::Child;

/// A watched job of two ranks that goes on until it is stopped.
fn watched(place: &Place, script: &str, name: &str) -> Child {
    let args =
        ["run", "--watch", "--nproc", "2", script, "--exp-name", name, "--threads", "1", "--pause", "0.02", "--steps", "100000", "--save-every", "0"];
    place.command(&args).spawn().unwrap()
}

/// Stops a job, which must end as one that was asked to.
pub fn stop(job: Child) -> String {
    super::send(process_of(job.id(), 0).unwrap(), "-TERM");
    let (code, _, said) = parts(job.wait_with_output().unwrap());
    assert_eq!(code, 130, "{said}");
    said
}

/// What a job has said.
pub fn log(place: &Place, name: &str) -> String {
    std::fs::read_to_string(place.path(&format!("exps/{name}/log.txt"))).unwrap_or_default()
}

#[test]
fn an_edit_is_taken_by_all_ranks_at_one_step_or_by_none() {
    let place = whole();
    place.write("edited.rhai", TRAIN);
    let job = watched(place, "edited.rhai", "edited");
    until("steps", 120, || log(place, "edited").contains("step 3/"));
    let other = |scale: &str| TRAIN.replace("fn scale() { 1.0 }", &format!("fn scale() {{ {scale} }}"));
    // `LATHE_DIST_EDITS=100` for more.
    let n: usize = std::env::var("LATHE_DIST_EDITS").map_or(5, |n| n.parse().unwrap());
    for i in 1..=n {
        place.write("edited.rhai", &other(&format!("1.{i}")));
        until("the edit", 60, || log(place, "edited").matches("reloaded edited.rhai").count() == i);
    }
    // A text that one rank alone cannot build.
    place.write("edited.rhai", &format!("const X = if dist::get_rank() == 1 {{ throw \"not here\" }} else {{ 1 }};\n{}", other("7.0")));
    until("the refusal", 60, || log(place, "edited").contains("rank 1 refuses the edit"));
    // One that nobody can.
    place.write("edited.rhai", &other("1.0 +"));
    until("the error", 60, || {
        log(place, "edited").contains("not reloaded: the last good version goes on") && log(place, "edited").contains("edited.rhai")
    });
    place.write("edited.rhai", &other("2.0"));
    until("the last edit", 60, || log(place, "edited").matches("reloaded edited.rhai").count() == n + 1);
    let step: u64 = log(place, "edited").lines().filter(|l| l.contains("step ")).count() as u64;
    until("more steps", 60, || log(place, "edited").lines().filter(|l| l.contains("step ")).count() as u64 > step + 3);
    stop(job);
    let run = place.path("exps/edited");
    let edits = crate::support::files(&run.join("edits"));
    assert_eq!(edits.iter().filter(|p| p.is_dir()).count(), n + 1);
    // The other rank took in what the first did, at the same steps.
    let steps = |text: &str, word: &str| -> Vec<String> {
        let after = |l: &str| l.split(" at step ").nth(1).map(|rest| rest.split(" (").next().unwrap_or(rest).replace(' ', ""));
        text.lines().filter(|l| l.contains(word)).filter_map(after).collect()
    };
    let others = std::fs::read_to_string(run.join("logs/rank-1.txt")).unwrap();
    assert_eq!(steps(&log(place, "edited"), "reloaded edited.rhai"), steps(&others, "took in an edit"));
}

#[test]
fn the_record_of_an_edited_job_trains_it_again_with_as_many_ranks() {
    let place = whole();
    place.write("again.rhai", TRAIN);
    let job = watched(place, "again.rhai", "again");
    until("steps", 120, || log(place, "again").contains("step 3/"));
    place.write("again.rhai", &TRAIN.replace("fn scale() { 1.0 }", "fn scale() { 0.5 }"));
    until("the edit", 60, || log(place, "again").contains("reloaded again.rhai"));
    stop(job);
    let said = ok(&mut place.command(&["replay", "exps/again"]));
    assert!(said.contains("the numbers are those of") && said.contains("bit for bit"), "{said}");
    let start = std::fs::read_to_string(place.path("exps/again/start.json")).unwrap();
    assert!(start.contains("\"ranks\": 2"), "{start}");
    let refused = parts(place.command(&["attach", "exps/again"]).output().unwrap());
    assert_eq!(refused.0, 1, "{refused:?}");
}
