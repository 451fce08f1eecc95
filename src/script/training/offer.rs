//! An edit on its way from rank 0 to the others: whole texts and settings, so that no rank reads them from a disk by itself.

use super::live::Plan;
use crate::error::{Error, Result};
use crate::script::units::swap::Prepared;
use crate::train::edits::SettingChange;
use crate::train::{Source, Sources};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What all ranks are to run.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Offer {
    entry: String,
    units: Vec<Unit>,
    /// The settings that get other values.
    pub settings: Vec<SettingChange>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Unit {
    id: String,
    shown: String,
    text: String,
    imports: BTreeMap<String, String>,
}

fn broken(e: &serde_json::Error) -> Error {
    Error::run(format!("an edit cannot be sent: {e}"))
}

impl Offer {
    /// As it is sent.
    pub fn text(prepared: &Prepared, plan: &Plan) -> Result<Vec<u8>> {
        let Sources { entry, units } = prepared.recorded();
        let unit = |s: Source| Unit { id: s.id, shown: s.shown, text: s.text.to_string(), imports: s.imports };
        let offer = Offer { entry, units: units.into_iter().map(unit).collect(), settings: plan.apply.clone() };
        serde_json::to_vec(&offer).map_err(|e| broken(&e))
    }

    /// As it comes.
    pub fn read(text: &[u8]) -> Result<Offer> {
        serde_json::from_slice(text).map_err(|e| broken(&e))
    }

    /// Its scripts.
    pub fn sources(self) -> Sources {
        let unit = |u: Unit| Source { id: u.id, shown: u.shown, text: u.text.into(), imports: u.imports };
        Sources { entry: self.entry, units: self.units.into_iter().map(unit).collect() }
    }
}
