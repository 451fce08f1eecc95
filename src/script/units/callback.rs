//! Callbacks keep the environment they come from.
//!
//! rhai looks functions up where a pointer is *called*: handed to another module, or kept by Rust and called later, a
//! closure would find other functions of the same name, or none. So every function pointer that leaves its unit is wrapped
//! into a native pointer that remembers the unit's functions, imports and constants.

use super::program::Program;
use crate::error::Error;
use crate::script::lang::diagnose::is_closure;
use crate::script::lang::exception::into_script;
use crate::script::lang::host::Host;
use crate::script::lang::principal::Principal;
use crate::script::lang::source::id_of;
use crate::script::lang::stack::Crossing;
use rhai::{Array, Dynamic, FnPtr, Map, NativeCallContext};
use std::fmt::Write;
use std::rc::Rc;

/// The name of pointers that stay with the version of the script they were made in.
pub(crate) const CLOSURE: &str = "closure";

/// How deep in arrays and maps callbacks are looked for.
const DEPTH: usize = 8;

/// Binds the callbacks in a value to the environment of `ctx`.
pub(crate) fn bind(value: &mut Dynamic, ctx: &NativeCallContext, host: &Host) {
    each(value, DEPTH, &mut |f| {
        let bound = bound(f.clone(), ctx, host);
        *f = bound;
    });
}

/// Calls `change` on every unbound function pointer in a value.
fn each(value: &mut Dynamic, depth: usize, change: &mut dyn FnMut(&mut FnPtr)) {
    if value.is_fnptr() {
        if let Some(mut f) = value.write_lock::<FnPtr>()
            && !is_native(&f)
        {
            change(&mut f);
        }
    } else if depth == 0 {
    } else if value.is_array() {
        if let Some(mut a) = value.write_lock::<Array>() {
            a.iter_mut().for_each(|v| each(v, depth - 1, change));
        }
    } else if value.is_map()
        && let Some(mut m) = value.write_lock::<Map>()
    {
        m.values_mut().for_each(|v| each(v, depth - 1, change));
    }
}

/// Whether a pointer already is a native one; rhai tells it only by how it prints.
fn is_native(f: &FnPtr) -> bool {
    struct Head(String);
    impl Write for Head {
        fn write_str(&mut self, s: &str) -> std::fmt::Result {
            self.0.push_str(s);
            // The name is enough: what follows may be a long list of captured values.
            if self.0.len() >= 3 { Err(std::fmt::Error) } else { Ok(()) }
        }
    }
    let mut head = Head(String::new());
    let _ = write!(head, "{f:?}");
    head.0.starts_with("Fn#")
}

#[allow(deprecated)] // rhai's word for "may change": the version is pinned.
fn bound(f: FnPtr, ctx: &NativeCallContext, host: &Host) -> FnPtr {
    let environment = Rc::new(ctx.global_runtime_state().clone());
    let host = host.clone();
    let original = f.clone();
    let who = behind(environment.source.as_deref().map(id_of), &host);
    let call = move |cx: NativeCallContext, args: &mut [&mut Dynamic]| {
        let at = cx.call_position();
        at_home(&cx, host.id())?;
        let _crossing = Crossing::enter().map_err(|e| into_script(e, cx.call_source(), at))?;
        let program = host.get::<Program>();
        let _behalf = program.as_ref().map(|p| p.acting.enter(who.clone()));
        let args: Vec<Dynamic> = args.iter_mut().map(|a| std::mem::take(*a)).collect();
        // A named function is looked up in the newest version of its script; a closure stays what it was.
        if !is_closure(f.fn_name())
            && let Some(program) = &program
            && let Some(unit) = environment.source.as_deref().map(id_of)
            && program.is_newer(unit, environment.source.as_deref())
            && program.has(unit, f.fn_name(), args.len() + f.curry().len())
        {
            let args = f.curry().iter().cloned().chain(args).collect();
            return program.call(cx.engine(), None, unit, f.fn_name(), args);
        }
        f.call_raw(&NativeCallContext::new_with_all_fields(cx.engine(), f.fn_name(), None, &environment, at), None, args)
    };
    // The curried arguments are passed on by `f` itself.
    FnPtr::from_fn(if is_closure(original.fn_name()) { CLOSURE } else { "callback" }, call).unwrap_or(original)
}

/// Who acts when a callback of a unit is called: whoever made it.
fn behind(unit: Option<&str>, host: &Host) -> Principal {
    match (host.get::<Program>(), unit) {
        (Some(program), Some(unit)) => program.acts_for(unit),
        (Some(program), None) => program.acting.current(),
        (None, _) => Principal::Program,
    }
}

/// A function runs in the engine it comes from: another one has other functions and other scripts.
pub(crate) fn at_home(cx: &NativeCallContext, home: i64) -> Result<(), Box<rhai::EvalAltResult>> {
    if cx.engine().default_tag().as_int().ok() == Some(home) {
        return Ok(());
    }
    let e = Error::value("callback", "this function belongs to another runtime").help("hand values from one runtime to another, not functions");
    Err(into_script(e, cx.call_source(), cx.call_position()))
}

/// Binds the callbacks in a value that a unit returns to that unit; `who` acts in them.
pub(crate) fn bind_to(value: &mut Dynamic, environment: &rhai::AST, host: &Host, who: &Principal) {
    let home = host.id();
    each(value, DEPTH, &mut |f| {
        let (inner, environment, host, who) = (f.clone(), environment.clone(), host.clone(), who.clone());
        #[allow(deprecated)]
        let native = FnPtr::from_fn("callback", move |cx: NativeCallContext, args: &mut [&mut Dynamic]| {
            at_home(&cx, home)?;
            let _crossing = Crossing::enter().map_err(|e| into_script(e, cx.call_source(), cx.call_position()))?;
            let program = host.get::<Program>();
            let _behalf = program.as_ref().map(|p| p.acting.enter(who.clone()));
            let args: Vec<Dynamic> = args.iter_mut().map(|a| std::mem::take(*a)).collect();
            inner.call::<Dynamic>(cx.engine(), &environment, args).map_err(|mut e| {
                if e.position().is_none() {
                    e.set_position(cx.call_position());
                }
                e
            })
        });
        if let Ok(native) = native {
            *f = native;
        }
    });
}
