//! The scripts of an engine: units in generations.
//!
//! A generation is an immutable snapshot of all units. A reload builds a whole new one off to the side, checks it, makes
//! sure that the functions in use still exist, and only then swaps: a faulty edit leaves the old one running.

use super::generation::Generation;
use super::kept::Registry;
use super::libraries::Library;
use super::locate::Locator;
use super::looked::Looked;
use super::outline::Outline;
use super::roots::Roots;
use super::unit::Unit;
use crate::error::{Diagnostic, Error, Result, did_you_mean};
use crate::script::lang::codes::LINT;
use crate::script::lang::diagnose::Explain;
use crate::script::lang::exception::into_script;
use crate::script::lang::host::Host;
use crate::script::lang::import::Found;
use crate::script::lang::known::Known;
use crate::script::lang::principal::{Acting, Principal};
use crate::script::lang::source::Texts;
use crate::script::lang::source::id_of;
use crate::script::lang::stack::Crossing;
use crate::train::Sources;
use rhai::{Dynamic, EvalAltResult, FnAccess, FnPtr, Module, NativeCallContext, Position, Shared};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::{Rc, Weak};
use std::sync::Arc;

/// An import path of this and a unit's id leads to that unit: for prompts, which see a script's functions. No file name holds it.
pub(crate) const UNIT: char = '\u{2}';

/// A generation that is being built: all texts are parsed, then all are checked, then each is evaluated.
#[derive(Default)]
pub(super) struct Build {
    /// Evaluated so far.
    pub units: BTreeMap<String, Rc<Unit>>,
    /// Imports by importer and path.
    pub imports: BTreeMap<(String, String), String>,
}

/// Where the entry script comes from.
#[derive(Clone)]
pub(super) enum Entry {
    File(PathBuf),
    Text(Found),
    /// Recorded scripts, whatever is on disk.
    Recorded(Rc<Sources>),
}

/// For each node of one version of a unit, the node of another.
pub(super) type Followed = Rc<Vec<Option<usize>>>;

/// All scripts of one engine.
pub(crate) struct Program {
    pub(super) host: Host,
    pub(super) stdlib: Option<PathBuf>,
    pub(super) roots: Roots,
    pub sources: Texts,
    pub(super) known: RefCell<Arc<Known>>,
    pub(super) entry: RefCell<Option<Entry>>,
    pub(super) locator: RefCell<Locator>,
    /// The units of a record that are modules of libraries, with the library's name.
    pub(super) recorded: RefCell<BTreeMap<String, Rc<str>>>,
    pub(super) current: RefCell<Rc<Generation>>,
    /// Older generations that a host program calls into, the innermost call last.
    pub(super) held: RefCell<Vec<Rc<Generation>>>,
    pub(super) building: RefCell<Option<Build>>,
    /// On whose behalf the code runs that runs now.
    pub acting: Acting,
    /// Functions that a running loop needs, by unit, name and number of parameters, and how many loops do.
    pub(super) required: RefCell<BTreeMap<(String, String, usize), usize>>,
    /// Functions that units gave away.
    pub kept: Registry,
    /// Which node of one version of a unit is which of another, by their tags.
    followed: RefCell<BTreeMap<(String, String), Followed>>,
    /// The scripts as they were when what runs now began.
    pub(super) began: RefCell<Rc<Generation>>,
    /// Where calls are under way that reload between their steps: the tag of the text, and the place in it.
    pub(super) work: RefCell<Vec<(String, Position)>>,
    /// Functions that something calls by name, by unit and name.
    pub(super) roots_by_name: RefCell<Vec<Weak<(String, String)>>>,
    /// What prompts import, by the prompt's id: import statements alone. They are loaded beside the script, and reload with it.
    pub(super) prompts: RefCell<BTreeMap<String, Found>>,
    /// Modules that were looked at for an editor.
    pub(super) looked: Looked,
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
            recorded: RefCell::default(),
            current: RefCell::default(),
            held: RefCell::default(),
            building: RefCell::default(),
            required: RefCell::default(),
            kept: Registry::default(),
            followed: RefCell::default(),
            began: RefCell::default(),
            work: RefCell::default(),
            roots_by_name: RefCell::default(),
            acting: Acting::default(),
            prompts: RefCell::default(),
            looked: Looked::default(),
        }
    }

    /// The values that functions share with the host program.
    pub(crate) fn host(&self) -> &Host {
        &self.host
    }

    /// Whose code a unit is. The standard library acts for whoever calls it. In a record it is the record that tells: the project of today may lack
    /// the library, which then may do nothing.
    pub(crate) fn principal(&self, unit: &str) -> Principal {
        if let Some(library) = self.recorded.borrow().get(unit) {
            return Principal::Library(library.clone());
        }
        self.locator.borrow().library_of(unit).map_or(Principal::Program, |l| Principal::Library(l.name.as_str().into()))
    }

    /// Who acts while code of a unit runs.
    pub(crate) fn acts_for(&self, unit: &str) -> Principal {
        if unit.starts_with("std/") { self.acting.current() } else { self.principal(unit) }
    }

    /// The libraries of the project, as far as imports asked for them.
    pub(crate) fn libraries(&self) -> Vec<Arc<Library>> {
        self.locator.borrow().libraries().iter().flat_map(|l| l.iter().cloned().collect::<Vec<_>>()).collect()
    }

    /// Sets the names that natives have.
    pub(crate) fn set_known(&self, known: Arc<Known>) {
        self.looked.clear();
        *self.known.borrow_mut() = known;
    }

    /// The names that natives have.
    pub(crate) fn known(&self) -> Arc<Known> {
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

    /// The files that the scripts in effect came from.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        self.current().units.values().filter_map(|u| u.path.clone()).collect()
    }

    /// Forgets what a prompt imported.
    pub(crate) fn forget(&self, prompt: &str) {
        self.prompts.borrow_mut().remove(prompt);
    }

    /// The folder that `./` means for a prompt: the script's, or the working directory.
    pub(crate) fn prompt_folder(&self) -> Option<PathBuf> {
        // What libraries may do is settled: it is not looked at anew.
        if self.entry.borrow().is_none() && !self.locator.borrow().is_placed() {
            *self.locator.borrow_mut() = Locator::new(Some(Path::new("prompt")), self.stdlib.as_deref());
        }
        let beside = self.entry_unit().and_then(|u| u.path.as_ref()?.parent().map(Path::to_owned));
        beside.or_else(|| std::env::current_dir().ok()?.canonicalize().ok())
    }

    /// The names of the modules of the standard library.
    pub(crate) fn std_names(&self) -> BTreeSet<String> {
        self.locator.borrow().std_names()
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

    /// The version of a unit with a tag: the newest, or the one that what runs now began with.
    pub(crate) fn outline(&self, tag: &str) -> Option<Rc<Outline>> {
        let id = id_of(tag);
        let of = |u: Option<&Rc<Unit>>| u.filter(|u| u.tag == tag).map(|u| u.outline.clone());
        of(self.unit(id).as_ref()).or_else(|| of(self.began.borrow().units.get(id)))
    }

    /// Which node of one version of a unit is which of another, found by `find` when it is first asked for.
    pub(super) fn followed(&self, old: &str, new: &str, find: impl FnOnce() -> Vec<Option<usize>>) -> Followed {
        let key = (old.to_owned(), new.to_owned());
        if let Some(found) = self.followed.borrow().get(&key) {
            return found.clone();
        }
        let found = Rc::new(find());
        self.followed.borrow_mut().insert(key, found.clone());
        found
    }

    /// Forgets what belongs to versions before the newest.
    pub(super) fn forget_followed(&self) {
        self.followed.borrow_mut().clear();
    }

    /// Keeps in mind that a function is called by name, for as long as the token lives.
    pub(crate) fn root(&self, unit: &str, name: &str) -> Rc<(String, String)> {
        let token = Rc::new((unit.to_owned(), name.to_owned()));
        let mut roots = self.roots_by_name.borrow_mut();
        roots.retain(|r| r.strong_count() > 0);
        roots.push(Rc::downgrade(&token));
        token
    }

    /// Keeps in mind where a call is under way that reloads between its steps, for as long as the guard lives.
    pub(crate) fn at_work(self: &Rc<Self>, ctx: &NativeCallContext) -> AtWork {
        self.work.borrow_mut().push((ctx.call_source().unwrap_or_default().to_owned(), ctx.call_position()));
        AtWork(self.clone())
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
}

/// A call under way that reloads between its steps.
pub(crate) struct AtWork(Rc<Program>);

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.work.borrow_mut().pop();
    }
}

/// The error for a function that a unit does not have.
pub(super) fn missing(unit: Option<&Unit>, id: &str, name: &str, arity: Option<usize>) -> Error {
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
