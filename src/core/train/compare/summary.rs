//! One run as it is at its end, for comparisons.

use crate::error::Result;
use crate::train::edits;
use crate::train::metrics::{self, EDIT, Line};
use crate::train::sources::Sources;
use crate::train::status::Status;
use serde::Serialize;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// One run of a comparison.
#[derive(Debug, Clone, Serialize)]
pub struct Side {
    /// The run's folder.
    pub path: PathBuf,
    /// What it is doing.
    pub state: &'static str,
    /// Steps done.
    pub step: u64,
    /// Seconds of training.
    pub seconds: f64,
    /// How often it was edited.
    pub edits: usize,
    /// The hash of the scripts in effect at the end.
    pub scripts: String,
}

/// A run as it is at its end.
#[derive(Debug, Clone)]
pub struct Summary {
    /// What it is doing, and how far it is.
    pub side: Side,
    /// The script that was started.
    pub script: String,
    /// The settings in effect at the end.
    pub config: Map<String, Value>,
    /// The scripts in effect at the end.
    pub sources: Sources,
    /// Everything that was logged, without the lines that mark edits.
    pub lines: Vec<Line>,
}

impl Summary {
    /// Reads a run folder; one that never logged has no lines.
    ///
    /// # Errors
    /// `E0301` or `E0302` when it is no run or cannot be read.
    pub fn of(run: &Path) -> Result<Summary> {
        let status = Status::read(run).map_err(|e| e.help("give a run folder such as `exps/NAME`; `lathe runs` lists them"))?;
        let edits = edits::list(run)?;
        let line = edits::lineage(run, edits.last().map_or(0, |e| e.number))?;
        let log = run.join("metrics.jsonl");
        let mut lines = if log.exists() { metrics::read(&log)? } else { Vec::new() };
        lines.iter_mut().for_each(|l| l.values.retain(|(name, _)| name != EDIT));
        lines.retain(|l| !l.values.is_empty());
        let side = Side {
            path: run.to_owned(),
            state: status.state.name(),
            step: status.step,
            seconds: status.seconds,
            edits: edits.len(),
            scripts: line.sources.hash(),
        };
        Ok(Summary { side, script: status.script, config: line.config, sources: line.sources, lines })
    }

    /// The last logged value of each metric, in the order in which they first appear.
    pub fn last(&self) -> Vec<(String, f64)> {
        let mut last: Vec<(String, f64)> = Vec::new();
        for (name, value) in self.lines.iter().flat_map(|l| &l.values) {
            match last.iter_mut().find(|(n, _)| n == name) {
                Some(known) => known.1 = *value,
                None => last.push((name.clone(), *value)),
            }
        }
        last
    }

    /// The curve of a metric: steps and values.
    pub fn curve(&self, name: &str) -> Vec<(u64, f64)> {
        let value = |l: &Line| l.values.iter().find(|(n, _)| n == name).map(|(_, v)| (l.step, *v));
        self.lines.iter().filter_map(value).collect()
    }
}
