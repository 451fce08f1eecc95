//! The scripts of an engine: units in generations.
//!
//! A generation is an immutable snapshot of all units. A reload builds a whole new one off to the side, checks it, makes
//! sure that the functions in use still exist, and only then swaps: a faulty edit leaves the old one running.

use super::callback;
use super::changes::{Reloaded, UnitChange, changes};
use super::facade::facade;
use super::libraries::Library;
use super::lint;
use super::locate::Locator;
use super::roots::Roots;
use super::unit::{self, Parsed, Unit};
use crate::error::{Diagnostic, Error, ErrorKind, Label, Result, did_you_mean, nearest};
use crate::files;
use crate::script::lang::codes::{IMPORT, LINT};
use crate::script::lang::diagnose::Explain;
use crate::script::lang::exception::into_script;
use crate::script::lang::host::Host;
use crate::script::lang::import::Found;
use crate::script::lang::known::Known;
use crate::script::lang::principal::{Acting, Principal};
use crate::script::lang::source::Texts;
use crate::script::lang::stack::Crossing;
use crate::train::{Source, Sources};
use indexmap::IndexMap;
use rhai::{Dynamic, EvalAltResult, FnAccess, FnPtr, Module, NativeCallContext, Position, Scope, Shared};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

/// How many modules may import each other in a row: reading them recurses.
const MAX_IMPORTS: usize = 64;
/// An import path of this and a unit's id leads to that unit: for prompts, which see a script's functions. No file name holds it.
pub(crate) const UNIT: char = '\u{2}';

/// An immutable snapshot of all units.
#[derive(Default)]
pub(crate) struct Generation {
    /// From 1; 0 while nothing is loaded.
    pub number: u64,
    /// The id of the script that was started.
    pub entry: String,
    /// By id.
    pub units: BTreeMap<String, Rc<Unit>>,
}

impl Generation {
    /// Its scripts as a run folder keeps them, the started one first.
    pub(crate) fn recorded(&self) -> Sources {
        let mut units: Vec<&Rc<Unit>> = self.units.values().collect();
        units.sort_by_key(|u| (u.id != self.entry, &u.id));
        let source = |u: &&Rc<Unit>| Source { id: u.id.clone(), shown: u.shown.clone(), text: u.text.clone(), imports: u.imports.clone() };
        Sources { entry: self.entry.clone(), units: units.iter().map(source).collect() }
    }
}

/// A generation that is being built: all texts are parsed, then all are checked, then each is evaluated.
#[derive(Default)]
struct Build {
    /// Evaluated so far.
    units: BTreeMap<String, Rc<Unit>>,
    /// Imports by importer and path.
    imports: BTreeMap<(String, String), String>,
}

/// Every text of a generation, an imported one before its importers.
#[derive(Default)]
struct Reading {
    parsed: IndexMap<String, Parsed>,
    /// The chain of imports that is being followed.
    stack: Vec<String>,
    /// Ids that were met, the broken ones too.
    met: BTreeSet<String>,
    errors: Vec<Diagnostic>,
    /// Where imports lead to instead of the disk.
    recorded: Option<Rc<Sources>>,
}

/// A unit of a record.
fn recorded_unit(all: &Sources, id: &str) -> Option<Found> {
    let unit = all.get(id)?;
    Some(Found { id: unit.id.clone(), shown: unit.shown.clone(), path: None, text: unit.text.clone() })
}

/// Where the entry script comes from.
#[derive(Clone)]
enum Entry {
    File(PathBuf),
    Text(Found),
    /// Recorded scripts, whatever is on disk.
    Recorded(Rc<Sources>),
}

/// A generation that is built and checked, and not in effect yet.
pub(crate) struct Prepared {
    next: Rc<Generation>,
    /// What differs from the generation that runs.
    pub changed: Vec<UnitChange>,
    /// How long it took to read and check.
    seconds: f64,
}

impl Prepared {
    /// Its scripts as a run folder keeps them.
    pub(crate) fn recorded(&self) -> Sources {
        self.next.recorded()
    }

    /// Whether the files still hold what was read: while one is being written, another read may have seen it otherwise.
    pub(crate) fn is_settled(&self) -> bool {
        self.next.units.values().all(|u| u.path.as_ref().is_none_or(|p| files::read(p).is_ok_and(|now| now == u.text.as_bytes())))
    }
}

/// All scripts of one engine.
pub(crate) struct Program {
    host: Host,
    stdlib: Option<PathBuf>,
    roots: Roots,
    pub sources: Texts,
    known: RefCell<Rc<Known>>,
    entry: RefCell<Option<Entry>>,
    locator: RefCell<Locator>,
    current: RefCell<Rc<Generation>>,
    /// Older generations that a host program calls into, the innermost call last.
    held: RefCell<Vec<Rc<Generation>>>,
    building: RefCell<Option<Build>>,
    /// On whose behalf the code runs that runs now.
    pub acting: Acting,
    /// Functions that a running loop needs, by unit, name and number of parameters, and how many loops do.
    required: RefCell<BTreeMap<(String, String, usize), usize>>,
    /// What prompts import, by the prompt's id: import statements alone. They are loaded beside the script, and reload with it.
    prompts: RefCell<BTreeMap<String, Found>>,
}

impl Program {
    pub(crate) fn new(host: &Host, stdlib: Option<PathBuf>, roots: Roots) -> Self {
        Program {
            host: host.clone(),
            stdlib,
            roots,
            sources: Texts::default(),
            known: RefCell::default(),
            entry: RefCell::default(),
            locator: RefCell::default(),
            current: RefCell::default(),
            held: RefCell::default(),
            building: RefCell::default(),
            required: RefCell::default(),
            acting: Acting::default(),
            prompts: RefCell::default(),
        }
    }

    /// The values that functions share with the host program.
    pub(crate) fn host(&self) -> &Host {
        &self.host
    }

    /// Whose code a unit is. The standard library acts for whoever calls it.
    pub(crate) fn principal(&self, unit: &str) -> Principal {
        self.locator.borrow().library_of(unit).map_or(Principal::Program, |l| Principal::Library(l.name.as_str().into()))
    }

    /// Who acts while code of a unit runs.
    pub(crate) fn acts_for(&self, unit: &str) -> Principal {
        if unit.starts_with("std/") { self.acting.current() } else { self.principal(unit) }
    }

    /// The recipe libraries of the project, as far as imports asked for them.
    pub(crate) fn libraries(&self) -> Vec<Rc<Library>> {
        self.locator.borrow().libraries().iter().flat_map(|l| l.iter().cloned().collect::<Vec<_>>()).collect()
    }

    /// Sets the names that natives have.
    pub(crate) fn set_known(&self, known: Known) {
        *self.known.borrow_mut() = Rc::new(known);
    }

    /// The names that natives have.
    pub(crate) fn known(&self) -> Rc<Known> {
        self.known.borrow().clone()
    }

    /// The newest generation.
    pub(crate) fn current(&self) -> Rc<Generation> {
        self.current.borrow().clone()
    }

    /// The name under which the standard library holds a file, if it does: `flow` for `stdlib/flow.rhai`.
    pub(crate) fn std_name(&self, path: &Path) -> Option<String> {
        let locator = Locator::new(Some(path), self.stdlib.as_deref());
        let relative = path.canonicalize().ok()?.strip_prefix(locator.stdlib()?).ok()?.with_extension("");
        Some(relative.components().map(|c| c.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/"))
    }

    /// The unit that was started.
    pub(crate) fn entry_unit(&self) -> Option<Rc<Unit>> {
        let current = self.current();
        current.units.get(&current.entry).cloned()
    }

    /// An exception as our error; `top` is the tag of the code that was called.
    pub(crate) fn explain(&self, top: &str, e: &EvalAltResult) -> Error {
        let known = self.known();
        Explain { sources: &self.sources, known: &known }.error(top, e)
    }

    /// Loads the script in a file and everything it imports.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub(crate) fn load_file(&self, rhai: &rhai::Engine, path: &Path) -> Result<()> {
        *self.locator.borrow_mut() = Locator::new(Some(path), self.stdlib.as_deref()).with_roots(&self.roots);
        *self.entry.borrow_mut() = Some(Entry::File(path.to_owned()));
        self.load(rhai)
    }

    /// Loads a script from a text; `shown` names it in messages.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(crate) fn load_text(&self, rhai: &rhai::Engine, shown: &str, text: &str) -> Result<()> {
        *self.locator.borrow_mut() = Locator::new(None, self.stdlib.as_deref()).with_roots(&self.roots);
        let found = Found { id: shown.to_owned(), shown: shown.to_owned(), path: None, text: text.into() };
        *self.entry.borrow_mut() = Some(Entry::Text(found));
        self.load(rhai)
    }

    /// Loads scripts from a run's record, whatever is on disk.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub(crate) fn load_recorded(&self, rhai: &rhai::Engine, recorded: Sources) -> Result<()> {
        // The rights of recipe libraries are those of the project around the working directory.
        *self.locator.borrow_mut() = Locator::new(None, self.stdlib.as_deref()).with_roots(&self.roots);
        *self.entry.borrow_mut() = Some(Entry::Recorded(Rc::new(recorded)));
        self.load(rhai)
    }

    fn load(&self, rhai: &rhai::Engine) -> Result<()> {
        self.required.borrow_mut().clear();
        let next = self.build(rhai)?;
        *self.current.borrow_mut() = Rc::new(next);
        Ok(())
    }

    /// Loads everything anew; nothing changes unless all is well.
    ///
    /// # Errors
    /// What is wrong with the new texts, or which function in use they no longer have.
    pub(crate) fn reload(&self, rhai: &rhai::Engine) -> Result<Reloaded> {
        Ok(self.commit(self.prepare(rhai)?))
    }

    /// Builds and checks the next generation from what is on disk.
    ///
    /// # Errors
    /// As [`Program::reload`].
    pub(crate) fn prepare(&self, rhai: &rhai::Engine) -> Result<Prepared> {
        let start = Instant::now();
        let old = self.current();
        let next = self.build(rhai)?;
        for (unit, name, arity) in self.required.borrow().keys() {
            let found = next.units.get(unit);
            if !found.is_some_and(|u| u.has(name, *arity)) {
                let e = missing(found.map(|u| &**u), unit, name, Some(*arity));
                let e = match (found, e.kind()) {
                    (Some(u), ErrorKind::Script(d)) => Error::script(Diagnostic { labels: self.instead(u, name), ..(**d).clone() }),
                    _ => e,
                };
                return Err(e.context("the running loop needs it"));
            }
        }
        let next = Rc::new(next);
        Ok(Prepared { changed: changes(&old, &next), next, seconds: start.elapsed().as_secs_f64() })
    }

    /// Where a unit has what may have been meant by `name`: another version of the function, or the one with the nearest name.
    fn instead(&self, unit: &Unit, name: &str) -> Vec<Label> {
        let near = nearest(name, unit.function_names());
        let meant = |f: &&Shared<rhai::ScriptFuncDef>| f.name == name || Some(f.name.as_str()) == near;
        let line = unit.ast.iter_fn_def().find(meant).and_then(|f| f.body.start_position().line()).unwrap_or(1);
        self.sources.label(&unit.tag, Position::new(u16::try_from(line).unwrap_or(u16::MAX), 1), "").into_iter().collect()
    }

    /// The same from recorded scripts.
    ///
    /// # Errors
    /// As [`Program::reload`].
    pub(crate) fn prepare_recorded(&self, rhai: &rhai::Engine, recorded: Sources) -> Result<Prepared> {
        let before = self.entry.replace(Some(Entry::Recorded(Rc::new(recorded))));
        self.prepare(rhai).inspect_err(|_| *self.entry.borrow_mut() = before)
    }

    /// Runs `f` as if the next generation were in effect already, to see what its functions say.
    pub(crate) fn trying<T>(&self, prepared: &Prepared, f: impl FnOnce() -> T) -> T {
        struct Back<'a>(&'a Program, Rc<Generation>);
        impl Drop for Back<'_> {
            fn drop(&mut self) {
                *self.0.current.borrow_mut() = self.1.clone();
            }
        }
        let _back = Back(self, self.current.replace(prepared.next.clone()));
        f()
    }

    /// Puts the next generation into effect.
    pub(crate) fn commit(&self, prepared: Prepared) -> Reloaded {
        let Prepared { next, changed, seconds } = prepared;
        let generation = next.number;
        *self.current.borrow_mut() = next;
        self.sources.sweep();
        Reloaded { generation, changed, seconds }
    }

    /// The files that the scripts in effect came from.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        self.current().units.values().filter_map(|u| u.path.clone()).collect()
    }

    /// Whether the texts on disk differ from those that run.
    pub(crate) fn is_stale(&self) -> bool {
        self.stale_place().is_some()
    }

    /// The first place where a text on disk differs from the one that runs: the script as messages show it, and the line.
    pub(crate) fn stale_place(&self) -> Option<(String, usize)> {
        let prompts = self.prompts.borrow();
        self.current().units.values().filter(|u| !prompts.contains_key(&u.id)).find_map(|u| {
            let now = files::read_text(u.path.as_ref()?).unwrap_or_default();
            if now == *u.text {
                return None;
            }
            let same = now.lines().zip(u.text.lines()).take_while(|(a, b)| a == b).count();
            Some((u.shown.clone(), same + 1))
        })
    }

    fn build(&self, rhai: &rhai::Engine) -> Result<Generation> {
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
                let text: Arc<str> = files::read_text(&path)?.into();
                let id = path.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into_owned());
                let real = path.canonicalize().map_err(|e| Error::io("read", &path, e))?;
                // Imports are looked up beside the path as it was given, were it a link.
                let beside = path.parent().and_then(|p| if p.as_os_str().is_empty() { Path::new(".") } else { p }.canonicalize().ok());
                let path_here = beside.map_or(real, |b| b.join(&id));
                Some(Found { id, shown: path.display().to_string(), path: Some(path_here), text })
            }
        };
        let id = found.as_ref().map(|f| f.id.clone()).unwrap_or_default();
        if self.building.borrow().is_some() {
            return Err(Error::run("scripts cannot be reloaded while they are being loaded"));
        }
        let known = self.known();
        let explain = Explain { sources: &self.sources, known: &known };
        let mut reading = Reading { recorded, ..Reading::default() };
        if let Some(found) = found {
            self.read(rhai, explain, &mut reading, found, true);
        }
        for found in self.prompts.borrow().values() {
            self.read(rhai, explain, &mut reading, found.clone(), false);
        }
        let units = self.evaluate_all(rhai, explain, reading, &BTreeMap::new())?;
        Ok(Generation { number: self.current().number + 1, entry: id, units })
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
        for d in lint::check(&parsed, loaded, explain) {
            // The parser may have met an unknown module already.
            if !errors.iter().any(|w| w.labels == d.labels && !d.labels.is_empty()) {
                errors.push(d);
            }
        }
        if errors.is_empty() {
            *self.building.borrow_mut() = Some(Build::default());
            // Whatever an evaluation does, even a panic in a native, must not leave a half-built generation behind.
            let evaluated = catch_unwind(AssertUnwindSafe(|| parsed.into_values().try_for_each(|p| self.evaluate(rhai, p))));
            let build = self.building.borrow_mut().take().unwrap_or_default();
            evaluated.unwrap_or_else(|panic| Err(crate::script::lang::stack::internal(&*panic)))?;
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

    /// Forgets what a prompt imported.
    pub(crate) fn forget(&self, prompt: &str) {
        self.prompts.borrow_mut().remove(prompt);
    }

    /// The folder that `./` means for a prompt: the script's, or the working directory.
    pub(crate) fn prompt_folder(&self) -> Option<PathBuf> {
        if self.entry.borrow().is_none() {
            *self.locator.borrow_mut() = Locator::new(Some(Path::new("prompt")), self.stdlib.as_deref());
        }
        let beside = self.entry_unit().and_then(|u| u.path.as_ref()?.parent().map(Path::to_owned));
        beside.or_else(|| std::env::current_dir().ok()?.canonicalize().ok())
    }

    /// The names of the modules of the standard library.
    pub(crate) fn std_names(&self) -> BTreeSet<String> {
        self.locator.borrow().std_names()
    }

    /// Parses a unit and its imports; what is wrong is collected.
    fn read(&self, rhai: &rhai::Engine, explain: Explain, reading: &mut Reading, found: Found, is_entry: bool) {
        let id = found.id.clone();
        reading.met.insert(id.clone());
        let mut parsed = match unit::parse(rhai, explain, found, is_entry) {
            Ok(parsed) => parsed,
            Err(wrong) => return reading.errors.extend(wrong),
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
        let exports = if parsed.is_notebook {
            Module::new()
        } else {
            Module::eval_ast_as_new(Scope::new(), &parsed.ast, rhai).map_err(|e| self.explain(&parsed.tag, &e))?
        };
        let functions: Vec<(String, usize)> = unit::public_functions(&parsed.ast).map(|(n, a)| (n.to_owned(), a)).collect();
        let facade = facade(&id, &functions, &exports, &self.host);
        let unit = Rc::new(Unit::new(parsed, exports, facade));
        if let Some(b) = self.building.borrow_mut().as_mut() {
            b.units.insert(id, unit);
        }
        Ok(())
    }

    /// The newest version of a unit: while a generation is being built, its own.
    pub(crate) fn unit(&self, id: &str) -> Option<Rc<Unit>> {
        let building = self.building.borrow().as_ref().and_then(|b| b.units.get(id).cloned());
        // A module that only a newer generation has is that one's: better than none.
        let held = || self.held.borrow().last().and_then(|g| g.units.get(id).cloned());
        building.or_else(held).or_else(|| self.current.borrow().units.get(id).cloned())
    }

    /// The facade that the unit `importer` gets for the import `path`.
    pub(crate) fn facade(&self, importer: &str, path: &str) -> Option<Shared<Module>> {
        if let Some(id) = path.strip_prefix(UNIT) {
            return Some(self.unit(id)?.facade.clone());
        }
        let key = (importer.to_owned(), path.to_owned());
        let target = self.building.borrow().as_ref().and_then(|b| b.imports.get(&key).cloned());
        let target = target.or_else(|| self.unit(importer)?.imports.get(path).cloned())?;
        Some(self.unit(&target)?.facade.clone())
    }

    /// Runs `f` so that calls by name find the functions of `generation`, an older one, in all its units.
    pub(crate) fn within<T>(&self, generation: &Rc<Generation>, f: impl FnOnce() -> T) -> T {
        struct Leave<'a>(&'a RefCell<Vec<Rc<Generation>>>);
        impl Drop for Leave<'_> {
            fn drop(&mut self) {
                self.0.borrow_mut().pop();
            }
        }
        self.held.borrow_mut().push(generation.clone());
        let _leave = Leave(&self.held);
        f()
    }

    /// The modules of the standard library: `std/flow` and its text.
    ///
    /// # Errors
    /// `E0504` for a file that cannot be read.
    pub(crate) fn std_modules(&self) -> Result<Vec<(String, Arc<str>)>> {
        Locator::new(None, self.stdlib.as_deref()).std_modules().map_err(|d| Error::script(*d))
    }

    /// Whether the newest version of a unit is another one than that of the tag.
    pub(crate) fn is_newer(&self, unit: &str, tag: Option<&str>) -> bool {
        self.unit(unit).is_some_and(|u| Some(u.tag.as_str()) != tag)
    }

    /// Whether a unit has a function of that name and number of parameters.
    pub(crate) fn has(&self, unit: &str, name: &str, arity: usize) -> bool {
        self.unit(unit).is_some_and(|u| u.has(name, arity))
    }

    /// Makes sure that a unit has a function, now and after every reload until it is released.
    ///
    /// # Errors
    /// `E0503` naming the unit and the nearest function.
    pub(crate) fn require(&self, unit: &str, name: &str, arity: usize) -> Result<()> {
        if !self.has(unit, name, arity) {
            return Err(missing(self.unit(unit).as_deref(), unit, name, Some(arity)));
        }
        *self.required.borrow_mut().entry((unit.to_owned(), name.to_owned(), arity)).or_default() += 1;
        Ok(())
    }

    /// Takes one [`Program::require`] back.
    pub(crate) fn release(&self, unit: &str, name: &str, arity: usize) {
        let key = (unit.to_owned(), name.to_owned(), arity);
        let mut required = self.required.borrow_mut();
        if let Some(n) = required.get_mut(&key) {
            *n -= 1;
            if *n == 0 {
                required.remove(&key);
            }
        }
    }

    /// Makes sure that a unit has a function of that name, with however many parameters.
    ///
    /// # Errors
    /// `E0503` naming the unit and the nearest function.
    pub(crate) fn require_any(&self, unit: &str, name: &str) -> Result<()> {
        let found = self.unit(unit);
        if found.as_ref().is_some_and(|u| u.function_names().any(|n| n == name)) {
            return Ok(());
        }
        Err(missing(found.as_deref(), unit, name, None))
    }

    /// Calls a function of a unit in its newest version. `ctx` is the native call in which this happens, if any.
    ///
    /// # Errors
    /// The exception, with its call chain.
    pub(crate) fn call(
        &self,
        rhai: &rhai::Engine,
        ctx: Option<&NativeCallContext>,
        unit: &str,
        name: &str,
        args: Vec<Dynamic>,
    ) -> Result<Dynamic, Box<EvalAltResult>> {
        let here = |e: Error| into_script(e, None, Position::NONE);
        let _crossing = Crossing::enter().map_err(here)?;
        let Some(u) = self.unit(unit).filter(|u| u.has(name, args.len())) else {
            return Err(here(missing(self.unit(unit).as_deref(), unit, name, Some(args.len()))));
        };
        let f = FnPtr::new(name)?;
        let _behalf = self.acting.enter(self.acts_for(unit));
        // While a script runs top to bottom, its imports and constants are those of the run itself.
        if let Some(ctx) = ctx.filter(|c| u.is_notebook && c.call_source() == Some(&u.tag)) {
            return f.call_raw(ctx, None, args);
        }
        f.call(rhai, &u.callable(rhai)?, args)
    }

    /// The same for a call from another unit: callbacks in the result stay bound to the unit they come from.
    ///
    /// # Errors
    /// The exception, with its call chain.
    pub(crate) fn call_module(&self, rhai: &rhai::Engine, unit: &str, name: &str, args: Vec<Dynamic>) -> Result<Dynamic, Box<EvalAltResult>> {
        let mut value = self.call(rhai, None, unit, name, args)?;
        if (value.is_fnptr() || value.is_map() || value.is_array())
            && let Some(u) = self.unit(unit)
        {
            callback::bind_to(&mut value, &u.callable(rhai)?, &self.host, &self.acts_for(unit));
        }
        Ok(value)
    }
}

/// The error for a function that a unit does not have.
fn missing(unit: Option<&Unit>, id: &str, name: &str, arity: Option<usize>) -> Error {
    let shown = unit.map_or(id, |u| u.shown.as_str());
    let other: BTreeSet<usize> = unit.into_iter().flat_map(|u| u.ast.iter_functions()).filter(|f| f.name == name).map(|f| f.params.len()).collect();
    let takes = |n: usize| format!("{n} parameter{}", if n == 1 { "" } else { "s" });
    let is_private = unit.is_some_and(|u| u.ast.iter_functions().any(|f| f.name == name && matches!(f.access, FnAccess::Private)));
    let message = match arity {
        _ if is_private => format!("`{name}` in `{shown}` is private: take `private` away, since it is called by name"),
        Some(n) if !other.is_empty() => {
            format!("`{name}` in `{shown}` has {} parameters, but is called with {n}", crate::script::lang::known::counts(&other))
        }
        _ => {
            let near = did_you_mean(name, unit.into_iter().flat_map(Unit::function_names));
            let with = arity.map_or(String::new(), |n| format!(" with {}", takes(n)));
            format!("`{shown}` has no function `{name}`{with}{near}")
        }
    };
    Error::script(Diagnostic::plain(LINT, message))
}
