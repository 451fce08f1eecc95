//! `run.json`, what a run is doing, and the table of runs made from it.

use super::env;
use crate::error::{Error, Result};
use crate::files;
use crate::plain::shown;
use fs4::{FileExt, TryLockError};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The file that says what a run is doing.
pub const FILE: &str = "run.json";
const LOCK: &str = ".lock";

/// What a run is doing, as far as its own process could say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// A process works on it.
    Running,
    /// It was interrupted, or its script ended before the last step. The same command goes on.
    Stopped,
    /// It stopped with an error.
    Failed,
    /// It did all its steps.
    Finished,
    /// Its process died without a word: killed, out of memory, power failure. The same command goes on.
    Killed,
}

impl Phase {
    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Running => "running",
            Phase::Stopped => "stopped",
            Phase::Failed => "failed",
            Phase::Finished => "finished",
            Phase::Killed => "killed",
        }
    }
}

/// The content of `run.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// What it is doing.
    pub state: Phase,
    /// The script.
    pub script: String,
    /// The process that works or worked on it.
    pub pid: u32,
    /// When that process opened it, in seconds since 1970.
    pub started: f64,
    /// When this file was last written, in seconds since 1970.
    pub updated: f64,
    /// Steps done.
    pub step: u64,
    /// Steps in all, where known.
    pub steps: Option<u64>,
    /// The last logged loss.
    pub loss: Option<f64>,
    /// Steps a second, last measured.
    pub rate: Option<f64>,
    /// Seconds of training over all restarts.
    pub seconds: f64,
    /// How many processes train it together.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub ranks: usize,
    /// The error that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

fn one() -> usize {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_one(n: &usize) -> bool {
    *n == 1
}

impl Status {
    /// Writes it whole. Not synced: it tells people what goes on, and nothing depends on it.
    ///
    /// # Errors
    /// `E0301` when the system refuses.
    pub fn write(&self, dir: &Path) -> Result<()> {
        let path = dir.join(FILE);
        let text = serde_json::to_vec_pretty(self).map_err(|e| Error::run(format!("{FILE}: {e}")))?;
        let temp = dir.join(format!(".tmp-{FILE}"));
        files::write_unsynced(&path, &temp, &text)
    }

    /// Reads it, with the state corrected where its process died.
    ///
    /// # Errors
    /// `E0301` or `E0302` when the folder is no run.
    pub fn read(dir: &Path) -> Result<Self> {
        let path = dir.join(FILE);
        let mut status: Status = files::read_json(&path)?;
        if status.state == Phase::Running && !is_locked(dir) {
            status.state = Phase::Killed;
        }
        Ok(status)
    }
}

/// A run folder's lock. The system frees it when the process ends, however it ends, so it cannot be left behind.
pub struct Lock(#[expect(dead_code, reason = "the lock lasts as long as the file is open")] File);

/// Takes the lock of a run folder.
///
/// # Errors
/// `E0601` naming the process that has it, `E0301` when the system refuses.
pub fn lock(dir: &Path) -> Result<Lock> {
    let path = dir.join(LOCK);
    let io = |e| Error::io("lock", &path, e);
    loop {
        let mut file = files::open_own(&path)?;
        // `lathe runs` holds a shared lock for a moment when it looks whether the run is alive.
        let mut tries = 0;
        while let Err(e) = FileExt::try_lock(&file) {
            match e {
                TryLockError::Error(e) => {
                    let help = "the file system keeps no locks, without which two processes could spoil the run: choose an --output-dir on another";
                    return Err(io(e).help(help));
                }
                TryLockError::WouldBlock if tries < 5 => std::thread::sleep(std::time::Duration::from_millis(20)),
                TryLockError::WouldBlock => return Err(held(dir, &files::read_text(&path).unwrap_or_default())),
            }
            tries += 1;
        }
        if !files::leads_to(&path, &file) {
            continue;
        }
        let owner = format!("{} {}", std::process::id(), env::host().unwrap_or_default());
        file.set_len(0).and_then(|()| file.write_all(owner.trim().as_bytes())).map_err(io)?;
        return Ok(Lock(file));
    }
}

/// The error for a folder that is locked by `owner`: a process, and the machine that it is on.
fn held(dir: &Path, owner: &str) -> Error {
    let (pid, host) = owner.trim().split_once(' ').unwrap_or((owner.trim(), ""));
    let is_here = host.is_empty() || Some(host) == env::host().as_deref();
    let (mut who, mut help) = (format!("process {}", shown(pid)), "wait for it, stop it, or choose another --exp-name");
    if pid.is_empty() {
        who = "another process".into();
    } else if !is_here {
        who = format!("process {} on `{}`", shown(pid), shown(host));
    } else if pid == std::process::id().to_string() {
        (who, help) = ("this process already".into(), "a script opens each run once, and lets go of it before opening it again");
    }
    Error::run(format!("{who} works on the run `{}`", dir.display())).help(help)
}

fn is_locked(dir: &Path) -> bool {
    let Ok(file) = files::open_plain(&dir.join(LOCK)) else { return false };
    matches!(FileExt::try_lock_shared(&file), Err(TryLockError::WouldBlock))
}

/// One row of the table of runs.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// The run's folder, relative to the one that was searched.
    pub name: String,
    /// Where it lies.
    pub path: PathBuf,
    /// What it is doing.
    #[serde(flatten)]
    pub status: Status,
    /// Bytes of everything in its folder.
    pub bytes: u64,
}

/// The folders of runs below `dir`, at most four folders deep, by name.
fn folders(dir: &Path) -> impl Iterator<Item = PathBuf> {
    let mut walk = walkdir::WalkDir::new(dir).max_depth(4).sort_by_file_name().into_iter();
    std::iter::from_fn(move || {
        loop {
            let Ok(entry) = walk.next()? else { continue };
            if entry.file_type().is_dir() && entry.path().join(FILE).is_file() {
                walk.skip_current_dir();
                return Some(entry.into_path());
            }
        }
    })
}

/// Every run below `dir`, at most four folders deep, the newest last.
///
/// # Errors
/// `E0301` when `dir` cannot be listed. A folder whose `run.json` cannot be read is named to `warn`.
pub fn list(dir: &Path, warn: &mut dyn FnMut(String)) -> Result<Vec<Row>> {
    files::open_dir(dir).map_err(|e| e.help("`lathe runs DIR` takes the folder that holds the runs"))?;
    let mut rows = Vec::new();
    for path in folders(dir) {
        match Status::read(&path) {
            Ok(status) => {
                let relative = path.strip_prefix(dir).unwrap_or(&path);
                let name = if relative.as_os_str().is_empty() { &path } else { relative };
                rows.push(Row { name: name.display().to_string(), status, bytes: size(&path), path });
            }
            Err(e) => warn(e.to_string()),
        }
    }
    rows.sort_by(|a, b| a.status.started.total_cmp(&b.status.started).then_with(|| a.name.cmp(&b.name)));
    Ok(rows)
}

/// The runs below `dir`, at most four folders deep, on which a process works. What cannot be read is no run of those.
pub fn running(dir: &Path) -> Vec<(PathBuf, Status)> {
    let known = folders(dir).filter_map(|path| Status::read(&path).ok().map(|status| (path, status)));
    known.filter(|(_, status)| status.state == Phase::Running).collect()
}

fn size(dir: &Path) -> u64 {
    let files = walkdir::WalkDir::new(dir).into_iter().filter_map(Result::ok).filter(|e| e.file_type().is_file());
    files.filter_map(|e| e.metadata().ok()).map(|m| m.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(state: Phase) -> Status {
        Status {
            state,
            script: "s.rhai".into(),
            pid: 1,
            started: files::unix_time(),
            updated: 0.0,
            step: 3,
            steps: Some(9),
            loss: Some(0.5),
            rate: None,
            seconds: 1.0,
            ranks: 1,
            error: None,
        }
    }

    #[test]
    fn a_lock_is_held_once_and_goes_with_its_holder() {
        let dir = tempfile::tempdir().unwrap();
        let held = lock(dir.path()).unwrap();
        let e = lock(dir.path()).err().unwrap();
        assert!(e.to_string().contains("this process already works on the run"), "{e}");
        status(Phase::Running).write(dir.path()).unwrap();
        assert_eq!(Status::read(dir.path()).unwrap().state, Phase::Running);
        // Also by another path.
        let other = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(dir.path(), other.path().join("link")).unwrap();
        assert!(lock(&other.path().join("link")).is_err());
        drop(held);
        assert_eq!(Status::read(dir.path()).unwrap().state, Phase::Killed);
        lock(dir.path()).unwrap();
    }

    #[test]
    fn who_holds_a_run_is_named_with_the_machine() {
        let said = |owner: &str| super::held(Path::new("exps/a"), owner).to_string();
        assert_eq!(said("12 far-away"), "process 12 on `far-away` works on the run `exps/a`");
        assert_eq!(said("12"), "process 12 works on the run `exps/a`");
        assert_eq!(said(""), "another process works on the run `exps/a`");
        assert_eq!(said(&format!("12 {}", env::host().unwrap_or_default())), "process 12 works on the run `exps/a`");
        assert_eq!(said("12\u{202e} a\nb"), "process 12\\u{202e} on `a\\nb` works on the run `exps/a`");
    }

    #[test]
    fn runs_are_found_below_a_folder() {
        let dir = tempfile::tempdir().unwrap();
        for (name, state) in [("b", Phase::Finished), ("group/a", Phase::Stopped)] {
            files::create_dir(&dir.path().join(name)).unwrap();
            status(state).write(&dir.path().join(name)).unwrap();
        }
        files::create_dir(&dir.path().join("broken")).unwrap();
        std::fs::write(dir.path().join("broken").join(FILE), "{").unwrap();
        let mut warnings = Vec::new();
        let rows = list(dir.path(), &mut |w| warnings.push(w)).unwrap();
        assert_eq!(rows.iter().map(|r| r.name.as_str()).collect::<Vec<_>>(), ["b", "group/a"]);
        assert!(rows[0].bytes > 100);
        assert_eq!(warnings.len(), 1);
        assert_eq!(list(&dir.path().join("none"), &mut |_| ()).unwrap_err().code(), "E0301");
    }
}
