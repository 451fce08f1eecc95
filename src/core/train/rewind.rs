//! Going back to an earlier checkpoint. Nothing is destroyed: what came after it is put aside, into `superseded/after-0000500/` of the run.

use super::checkpoint::{self, Checkpoint};
use crate::error::{Error, Result};
use crate::files;
use std::path::{Path, PathBuf};

/// Where a run goes on when it was asked to go on from a certain step.
pub(super) enum Found {
    /// The checkpoint of that step.
    There(Checkpoint),
    /// A later one, of a run that went back to that step before.
    Later(Checkpoint),
}

/// Looks for the checkpoint of `step` among those in the run folder `run`.
///
/// # Errors
/// `E0101` when there is none, with those that there are; `E0302` when it is damaged.
pub(super) fn find(run: &Path, step: u64, warn: &mut dyn FnMut(String)) -> Result<Found> {
    let dir = run.join("checkpoints");
    let all = checkpoint::list(&dir)?;
    // The command that went back is given again after a stop: it goes on with what it has trained since.
    if all.last().is_some_and(|(newest, _)| *newest > step)
        && let Some(newest) = checkpoint::latest(&dir, warn)?
        && newest.head().back_to == Some(step)
        && newest.head().step > step
    {
        return Ok(Found::Later(newest));
    }
    match all.iter().find(|(s, _)| *s == step) {
        Some((_, path)) => Checkpoint::open(path).map(Found::There),
        None => {
            let steps: Vec<String> = all.iter().map(|(s, _)| s.to_string()).collect();
            let help = if steps.is_empty() { "it has none".to_owned() } else { format!("it has those of steps {}", steps.join(", ")) };
            Err(Error::usage(format!("`{}` holds no checkpoint of step {step}", run.display())).help(help))
        }
    }
}

/// Puts what came after `step` aside: checkpoints, pictures, and a copy of the metrics, which are cut to the step when the run goes on.
/// Returns how many checkpoints, and the folder; `None` when nothing came after it.
///
/// # Errors
/// `E0301` when the system refuses.
pub(super) fn put_aside(run: &Path, step: u64) -> Result<Option<(usize, PathBuf)>> {
    let later: Vec<PathBuf> = checkpoint::list(&run.join("checkpoints"))?.into_iter().filter(|(s, _)| *s > step).map(|(_, path)| path).collect();
    if later.is_empty() {
        return Ok(None);
    }
    let all = run.join("superseded");
    files::create_dir(&all)?;
    let name = format!("after-{step:07}");
    let folder = files::free(std::iter::once(all.join(&name)).chain((1..).map(|n| all.join(format!("{name}.{n}")))))?;
    let checkpoints = folder.join("checkpoints");
    files::create_dir(&checkpoints)?;
    let metrics = run.join("metrics.jsonl");
    if metrics.exists() {
        files::write(&folder.join("metrics.jsonl"), files::read(&metrics)?)?;
    }
    let pictures: Vec<(String, PathBuf)> = files::list(&run.join("samples"))?.into_iter().filter(|(name, _)| is_after(name, step)).collect();
    if !pictures.is_empty() {
        let samples = folder.join("samples");
        files::create_dir(&samples)?;
        pictures.iter().try_for_each(|(name, path)| files::rename(path, &samples.join(name)))?;
    }
    // The newest first: a kill in between leaves a run that goes on from a whole checkpoint.
    for path in later.iter().rev() {
        files::rename(path, &checkpoints.join(path.file_name().unwrap_or_default()))?;
    }
    files::sync_dir(&checkpoints)?;
    files::sync_dir(&folder)?;
    Ok(Some((later.len(), folder)))
}

/// Whether a picture that `run.image` saved is of a later step: `step-0000500-NAME.png`.
fn is_after(name: &str, step: u64) -> bool {
    let number = name.strip_prefix("step-").and_then(|rest| rest.split('-').next()).and_then(|n| n.parse::<u64>().ok());
    number.is_some_and(|n| n > step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_of_later_steps_are_told_by_their_names() {
        let names = ["step-0000500-a.png", "step-0000501-a.png", "step-1000000-b-c.png", "mine.png", "step-x-a.png"];
        assert_eq!(names.map(|n| is_after(n, 500)), [false, true, true, false, false]);
    }
}
