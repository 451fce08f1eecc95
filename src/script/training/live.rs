//! Settings that change while a script runs: defaults in `fn params()` and values in configuration files, read anew at a reload.

use crate::error::Result;
use crate::script::lang::value::to_json;
use crate::script::settings::params::{Config, Origin, Params};
use crate::train::edits::SettingChange;
use rhai::Dynamic;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Makes the values of a run from a script's settings: adds those that every script has, then reads files and flags.
pub type Choose = Box<dyn Fn(Params) -> Result<(Params, Config)>>;

/// The settings of a running script.
pub(crate) struct Live {
    choose: Choose,
    /// As the newest texts declare them.
    params: Params,
    /// The values that run.
    running: Config,
    /// Configuration files.
    pub files: Vec<PathBuf>,
    /// What was said already.
    said: BTreeSet<String>,
}

/// What an edit of settings comes to.
#[derive(Default)]
pub(crate) struct Plan {
    /// What takes effect.
    pub apply: Vec<SettingChange>,
    /// What does not, and why: each is said once.
    pub notes: Vec<String>,
    next: Option<(Params, Config)>,
}

fn json(value: Option<&Dynamic>) -> Value {
    value.map_or(Value::Null, to_json)
}

impl Live {
    pub(crate) fn new(choose: Choose, params: Params, config: Config, files: Vec<PathBuf>) -> Self {
        Live { choose, params, running: config, files, said: BTreeSet::new() }
    }

    /// Compares the settings that new texts declare with those that run. Nothing changes yet.
    ///
    /// # Errors
    /// What is wrong with a configuration file, or with a value.
    pub(crate) fn plan(&self, params: Params) -> Result<Plan> {
        let (params, config) = (self.choose)(params)?;
        let mut plan = Plan::default();
        for chosen in config.iter() {
            let running = self.running.get(&chosen.name);
            let change = SettingChange { name: chosen.name.clone(), old: json(running), new: to_json(&chosen.value) };
            if running.is_some() && change.old == change.new {
                plan.notes.extend(self.covered(&params, &chosen.name, &chosen.origin));
            } else if running.is_none() || params.get(&chosen.name).is_some_and(|a| a.live) {
                plan.apply.push(change);
            } else {
                plan.notes.push(format!("{change} needs a restart: the setting is not `live`"));
            }
        }
        plan.next = Some((params, config));
        Ok(plan)
    }

    /// Says that an edited default has no effect, where a flag or a file goes before it.
    fn covered(&self, params: &Params, name: &str, origin: &Origin) -> Option<String> {
        let (old, new) = (self.params.get(name)?, params.get(name)?);
        let place = match origin {
            Origin::Flag(flag) => format!("the flag {flag}"),
            Origin::File(path, line) => format!("{}:{line}", path.display()),
            Origin::Default | Origin::Lathe => return None,
        };
        (to_json(&old.default) != to_json(&new.default))
            .then(|| format!("`{name}` stays {}: {place} goes before the edited default", json(self.running.get(name))))
    }

    /// Takes a plan over; returns what is to be said for the first time.
    pub(crate) fn accept(&mut self, plan: Plan) -> Vec<String> {
        let Some((params, config)) = plan.next else { return Vec::new() };
        for change in &plan.apply {
            if let Some(value) = config.get(&change.name) {
                let origin = config.origin(&change.name).cloned().unwrap_or(Origin::Lathe);
                self.running.fill(&change.name, value.clone(), origin);
            }
        }
        self.params = params;
        plan.notes.into_iter().filter(|n| self.said.insert(n.clone())).collect()
    }
}
