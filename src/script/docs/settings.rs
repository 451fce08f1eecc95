//! A script's settings as text: for `--help` and for docs/reference.

use crate::script::settings::params::{Setting, dashed, kind};
use rhai::{Array, Dynamic, Map};

/// `--learning-rate X`: how the setting is given on the command line.
pub fn flag(s: &Setting) -> String {
    let name = dashed(&s.name);
    match s.arg.default.as_bool() {
        Ok(true) => format!("--no-{name}"),
        Ok(false) => format!("--{name}"),
        Err(_) => format!("--{name} {}", placeholder(&s.arg.default)),
    }
}

/// What is said of it: its help, its choices and limits.
pub fn notes(s: &Setting) -> String {
    let mut notes = vec![s.arg.help.clone()];
    if !s.arg.choices.is_empty() {
        notes.push(format!("one of {}", s.arg.choices.iter().map(Dynamic::to_string).collect::<Vec<_>>().join(", ")));
    }
    match (s.arg.min, s.arg.max) {
        (Some(a), Some(b)) => notes.push(format!("from {a} to {b}")),
        (Some(a), None) => notes.push(format!("at least {a}")),
        (None, Some(b)) => notes.push(format!("at most {b}")),
        (None, None) => {}
    }
    if s.arg.live {
        notes.push("live".into());
    }
    if let Some(also) = &s.arg.also {
        notes.push(format!("also --{}", dashed(also)));
    }
    notes.retain(|n| !n.is_empty());
    notes.join("; ")
}

/// The default as it would be typed; nothing for `()`, which means that there is none.
pub fn default(s: &Setting) -> String {
    let d = &s.arg.default;
    if d.is_unit() {
        return String::new();
    }
    match d.read_lock::<Array>() {
        Some(a) => a.iter().map(Dynamic::to_string).collect::<Vec<_>>().join(","),
        None if d.is_string() => d.to_string(),
        None => shown(d),
    }
}

/// A value as TOML writes it, on one line.
pub fn shown(d: &Dynamic) -> String {
    if let Some(a) = d.read_lock::<Array>() {
        return format!("[{}]", a.iter().map(shown).collect::<Vec<_>>().join(", "));
    }
    if let Some(m) = d.read_lock::<Map>() {
        return format!("{{{}}}", m.iter().map(|(k, v)| format!("{k} = {}", shown(v))).collect::<Vec<_>>().join(", "));
    }
    if d.is_string() {
        return toml::Value::String(d.to_string()).to_string();
    }
    if let Ok(x) = d.as_float() {
        return number(x);
    }
    d.to_string()
}

/// `0.0001` as `1e-4`: as people type it. TOML reads both.
fn number(x: f64) -> String {
    let small = x != 0.0 && (x.abs() < 1e-3 || x.abs() >= 1e6);
    if small { format!("{x:e}") } else { format!("{x:?}") }
}

fn placeholder(default: &Dynamic) -> &'static str {
    match kind(default) {
        "an int" => "N",
        "a number" => "X",
        "a list" => "A,B,..",
        "a map" => "MAP",
        "a string" => "TEXT",
        _ => "VALUE",
    }
}
