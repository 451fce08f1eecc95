//! A script's settings on the screen: `--help` and `--print-config`.

use crate::error::{Error, Result};
use crate::script::docs::{head, settings};
use crate::script::{Config, Engine, Params};
use std::io::Write;
use std::path::Path;

/// The settings that `lathe run` itself adds.
const OWN: &[(&str, &str)] = &[
    ("--config FILE.toml", "values for settings, or a recipe's name; flags go before the file"),
    ("--print-config", "show every value with where it comes from, and stop"),
    ("--threads N", "how many CPU threads to use"),
    ("--max-memory SIZE", "how much memory it may use: 8G, 0.9 of the machine (the default), none"),
    ("--allow-read PATH", "a file or folder that the script may read besides its project"),
    ("--allow-write PATH", "a file or folder that it may write besides its run folder and outputs"),
    ("--allow-torchscript", "lets it run TorchScript programs that it can read and cannot write; =PATH the one in that file"),
    ("--allow-unsafe-ops", "opens operators to `torch::op` that do not check their arguments"),
    ("--watch", "take saved edits of the scripts in between two steps; --watch=poll looks at the files instead"),
    ("--profile[=STEPS]", "measure where the time of STEPS steps goes (10), line by line, in `profile/` of the run"),
    ("--find-nan", "end with the first line whose result or gradient is not finite; slow"),
    ("--log-level LEVEL", "off, error, warn, info, debug or trace"),
    ("--help", "this text"),
];

/// Prints what the script says of itself, and its settings.
///
/// # Errors
/// `E0301` when stdout is closed.
pub(super) fn print(script: &Path, engine: &Engine, params: &Params) -> Result<()> {
    let mut text = format!("usage: lathe run {} [FLAGS]\n", script.display());
    let about = engine.sources().first().map(|(_, t)| head(t)).unwrap_or_default();
    if !about.is_empty() {
        text.push_str(&format!("\n{about}\n"));
    }
    let rows: Vec<(String, String)> = params
        .iter()
        .map(|s| {
            let default = settings::default(&s);
            let default = if default.is_empty() && s.arg.default.is_unit() { String::new() } else { format!(" [{default}]") };
            (settings::flag(&s), format!("{}{default}", settings::notes(&s)).trim_start().to_owned())
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
            let line = if c.value.is_unit() { format!("# {} = ()", c.name) } else { format!("{} = {}", c.name, settings::shown(&c.value)) };
            (line, format!("# {}", c.origin))
        })
        .collect();
    put(&rows_of(&rows, "", 60))
}

fn put(text: &str) -> Result<()> {
    std::io::stdout().lock().write_all(text.as_bytes()).map_err(|e| Error::io("write", "stdout", e))
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
