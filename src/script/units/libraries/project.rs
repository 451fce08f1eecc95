//! The project around a script: its files and the libraries that they name.

use super::manifest::{self, Entry, LibraryFile, ProjectFile};
use super::weights::PinnedWeights;
use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What a project uses.
pub const LATHE_TOML: &str = "lathe.toml";
/// What a library is. In the folder of a library it also takes the place of a `lathe.toml`.
pub const LIBRARY_TOML: &str = "recipe.toml";
/// What the libraries were when they were last looked at.
pub const LOCK: &str = "lathe.lock";

/// A folder with a `lathe.toml` or `recipe.toml`.
#[derive(Debug, Clone)]
pub struct Project {
    pub(super) root: PathBuf,
    /// The file that names the libraries.
    pub(super) file: PathBuf,
    pub(super) entries: BTreeMap<String, Entry>,
    /// What it says of missing weights.
    pub(super) fetch: Option<bool>,
    /// The library whose folder this is.
    pub(super) own: Option<LibraryFile>,
}

impl Project {
    /// The project around one of the folders, the first that has one.
    ///
    /// # Errors
    /// `E0302` for a file with something wrong in it, with the line.
    pub fn find<'a>(starts: impl IntoIterator<Item = &'a Path>) -> Result<Option<Project>> {
        let root = starts.into_iter().find_map(|start| {
            let here = start.canonicalize().ok()?;
            here.ancestors().find(|a| a.join(LATHE_TOML).is_file() || a.join(LIBRARY_TOML).is_file()).map(Path::to_owned)
        });
        root.map(|root| Self::open(&root)).transpose()
    }

    /// The project in a folder, which may have no file yet.
    ///
    /// # Errors
    /// `E0302` for a file with something wrong in it, with the line.
    pub fn open(root: &Path) -> Result<Project> {
        let root = root.canonicalize().map_err(|e| Error::io("open", root, e))?;
        let (lathe, library) = (root.join(LATHE_TOML), root.join(LIBRARY_TOML));
        let own = library.is_file().then(|| read_own(&library)).transpose()?.flatten();
        let (file, entries, fetch) = match &own {
            Some(own) if !lathe.is_file() => (library, own.libraries.clone(), None),
            _ if lathe.is_file() => {
                let ProjectFile { libraries, fetch } = manifest::read(&lathe)?;
                (lathe, libraries, fetch)
            }
            _ => (lathe, BTreeMap::new(), None),
        };
        let project = Project { root, file, entries, fetch, own };
        project.check()?;
        Ok(project)
    }

    pub(super) fn check(&self) -> Result<()> {
        for (name, entry) in &self.entries {
            manifest::check_name(&self.file, name)?;
            entry.check(&self.file, name)?;
            if self.own.as_ref().is_some_and(|own| own.name == *name) {
                return Err(Error::data(&self.file, format!("there are two libraries `{name}`: this folder itself is one by its recipe.toml"))
                    .help("give one of them another name, in its recipe.toml and here"));
            }
        }
        Ok(())
    }

    /// Its folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether missing weights are fetched without asking (`fetch = true` in lathe.toml), or never; `None` where it does not say.
    pub fn fetches(&self) -> Option<bool> {
        self.fetch
    }

    /// What the weights that were fetched for it were, in its `lathe.lock`.
    pub fn pins(&self) -> PinnedWeights {
        PinnedWeights::new(self.lock())
    }

    /// Its `lathe.lock`.
    pub(super) fn lock(&self) -> PathBuf {
        self.root.join(LOCK)
    }
}

/// The standard library is tested like any other, but is always there under its own name.
fn read_own(path: &Path) -> Result<Option<LibraryFile>> {
    let name = manifest::read::<toml::Table>(path)?.get("name").and_then(|n| n.as_str().map(str::to_owned));
    if name.as_deref() == Some("std") { Ok(None) } else { manifest::read_library(path).map(Some) }
}
