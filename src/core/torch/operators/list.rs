//! The lists of operators that scripts may and may not call.

use super::schema::Schema;
use crate::torch::bridge;
use std::collections::HashMap;
use std::sync::OnceLock;

/// A line: the name of an operator and its overloads, `default` for the one without a name; after `>` those that take tensors for the results.
const ALLOWED: &str = include_str!("allowed.txt");
/// A line: an overload, and what it did.
const REFUSED: &str = include_str!("refused.txt");

/// The lines of a list: what follows `#` is a comment.
fn lines(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'))
}

/// The overloads of an operator.
#[derive(Default, Clone)]
struct Listed {
    overloads: Vec<&'static str>,
    /// Those with tensors for the results, which are called without.
    out: Vec<&'static str>,
}

fn table() -> &'static HashMap<&'static str, Listed> {
    static TABLE: OnceLock<HashMap<&str, Listed>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let entry = |line: &'static str| {
            let (first, out) = line.split_once('>').unwrap_or((line, ""));
            let mut words = first.split_whitespace();
            let name = words.next().unwrap_or_default();
            let overloads = words.map(|o| if o == "default" { "" } else { o }).collect();
            (name, Listed { overloads, out: out.split_whitespace().collect() })
        };
        lines(ALLOWED).map(entry).collect()
    })
}

/// The names of all operators that scripts may call.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    table().keys().copied()
}

/// How many overloads scripts may call, those with `out` among them.
pub fn count() -> usize {
    table().values().map(|l| l.overloads.len() + l.out.len()).sum()
}

/// `aten::add.Scalar` -> `add` and `Scalar`; `default` is the overload without a name.
pub(super) fn parts(name: &str) -> (&str, Option<&str>) {
    let bare = name.strip_prefix("aten::").unwrap_or(name);
    match bare.split_once('.') {
        Some((base, "default")) => (base, Some("")),
        Some((base, overload)) => (base, Some(overload)),
        None => (bare, None),
    }
}

/// Every overload of an operator.
pub(super) fn schemas(base: &str) -> Vec<Schema> {
    bridge::schemas(&format!("aten::{base}")).iter().filter_map(|t| Schema::parse(t)).collect()
}

/// What a name stands for.
pub(super) struct Wanted {
    /// The overloads to choose from.
    pub overloads: Vec<&'static str>,
    /// The names of tensors for the results.
    pub outs: Vec<Vec<String>>,
}

/// The overloads of an operator that scripts may call: all of them, or the named one; of one with `out` the same without.
pub(super) fn overloads(base: &str, overload: Option<&str>) -> Option<Wanted> {
    let listed = table().get(base)?;
    let schemas = schemas(base);
    let of = |o: &str| schemas.iter().find(|s| s.overload == o);
    let outs = |names: &[&str]| names.iter().filter_map(|o| of(o)).map(Schema::out_params).collect();
    match overload {
        None => Some(Wanted { overloads: listed.overloads.clone(), outs: outs(&listed.out) }),
        Some(o) if listed.overloads.contains(&o) => {
            let plain = of(o)?;
            let own: Vec<&str> = listed.out.iter().copied().filter(|out| of(out).is_some_and(|out| out.is_out_of(plain))).collect();
            Some(Wanted { overloads: listed.overloads.iter().copied().filter(|x| *x == o).collect(), outs: outs(&own) })
        }
        Some(o) if listed.out.contains(&o) => {
            let out = of(o)?;
            let overloads = listed.overloads.iter().copied().filter(|x| of(x).is_some_and(|plain| out.is_out_of(plain))).collect();
            Some(Wanted { overloads, outs: vec![out.out_params()] })
        }
        Some(_) => None,
    }
}

/// Whether scripts may call the operator of that name: an overload where one is named, else any.
pub fn allowed(name: &str) -> bool {
    let (base, overload) = parts(name);
    table().get(base).is_some_and(|l| overload.is_none_or(|o| l.overloads.contains(&o) || l.out.contains(&o)))
}

/// What an operator did when it was tried; of several overloads the first.
pub fn refusal(name: &str) -> Option<&'static str> {
    let (base, overload) = parts(name);
    lines(REFUSED).find_map(|line| {
        let (what, why) = line.split_once(' ')?;
        let (b, o) = parts(what);
        (b == base && overload.is_none_or(|wanted| Some(wanted) == o)).then_some(why.trim())
    })
}
