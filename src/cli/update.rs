//! `lathe update [NAME]`.

use crate::error::{Error, Result};
use crate::script::units::libraries::{Project, Update, short};
use std::path::Path;

/// Look at libraries anew, fetch what has moved, and pin what they are now in lathe.lock.
#[derive(clap::Args)]
pub struct Args {
    /// The library; without it, all.
    name: Option<String>,
}

/// Writes the lock of the project around the working directory, and says what changed.
///
/// # Errors
/// `E0101` without a project or for an unknown name, `E0302` for what is wrong with a library; the lock is unchanged then.
pub fn run(args: &Args) -> Result<()> {
    let project = find()?;
    let updates = project.update(args.name.as_deref())?;
    for update in &updates {
        eprintln!("{}", line(update));
    }
    if updates.is_empty() {
        eprintln!("no libraries");
    }
    Ok(())
}

/// The project around the working directory.
pub(super) fn find() -> Result<Project> {
    Project::find([Path::new(".")])?
        .ok_or_else(|| Error::usage("there is no lathe.toml here or above").help("`lathe add NAME --path FOLDER` makes one"))
}

fn line(update: &Update) -> String {
    let state = |(version, hash): &(String, String)| format!("{version} {}", short(hash));
    match (&update.before, &update.after) {
        (Some(a), Some(b)) if a == b => format!("{}: {}, unchanged", update.name, state(b)),
        (Some(a), Some(b)) => format!("{}: {} -> {}", update.name, state(a), state(b)),
        (None, Some(b)) => format!("{}: {}, new", update.name, state(b)),
        (_, None) => format!("{}: no longer used", update.name),
    }
}
