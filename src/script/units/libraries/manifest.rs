//! `lathe.toml` and `recipe.toml` as they are written.

use crate::error::{Error, Result};
use crate::files;
use semver::{Version, VersionReq};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// `lathe.toml`: what a project uses.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProjectFile {
    /// The libraries by name.
    #[serde(default, rename = "recipes")]
    pub libraries: BTreeMap<String, Entry>,
    /// Whether weights that are missing are fetched without asking, or never; without it, whoever sits at the terminal is asked.
    pub fetch: Option<bool>,
}

/// `recipe.toml`: what a library says of itself.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LibraryFile {
    /// The first part of its modules' import paths.
    pub name: String,
    /// Its own version.
    pub version: Version,
    /// The versions of Lathe that it works with.
    pub lathe: VersionReq,
    /// One line.
    #[serde(default)]
    pub description: String,
    /// What it wants to read and write besides its own folder.
    #[serde(default)]
    pub permissions: Wants,
    /// The libraries that it imports.
    #[serde(default, rename = "recipes")]
    pub libraries: BTreeMap<String, Entry>,
}

/// Paths below the user's project, absolute ones, or `*`: whatever the script itself may.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wants {
    #[serde(default)]
    pub read: Vec<String>,
    #[serde(default)]
    pub write: Vec<String>,
}

/// Where a library comes from, and what it is granted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// A folder, relative to the file that names it.
    pub path: Option<PathBuf>,
    /// A git repository's address.
    pub git: Option<String>,
    /// A commit, tag or branch of it.
    pub rev: Option<String>,
    /// The library's folder in the repository; its root unless given.
    pub folder: Option<PathBuf>,
    /// The versions of the library that will do.
    pub version: Option<VersionReq>,
    /// What it may read of the project, if it asks for it.
    #[serde(default)]
    pub read: Vec<String>,
    /// What it may write, if it asks for it.
    #[serde(default)]
    pub write: Vec<String>,
}

impl Entry {
    /// Makes sure that the fields fit each other.
    ///
    /// # Errors
    /// `E0302` with the file and the name.
    pub(super) fn check(&self, file: &Path, name: &str) -> Result<()> {
        let wrong = |what: &str| {
            Err(Error::data(file, format!("`{name}` {what}"))
                .help(format!("write `{name} = {{ path = \"..\" }}` or `{name} = {{ git = \"..\", rev = \"..\" }}`")))
        };
        match (&self.path, &self.git, &self.rev) {
            (None, None, _) => wrong("has neither `path` nor `git`"),
            (Some(_), Some(_), _) => wrong("has both `path` and `git`"),
            (None, Some(_), None) => wrong("has no `rev`: a commit, tag or branch"),
            (Some(_), None, Some(_)) => wrong("has a `rev`, which only a `git` library has"),
            (Some(_), None, None) if self.folder.is_some() => wrong("has a `folder`, which only a `git` library has: write it into `path`"),
            _ => Ok(()),
        }
    }
}

/// Reads a file of settings.
///
/// # Errors
/// `E0301` when it cannot be read, `E0302` with the line for what does not belong there.
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    parse(path, &files::read_text(path)?)
}

/// The same for a text that is, or will be, in the file `path`.
///
/// # Errors
/// `E0302` with the line.
pub(super) fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T> {
    toml::from_str(text).map_err(|e| {
        let line = e.span().map_or(1, |s| text.as_bytes().iter().take(s.start).filter(|b| **b == b'\n').count() + 1);
        Error::data(path, format!("line {line}: {}", e.message()))
    })
}

/// Reads a library's `recipe.toml` and makes sure that it can be used here.
///
/// # Errors
/// `E0301` and `E0302`; `E0302` too for a name that is none, or a library that wants another Lathe.
pub(super) fn read_library(path: &Path) -> Result<LibraryFile> {
    let file: LibraryFile = read(path)?;
    check_name(path, &file.name)?;
    let own = Version::parse(env!("CARGO_PKG_VERSION")).map_err(|e| Error::data(path, format!("this program's version: {e}")))?;
    if !file.lathe.matches(&own) {
        let message = format!("`{}` {} needs lathe `{}`, and this is lathe {own}", file.name, file.version, file.lathe);
        return Err(Error::data(path, message).help("take another version of the library or of lathe"));
    }
    for (name, entry) in &file.libraries {
        check_name(path, name)?;
        entry.check(path, name)?;
        if !entry.read.is_empty() || !entry.write.is_empty() {
            let message = format!("`{name}`: a library cannot grant permissions to another; `read` and `write` belong into the user's lathe.toml");
            return Err(Error::data(path, message));
        }
    }
    Ok(file)
}

/// Names are what an import path can begin with and no other namespace has.
///
/// # Errors
/// `E0302` with the file.
pub(super) fn check_name(path: &Path, name: &str) -> Result<()> {
    if name == "std" {
        let help = "give the library another name, in its recipe.toml and here";
        return Err(Error::data(path, "a library cannot be called `std`: that is the standard library").help(help));
    }
    if is_name(name) {
        return Ok(());
    }
    Err(Error::data(path, format!("`{name}` is no name for a library")).help("small letters, digits, `_` and `-`, beginning with a letter"))
}

/// Whether a library can be called so.
pub(crate) fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c))
}
