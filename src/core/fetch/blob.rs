//! Whether a file in the hub's cache is what its name says: the hub calls large files by the SHA-256 of their content. A disk, a full disk of an older tool or
//! a copy that was cut off may have changed it since.

use super::{hub, partial, place};
use crate::error::{Error, Result};
use crate::files;
use std::path::{Path, PathBuf};

/// The file that a name in a snapshot leads to, where that is called by its SHA-256.
fn of(path: &Path) -> Option<(PathBuf, String)> {
    let blob = path.parent()?.join(path.read_link().ok()?);
    let name = blob.file_name()?.to_string_lossy().into_owned();
    hub::is_sha256(&name).then_some((blob, name))
}

/// Reads it, and compares.
///
/// # Errors
/// `E0303` for a damaged file, with what to type.
pub(super) fn check(path: &Path) -> Result<()> {
    let Some((blob, name)) = of(path) else { return Ok(()) };
    let got = partial::sha256_of(&blob)?;
    if got == name {
        return Ok(());
    }
    let blob = blob.canonicalize().unwrap_or(blob);
    let message = format!("`{}` is damaged: its SHA-256 is {got}, and the hub says {name}", path.display());
    Err(Error::fetch(message).help(format!("`rm {}` and fetch it again", blob.display())))
}

/// The same for a file that is used: at first, and again when its size or time has changed. That it was read stands in Lathe's cache.
///
/// # Errors
/// As [`check`].
pub(super) fn check_once(path: &Path) -> Result<()> {
    let Some((blob, name)) = of(path) else { return Ok(()) };
    let state = format!("{} {}", files::size(&blob)?, files::changed(&blob));
    let note = place::cache_folder().map(|f| f.join("checked").join(&name));
    if note.as_ref().and_then(|n| files::read_text(n).ok()).is_some_and(|noted| noted == state) {
        return Ok(());
    }
    check(path)?;
    // A cache that cannot be written only costs time.
    let noted = note.map(|n| files::create_dir(n.parent().unwrap_or(Path::new("."))).and_then(|()| files::write(&n, state)));
    if let Some(Err(e)) = noted {
        tracing::debug!("it is not noted that `{}` is whole: {e}", path.display());
    }
    Ok(())
}
