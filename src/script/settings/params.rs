//! A script's settings: what `fn params()` declares, and the values a run uses, each with where it came from.

use super::uses;
use crate::error::{Diagnostic, Error, ErrorKind, Result, did_you_mean};
use crate::files;
use crate::script::lang::value::{from_json, to_json, type_name};
use crate::script::units::program::Program;
use crate::script::units::unit::Unit;
use indexmap::IndexMap;
use rhai::{ASTNode, Array, Dynamic, Expr, Map, Position};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// What `arg(default, help, options)` makes: a default with its description.
#[derive(Debug, Clone)]
pub struct Arg {
    /// The value without a flag.
    pub default: Dynamic,
    /// One line for `--help`.
    pub help: String,
    /// The values it may have; empty: any.
    pub choices: Array,
    /// Whether an edit of the default applies to a running job.
    pub live: bool,
    /// The smallest number allowed.
    pub min: Option<f64>,
    /// The largest number allowed.
    pub max: Option<f64>,
}
crate::script_handle!(Arg, "a setting made with `arg`");

impl Arg {
    fn plain(default: Dynamic) -> Self {
        Arg { default, help: String::new(), choices: Array::new(), live: false, min: None, max: None }
    }
}

/// One setting of a script.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Its name, with dots for settings in a map: `mapper.depth`. Dashes are underscores.
    pub name: String,
    /// Its default, help and limits.
    pub arg: Arg,
}

/// A script's settings, in the order in which the script lists them.
#[derive(Debug, Clone, Default)]
pub struct Params(IndexMap<String, Arg>);

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The script's own default.
    Default,
    /// A line of a configuration file.
    File(PathBuf, usize),
    /// A flag on the command line.
    Flag(String),
    /// Filled in by `lathe run`: the device, for example.
    Lathe,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Origin::Default => write!(f, "default"),
            Origin::File(path, line) => write!(f, "{}:{line}", path.display()),
            Origin::Flag(flag) => write!(f, "{flag}"),
            Origin::Lathe => write!(f, "lathe"),
        }
    }
}

/// The value of a setting in a run.
#[derive(Debug, Clone)]
pub struct Chosen {
    /// Its name, with dots: `mapper.depth`.
    pub name: String,
    /// Its value.
    pub value: Dynamic,
    /// Where the value comes from.
    pub origin: Origin,
}

/// All values of a run.
#[derive(Debug, Clone, Default)]
pub struct Config {
    values: IndexMap<String, (Dynamic, Origin)>,
}

/// `learning-rate` and `learning_rate` are the same name.
pub fn normal(name: &str) -> String {
    name.replace('-', "_")
}

impl Params {
    /// The settings of the script in effect: what its `fn params()` returns; none without it.
    ///
    /// # Errors
    /// What `params` threw; `E0503` when it does not return a map of plain values and `arg(..)`.
    pub(crate) fn read(program: &Program, rhai: &rhai::Engine) -> Result<Params> {
        let Some(entry) = program.entry_unit().filter(|u| u.has("params", 0)) else { return Ok(Params::default()) };
        let place = |at: Position| program.sources.label(&entry.tag, at, "");
        // A panic below is our fault, but no reason to end the host program.
        let call = || program.call(rhai, None, &entry.id, "params", vec![]).map_err(|e| program.explain(&entry.tag, &e));
        let value = catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| Err(crate::script::lang::stack::internal(&*panic)))?;
        let Some(map) = value.read_lock::<Map>().map(|m| m.clone()) else {
            return Err(wrong(format!("`params` must return a map, not {}", type_name(&value))));
        };
        let mut flat = IndexMap::new();
        flatten("", &map, &mut flat)?;
        let order = written_order(&entry);
        let rank = |name: &str| order.iter().position(|(o, _)| o == name).unwrap_or(usize::MAX);
        flat.sort_by(|a, _, b, _| rank(a).cmp(&rank(b)));
        let params = Params(flat);
        for (name, arg) in &params.0 {
            params.check(name, arg, &arg.default).map_err(|e| {
                let labels = order.iter().find(|(n, _)| n == name).and_then(|(_, at)| place(*at)).into_iter().collect();
                let help = e.help_text().map(str::to_owned);
                Error::script(Diagnostic {
                    labels,
                    help,
                    ..Diagnostic::plain(crate::script::lang::codes::LINT, format!("the default of `{name}`: {e}"))
                })
            })?;
        }
        let mut wrong = uses::check(&entry, &params, place);
        if wrong.is_empty() {
            return Ok(params);
        }
        let first = wrong.remove(0);
        Err(Error::script(Diagnostic { also: wrong, ..first }))
    }

    /// The settings, in the script's order.
    pub fn iter(&self) -> impl Iterator<Item = Setting> + '_ {
        self.0.iter().map(|(name, arg)| Setting { name: name.clone(), arg: arg.clone() })
    }

    /// The setting of that name.
    pub fn get(&self, name: &str) -> Option<&Arg> {
        self.0.get(&normal(name))
    }

    /// Adds a setting that every script has, unless the script declares its own.
    pub fn declare(&mut self, name: &str, arg: Arg) {
        self.0.entry(name.to_owned()).or_insert(arg);
    }

    /// Whether it is a group: a prefix of other settings' names.
    fn is_group(&self, name: &str) -> bool {
        let prefix = format!("{name}.");
        self.0.keys().any(|k| k.starts_with(&prefix))
    }

    /// Every setting at its default.
    pub fn defaults(&self) -> Config {
        Config { values: self.0.iter().map(|(k, a)| (k.clone(), (a.default.clone(), Origin::Default))).collect() }
    }

    /// Sets a value given as text, typed by the default.
    ///
    /// # Errors
    /// `E0101` for an unknown name, with the nearest; for a text that does not fit; for a value that is not allowed.
    pub fn set_text(&self, config: &mut Config, name: &str, text: &str, origin: Origin) -> Result<()> {
        let key = normal(name);
        let Some(arg) = self.0.get(&key) else {
            if self.is_group(&key) {
                let value = structured(text).filter(Dynamic::is_map);
                let value = value.ok_or_else(|| Error::usage(format!("`{name}` is a group of settings: `{text}` is not a map")))?;
                return self.set(config, name, &value, origin);
            }
            return self.set_inside(config, &key, untyped(text), origin).ok_or_else(|| self.unknown(name));
        };
        let value =
            typed(&arg.default, text).ok_or_else(|| Error::usage(format!("`--{}` must be {}, got `{text}`", dashed(&key), kind(&arg.default))))?;
        self.check(&key, arg, &value)?;
        config.values.insert(key, (value, origin));
        Ok(())
    }

    /// Sets a value, or a group of them from a map.
    ///
    /// # Errors
    /// As [`Params::set_text`].
    pub fn set(&self, config: &mut Config, name: &str, value: &Dynamic, origin: Origin) -> Result<()> {
        let key = normal(name);
        let Some(arg) = self.0.get(&key) else {
            if self.is_group(&key)
                && let Some(map) = value.read_lock::<Map>()
            {
                return map.iter().try_for_each(|(k, v)| self.set(config, &format!("{key}.{k}"), v, origin.clone()));
            }
            return self.set_inside(config, &key, value.clone(), origin).ok_or_else(|| self.unknown(name));
        };
        let fitted = fit(&arg.default, value)
            .ok_or_else(|| Error::usage(format!("`{key}` must be {}, got {} `{value}`", kind(&arg.default), type_name(value))))?;
        self.check(&key, arg, &fitted)?;
        config.values.insert(key, (fitted, origin));
        Ok(())
    }

    /// Sets the values of a TOML file, each with its line.
    ///
    /// # Errors
    /// `E0301` and `E0302` when it cannot be read; `E0101` for a name or value that does not fit, with the line.
    pub fn set_file(&self, config: &mut Config, path: &Path) -> Result<()> {
        let text = files::read_text(path)?;
        let table = toml::de::DeTable::parse(&text).map_err(|e| {
            let line = e.span().map_or(1, |s| line_of(&text, s.start));
            Error::data(path, format!("line {line}: {}", e.message()))
        })?;
        let mut found = Vec::new();
        leaves("", table.get_ref(), &text, &mut found);
        for (name, value, line) in found {
            let place = || format!("{}:{line}", path.display());
            self.set(config, &name, &value, Origin::File(path.to_owned(), line)).map_err(|e| e.context(place()))?;
        }
        Ok(())
    }

    /// Sets an entry of a setting whose default is the empty map, which takes any: `--enc-config.resolution 128`.
    fn set_inside(&self, config: &mut Config, key: &str, value: Dynamic, origin: Origin) -> Option<()> {
        let (parent, rest) = key.match_indices('.').map(|(at, _)| (&key[..at], &key[at + 1..])).find(|(parent, _)| {
            let map = self.0.get(*parent).and_then(|arg| arg.default.read_lock::<Map>().map(|m| m.is_empty()));
            map == Some(true)
        })?;
        let mut map = config.get(parent).and_then(|v| v.read_lock::<Map>().map(|m| m.clone())).unwrap_or_default();
        insert(&mut map, rest, value);
        config.values.insert(parent.to_owned(), (map.into(), origin));
        Some(())
    }

    fn unknown(&self, name: &str) -> Error {
        let key = normal(name);
        let flags: Vec<String> = self.0.keys().map(|k| dashed(k)).collect();
        let near = did_you_mean(&dashed(&key), flags.iter().map(String::as_str).chain(COMMON.iter().copied()));
        let near = near.replace('`', "").replace("did you mean ", "did you mean `--").replace('?', "`?");
        let known = flags.iter().map(|f| format!("--{f}")).collect::<Vec<_>>().join(" ");
        let help = if known.is_empty() { "this script has no settings".to_owned() } else { format!("its settings: {known}") };
        Error::usage(format!("unknown setting `--{}`{near}", dashed(&key))).help(help)
    }

    /// Makes sure that a value is allowed.
    fn check(&self, name: &str, arg: &Arg, value: &Dynamic) -> Result<()> {
        let is_left_out = value.is_unit() && arg.default.is_unit();
        let is_choice = || arg.choices.iter().any(|c| c.to_string() == value.to_string());
        if !arg.choices.is_empty() && !is_left_out && !is_choice() {
            let choices: Vec<String> = arg.choices.iter().map(Dynamic::to_string).collect();
            let near = did_you_mean(&value.to_string(), choices.iter().map(String::as_str));
            let message = format!("`{name}` cannot be `{value}`{near}");
            return Err(Error::usage(message).help(format!("one of {}", choices.join(", "))));
        }
        if let Some(x) = value.as_float().ok().or_else(|| value.as_int().ok().map(|i| i as f64)) {
            if let Some(min) = arg.min.filter(|min| x.is_nan() || x < *min) {
                return Err(Error::usage(format!("`{name}` must be at least {min}, got {x}")));
            }
            if let Some(max) = arg.max.filter(|max| x.is_nan() || x > *max) {
                return Err(Error::usage(format!("`{name}` must be at most {max}, got {x}")));
            }
        }
        Ok(())
    }
}

/// The flags that `lathe run` has for every script.
pub const COMMON: &[&str] = &["allow-read", "allow-write", "config", "device", "dtype", "help", "print-config", "threads", "watch"];

impl Config {
    /// Sets a value that the script need not have declared.
    pub fn fill(&mut self, name: &str, value: Dynamic, origin: Origin) {
        self.values.insert(normal(name), (value, origin));
    }

    /// The value of a setting.
    pub fn get(&self, name: &str) -> Option<&Dynamic> {
        self.values.get(&normal(name)).map(|(v, _)| v)
    }

    /// Where the value of a setting comes from.
    pub fn origin(&self, name: &str) -> Option<&Origin> {
        self.values.get(&normal(name)).map(|(_, o)| o)
    }

    /// Every value with where it comes from, in the script's order.
    pub fn iter(&self) -> impl Iterator<Item = Chosen> + '_ {
        self.values.iter().map(|(name, (value, origin))| Chosen { name: name.clone(), value: value.clone(), origin: origin.clone() })
    }

    /// The map that `main(cfg)` gets: names with dots become maps in maps.
    pub fn map(&self) -> Map {
        let mut map = Map::new();
        for (name, (value, _)) in &self.values {
            insert(&mut map, name, value.clone());
        }
        map
    }

    /// The values as a TOML document, each setting with dots under its table. `()` has no TOML form and is left out.
    pub fn to_toml(&self) -> String {
        let json = to_json(&Dynamic::from(self.map()));
        toml::to_string(&without_nulls(json)).unwrap_or_default()
    }
}

fn without_nulls(v: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match v {
        Value::Object(m) => {
            // TOML wants plain values before tables.
            let (tables, plain): (Vec<_>, Vec<_>) = m.into_iter().filter(|(_, v)| !v.is_null()).partition(|(_, v)| v.is_object());
            Value::Object(plain.into_iter().chain(tables).map(|(k, v)| (k, without_nulls(v))).collect())
        }
        other => other,
    }
}

fn wrong(message: String) -> Error {
    Error::new(ErrorKind::Script(Box::new(crate::error::Diagnostic::plain(crate::script::lang::codes::LINT, message))))
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

/// The names of the map literals in `params`, as the script lists them (rhai's own maps are sorted), and where each is.
fn written_order(entry: &Unit) -> Vec<(String, Position)> {
    let mut order = Vec::new();
    let params = crate::script::units::unit::alone(&entry.ast, "params", 0);
    params.walk(&mut |path: &[ASTNode]| {
        if let Some(ASTNode::Expr(Expr::Map(x, _))) = path.last() {
            keys("", x, &mut order);
        }
        true
    });
    order
}

type MapLiteral = (rhai::StaticVec<(rhai::Ident, Expr)>, std::collections::BTreeMap<rhai::Identifier, Dynamic>);

fn keys(prefix: &str, literal: &MapLiteral, order: &mut Vec<(String, Position)>) {
    for (key, value) in &literal.0 {
        let name = format!("{prefix}{}", normal(&key.name));
        if let Expr::Map(inner, _) = value {
            keys(&format!("{name}."), inner, order);
        }
        order.push((name, key.pos));
    }
}

fn insert(map: &mut Map, name: &str, value: Dynamic) {
    match name.split_once('.') {
        None => {
            map.insert(name.into(), value);
        }
        Some((group, rest)) => {
            let inner = map.entry(group.into()).or_insert_with(|| Map::new().into());
            if let Some(mut inner) = inner.write_lock::<Map>() {
                insert(&mut inner, rest, value);
            }
        }
    }
}

/// `learning_rate` as it is written on the command line: `learning-rate`.
pub fn dashed(name: &str) -> String {
    name.replace('_', "-")
}

/// What a setting with that default must be, for messages.
pub fn kind(default: &Dynamic) -> &'static str {
    match () {
        () if default.is_bool() => "true or false",
        () if default.is_int() => "an int",
        () if default.is_float() => "a number",
        () if default.is_array() => "a list",
        () if default.is_map() => "a map",
        () if default.is_string() => "a string",
        () => "a value",
    }
}

/// A text as a value of the default's type.
fn typed(default: &Dynamic, text: &str) -> Option<Dynamic> {
    let text = text.trim();
    if default.is_bool() {
        return match text {
            "true" | "True" | "1" | "yes" | "on" => Some(true.into()),
            "false" | "False" | "0" | "no" | "off" => Some(false.into()),
            _ => None,
        };
    }
    if default.is_int() {
        return int(text).map(Dynamic::from);
    }
    if default.is_float() {
        return float(text).map(Dynamic::from);
    }
    if default.is_array() {
        let element = default.read_lock::<Array>().and_then(|a| a.first().cloned()).unwrap_or(Dynamic::UNIT);
        if let Some(list) = structured(text).filter(Dynamic::is_array) {
            return fit(default, &list);
        }
        let parts = text.split([',', ' ']).filter(|p| !p.is_empty());
        return parts.map(|p| typed(&element, p)).collect::<Option<Array>>().map(Dynamic::from);
    }
    if default.is_map() {
        return structured(text).filter(Dynamic::is_map);
    }
    if default.is_string() {
        return Some(text.to_owned().into());
    }
    // No default to go by: what the text looks like.
    Some(match text {
        "()" | "none" | "None" | "null" => Dynamic::UNIT,
        "true" => true.into(),
        "false" => false.into(),
        _ => structured(text)
            .or_else(|| int(text).map(Dynamic::from))
            .or_else(|| float(text).map(Dynamic::from))
            .unwrap_or_else(|| text.to_owned().into()),
    })
}

fn int(text: &str) -> Option<i64> {
    let text = text.replace('_', "");
    // `1e5` steps are steps.
    text.parse().ok().or_else(|| text.parse::<f64>().ok().filter(|x| x.fract() == 0.0 && x.abs() < 9e15).map(|x| x as i64))
}

fn float(text: &str) -> Option<f64> {
    text.replace('_', "").parse().ok()
}

/// A list or map written as JSON or as in a script, `#{a: 1}`.
fn structured(text: &str) -> Option<Dynamic> {
    let starts = text.starts_with(['[', '{']) || text.starts_with("#{");
    if !starts {
        return None;
    }
    if let Ok(json) = serde_json::from_str(text) {
        return Some(from_json(&json));
    }
    // Bare words are common in lists typed by hand: `[1, 2]` parses above, `[a, b]` goes on as text.
    rhai::Engine::new_raw().parse_json(text, true).ok().map(Dynamic::from)
}

/// A text without a default to go by: an int, a float, a bool, an array, a map, or else a string.
fn untyped(text: &str) -> Dynamic {
    structured(text)
        .or_else(|| text.parse::<i64>().ok().map(Dynamic::from))
        .or_else(|| text.parse::<f64>().ok().map(Dynamic::from))
        .or_else(|| text.parse::<bool>().ok().map(Dynamic::from))
        .unwrap_or_else(|| text.to_owned().into())
}

/// A value in the place of the default's type: an int serves as a float.
fn fit(default: &Dynamic, value: &Dynamic) -> Option<Dynamic> {
    if default.is_unit() {
        return Some(value.clone());
    }
    if default.is_float() {
        return value.as_float().ok().or_else(|| value.as_int().ok().map(|i| i as f64)).map(Dynamic::from);
    }
    if let (Some(d), Some(v)) = (default.read_lock::<Array>(), value.read_lock::<Array>()) {
        let element = d.first().cloned().unwrap_or(Dynamic::UNIT);
        return v.iter().map(|x| fit(&element, x)).collect::<Option<Array>>().map(Dynamic::from);
    }
    (default.type_id() == value.type_id()).then(|| value.clone())
}

fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes().iter().take(at).filter(|b| **b == b'\n').count() + 1
}

/// The values of a TOML table, with dotted names and lines.
fn leaves(prefix: &str, table: &toml::de::DeTable, text: &str, found: &mut Vec<(String, Dynamic, usize)>) {
    for (key, value) in table {
        let name = format!("{prefix}{}", normal(key.get_ref()));
        match value.get_ref() {
            toml::de::DeValue::Table(inner) => leaves(&format!("{name}."), inner, text, found),
            other => found.push((name, from_toml(other), line_of(text, key.span().start))),
        }
    }
}

fn from_toml(value: &toml::de::DeValue) -> Dynamic {
    use toml::de::DeValue as V;
    match value {
        V::String(s) => s.to_string().into(),
        V::Integer(i) => i64::from_str_radix(&i.as_str().replace('_', ""), i.radix()).map_or(Dynamic::UNIT, Dynamic::from),
        V::Float(x) => float(x.as_str()).map_or(Dynamic::UNIT, Dynamic::from),
        V::Boolean(b) => (*b).into(),
        V::Datetime(d) => d.to_string().into(),
        V::Array(a) => a.iter().map(|v| from_toml(v.get_ref())).collect::<Array>().into(),
        V::Table(t) => t.iter().map(|(k, v)| (k.get_ref().as_ref().into(), from_toml(v.get_ref()))).collect::<Map>().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_map_takes_any_entry_and_a_filled_one_does_not() {
        let mut params = Params::default();
        params.declare("enc_config", Arg::plain(Map::new().into()));
        params.declare("steps", Arg::plain(3_i64.into()));
        let mut config = params.defaults();
        let flag = || Origin::Flag("--x".into());
        params.set_text(&mut config, "enc-config.resolution", "128", flag()).unwrap();
        params.set_text(&mut config, "enc-config.a.b", "0.5", flag()).unwrap();
        params.set_text(&mut config, "enc-config.name", "x1", flag()).unwrap();
        let map = config.map();
        let inner = map["enc_config"].read_lock::<Map>().unwrap().clone();
        assert_eq!(inner["resolution"].as_int(), Ok(128));
        assert_eq!(inner["a"].read_lock::<Map>().unwrap()["b"].as_float(), Ok(0.5));
        assert_eq!(inner["name"].to_string(), "x1");
        assert!(params.set_text(&mut config, "steps.more", "1", flag()).is_err());
        assert!(params.set_text(&mut config, "enc-confg.resolution", "1", flag()).is_err());
    }
}
