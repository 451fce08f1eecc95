//! A snapshot of all scripts.

use super::unit::Unit;
use crate::train::{Source, Sources};
use std::collections::BTreeMap;
use std::rc::Rc;

/// An immutable snapshot of all units.
#[derive(Default)]
pub(crate) struct Generation {
    /// From 1; 0 while nothing is loaded.
    pub number: u64,
    /// The id of the script that was started.
    pub entry: String,
    /// By id.
    pub units: BTreeMap<String, Rc<Unit>>,
}

impl Generation {
    /// Its scripts as a run folder keeps them, the started one first.
    pub(crate) fn recorded(&self) -> Sources {
        let mut units: Vec<&Rc<Unit>> = self.units.values().collect();
        units.sort_by_key(|u| (u.id != self.entry, &u.id));
        let source = |u: &&Rc<Unit>| Source { id: u.id.clone(), shown: u.shown.clone(), text: u.text.clone(), imports: u.imports.clone() };
        Sources { entry: self.entry.clone(), units: units.iter().map(source).collect() }
    }
}
