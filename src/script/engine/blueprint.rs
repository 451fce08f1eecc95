//! What an engine is made from, so that another one with the same language can be made.

use crate::script::api;
use crate::script::bind::install;
use crate::script::guard::permissions::Permissions;
use crate::script::lang::caught;
use crate::script::lang::codes::{INTERRUPTED, OUT_OF_STACK};
use crate::script::lang::diagnose::Explain;
use crate::script::lang::exception::ErrorValue;
use crate::script::lang::function::ApiFn;
use crate::script::lang::host::Host;
use crate::script::lang::language::{set_operators, set_syntax};
use crate::script::lang::limits::{Limits, Meter};
use crate::script::lang::source::id_of;
use crate::script::lang::stack::{self, MAX_CALL_LEVELS};
use crate::script::prompt::{breakpoint, evaluation};
use crate::script::units::facade::Resolver;
use crate::script::units::program::Program;
use rhai::{Dynamic, Map, Module, NativeCallContext, Shared};
use std::io::Write;
use std::path::PathBuf;
use std::rc::Rc;

/// Strings beyond this are a mistake: 256 MB.
const MAX_STRING: usize = 256 << 20;
/// Elements of an array or map, those in inner ones too. More belong in a tensor; and an array in an array in an array ..
/// without an end would use up the stack when it is freed.
const MAX_ELEMENTS: usize = 1_000_000;

/// Names in scripts that are kept once each. Beyond so many, rhai looks through all of them for each new one: its own limit of 256 takes an eighth of the
/// time in which the standard library is read, and all of that library has fewer than this.
const MAX_NAMES: usize = 8192;

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

/// What an engine is made from.
#[derive(Clone)]
pub(crate) struct Blueprint {
    pub host: Host,
    pub options: EngineOptions,
    pub meter: Rc<Meter>,
    /// Everything made with [`api!`](crate::api), what the program added last.
    pub functions: Vec<ApiFn>,
    /// Closures that the program added.
    pub modules: Vec<Shared<Module>>,
}

impl Blueprint {
    pub(crate) fn new(host: &Host, options: EngineOptions, meter: &Rc<Meter>) -> Self {
        Blueprint { host: host.clone(), options, meter: meter.clone(), functions: api::all(), modules: Vec::new() }
    }

    /// Makes an engine.
    pub(crate) fn make(&self) -> rhai::Engine {
        let mut rhai = rhai::Engine::new();
        // By this, callbacks know whether it is their own engine that calls them.
        rhai.set_default_tag(self.host.id());
        set_language(&mut rhai, &self.options, &self.meter);
        rhai.set_module_resolver(Resolver(self.host.clone()));
        install(&mut rhai, &self.host, &self.functions);
        breakpoint::install(&mut rhai, &self.host);
        caught(&mut rhai, &self.host);
        // Only a method that takes the variable itself can empty it.
        rhai.register_fn("drop", |x: &mut Dynamic| *x = Dynamic::UNIT);
        self.modules.iter().for_each(|m| {
            rhai.register_global_module(m.clone());
        });
        rhai
    }
}

/// Lets a caught error of the language print as it reads when nobody catches it.
fn caught(rhai: &mut rhai::Engine, host: &Host) {
    for name in ["to_string", "print"] {
        let host = host.clone();
        rhai.register_fn(name, move |cx: NativeCallContext, map: &mut Map| {
            let program = host.get::<Program>();
            let said = program.and_then(|p| Explain { sources: &p.sources, known: &p.known() }.caught(map));
            said.unwrap_or_else(|| caught::shown(&cx, map))
        });
    }
}

/// Everything about a language but its functions: limits, what stops a script, where it prints.
fn set_language(rhai: &mut rhai::Engine, options: &EngineOptions, meter: &Rc<Meter>) {
    let limits = options.limits;
    set_syntax(rhai);
    set_operators(rhai);
    api::configure(rhai);
    rhai.set_fail_on_invalid_map_property(true);
    rhai.set_max_call_levels(limits.call_depth.unwrap_or(MAX_CALL_LEVELS).clamp(1, MAX_CALL_LEVELS));
    rhai.set_max_string_size(limits.string_bytes.unwrap_or(MAX_STRING).max(1));
    rhai.set_max_strings_interned(MAX_NAMES);
    rhai.set_max_array_size(limits.elements.unwrap_or(MAX_ELEMENTS).max(1));
    rhai.set_max_map_size(limits.elements.unwrap_or(MAX_ELEMENTS).max(1));
    let meter = meter.clone();
    // At every operation of a script: most of the time only a counter and one atomic number are looked at.
    rhai.on_progress(move |_| {
        let n = meter.count();
        if !n.is_multiple_of(LOOK_EVERY) && crate::interrupt::is_quiet() {
            return None;
        }
        if crate::interrupt::process_requested() || evaluation::must_stop() {
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
        if evaluation::capture(text) {
            return;
        }
        crate::train::log::write(&format!("{text}\n"));
        crate::progress::beside(|| say(text));
    });
    rhai.on_debug(|text, source, at| {
        let source = source.map(id_of).unwrap_or("script");
        crate::space::say(&format!("{source}:{at:?}: {text}"));
    });
    rhai.register_type_with_name::<ErrorValue>("error");
    rhai.register_get("message", |e: &mut ErrorValue| e.error.to_string());
    rhai.register_get("code", |e: &mut ErrorValue| e.error.code().to_string());
    rhai.register_get("help", |e: &mut ErrorValue| e.error.help_text().unwrap_or_default().to_string());
    rhai.register_fn("to_string", |e: &mut ErrorValue| e.error.to_string());
    rhai.register_fn("to_debug", |e: &mut ErrorValue| format!("{}: {}", e.error.code(), e.error));
}
