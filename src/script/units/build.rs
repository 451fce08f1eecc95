//! Loading scripts: all texts are parsed, then all are checked, then each is evaluated.

use super::doubts::{self, InSpite, Said};
use super::facade::facade;
use super::generation::Generation;
use super::libraries::is_name;
use super::lint;
use super::locate::Locator;
use super::looked::Looked;
use super::program::{Build, Entry, Program};
use super::unit::{self, Parsed, Unit};
use crate::error::{Diagnostic, Error, Result};
use crate::script::lang::codes::IMPORT;
use crate::script::lang::diagnose::Explain;
use crate::script::lang::import::Found;
use crate::script::lang::stack::internal;
use crate::script::lang::unsaved;
use crate::train::Sources;
use indexmap::IndexMap;
use rhai::{AST, Dynamic, Module, Scope};
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

/// How many modules may import each other in a row: reading them recurses.
const MAX_IMPORTS: usize = 64;

/// Every text of a generation, an imported one before its importers.
#[derive(Default)]
pub(super) struct Reading<'a> {
    pub parsed: IndexMap<String, Parsed>,
    /// The chain of imports that is being followed.
    stack: Vec<String>,
    /// Ids that were met, the broken ones too.
    met: BTreeSet<String>,
    pub errors: Vec<Diagnostic>,
    /// Where imports lead to instead of the disk.
    recorded: Option<Rc<Sources>>,
    /// Modules that were parsed before.
    looked: Option<&'a Looked>,
}

/// Adds what the lint found, but for what is known already.
pub(super) fn add(found: Vec<Diagnostic>, errors: &mut Vec<Diagnostic>) {
    for d in found {
        // The parser may have met an unknown module already.
        if !errors.iter().any(|w| w.labels == d.labels && !d.labels.is_empty()) {
            errors.push(d);
        }
    }
}

/// A unit of a record.
fn recorded_unit(all: &Sources, id: &str) -> Option<Found> {
    let unit = all.get(id)?;
    Some(Found { id: unit.id.clone(), shown: unit.shown.clone(), path: None, text: unit.text.clone() })
}

impl Program {
    /// Which units of a record are modules of libraries: those that an import names by a library's name, and those that such modules import from
    /// beside them.
    pub(super) fn note_libraries(&self, all: &Sources) {
        let mut recorded = self.recorded.borrow_mut();
        let named = |text: &str| text.split_once('/').map(|(first, _)| first).filter(|f| is_name(f) && *f != "std").map(Rc::<str>::from);
        let mut todo: Vec<(String, Rc<str>)> = Vec::new();
        for (text, id) in all.units.iter().flat_map(|u| &u.imports) {
            todo.extend(named(text).filter(|_| !self.roots.own(text)).map(|library| (id.clone(), library)));
        }
        while let Some((id, library)) = todo.pop() {
            let beside = all.get(&id).into_iter().flat_map(|u| &u.imports).filter(|(text, _)| text.starts_with("./"));
            if recorded.insert(id.clone(), library.clone()).is_none() {
                todo.extend(beside.map(|(_, id)| (id.clone(), library.clone())));
            }
        }
    }

    /// Loads the script in a file and everything it imports.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub(crate) fn load_file(&self, rhai: &rhai::Engine, path: &Path) -> Result<()> {
        *self.locator.borrow_mut() = Locator::new(Some(path), self.stdlib.as_deref()).with_roots(&self.roots);
        self.recorded.borrow_mut().clear();
        *self.entry.borrow_mut() = Some(Entry::File(path.to_owned()));
        self.load(rhai)
    }

    /// The module behind an import in a file: as it is shown, its file, where it has one, and its text.
    pub(crate) fn module(&self, from: &Path, written: &str) -> Option<Found> {
        let locator = Locator::new(Some(from), self.stdlib.as_deref()).with_roots(&self.roots);
        let importer =
            self.std_name(from).map_or_else(|| from.file_name().map_or(String::new(), |n| n.to_string_lossy().into_owned()), |n| format!("std/{n}"));
        locator.find(written, &importer, Some(from)).ok()
    }

    /// Loads a script from a text; `shown` names it in messages.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(crate) fn load_text(&self, rhai: &rhai::Engine, shown: &str, text: &str) -> Result<()> {
        *self.locator.borrow_mut() = Locator::new(None, self.stdlib.as_deref()).with_roots(&self.roots);
        let found = Found { id: shown.to_owned(), shown: shown.to_owned(), path: None, text: text.into() };
        self.recorded.borrow_mut().clear();
        *self.entry.borrow_mut() = Some(Entry::Text(found));
        self.load(rhai)
    }

    /// Loads scripts from a run's record, whatever is on disk. The rights of libraries are those that the project around `folder` gives them.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub(crate) fn load_recorded(&self, rhai: &rhai::Engine, recorded: Sources, folder: &Path) -> Result<()> {
        *self.locator.borrow_mut() = Locator::new(None, self.stdlib.as_deref()).in_project(folder).with_roots(&self.roots);
        self.recorded.borrow_mut().clear();
        self.note_libraries(&recorded);
        // Nothing is imported from disk that would ask for the project.
        if let Some(module) = self.recorded.borrow().keys().next() {
            self.locator.borrow().library_of(module);
        }
        *self.entry.borrow_mut() = Some(Entry::Recorded(Rc::new(recorded)));
        self.load(rhai)
    }

    fn load(&self, rhai: &rhai::Engine) -> Result<()> {
        self.required.borrow_mut().clear();
        let next = Rc::new(self.build(rhai)?);
        *self.began.borrow_mut() = next.clone();
        *self.current.borrow_mut() = next;
        Ok(())
    }

    pub(super) fn build(&self, rhai: &rhai::Engine) -> Result<Generation> {
        let known = self.known();
        let explain = Explain { sources: &self.sources, known: &known };
        let (id, reading) = self.reading(rhai, explain, None)?;
        let units = self.evaluate_all(rhai, explain, reading, &BTreeMap::new())?;
        Ok(Generation { number: self.current().number + 1, entry: id, units })
    }

    /// Reads the entry and the prompts, with all that they import: the entry's id, and what was read.
    pub(super) fn reading<'a>(&self, rhai: &rhai::Engine, explain: Explain, looked: Option<&'a Looked>) -> Result<(String, Reading<'a>)> {
        let entry = self.entry.borrow().clone();
        if entry.is_none() && self.prompts.borrow().is_empty() {
            return Err(Error::usage("no script is loaded"));
        }
        let mut recorded = None;
        let found = match entry {
            None => None,
            Some(Entry::Text(found)) => Some(found),
            Some(Entry::Recorded(all)) => {
                let found = recorded_unit(&all, &all.entry).ok_or_else(|| Error::run(format!("the record lacks the script `{}`", all.entry)))?;
                recorded = Some(all);
                Some(found)
            }
            Some(Entry::File(path)) => {
                let text: Arc<str> = match unsaved::text(&path) {
                    Some(text) => text,
                    None => crate::files::read_text(&path)?.into(),
                };
                let id = path.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into_owned());
                // Imports are looked up beside the path as it was given, were it a link; an editor's text may have no file yet.
                let beside = path.parent().and_then(|p| if p.as_os_str().is_empty() { Path::new(".") } else { p }.canonicalize().ok());
                let path_here = match beside {
                    Some(folder) => folder.join(&id),
                    None => path.canonicalize().map_err(|e| Error::io("read", &path, e))?,
                };
                Some(Found { id, shown: path.display().to_string(), path: Some(path_here), text })
            }
        };
        let id = found.as_ref().map(|f| f.id.clone()).unwrap_or_default();
        if self.building.borrow().is_some() {
            return Err(Error::run("scripts cannot be reloaded while they are being loaded"));
        }
        let mut reading = Reading { recorded, looked, ..Reading::default() };
        if let Some(found) = found {
            self.read(rhai, explain, &mut reading, found, true);
        }
        for found in self.prompts.borrow().values() {
            self.read(rhai, explain, &mut reading, found.clone(), false);
        }
        Ok((id, reading))
    }

    /// Checks and evaluates what was read; `loaded` are units that it may import besides.
    fn evaluate_all(
        &self,
        rhai: &rhai::Engine,
        explain: Explain,
        reading: Reading,
        loaded: &BTreeMap<String, Rc<Unit>>,
    ) -> Result<BTreeMap<String, Rc<Unit>>> {
        let Reading { parsed, mut errors, .. } = reading;
        add(lint::check(&parsed, loaded, explain), &mut errors);
        let in_spite = self.host.get_or_default::<InSpite>().0.get();
        if errors.is_empty() || in_spite {
            self.host.get_or_default::<Said>().say(doubts::all(&parsed, explain), crate::space::say);
            *self.building.borrow_mut() = Some(Build::default());
            // Whatever an evaluation does, even a panic in a native, must not leave a half-built generation behind.
            let evaluated = catch_unwind(AssertUnwindSafe(|| parsed.into_values().try_for_each(|p| self.evaluate(rhai, p))));
            let build = self.building.borrow_mut().take().unwrap_or_default();
            evaluated.unwrap_or_else(|panic| Err(internal(&*panic)))?;
            return Ok(build.units);
        }
        let first = errors.remove(0);
        Err(Error::script(Diagnostic { also: errors, ..first }))
    }

    /// Loads what a prompt imports, beside what runs: units that are loaded already stay as they are. `found` holds import
    /// statements alone and replaces what the prompt of that id imported before.
    ///
    /// # Errors
    /// Everything that is wrong with the imports; nothing has changed then.
    pub(crate) fn extend(&self, rhai: &rhai::Engine, found: Found) -> Result<()> {
        if self.building.borrow().is_some() {
            return Err(Error::run("scripts cannot be imported while others are being loaded"));
        }
        let known = self.known();
        let explain = Explain { sources: &self.sources, known: &known };
        let current = self.current();
        let met = current.units.keys().filter(|k| **k != found.id).cloned().collect();
        let mut reading = Reading { met, ..Reading::default() };
        self.read(rhai, explain, &mut reading, found.clone(), false);
        let new = self.evaluate_all(rhai, explain, reading, &current.units)?;
        let mut units = current.units.clone();
        units.extend(new);
        self.prompts.borrow_mut().insert(found.id.clone(), found);
        *self.current.borrow_mut() = Rc::new(Generation { number: current.number, entry: current.entry.clone(), units });
        Ok(())
    }

    /// Parses a unit and its imports; what is wrong is collected.
    fn read(&self, rhai: &rhai::Engine, explain: Explain, reading: &mut Reading, found: Found, is_entry: bool) {
        let id = found.id.clone();
        reading.met.insert(id.clone());
        // A script is parsed in another way than a module, and is what changes.
        let looked = reading.looked.filter(|_| !is_entry);
        let mut parsed = match looked.and_then(|l| l.parsed(&found)) {
            Some(parsed) => parsed,
            None => match unit::parse(rhai, explain, found, is_entry) {
                Ok(parsed) => {
                    looked.inspect(|l| l.keep(&parsed, explain));
                    parsed
                }
                Err(wrong) => return reading.errors.extend(wrong),
            },
        };
        reading.errors.append(&mut parsed.wrong);
        reading.stack.push(id.clone());
        for import in unit::imports(&parsed.ast) {
            let target = self.import(rhai, explain, reading, &parsed, &import).unwrap_or_else(|d| {
                let labels = self.sources.label(&parsed.tag, import.position, "").into_iter().collect();
                reading.errors.push(Diagnostic { labels, ..*d });
                String::new()
            });
            parsed.aliases.insert(import.alias, target.clone());
            parsed.imports.extend(import.path.map(|path| (path, target)));
        }
        reading.stack.pop();
        reading.parsed.insert(id, parsed);
    }

    /// The id of the unit that an import leads to, read.
    fn import(
        &self,
        rhai: &rhai::Engine,
        explain: Explain,
        reading: &mut Reading,
        importer: &Parsed,
        import: &unit::Import,
    ) -> Result<String, Box<Diagnostic>> {
        let Some(text) = &import.path else {
            let help = Some("write the path as a string: `import \"std/flow\" as flow;`".to_owned());
            return Err(Box::new(Diagnostic { help, ..Diagnostic::plain(IMPORT, "the path of an import must be known before the script runs") }));
        };
        let found = match &reading.recorded {
            Some(all) => all
                .get(&importer.found.id)
                .and_then(|unit| recorded_unit(all, unit.imports.get(text)?))
                .ok_or_else(|| Box::new(Diagnostic::plain(IMPORT, format!("the record of the run lacks `{text}`"))))?,
            None => self.locator.borrow().find(text, &importer.found.id, importer.found.path.as_deref())?,
        };
        let id = found.id.clone();
        if let Some(at) = reading.stack.iter().position(|s| *s == id) {
            let circle = reading.stack[at..].iter().chain([&id]).map(String::as_str).collect::<Vec<_>>().join(" -> ");
            return Err(Box::new(Diagnostic::plain(IMPORT, format!("the imports go in a circle: {circle}"))));
        }
        if reading.stack.len() >= MAX_IMPORTS {
            return Err(Box::new(Diagnostic::plain(IMPORT, format!("more than {MAX_IMPORTS} modules import each other in a row"))));
        }
        if !reading.met.contains(&id) {
            self.read(rhai, explain, reading, found, false);
        }
        Ok(id)
    }

    /// Evaluates the declarations of a unit whose imports are evaluated.
    fn evaluate(&self, rhai: &rhai::Engine, parsed: Parsed) -> Result<()> {
        let id = parsed.found.id.clone();
        if let Some(b) = self.building.borrow_mut().as_mut() {
            b.imports.extend(parsed.imports.iter().map(|(path, to)| ((id.clone(), path.clone()), to.clone())));
        }
        let _behalf = self.acting.enter(self.acts_for(&id));
        let evaluated = if parsed.is_notebook {
            None
        } else {
            let exports = Module::eval_ast_as_new(Scope::new(), &parsed.ast, rhai).map_err(|e| self.explain(&parsed.tag, &e));
            Some(if self.host.get_or_default::<InSpite>().0.get() { exports.unwrap_or_default() } else { exports? })
        };
        let exports: Vec<(String, Dynamic)> = evaluated.iter().flat_map(|m| m.iter_var().map(|(n, v)| (n.to_owned(), v.clone()))).collect();
        let functions: Vec<(String, usize)> = unit::public_functions(&parsed.ast).map(|(n, a)| (n.to_owned(), a)).collect();
        // The facade needs the unit, for functions among its constants, and the unit its facade.
        let known = self.outline(&parsed.tag);
        let mut unit = Unit::new(parsed, evaluated.map(AST::new_from_module), Module::new().into(), known);
        unit.facade = facade(&unit, rhai, &functions, exports, self)?;
        let unit = Rc::new(unit);
        if let Some(b) = self.building.borrow_mut().as_mut() {
            b.units.insert(id, unit);
        }
        Ok(())
    }
}
