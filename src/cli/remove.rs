//! `lathe remove NAME`.

use super::update::find;
use crate::error::Result;

/// Use a library no more: take it out of the project's lathe.toml and lathe.lock. Its folder stays.
#[derive(clap::Args)]
pub struct Args {
    /// Its name.
    name: String,
}

/// Removes the library from the project around the working directory.
///
/// # Errors
/// `E0101` without a project or for an unknown name; `E0302` for a file whose layout cannot be changed safely; no file is changed then.
pub fn run(args: &Args) -> Result<()> {
    let removed = find()?.remove(&args.name)?;
    eprintln!("removed `{}` from {}", args.name, removed.file.display());
    for name in &removed.unused {
        eprintln!("`{name}` is no longer used");
    }
    for name in &removed.users {
        eprintln!("`{name}` still uses it, and says itself where it comes from");
    }
    Ok(())
}
