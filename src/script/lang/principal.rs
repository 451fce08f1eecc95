//! On whose behalf code runs: the program's, or that of a library, which may do less.
//!
//! A function of a library runs with the library's rights, and so does what it calls in the standard library: else `std/..`
//! could be made to open a file that the library itself may not. A closure keeps the rights of whoever made it.

use std::cell::RefCell;
use std::rc::Rc;

/// Whose rights count.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Principal {
    /// The started script, its own modules, the prompt.
    #[default]
    Program,
    /// The library of that name.
    Library(Rc<str>),
}

/// The principals of the calls that are under way, the innermost last.
#[derive(Default)]
pub(crate) struct Acting(RefCell<Vec<Principal>>);

/// One call on someone's behalf, for as long as it lives.
pub(crate) struct OnBehalf<'a>(&'a Acting);

impl Acting {
    /// Whoever acts now.
    pub(crate) fn current(&self) -> Principal {
        self.0.borrow().last().cloned().unwrap_or_default()
    }

    /// A call begins.
    pub(crate) fn enter(&self, who: Principal) -> OnBehalf<'_> {
        self.0.borrow_mut().push(who);
        OnBehalf(self)
    }

    /// Who is behind a call made by code of `unit`: a library for itself, all other code for whoever acts now.
    pub(crate) fn behind(&self, unit: Principal) -> Principal {
        if unit == Principal::Program { self.current() } else { unit }
    }
}

impl Drop for OnBehalf<'_> {
    fn drop(&mut self) {
        self.0.0.borrow_mut().pop();
    }
}
