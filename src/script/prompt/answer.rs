//! What a prompt asks and what it gets, the same in this process and in a running job.

use super::display;
use super::evaluation::{Limit, captured};
use super::manual;
use super::post_mortem;
use super::rich::{Rich, rich};
use super::session::Session;
use crate::error::{Error, Result};
use crate::script::units::at::At;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// How a line's value is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Tensors in one line.
    Plain,
    /// As plain, and as a picture, a chart or a table besides, where it is one.
    Rich,
    /// Every number.
    Raw,
    /// As plain, with the time it took when the device has done its work.
    Timed,
}

/// A question about the prompt itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "what", content = "name")]
pub enum Ask {
    /// `:doc NAME`
    Doc(String),
    /// `:src NAME`
    Source(String),
    /// `:vars`
    Variables,
    /// `:mem`
    Memory,
    /// `:debug`
    Debug,
    /// `:reload`
    Reload,
    /// What was typed, for `:save`.
    Text,
}

/// What a line came to, ready to be shown.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// What it printed, where that did not go to this terminal.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub printed: String,
    /// Pictures that it showed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pictures: Vec<PathBuf>,
    /// Its value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown: Option<String>,
    /// The value as more than text, where that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rich: Option<Rich>,
    /// What went wrong, rendered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Whether it was stopped.
    #[serde(default)]
    pub interrupted: bool,
    /// How long it took.
    #[serde(default)]
    pub seconds: f64,
    /// What else is to be said: that an edit was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Answer {
    /// An answer that is an error.
    pub fn failed(e: &Error, color: bool) -> Self {
        Answer { interrupted: e.is_asked(), error: Some(e.render(color)), ..Answer::default() }
    }
}

impl Session {
    /// Evaluates a line and says what it came to. `elsewhere`: what it prints is part of the answer.
    pub fn answer(&mut self, at: At, text: &str, mode: Mode, color: bool, limit: Limit, elsewhere: bool) -> Answer {
        let mut evaluate = || {
            let mut outcome = self.eval(at, text, limit.clone());
            if mode == Mode::Timed {
                let start = std::time::Instant::now();
                crate::torch::synchronize(crate::torch::default_device());
                outcome.time += start.elapsed();
            }
            let shown = match (&outcome.error, mode) {
                _ if outcome.is_hidden => Ok(None),
                (_, Mode::Raw) => display::raw(at, &outcome.value).map(Some),
                _ => Ok(Some(self.shown(at, &outcome.value, color))),
            };
            (outcome, shown)
        };
        let ((outcome, shown), print) = if elsewhere { captured(evaluate) } else { (evaluate(), Default::default()) };
        let (shown, late) = match shown {
            Ok(shown) => (shown, None),
            Err(e) => (None, Some(e)),
        };
        let rich = if mode == Mode::Rich && !outcome.is_hidden { rich(at, &outcome.value) } else { None };
        let error = outcome.error.or(late).map(|e| self.parts.placed(&self.id, e));
        Answer {
            printed: print.text,
            pictures: print.pictures,
            shown,
            rich,
            interrupted: error.as_ref().is_some_and(Error::is_asked),
            error: error.map(|e| e.render(color)),
            seconds: outcome.time.as_secs_f64(),
            note: None,
        }
    }

    /// Answers a question about the prompt.
    ///
    /// # Errors
    /// When there is no such name, or a reload fails: nothing has changed then.
    pub fn ask(&mut self, at: At, ask: &Ask) -> Result<String> {
        match ask {
            Ask::Doc(name) => manual::doc(at, self, name),
            Ask::Source(name) => manual::source(at, self, name),
            Ask::Variables => Ok(manual::variables(at, self)),
            Ask::Memory => manual::memory(self),
            Ask::Debug => post_mortem::line(at, self),
            Ask::Text => Ok(self.text().to_owned()),
            Ask::Reload => self.reload(at),
        }
    }

    /// Loads the scripts anew.
    ///
    /// # Errors
    /// What is wrong with the new texts: nothing has changed then.
    pub fn reload(&mut self, at: At) -> Result<String> {
        let done = at.program.reload(at.rhai)?;
        self.refresh(at)?;
        let names: Vec<&str> = done.changed.iter().map(|c| c.shown.as_str()).collect();
        let functions: usize = done.changed.iter().map(|c| c.functions.len()).sum();
        let plural = if functions == 1 { "" } else { "s" };
        Ok(match names.is_empty() {
            true => "nothing has changed".into(),
            false => format!("reloaded {} in {:.0} ms ({functions} function{plural} changed)", names.join(", "), done.seconds * 1000.0),
        })
    }
}
