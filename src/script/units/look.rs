//! What is wrong with scripts as far as their texts tell, for editors: nothing of them runs.

use super::build::{Reading, add};
use super::locate::Locator;
use super::program::{Entry, Program};
use crate::error::{Diagnostic, Result};
use crate::script::lang::diagnose::Explain;
use crate::script::lang::import::Found;
use std::path::Path;

/// What to look at.
pub(crate) enum Look<'a> {
    /// A script in a file.
    File(&'a Path),
    /// A text.
    Text(&'a str),
}

impl Program {
    /// What is wrong with a script as far as its text and those that it imports tell; nothing of them runs. Doubts are among it. Modules that did not
    /// change are not read again.
    ///
    /// # Errors
    /// `E0301` for a file that cannot be read.
    pub(crate) fn look(&self, rhai: &rhai::Engine, entry: Look) -> Result<Vec<Diagnostic>> {
        let path = match entry {
            Look::File(path) => Some(path),
            Look::Text(_) => None,
        };
        *self.locator.borrow_mut() = Locator::new(path, self.stdlib.as_deref()).with_roots(&self.roots);
        self.recorded.borrow_mut().clear();
        *self.entry.borrow_mut() = Some(match entry {
            Look::File(path) => Entry::File(path.to_owned()),
            Look::Text(text) => Entry::Text(Found { id: "check".into(), shown: "check".into(), path: None, text: text.into() }),
        });
        let known = self.known();
        let explain = Explain { sources: &self.sources, known: &known };
        let (_, Reading { parsed, mut errors, .. }) = self.reading(rhai, explain, Some(&self.looked))?;
        let (wrong, doubtful) = self.looked.check(&parsed, explain);
        add(wrong, &mut errors);
        errors.extend(doubtful.into_iter().map(Diagnostic::as_warning));
        drop(parsed);
        self.sources.sweep();
        Ok(errors)
    }
}
