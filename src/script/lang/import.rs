//! What an import names: its text, and what every import must keep to.

use super::codes::IMPORT;
use super::unsaved;
use crate::error::Diagnostic;
use crate::files;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// The names of a module's files end so.
pub(crate) const EXTENSION: &str = "rhai";

/// A script that an import names.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// Unique in the program, and the file's name in a run's `sources/`: `helper.rhai`, `std/flow.rhai`.
    pub id: String,
    /// As messages show it: the path, or `std/flow`.
    pub shown: String,
    /// Its file, when it is on disk.
    pub path: Option<PathBuf>,
    /// Its text.
    pub text: Arc<str>,
}

/// What is wrong with an import, without its place.
pub(crate) type Refusal = Box<Diagnostic>;

pub(crate) fn refuse(message: String, help: impl Into<Option<String>>) -> Refusal {
    Box::new(Diagnostic { help: help.into(), ..Diagnostic::plain(IMPORT, message) })
}

/// Only plain names: what could climb out of the root is refused before any file is looked at.
pub(crate) fn plain(text: &str, name: &str) -> Result<(), Refusal> {
    if Path::new(name).extension().is_some_and(|e| e == EXTENSION) {
        return Err(refuse(format!("`{text}`: an import goes without `.{EXTENSION}`"), None));
    }
    let ok = !name.is_empty() && !name.contains(['\\', '\0', ':']) && !name.ends_with('/') && !name.contains("//");
    let ok = ok && Path::new(name).components().all(|c| matches!(c, Component::Normal(_)));
    if ok && !name.split('/').any(|part| part == ".") {
        return Ok(());
    }
    Err(refuse(format!("`{text}`: an import may not leave its folder"), "keep shared modules below the script's folder".to_owned()))
}

pub(crate) fn read(import: &str, id: String, shown: String, path: &Path, root: &Path) -> Result<Found, Refusal> {
    let failed = |e: std::io::Error| refuse(format!("cannot read `{}`: {e}", path.display()), None);
    let real = path.canonicalize().map_err(failed)?;
    if !real.starts_with(root) {
        return Err(refuse(format!("`{import}` leads to `{}`, outside its folder", real.display()), None));
    }
    let text = match unsaved::text(&real) {
        Some(text) => text,
        None => files::read_at(&real).map_err(|e| refuse(e.to_string(), None))?.into(),
    };
    Ok(Found { id, shown, path: Some(real), text })
}

pub(crate) fn module_name(path: &Path) -> Option<String> {
    let is_module = path.extension().is_some_and(|e| e == EXTENSION);
    is_module.then(|| path.with_extension("").components().map(|c| c.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/"))
}
