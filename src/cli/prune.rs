//! `lathe runs --prune`: runs that left nothing to go on from.

use super::output::print;
use super::runs::bytes;
use crate::error::{Error, Result};
use crate::files;
use crate::progress::grouped;
use crate::train::status::{self, Phase, Row};
use crate::train::{checkpoint, metrics};
use std::io::{IsTerminal, Write};

/// Says which runs ended without a checkpoint, asks, and removes their folders.
///
/// # Errors
/// `E0301` when a folder cannot be looked at or removed.
pub(super) fn run(rows: &[Row], yes: bool) -> Result<()> {
    let mut gone = Vec::new();
    for row in rows {
        if is_dead(row)? {
            gone.push(row);
        }
    }
    if gone.is_empty() {
        eprintln!("nothing to remove: every run here has a checkpoint, is finished, or is under way");
        return Ok(());
    }
    for row in &gone {
        print(&format!("{}\n", line(row)?))?;
    }
    let sum = bytes(gone.iter().map(|r| r.bytes).sum());
    if !yes && !asked(&format!("remove {} ({sum})? [y/N] ", of(gone.len(), "run")))? {
        return Ok(());
    }
    for row in &gone {
        // Nobody may begin to work on it meanwhile.
        let lock = status::lock(&row.path)?;
        if is_dead(row)? {
            files::remove_dir(&row.path)?;
        }
        drop(lock);
    }
    eprintln!("removed {} ({sum})", of(gone.len(), "run"));
    Ok(())
}

/// Whether nothing can be gone on from, nothing goes on, and nothing else lies in its folder.
fn is_dead(row: &Row) -> Result<bool> {
    if !matches!(row.status.state, Phase::Stopped | Phase::Failed | Phase::Killed) {
        return Ok(false);
    }
    let other_runs =
        walkdir::WalkDir::new(&row.path).min_depth(2).into_iter().filter_map(std::result::Result::ok).any(|e| e.file_name() == status::FILE);
    let aside = row.path.join("superseded").exists();
    Ok(!other_runs && !aside && checkpoint::list(&row.path.join("checkpoints"))?.is_empty())
}

/// `try1  failed  12 lines of metrics  1.2 MB`.
fn line(row: &Row) -> Result<String> {
    let log = row.path.join("metrics.jsonl");
    let lines = if log.exists() { metrics::read(&log)?.len() } else { 0 };
    Ok(format!("{}  {}  no checkpoint, {} of metrics  {}", row.path.display(), row.status.state.name(), of(lines, "line"), bytes(row.bytes)))
}

/// `1 run`, `3 runs`.
fn of(n: usize, what: &str) -> String {
    format!("{} {what}{}", grouped(n as u64, ' '), if n == 1 { "" } else { "s" })
}

/// Asks at the terminal; without one nothing is removed.
fn asked(question: &str) -> Result<bool> {
    if !std::io::stdin().is_terminal() {
        eprintln!("nothing is removed: `--yes` removes them");
        return Ok(false);
    }
    eprint!("{question}");
    std::io::stderr().flush().map_err(|e| Error::io("write", "stderr", e))?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).map_err(|e| Error::io("read", "stdin", e))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
