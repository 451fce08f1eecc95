//! Two sides of which one must be made of the same as the other.

use super::Origin;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// What something was made from, by role.
pub type Made = BTreeMap<String, Origin>;

/// Something that is not the same on both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The role, or the setting.
    pub role: String,
    /// `vae: weights a.pt 12.. -> weights b.pt 34..`, both sides.
    pub text: String,
}

/// What both sides have and know, and is another content now.
pub fn differences(then: &Made, now: &Made) -> Vec<Difference> {
    let differs = |(role, a): (&String, &Origin)| {
        let b = now.get(role).filter(|b| a.is_known() && b.is_known() && a.id != b.id)?;
        Some(Difference { role: role.clone(), text: format!("{role}: {a} -> {b}{}", behind(a, b)) })
    };
    then.iter().filter_map(differs).collect()
}

/// What is behind it: the parts and settings that differ.
fn behind(a: &Origin, b: &Origin) -> String {
    let mut parts: Vec<String> = differences(&a.from, &b.from).into_iter().map(|d| d.text).collect();
    parts.extend(setting_differences(&a.settings, &b.settings).into_iter().map(|d| d.text));
    if parts.is_empty() { String::new() } else { format!(" ({})", parts.join("; ")) }
}

/// The settings that differ. One that a side lacks is the same as one without a value, so that a later version may have more of them.
pub fn setting_differences(then: &Map<String, Value>, now: &Map<String, Value>) -> Vec<Difference> {
    let is_empty = |v: &Value| match v {
        Value::Null | Value::Bool(false) => true,
        Value::String(s) => s.is_empty(),
        Value::Array(a) => a.is_empty(),
        Value::Object(m) => m.is_empty(),
        Value::Bool(true) | Value::Number(_) => false,
    };
    let same = |a: &Value, b: &Value| a == b || matches!((a.as_f64(), b.as_f64()), (Some(a), Some(b)) if a == b);
    let names: BTreeSet<&String> = then.keys().chain(now.keys()).collect();
    let differs = |name: &String| {
        let (a, b) = (then.get(name), now.get(name));
        let equal = match (a, b) {
            (Some(a), Some(b)) => same(a, b),
            (Some(v), None) | (None, Some(v)) => is_empty(v),
            (None, None) => true,
        };
        let shown = |v: Option<&Value>| v.map_or("nothing".to_owned(), ToString::to_string);
        (!equal).then(|| Difference { role: name.clone(), text: format!("{name}: {} -> {}", shown(a), shown(b)) })
    };
    names.into_iter().filter_map(differs).collect()
}

/// The differences one in a line, below the words of a message.
pub fn listed(found: &[Difference]) -> String {
    found.iter().map(|d| format!("\n  {}", d.text)).collect()
}
