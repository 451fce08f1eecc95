//! The engine for a program of one's own: [`Runtime`], built with everything that the program adds.
//!
//! A runtime shares nothing with others in the process but what libtorch itself has once for all: its random generator and its threads.
//! Functions, values, modules, sinks, limits and the default device are its own, on one thread or on several.

use crate::error::Result;
use crate::script::engine::{Engine, EngineOptions, Print};
use crate::script::guard::permissions::Permissions;
use crate::script::lang::function::ApiFn;
use crate::script::lang::host::Host;
use crate::script::lang::limits::Limits;
use crate::script::settings::params::{Origin, Params, dashed};
use crate::script::units::changes::Reloaded;
use crate::script::units::generation::Generation;
use crate::script::units::roots::Roots;
use crate::space::{self, LineSink, MetricSink, Space};
use crate::torch::{self, Device};
use rhai::{Dynamic, FnPtr, Map};
use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Something to do with an engine when it is there.
type Setup = Box<dyn FnOnce(&mut Engine)>;

/// A script runtime inside a program. It lives on the thread that built it, which should have a large stack:
/// [`on_big_stack`](super::on_big_stack).
pub struct Runtime {
    engine: Engine,
    space: Rc<Space>,
    device: Cell<Device>,
}

/// What a [`Runtime`] is made of; see [`Runtime::builder`].
#[derive(Default)]
pub struct Builder {
    options: EngineOptions,
    folders: Vec<(String, PathBuf)>,
    texts: Vec<(String, String)>,
    setup: Vec<Setup>,
    log: Option<LineSink>,
    metrics: Option<MetricSink>,
    device: Option<String>,
}

impl Builder {
    /// Adds functions, methods and types made with [`api!`](crate::api).
    #[must_use]
    pub fn functions(mut self, functions: Vec<ApiFn>) -> Self {
        self.setup.push(Box::new(|engine| engine.register(functions)));
        self
    }

    /// Adds a closure as a global function. It gets its arguments exactly as the language has them: an int is no float.
    #[must_use]
    pub fn function<A: 'static, const N: usize, const X: bool, R: rhai::Variant + Clone, const F: bool>(
        mut self,
        name: impl Into<String>,
        function: impl rhai::RhaiNativeFunc<A, N, X, R, F> + 'static,
    ) -> Self {
        let name = name.into();
        self.setup.push(Box::new(move |engine| engine.register_fn(&name, function)));
        self
    }

    /// Adds a value that functions find by its type: `cx.host().get::<T>()`. One of each type.
    #[must_use]
    pub fn value<T: 'static>(mut self, value: T) -> Self {
        self.setup.push(Box::new(move |engine| {
            engine.host().put(value);
        }));
        self
    }

    /// Adds a folder of modules: with the name `lab`, `import "lab/augment"` is `augment.rhai` in it.
    #[must_use]
    pub fn modules(mut self, name: impl Into<String>, folder: impl Into<PathBuf>) -> Self {
        self.folders.push((name.into(), folder.into()));
        self
    }

    /// Adds a module as a text: `lab/augment`.
    #[must_use]
    pub fn module(mut self, name: impl Into<String>, text: impl Into<String>) -> Self {
        self.texts.push((name.into(), text.into()));
        self
    }

    /// The folder of the standard library, instead of `LATHE_STDLIB`, a `stdlib/` near the script, or the one built in.
    #[must_use]
    pub fn stdlib(mut self, folder: impl Into<PathBuf>) -> Self {
        self.options.stdlib = Some(folder.into());
        self
    }

    /// Takes what scripts print; stdout without it.
    #[must_use]
    pub fn print(mut self, sink: impl Fn(&str) + 'static) -> Self {
        self.options.print = Some(Rc::new(sink) as Print);
        self
    }

    /// Takes what is said while scripts run: progress, warnings, `debug`; stderr without it. What worker threads say goes to stderr all
    /// the same, and `tracing` events to the program's own subscriber.
    #[must_use]
    pub fn log(mut self, sink: impl Fn(&str) + 'static) -> Self {
        self.log = Some(Box::new(sink));
        self
    }

    /// Takes the metrics of every log line of a run, beside `metrics.jsonl`: steps done, names and values.
    #[must_use]
    pub fn metrics(mut self, sink: impl Fn(u64, &[(String, f64)]) + 'static) -> Self {
        self.metrics = Some(Box::new(sink));
        self
    }

    /// What a script may use up in one call.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.options.limits = limits;
        self
    }

    /// What scripts may read and write; without it, what the process may. Modules of [`Builder::modules`] are found in any case.
    #[must_use]
    pub fn permissions(mut self, permissions: Permissions) -> Self {
        self.options.permissions = Some(permissions);
        self
    }

    /// Where new tensors and models are made: `cpu` (without it), `cuda` or `cuda:N`.
    #[must_use]
    pub fn device(mut self, device: impl Into<String>) -> Self {
        self.device = Some(device.into());
        self
    }

    /// Makes the runtime.
    ///
    /// # Errors
    /// `E0101` for a name that modules cannot have, `E0301` for a module folder that is not there, `E0204` for a missing device.
    pub fn build(self) -> Result<Runtime> {
        let device = self.device.map_or(Ok(Device::Cpu), |d| torch::parse_device(&d))?;
        let roots = Roots::new(&self.folders, &self.texts)?;
        let mut engine = Engine::with_roots(self.options, roots);
        self.setup.into_iter().for_each(|setup| setup(&mut engine));
        Ok(Runtime { engine, space: Rc::new(Space::new(self.log, self.metrics)), device: Cell::new(device) })
    }
}

/// Puts the thread's own default device back, and keeps the runtime's.
struct OwnDevice<'a> {
    runtime: &'a Cell<Device>,
    before: Device,
}

impl Drop for OwnDevice<'_> {
    fn drop(&mut self) {
        self.runtime.set(torch::default_device());
        torch::set_default_device(self.before);
    }
}

impl Runtime {
    /// A runtime with the standard library and everything that scripts of the `lathe` command have; the rest is added.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Runs `f` as work of this runtime: with its device, its sinks and its log.
    fn enter<T>(&self, f: impl FnOnce(&Engine) -> T) -> T {
        let _device = OwnDevice { runtime: &self.device, before: torch::default_device() };
        torch::set_default_device(self.device.get());
        space::within(&self.space, || f(&self.engine))
    }

    /// Loads a script and what it imports. Nothing of it runs yet but its constants.
    ///
    /// # Errors
    /// `E0301` when it cannot be read; else one error that holds everything that is wrong with the scripts.
    pub fn load(&self, path: impl AsRef<Path>) -> Result<()> {
        self.enter(|engine| engine.load(path))
    }

    /// Loads a script from a text; `name` stands for it in messages.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn load_text(&self, name: &str, text: &str) -> Result<()> {
        self.enter(|engine| engine.load_text(name, text))
    }

    /// The settings that the loaded script declares with `fn params()`.
    ///
    /// # Errors
    /// What `params` threw, or what is wrong with what it returned.
    pub fn params(&self) -> Result<Params> {
        self.enter(Engine::params)
    }

    /// Runs the loaded script with these settings over its defaults, each a name and a text as on the command line:
    /// `("learning-rate", "1e-4")`.
    ///
    /// # Errors
    /// `E0101` for a setting that the script does not have or that does not fit; what the script threw.
    pub fn run(&self, settings: &[(&str, &str)]) -> Result<Dynamic> {
        let params = self.params()?;
        let mut config = params.defaults();
        for (name, text) in settings {
            params.set_text(&mut config, name, text, Origin::Flag(format!("--{}", dashed(name))))?;
        }
        self.run_with(config.map())
    }

    /// Runs the loaded script with `cfg` as its `main`'s argument, as it is.
    ///
    /// # Errors
    /// What the script threw; `E0505` when it went over a limit; `E0901` when it was stopped.
    pub fn run_with(&self, cfg: Map) -> Result<Dynamic> {
        self.enter(|engine| engine.run(cfg))
    }

    /// Runs a text from top to bottom and gives its last value. It becomes the loaded script.
    ///
    /// # Errors
    /// Everything that is wrong with it, or what it threw.
    pub fn eval(&self, text: &str) -> Result<Dynamic> {
        self.enter(|engine| engine.eval(text))
    }

    /// Calls a function of the loaded script, in its newest version.
    ///
    /// # Errors
    /// `E0503` when there is no such function; what it threw.
    pub fn call(&self, name: &str, args: Vec<Dynamic>) -> Result<Dynamic> {
        self.enter(|engine| engine.call(name, args))
    }

    /// Calls a function that a script handed to the program.
    ///
    /// # Errors
    /// What it threw.
    pub fn call_fn(&self, f: &FnPtr, args: Vec<Dynamic>) -> Result<Dynamic> {
        self.enter(|engine| engine.call_fn(f, args))
    }

    /// Whether the loaded script has a function of that name and number of parameters.
    pub fn has(&self, name: &str, arity: usize) -> bool {
        self.engine.has_fn(name, arity)
    }

    /// Loads every script anew from disk. Nothing changes unless all of them are sound.
    ///
    /// # Errors
    /// What is wrong with the new texts; the old ones go on.
    pub fn reload(&self) -> Result<Reloaded> {
        self.enter(Engine::reload)
    }

    /// Whether a script on disk differs from the text that runs.
    pub fn is_stale(&self) -> bool {
        self.engine.is_stale()
    }

    /// Holds on to the scripts as they are now, through any reload.
    pub fn hold(&self) -> Held<'_> {
        Held { runtime: self, generation: self.engine.program().current() }
    }

    /// The ids and texts of the loaded scripts: the script itself first, then its modules.
    pub fn sources(&self) -> Vec<(String, String)> {
        self.engine.sources()
    }

    /// The values that functions share with the program.
    pub fn host(&self) -> &Host {
        self.engine.host()
    }

    /// What stops this runtime's script, from any thread.
    pub fn stop(&self) -> Stop {
        Stop(self.engine.meter().stop())
    }

    /// The engine below, for what this type does not offer. What runs there directly has the thread's device and sinks.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }
}

/// The scripts of a runtime as they were at one moment; see [`Runtime::hold`].
pub struct Held<'a> {
    runtime: &'a Runtime,
    generation: Rc<Generation>,
}

impl Held<'_> {
    /// Its number: 1 for the first load, one more with each reload.
    pub fn number(&self) -> u64 {
        self.generation.number
    }

    /// Calls a function of the script as it was, with the modules as they were.
    ///
    /// # Errors
    /// `E0503` when there is no such function; what it threw.
    pub fn call(&self, name: &str, args: Vec<Dynamic>) -> Result<Dynamic> {
        let program = self.runtime.engine.program();
        self.runtime.enter(|engine| program.within(&self.generation, || engine.call_named(&self.generation.entry, name, args)))
    }
}

/// Stops a runtime's script from another thread. Cloning gives another handle to the same.
#[derive(Debug, Clone)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Asks the script to stop, as Ctrl-C does: within 64 operations, or after the training step. Later calls stop at once.
    pub fn stop(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Lets the runtime go on.
    pub fn clear(&self) {
        self.0.store(false, Ordering::SeqCst);
    }
}
