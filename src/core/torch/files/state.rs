//! Finding the weights in a checkpoint.

use super::pickle::Node;
use super::stored::Stored;
use super::{Named, PtValue, PtView, Taken};
use crate::error::{Error, Result};
use indexmap::IndexMap;
use std::collections::HashSet;

/// Where checkpoints keep weights, best first: an average of them is what its author evaluated.
const USUAL: &[&str] = &["ema", "model_ema", "ema_model", "state_dict", "model", "module", "net", "network", "weights", "params", "vae", "encoder"];

/// Deeper nesting than any checkpoint has.
const MAX_DEPTH: usize = 64;

/// The weights in a checkpoint: a dict of tensors, which may lie deeper (`ema`, `state_dict`, `model`, ...), or a whole module that was
/// saved as an object. `key` names the place, with dots where it is nested; without it the usual names are looked for. `None`
/// when there are no weights.
///
/// # Errors
/// `E0302` when `key` is not there, or tensors cannot be read.
pub fn state_dict(value: &PtValue, key: Option<&str>) -> Result<Option<Named>> {
    let Some(key) = key else {
        return find(value).map(|at| at.tensors()).transpose();
    };
    // A key may itself hold dots: whole first, then part by part.
    let parts = || key.split('.').try_fold(value.clone(), |at, part| at.get(part));
    let at = value.get(key).or_else(parts).ok_or_else(|| {
        let keys: Vec<String> = value.entries().iter().filter_map(|(k, _)| k.as_str().map(str::to_owned)).take(20).collect();
        let near = crate::error::did_you_mean(key, keys.iter().map(String::as_str));
        Error::data(value.path(), format!("no key `{key}`{near}")).help(format!("it has: {}", keys.join(", ")))
    })?;
    find(&at).map(|at| at.tensors()).transpose()
}

/// Every dict of tensors and every saved module in a checkpoint, with its dotted place: `ema`, `state_dict`, `` for the file itself. What an
/// optimizer keeps for each parameter is no such dict: its keys are numbers.
pub fn pt_parts(root: &PtValue) -> Vec<(String, PtValue)> {
    const MAX_PARTS: usize = 10_000;
    let (mut out, mut seen) = (Vec::new(), HashSet::new());
    let mut todo = vec![(String::new(), root.clone(), 0)];
    while let Some((name, value, depth)) = todo.pop() {
        if out.len() >= MAX_PARTS || !seen.insert(value.identity()) {
            continue;
        }
        if is_module(&value) || has_tensors(&value) {
            out.push((name.clone(), value.clone()));
        }
        if is_module(&value) || depth >= MAX_DEPTH {
            continue;
        }
        let inner = value.entries().into_iter().rev().filter_map(|(k, v)| {
            let k = k.as_str()?;
            let name = if name.is_empty() { k.to_owned() } else { format!("{name}.{k}") };
            (!v.is_tensor()).then_some((name, v, depth + 1))
        });
        todo.extend(inner);
    }
    out
}

fn has_tensors(value: &PtValue) -> bool {
    value.entries().iter().any(|(k, v)| k.as_str().is_some() && v.is_tensor())
}

fn is_module(value: &PtValue) -> bool {
    matches!(value.node(), Node::Object(_)) && value.get("_parameters").is_some() && value.get("_modules").is_some()
}

/// The dict or module that holds the weights.
fn find(value: &PtValue) -> Option<PtValue> {
    let mut at = value.clone();
    for _ in 0..MAX_DEPTH {
        if is_module(&at) {
            return Some(at);
        }
        let usual = USUAL.iter().filter_map(|k| at.get(k)).find(holds);
        if let Some(v) = usual {
            at = v;
            continue;
        }
        if has_tensors(&at) {
            return Some(at);
        }
        // No usual name: the only entry that holds weights.
        let mut inner = at.entries().into_iter().map(|(_, v)| v).filter(holds);
        let (Some(only), None) = (inner.next(), inner.next()) else { return None };
        at = only;
    }
    None
}

/// Whether tensors or a module lie in it, at most two levels down: optimizer states nest deeper and are not weights.
fn holds(value: &PtValue) -> bool {
    let here = |v: &PtValue| has_tensors(v) || is_module(v);
    here(value) || USUAL.iter().filter_map(|k| value.get(k)).any(|v| here(&v))
}

/// The names of a dict of tensors or of a module, with the tensors' sizes; nothing is read from the file.
fn listed(value: &PtValue) -> Result<IndexMap<String, PtValue>> {
    let mut out = IndexMap::new();
    if !is_module(value) {
        for (k, v) in value.entries() {
            insert(&mut out, "", &k, v);
        }
        return Ok(out);
    }
    // Depth first in order, as `state_dict()` lists them; a module that holds itself is visited once.
    let (mut todo, mut seen) = (vec![(String::new(), value.clone(), 0)], HashSet::new());
    while let Some((prefix, module, depth)) = todo.pop() {
        if !seen.insert(module.identity()) || depth > MAX_DEPTH {
            continue;
        }
        let skip: HashSet<String> = match module.get("_non_persistent_buffers_set").map(|v| v.view()).transpose()? {
            Some(PtView::List(l)) => l.iter().filter_map(|v| v.as_str().map(str::to_owned)).collect(),
            _ => HashSet::new(),
        };
        for part in ["_parameters", "_buffers"] {
            for (k, v) in module.get(part).map(|p| p.entries()).unwrap_or_default() {
                if !k.as_str().is_some_and(|k| skip.contains(k)) {
                    insert(&mut out, &prefix, &k, v);
                }
            }
        }
        let children = module.get("_modules").map(|m| m.entries()).unwrap_or_default();
        todo.extend(children.into_iter().rev().filter_map(|(k, v)| Some((format!("{prefix}{}.", k.as_str()?), v, depth + 1))));
    }
    Ok(out)
}

fn insert(out: &mut IndexMap<String, PtValue>, prefix: &str, key: &PtValue, value: PtValue) {
    if let (Some(k), true) = (key.as_str(), value.is_tensor()) {
        out.insert(format!("{prefix}{k}"), value);
    }
}

impl PtValue {
    /// The tensors of a dict or of a saved module, by name.
    ///
    /// # Errors
    /// `E0302` when their data is missing or does not fit.
    pub fn tensors(&self) -> Result<Named> {
        let mut out = Named::new();
        for (name, value) in listed(self)? {
            if let PtView::Tensor(t) = value.view()? {
                out.insert(name, t);
            }
        }
        Ok(out)
    }

    /// The same of the names that are `wanted`; what is of a type that no tensor here can hold is named and left out.
    ///
    /// # Errors
    /// As [`PtValue::tensors`].
    pub fn some_tensors(&self, wanted: &dyn Fn(&str) -> bool) -> Result<Taken> {
        let mut out = Taken::default();
        for (name, value) in listed(self)?.into_iter().filter(|(name, _)| wanted(name)) {
            let Node::Tensor(strided) = value.node() else { continue };
            if Stored::of_torch(strided.type_name()).is_none() {
                out.unread.push((name, strided.type_name().to_owned()));
            } else if let PtView::Tensor(t) = value.view()? {
                out.tensors.insert(name, t);
            }
        }
        Ok(out)
    }

    /// The sizes of [`PtValue::tensors`], without reading them.
    ///
    /// # Errors
    /// `E0302` when a module in it is malformed.
    pub fn shapes(&self) -> Result<Vec<(String, Vec<i64>)>> {
        let shape = |(name, value): (String, PtValue)| match value.node() {
            Node::Tensor(t) => Some((name, t.shape.clone())),
            _ => None,
        };
        Ok(listed(self)?.into_iter().filter_map(shape).collect())
    }
}
