//! Scripts as users run them: the standard library, and the entry scripts with their flags.

use crate::support::root;
use lathe::error::{Error, Result};
use lathe::script::rhai::{Dynamic, Map};
use lathe::script::{Engine, EngineOptions, Origin, Params};
use lathe::torch::Tensor;

/// Loads every module that a check calls, and does from inside a script what only a script can.
const ENTRY: &str = r#"
    import "std/denoisers" as denoisers;
    import "std/flow" as flow;
    import "std/losses" as losses;
    import "std/pixels" as pixels;
    import "std/repa" as repa;
    import "std/samplers" as samplers;
    import "std/weights" as weights;
    fn main(cfg) { train::run(cfg) }
    fn at(run, step) { run.step = step; }
    fn ema(run) { run.ema.module }
    fn vae(run) { run.vae }
    fn disc(run) { run.disc }
"#;

/// An engine as `lathe run` makes it.
pub fn engine() -> Engine {
    Engine::new(EngineOptions { stdlib: Some(root().join("stdlib")), ..EngineOptions::default() })
}

/// The standard library.
pub struct Library(Engine);

impl Library {
    pub fn load() -> Result<Library> {
        let engine = engine();
        engine.load_text("parity.rhai", ENTRY)?;
        Ok(Library(engine))
    }

    /// Calls `std/MODULE::FUNCTION`.
    pub fn call(&self, module: &str, function: &str, args: Vec<Dynamic>) -> Result<Dynamic> {
        self.0.call_named(&format!("std/{module}.rhai"), function, args)
    }

    /// The same for a result that is a tensor.
    pub fn tensor(&self, module: &str, function: &str, args: Vec<Dynamic>) -> Result<Tensor> {
        tensor(&self.call(module, function, args)?)
    }

    /// Opens a run with these settings.
    pub fn open(&self, cfg: Map) -> Result<Dynamic> {
        self.0.call("main", vec![cfg.into()])
    }

    /// Says at which step a run is.
    pub fn set_step(&self, run: &Dynamic, step: i64) -> Result<()> {
        self.0.call("at", vec![run.clone(), step.into()]).map(|_| ())
    }

    /// An object of a run: `ema` gives the averaged module.
    pub fn of(&self, run: &Dynamic, name: &str) -> Result<lathe::nn::Module> {
        module(&self.0.call(name, vec![run.clone()])?)
    }
}

/// An entry script of `scripts/`, with its settings.
pub struct Script {
    engine: Engine,
    params: Params,
    config: lathe::script::Config,
}

impl Script {
    pub fn load(name: &str) -> Result<Script> {
        let engine = engine();
        engine.load(root().join("scripts").join(format!("{name}.rhai")))?;
        let params = engine.params()?;
        let config = params.defaults();
        Ok(Script { engine, params, config })
    }

    /// Sets a flag.
    pub fn set(&mut self, name: &str, value: impl Into<Dynamic>) -> Result<()> {
        self.params.set(&mut self.config, name, &value.into(), Origin::Flag(format!("--{name}")))
    }

    /// All settings, as `main` gets them.
    pub fn cfg(&self) -> Map {
        self.config.map()
    }

    /// Calls a function of the script.
    pub fn call(&self, function: &str, args: Vec<Dynamic>) -> Result<Dynamic> {
        self.engine.call(function, args)
    }
}

/// A map from pairs.
pub fn map(entries: impl IntoIterator<Item = (&'static str, Dynamic)>) -> Dynamic {
    entries.into_iter().map(|(k, v)| (k.into(), v)).collect::<Map>().into()
}

/// A list of tensors.
pub fn list(tensors: impl IntoIterator<Item = Tensor>) -> Dynamic {
    tensors.into_iter().map(Dynamic::from).collect::<Vec<Dynamic>>().into()
}

/// A tensor, or a number as one.
pub fn tensor(value: &Dynamic) -> Result<Tensor> {
    if let Some(t) = value.read_lock::<Tensor>() {
        return Ok(t.clone());
    }
    let number = value.as_float().ok().or_else(|| value.as_int().ok().map(|i| i as f64));
    let number = number.ok_or_else(|| Error::value("parity", format!("a tensor or a number is needed, the script gave {}", value.type_name())))?;
    Tensor::from_vec(&[number], &[])
}

/// A module.
pub fn module(value: &Dynamic) -> Result<lathe::nn::Module> {
    let m = value.read_lock::<lathe::nn::Module>().map(|m| m.clone());
    m.ok_or_else(|| Error::value("parity", format!("a module is needed, the script gave {}", value.type_name())))
}

/// An entry of a map that a script gave.
pub fn entry(value: &Dynamic, name: &str) -> Result<Dynamic> {
    let found = value.read_lock::<Map>().and_then(|m| m.get(name).cloned());
    found.ok_or_else(|| Error::value("parity", format!("the script gave no `{name}`")))
}
