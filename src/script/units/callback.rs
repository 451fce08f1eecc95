//! Callbacks keep the environment they come from, and follow its newest version.
//!
//! rhai looks functions up where a pointer is *called*: handed to another module, or kept by Rust and called later, a
//! closure would find other functions of the same name, or none. So every function pointer that leaves its unit is wrapped
//! into a native pointer that remembers the unit. After a reload a named function is the one of that name, and a closure the one that
//! stands in its place (`align`), with what it took with it.

use super::align::align;
use super::kept::{Home, Kept, Place, Seat, name_of};
use super::program::Program;
use super::unit::Unit;
use crate::error::Error;
use crate::script::lang::diagnose::is_closure;
use crate::script::lang::exception::{ScriptResult, into_script};
use crate::script::lang::principal::Principal;
use crate::script::lang::source::id_of;
use crate::script::lang::stack::Crossing;
use rhai::{Array, Dynamic, EvalAltResult, FnPtr, Map, NativeCallContext};
use std::fmt::Write;
use std::rc::Rc;

/// How deep in arrays and maps callbacks are looked for: deeper than values are, short of what a stack holds.
const DEPTH: usize = 512;

/// Binds the callbacks in the arguments of a call to whoever calls.
pub(crate) fn bind_here<'a>(args: impl Iterator<Item = &'a mut Dynamic>, ctx: &NativeCallContext, program: &Rc<Program>) {
    let mut place = None;
    for value in args {
        bind(value, program, &mut || place.get_or_insert_with(|| Rc::new(here(ctx, program))).clone());
    }
}

/// Binds the callbacks in a value to `place`, which is made when there are any.
fn bind(value: &mut Dynamic, program: &Program, place: &mut dyn FnMut() -> Rc<Place>) {
    each(value, DEPTH, &mut |f| bind_one(f, program, place()));
}

fn bind_one(f: &mut FnPtr, program: &Program, place: Rc<Place>) {
    let kept = Rc::new(Kept::new(f.clone(), place));
    let number = program.kept.add(&kept);
    if let Some(bound) = pointer(kept, number) {
        *f = bound;
    }
}

/// Whether functions may be in a value.
pub(crate) fn may_hold_functions(value: &Dynamic) -> bool {
    value.is_fnptr() || value.is_map() || value.is_array()
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

/// The values that a function took with it when it was made, as they are now. A variable that it shares with others may change later.
pub(crate) fn taken(f: &FnPtr, program: &Program) -> Array {
    let values = |f: &FnPtr| f.curry().iter().map(Dynamic::flatten_clone).collect();
    match program.kept.of(f.fn_name()) {
        Some(kept) => values(&kept.f),
        None => values(f),
    }
}

/// The function with these in the place of the values that it took with it, in their order.
pub(crate) fn taking(f: &FnPtr, values: Array, program: &Program) -> FnPtr {
    let values = values.into_iter().map(Dynamic::into_shared);
    match program.kept.of(f.fn_name()) {
        Some(kept) => {
            let mut f = kept.f.clone();
            f.set_curry(values);
            bind_one(&mut f, program, kept.place.clone());
            f
        }
        None => {
            let mut f = f.clone();
            f.set_curry(values);
            f
        }
    }
}

/// The place of whoever makes a call.
fn here(ctx: &NativeCallContext, program: &Rc<Program>) -> Place {
    let environment = ctx.global_runtime_state().clone();
    let tag = environment.source.clone();
    let unit = tag.as_deref().map(|t| id_of(t).to_owned());
    let who = match &unit {
        Some(unit) => program.acts_for(unit),
        None => program.acting.current(),
    };
    let outline = tag.as_deref().and_then(|tag| program.outline(tag));
    Place { home: Home::Call(Box::new(environment)), unit, outline, host: program.host().clone(), who }
}

/// The place of a unit as others see it, for functions that act for `who`.
///
/// # Errors
/// What a constant's expression threw.
fn place_of(unit: &Unit, who: Principal, rhai: &rhai::Engine, program: &Program) -> Result<Rc<Place>, Box<EvalAltResult>> {
    let home = Home::Unit(unit.callable(rhai)?);
    Ok(Rc::new(Place { home, unit: Some(unit.id.clone()), outline: Some(unit.outline.clone()), host: program.host().clone(), who }))
}

/// Binds the callbacks in a value that leaves a unit to that unit.
///
/// # Errors
/// As [`place_of`].
pub(crate) fn bind_to(value: &mut Dynamic, unit: &Unit, rhai: &rhai::Engine, program: &Program) -> Result<(), Box<EvalAltResult>> {
    let mut place = None;
    each(value, DEPTH, &mut |f| {
        if let Ok(place) = place.get_or_insert_with(|| place_of(unit, program.acts_for(&unit.id), rhai, program)) {
            bind_one(f, program, place.clone());
        }
    });
    place.transpose().map(drop)
}

/// The value that a call gives, or throws.
pub(crate) fn leaving(result: &mut ScriptResult) -> Option<&mut Dynamic> {
    fn thrown(e: &mut EvalAltResult) -> Option<&mut Dynamic> {
        match e {
            EvalAltResult::ErrorInFunctionCall(_, _, inner, _) | EvalAltResult::ErrorInModule(_, inner, _) => thrown(inner),
            EvalAltResult::ErrorRuntime(value, _) => Some(value),
            _ => None,
        }
    }
    match result {
        Ok(value) => Some(value),
        Err(e) => thrown(e),
    }
}

/// A native pointer that calls a kept function. The curried arguments are passed on by that one itself. Its name has the number, by which
/// one pointer is told from another.
fn pointer(kept: Rc<Kept>, number: u64) -> Option<FnPtr> {
    let call = move |cx: NativeCallContext, args: &mut [&mut Dynamic]| {
        let at = cx.call_position();
        at_home(&cx, kept.place.host.id())?;
        let _crossing = Crossing::enter().map_err(|e| into_script(e, cx.call_source(), at))?;
        let Some(program) = kept.place.host.get::<Program>() else { return Ok(Dynamic::UNIT) };
        let _behalf = program.acting.enter(kept.place.who.clone());
        let mut args: Vec<Dynamic> = args.iter_mut().map(|a| std::mem::take(*a)).collect();
        bind_here(args.iter_mut(), &cx, &program);
        let _running = kept.run();
        call(&kept, &program, &cx, args).map_err(|mut e| {
            if e.position().is_none() {
                e.set_position(at);
            }
            e
        })
    };
    #[allow(deprecated)] // rhai's word for "may change": the version is pinned.
    FnPtr::from_fn(name_of(number), call).ok()
}

fn call(kept: &Kept, program: &Rc<Program>, cx: &NativeCallContext, args: Vec<Dynamic>) -> ScriptResult {
    let rhai = cx.engine();
    if !is_closure(kept.f.fn_name()) {
        let newer = kept.place.unit.as_deref().and_then(|id| program.unit(id)).filter(|u| !is_of(u, &kept.place));
        if let Some(unit) = newer.filter(|u| u.has_name(kept.f.fn_name())) {
            let args = kept.f.curry().iter().cloned().chain(args).collect();
            let mut result = program.call(rhai, None, &unit.id, kept.f.fn_name(), args);
            if let Some(value) = leaving(&mut result) {
                bind_to(value, &unit, rhai, program)?;
            }
            return result;
        }
    }
    let (f, place) = match seat(kept, program, rhai) {
        Some(Seat::New { f, place, .. }) => (f, place),
        Some(Seat::Old(_)) | None => (kept.f.clone(), kept.place.clone()),
    };
    let mut result = match &place.home {
        Home::Call(environment) => {
            f.call_raw(&NativeCallContext::new_with_all_fields(rhai, f.fn_name(), None, environment, cx.call_position()), None, args)
        }
        Home::Unit(ast) => f.call(rhai, ast, args),
    };
    if let Some(value) = leaving(&mut result) {
        bind(value, program, &mut || place.clone());
    }
    result
}

/// Whether a unit is the version that a place is of.
fn is_of(unit: &Unit, place: &Place) -> bool {
    match (&place.outline, &place.home) {
        (Some(outline), _) => outline.tag == unit.tag,
        (None, Home::Call(environment)) => environment.source.as_deref() == Some(&*unit.tag),
        (None, Home::Unit(_)) => true,
    }
}

/// Where a kept closure stands in the newest version of its unit; `None` where that is the one it comes from, or it comes from no script.
pub(crate) fn seat(kept: &Kept, program: &Program, rhai: &rhai::Engine) -> Option<Seat> {
    let (id, outline) = (kept.place.unit.as_deref()?, kept.place.outline.as_ref()?);
    let unit = program.unit(id)?;
    if unit.tag == outline.tag {
        return None;
    }
    Some(kept.seat(&unit.tag, || successor(kept, &unit, program, rhai).unwrap_or_else(Seat::Old)))
}

fn successor(kept: &Kept, unit: &Unit, program: &Program, rhai: &rhai::Engine) -> Result<Seat, String> {
    let Some(outline) = &kept.place.outline else { return Err("it comes from no script".into()) };
    let (old, new) = (outline.shape(), unit.outline.shape());
    let mine = old.closure(kept.f.fn_name()).ok_or("it cannot be told from others of its script")?;
    let node = program.followed(&outline.tag, &unit.tag, || align(old, new))[mine].ok_or("it is gone from there")?;
    let (mine, now) = (&old.nodes[mine], &new.nodes[node]);
    let mut f = now.pointer.clone().ok_or("it cannot be told from others of its script")?;
    let taken = kept.f.curry();
    let mut curry = Vec::with_capacity(taken.len());
    for name in &now.captures {
        let value = mine.captures.iter().position(|n| n == name).and_then(|i| taken.get(i));
        curry.push(value.ok_or_else(|| format!("it uses `{name}` now, which it did not take with it when it was made"))?.clone());
    }
    curry.extend(taken.iter().skip(mine.captures.len()).cloned());
    // Functions that it took with it are of the old version: there they find each other.
    curry.iter_mut().for_each(|v| bind(v, program, &mut || kept.place.clone()));
    f.set_curry(curry);
    // Whoever acts while this is looked up, it acts for whom it acted before.
    let place = place_of(unit, kept.place.who.clone(), rhai, program).map_err(|e| e.to_string())?;
    Ok(Seat::New { f, place, node })
}

/// A function runs in the engine it comes from: another one has other functions and other scripts.
pub(crate) fn at_home(cx: &NativeCallContext, home: i64) -> Result<(), Box<EvalAltResult>> {
    if cx.engine().default_tag().as_int().ok() == Some(home) {
        return Ok(());
    }
    let e = Error::value("callback", "this function belongs to another runtime").help("hand values from one runtime to another, not functions");
    Err(into_script(e, cx.call_source(), cx.call_position()))
}
