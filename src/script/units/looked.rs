//! Modules that were looked at before: what was made of their texts and found in them stands while these are the same.

use super::doubts;
use super::lint::{self, Loaded};
use super::unit::Parsed;
use crate::error::Diagnostic;
use crate::script::lang::diagnose::Explain;
use crate::script::lang::import::Found;
use indexmap::IndexMap;
use rhai::ImmutableString;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// The modules of all looks, by id.
#[derive(Default)]
pub(crate) struct Looked(RefCell<BTreeMap<String, Module>>);

struct Module {
    parsed: Parsed,
    members: Rc<BTreeSet<String>>,
    doubts: Vec<Diagnostic>,
    sound: Option<Sound>,
}

/// Why nothing was found in a module: nothing is found as long as all of this stands.
struct Sound {
    /// The texts that its imports lead to, empty for one that was not found.
    imports: Vec<ImmutableString>,
    /// Methods that only maps of these scripts have.
    leans_on: BTreeSet<String>,
}

impl Looked {
    /// The module of that text, as it was parsed.
    pub(super) fn parsed(&self, found: &Found) -> Option<Parsed> {
        let all = self.0.borrow();
        let parsed = &all.get(&found.id)?.parsed;
        let is_same = parsed.found.text == found.text && parsed.found.shown == found.shown && parsed.found.path == found.path;
        is_same.then(|| parsed.clone())
    }

    /// Keeps a module that was parsed, before its imports are known.
    pub(super) fn keep(&self, parsed: &Parsed, explain: Explain) {
        let members = lint::members(&parsed.ast).into();
        let doubts = doubts::of(&parsed.ast, &parsed.tag, explain);
        self.0.borrow_mut().insert(parsed.found.id.clone(), Module { parsed: parsed.clone(), members, doubts, sound: None });
    }

    /// Forgets everything: other functions are known.
    pub(super) fn clear(&self) {
        self.0.borrow_mut().clear();
    }

    /// What the lint finds in a program, and what is doubtful in it.
    pub(super) fn check(&self, units: &IndexMap<String, Parsed>, explain: Explain) -> (Vec<Diagnostic>, Vec<Diagnostic>) {
        let mut modules = self.0.borrow_mut();
        let (mut wrong, mut doubtful) = (Vec::new(), Vec::new());
        // The script itself may have the id of a module of another one.
        modules.retain(|id, m| units.get(id).is_none_or(|u| u.tag == m.parsed.tag));
        let of = |(id, unit): (&String, &Parsed)| modules.get(id).map_or_else(|| lint::members(&unit.ast).into(), |m| m.members.clone());
        let members: Vec<Rc<BTreeSet<String>>> = units.iter().map(of).collect();
        let members: BTreeSet<String> = members.iter().flat_map(|m| m.iter().cloned()).collect();
        let loaded = Loaded::new();
        for (id, unit) in units {
            let mut module = modules.get_mut(id);
            doubtful.extend(module.as_ref().map_or_else(|| doubts::of(&unit.ast, &unit.tag, explain), |m| m.doubts.clone()));
            let imports: Vec<ImmutableString> = unit.aliases.values().map(|to| units.get(to).map(|u| u.tag.clone()).unwrap_or_default()).collect();
            let was = module.as_ref().and_then(|m| m.sound.as_ref());
            if was.is_some_and(|was| was.imports == imports && was.leans_on.is_subset(&members)) {
                continue;
            }
            let (found, leans_on) = lint::one(unit, units, &loaded, &members, explain);
            if let Some(module) = module.as_mut() {
                module.sound = found.is_empty().then_some(Sound { imports, leans_on });
            }
            wrong.extend(found);
        }
        (wrong, doubtful)
    }
}
