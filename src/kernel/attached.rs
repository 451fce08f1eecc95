//! Cells in a running job: `:attach exps/try1` sends what follows there, between two of its steps, until `:detach`.

use super::failure::Failure;
use crate::error::{Error, Result};
use crate::plain::shown;
use crate::repl::{Backend, Remote};
use crate::script::prompt::answer::{Answer, Ask, Mode};
use crate::script::prompt::complete::Completions;
use std::path::PathBuf;
use std::time::Duration;

/// The longest that a cell may hold the training up, unless the cell that attaches says otherwise.
const LIMIT: Duration = Duration::from_secs(60);

/// What to do about a run that has ended.
const REMEDY: &str = "`lathe runs` tells how it ended; `:detach` lets cells run in the notebook's kernel again";

/// A job that cells run in.
pub(super) struct Attached {
    remote: Remote,
    run: String,
}

impl Attached {
    /// Attaches to what stands behind `:attach`: a run's folder, and perhaps `--limit SECONDS`.
    ///
    /// # Errors
    /// `E0101` for other words, `E0601` when no process works on the run.
    pub(super) fn to(words: &str) -> Result<Attached> {
        let (run, limit) = match words.rsplit_once("--limit") {
            Some((run, seconds)) => {
                let wrong = |_| Error::usage(format!("`--limit` is a number of seconds, not `{}`", seconds.trim()));
                (run.trim(), Duration::from_secs(seconds.trim().parse().map_err(wrong)?))
            }
            None => (words, LIMIT),
        };
        if run.is_empty() {
            return Err(Error::usage("`:attach` needs the folder of a run").help("`:attach exps/try1`; `lathe runs` lists those that run"));
        }
        let folder = PathBuf::from(run.trim_matches('"'));
        let mut remote = Remote::connect(&folder, limit, None)?;
        remote.greet()?;
        Ok(Attached { remote, run: shown(&folder.display().to_string()) })
    }

    /// The run as it was named.
    pub(super) fn run(&self) -> &str {
        &self.run
    }

    /// Evaluates a line there. The run waits for it, the line for the end of a step.
    ///
    /// # Errors
    /// When the run has ended: what was meant for it runs nowhere else.
    pub(super) fn eval(&mut self, text: &str, mode: Mode) -> Result<Answer, Failure> {
        self.alive()?;
        let answer = self.remote.eval(text, mode);
        if self.remote.is_gone() && self.remote.has_begun() {
            let e = Error::run(format!("the run `{}` has ended while this cell ran: what it had done by then is not known", self.run));
            return Err(e.help(REMEDY).into());
        }
        self.alive()?;
        Ok(answer)
    }

    /// Answers a question about the prompt there.
    ///
    /// # Errors
    /// What the run says, or that it has ended.
    pub(super) fn ask(&mut self, ask: &Ask) -> Result<String, Failure> {
        self.alive()?;
        let answer = self.remote.question(ask);
        self.alive()?;
        answer?.map_err(|said| Failure::of(&said))
    }

    fn alive(&self) -> Result<(), Failure> {
        if !self.remote.is_gone() {
            return Ok(());
        }
        let e = Error::run(format!("the run `{}` has ended: this cell ran nowhere", self.run));
        Err(e.help(REMEDY).into())
    }

    /// What the word at a place could become there; what needs no run, while it is in a step.
    pub(super) fn complete(&mut self, line: &str, pos: usize) -> Completions {
        self.remote.complete(line, pos)
    }

    /// `try1, step 1 301`, and what is the matter with the run.
    pub(super) fn place(&self) -> String {
        let prompt = self.remote.prompt();
        let prompt = prompt.trim_end().trim_end_matches('>');
        match prompt.split_once(':') {
            Some((name, step)) => format!("{name}, step {step}"),
            None => prompt.to_owned(),
        }
    }
}
