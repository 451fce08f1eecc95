//! Functions that a unit has given away, to other units and to Rust, and where each stands in the newest version of its unit.

use super::outline::Outline;
use crate::script::lang::host::Host;
use crate::script::lang::principal::Principal;
use rhai::{AST, FnPtr, GlobalRuntimeState};
use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

/// Where functions of one version of a unit run: its functions, imports and constants.
pub(crate) struct Place {
    pub home: Home,
    /// The unit's id; none at a prompt without a script.
    pub unit: Option<String>,
    /// The version of the unit, where it is one of a script.
    pub outline: Option<Rc<Outline>>,
    pub host: Host,
    /// On whose behalf they run.
    pub who: Principal,
}

/// What rhai calls a function with.
pub(crate) enum Home {
    /// The call in which it was made.
    Call(Box<GlobalRuntimeState>),
    /// The unit as others see it.
    Unit(AST),
}

/// A function that was given away.
pub(crate) struct Kept {
    /// As the script made it, with what it took with it.
    pub f: FnPtr,
    pub place: Rc<Place>,
    /// Where it stands in the version with that tag.
    seat: RefCell<Option<(String, Seat)>>,
    /// Calls of it under way.
    pub running: Cell<u32>,
}

/// Where a function stands in another version of its unit.
#[derive(Clone)]
pub(crate) enum Seat {
    /// There it is that one; the number of its node.
    New { f: FnPtr, place: Rc<Place>, node: usize },
    /// It has no successor: the old body runs.
    Old(String),
}

impl Kept {
    pub(crate) fn new(f: FnPtr, place: Rc<Place>) -> Self {
        Kept { f, place, seat: RefCell::default(), running: Cell::new(0) }
    }

    /// Its seat in the version with a tag, found by `find` when it is first asked for.
    pub(crate) fn seat(&self, tag: &str, find: impl FnOnce() -> Seat) -> Seat {
        if let Some((of, seat)) = &*self.seat.borrow()
            && of == tag
        {
            return seat.clone();
        }
        let seat = find();
        *self.seat.borrow_mut() = Some((tag.to_owned(), seat.clone()));
        seat
    }

    /// Marks it as running for as long as the guard lives.
    pub(crate) fn run(&self) -> Running<'_> {
        self.running.set(self.running.get() + 1);
        Running(self)
    }
}

/// A call of a kept function under way.
pub(crate) struct Running<'a>(&'a Kept);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.set(self.0.running.get() - 1);
    }
}

const NAME: &str = "callback_";

/// The name of the pointer to a function that was given away, by its number.
pub(crate) fn name_of(number: u64) -> String {
    format!("{NAME}{number}")
}

/// Every function that was given away and is still held.
#[derive(Default)]
pub(crate) struct Registry {
    all: RefCell<Vec<(u64, Weak<Kept>)>>,
    /// Where the dead are swept out.
    full: Cell<usize>,
    /// How many there have been.
    count: Cell<u64>,
}

impl Registry {
    /// Returns its number, which no other has.
    pub(crate) fn add(&self, kept: &Rc<Kept>) -> u64 {
        self.count.set(self.count.get() + 1);
        let mut all = self.all.borrow_mut();
        if all.len() >= self.full.get() {
            all.retain(|(_, k)| k.strong_count() > 0);
            self.full.set(2 * all.len() + 64);
        }
        all.push((self.count.get(), Rc::downgrade(kept)));
        self.count.get()
    }

    /// The one that a pointer of this name calls; none where the pointer is not of a function that was given away.
    pub(crate) fn of(&self, pointer: &str) -> Option<Rc<Kept>> {
        let number: u64 = pointer.strip_prefix(NAME)?.parse().ok()?;
        let all = self.all.borrow();
        // They are numbered in order.
        let at = all.binary_search_by_key(&number, |(n, _)| *n).ok()?;
        all.get(at)?.1.upgrade()
    }

    /// Those that are held, the oldest first.
    pub(crate) fn alive(&self) -> Vec<Rc<Kept>> {
        self.all.borrow().iter().filter_map(|(_, k)| k.upgrade()).collect()
    }
}
