//! Texts that an editor has not saved yet: they count instead of the files.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

thread_local! {
    static TEXTS: RefCell<HashMap<PathBuf, Arc<str>>> = RefCell::default();
}

/// Runs `f` while these texts, by canonical path, count instead of what is on disk.
pub fn with<T>(texts: HashMap<PathBuf, Arc<str>>, f: impl FnOnce() -> T) -> T {
    struct Restore(HashMap<PathBuf, Arc<str>>);
    impl Drop for Restore {
        fn drop(&mut self) {
            TEXTS.replace(std::mem::take(&mut self.0));
        }
    }
    let _before = Restore(TEXTS.replace(texts));
    f()
}

/// The text that counts for a file, if it is not that on disk.
pub(crate) fn text(path: &Path) -> Option<Arc<str>> {
    TEXTS.with_borrow(|texts| if texts.is_empty() { None } else { texts.get(path).or_else(|| texts.get(&path.canonicalize().ok()?)).cloned() })
}
