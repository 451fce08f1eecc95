//! A second engine with the same language, for statements that call functions typed at a prompt.
//!
//! Such functions see the prompt's variables, which rhai allows by a hook alone that it asks at every use of every variable: with it
//! a loop of a script takes a quarter longer. So only this engine has the hook, and it is made when somebody types a function.

use super::api;
use super::bind::{ApiFn, install};
use super::engine::{EngineOptions, set_language};
use super::facade::Resolver;
use super::host::Host;
use super::limits::Meter;
use super::{breakpoint, session};
use rhai::{Dynamic, Module, Shared};
use std::cell::OnceCell;
use std::rc::Rc;

/// What an engine is made from.
#[derive(Clone)]
pub(super) struct Recipe {
    pub host: Host,
    pub options: EngineOptions,
    pub meter: Rc<Meter>,
    /// Everything made with [`api!`](crate::api), what the program added last.
    pub functions: Vec<ApiFn>,
    /// Closures that the program added.
    pub modules: Vec<Shared<Module>>,
}

impl Recipe {
    pub(super) fn new(host: &Host, options: EngineOptions, meter: &Rc<Meter>) -> Self {
        Recipe { host: host.clone(), options, meter: meter.clone(), functions: api::all(), modules: Vec::new() }
    }

    /// Makes an engine.
    pub(super) fn make(&self) -> rhai::Engine {
        let mut rhai = rhai::Engine::new();
        // By this, callbacks know whether it is their own engine that calls them.
        rhai.set_default_tag(self.host.id());
        set_language(&mut rhai, &self.options, &self.meter);
        rhai.set_module_resolver(Resolver(self.host.clone()));
        install(&mut rhai, &self.host, &self.functions);
        breakpoint::install(&mut rhai, &self.host);
        // Only a method that takes the variable itself can empty it.
        rhai.register_fn("drop", |x: &mut Dynamic| *x = Dynamic::UNIT);
        self.modules.iter().for_each(|m| {
            rhai.register_global_module(m.clone());
        });
        rhai
    }
}

/// The second engine, among the host's values.
pub(super) struct Twin {
    recipe: Recipe,
    made: OnceCell<rhai::Engine>,
}

impl Twin {
    pub(super) fn new(recipe: Recipe) -> Self {
        Twin { recipe, made: OnceCell::new() }
    }

    /// The engine, made on first use.
    pub(super) fn engine(&self) -> &rhai::Engine {
        self.made.get_or_init(|| {
            let mut rhai = self.recipe.make();
            // What a function typed at a prompt does not have itself it takes from there.
            #[allow(deprecated)] // rhai's word for "may change": the version is pinned.
            rhai.on_var(|name, _, cx| Ok(session::variable(name, cx.scope())));
            rhai
        })
    }
}
