//! The flags after the script's name: `--learning-rate 1e-4 --mapper.depth=2 --no-shuffle --ch-mult 1 2 4`.

use super::paths::Paths;
use crate::dist::{self, FLAGS, SWITCHES};
use crate::error::{Error, Result};
use crate::script::settings::parse::normal;
use crate::script::{Params, WatchMode};
use std::path::PathBuf;

/// What was written after the script's name.
#[derive(Debug, Default)]
pub(super) struct Flags {
    pub help: bool,
    pub print_config: bool,
    pub config: Vec<PathBuf>,
    pub threads: Option<usize>,
    pub max_memory: Option<String>,
    pub paths: Paths,
    /// How several processes work together.
    pub dist: dist::Options,
    /// Whether saves of the scripts are noticed, and how.
    pub watch: Option<WatchMode>,
    /// How many steps are measured.
    pub profile: Option<u64>,
    /// Whether what stops being finite is looked for.
    pub find_nan: bool,
    /// Settings by name, in the order given: the last one counts.
    pub values: Vec<(String, String)>,
}

/// More threads than any machine runs at once; each takes memory of its own.
pub(super) const MOST_THREADS: usize = 1024;

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
            ("allow_read", None) => flags.paths.allow_read.push(value(given)?.into()),
            ("allow_write", None) => flags.paths.allow_write.push(value(given)?.into()),
            ("fetch", None) => flags.paths.fetch = true,
            ("allow_unsafe_ops", None) => flags.paths.allow_unsafe_ops = true,
            ("max_memory", None) => flags.max_memory = Some(value(given)?),
            ("allow_torchscript", None) => flags.paths.programs.allow_torchscript.push(given.unwrap_or_default().into()),
            // Read before anything else: this process is one of them.
            ("nproc", None) => {
                value(given)?;
            }
            (flag, None) if SWITCHES.contains(&flag) => {
                let text = given.or_else(|| rest.next_if(|n| matches!(*n, "true" | "false")).map(str::to_owned));
                flags.dist.set(flag, text.as_deref().unwrap_or("true"))?;
            }
            (flag, None) if FLAGS.contains(&flag) => flags.dist.set(flag, &value(given)?)?,
            ("watch", None) => flags.watch = Some(watch_mode(given.as_deref())?),
            ("profile", None) => flags.profile = Some(profile_steps(given.as_deref())?),
            ("find_nan", None) => flags.find_nan = true,
            ("config", None) => flags.config.push(value(given)?.into()),
            ("threads", None) => {
                let text = value(given)?;
                let n = text.parse().ok().filter(|n| (1..=MOST_THREADS).contains(n));
                flags.threads = Some(n.ok_or_else(|| Error::usage(format!("`--threads` must be a number from 1 to {MOST_THREADS}, got `{text}`")))?);
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
                    // Unknown, a group, or a key of a map: its value tells. A key alone is a switch, as a setting of that kind would be.
                    None => {
                        let text = given.or_else(|| rest.next_if(|n| !n.starts_with("--")).map(str::to_owned));
                        let bare = if name.contains('.') { "true" } else { "" };
                        flags.values.push((name, text.unwrap_or_else(|| bare.to_owned())));
                    }
                }
            }
        }
    }
    Ok(flags)
}

/// Steps that are measured unless a number is given.
const PROFILED: u64 = 10;

/// `--profile` or `--profile=20`.
///
/// # Errors
/// `E0101` for no number of steps.
pub(super) fn profile_steps(given: Option<&str>) -> Result<u64> {
    let Some(text) = given.filter(|t| !t.is_empty()) else { return Ok(PROFILED) };
    let n = text.parse().ok().filter(|n| *n > 0);
    n.ok_or_else(|| Error::usage(format!("`--profile` takes a number of steps, such as `--profile=20`, got `{text}`")))
}

/// `--watch`, `--watch=auto` or `--watch=poll`.
///
/// # Errors
/// `E0101` for anything else.
pub(super) fn watch_mode(given: Option<&str>) -> Result<WatchMode> {
    match given {
        None | Some("auto") => Ok(WatchMode::Auto),
        Some("poll") => Ok(WatchMode::Poll),
        Some(other) => Err(Error::usage(format!("`--watch={other}` is not known")).help("--watch, or --watch=poll where changes go unnoticed")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::{Engine, EngineOptions};

    fn flags(args: &[&str]) -> Result<Flags> {
        let engine = Engine::new(EngineOptions::default());
        let script = "fn params() { #{steps: 10, lr: 0.1, on: true, list: [1, 2], name: \"a\", group: #{deep: 1}} } fn main(cfg) {}";
        engine.load_text("s.rhai", script)?;
        let params = engine.params()?;
        parse(&args.iter().map(|a| (*a).to_owned()).collect::<Vec<_>>(), &params)
    }

    #[test]
    fn each_setting_takes_what_its_default_needs() {
        let f = flags(&[
            "--steps",
            "3",
            "--lr=-1",
            "--lr",
            "-2",
            "--on",
            "--list",
            "1",
            "2",
            "3",
            "--no-on",
            "--on",
            "false",
            "--on=true",
            "--name",
            "x y",
            "--group.deep=4",
            "--config",
            "a.toml",
            "--config=b.toml",
            "--threads",
            "2",
            "--unknown",
            "7",
            "--group.on",
            "--watch",
            "--watch=poll",
            "--print-config",
            "-h",
        ]);
        let f = f.unwrap();
        let want = [
            ("steps", "3"),
            ("lr", "-1"),
            ("lr", "-2"),
            ("on", "true"),
            ("list", "1,2,3"),
            ("on", "false"),
            ("on", "false"),
            ("on", "true"),
            ("name", "x y"),
            ("group.deep", "4"),
            ("unknown", "7"),
            ("group.on", "true"),
        ];
        assert_eq!(f.values.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect::<Vec<_>>(), want);
        assert_eq!((f.config.len(), f.threads, f.print_config, f.help, f.watch), (2, Some(2), true, true, Some(WatchMode::Poll)));
    }

    #[test]
    fn what_is_no_flag_is_a_usage_error() {
        for (args, want) in [
            (&["stray"][..], "unexpected argument `stray`"),
            (&["--steps"], "`--steps` needs a value"),
            (&["--steps", "--on"], "`--steps` needs a value"),
            (&["--list"], "`--list` needs a value"),
            (&["--threads", "0"], "`--threads` must be a number from 1"),
            (&["--threads", "x"], "`--threads` must be a number from 1"),
            (&["--threads", "1000000000"], "`--threads` must be a number from 1 to 1024"),
            (&["--"], "unexpected argument `--`"),
            (&["-x"], "unexpected argument `-x`"),
            (&["--watch=often"], "`--watch=often` is not known"),
        ] {
            let e = flags(args).unwrap_err();
            assert!(e.to_string().contains(want) && e.exit_code() == 2, "{args:?}: {e}");
        }
    }
}
