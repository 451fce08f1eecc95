//! Classes that are given as numbers or names.

use serde_json::Value;
use std::collections::{BTreeSet, HashMap};

/// More classes are a slip.
const MOST: u64 = 1 << 20;

/// The classes that some labels speak of.
#[derive(Debug)]
pub(super) struct Classes {
    pub(super) names: Vec<String>,
    positions: HashMap<String, usize>,
}

impl Classes {
    /// Numbers are positions from 0, so the classes are `0` up to the largest; names are sorted. Why not, in words, where both occur.
    pub(super) fn of<'a>(labels: impl Iterator<Item = &'a Value> + Clone) -> Result<Classes, String> {
        let names: BTreeSet<&str> = labels.clone().filter_map(Value::as_str).collect();
        let most = labels.filter_map(Value::as_u64).max();
        match (names.is_empty(), most) {
            (true, Some(most)) if most >= MOST => Err(format!("class {most} is beyond any class count")),
            (true, Some(most)) => Ok(Classes::named((0..=most).map(|n| n.to_string()).collect())),
            (false, None) => Ok(Classes::named(names.into_iter().map(str::to_owned).collect())),
            _ => Err("classes must be all numbers from 0 or all names".into()),
        }
    }

    /// These, in this order.
    pub(super) fn named(names: Vec<String>) -> Classes {
        let positions = names.iter().enumerate().map(|(i, c)| (c.clone(), i)).collect();
        Classes { names, positions }
    }

    /// The position of a label among the classes.
    pub(super) fn position(&self, label: &Value) -> Option<usize> {
        match label {
            Value::String(name) => self.positions.get(name).copied(),
            number => number.as_u64().and_then(|n| usize::try_from(n).ok()).filter(|n| *n < self.names.len()),
        }
    }
}
