//! How a run is opened: from the settings, and from how the program was started.

use super::hot::Hot;
use crate::error::{Error, Result};
use crate::script::bind::Cx;
use crate::script::lang::value::{to_json, type_name};
use crate::script::settings::context::RunContext;
use crate::script::settings::params::Origin;
use crate::train;
use rhai::{Dynamic, Map};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A setting that must be a string, if it is there.
///
/// # Errors
/// `E0202` when it is something else.
pub(crate) fn text(cfg: &Map, key: &str) -> Result<Option<String>> {
    match cfg.get(key) {
        None => Ok(None),
        Some(d) if d.is_unit() => Ok(None),
        Some(d) if d.is_string() => Ok(Some(d.to_string())),
        Some(d) => Err(Error::value("run", format!("`{key}` must be a string, got {}", type_name(d)))),
    }
}

/// How a run is opened, from the settings and from how the program was started.
///
/// # Errors
/// `E0202` when a setting is of another type than it must be.
pub(crate) fn options(cx: &Cx, cfg: &Map, force: bool) -> Result<train::Options> {
    let context = cx.host().get::<RunContext>();
    let unit = cx.source().unwrap_or("script").to_owned();
    let stem = Path::new(&unit).file_stem().map(|s| s.to_string_lossy().into_owned());
    let name = text(cfg, "exp_name")?.or(stem).unwrap_or_default();
    let output_dir = PathBuf::from(text(cfg, "output_dir")?.unwrap_or_else(|| "exps".into()));
    let int = |key: &str| match cfg.get(key) {
        None => Ok(0),
        Some(d) => d.as_int().map_err(|_| Error::value("run", format!("`{key}` must be an int, got {}", type_name(d)))),
    };
    let seed = int("seed")?;
    let resume_step = u64::try_from(int("resume_step")?).ok().filter(|step| *step > 0);
    let Value::Object(config) = to_json(&Dynamic::from(cfg.clone())) else { unreachable!("a map becomes an object") };
    let force = force || cfg.get("force").is_some_and(|f| f.as_bool().unwrap_or(false));
    let allowed = train::Allowed::parse(force, &text(cfg, "allow_change")?.unwrap_or_default(), &config)?;
    let mut o = train::Options { output_dir, name, seed, config, script: unit, allowed, resume_step, ..train::Options::default() };
    match context {
        Some(context) => {
            // Another script's settings may be passed on from the one that was started: a comment must be true of the value.
            for chosen in context.config.iter().filter(|c| cfg.get(c.name.as_str()).is_some_and(|v| to_json(v) == to_json(&c.value))) {
                if chosen.origin != Origin::Default {
                    o.origins.insert(chosen.name, chosen.origin.to_string());
                }
            }
            o.command = context.args.clone();
            let Value::Object(settings) = to_json(&Dynamic::from(context.config.map())) else { unreachable!("a map becomes an object") };
            o.settings = Some(settings);
        }
        None => o.command = std::env::args().collect(),
    }
    let current = cx.program()?.current();
    o.sources = current.recorded();
    if let Some(hot) = cx.host().get::<Hot>()
        && let Some(replay) = hot.replay()
    {
        o.expected = replay.expected(&o.name);
        (o.name, o.output_dir) = (replay.name_of(&o.name), replay.output_dir().to_owned());
        if o.config.contains_key("exp_name") {
            o.config.insert("exp_name".into(), o.name.clone().into());
        }
    }
    o.reloads = current.number.saturating_sub(1);
    Ok(o)
}
