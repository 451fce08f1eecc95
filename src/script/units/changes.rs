//! What a reload changed.

use super::align::align;
use super::generation::Generation;
use super::shape::{Kind, Node, Shape};
use super::standing::Waiting;
use std::sync::Arc;

/// A reload that succeeded.
#[derive(Debug, Clone)]
pub struct Reloaded {
    /// The number of the new generation.
    pub generation: u64,
    /// The units whose text is another one now.
    pub changed: Vec<UnitChange>,
    /// What of the texts is not in effect, now or since an earlier reload.
    pub waiting: Vec<Waiting>,
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
    /// The functions and closures that are new, gone or different.
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
            let functions = functions(a.map(|u| u.outline.shape()), b.map(|u| u.outline.shape()));
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

/// The functions and closures that are new, gone or different, by signature.
fn functions(a: Option<&Shape>, b: Option<&Shape>) -> Vec<String> {
    let none = Shape::default();
    let (a, b) = (a.unwrap_or(&none), b.unwrap_or(&none));
    let map = align(a, b);
    let counts = |node: &Node| matches!(node.kind, Kind::Function { .. } | Kind::Closure);
    // A closure that comes or goes with what it stands in is a part of that.
    let is_whole = |shape: &Shape, node: &Node, is_new: &dyn Fn(usize) -> bool| match node.parent {
        Some(parent) => node.kind != Kind::Closure || !is_new(parent) || !counts(&shape.nodes[parent]),
        None => true,
    };
    let stays = |j: usize| map.contains(&Some(j));
    let gone = a.nodes.iter().enumerate().filter(|(i, n)| map[*i].is_none() && counts(n) && is_whole(a, n, &|p| map[p].is_none()));
    let new = b.nodes.iter().enumerate().filter(|(j, n)| !stays(*j) && counts(n) && is_whole(b, n, &|p| !stays(p)));
    let same = map.iter().enumerate().filter_map(|(i, j)| Some((&a.nodes[i], &b.nodes[(*j)?])));
    let other = same.filter(|(was, is)| was.text != is.text && counts(is)).map(|(_, is)| shown(b, is));
    let mut found: Vec<String> = other.collect();
    found.extend(gone.map(|(_, n)| shown(a, n)));
    found.extend(new.map(|(_, n)| shown(b, n)));
    found.dedup();
    found
}

/// `main(cfg): m.forward` for a closure, `step(run, batch)` for a function.
fn shown(shape: &Shape, node: &Node) -> String {
    let mut parts = vec![node.signature()];
    let mut parent = node.parent.map(|p| &shape.nodes[p]);
    while let Some(node) = parent {
        parts.push(node.signature());
        parent = node.parent.map(|p| &shape.nodes[p]);
    }
    parts.retain(|p| !p.is_empty());
    parts.reverse();
    parts.join(": ")
}
