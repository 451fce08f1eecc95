//! The engine's tests: isolation, reload, diagnostics, safety, and every documented example.

mod bounds;
mod diagnostics;
mod exact;
mod examples;
mod find_nan;
mod isolation;
mod libraries;
mod library_rights;
mod models;
mod odd_files;
mod options;
mod params;
mod permissions;
mod programs;
mod reference;
mod reload;
mod runtime;
mod safety;
mod settings_use;
mod several_indices;
mod shapes;
mod swapped;
mod words;

use super::{Engine, EngineOptions};
use rhai::{Dynamic, Map};
use std::path::{Path, PathBuf};

/// A folder with scripts, gone when dropped.
pub(super) struct Scripts(tempfile::TempDir);

impl Scripts {
    pub(super) fn new(files: &[(&str, &str)]) -> Self {
        let scripts = Scripts(tempfile::tempdir().unwrap());
        files.iter().for_each(|(name, text)| scripts.write(name, text));
        scripts
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(super) fn folder(&self) -> &Path {
        self.0.path()
    }

    pub(super) fn run(&self, name: &str) -> crate::error::Result<Dynamic> {
        let engine = engine();
        engine.load(self.path(name))?;
        engine.run(Map::new())
    }
}

pub(super) fn engine() -> Engine {
    Engine::new(EngineOptions::default())
}

/// The error as users see it, with the folder's name taken out.
pub(super) fn rendered(e: &crate::error::Error, scripts: &Scripts) -> String {
    e.render(false).replace(&format!("{}/", scripts.folder().display()), "")
}
