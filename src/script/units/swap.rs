//! From one generation to the next: a whole new one is built off to the side and put into effect only when all is well.

use super::changes::{Reloaded, UnitChange, changes};
use super::generation::Generation;
use super::program::{Entry, Program, missing};
use super::standing::Waiting;
use super::unit::Unit;
use crate::error::{Diagnostic, Error, ErrorKind, Label, Result, nearest};
use crate::train::Sources;
use rhai::{Position, Shared};
use std::rc::Rc;
use std::time::Instant;

/// A generation that is built and checked, and not in effect yet.
pub(crate) struct Prepared {
    next: Rc<Generation>,
    /// What differs from the generation that runs.
    pub changed: Vec<UnitChange>,
    /// How long it took to read and check.
    seconds: f64,
}

impl Prepared {
    /// Its scripts as a run folder keeps them.
    pub(crate) fn recorded(&self) -> Sources {
        self.next.recorded()
    }

    /// Whether the files still hold what was read: while one is being written, another read may have seen it otherwise.
    pub(crate) fn is_settled(&self) -> bool {
        self.next.units.values().all(|u| u.path.as_ref().is_none_or(|p| crate::files::read(p).is_ok_and(|now| now == u.text.as_bytes())))
    }
}

impl Program {
    /// Loads everything anew; nothing changes unless all is well.
    ///
    /// # Errors
    /// What is wrong with the new texts, or which function in use they no longer have.
    pub(crate) fn reload(&self, rhai: &rhai::Engine) -> Result<Reloaded> {
        let prepared = self.prepare(rhai)?;
        let waiting = self.would_wait(rhai, &prepared);
        Ok(self.commit(prepared, waiting))
    }

    /// Builds and checks the next generation from what is on disk.
    ///
    /// # Errors
    /// As [`Program::reload`].
    pub(crate) fn prepare(&self, rhai: &rhai::Engine) -> Result<Prepared> {
        let start = Instant::now();
        let old = self.current();
        self.locator.borrow().set_runs();
        let next = self.build(rhai)?;
        for (unit, name, arity) in self.required.borrow().keys() {
            let found = next.units.get(unit);
            if !found.is_some_and(|u| u.has(name, *arity)) {
                let e = missing(found.map(|u| &**u), unit, name, Some(*arity));
                let e = match (found, e.kind()) {
                    (Some(u), ErrorKind::Script(d)) => Error::script(Diagnostic { labels: self.instead(u, name), ..(**d).clone() }),
                    _ => e,
                };
                return Err(e.context("the running loop needs it"));
            }
        }
        let next = Rc::new(next);
        Ok(Prepared { changed: changes(&old, &next), next, seconds: start.elapsed().as_secs_f64() })
    }

    /// Where a unit has what may have been meant by `name`: another version of the function, or the one with the nearest name.
    fn instead(&self, unit: &Unit, name: &str) -> Vec<Label> {
        let near = nearest(name, unit.function_names());
        let meant = |f: &&Shared<rhai::ScriptFuncDef>| f.name == name || Some(f.name.as_str()) == near;
        let line = unit.ast.iter_fn_def().find(meant).and_then(|f| f.body.start_position().line()).unwrap_or(1);
        self.sources.label(&unit.tag, Position::new(u16::try_from(line).unwrap_or(u16::MAX), 1), "").into_iter().collect()
    }

    /// The same from recorded scripts.
    ///
    /// # Errors
    /// As [`Program::reload`].
    pub(crate) fn prepare_recorded(&self, rhai: &rhai::Engine, recorded: Sources) -> Result<Prepared> {
        self.note_libraries(&recorded);
        let before = self.entry.replace(Some(Entry::Recorded(Rc::new(recorded))));
        self.prepare(rhai).inspect_err(|_| *self.entry.borrow_mut() = before)
    }

    /// Runs `f` as if the next generation were in effect already, to see what its functions say.
    pub(crate) fn trying<T>(&self, prepared: &Prepared, f: impl FnOnce() -> T) -> T {
        struct Back<'a>(&'a Program, Rc<Generation>);
        impl Drop for Back<'_> {
            fn drop(&mut self) {
                *self.0.current.borrow_mut() = self.1.clone();
            }
        }
        let _back = Back(self, self.current.replace(prepared.next.clone()));
        f()
    }

    /// What of the next generation would not be in effect.
    pub(crate) fn would_wait(&self, rhai: &rhai::Engine, prepared: &Prepared) -> Vec<Waiting> {
        self.trying(prepared, || self.waiting(rhai))
    }

    /// Puts the next generation into effect; `waiting` is what of it is not.
    pub(crate) fn commit(&self, prepared: Prepared, waiting: Vec<Waiting>) -> Reloaded {
        let Prepared { next, changed, seconds } = prepared;
        let generation = next.number;
        if self.work.borrow().is_empty() {
            // Nothing runs that began with an older one.
            *self.began.borrow_mut() = next.clone();
        }
        *self.current.borrow_mut() = next;
        self.forget_followed();
        self.sources.sweep();
        Reloaded { generation, changed, waiting, seconds }
    }

    /// Whether the texts on disk differ from those that run.
    pub(crate) fn is_stale(&self) -> bool {
        self.stale_place().is_some()
    }

    /// The first place where a text on disk differs from the one that runs: the script as messages show it, and the line.
    pub(crate) fn stale_place(&self) -> Option<(String, usize)> {
        let prompts = self.prompts.borrow();
        self.current().units.values().filter(|u| !prompts.contains_key(&u.id)).find_map(|u| {
            let now = crate::files::read_text(u.path.as_ref()?).unwrap_or_default();
            if now == *u.text {
                return None;
            }
            let same = now.lines().zip(u.text.lines()).take_while(|(a, b)| a == b).count();
            Some((u.shown.clone(), same + 1))
        })
    }
}
