//! Locks between processes, which last as long as a file is open.

use crate::error::{Error, Result};
use fs4::{FileExt, TryLockError};
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Locks an open file for this process alone. While another has it `wait` is called, which pauses, or ends it with its error.
///
/// # Errors
/// `E0301` when the system refuses, and whatever `wait` returns.
pub fn lock(file: &File, path: &Path, mut wait: impl FnMut() -> Result<()>) -> Result<()> {
    loop {
        match FileExt::try_lock(file) {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => wait()?,
            Err(TryLockError::Error(e)) => return Err(Error::io("lock", path, e)),
        }
    }
}

/// Whether a path still leads to an open file: one that was removed and made anew meanwhile is another's.
pub fn leads_to(path: &Path, file: &File) -> bool {
    let place = |m: std::fs::Metadata| (m.dev(), m.ino());
    path.metadata().is_ok_and(|m| file.metadata().is_ok_and(|own| place(own) == place(m)))
}
