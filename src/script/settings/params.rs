//! A script's settings: what `fn params()` declares, and the values a run uses, each with where it came from.

use super::parse::{fit, leaves, line_of, normal, structured, typed, untyped};
use crate::error::{Error, Result, did_you_mean};
use crate::files;
use crate::script::lang::value::{to_json, type_name};
use indexmap::IndexMap;
use rhai::{Array, Dynamic, Map, Position};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

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
    /// Another name under which it can be given.
    pub also: Option<String>,
    /// Where and when a script made it; `None` when none did.
    pub made: Option<Made>,
}
crate::script_handle!(Arg, "a setting made with `arg`");

impl Arg {
    /// A default without limits and without help.
    pub fn plain(default: Dynamic) -> Self {
        Arg { default, help: String::new(), choices: Array::new(), live: false, min: None, max: None, also: None, made: None }
    }
}

/// The call of `arg(..)` that made a setting, perhaps in another file than the script's.
#[derive(Debug, Clone)]
pub struct Made {
    /// Counts the calls: settings are listed in the order in which they were made.
    pub(super) number: u64,
    /// The version of the text.
    pub(super) tag: String,
    pub(super) at: Position,
}

impl Made {
    /// The next call, at a place of a text.
    pub(crate) fn at(tag: &str, at: Position) -> Self {
        static CALLS: AtomicU64 = AtomicU64::new(1);
        Made { number: CALLS.fetch_add(1, Ordering::Relaxed), tag: tag.to_owned(), at }
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

/// A script's settings, in the order in which the script makes them.
#[derive(Debug, Clone, Default)]
pub struct Params {
    pub(super) settings: IndexMap<String, Arg>,
    /// The script's name without folders and extension.
    pub(super) script: String,
}

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

impl Params {
    /// The settings, in the script's order.
    pub fn iter(&self) -> impl Iterator<Item = Setting> + '_ {
        self.settings.iter().map(|(name, arg)| Setting { name: name.clone(), arg: arg.clone() })
    }

    /// The setting of that name.
    pub fn get(&self, name: &str) -> Option<&Arg> {
        self.settings.get(&self.key(name))
    }

    /// The name under which a setting is kept that is given as `name`, perhaps by its other name.
    fn key(&self, name: &str) -> String {
        let name = normal(name);
        if self.settings.contains_key(&name) {
            return name;
        }
        let also = self.settings.iter().find(|(_, arg)| arg.also.as_ref().is_some_and(|a| normal(a) == name));
        also.map_or(name, |(key, _)| key.clone())
    }

    /// Adds a setting that every script has, unless the script declares its own.
    pub fn declare(&mut self, name: &str, arg: Arg) {
        self.settings.entry(name.to_owned()).or_insert(arg);
    }

    /// Whether it is a group: a prefix of other settings' names.
    fn is_group(&self, name: &str) -> bool {
        let prefix = format!("{name}.");
        self.settings.keys().any(|k| k.starts_with(&prefix))
    }

    /// Every setting at its default.
    pub fn defaults(&self) -> Config {
        Config { values: self.settings.iter().map(|(k, a)| (k.clone(), (a.default.clone(), Origin::Default))).collect() }
    }

    /// Sets a value given as text, typed by the default.
    ///
    /// # Errors
    /// `E0101` for an unknown name, with the nearest; for a text that does not fit; for a value that is not allowed.
    pub fn set_text(&self, config: &mut Config, name: &str, text: &str, origin: Origin) -> Result<()> {
        let key = self.key(name);
        let Some(arg) = self.settings.get(&key) else {
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
        let key = self.key(name);
        let Some(arg) = self.settings.get(&key) else {
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

    /// Sets the values of a TOML file, each with its line. A line `script = "train_ldm"` is no value: it says which script the file is for.
    ///
    /// # Errors
    /// `E0301` and `E0302` when it cannot be read; `E0101` for a name or value that does not fit, with the line, and for another script's file.
    pub fn set_file(&self, config: &mut Config, path: &Path) -> Result<()> {
        let text = files::read_text(path)?;
        let table = toml::de::DeTable::parse(&text).map_err(|e| {
            let line = e.span().map_or(1, |s| line_of(&text, s.start));
            Error::data(path, format!("line {line}: {}", e.message()))
        })?;
        let mut found = Vec::new();
        leaves("", table.get_ref(), &text, &mut found)
            .map_err(|(line, number)| Error::usage(format!("{}:{line}: {number} is no number of 64 bits", path.display())))?;
        if let Some((_, script, line)) = found.iter().find(|(name, ..)| name == SCRIPT && self.get(SCRIPT).is_none()) {
            self.is_for(script, found.iter().map(|(name, ..)| name.as_str())).map_err(|e| e.context(format!("{}:{line}", path.display())))?;
        }
        for (name, value, line) in found {
            let place = || format!("{}:{line}", path.display());
            if name == SCRIPT && self.get(SCRIPT).is_none() {
                continue;
            }
            self.set(config, &name, &value, Origin::File(path.to_owned(), line)).map_err(|e| e.context(place()))?;
        }
        Ok(())
    }

    /// Refuses a file that names another script. An edited copy of that script, under another name, is none: it has all the settings.
    fn is_for<'a>(&self, script: &Dynamic, mut names: impl Iterator<Item = &'a str>) -> Result<()> {
        let named = script.to_string();
        let has = |name: &str| self.get(name).is_some() || name.match_indices('.').any(|(at, _)| self.get(&name[..at]).is_some());
        if named == self.script || names.all(|name| name == SCRIPT || has(name)) {
            return Ok(());
        }
        let help = format!("take one for `{}`; in a copy of `{named}` under another name it serves as long as the settings stay", self.script);
        Err(Error::usage(format!("this file is for the script `{named}`, not for `{}`", self.script)).help(help))
    }

    /// Sets an entry of a setting that is one map: `--enc-config.resolution 128`. A default that is the empty map takes any; one that is not
    /// takes its own keys.
    fn set_inside(&self, config: &mut Config, key: &str, value: Dynamic, origin: Origin) -> Option<()> {
        let mut parts = key.match_indices('.').map(|(at, _)| (&key[..at], &key[at + 1..]));
        let (parent, rest) = parts.find(|(parent, _)| self.settings.get(*parent).is_some_and(|arg| arg.default.is_map()))?;
        let known = self.settings.get(parent).and_then(|arg| arg.default.read_lock::<Map>().map(|m| m.clone())).unwrap_or_default();
        let value = if known.is_empty() { value } else { fit(known.get(rest)?, &value)? };
        let mut map = config.get(parent).and_then(|v| v.read_lock::<Map>().map(|m| m.clone())).unwrap_or_default();
        insert(&mut map, rest, value);
        config.values.insert(parent.to_owned(), (map.into(), origin));
        Some(())
    }

    fn unknown(&self, name: &str) -> Error {
        let key = normal(name);
        let flags: Vec<String> = self.settings.keys().map(|k| dashed(k)).collect();
        let near = did_you_mean(&dashed(&key), flags.iter().map(String::as_str).chain(COMMON.iter().copied()));
        let near = near.replace('`', "").replace("did you mean ", "did you mean `--").replace('?', "`?");
        let known = flags.iter().map(|f| format!("--{f}")).collect::<Vec<_>>().join(" ");
        let help = if known.is_empty() { "this script has no settings".to_owned() } else { format!("its settings: {known}") };
        Error::usage(format!("unknown setting `--{}`{near}", dashed(&key))).help(help)
    }

    /// Makes sure that a value is allowed.
    pub(super) fn check(&self, name: &str, arg: &Arg, value: &Dynamic) -> Result<()> {
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

/// The key of a configuration file that names the script that it is for.
pub const SCRIPT: &str = "script";

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_map_takes_any_entry_and_a_filled_one_its_own() {
        let mut params = Params::default();
        params.declare("enc_config", Arg::plain(Map::new().into()));
        let filled: Map = [("depth".into(), 4_i64.into()), ("width".into(), 64_i64.into())].into_iter().collect();
        params.declare("mapper", Arg::plain(filled.into()));
        params.declare("steps", Arg::plain(3_i64.into()));
        let mut config = params.defaults();
        let flag = || Origin::Flag("--x".into());
        params.set_text(&mut config, "enc-config.resolution", "128", flag()).unwrap();
        params.set_text(&mut config, "enc-config.a.b", "0.5", flag()).unwrap();
        params.set_text(&mut config, "enc-config.name", "x1", flag()).unwrap();
        params.set_text(&mut config, "mapper.depth", "2", flag()).unwrap();
        let map = config.map();
        let mapper = map["mapper"].read_lock::<Map>().unwrap().clone();
        assert_eq!((mapper["depth"].as_int(), mapper["width"].as_int()), (Ok(2), Ok(64)));
        assert!(params.set_text(&mut config, "mapper.dept", "2", flag()).is_err());
        let inner = map["enc_config"].read_lock::<Map>().unwrap().clone();
        assert_eq!(inner["resolution"].as_int(), Ok(128));
        assert_eq!(inner["a"].read_lock::<Map>().unwrap()["b"].as_float(), Ok(0.5));
        assert_eq!(inner["name"].to_string(), "x1");
        assert!(params.set_text(&mut config, "steps.more", "1", flag()).is_err());
        assert!(params.set_text(&mut config, "enc-confg.resolution", "1", flag()).is_err());
    }

    #[test]
    fn a_setting_can_be_given_by_its_other_name() {
        let mut params = Params::default();
        params.declare("model", Arg { also: Some("models".into()), ..Arg::plain("SiT-B/1".to_owned().into()) });
        let mut config = params.defaults();
        params.set_text(&mut config, "models", "SiT-XL/1", Origin::Flag("--models".into())).unwrap();
        assert_eq!((config.get("model").unwrap().to_string().as_str(), config.get("models").is_none()), ("SiT-XL/1", true));
        assert_eq!(config.origin("model").unwrap().to_string(), "--models");
        assert!(params.get("models").is_some() && params.get("modelz").is_none());
    }
}
