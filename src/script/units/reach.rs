//! What may be called from where: a function names others of its unit, and of the modules that it imports.
//!
//! Names are taken as they stand in the text, so that more is found than is called, never less.

use super::generation::Generation;
use super::unit::Unit;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// A node of a generation: the unit's id and the node's number there.
pub(super) type At = (String, usize);

/// Everything that may be called from the nodes `from`, these included.
pub(super) fn reach(of: &Generation, from: impl IntoIterator<Item = At>) -> BTreeSet<At> {
    let mut found: BTreeSet<At> = BTreeSet::new();
    let mut open: Vec<At> = from.into_iter().collect();
    while let Some(at) = open.pop() {
        let Some(unit) = of.units.get(&at.0) else { continue };
        let shape = unit.outline.shape();
        let Some(node) = shape.nodes.get(at.1) else { continue };
        if !found.insert(at.clone()) {
            continue;
        }
        open.extend(shape.children(Some(at.1)).into_iter().map(|n| (at.0.clone(), n)));
        open.extend(node.names.iter().flat_map(|name| named(unit, name)));
        open.extend(foreign(of, unit, &node.foreign));
    }
    found
}

/// The functions and constants of a unit that have a name.
pub(super) fn named(unit: &Rc<Unit>, name: &str) -> Vec<At> {
    unit.outline.shape().named(name).map(|n| (unit.id.clone(), n)).collect()
}

/// What names of other modules mean in a unit.
pub(super) fn foreign(of: &Generation, unit: &Unit, names: &BTreeSet<(String, String)>) -> Vec<At> {
    let target = |alias: &str| of.units.get(unit.aliases.get(alias)?);
    names.iter().filter_map(|(alias, name)| Some(named(target(alias)?, name))).flatten().collect()
}

/// Functions that are under way while the call at `(unit, node, mark)` is: those that may have called it, each with the mark of the call.
/// `may_run`: the nodes that can have run at all.
pub(super) fn callers(of: &Generation, start: (At, usize), may_run: &dyn Fn(&At) -> bool) -> BTreeMap<At, usize> {
    let mut found: BTreeMap<At, usize> = BTreeMap::new();
    let mut open = vec![start];
    while let Some((at, mark)) = open.pop() {
        let Some(unit) = of.units.get(&at.0) else { continue };
        let shape = unit.outline.shape();
        let Some(node) = shape.nodes.get(at.1) else { continue };
        if found.insert(at.clone(), mark).is_some() {
            continue;
        }
        if let Some(parent) = node.parent {
            // A closure that runs now was handed to something by what it stands in.
            open.push(((at.0.clone(), parent), shape.start(at.1)));
        }
        let super::shape::Kind::Function { name, .. } = &node.kind else { continue };
        for other in of.units.values() {
            let modules: Vec<Option<&str>> = if other.id == at.0 {
                vec![None]
            } else {
                other.aliases.iter().filter(|(_, target)| **target == at.0).map(|(alias, _)| Some(alias.as_str())).collect()
            };
            for (n, _) in other.outline.shape().nodes.iter().enumerate() {
                let call = modules.iter().find_map(|module| other.outline.shape().call_of(n, *module, name));
                let caller = (other.id.clone(), n);
                if let Some(mark) = call.filter(|_| may_run(&caller)) {
                    open.push((caller, mark));
                }
            }
        }
    }
    found
}
