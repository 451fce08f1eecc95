//! Cells inside a running job, and the example notebook, which has some.

use super::{clients, jupyter};
use crate::support::process::{Place, ok, until};
use crate::support::{metrics, root};
use std::path::Path;
use std::process::{Child, Stdio};

const SCRIPT: &str = r#"
fn params() { #{ output_dir: "", exp_name: "try1", lr: 0.01 } }
fn double(x) { 2 * x }
fn main(cfg) {
    let run = train::run(cfg);
    run.track("net", nn::linear(4, 1));
    run.track("opt", optim::adamw(run.net, #{ lr: cfg.lr }));
    train::fit(run, (), "step", #{ steps: 1_000_000, log_every: 1, save_every: 0 });
}
fn step(run, batch) {
    let loss = run.net.forward(torch::randn([8, 4])).square().mean();
    run.opt.zero_grad();
    loss.backward();
    run.opt.step();
    sleep(0.005);
    #{ loss: loss }
}
"#;

/// A run in another process, killed when dropped.
struct Job(Child);

impl Drop for Job {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Job {
    /// A run that has logged a step.
    fn of(place: &Place, folder: &str, args: &[&str], run: &Path) -> Job {
        let mut command = place.command(&[&["run"], args, &["--device", "cpu"]].concat());
        let child =
            command.current_dir(place.path(folder)).env("LATHE_ALLOW_READ", root()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let job = Job(child);
        until("the first steps", 120, || !metrics(run).is_empty());
        job
    }
}

#[test]
fn cells_run_inside_a_job() {
    let clients = match clients() {
        Ok(clients) => clients,
        Err(why) => return println!("skipped: cells_run_inside_a_job: {why}"),
    };
    let place = Place::new(&[("t.rhai", SCRIPT)]);
    let run = place.path("try1");
    let job = Job::of(&place, ".", &["t.rhai", "--output-dir", "."], &run);
    let mut command = jupyter(&place, &clients);
    command.arg(root().join("tests/it/kernel/process/attach.py")).arg(&run).arg(job.0.id().to_string());
    let said = ok(&mut command);
    assert!(said.contains("all well"), "{said}");
}

#[test]
fn the_example_notebook_runs_from_top_to_bottom() {
    let clients = match clients() {
        Ok(clients) => clients,
        Err(why) => return println!("skipped: the_example_notebook_runs_from_top_to_bottom: {why}"),
    };
    let place = Place::new(&[("lathe.toml", "")]);
    for name in ["latents.rhai", "latents.ipynb"] {
        place.write(&format!("docs/examples/{name}"), &std::fs::read_to_string(root().join("docs/examples").join(name)).unwrap());
    }
    std::os::unix::fs::symlink(root().join("tests"), place.path("tests")).unwrap();
    let run = place.path("docs/examples/exps/latents");
    let _job = Job::of(&place, "docs/examples", &["latents.rhai"], &run);
    let mut command = jupyter(&place, &clients);
    command.current_dir(place.path("docs/examples")).env("LATHE_ALLOW_READ", root()).arg(root().join("tests/it/kernel/process/book.py"));
    let said = ok(&mut command);
    assert!(said.contains("all well"), "{said}");
}
