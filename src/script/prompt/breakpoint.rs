//! `breakpoint()`: a prompt in the frame that calls it.
//!
//! A registered function does not see its caller's variables; a custom syntax of rhai does. Variables are copied into the prompt
//! (tensors and models are handles, so they are the same ones), and what was assigned there is written back.

use super::session::Session;
use crate::script::lang::host::Host;
use crate::script::lang::source::id_of;
use crate::script::units::at::At;
use crate::script::units::program::Program;
use rhai::Dynamic;
use std::cell::Cell;
use std::rc::Rc;

/// Opens a prompt: the place, the engine, the prompt's state.
pub type Open = dyn Fn(&str, At, &mut Session);

/// What opens a prompt, among the host's values: without it `breakpoint()` goes on.
#[derive(Clone)]
pub struct OnBreakpoint(pub Rc<Open>);

/// Whether it was said that there is no terminal.
#[derive(Default)]
struct Said(Cell<bool>);

/// How many prompts were opened: each has an id of its own.
#[derive(Default)]
struct Opened(Cell<u64>);

pub(crate) fn install(rhai: &mut rhai::Engine, host: &Host) {
    let host = host.clone();
    let syntax = rhai.register_custom_syntax(["breakpoint", "()"], false, move |cx, _| {
        let source = cx.source().unwrap_or_default().to_owned();
        let shown = id_of(&source).to_owned();
        let Some(program) = host.get::<Program>() else { return Ok(Dynamic::UNIT) };
        let Some(hook) = host.get::<OnBreakpoint>() else {
            if !host.get_or_default::<Said>().0.replace(true) {
                crate::train::log::say(&format!("breakpoint() in {shown}: there is no terminal here; going on"));
            }
            return Ok(Dynamic::UNIT);
        };
        let opened = host.get_or_default::<Opened>();
        opened.0.set(opened.0.get() + 1);
        let at = At { rhai: cx.engine(), program: &program, host: &host };
        let mut session = Session::new(at, &format!("breakpoint-{}", opened.0.get()));
        // The frame's own functions; without them the variables can still be looked at.
        let seen = if program.unit(&shown).is_some() { session.see(at, &shown) } else { Ok(()) };
        let mut before: Vec<(String, Dynamic)> = cx.scope().iter_raw().map(|(name, _, value)| (name.to_owned(), value.clone())).collect();
        // rhai begins with the newest, which must be set last.
        before.reverse();
        for (name, value) in &before {
            session.set(name, value.clone());
        }
        if let Err(e) = seen {
            crate::train::log::say(&format!("breakpoint(): {e}"));
        }
        (hook.0)(&shown, at, &mut session);
        let names: std::collections::BTreeSet<&String> = before.iter().map(|(name, _)| name).collect();
        for name in names {
            if let (Some(false), Some(value)) = (cx.scope().is_constant(name), session.scope.get(name).cloned())
                && let Some(slot) = cx.scope_mut().get_mut(name)
            {
                *slot = value;
            }
        }
        program.forget(session.id());
        Ok(Dynamic::UNIT)
    });
    syntax.expect("`breakpoint` is no word of the language");
}
