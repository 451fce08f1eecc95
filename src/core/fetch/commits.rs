//! Which state of a repository the files of one item are taken from: all from one, though its branch may move between two of them.

use super::reference::HubFile;
use std::collections::HashMap;

/// The commit at which the first file of each repository and revision was found.
#[derive(Debug, Default)]
pub(super) struct Commits(HashMap<(String, String), String>);

impl Commits {
    /// The commit that goes for another file of the same repository and revision.
    pub(super) fn of(&self, file: &HubFile) -> Option<&str> {
        self.0.get(&(file.repo.clone(), file.rev.clone())).map(String::as_str)
    }

    /// Notes where a file was found; the first one counts.
    pub(super) fn note(&mut self, file: &HubFile, commit: &str) {
        self.0.entry((file.repo.clone(), file.rev.clone())).or_insert_with(|| commit.to_owned());
    }
}
