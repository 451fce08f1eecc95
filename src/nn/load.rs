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
        self.compare(state, strict, true)
    }

    /// Whether [`Module::load_state`] would take it all; nothing is changed.
    ///
    /// # Errors
    /// `E0401` with the difference.
    pub fn check_state(&self, state: &State) -> Result<()> {
        self.compare(state, true, false).map(|_| ())
    }

    fn compare(&self, state: &State, strict: bool, copy: bool) -> Result<LoadReport> {
        let own = self.state();
        let imported = self.imported(state)?;
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
            return Err(self.difference(&report, own.len(), state.len(), own.keys().map(String::as_str)));
        }
        for (to, from) in pairs.into_iter().filter(|_| copy) {
            no_grad(|| to.copy_(from))?;
        }
        Ok(report)
    }

    /// The state with the module's own names, where it has others: by the model's import, without the prefix of a wrapper.
    pub(super) fn imported(&self, state: &State) -> Result<Option<State>> {
        let own = self.state();
        // An import may also fit sizes: position embeddings of another grid.
        if own.len() == state.len() && own.iter().zip(state).all(|((a, t), (b, u))| a == b && t.shape() == u.shape()) {
            return Ok(None);
        }
        if let Some(import) = self.import() {
            return import(state).map(Some);
        }
        // What DataParallel and torch.compile put before every name.
        const WRAPPERS: [&str; 2] = ["module.", "_orig_mod."];
        let mut inner: Option<State> = None;
        while let Some(w) =
            WRAPPERS.iter().find(|w| !own.keys().any(|k| k.starts_with(**w)) && inner.as_ref().unwrap_or(state).keys().all(|k| k.starts_with(**w)))
        {
            let from = inner.as_ref().unwrap_or(state);
            if from.is_empty() {
                break;
            }
            inner = Some(from.iter().filter_map(|(k, v)| Some((k.strip_prefix(*w)?.to_owned(), v.clone()))).collect());
        }
        Ok(inner)
    }

    fn difference<'a>(&self, r: &LoadReport, needed: usize, given: usize, own: impl Iterator<Item = &'a str> + Clone) -> Error {
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
        let counts = format!("it has {needed} tensors, the weights are {given}");
        Error::weights(format!("the weights do not belong to this {} ({counts}): {}", self.kind(), parts.join("; ")))
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
