//! Loading a state dict into a module, with a report of what did not match.

use super::module::{Module, State};
use crate::error::{Error, Result, did_you_mean};
use crate::torch::no_grad;

/// What loading a state left out.
#[derive(Debug, Default, Clone)]
pub struct LoadReport {
    /// Names of the module that the state lacks.
    pub missing: Vec<String>,
    /// Names of the state that the module lacks.
    pub unexpected: Vec<String>,
    /// Names whose shapes differ: `(name, the module's, the state's)`.
    pub mismatched: Vec<(String, Vec<i64>, Vec<i64>)>,
}

impl LoadReport {
    /// Whether every name matched.
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty() && self.mismatched.is_empty()
    }
}

impl Module {
    /// Copies a state dict in, read by the model's own import where it has other names. Nothing is changed unless everything
    /// fits, or `strict` is off.
    ///
    /// # Errors
    /// `E0401` with the difference: missing, unexpected, and mismatched names.
    pub fn load_state(&self, state: &State, strict: bool) -> Result<LoadReport> {
        let own = self.state();
        let same = own.len() == state.len() && own.iter().zip(state).all(|((a, t), (b, u))| a == b && t.shape() == u.shape());
        let imported = match self.import() {
            Some(import) if !same => Some(import(state)?),
            _ => None,
        };
        let state = imported.as_ref().unwrap_or(state);
        let mut report = LoadReport::default();
        let mut pairs = Vec::new();
        for (name, to) in &own {
            match state.get(name) {
                None => report.missing.push(name.clone()),
                Some(from) if from.shape() != to.shape() => report.mismatched.push((name.clone(), to.shape(), from.shape())),
                Some(from) => pairs.push((to, from)),
            }
        }
        report.unexpected = state.keys().filter(|k| !own.contains_key(*k)).cloned().collect();
        if strict && !report.is_complete() {
            return Err(self.difference(&report, own.keys().map(String::as_str)));
        }
        for (to, from) in pairs {
            no_grad(|| to.copy_(from))?;
        }
        Ok(report)
    }

    fn difference<'a>(&self, r: &LoadReport, own: impl Iterator<Item = &'a str> + Clone) -> Error {
        let mut parts = Vec::new();
        if !r.missing.is_empty() {
            parts.push(format!("{} missing: {}", r.missing.len(), shown(&r.missing)));
        }
        if let Some(first) = r.unexpected.first() {
            let near = did_you_mean(first, own);
            parts.push(format!("{} unexpected: {}{near}", r.unexpected.len(), shown(&r.unexpected)));
        }
        if !r.mismatched.is_empty() {
            let list: Vec<String> = r.mismatched.iter().map(|(n, a, b)| format!("{n} is {a:?} here and {b:?} in the file")).collect();
            parts.push(format!("{} of another shape: {}", list.len(), shown(&list)));
        }
        Error::weights(format!("the weights do not belong to this {}: {}", self.kind(), parts.join("; ")))
            .help("check the architecture options; `#{strict: false}` loads what fits")
    }
}

/// The first few names, and how many more there are.
fn shown(names: &[String]) -> String {
    const SHOWN: usize = 6;
    let more = names.len().saturating_sub(SHOWN);
    let list = names.iter().take(SHOWN).map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{list} and {more} more") } else { list }
}
