//! Lathe as the language server sees it: its reference, its modules, its check.

use super::live::Runs;
use super::tables::entries;
use crate::error::{Diagnostic, Error};
use crate::lsp::host::{Entry, Fault, Host, Live, Module, Spot, Texts};
use crate::lsp::live::Settings;
use crate::script::docs::Reference;
use crate::script::lang::unsaved::with;
use crate::script::{Engine, EngineOptions, Limits, Permissions, stdlib_folder};
use std::cell::OnceCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

/// A saved script's constants and `params()` run, but not for long: an editor waits.
const LIMITS: Limits =
    Limits { operations: Some(5_000_000), time: Some(Duration::from_secs(2)), call_depth: None, string_bytes: None, elements: None };

/// One engine for all checks.
pub(super) struct Lathe {
    engine: Engine,
    reference: OnceCell<Reference>,
    runs: Runs,
}

impl Lathe {
    pub(super) fn new() -> Lathe {
        // Nothing but the protocol may be written to stdout.
        let print: Rc<dyn Fn(&str)> = Rc::new(|text: &str| eprintln!("{text}"));
        let engine = Engine::new(EngineOptions { limits: LIMITS, print: Some(print), ..EngineOptions::default() });
        Lathe { engine, reference: OnceCell::new(), runs: Runs::default() }
    }

    fn reference(&self) -> &Reference {
        let read = || {
            self.engine.reference().unwrap_or_else(|e| {
                eprintln!("warning: nothing is known of Lathe's functions: {e}");
                Reference::default()
            })
        };
        self.reference.get_or_init(read)
    }

    /// The file of a module; one that is built in is put into a file below the cache, named after its text.
    fn file(&self, from: &Path, written: &str) -> Option<PathBuf> {
        let (path, text) = self.engine.module(from, written)?;
        if path.is_some() {
            return path;
        }
        let folder = crate::fetch::cache_folder()?.join("stdlib").join(env!("CARGO_PKG_VERSION"));
        let file = folder.join(format!("{}.rhai", written.strip_prefix("std/").unwrap_or(written)));
        if !crate::files::read_text(&file).is_ok_and(|t| *t == *text) {
            crate::files::create_dir(file.parent()?).and_then(|()| crate::files::write(&file, text.as_bytes())).ok()?;
        }
        Some(file)
    }

    fn fault(&self, script: &Path, d: &Diagnostic) -> Fault {
        let label = d.labels.first();
        let path = label.map(|l| PathBuf::from(&l.file)).filter(|p| p.is_file());
        let path = path.or_else(|| label.and_then(|l| self.file(script, &l.file))).unwrap_or_else(|| script.to_owned());
        Fault {
            path,
            spot: label.map(|l| Spot { line: l.line, column: l.column, width: l.width }),
            is_warning: d.is_warning,
            code: d.code.to_owned(),
            message: d.message.clone(),
            help: d.help.clone(),
            replacement: d.replacement(),
        }
    }
}

impl Host for Lathe {
    fn entries(&self) -> Vec<Entry> {
        entries(self.reference())
    }

    fn about(&self, namespace: &str) -> Option<String> {
        self.reference().pages().iter().find(|p| p.name == namespace).map(|p| p.about.clone())
    }

    fn module(&self, from: &Path, written: &str) -> Option<Module> {
        let path = self.file(from, written)?;
        let own = self.is_own(&path);
        Some(Module { path, own })
    }

    fn importable(&self, from: &Path) -> Vec<String> {
        let mut all: Vec<String> = self.engine.std_names().into_iter().map(|n| format!("std/{n}")).collect();
        let Some(folder) = from.parent() else { return all };
        let beside = self.scripts(folder).into_iter().filter(|p| p != from);
        all.extend(beside.filter_map(|p| Some(format!("./{}", p.strip_prefix(folder).ok()?.with_extension("").display()))));
        all
    }

    fn is_own(&self, path: &Path) -> bool {
        // Whoever has the standard library's sources open may change them.
        let cached = crate::fetch::cache_folder().is_some_and(|c| path.starts_with(c));
        !cached || stdlib_folder().is_some_and(|s| path.starts_with(s))
    }

    fn faults(&self, script: &Path, texts: &dyn Texts, is_saved: bool) -> Vec<Fault> {
        let unsaved: HashMap<_, _> = texts.open().into_iter().filter_map(|p| Some((p.clone(), texts.text(&p)?))).collect();
        let found = if is_saved {
            self.engine.set_permissions(Permissions::for_script(script).read_only());
            with(unsaved, || self.engine.faults(script))
        } else {
            self.engine.faults_of_text(script, unsaved)
        };
        let unfinished = |e: Error| vec![Diagnostic::plain(e.code(), format!("the check did not end: {e}"))];
        found.unwrap_or_else(unfinished).iter().map(|d| self.fault(script, d)).collect()
    }

    fn live(&self, script: &Path, folders: &[PathBuf], settings: &Settings) -> Option<Live> {
        self.runs.live(script, folders, settings)
    }

    fn live_state(&self, scripts: &[PathBuf], folders: &[PathBuf], settings: &Settings) -> u64 {
        self.runs.state(scripts, folders, settings)
    }

    fn scripts(&self, folder: &Path) -> Vec<PathBuf> {
        crate::cli::check::scripts(&[folder.to_owned()]).unwrap_or_default()
    }
}
