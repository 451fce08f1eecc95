//! What of an edit is in effect, and what takes effect only at a restart.
//!
//! A function is in effect where something calls its newest version: the loop by name, a closure or pointer that a host object holds, a
//! module that another calls. What runs right now (`main`) goes on with the text that it began with, and so does what only that calls;
//! what it has built with older code stays as it was built. The reload says so of each.

use super::align::align;
use super::callback::seat;
use super::generation::Generation;
use super::kept::{Kept, Seat};
use super::program::Program;
use super::reach::{At, callers, foreign, named, reach};
use super::shape::Kind;
use super::unit::Unit;
use crate::script::lang::diagnose::is_closure;
use crate::script::lang::source::id_of;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// Something on disk that does not run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Waiting {
    /// The script as messages show it.
    pub shown: String,
    /// The line in it; that of the old text where the new one has none.
    pub line: usize,
    /// What it is.
    pub what: String,
    /// Why the old version runs.
    pub why: String,
    /// Whether the new one runs as well, elsewhere.
    pub is_partly: bool,
}

impl std::fmt::Display for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}: {} {}; takes effect at restart", self.shown, self.line, self.what, self.why)
    }
}

/// The functions that run while a reload happens, each with the mark where it is.
type Frames = BTreeMap<At, usize>;

impl Program {
    /// Everything of the newest texts that is not in effect, in the order of scripts and lines.
    pub(super) fn waiting(&self, rhai: &rhai::Engine) -> Vec<Waiting> {
        let (old, new) = (self.began.borrow().clone(), self.current());
        let alive = self.settled(rhai);
        let mut found: BTreeSet<Waiting> = alive.iter().filter_map(|kept| self.left_behind(kept, rhai)).collect();
        let left: BTreeSet<At> = alive.iter().filter_map(|kept| self.left_seat(kept, rhai)).collect();
        if old.number != new.number {
            let frames = self.frames(&old);
            let in_effect = self.in_effect(&old, &new, &frames, &alive, rhai);
            found.extend(self.unreached(&old, &new, &frames, &in_effect, &left));
        }
        found.into_iter().collect()
    }

    /// Every function that is held, with those that they took with them.
    fn settled(&self, rhai: &rhai::Engine) -> Vec<Rc<Kept>> {
        let mut alive = self.kept.alive();
        // A seat binds what a closure took with it, which adds more.
        loop {
            alive.iter().for_each(|kept| drop(seat(kept, self, rhai)));
            let now = self.kept.alive();
            if now.len() <= alive.len() {
                return now;
            }
            alive = now;
        }
    }

    /// Why a function that is held runs an old body, if it does.
    fn left_behind(&self, kept: &Kept, rhai: &rhai::Engine) -> Option<Waiting> {
        let (id, outline) = (kept.place.unit.as_deref()?, kept.place.outline.as_ref()?);
        let name = kept.f.fn_name();
        let node = if is_closure(name) { outline.shape().closure(name) } else { outline.shape().named(name).next() };
        let node = node.map(|n| &outline.shape().nodes[n]);
        let waiting = |why: &str| {
            let what = node.map_or_else(|| "a function".to_owned(), |n| n.shown());
            Some(Waiting {
                shown: outline.shown.clone(),
                line: node.map_or(1, |n| n.line),
                what,
                why: format!("still runs the old body: {why}"),
                is_partly: false,
            })
        };
        let Some(unit) = self.unit(id) else { return waiting("its script is no longer imported") };
        if unit.tag == outline.tag {
            return None;
        }
        if !is_closure(name) {
            return if unit.has_name(name) { None } else { waiting("it is gone from there, or private, and something still holds it") };
        }
        match seat(kept, self, rhai)? {
            Seat::Old(why) => waiting(&why),
            Seat::New { node: now, .. } if kept.running.get() > 0 => {
                let is_same = node.is_some_and(|n| n.text == unit.outline.shape().nodes[now].text);
                if is_same { None } else { waiting("it is running") }
            }
            Seat::New { .. } => None,
        }
    }

    /// The node of a function that is held and runs its old body, in the version that it comes from.
    fn left_seat(&self, kept: &Kept, rhai: &rhai::Engine) -> Option<At> {
        let (id, outline) = (kept.place.unit.clone()?, kept.place.outline.as_ref()?);
        let Some(Seat::Old(_)) = seat(kept, self, rhai) else { return None };
        Some((id, outline.shape().closure(kept.f.fn_name())?))
    }

    /// The functions that run now, as far as the texts tell.
    fn frames(&self, began: &Generation) -> Frames {
        let mut at = BTreeMap::new();
        let main = began.units.get(&began.entry).map(|u| named(u, "main")).unwrap_or_default();
        let from_main = reach(began, main.clone());
        let may_run = |node: &At| main.is_empty() || from_main.contains(node);
        for (tag, position) in self.work.borrow().iter() {
            let Some(unit) = began.units.get(id_of(tag)).filter(|u| u.tag == tag.as_str()) else { continue };
            let Some((node, mark)) = unit.outline.shape().around(&unit.text, *position) else { continue };
            at.extend(callers(began, ((unit.id.clone(), node), mark), &may_run));
        }
        at
    }

    /// The nodes whose newest version is what the next call of them runs.
    fn in_effect(&self, old: &Generation, new: &Generation, frames: &Frames, alive: &[Rc<Kept>], rhai: &rhai::Engine) -> BTreeSet<At> {
        let mut roots: Vec<At> = Vec::new();
        let by_name: Vec<(String, String)> = self.roots_by_name.borrow().iter().filter_map(|r| Some((*r.upgrade()?).clone())).collect();
        let required = self.required.borrow().keys().map(|(unit, name, _)| (unit.clone(), name.clone())).collect::<Vec<_>>();
        for (unit, name) in by_name.iter().chain(&required) {
            roots.extend(new.units.get(unit).map(|u| named(u, name)).unwrap_or_default());
        }
        for kept in alive {
            let Some(unit) = kept.place.unit.as_deref().and_then(|id| new.units.get(id)) else { continue };
            let name = kept.f.fn_name();
            if !is_closure(name) {
                roots.extend(named(unit, name));
            } else if let Some(Seat::New { node, .. }) = seat(kept, self, rhai) {
                roots.push((unit.id.clone(), node));
            } else if kept.place.outline.as_ref().is_some_and(|o| o.tag == unit.tag) {
                roots.extend(unit.outline.shape().closure(name).map(|n| (unit.id.clone(), n)));
            }
        }
        // What runs calls other modules in their newest version.
        for ((id, node), mark) in frames {
            let Some(unit) = old.units.get(id) else { continue };
            let (_, modules) = unit.outline.shape().to_come(*node, *mark, &unit.text);
            roots.extend(foreign(new, unit, &modules));
        }
        reach(new, roots)
    }

    /// What differs from the texts that the running functions began with, and is not in effect.
    fn unreached(&self, old: &Generation, new: &Generation, frames: &Frames, in_effect: &BTreeSet<At>, left: &BTreeSet<At>) -> Vec<Waiting> {
        let mut found = Vec::new();
        let maps: BTreeMap<&str, Rc<Vec<Option<usize>>>> =
            old.units.iter().filter_map(|(id, a)| Some((id.as_str(), self.map(a, new.units.get(id)?)))).collect();
        let now = |at: &At| Some((at.0.clone(), (*maps.get(at.0.as_str())?.get(at.1)?)?));
        let before = reach(old, frames.keys().cloned());
        let after = reach(new, frames.keys().filter_map(now));
        let called = self.called_later(old, frames);
        let running = frames.keys().filter_map(|at| Some((now(at)?, at))).collect::<BTreeMap<At, &At>>();
        for (id, unit) in &new.units {
            let Some(was) = old.units.get(id).filter(|was| was.tag != unit.tag) else { continue };
            let map = self.map(was, unit);
            let shape = unit.outline.shape();
            let source: BTreeMap<usize, usize> = map.iter().enumerate().filter_map(|(a, b)| Some(((*b)?, a))).collect();
            for (n, node) in shape.nodes.iter().enumerate() {
                let at = (id.clone(), n);
                let origin = source.get(&n);
                // What is held and runs its old body is told already.
                let is_told = |o: &usize| left.contains(&(id.clone(), *o));
                if origin.is_some_and(|o| was.outline.shape().nodes[*o].text == node.text || is_told(o)) {
                    continue;
                }
                let is_used = after.contains(&at) || origin.is_some_and(|o| before.contains(&(id.clone(), *o)));
                let (why, is_partly) = if running.contains_key(&at) && node.kind != Kind::Closure {
                    ("is running and goes on as it began", false)
                } else if is_used && !in_effect.contains(&at) {
                    ("is used only by what has run already or goes on as it began", false)
                } else if origin.is_some_and(|o| called.contains(&(id.clone(), *o))) {
                    ("is in effect for the loop, and called in its old version by what goes on as it began", true)
                } else {
                    continue;
                };
                found.push(Waiting {
                    shown: unit.shown.clone(),
                    line: self.first_difference(was, unit, origin, n),
                    what: node.shown(),
                    why: why.into(),
                    is_partly,
                });
            }
        }
        found
    }

    fn map(&self, old: &Unit, new: &Unit) -> Rc<Vec<Option<usize>>> {
        self.followed(&old.tag, &new.tag, || align(old.outline.shape(), new.outline.shape()))
    }

    /// The functions that running ones will still call by name, in the version that they began with.
    fn called_later(&self, old: &Generation, frames: &Frames) -> BTreeSet<At> {
        let mut open: Vec<At> = Vec::new();
        for ((id, node), mark) in frames {
            let Some(unit) = old.units.get(id) else { continue };
            let (names, _) = unit.outline.shape().to_come(*node, *mark, &unit.text);
            open.extend(names.iter().flat_map(|name| named(unit, name)).filter(|at| !frames.contains_key(at)));
        }
        // Within one unit: others are called in their newest version.
        let mut found: BTreeSet<At> = BTreeSet::new();
        while let Some(at) = open.pop() {
            let Some(unit) = old.units.get(&at.0) else { continue };
            if found.insert(at.clone()) {
                let node = &unit.outline.shape().nodes[at.1];
                open.extend(node.names.iter().flat_map(|name| named(unit, name)).filter(|at| !frames.contains_key(at)));
            }
        }
        found
    }

    /// The line where a node differs from what it was.
    fn first_difference(&self, was: &Unit, unit: &Unit, origin: Option<&usize>, n: usize) -> usize {
        let node = &unit.outline.shape().nodes[n];
        let Some(old) = origin.map(|o| &was.outline.shape().nodes[*o]) else { return node.line };
        let lines = |u: &Unit, from: usize| u.text.lines().skip(from - 1).map(|l| l.trim().to_owned()).collect::<Vec<_>>();
        let same = lines(was, old.line).iter().zip(&lines(unit, node.line)).take_while(|(a, b)| a == b).count();
        let end = unit.outline.shape().end_line(n, &unit.text);
        (node.line + same).min(end)
    }
}
