//! Whoever looks at the calls that scripts make: the profile, the search for what stops being finite, an editor that wants shapes. Most of the time
//! nobody does, and then a call reads one flag of its thread.

use super::exception::{ScriptResult, into_script};
use crate::error::Result;
use rhai::{Dynamic, Position};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// A call that a script makes.
#[derive(Clone, Copy)]
pub(crate) struct Seen<'a> {
    /// The function's name.
    pub name: &'a str,
    /// The tag of the calling text.
    pub tag: Option<&'a str>,
    /// Where it is called.
    pub at: Position,
    /// Whether it is a registered function; else one that a module has, whose own calls are seen as well.
    pub is_native: bool,
}

impl<'a> Seen<'a> {
    /// The name as a script writes it: `grad` for the property that is `get$grad` among functions.
    pub(crate) fn written(&self) -> &'a str {
        match self.name {
            "index$get$" | "index$set$" => "[]",
            name => name.strip_prefix("get$").or_else(|| name.strip_prefix("set$")).unwrap_or(name).trim_end_matches('$'),
        }
    }
}

/// Looks at calls.
pub(crate) trait Witness {
    /// Before a call.
    fn before(&self, seen: &Seen, args: &mut dyn Iterator<Item = &Dynamic>);

    /// After a call, with what it returned; without where it threw. Not every call that it is told the end of has it seen begin.
    ///
    /// # Errors
    /// What the call throws then instead.
    fn after(&self, seen: &Seen, value: Option<&Dynamic>) -> Result<()>;
}

thread_local! {
    static IS_ASKED: Cell<bool> = const { Cell::new(false) };
    static ALL: RefCell<Vec<Rc<dyn Witness>>> = const { RefCell::new(Vec::new()) };
}

/// A witness of this thread's calls, for as long as this lives.
pub(crate) struct Called(Rc<dyn Witness>);

impl Called {
    /// Has a witness look at every call of this thread from now on.
    pub(crate) fn new(witness: Rc<dyn Witness>) -> Self {
        ALL.with_borrow_mut(|all| all.push(witness.clone()));
        IS_ASKED.set(true);
        Called(witness)
    }
}

impl Drop for Called {
    fn drop(&mut self) {
        let left = ALL.with_borrow_mut(|all| {
            all.retain(|w| !std::ptr::addr_eq(Rc::as_ptr(w), Rc::as_ptr(&self.0)));
            all.len()
        });
        IS_ASKED.set(left > 0);
    }
}

/// The witnesses of one call.
pub(crate) struct Witnesses(Vec<Rc<dyn Witness>>);

impl Witnesses {
    /// Tells whoever looks that a call begins.
    #[inline]
    pub(crate) fn before<'a>(seen: &Seen, args: impl Iterator<Item = &'a Dynamic> + Clone) -> Self {
        if !IS_ASKED.get() {
            return Witnesses(Vec::new());
        }
        let all = ALL.with_borrow(Clone::clone);
        all.iter().for_each(|w| w.before(seen, &mut args.clone()));
        Witnesses(all)
    }

    /// Tells them that it ended; the last to come is told first.
    #[inline]
    pub(crate) fn after(self, seen: &Seen, mut result: ScriptResult) -> ScriptResult {
        for witness in self.0.iter().rev() {
            if let Err(e) = witness.after(seen, result.as_ref().ok()) {
                result = Err(into_script(e, seen.tag, seen.at));
            }
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[derive(Default)]
    struct Notes(RefCell<Vec<String>>, Cell<bool>);

    impl Witness for Notes {
        fn before(&self, seen: &Seen, args: &mut dyn Iterator<Item = &Dynamic>) {
            self.0.borrow_mut().push(format!("{}({})", seen.name, args.count()));
        }
        fn after(&self, seen: &Seen, value: Option<&Dynamic>) -> Result<()> {
            self.0.borrow_mut().push(format!("{} -> {value:?}", seen.name));
            if self.1.get() { Err(Error::value(seen.name, "refused")) } else { Ok(()) }
        }
    }

    fn called(name: &str) -> ScriptResult {
        let seen = Seen { name, tag: None, at: Position::NONE, is_native: true };
        let args = [Dynamic::from(1), Dynamic::from(2)];
        Witnesses::before(&seen, args.iter()).after(&seen, Ok(Dynamic::from(3)))
    }

    #[test]
    fn names_are_those_of_scripts() {
        let written = |name| Seen { name, tag: None, at: Position::NONE, is_native: true }.written();
        assert_eq!(["get$grad", "set$grad", "index$get$", "+", "conv2d", "call$"].map(written), ["grad", "grad", "[]", "+", "conv2d", "call"]);
    }

    #[test]
    fn a_witness_sees_calls_while_it_is_called() {
        let notes = Rc::new(Notes::default());
        let _ = called("f").unwrap();
        let guard = Called::new(notes.clone());
        let _ = called("g").unwrap();
        let second = Called::new(Rc::new(Notes::default()));
        drop(guard);
        let _ = called("h").unwrap();
        assert!(IS_ASKED.get(), "the second one still looks");
        drop(second);
        assert!(!IS_ASKED.get());
        assert_eq!(*notes.0.borrow(), ["g(2)", "g -> Some(3)"]);
        notes.1.set(true);
        let _guard = Called::new(notes);
        assert!(called("g").is_err());
    }
}
