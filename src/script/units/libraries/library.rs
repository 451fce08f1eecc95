//! A library that was found.

use super::digest::is_hidden;
use super::manifest::Wants;
use crate::error::{Error, Result};
use crate::files;
use crate::files::{Access, resolve};
use crate::script::lang::import::module_name;
use semver::Version;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A library of a project.
#[derive(Debug, Clone)]
pub struct Library {
    /// The first part of its modules' import paths.
    pub name: String,
    /// As its recipe.toml says.
    pub version: Version,
    /// One line, from its recipe.toml.
    pub description: String,
    /// Its folder, without links.
    pub root: PathBuf,
    /// `path+../lab`, `git+https://..?rev=v1`.
    pub source: String,
    /// The commit of a git library.
    pub commit: Option<String>,
    /// Of its content.
    pub hash: String,
    /// What it may do.
    pub rights: Rights,
    /// The libraries that it imports.
    pub uses: BTreeSet<String>,
}

/// What a library asks for and what the user grants it, besides its own folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rights {
    /// The project: what relative paths are relative to.
    pub(super) base: PathBuf,
    pub(super) asks: Wants,
    pub(super) grants: Wants,
}

impl Rights {
    /// What it asks for, in words; empty for nothing.
    pub fn asked(&self) -> String {
        words(&self.asks)
    }

    /// What it is granted, in words; empty for nothing.
    pub fn given(&self) -> String {
        words(&self.grants)
    }

    /// A resolved path as a line in `lathe.toml` or `recipe.toml` names it.
    pub(crate) fn name_of(&self, target: &Path) -> String {
        let below = target.strip_prefix(&self.base).ok().filter(|p| !p.as_os_str().is_empty());
        below.unwrap_or(target).display().to_string()
    }

    fn covers(&self, list: &[String], target: &Path) -> bool {
        list.iter().any(|entry| entry == "*" || target.starts_with(resolve(&self.base.join(entry))))
    }
}

fn words(wants: &Wants) -> String {
    let part = |what: &str, list: &[String]| (!list.is_empty()).then(|| format!("{what} {}", list.join(", ")));
    [part("read", &wants.read), part("write", &wants.write)].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

impl Library {
    /// The names of its modules as an import writes them, `lab/augment`, in alphabetical order; its tests are none.
    ///
    /// # Errors
    /// `E0301` when its folder cannot be listed.
    pub fn modules(&self) -> Result<Vec<String>> {
        let visible = |e: &walkdir::DirEntry| e.depth() == 0 || !is_hidden(e.path());
        let mut names = Vec::new();
        for entry in walkdir::WalkDir::new(&self.root).sort_by_file_name().into_iter().filter_entry(visible) {
            let entry = entry.map_err(|e| {
                let at = e.path().unwrap_or(&self.root).to_owned();
                Error::io("list", at, e.into())
            })?;
            let module = entry.path().strip_prefix(&self.root).ok().and_then(module_name);
            let is_module = |name: &String| entry.file_type().is_file() && !name.starts_with("tests/") && !name.ends_with(".d");
            names.extend(module.filter(is_module).map(|name| format!("{}/{name}", self.name)));
        }
        Ok(names)
    }

    /// The text of one of its modules.
    ///
    /// # Errors
    /// `E0301` when it cannot be read.
    pub fn text(&self, module: &str) -> Result<String> {
        let name = module.strip_prefix(&format!("{}/", self.name)).unwrap_or(module);
        let path = self.root.join(format!("{name}.rhai"));
        files::read_text(&path)
    }

    /// Whether a resolved path is one of its own files. Hidden ones are not: its hash does not cover them.
    pub(crate) fn holds(&self, target: &Path) -> bool {
        target.strip_prefix(&self.root).is_ok_and(|inner| !inner.ancestors().any(is_hidden))
    }

    /// The same with nothing granted.
    pub(super) fn without_rights(&self) -> Library {
        Library { rights: Rights { grants: Wants::default(), ..self.rights.clone() }, ..self.clone() }
    }

    /// Whether its recipe.toml asks for that.
    pub(crate) fn asks(&self, access: Access, target: &Path) -> bool {
        let Rights { asks: Wants { read, write }, .. } = &self.rights;
        self.rights.covers(write, target) || (access == Access::Read && self.rights.covers(read, target))
    }

    /// Whether the user's lathe.toml grants that.
    pub(crate) fn granted(&self, access: Access, target: &Path) -> bool {
        let Rights { grants: Wants { read, write }, .. } = &self.rights;
        self.rights.covers(write, target) || (access == Access::Read && self.rights.covers(read, target))
    }
}
