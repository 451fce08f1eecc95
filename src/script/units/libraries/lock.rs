//! `lathe.lock`: what each library was when `lathe add` or `lathe update` last looked, and what weights were when they were fetched first.

use super::manifest;
use crate::error::{Error, Result};
use crate::files;
use serde::{Deserialize, Serialize};
use std::path::Path;

const HEAD: &str = "# What each library was when `lathe add` or `lathe update` last looked. Keep this file with the project.\n";

/// The file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Lock {
    #[serde(default, rename = "recipe", skip_serializing_if = "Vec::is_empty")]
    pub libraries: Vec<Locked>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weights: Vec<LockedWeights>,
}

/// One file of weights.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LockedWeights {
    /// `hf://owner/repo/file`, or an address.
    pub source: String,
    /// The commit of its repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// SHA-256 of the file.
    pub sha256: String,
    /// In bytes.
    pub size: u64,
}

/// One library.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Locked {
    pub name: String,
    pub version: String,
    /// `path+../lab`, `git+https://..?rev=v1`.
    pub source: String,
    /// The commit behind a git library's `rev`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Of all its files, see `digest`.
    pub hash: String,
}

impl Lock {
    /// The file of a project; empty where there is none.
    ///
    /// # Errors
    /// `E0301` when it cannot be read, `E0302` when it is damaged.
    pub(super) fn read(path: &Path) -> Result<Lock> {
        if !path.exists() {
            return Ok(Lock::default());
        }
        manifest::read(path).map_err(|e| e.help("`lathe update` writes it anew"))
    }

    /// The entry of a library.
    pub(super) fn get(&self, name: &str) -> Option<&Locked> {
        self.libraries.iter().find(|l| l.name == name)
    }

    /// Writes the file: the same libraries give the same bytes.
    ///
    /// # Errors
    /// `E0301` when it cannot be written.
    pub(super) fn write(mut self, path: &Path) -> Result<()> {
        self.libraries.sort_by(|a, b| a.name.cmp(&b.name));
        self.weights.sort_by(|a, b| a.source.cmp(&b.source));
        let is_empty = self.libraries.is_empty() && self.weights.is_empty();
        let body = toml::to_string(&self).map_err(|e| Error::data(path, e.to_string()))?;
        let text = format!("{HEAD}\n{}", if is_empty { "" } else { &body });
        if files::read_text(path).is_ok_and(|old| old == text) {
            return Ok(());
        }
        files::write(path, text.as_bytes())
    }
}
