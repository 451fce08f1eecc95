//! Which checkpoints of a run stay.

use super::checkpoint;
use crate::error::Result;
use crate::files;
use std::collections::BTreeMap;
use std::path::Path;

/// Beside the checkpoints: the steps of those that stay under a name, whatever their age.
const PINS: &str = "kept.json";

/// Which checkpoints stay: the newest few, and those of round steps. All of them unless something is given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Keep {
    /// So many of the newest; with `every` alone, one.
    pub last: Option<usize>,
    /// Those of every so many steps.
    pub every: Option<u64>,
}

impl Keep {
    /// Whether the checkpoint of `step`, after which `newer` others were written, stays.
    pub fn stays(self, step: u64, newer: usize) -> bool {
        let round = self.every.is_some_and(|n| n > 0 && step.is_multiple_of(n));
        match (self.last, self.every) {
            (None, None) => true,
            (last, _) => round || newer < last.unwrap_or(1).max(1),
        }
    }
}

impl std::fmt::Display for Keep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let grouped = |n| crate::progress::grouped(n, ' ');
        match self.last.unwrap_or(1).max(1) {
            1 => write!(f, "the newest")?,
            n => write!(f, "the newest {}", grouped(n as u64))?,
        }
        self.every.map_or(Ok(()), |n| write!(f, " and one every {} steps", grouped(n)))
    }
}

/// The steps of the checkpoints in the folder `dir` that stay under a name.
///
/// # Errors
/// `E0301` when the system refuses, and for a file that is no list of them.
pub fn pins(dir: &Path) -> Result<BTreeMap<String, u64>> {
    let path = dir.join(PINS);
    if path.is_file() { files::read_json(&path) } else { Ok(BTreeMap::new()) }
}

/// Lets the checkpoint of `step` in the folder `dir` stay under `name`, in the place of the one that had it. It need not be written yet.
///
/// # Errors
/// As [`pins`].
pub fn pin(dir: &Path, name: &str, step: u64) -> Result<()> {
    let mut all = pins(dir)?;
    all.insert(name.to_owned(), step);
    files::create_dir(dir)?;
    files::write_synced(&dir.join(PINS), files::json(&all)?)
}

/// Removes the checkpoints in the folder `dir` that do not stay; returns how many.
///
/// # Errors
/// `E0301` when the system refuses.
pub fn prune(dir: &Path, keep: Keep) -> Result<usize> {
    let all = checkpoint::list(dir)?;
    let pinned = pins(dir)?;
    let stays = |step: u64, newer: usize| keep.stays(step, newer) || pinned.values().any(|s| *s == step);
    let gone: Vec<_> = all.iter().rev().enumerate().filter(|(newer, (step, _))| !stays(*step, *newer)).map(|(_, (_, path))| path).collect();
    for path in gone.iter().rev() {
        // First out of sight, so that a kill leaves no half-removed checkpoint under its name.
        let hidden = dir.join(format!(".tmp-old-{}", path.file_name().unwrap_or_default().to_string_lossy()));
        files::rename(path, &hidden)?;
        files::remove_dir(&hidden)?;
    }
    Ok(gone.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_a_name_stays_until_another_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let write = |step: u64| std::fs::create_dir_all(dir.path().join(checkpoint::folder_name(step))).unwrap();
        let left = || checkpoint::list(dir.path()).unwrap().into_iter().map(|(s, _)| s).collect::<Vec<_>>();
        let one = Keep { last: Some(1), every: None };
        pin(dir.path(), "best", 100).unwrap();
        for step in [100, 200, 300] {
            write(step);
            prune(dir.path(), one).unwrap();
        }
        assert_eq!(left(), [100, 300]);
        pin(dir.path(), "best", 300).unwrap();
        write(400);
        prune(dir.path(), one).unwrap();
        assert_eq!(left(), [300, 400]);
        std::fs::write(dir.path().join(PINS), "[").unwrap();
        assert!(prune(dir.path(), one).unwrap_err().to_string().contains(PINS), "a damaged list removes nothing");
        assert_eq!(left(), [300, 400]);
    }

    #[test]
    fn the_newest_and_round_steps_stay() {
        let left = |keep: Keep| {
            let dir = tempfile::tempdir().unwrap();
            for step in [100, 200, 300, 400, 450] {
                std::fs::create_dir(dir.path().join(format!("{step:07}"))).unwrap();
            }
            let gone = prune(dir.path(), keep).unwrap();
            let steps: Vec<u64> = checkpoint::list(dir.path()).unwrap().into_iter().map(|(s, _)| s).collect();
            assert_eq!(gone + steps.len(), 5);
            steps
        };
        assert_eq!(left(Keep::default()), [100, 200, 300, 400, 450]);
        assert_eq!(left(Keep { last: Some(2), every: None }), [400, 450]);
        assert_eq!(left(Keep { last: Some(0), every: None }), [450], "the newest one always stays");
        assert_eq!(left(Keep { last: Some(2), every: Some(200) }), [200, 400, 450]);
        assert_eq!(left(Keep { last: None, every: Some(300) }), [300, 450]);
        let both = Keep { last: Some(2), every: Some(10_000) };
        assert_eq!(both.to_string(), "the newest 2 and one every 10 000 steps");
    }
}
