//! All files: the texts, the host's functions, and where imports lead.

use super::host::{Entry, Host, Live, Owner, Texts};
use super::live::{Settings, Show};
use super::store::Store;
use crate::script::text::items::ItemKind;
use crate::script::text::names::{Decl, DeclKind};
use crate::script::text::script::Script;
use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The host's functions, and where each name is among them.
type Known = (Vec<Entry>, HashMap<String, Vec<usize>>);

/// Everything that requests are answered from.
pub struct Project {
    /// The program that the server belongs to.
    pub host: Box<dyn Host>,
    /// The texts.
    pub store: Store,
    /// Read once somebody asks: an editor waits for the server to start.
    known: OnceCell<Known>,
    /// Folders open in the editor.
    pub folders: Vec<PathBuf>,
    /// What is shown of running runs.
    pub settings: Settings,
    /// Which file an import leads to, until files come or go.
    imports: RefCell<HashMap<(PathBuf, String), Option<PathBuf>>>,
}

impl Project {
    /// A project of that host.
    pub fn new(host: Box<dyn Host>) -> Self {
        Project {
            host,
            store: Store::default(),
            known: OnceCell::new(),
            folders: Vec::new(),
            settings: Settings::default(),
            imports: RefCell::default(),
        }
    }

    /// What a running run tells of a script.
    pub fn live(&self, path: &Path) -> Option<Live> {
        if self.settings.show == Show::Off { None } else { self.host.live(path, &self.folders, &self.settings) }
    }

    /// A number that is another one once that tells something else of an open script.
    pub fn live_state(&self) -> u64 {
        if self.settings.show == Show::Off { 0 } else { self.host.live_state(&self.store.all_open(), &self.folders, &self.settings) }
    }

    fn known(&self) -> &Known {
        self.known.get_or_init(|| {
            let entries = self.host.entries();
            let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
            for (i, entry) in entries.iter().enumerate() {
                by_name.entry(entry.name.clone()).or_default().push(i);
            }
            (entries, by_name)
        })
    }

    /// The host's functions.
    pub fn entries(&self) -> &[Entry] {
        &self.known().0
    }

    /// Entries of that name.
    pub fn named(&self, name: &str) -> &[usize] {
        self.known().1.get(name).map_or(&[], Vec::as_slice)
    }

    /// Entries of that name and owner.
    pub fn owned(&self, owner: &Owner, name: &str) -> Vec<usize> {
        self.named(name).iter().copied().filter(|i| self.entries()[*i].owner == *owner).collect()
    }

    /// Whether the host has such a namespace.
    pub fn is_namespace(&self, name: &str) -> bool {
        self.entries().iter().any(|e| matches!(&e.owner, Owner::Namespace(n) if n == name))
    }

    /// Files came, went or changed: imports may lead elsewhere.
    pub fn files_changed(&self) {
        self.imports.borrow_mut().clear();
    }

    /// The file behind an import.
    pub fn import(&self, from: &Path, written: &str) -> Option<PathBuf> {
        let key = (from.to_owned(), written.to_owned());
        if let Some(known) = self.imports.borrow().get(&key) {
            return known.clone();
        }
        let found = self.host.module(from, written).map(|m| m.path.canonicalize().unwrap_or(m.path));
        self.imports.borrow_mut().insert(key, found.clone());
        found
    }

    /// The file of a module by its declaration.
    pub fn module(&self, path: &Path, script: &Script, decl: usize) -> Option<PathBuf> {
        let item = script.names.decls.get(decl)?.item.and_then(|i| script.items.get(i))?;
        let ItemKind::Import { path: written, .. } = &item.kind else { return None };
        self.import(path, written)
    }

    /// Every file that a script imports, itself among them.
    pub fn closure(&self, path: &Path) -> Vec<PathBuf> {
        let mut all = vec![path.to_owned()];
        let mut i = 0;
        while let Some(path) = all.get(i).cloned() {
            i += 1;
            let Some(script) = self.store.script(&path) else { continue };
            for item in &script.items {
                if let ItemKind::Import { path: written, .. } = &item.kind
                    && let Some(found) = self.import(&path, written)
                    && !all.iter().any(|p| p.as_os_str() == found.as_os_str())
                {
                    all.push(found);
                }
            }
        }
        all
    }

    /// Every script that is open or stands in an open folder.
    pub fn all_scripts(&self) -> Vec<PathBuf> {
        let mut all = self.store.all_open();
        for folder in &self.folders {
            all.extend(self.host.scripts(folder).into_iter().map(|p| p.canonicalize().unwrap_or(p)));
        }
        all.sort();
        all.dedup();
        all
    }

    /// The declaration at the top level of a file by name.
    pub fn member(&self, path: &Path, name: &str) -> Option<(Arc<Script>, usize)> {
        let script = self.store.script(path)?;
        let is = |(_, d): &(usize, &Decl)| d.top && d.kind != DeclKind::Module && script.slice(d.name.clone()) == name;
        let found = script.names.decls.iter().enumerate().find(is).map(|(i, _)| i)?;
        Some((script, found))
    }
}
