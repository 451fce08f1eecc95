//! The flags after the script's name: `--learning-rate 1e-4 --mapper.depth=2 --no-shuffle --ch-mult 1 2 4`.

use crate::error::{Error, Result};
use crate::script::Params;
use crate::script::params::normal;
use std::path::PathBuf;

/// What was written after the script's name.
#[derive(Debug, Default)]
pub(super) struct Flags {
    pub help: bool,
    pub print_config: bool,
    pub config: Vec<PathBuf>,
    pub threads: Option<usize>,
    /// Settings by name, in the order given: the last one counts.
    pub values: Vec<(String, String)>,
}

/// Takes the flags apart; what a flag takes depends on the setting's default.
///
/// # Errors
/// `E0101` for something that is not a flag, or a flag without its value. Unknown names are found later, with the nearest.
pub(super) fn parse(args: &[String], params: &Params) -> Result<Flags> {
    let mut flags = Flags::default();
    let mut rest = args.iter().map(String::as_str).peekable();
    while let Some(arg) = rest.next() {
        if arg == "-h" {
            flags.help = true;
            continue;
        }
        let Some(body) = arg.strip_prefix("--").filter(|b| !b.is_empty()) else {
            let help = "settings are given as `--name value`; `--help` lists them";
            return Err(Error::usage(format!("unexpected argument `{arg}`")).help(help));
        };
        let (name, given) = match body.split_once('=') {
            Some((name, value)) => (normal(name), Some(value.to_owned())),
            None => (normal(body), None),
        };
        let setting = params.get(&name);
        let mut value = |given: Option<String>| {
            let next = given.or_else(|| rest.next_if(|n| !n.starts_with("--")).map(str::to_owned));
            next.ok_or_else(|| Error::usage(format!("`{arg}` needs a value")))
        };
        match (name.as_str(), setting) {
            ("help", None) => flags.help = true,
            ("print_config", None) => flags.print_config = true,
            // Read before the log was started.
            ("log_level", None) => {
                value(given)?;
            }
            ("config", None) => flags.config.push(value(given)?.into()),
            ("threads", None) => {
                let text = value(given)?;
                let n = text.parse().ok().filter(|n| *n > 0);
                flags.threads = Some(n.ok_or_else(|| Error::usage(format!("`--threads` must be a number from 1, got `{text}`")))?);
            }
            (_, Some(s)) if s.default.is_bool() => {
                let is_bool = |t: &&str| matches!(*t, "true" | "false" | "True" | "False" | "0" | "1" | "yes" | "no" | "on" | "off");
                let text = given.or_else(|| rest.next_if(is_bool).map(str::to_owned)).unwrap_or_else(|| "true".into());
                flags.values.push((name, text));
            }
            (_, Some(s)) if s.default.is_array() => {
                let mut list = vec![value(given)?];
                while let Some(more) = rest.next_if(|n| !n.starts_with("--")) {
                    list.push(more.to_owned());
                }
                flags.values.push((name, list.join(",")));
            }
            (_, Some(_)) => flags.values.push((name, value(given)?)),
            (_, None) => {
                // `--no-shuffle` for a setting `shuffle`.
                let positive = name.strip_prefix("no_").map(str::to_owned);
                match positive.filter(|p| given.is_none() && params.get(p).is_some_and(|s| s.default.is_bool())) {
                    Some(positive) => flags.values.push((positive, "false".into())),
                    // Unknown, or a group: its value tells.
                    None => {
                        let text = given.or_else(|| rest.next_if(|n| !n.starts_with("--")).map(str::to_owned)).unwrap_or_default();
                        flags.values.push((name, text));
                    }
                }
            }
        }
    }
    Ok(flags)
}
