//! The engine: what an embedding program holds.

use super::bind::{ApiFn, ErrorValue, install};
use super::diagnose::{INTERRUPTED, OUT_OF_STACK};
use super::docs::Reference;
use super::host::Host;
use super::known::Known;
use super::limits::{Limits, Meter};
use super::permissions::Permissions;
use super::program::Program;
use super::reload::Reloaded;
use super::roots::Roots;
use super::session::{self, ApiTable, At, Session};
use super::stack::{self, Crossing, MAX_CALL_LEVELS};
use super::twin::{Recipe, Twin};
use crate::error::{Error, Result, did_you_mean};
use rhai::{AST, Dynamic, FnNamespace, FnPtr, FuncRegistration, Map, Module, OptimizationLevel, Scope, Shared};
use std::cell::Cell;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// The deepest expression that a script may hold; a limit because the parser recurses.
const MAX_EXPR_DEPTH: usize = 128;
/// Strings beyond this are a mistake: 256 MB.
const MAX_STRING: usize = 256 << 20;
/// Elements of an array or map, those in inner ones too. More belong in a tensor; and an array in an array in an array ..
/// without an end would use up the stack when it is freed.
const MAX_ELEMENTS: usize = 1_000_000;

/// Operations between two looks at the stack and the limits: so many calls need far less of the stack than what stays free.
const LOOK_EVERY: u64 = 8;

/// Takes what a script prints.
pub type Print = Rc<dyn Fn(&str)>;

/// How an engine behaves.
#[derive(Clone, Default)]
pub struct EngineOptions {
    /// A folder with the standard library, instead of `LATHE_STDLIB`, a `stdlib/` near the script, or the embedded one.
    pub stdlib: Option<PathBuf>,
    /// Where `print` and `debug` go instead of stdout and stderr.
    pub print: Option<Print>,
    /// Whether scripts may call `eval`: only a REPL wants it.
    pub allow_eval: bool,
    /// What scripts may read and write; `None` lets them do what the process may.
    pub permissions: Option<Permissions>,
    /// What a script may use up in one call from Rust.
    pub limits: Limits,
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
    recipe: Recipe,
    known_is_old: Cell<bool>,
}

impl Drop for Engine {
    fn drop(&mut self) {
        // It holds the host, which holds it.
        self.host.remove::<Twin>();
    }
}

impl Engine {
    /// An engine with everything in [`api::all`](super::api::all).
    pub fn new(options: EngineOptions) -> Self {
        Self::with_roots(options, Roots::default())
    }

    /// The same with modules of the embedding program.
    pub(crate) fn with_roots(options: EngineOptions, roots: Roots) -> Self {
        let host = Host::new();
        let program = host.put(Program::new(&host, options.stdlib.clone(), roots));
        if let Some(permissions) = &options.permissions {
            host.put(permissions.clone());
        }
        let meter = Rc::new(Meter::new(options.limits));
        let allow_eval = options.allow_eval;
        let recipe = Recipe::new(&host, options, &meter);
        let engine = Engine { allow_eval, rhai: recipe.make(), host, program, recipe, known_is_old: Cell::new(true) };
        engine.changed();
        engine
    }

    /// Lets prompts and checks know of other functions.
    fn changed(&self) {
        self.host.put(ApiTable(self.recipe.functions.clone()));
        self.host.put(Twin::new(self.recipe.clone()));
        self.known_is_old.set(true);
    }

    /// The values that functions share with the host program.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Sets what scripts may read and write from now on.
    pub fn set_permissions(&self, permissions: Permissions) {
        self.host.put(permissions);
    }

    /// Every registered function, for documentation.
    pub fn functions(&self) -> &[ApiFn] {
        &self.recipe.functions
    }

    /// Adds functions made with [`api!`](crate::api). Scripts loaded before do not see them.
    pub fn register(&mut self, functions: Vec<ApiFn>) {
        install(&mut self.rhai, &self.host, &functions);
        self.recipe.functions.extend(functions);
        self.changed();
    }

    /// Adds a plain Rust closure as a global function. Unlike those of [`api!`](crate::api) it gets its arguments exactly as
    /// rhai has them: an int is not accepted as a float.
    pub fn register_fn<A: 'static, const N: usize, const X: bool, R: rhai::Variant + Clone, const F: bool>(
        &mut self,
        name: &str,
        function: impl rhai::RhaiNativeFunc<A, N, X, R, F> + 'static,
    ) {
        let mut module = Module::new();
        FuncRegistration::new(name).with_namespace(FnNamespace::Global).set_into_module(&mut module, function);
        let module = Shared::new(module);
        self.rhai.register_global_module(module.clone());
        self.recipe.modules.push(module);
        self.changed();
    }

    /// The documentation of every registered function and of the standard library.
    ///
    /// # Errors
    /// `E0302` or `E0504` for a module of the standard library that cannot be read.
    pub fn reference(&self) -> Result<Reference> {
        let modules = self.program.std_modules()?;
        Reference::new(&self.recipe.functions, modules.iter().map(|(name, text)| (name.as_str(), &**text)))
    }

    /// What ends a script that runs in this engine, from any thread.
    pub(crate) fn meter(&self) -> &Meter {
        &self.recipe.meter
    }

    /// The rhai engine, for what this type does not offer.
    pub fn rhai(&self) -> &rhai::Engine {
        &self.rhai
    }

    /// The rhai engine, for what this type does not offer. Functions typed at a prompt, and what they call, run on another one, which
    /// knows nothing of what is done here.
    pub fn rhai_mut(&mut self) -> &mut rhai::Engine {
        self.known_is_old.set(true);
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
        if self.known_is_old.replace(false) {
            self.program.set_known(Known::new(&self.rhai, &self.recipe.functions, self.allow_eval));
        }
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

    /// Loads scripts from the record of a run, whatever is on disk.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn load_recorded(&self, recorded: crate::train::Sources) -> Result<()> {
        self.guarded(|| self.program().load_recorded(&self.rhai, recorded))
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
        if entry.is_notebook {
            return self.guarded(|| self.run_top_to_bottom(&entry.ast, &entry.tag, cfg));
        }
        let args = if entry.has("main", 0) { vec![] } else { vec![cfg.into()] };
        self.call("main", args)
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

    /// The nearest function of the loaded script: ``, did you mean `x`?`` or nothing.
    pub fn nearest_fn(&self, name: &str) -> String {
        self.program.entry_unit().map_or(String::new(), |u| did_you_mean(name, u.function_names()))
    }

    /// A panic below is our fault, but no reason to end the host program.
    pub(crate) fn guarded<T>(&self, f: impl FnOnce() -> Result<T>) -> Result<T> {
        let caught = || catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|panic| Err(stack::internal(&*panic)));
        self.recipe.meter.run(caught)
    }
}

/// What the parser needs to know of the language.
pub(crate) fn set_syntax(rhai: &mut rhai::Engine) {
    rhai.set_strict_variables(true);
    // Folding constants would lose positions.
    rhai.set_optimization_level(OptimizationLevel::None);
    rhai.set_max_expr_depths(MAX_EXPR_DEPTH, MAX_EXPR_DEPTH);
    super::api::configure(rhai);
}

/// Everything about a language but its functions: limits, what stops a script, where it prints.
pub(super) fn set_language(rhai: &mut rhai::Engine, options: &EngineOptions, meter: &Rc<Meter>) {
    let limits = options.limits;
    set_syntax(rhai);
    rhai.set_fail_on_invalid_map_property(true);
    rhai.set_max_call_levels(limits.call_depth.unwrap_or(MAX_CALL_LEVELS).clamp(1, MAX_CALL_LEVELS));
    rhai.set_max_string_size(limits.string_bytes.unwrap_or(MAX_STRING).max(1));
    rhai.set_max_array_size(limits.elements.unwrap_or(MAX_ELEMENTS).max(1));
    rhai.set_max_map_size(limits.elements.unwrap_or(MAX_ELEMENTS).max(1));
    let meter = meter.clone();
    // At every operation of a script: most of the time only a counter and one atomic number are looked at.
    rhai.on_progress(move |_| {
        let n = meter.count();
        if !n.is_multiple_of(LOOK_EVERY) && crate::interrupt::is_quiet() {
            return None;
        }
        if crate::interrupt::process_requested() || session::must_stop() {
            return Some(INTERRUPTED.into());
        }
        if stack::is_short() {
            return Some(OUT_OF_STACK.into());
        }
        meter.look(n)
    });
    let print = options.print.clone();
    let say = move |text: &str| match &print {
        Some(print) => print(text),
        None => {
            let mut out = std::io::stdout().lock();
            // Whoever read our output has gone: there is nobody left to run for.
            if writeln!(out, "{text}").and_then(|()| out.flush()).is_err() {
                crate::interrupt::request();
            }
        }
    };
    rhai.on_print(move |text| {
        if session::capture(text) {
            return;
        }
        crate::train::log::write(&format!("{text}\n"));
        crate::progress::beside(|| say(text));
    });
    rhai.on_debug(|text, source, at| {
        let source = source.map(super::source::id_of).unwrap_or("script");
        crate::space::say(&format!("{source}:{at:?}: {text}"));
    });
    rhai.register_type_with_name::<ErrorValue>("error");
    rhai.register_get("message", |e: &mut ErrorValue| e.error.to_string());
    rhai.register_get("code", |e: &mut ErrorValue| e.error.code().to_string());
    rhai.register_get("help", |e: &mut ErrorValue| e.error.help_text().unwrap_or_default().to_string());
    rhai.register_fn("to_string", |e: &mut ErrorValue| e.error.to_string());
    rhai.register_fn("to_debug", |e: &mut ErrorValue| format!("{}: {}", e.error.code(), e.error));
}
