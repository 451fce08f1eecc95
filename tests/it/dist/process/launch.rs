//! Who starts ranks, and what goes wrong when they meet.

use super::{port, rank, train, whole};
use crate::support::process::{Place, parts};
use std::process::{Command, Output};

/// Runs these commands at once.
fn at_once(commands: Vec<Command>) -> Vec<(i32, String, String)> {
    let children: Vec<_> = commands.into_iter().map(|mut c| c.spawn().unwrap()).collect();
    children.into_iter().map(|c| parts(c.wait_with_output().unwrap())).collect()
}

fn flags(name: &str) -> [&str; 8] {
    ["run", "t.rhai", "--exp-name", name, "--threads", "1", "--steps", "3"]
}

#[test]
fn variables_of_every_launcher_make_a_job() {
    let place = whole();
    let ranks = |name: &'static str, vars: &dyn Fn(usize) -> Vec<(&'static str, String)>| {
        let command = |r: usize| {
            let mut c = place.command(&flags(name));
            c.envs(vars(r));
            c
        };
        let ended = at_once(vec![command(0), command(1)]);
        assert!(ended.iter().all(|e| e.0 == 0), "{ended:?}");
        assert!(ended[0].1.contains("done by 2") && !ended[1].2.contains("finished"), "{ended:?}");
    };
    let (a, b, c) = (port().to_string(), port().to_string(), port());
    ranks("by-hand", &|r| vec![("RANK", r.to_string()), ("WORLD_SIZE", "2".into()), ("MASTER_ADDR", "127.0.0.1".into()), ("MASTER_PORT", a.clone())]);
    ranks("mpi", &|r| {
        let local = r.to_string();
        vec![
            ("OMPI_COMM_WORLD_RANK", local.clone()),
            ("OMPI_COMM_WORLD_SIZE", "2".into()),
            ("OMPI_COMM_WORLD_LOCAL_RANK", local),
            ("OMPI_COMM_WORLD_LOCAL_SIZE", "2".into()),
            ("MASTER_PORT", b.clone()),
        ]
    });
    // The port comes of the job's number.
    let job = u32::from(c) % 16_000;
    ranks("slurm", &|r| {
        vec![
            ("SLURM_PROCID", r.to_string()),
            ("SLURM_NTASKS", "2".into()),
            ("SLURM_STEP_NUM_TASKS", "2".into()),
            ("SLURM_LOCALID", r.to_string()),
            ("SLURM_STEP_NODELIST", "localhost".into()),
            ("SLURM_JOB_ID", job.to_string()),
        ]
    });
}

fn refused(mut c: Command, code: i32, words: &[&str]) {
    let out: Output = c.output().unwrap();
    let (got, _, said) = parts(out);
    assert_eq!(got, code, "{said}");
    assert!(words.iter().all(|w| said.contains(w)), "{words:?} in\n{said}");
}

#[test]
fn what_cannot_be_a_job_is_refused() {
    let place = whole();
    refused(train(place, 2, "odd", &["--batch-size", "7"]), 1, &["error[E0101]", "a batch of 7 cannot be shared by 2 ranks", "8 would do"]);
    refused(train(place, 2, "flag", &["--dist-backend", "glo"]), 2, &["did you mean `gloo`"]);
    let mut half = place.command(&flags("half"));
    half.env("RANK", "0");
    refused(half, 2, &["error[E0101]", "WORLD_SIZE"]);
    let mut stage = place.command(&["run", "--nproc", "2", "data.rhai", "--allow-write", "latents"]);
    stage.env("OMP_NUM_THREADS", "1");
    refused(stage, 1, &["writing latents is for the first rank, and this is rank 1 of 2"]);
}

#[test]
fn ranks_that_do_not_come_are_named() {
    let place = whole();
    let alone = rank(place, 0, 3, port(), &[&flags("missing")[..], &["--dist-join-timeout", "2"]].concat());
    refused(alone, 1, &["error[E0801]", "of 3 ranks ranks 1, 2 did not come in time"]);
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    refused(rank(place, 0, 2, port, &[&flags("taken")[..], &["--dist-join-timeout", "2"]].concat()), 1, &["error[E0801]", "port is in use"]);
}

#[test]
fn ranks_that_differ_are_told_in_what() {
    let place = whole();
    let at = port();
    let command =
        |r: usize, steps: &'static str| rank(place, r, 2, at, &["run", "t.rhai", "--exp-name", "differ", "--threads", "1", "--steps", steps]);
    let ended = at_once(vec![command(0, "3"), command(1, "4")]);
    for (code, _, said) in &ended {
        assert_eq!(*code, 1, "{said}");
        assert!(said.contains("error[E0803]: rank 1 has other settings than rank 0") && said.contains("steps"), "{said}");
    }
    let other = Place::new(&[("t.rhai", &super::TRAIN.replace("fn scale() { 1.0 }", "fn scale() { 3.0 }"))]);
    let at = port();
    let exps = place.at("exps");
    let args = ["run", "t.rhai", "--exp-name", "differ-too", "--threads", "1", "--output-dir", &exps];
    let ended = at_once(vec![rank(place, 0, 2, at, &args), rank(&other, 1, 2, at, &args)]);
    for (code, _, said) in &ended {
        assert_eq!(*code, 1, "{said}");
        assert!(said.contains("error[E0803]: rank 1 has other scripts than rank 0: t.rhai"), "{said}");
    }
}
