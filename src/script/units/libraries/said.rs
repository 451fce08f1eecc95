//! What was said of a library, so that it is said once.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

static SAID: Mutex<BTreeSet<(PathBuf, String)>> = Mutex::new(BTreeSet::new());

/// Says a line about a library of that content, the first time in this process: libraries are looked at whenever a script is built.
pub(super) fn once(root: &Path, hash: &str, line: &str) {
    let is_new = SAID.lock().unwrap_or_else(PoisonError::into_inner).insert((root.to_owned(), hash.to_owned()));
    if is_new {
        crate::train::log::say(line);
    }
}
