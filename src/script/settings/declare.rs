//! What a script declares with `fn params()`, read and checked.

use super::params::{Arg, Params};
use super::parse::normal;
use super::uses;
use crate::error::{Diagnostic, Error, ErrorKind, Result};
use crate::script::lang::codes::LINT;
use crate::script::lang::stack::internal;
use crate::script::lang::value::type_name;
use crate::script::units::program::Program;
use crate::script::units::unit::{Unit, alone};
use indexmap::IndexMap;
use rhai::{ASTNode, Array, Dynamic, Expr, Map};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

impl Params {
    /// The settings of the script in effect: what its `fn params()` returns; none without it.
    ///
    /// # Errors
    /// What `params` threw; `E0503` when it does not return a map of plain values and `arg(..)`.
    pub(crate) fn read(program: &Program, rhai: &rhai::Engine) -> Result<Params> {
        let (params, mut wrong) = Params::faults(program, rhai)?;
        if wrong.is_empty() {
            return Ok(params);
        }
        let first = wrong.remove(0);
        Err(Error::script(Diagnostic { also: wrong, ..first }))
    }

    /// The settings with everything that is wrong with their defaults, and with those that the scripts read.
    ///
    /// # Errors
    /// What `params` threw; `E0503` when it does not return a map of plain values and `arg(..)`.
    pub(crate) fn faults(program: &Program, rhai: &rhai::Engine) -> Result<(Params, Vec<Diagnostic>)> {
        let Some(entry) = program.entry_unit().filter(|u| u.has("params", 0)) else { return Ok((Params::default(), Vec::new())) };
        // A panic below is our fault, but no reason to end the host program.
        let call = || program.call(rhai, None, &entry.id, "params", vec![]).map_err(|e| program.explain(&entry.tag, &e));
        let value = catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| Err(internal(&*panic)))?;
        let Some(map) = value.read_lock::<Map>().map(|m| m.clone()) else {
            return Err(wrong(format!("`params` must return a map, not {}", type_name(&value))));
        };
        let mut settings = IndexMap::new();
        flatten("", &map, &mut settings)?;
        let rank = ranks(&settings, &entry);
        settings.sort_by(|a, _, b, _| rank.get(a).cmp(&rank.get(b)));
        let script = Path::new(&entry.shown).file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        let params = Params { settings, script };
        let mut wrong = Vec::new();
        for (name, arg) in &params.settings {
            if let Err(e) = params.check(name, arg, &arg.default) {
                let labels = arg.made.as_ref().and_then(|m| program.sources.label(&m.tag, m.at, "")).into_iter().collect();
                let help = e.help_text().map(str::to_owned);
                wrong.push(Diagnostic { labels, help, ..Diagnostic::plain(LINT, format!("the default of `{name}`: {e}")) });
            }
        }
        wrong.extend(uses::check(program, &entry, &params));
        Ok((params, wrong))
    }
}

fn wrong(message: String) -> Error {
    Error::new(ErrorKind::Script(Box::new(Diagnostic::plain(LINT, message))))
}

/// The plain values of what a `params` function returned: `arg(..)` becomes its default.
pub(crate) fn plain_defaults(map: &Map) -> Map {
    map.iter()
        .map(|(k, v)| {
            let value = match (v.read_lock::<Arg>(), v.read_lock::<Map>()) {
                (Some(arg), _) => arg.default.clone(),
                (None, Some(inner)) => plain_defaults(&inner).into(),
                (None, None) => v.clone(),
            };
            (k.clone(), value)
        })
        .collect()
}

fn flatten(prefix: &str, map: &Map, flat: &mut IndexMap<String, Arg>) -> Result<()> {
    for (key, value) in map {
        let name = format!("{prefix}{}", normal(key));
        if let Some(arg) = value.read_lock::<Arg>() {
            flat.insert(name, arg.clone());
        } else if let Some(inner) = value.read_lock::<Map>().filter(|m| !m.is_empty()) {
            flatten(&format!("{name}."), &inner, flat)?;
        } else if is_plain(value) {
            flat.insert(name, Arg::plain(value.clone()));
        } else {
            return Err(wrong(format!("the setting `{name}` must be a plain value or `arg(..)`, not {}", type_name(value))));
        }
    }
    Ok(())
}

/// Where each setting stands in the list: by when its `arg(..)` was made. A plain value, as in `steps: 1000`, follows what is written before it
/// in the same map of the script's `params` (rhai's own maps are sorted by name).
fn ranks(settings: &IndexMap<String, Arg>, entry: &Unit) -> BTreeMap<String, (u64, usize)> {
    let number = |name: &str| settings.get(name).and_then(|a| a.made.as_ref()).map(|m| m.number);
    let made = settings.keys().filter_map(|name| Some((name.clone(), (number(name)?, 0))));
    let mut ranks: BTreeMap<String, (u64, usize)> = made.collect();
    let params = alone(&entry.ast, "params", 0);
    let mut literals = Vec::new();
    params.walk(&mut |path: &[ASTNode]| {
        if let Some(ASTNode::Expr(Expr::Map(x, _))) = path.last() {
            let mut names = Vec::new();
            keys("", x, &mut names);
            literals.push(names);
        }
        true
    });
    for names in literals {
        // What stands before the first setting with `arg(..)` goes before that one; a map without any, to the end.
        let first = names.iter().find_map(|n| number(n));
        let mut last = first.map_or(u64::MAX, |n| n.saturating_sub(1));
        for name in names.iter().filter(|n| settings.contains_key(*n)) {
            last = number(name).unwrap_or(last);
            let place = ranks.len();
            ranks.entry(name.clone()).or_insert((last, place));
        }
    }
    let rest = settings.keys().filter(|name| !ranks.contains_key(*name)).cloned().collect::<Vec<_>>();
    ranks.extend(rest.into_iter().map(|name| (name, (u64::MAX, usize::MAX))));
    ranks
}

type MapLiteral = (rhai::StaticVec<(rhai::Ident, Expr)>, BTreeMap<rhai::Identifier, Dynamic>);

/// The names in a map literal, with dots for maps in maps, as the script lists them.
fn keys(prefix: &str, literal: &MapLiteral, names: &mut Vec<String>) {
    for (key, value) in &literal.0 {
        let name = format!("{prefix}{}", normal(&key.name));
        if let Expr::Map(inner, _) = value {
            keys(&format!("{name}."), inner, names);
        }
        names.push(name);
    }
}

/// Whether a value can be written on a command line.
pub(crate) fn is_plain(d: &Dynamic) -> bool {
    if let Some(a) = d.read_lock::<Array>() {
        return a.iter().all(is_plain);
    }
    if let Some(m) = d.read_lock::<Map>() {
        return m.values().all(is_plain);
    }
    d.is_unit() || d.is_bool() || d.is_int() || d.is_float() || d.is_string()
}
