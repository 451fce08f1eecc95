//! What scripts may read because they named it: weights in the caches.

use crate::fetch::hub_folder;
use crate::files::resolve;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Files of caches that scripts may read: they asked for them by name.
#[derive(Clone, Default)]
pub(super) struct Found(Arc<Mutex<Vec<PathBuf>>>);

impl Found {
    pub(super) fn add(&self, files: &[PathBuf]) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let hub = hub_folder().map(|h| resolve(&h));
        for file in files {
            // The name in a snapshot, the file that it links to, and of the hub the whole snapshot: a folder of diffusers.
            let folder = file.parent().map(resolve).filter(|f| hub.as_ref().is_some_and(|hub| f.starts_with(hub)));
            for place in [Some(file.clone()), Some(resolve(file)), folder].into_iter().flatten() {
                if !all.contains(&place) {
                    all.push(place);
                }
            }
        }
    }

    /// Whether it is one of them, or lies in the folder of one.
    pub(super) fn holds(&self, target: &Path) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|f| target.starts_with(f))
    }
}
