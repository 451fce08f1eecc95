//! A script's settings on the screen: `--help` and `--print-config`.

use crate::error::{Error, Result};
use crate::script::params::{dashed, kind};
use crate::script::rhai::{Array, Dynamic, Map};
use crate::script::{Config, Engine, Params};
use std::io::Write;
use std::path::Path;

/// The settings that `lathe run` itself adds.
const OWN: &[(&str, &str)] = &[
    ("--config FILE.toml", "values for settings; flags go before the file"),
    ("--print-config", "show every value with where it comes from, and stop"),
    ("--threads N", "how many CPU threads one operator may use"),
    ("--watch", "take saved edits of the scripts in between two steps; --watch=poll looks at the files instead"),
    ("--log-level LEVEL", "off, error, warn, info, debug or trace"),
    ("--help", "this text"),
];

/// Prints what the script says of itself, and its settings.
///
/// # Errors
/// `E0301` when stdout is closed.
pub(super) fn print(script: &Path, engine: &Engine, params: &Params) -> Result<()> {
    let mut text = format!("usage: lathe run {} [FLAGS]\n", script.display());
    let about = engine.sources().first().map(|(_, t)| header(t)).unwrap_or_default();
    if !about.is_empty() {
        text.push_str(&format!("\n{about}\n"));
    }
    let rows: Vec<(String, String)> = params
        .iter()
        .map(|s| {
            let mut notes = vec![s.arg.help.clone()];
            if !s.arg.choices.is_empty() {
                notes.push(format!("one of {}", s.arg.choices.iter().map(plain).collect::<Vec<_>>().join(", ")));
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
            notes.retain(|n| !n.is_empty());
            let name = dashed(&s.name);
            let flag = match s.arg.default.as_bool() {
                Ok(true) => format!("--no-{name}"),
                Ok(false) => format!("--{name}"),
                Err(_) => format!("--{name} {}", placeholder(&s.arg.default)),
            };
            (flag, format!("{}{}", notes.join("; "), default_text(&s.arg.default)).trim_start().to_owned())
        })
        .collect();
    let own: Vec<(String, String)> = OWN.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
    text.push_str(&format!("\nsettings [default]:\n{}\n{}", table(&rows), table(&own)));
    put(&text)
}

/// Prints every value with its origin, as TOML.
///
/// # Errors
/// `E0301` when stdout is closed.
pub(super) fn print_config(config: &Config) -> Result<()> {
    let rows: Vec<(String, String)> = config
        .iter()
        .map(|c| {
            // `()` has no TOML form.
            let line = if c.value.is_unit() { format!("# {} = ()", c.name) } else { format!("{} = {}", c.name, shown(&c.value)) };
            (line, format!("# {}", c.origin))
        })
        .collect();
    put(&rows_of(&rows, "", 60))
}

fn put(text: &str) -> Result<()> {
    std::io::stdout().lock().write_all(text.as_bytes()).map_err(|e| Error::io("write", "stdout", e))
}

/// The comment at the head of a script.
fn header(text: &str) -> String {
    let lines = text.lines().skip_while(|l| l.trim().is_empty()).take_while(|l| l.starts_with("//"));
    let lines = lines.map(|l| l.trim_start_matches('/').trim_start_matches('!')).map(|l| l.strip_prefix(' ').unwrap_or(l).trim_end());
    lines.collect::<Vec<_>>().join("\n").trim().to_owned()
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

fn table(rows: &[(String, String)]) -> String {
    rows_of(rows, "  ", 36)
}

/// Two columns; a long first one gets a line of its own.
pub(super) fn rows_of(rows: &[(String, String)], indent: &str, widest: usize) -> String {
    let width = rows.iter().map(|(a, _)| a.chars().count()).filter(|n| *n <= widest).max().unwrap_or(0);
    let line = |(a, b): &(String, String)| {
        if a.chars().count() > width {
            return format!("{indent}{a}\n{indent}{}  {b}\n", " ".repeat(width));
        }
        format!("{indent}{a:width$}  {b}\n")
    };
    rows.iter().map(|row| format!("{}\n", line(row).trim_end())).collect()
}

fn plain(d: &Dynamic) -> String {
    d.to_string()
}

/// ` [1e-4]`: a default as it would be typed. `()` means that there is none.
fn default_text(d: &Dynamic) -> String {
    if d.is_unit() {
        return String::new();
    }
    let text = match d.read_lock::<Array>() {
        Some(a) => a.iter().map(plain).collect::<Vec<_>>().join(","),
        None if d.is_string() => d.to_string(),
        None => shown(d),
    };
    format!(" [{text}]")
}

/// A value as TOML writes it, on one line.
pub(super) fn shown(d: &Dynamic) -> String {
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
