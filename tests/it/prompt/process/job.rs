//! A run in another process, for prompts to attach to.

use super::terminal;
use crate::support::process::{Place, lathe, parts, until};
use crate::support::{metrics, root};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A run in another process, killed when dropped.
pub struct Job {
    pub place: Place,
    pub child: Child,
}

impl Drop for Job {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts the script of a place.
pub fn spawn(place: &Place, flags: &[&str]) -> Child {
    let args = [&["run"], flags, &["t.rhai", "--device", "cpu", "--output-dir", "."]].concat();
    terminal(place.command(&args)).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

impl Job {
    /// A run that steps.
    pub fn with(script: &str) -> Self {
        Job::begin(script, &[]).stepping()
    }

    /// A run that steps and takes saves in.
    pub fn watched(script: &str) -> Self {
        Job::begin(script, &["--watch=poll"]).stepping()
    }

    /// A run that may not have begun to step.
    pub fn begin(script: &str, flags: &[&str]) -> Self {
        let place = Place::new(&[("t.rhai", script)]);
        let child = spawn(&place, flags);
        Job { place, child }
    }

    fn stepping(self) -> Self {
        until("the first steps", 60, || self.steps() > 3);
        self
    }

    pub fn run(&self) -> PathBuf {
        self.place.path("try1")
    }

    /// Lines of the log: one for each step.
    pub fn steps(&self) -> usize {
        metrics(&self.run()).len()
    }

    /// What the run has said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.run().join("log.txt")).unwrap_or_default()
    }

    pub fn attach(&self, args: &[&str]) -> Command {
        let mut c = terminal(lathe(root(), &["attach"]));
        c.arg(self.run()).args(args);
        c
    }

    /// Exit code, stdout and stderr of `lathe attach RUN -e EXPR`.
    pub fn eval(&self, expr: &str) -> (i32, String, String) {
        parts(self.attach(&["-e", expr]).output().unwrap())
    }

    pub fn edits(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.run().join("edits")).into_iter().flatten().flatten();
        let mut all: Vec<String> = entries.map(|e| std::fs::read_to_string(e.path().join("edit.json")).unwrap()).collect();
        all.sort();
        all
    }
}
