//! The engine: what an embedding program holds.

mod blueprint;

pub use blueprint::{EngineOptions, Print};

use crate::error::{Diagnostic, Error, ErrorKind, Result};
use crate::script::bind::install;
use crate::script::docs::Reference;
use crate::script::guard::permissions::Permissions;
use crate::script::lang::function::{ApiFn, ApiTable};
use crate::script::lang::host::Host;
use crate::script::lang::known::Known;
use crate::script::lang::limits::Meter;
use crate::script::lang::stack::{self, Crossing};
use crate::script::lang::unsaved;
use crate::script::prompt::session::Session;
use crate::script::prompt::twin::Twin;
use crate::script::settings::params::Params;
use crate::script::training::find_nan::{FindNan, Looking};
use crate::script::training::hot::{Hot, HotOptions};
use crate::script::training::profile::{Profile, Profiled};
use crate::script::training::stopping::Stopping;
use crate::script::units::at::At;
use crate::script::units::changes::Reloaded;
use crate::script::units::doubts::{InSpite, Said};
use crate::script::units::look::Look;
use crate::script::units::program::Program;
use crate::script::units::roots::Roots;
use blueprint::Blueprint;
use rhai::{AST, Dynamic, FnNamespace, FnPtr, FuncRegistration, Map, Module, Scope, Shared};
use std::cell::Cell;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, OnceLock};

/// An error as the faults that it holds; an interrupt stays one.
fn each(e: &Error, path: &Path) -> Result<Vec<Diagnostic>> {
    Ok(match e.kind() {
        _ if e.is_interrupt() => return Err(crate::interrupt::stopped()),
        ErrorKind::Script(d) => {
            let first = Diagnostic { also: Vec::new(), message: e.to_string(), ..(**d).clone() };
            std::iter::once(first).chain(d.also.iter().cloned()).collect()
        }
        _ => vec![Diagnostic { help: e.help_text().map(str::to_owned), ..Diagnostic::plain(e.code(), format!("{}: {e}", path.display())) }],
    })
}

/// A script engine: natives, scripts with their modules, and hot reload. It lives on one thread, which should have a large
/// stack: see [`on_big_stack`](super::on_big_stack).
pub struct Engine {
    /// Whether the check lets the function `eval` pass; `m.eval()` and the namespace `eval::` always do.
    allow_eval: bool,
    rhai: rhai::Engine,
    host: Host,
    program: Rc<Program>,
    /// What the engine is made from, its functions among it.
    blueprint: Blueprint,
    names: Cell<Names>,
}

/// What the scripts of an engine know of its functions' names.
#[derive(Clone, Copy)]
enum Names {
    /// Nothing yet, and they are those of every engine.
    Own,
    /// Not all: the program that embeds the engine may have added some.
    Old,
    /// All.
    Told,
}

/// The names of engines to which nothing was added, without and with `eval`: they are the same in all of them.
static OWN_NAMES: [OnceLock<Arc<Known>>; 2] = [OnceLock::new(), OnceLock::new()];

impl Drop for Engine {
    fn drop(&mut self) {
        // The program and the twin hold the host, which holds them.
        self.host.clear();
    }
}

impl Engine {
    /// An engine with everything in [`api::all`](crate::script::api::all).
    pub fn new(options: EngineOptions) -> Self {
        Self::with_roots(options, Roots::default())
    }

    /// The same with modules of the embedding program.
    pub(crate) fn with_roots(options: EngineOptions, roots: Roots) -> Self {
        let host = Host::new();
        let program = host.put(Program::new(&host, options.stdlib.clone(), roots));
        if let Some(permissions) = &options.permissions {
            host.put(Arc::new(permissions.clone()));
        }
        let meter = Rc::new(Meter::new(options.limits));
        let allow_eval = options.allow_eval;
        let blueprint = Blueprint::new(&host, options, &meter);
        let engine = Engine { allow_eval, rhai: blueprint.make(), host, program, blueprint, names: Cell::new(Names::Own) };
        engine.changed();
        engine
    }

    /// Lets prompts and checks know of other functions.
    fn changed(&self) {
        self.host.put(ApiTable(self.blueprint.functions.clone()));
        self.host.put(Twin::new({
            let blueprint = self.blueprint.clone();
            move || blueprint.make()
        }));
    }

    /// The values that functions share with the host program.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Sets what scripts may read and write from now on.
    pub fn set_permissions(&self, permissions: Permissions) {
        self.host.put(Arc::new(permissions));
    }

    /// Every registered function, for documentation.
    pub fn functions(&self) -> &[ApiFn] {
        &self.blueprint.functions
    }

    /// Adds functions made with [`api!`](crate::api). Scripts loaded before do not see them.
    pub fn register(&mut self, functions: Vec<ApiFn>) {
        self.names.set(Names::Old);
        install(&mut self.rhai, &self.host, &functions);
        self.blueprint.functions.extend(functions);
        self.changed();
    }

    /// Adds a plain Rust closure as a global function. Unlike those of [`api!`](crate::api) it gets its arguments exactly as
    /// rhai has them: an int is not accepted as a float.
    pub fn register_fn<A: 'static, const N: usize, const X: bool, R: rhai::Variant + Clone, const F: bool>(
        &mut self,
        name: &str,
        function: impl rhai::RhaiNativeFunc<A, N, X, R, F> + 'static,
    ) {
        self.names.set(Names::Old);
        let mut module = Module::new();
        FuncRegistration::new(name).with_namespace(FnNamespace::Global).set_into_module(&mut module, function);
        let module = Shared::new(module);
        self.rhai.register_global_module(module.clone());
        self.blueprint.modules.push(module);
        self.changed();
    }

    /// The settings of the loaded script: what its `fn params()` returns; none without it.
    ///
    /// # Errors
    /// What `params` threw; `E0503` when it does not return a map of plain values and `arg(..)`.
    pub fn params(&self) -> Result<Params> {
        self.guarded(|| Params::read(self.program(), &self.rhai))
    }

    /// Lets the scripts of this engine reload while they run, from the next run on.
    pub fn install_hot(&self, options: HotOptions) -> Rc<Hot> {
        Hot::install(&self.host, self.program(), options)
    }

    /// The documentation of every registered function and of the standard library.
    ///
    /// # Errors
    /// `E0302` or `E0504` for a module of the standard library that cannot be read.
    pub fn reference(&self) -> Result<Reference> {
        let modules = self.program.std_modules()?;
        Reference::new(&self.blueprint.functions, modules.iter().map(|(name, text)| (name.as_str(), &**text)))
    }

    /// What ends a script that runs in this engine, from any thread.
    pub(crate) fn meter(&self) -> &Meter {
        &self.blueprint.meter
    }

    /// The rhai engine, for what this type does not offer.
    pub fn rhai(&self) -> &rhai::Engine {
        &self.rhai
    }

    /// The rhai engine, for what this type does not offer. Functions typed at a prompt, and what they call, run on another one, which
    /// knows nothing of what is done here.
    pub fn rhai_mut(&mut self) -> &mut rhai::Engine {
        self.names.set(Names::Old);
        &mut self.rhai
    }

    /// The scripts of this engine.
    pub(crate) fn program(&self) -> &Rc<Program> {
        self.refresh_known();
        &self.program
    }

    /// What a prompt's evaluations need of this engine.
    pub fn at(&self) -> At<'_> {
        self.refresh_known();
        At { rhai: &self.rhai, program: &self.program, host: &self.host }
    }

    /// A prompt on this engine, which sees the functions of the loaded script. `id` names it in messages.
    ///
    /// # Errors
    /// When the script's imports cannot be loaded for it.
    pub fn session(&self, id: &str) -> Result<Session> {
        let at = self.at();
        let mut session = Session::new(at, id);
        if let Some(unit) = at.program.entry_unit() {
            session.see(at, &unit.id)?;
        }
        Ok(session)
    }

    fn refresh_known(&self) {
        let read = || Arc::new(Known::new(&self.rhai, &self.blueprint.functions, self.allow_eval));
        let known = match self.names.get() {
            Names::Own => OWN_NAMES[usize::from(self.allow_eval)].get_or_init(read).clone(),
            Names::Old => read(),
            Names::Told => return,
        };
        self.program.set_known(known);
        self.names.set(Names::Told);
    }

    /// Loads a script and everything it imports: parses, checks, and evaluates constants. Nothing else runs yet.
    ///
    /// # Errors
    /// `E0301` when it cannot be read; else one error that holds everything that is wrong with the scripts.
    pub fn load(&self, path: impl AsRef<Path>) -> Result<()> {
        self.guarded(|| self.program().load_file(&self.rhai, path.as_ref()))
    }

    /// Loads a script from a text; `name` stands for it in messages.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load_text(&self, name: &str, text: &str) -> Result<()> {
        self.guarded(|| self.program().load_text(&self.rhai, name, text))
    }

    /// Loads scripts from the record of a run, whatever is on disk. Modules of libraries may do what the project around `folder` lets them.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn load_recorded(&self, recorded: crate::train::Sources, folder: &Path) -> Result<()> {
        self.guarded(|| self.program().load_recorded(&self.rhai, recorded, folder))
    }

    /// Loads a script as `lathe check` does: a file of the standard library counts as a module, not as a script to run.
    ///
    /// # Errors
    /// As [`Engine::load`].
    pub fn check(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let program = self.program();
        match program.std_name(path) {
            Some(name) => self.load_text("check", &format!("import \"std/{name}\" as m;")),
            None => self.load(path),
        }
    }

    /// Everything that can be known to be wrong with a script, and what is doubtful, in the order of the texts: also its settings, where
    /// something else is wrong as well.
    ///
    /// # Errors
    /// `E0901` when it was interrupted.
    pub fn faults(&self, path: impl AsRef<Path>) -> Result<Vec<Diagnostic>> {
        let path = path.as_ref();
        let (said, in_spite) = (self.host.get_or_default::<Said>(), self.host.get_or_default::<InSpite>());
        said.keep();
        let loaded = self.check(path);
        let is_sound = loaded.is_ok();
        let mut found = loaded.map_or_else(|e| each(&e, path), |()| Ok(Vec::new()))?;
        in_spite.0.set(!is_sound);
        let settings = if is_sound { Ok(()) } else { self.check(path) };
        let settings = settings.and_then(|()| self.guarded(|| Params::faults(self.program(), &self.rhai)));
        in_spite.0.set(false);
        match settings {
            Ok((_, wrong)) => found.extend(wrong),
            // What `params` needs may be what is wrong.
            Err(e) if is_sound || e.is_interrupt() => found.extend(each(&e, path)?),
            Err(_) => {}
        }
        found.extend(said.take());
        let entry = path.display().to_string();
        let place = |d: &Diagnostic| d.labels.first().map(|l| (l.file != entry, l.file.clone(), l.line, l.column));
        found.sort_by_cached_key(|d| (place(d), d.message.clone()));
        Ok(found)
    }

    /// Everything that can be known to be wrong with a script, and what is doubtful, as far as its text and those of its imports tell: nothing of
    /// them runs. `texts` count instead of files, by canonical path.
    ///
    /// # Errors
    /// `E0901` when it was interrupted.
    pub fn faults_of_text(&self, path: impl AsRef<Path>, texts: HashMap<PathBuf, Arc<str>>) -> Result<Vec<Diagnostic>> {
        let path = path.as_ref();
        let program = self.program();
        let found = unsaved::with(texts, || {
            self.guarded(|| match program.std_name(path) {
                Some(name) => program.look(&self.rhai, Look::Text(&format!("import \"std/{name}\" as m;"))),
                None => program.look(&self.rhai, Look::File(path)),
            })
        });
        found.or_else(|e| each(&e, path))
    }

    /// The modules of the standard library, without `std/`.
    pub fn std_names(&self) -> Vec<String> {
        self.program().std_names().into_iter().collect()
    }

    /// The module behind an import in a file: its file, where it has one, and its text.
    pub fn module(&self, from: &Path, written: &str) -> Option<(Option<PathBuf>, Arc<str>)> {
        self.program().module(from, written).map(|found| (found.path, found.text))
    }

    /// Loads every script anew from disk. Nothing changes unless all of them are sound and still have the functions in use.
    ///
    /// # Errors
    /// What is wrong with the new texts.
    pub fn reload(&self) -> Result<Reloaded> {
        self.guarded(|| self.program().reload(&self.rhai))
    }

    /// Whether a script on disk differs from the text that runs.
    pub fn is_stale(&self) -> bool {
        self.program.is_stale()
    }

    /// Runs the loaded script: `main(cfg)`, or `main()`, or from top to bottom when it has no `main`.
    ///
    /// # Errors
    /// What the script threw; `E0901` when it was interrupted.
    pub fn run(&self, cfg: Map) -> Result<Dynamic> {
        let entry = self.program().entry_unit().ok_or_else(|| Error::usage("no script is loaded"))?;
        let result = if entry.is_notebook {
            self.guarded(|| self.run_top_to_bottom(&entry.ast, &entry.tag, cfg))
        } else {
            self.call("main", if entry.has("main", 0) { vec![] } else { vec![cfg.into()] })
        };
        crate::train::ended(result.as_ref().err());
        result
    }

    /// Runs a text from top to bottom and gives its last value.
    ///
    /// # Errors
    /// Everything that is wrong with it, or what it threw.
    pub fn eval(&self, text: &str) -> Result<Dynamic> {
        self.load_text("script", text)?;
        self.run(Map::new())
    }

    fn run_top_to_bottom(&self, ast: &AST, tag: &str, cfg: Map) -> Result<Dynamic> {
        let _crossing = Crossing::enter()?;
        // A notebook has no parameters; rhai would refuse an unused variable no more than we do.
        drop(cfg);
        self.rhai.eval_ast_with_scope(&mut Scope::new(), ast).map_err(|e| self.program.explain(tag, &e))
    }

    /// Measures where the time of the script goes from now on: of `steps` steps of its first fit, or of all of `main` where it has none. The figures are
    /// written when they are there, and when the profile [ends](Profile::end).
    pub fn profile(&self, script: &Path, steps: u64) -> Rc<Profile> {
        let profile = Profile::begin(&self.program, script, steps);
        self.host.put(Profiled(profile.clone()));
        profile
    }

    /// Ends the script at the first call whose result or gradient is not finite, for as long as what this returns lives.
    ///
    /// # Errors
    /// `E0203` without memory.
    pub fn find_nan(&self) -> Result<Looking> {
        FindNan::begin(&self.program)
    }

    /// Whether the loaded script has a function of that name and number of parameters.
    pub fn has_fn(&self, name: &str, arity: usize) -> bool {
        self.program.entry_unit().is_some_and(|u| u.has(name, arity))
    }

    /// The tests of the loaded script: its functions `test_*` without parameters, each with its line.
    pub fn tests(&self) -> Vec<(String, usize)> {
        self.program.entry_unit().map(|u| u.tests()).unwrap_or_default()
    }

    /// Calls a function of the loaded script, in its newest version.
    ///
    /// # Errors
    /// `E0503` when there is no such function; what it threw.
    pub fn call(&self, name: &str, args: Vec<Dynamic>) -> Result<Dynamic> {
        let entry = self.program.current().entry.clone();
        self.call_named(&entry, name, args)
    }

    /// Calls a function of the unit `unit`, in its newest version.
    ///
    /// # Errors
    /// `E0503` when there is no such function; what it threw.
    pub fn call_named(&self, unit: &str, name: &str, args: Vec<Dynamic>) -> Result<Dynamic> {
        let program = self.program();
        let tag = program.current().units.get(unit).map(|u| u.tag.clone()).unwrap_or_default();
        self.guarded(|| program.call(&self.rhai, None, unit, name, args).map_err(|e| program.explain(&tag, &e)))
    }

    /// Calls a function that a script handed to Rust.
    ///
    /// # Errors
    /// What it threw.
    pub fn call_fn(&self, f: &FnPtr, args: Vec<Dynamic>) -> Result<Dynamic> {
        let _crossing = Crossing::enter()?;
        self.guarded(|| f.call(&self.rhai, &AST::empty(), args).map_err(|e| self.program.explain("", &e)))
    }

    /// The ids and texts of the loaded scripts: the script itself first, then its modules.
    pub fn sources(&self) -> Vec<(String, String)> {
        let current = self.program.current();
        let mut units: Vec<_> = current.units.values().collect();
        units.sort_by_key(|u| (u.id != current.entry, u.id.clone()));
        units.into_iter().map(|u| (u.id.clone(), u.text.to_string())).collect()
    }

    /// The loaded scripts as a run folder keeps them.
    pub fn recorded(&self) -> crate::train::Sources {
        self.program.current().recorded()
    }

    /// A panic below is our fault, but no reason to end the host program.
    pub(crate) fn guarded<T>(&self, f: impl FnOnce() -> Result<T>) -> Result<T> {
        let caught = || catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|panic| Err(stack::internal(&*panic)));
        let result = self.blueprint.meter.run(caught);
        Stopping::end(&self.host);
        result
    }
}
