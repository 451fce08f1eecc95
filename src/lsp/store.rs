//! The texts: what the editor has open, and what is on disk.

use super::host::Texts;
use crate::script::text::lines::{Columns, Place};
use crate::script::text::script::Script;
use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

/// A text that the editor has open.
pub struct Open {
    /// As the editor calls it.
    pub uri: String,
    /// The editor's number of this text.
    pub version: i32,
    /// What it says.
    pub script: Arc<Script>,
    /// Whether it is the same on disk.
    pub is_saved: bool,
}

/// When a file was changed, its length, and what it says.
type OnDisk = (Option<SystemTime>, u64, Arc<Script>);

/// Every text that was asked for.
#[derive(Default)]
pub struct Store {
    open: HashMap<PathBuf, Open>,
    disk: RefCell<HashMap<PathBuf, OnDisk>>,
}

/// A change of a text: of a part of it, or of all.
pub struct Change {
    /// From and to; `None` for the whole text.
    pub range: Option<(Place, Place)>,
    /// What stands there now.
    pub text: String,
}

impl Store {
    /// A text was opened.
    pub fn open(&mut self, path: PathBuf, uri: String, version: i32, text: String) {
        let is_saved = read(&path).is_some_and(|t| t == text);
        self.open.insert(path, Open { uri, version, script: Arc::new(Script::new(text)), is_saved });
    }

    /// Changes of an open text, one after the other; `false` where it is not open.
    pub fn change(&mut self, path: &Path, version: i32, changes: Vec<Change>, columns: Columns) -> bool {
        let Some(open) = self.open.get_mut(path) else { return false };
        let mut text: String = open.script.source.to_string();
        let mut lines = open.script.lines.clone();
        let last = changes.len().saturating_sub(1);
        for (i, change) in changes.into_iter().enumerate() {
            match change.range {
                None => text = change.text,
                Some((start, end)) => {
                    let start = lines.offset(&text, start, columns);
                    let end = lines.offset(&text, end, columns).max(start);
                    text.replace_range(start..end, &change.text);
                }
            }
            if i != last {
                lines = crate::script::text::lines::Lines::new(&text);
            }
        }
        (open.version, open.is_saved) = (version, false);
        open.script = Arc::new(Script::new(text));
        true
    }

    /// A text was saved.
    pub fn saved(&mut self, path: &Path) {
        if let Some(open) = self.open.get_mut(path) {
            open.is_saved = read(path).is_some_and(|t| *t == *open.script.source);
        }
    }

    /// A text was closed: the one on disk counts again.
    pub fn close(&mut self, path: &Path) {
        self.open.remove(path);
    }

    /// An open text.
    pub fn opened(&self, path: &Path) -> Option<&Open> {
        self.open.get(path)
    }

    /// The paths of all open texts.
    pub fn all_open(&self) -> Vec<PathBuf> {
        let mut all: Vec<PathBuf> = self.open.keys().cloned().collect();
        all.sort();
        all
    }
}

impl Texts for Store {
    fn text(&self, path: &Path) -> Option<Arc<str>> {
        self.open.get(path).map(|o| o.script.source.clone())
    }

    fn open(&self) -> Vec<PathBuf> {
        self.all_open()
    }

    fn script(&self, path: &Path) -> Option<Arc<Script>> {
        if let Some(open) = self.open.get(path) {
            return Some(open.script.clone());
        }
        let meta = path.metadata().ok().filter(std::fs::Metadata::is_file)?;
        let (time, length) = (meta.modified().ok(), meta.len());
        if let Some((t, l, script)) = self.disk.borrow().get(path)
            && (*t, *l) == (time, length)
        {
            return Some(script.clone());
        }
        let script = Arc::new(Script::new(read(path)?));
        self.disk.borrow_mut().insert(path.to_owned(), (time, length, script.clone()));
        Some(script)
    }
}

/// A file that is no text is as good as none here: the host says so when it checks it.
#[allow(clippy::disallowed_methods)] // The error is not shown: see above.
fn read(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok()
}
