//! What a reload changed.

use super::generation::Generation;
use super::unit::Unit;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A reload that succeeded.
#[derive(Debug, Clone)]
pub struct Reloaded {
    /// The number of the new generation.
    pub generation: u64,
    /// The units whose text is another one now.
    pub changed: Vec<UnitChange>,
    /// How long it took.
    pub seconds: f64,
}

/// A unit whose text changed.
#[derive(Debug, Clone)]
pub struct UnitChange {
    /// Its id: `train.rhai`, `std/flow.rhai`.
    pub unit: String,
    /// As messages show it.
    pub shown: String,
    /// The text before; `None` for a new unit.
    pub before: Option<Arc<str>>,
    /// The text now; `None` for a unit that is no longer imported.
    pub after: Option<Arc<str>>,
    /// The functions that are new, gone or different.
    pub functions: Vec<String>,
}

/// What differs between two generations.
pub(crate) fn changes(old: &Generation, new: &Generation) -> Vec<UnitChange> {
    let mut ids: Vec<&String> = old.units.keys().chain(new.units.keys()).collect();
    ids.sort();
    ids.dedup();
    ids.into_iter()
        .filter_map(|id| {
            let (a, b) = (old.units.get(id), new.units.get(id));
            if a.map(|u| &u.text) == b.map(|u| &u.text) {
                return None;
            }
            let (before, after) = (a.map(|u| bodies(u)).unwrap_or_default(), b.map(|u| bodies(u)).unwrap_or_default());
            let mut functions: Vec<String> = before.iter().filter(|(k, v)| after.get(*k) != Some(v)).map(|(k, _)| k.clone()).collect();
            functions.extend(after.keys().filter(|k| !before.contains_key(*k)).cloned());
            Some(UnitChange {
                unit: id.clone(),
                shown: b.or(a).map_or_else(|| id.clone(), |u| u.shown.clone()),
                before: a.map(|u| u.text.clone()),
                after: b.map(|u| u.text.clone()),
                functions,
            })
        })
        .collect()
}

/// The text of each function by signature.
fn bodies(unit: &Unit) -> BTreeMap<String, String> {
    let lines: Vec<&str> = unit.text.lines().collect();
    unit.ast
        .iter_fn_def()
        .filter(|f| !crate::script::lang::diagnose::is_closure(&f.name))
        .map(|f| {
            let (start, end) = (f.body.start_position(), f.body.end_position());
            let (a, b) = (start.line().unwrap_or(1), end.line().unwrap_or(1));
            let mut text: Vec<String> = lines.get(a - 1..b.min(lines.len())).unwrap_or_default().iter().map(|l| (*l).to_owned()).collect();
            // The closing line first: on a single line, cutting the front would move the end.
            if let (Some(last), Some(n)) = (text.last_mut(), end.position()) {
                *last = last.chars().take(n).collect();
            }
            if let (Some(first), Some(n)) = (text.first_mut(), start.position()) {
                *first = first.chars().skip(n - 1).collect();
            }
            (f.to_string(), text.join("\n"))
        })
        .collect()
}
