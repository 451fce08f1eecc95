//! Locks between processes: of several that want the same file, one fetches it and the others wait. They are the locks of Python's `filelock`, so that
//! `huggingface_hub` waits as well.

use crate::error::Result;
use crate::{files, interrupt, space};
use std::fs::File;
use std::path::Path;
use std::time::Duration;

/// How often a lock that another has is looked at.
const EVERY: Duration = Duration::from_millis(100);

/// Waits for a lock, which lasts as long as the file is open.
///
/// # Errors
/// `E0301` when the lock's file cannot be made; an interrupt.
pub(super) fn take(path: &Path, label: &str) -> Result<File> {
    if let Some(folder) = path.parent() {
        files::create_dir(folder)?;
    }
    let mut is_said = false;
    loop {
        let file = files::open_own(path)?;
        files::lock(&file, path, || {
            if !is_said {
                space::say(&format!("another process fetches {label}: waiting for it"));
                is_said = true;
            }
            interrupt::check()?;
            std::thread::sleep(EVERY);
            Ok(())
        })?;
        // Python removes the file when it is done: then the lock that somebody else takes is on another.
        if files::leads_to(path, &file) {
            return Ok(file);
        }
    }
}
