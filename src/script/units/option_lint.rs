//! What is wrong with the options that a call gives as a literal map, before it runs.

use crate::error::Error;
use crate::script::lang::given::{OptionSpec, unknown};
use rhai::{Expr, Ident, Position};

/// What is wrong with the entries of a map for the call `function`, each with its place. Of several functions that may be meant
/// (methods of different types) one that takes the map is enough. A value that is not a literal is not judged.
pub(super) fn faults(function: &str, entries: &[(Ident, Expr)], candidates: &[Vec<OptionSpec>]) -> Vec<(Position, Error)> {
    let each = candidates.iter().map(|specs| of_one(function, entries, specs));
    each.min_by_key(Vec::len).unwrap_or_default()
}

fn of_one(function: &str, entries: &[(Ident, Expr)], specs: &[OptionSpec]) -> Vec<(Position, Error)> {
    let one = |(key, value): &(Ident, Expr)| {
        let Some(spec) = specs.iter().find(|s| s.name == key.name.as_str()) else {
            return Some((key.pos, unknown(function, &key.name, specs)));
        };
        let value = value.get_literal_value(None).map(|v| (v, value.position()));
        value.and_then(|(v, at)| Some((at, spec.check(function, &v).err()?)))
    };
    entries.iter().filter_map(one).collect()
}
