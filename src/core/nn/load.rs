//! Loading a state dict into a module, with a report of what did not match.

use super::module::{Module, State};
use super::others;
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

    /// Without the names that begin with one of `optional`.
    fn without(&self, optional: &[String]) -> LoadReport {
        let needed = |name: &str| !optional.iter().any(|p| name.starts_with(p.as_str()));
        LoadReport {
            missing: self.missing.iter().filter(|n| needed(n)).cloned().collect(),
            unexpected: self.unexpected.iter().filter(|n| needed(n)).cloned().collect(),
            mismatched: self.mismatched.iter().filter(|m| needed(&m.0)).cloned().collect(),
        }
    }
}

impl Module {
    /// Copies a state dict in, read by the model's own import where it has other names. Nothing is changed unless everything
    /// fits, or `strict` is off.
    ///
    /// # Errors
    /// `E0401` with the difference: missing, unexpected, and mismatched names.
    pub fn load_state(&self, state: &State, strict: bool) -> Result<LoadReport> {
        self.compare(state, strict, &[], true)
    }

    /// The same, where names that begin with one of `optional` may be missing, left over or of another shape: the module keeps its own there.
    ///
    /// # Errors
    /// As [`Module::load_state`].
    pub fn load_state_but(&self, state: &State, optional: &[String]) -> Result<LoadReport> {
        self.compare(state, true, optional, true)
    }

    /// Whether [`Module::load_state`] would take it all; nothing is changed.
    ///
    /// # Errors
    /// `E0401` with the difference.
    pub fn check_state(&self, state: &State) -> Result<()> {
        self.compare(state, true, &[], false).map(|_| ())
    }

    fn compare(&self, state: &State, strict: bool, optional: &[String], copy: bool) -> Result<LoadReport> {
        let own = self.state();
        let imported = self.imported(state)?;
        let state = imported.as_ref().unwrap_or(state);
        let mut report = LoadReport::default();
        let (mut pairs, mut counters) = (Vec::new(), 0);
        for (name, to) in &own {
            match state.get(name) {
                // PyTorch takes files without these counters too: those made before it had them, and stripped ones.
                None if is_counter(name, state) => counters += 1,
                None => report.missing.push(name.clone()),
                Some(from) if from.shape() != to.shape() => report.mismatched.push((name.clone(), to.shape(), from.shape())),
                Some(from) => pairs.push((to, from)),
            }
        }
        report.unexpected = state.keys().filter(|k| !own.contains_key(*k)).cloned().collect();
        let needed = report.without(optional);
        if strict && !needed.is_complete() {
            return Err(self.difference(&needed, own.len(), state.len(), own.keys().map(String::as_str)));
        }
        if let Some(check) = self.check().filter(|_| strict && copy) {
            check(state)?;
        }
        if counters > 0 && copy {
            tracing::info!("the weights of the {} have no `num_batches_tracked`: the {counters} counters of its batch norms stay", self.kind());
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
        let is_own = own.len() == state.len() && own.iter().zip(state).all(|((a, t), (b, u))| a == b && t.shape() == u.shape());
        if is_own && !self.reads_own() {
            return Ok(None);
        }
        let plain = others::with_own_names(&own, state);
        let from = plain.as_ref().unwrap_or(state);
        if let Some(import) = self.import() {
            return import(from).map(Some);
        }
        Ok(others::unwrapped(&own, from).or(plain))
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
        let only = |prefix: &str| r.unexpected.is_empty() && r.mismatched.is_empty() && r.missing.iter().all(|n| n.starts_with(prefix));
        let advice = self.advice().filter(|(prefix, _)| only(prefix)).map(|(_, help)| help);
        let counts = format!("it has {needed} tensors, the weights are {given}");
        Error::weights(format!("the weights do not belong to this {} ({counts}): {}", self.kind(), parts.join("; ")))
            .help(advice.unwrap_or("check the architecture options; `#{strict: false}` loads what fits"))
    }
}

/// Whether a name that is missing is the counter of a batch norm whose statistics are there.
fn is_counter(name: &str, state: &State) -> bool {
    name.strip_suffix("num_batches_tracked").is_some_and(|norm| state.contains_key(&format!("{norm}running_var")))
}

/// The first few names, and how many more there are.
fn shown(names: &[String]) -> String {
    const SHOWN: usize = 6;
    let more = names.len().saturating_sub(SHOWN);
    let list = names.iter().take(SHOWN).map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{list} and {more} more") } else { list }
}
