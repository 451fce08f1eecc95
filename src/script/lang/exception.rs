//! Exceptions on their way between scripts and Rust: as a script sees our errors, and how its own come back unchanged.

use super::codes::INTERRUPTED;
use crate::error::{Diagnostic, Error, ErrorKind};
use rhai::{Dynamic, EvalAltResult, Position};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

/// The result of a script call, as rhai wants it.
pub type ScriptResult = std::result::Result<Dynamic, Box<EvalAltResult>>;

/// An [`Error`] as a script sees it in `catch (err)`: `err.message`, `err.code`, `err.help`.
#[derive(Clone)]
pub struct ErrorValue {
    /// The error.
    pub error: Rc<Error>,
    /// Where it arose: the source's tag and the place in it.
    pub(crate) place: Option<(String, Position)>,
}

impl std::fmt::Display for ErrorValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.error)
    }
}

/// Exceptions on their way through Rust code, by ticket: the error that a native gets carries the ticket, and when it
/// comes back unchanged the script gets the very same exception, value and call chain. An error that Rust swallows leaves
/// its exception behind, so only the last few are kept; without it the diagnostic alone comes back, which has the places too.
const IN_FLIGHT: usize = 32;

#[derive(Default)]
struct InFlight {
    last: u64,
    list: VecDeque<(u64, Box<EvalAltResult>)>,
}

thread_local! {
    static EXCEPTIONS: RefCell<InFlight> = RefCell::default();
}

/// A script's exception, with what is to be said of it, as our error with its ticket.
pub(crate) fn from_script(error: Error, e: Box<EvalAltResult>) -> Error {
    let ErrorKind::Script(d) = error.kind() else { return error };
    let ticket = EXCEPTIONS.with_borrow_mut(|flight| {
        flight.last += 1;
        if flight.list.len() == IN_FLIGHT {
            flight.list.pop_front();
        }
        flight.list.push_back((flight.last, e));
        flight.last
    });
    Error::script(Diagnostic { ticket: Some(ticket), ..(**d).clone() })
}

/// Our error as an exception thrown at `position` of the source `tag`.
pub(crate) fn into_script(e: Error, tag: Option<&str>, position: Position) -> Box<EvalAltResult> {
    if e.is_interrupt() {
        let has_place = matches!(e.kind(), ErrorKind::OverMemory(d) if !d.labels.is_empty());
        let token = if has_place { Dynamic::from(ErrorValue { error: Rc::new(e), place: None }) } else { INTERRUPTED.into() };
        return Box::new(EvalAltResult::ErrorTerminated(token, position));
    }
    if let ErrorKind::Script(d) = e.kind()
        && e.contexts().is_empty()
        && let Some(original) = d.ticket.and_then(redeem)
    {
        return original;
    }
    let place = if position.is_none() { None } else { tag.map(|t| (t.to_owned(), position)) };
    Box::new(EvalAltResult::ErrorRuntime(Dynamic::from(ErrorValue { error: Rc::new(e), place }), position))
}

fn redeem(ticket: u64) -> Option<Box<EvalAltResult>> {
    EXCEPTIONS.with_borrow_mut(|flight| {
        let at = flight.list.iter().position(|(t, _)| *t == ticket)?;
        flight.list.remove(at).map(|(_, e)| e)
    })
}
