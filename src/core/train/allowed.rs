//! What a run may go on with although it is not what it was begun with: everything by force, or what was named.

use crate::data::Changed;
use crate::error::{Error, Result, did_you_mean};
use serde_json::{Map, Value};

/// What may differ when a run goes on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowed {
    /// Everything.
    pub force: bool,
    /// The settings that were named, such as `batch_size` or `data_dir`.
    pub names: Vec<String>,
}

impl Allowed {
    /// Reads `batch_size,data_dir`: names of settings in `config`.
    ///
    /// # Errors
    /// `E0101` for a name that is no setting, with the nearest.
    pub fn parse(force: bool, text: &str, config: &Map<String, Value>) -> Result<Allowed> {
        let names: Vec<String> = text.split(',').map(|n| n.trim().replace('-', "_")).filter(|n| !n.is_empty()).collect();
        if let Some(name) = names.iter().find(|n| !config.contains_key(*n)) {
            let near = did_you_mean(name, config.keys().map(String::as_str));
            return Err(Error::usage(format!("--allow-change `{name}`: there is no such setting{near}")));
        }
        Ok(Allowed { force, names })
    }

    /// Whether a setting may differ; of one in a group, its group.
    pub fn has(&self, setting: &str) -> bool {
        let top = setting.split('.').next().unwrap_or(setting);
        self.force || self.names.iter().any(|n| n == top)
    }

    /// What that allows a loader: batches of another size, another set.
    pub fn loader(&self) -> Changed {
        let any = |names: &[&str]| names.iter().any(|n| self.has(n));
        Changed { batch: any(&["batch_size", "batch"]), set: any(&["data_dir", "data"]) }
    }
}
