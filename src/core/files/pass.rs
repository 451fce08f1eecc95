//! What was allowed when a path was checked, kept until the path is opened: between the two somebody may have put a link in its place.
//!
//! Whoever checks a path notes it ([`note`]). Until the call is over that checked ([`scope`]), everything that this thread opens, makes or renames at or
//! below that path is asked for again, by the place that the open handle has. What outlives the call takes the notes with it: a [`Pass`] into other
//! threads and later calls, a [`Held`] for as long as it lives.

use super::place::Access;
use crate::error::Result;
use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What says whether a place may be read or written.
pub trait Rule: Send + Sync {
    /// Allows it, or not. `path` is as it was given, `target` the place that it leads to. `is_own`: it is a file of that very name which Lathe
    /// itself reads or writes below a folder that was checked.
    ///
    /// # Errors
    /// `E0701` naming the path and what would allow it.
    fn allow(&self, access: Access, path: &Path, target: &Path, is_own: bool) -> Result<()>;
}

/// The rule for a path that was checked, or that lies below one.
pub(super) struct Found {
    rule: Arc<dyn Rule>,
    is_below: bool,
}

impl Found {
    /// Asks for the place that a path leads to.
    pub(super) fn allow(&self, access: Access, path: &Path, target: &Path) -> Result<()> {
        self.rule.allow(access, path, target, self.is_below && path.file_name() == target.file_name())
    }
}

/// A path that was checked.
struct Checked {
    /// As it was given, made absolute.
    given: PathBuf,
    /// Where it led then.
    place: PathBuf,
    rule: Arc<dyn Rule>,
}

thread_local! {
    /// What holds on this thread, the newest last.
    static CHECKED: RefCell<Vec<Arc<Checked>>> = const { RefCell::new(Vec::new()) };
    /// Where the innermost scope begins.
    static BEGIN: Cell<usize> = const { Cell::new(0) };
    /// What is held for longer, by number.
    static HELD: RefCell<Vec<(u64, Pass)>> = const { RefCell::new(Vec::new()) };
    static NEXT: Cell<u64> = const { Cell::new(0) };
}

/// Notes that `path`, which leads to `place`, was checked by a rule.
pub fn note(path: &Path, place: &Path, rule: Arc<dyn Rule>) {
    let given = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    CHECKED.with_borrow_mut(|all| all.push(Arc::new(Checked { given, place: place.to_owned(), rule })));
}

/// Forgets what is noted from now on when it goes out of use.
pub struct Scope {
    begin: usize,
    /// Of this thread.
    _here: PhantomData<*const ()>,
}

/// Begins a scope.
pub fn scope() -> Scope {
    let now = CHECKED.with_borrow(Vec::len);
    Scope { begin: BEGIN.replace(now), _here: PhantomData }
}

impl Drop for Scope {
    fn drop(&mut self) {
        let begin = BEGIN.replace(self.begin);
        CHECKED.with_borrow_mut(|all| all.truncate(begin));
    }
}

/// Whether nothing was checked that holds here.
pub(super) fn is_free() -> bool {
    CHECKED.with_borrow(Vec::is_empty) && HELD.with_borrow(Vec::is_empty)
}

/// The rule for a path, if it was checked.
pub(super) fn rule_for(path: &Path) -> Option<Found> {
    if is_free() {
        return None;
    }
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let covers = |c: &&Arc<Checked>| path.starts_with(&c.given) || path.starts_with(&c.place);
    let found = |c: &Arc<Checked>| Found { rule: c.rule.clone(), is_below: path != c.given && path != c.place };
    let newest = |all: &[Arc<Checked>]| all.iter().rev().find(covers).map(found);
    CHECKED.with_borrow(|all| newest(all)).or_else(|| HELD.with_borrow(|all| all.iter().rev().find_map(|(_, pass)| newest(&pass.0))))
}

/// What the call under way has checked, for another thread or a later call.
#[derive(Clone, Default)]
pub struct Pass(Arc<[Arc<Checked>]>);

impl std::fmt::Debug for Pass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|c| &c.given)).finish()
    }
}

impl Pass {
    /// That of this thread, now.
    pub fn here() -> Pass {
        CHECKED.with_borrow(|all| Pass(all.get(BEGIN.get()..).unwrap_or_default().into()))
    }

    /// Lets it hold on this thread until the scope ends.
    pub fn enter(&self) -> Scope {
        let scope = scope();
        CHECKED.with_borrow_mut(|all| all.extend(self.0.iter().cloned()));
        scope
    }
}

/// What the call has checked in which this was made, for as long as this lives.
#[derive(Debug)]
pub struct Held(u64, PhantomData<*const ()>);

impl Held {
    /// Holds what this thread has checked in the call under way.
    pub fn here() -> Held {
        let number = NEXT.get();
        NEXT.set(number + 1);
        let pass = Pass::here();
        if !pass.0.is_empty() {
            HELD.with_borrow_mut(|all| all.push((number, pass)));
        }
        Held(number, PhantomData)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // At the end of the thread the list may be gone already.
        let _ = HELD.try_with(|all| all.borrow_mut().retain(|(number, _)| *number != self.0));
    }
}
