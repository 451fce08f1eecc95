//! Which part of a checkpoint is meant, and which of its tensors.

use super::{Part, Weights, listed};
use crate::error::{Error, Result, did_you_mean};
use crate::nn::{Module, State, others};
use crate::torch::{DType, Device, Tensor};
use std::collections::{HashMap, HashSet};

/// Where checkpoints keep weights, best first: an average of them is what its author evaluated.
const USUAL: &[&str] = &["ema", "model_ema", "ema_model", "state_dict", "model", "module", "net", "network", "weights", "params", "vae", "encoder"];

/// How far a part is a module's weights.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Fit {
    /// Names of the module that it has in the right size.
    matched: usize,
    /// Whether it has all of them and nothing else.
    whole: bool,
}

impl Weights {
    /// The weights of the module in it. `key` names the part, or the dict around it; without it the part is the one whose names and
    /// sizes are the module's own. Of a model and its moving average the average is taken, with a word in the log.
    ///
    /// Only what the module takes is read; every other name stands for an empty tensor of its size, so that loading reports it.
    ///
    /// # Errors
    /// `E0302` when `key` is not there, or a tensor that is needed has a type that no tensor here can hold; `E0401` when several parts fit or
    /// none does, with the list of all; what reading says.
    pub fn for_module(&self, module: &Module, key: Option<&str>) -> Result<State> {
        let part = self.part_for(module, key)?;
        let sketch = sketch(&part)?;
        let Some(needed) = needed(module, &sketch) else { return part.read() };
        let taken = part.take(&|name| needed.contains(name))?;
        if !taken.unread.is_empty() {
            let message = format!("{} of it is needed, and of a type that is not known", listed(&taken.unread));
            return Err(self.bad(message).help("save it as f32, f16 or bf16: `{k: v.float() for k, v in state.items()}` in PyTorch"));
        }
        let mut read = taken.tensors;
        Ok(sketch.into_iter().map(|(name, empty)| read.shift_remove(&name).map(|t| (name.clone(), t)).unwrap_or((name, empty))).collect())
    }

    fn part_for(&self, module: &Module, key: Option<&str>) -> Result<Part> {
        let parts = self.below(key)?;
        if let [only] = parts.as_slice() {
            return Ok(only.clone());
        }
        let mut fits = Vec::with_capacity(parts.len());
        for part in &parts {
            fits.push(fit(module, part)?);
        }
        let whole = fits.iter().any(|f| f.whole);
        let best = fits.iter().map(|f| f.matched).max().unwrap_or(0);
        let wanted = |f: &Fit| if whole { f.whole } else { f.matched == best };
        let candidates: Vec<&Part> = parts.iter().zip(&fits).filter(|(_, f)| wanted(f)).map(|(p, _)| p).collect();
        if best == 0 {
            let message = format!("`{}`: none of its parts is the weights of this {}: {}", self.path.display(), module.kind(), self.listing());
            return Err(Error::weights(message).help("check the architecture options; `#{key: \"...\"}` names a part"));
        }
        self.one_of(&candidates, &format!("weights of this {}", module.kind()))
    }

    /// The only candidate, or the only average among them.
    fn one_of(&self, candidates: &[&Part], what: &str) -> Result<Part> {
        let averages: Vec<&&Part> = candidates.iter().filter(|p| p.is_average()).collect();
        match (candidates, averages.as_slice()) {
            ([one], _) => Ok((*one).clone()),
            (many, [average]) => {
                let others: Vec<String> = many.iter().filter(|p| p.name != average.name).map(|p| p.label()).collect();
                tracing::info!("`{}`: takes the moving average `{}`; other {what} in it: {}", self.path.display(), average.name, others.join(", "));
                Ok((**average).clone())
            }
            (many, _) => {
                let list: Vec<String> = many.iter().map(|p| p.label()).collect();
                let first = many.first().map_or("", |p| p.name.as_str());
                Err(Error::weights(format!("`{}` holds {what} more than once: {}", self.path.display(), list.join(", ")))
                    .help(format!("say which: `#{{key: \"{first}\"}}`, or `--key {first}` of `lathe convert`")))
            }
        }
    }

    /// The part of which `is` holds, chosen as for a module.
    ///
    /// # Errors
    /// `E0302` when `key` is not there, `E0401` when none or several are.
    pub fn part_where(&self, key: Option<&str>, what: &str, is: impl Fn(&Part) -> bool) -> Result<Part> {
        let parts = self.below(key)?;
        let found: Vec<&Part> = parts.iter().filter(|p| is(p)).collect();
        if found.is_empty() {
            return Err(Error::weights(format!("`{}` holds no {what}: {}", self.path.display(), self.listing())));
        }
        self.one_of(&found, what)
    }

    /// The names and sizes of the one network in it that has `anchor`, behind any prefix, as tensors without data: the average, where there is one.
    ///
    /// # Errors
    /// As [`Weights::part_where`].
    pub fn sketch_of(&self, key: Option<&str>, what: &str, anchor: &str) -> Result<State> {
        let has = |p: &Part| p.shapes.iter().any(|(name, _)| others::plain_name(name).ends_with(anchor));
        // Loading the weights says which part it takes.
        let part = quietly(|| self.part_where(key, what, has))?;
        Ok(others::plain(&sketch(&part)?))
    }

    /// The part without anything known of it: the only one, or the first usual name.
    ///
    /// # Errors
    /// `E0302` when `key` is not there or the choice is open.
    pub(super) fn usual(&self, key: Option<&str>) -> Result<Part> {
        let parts = self.below(key)?;
        if let [only] = parts.as_slice() {
            return Ok(only.clone());
        }
        // `state_dict.ema` before `state_dict`: the better name decides wherever it stands.
        let last = |p: &Part| p.name.rsplit('.').next().unwrap_or_default().to_owned();
        let usual = USUAL.iter().find_map(|k| parts.iter().find(|p| last(p) == *k));
        let top = || parts.iter().find(|p| p.name.is_empty());
        usual
            .or_else(top)
            .cloned()
            .ok_or_else(|| self.bad(format!("holds several dicts of tensors: {}", self.listing())).help("`key` names the one that is meant"))
    }

    /// The parts at or below `key`: a place, a dict around places, or a prefix of the names in a flat file.
    ///
    /// # Errors
    /// `E0302` when `key` is not there.
    pub fn below(&self, key: Option<&str>) -> Result<Vec<Part>> {
        let Some(key) = key else { return Ok(self.parts.clone()) };
        let prefix = format!("{key}.");
        if let Some(exact) = self.parts.iter().find(|p| p.name == key) {
            return Ok(vec![exact.clone()]);
        }
        let inside: Vec<Part> = self.parts.iter().filter(|p| p.name.starts_with(&prefix)).cloned().collect();
        if !inside.is_empty() {
            return Ok(inside);
        }
        let flat: Vec<Part> = self.parts.iter().map(|p| p.below(&prefix)).filter(|p| !p.shapes.is_empty()).collect();
        if !flat.is_empty() {
            return Ok(flat);
        }
        let near = did_you_mean(key, self.parts.iter().map(|p| p.name.as_str()));
        Err(self.bad(format!("no weights at `{key}`{near}")).help(format!("it has: {}", self.listing())))
    }
}

/// Tensors of a part's names and sizes that take no memory: an import that renames and reshapes sees no difference.
fn sketch(part: &Part) -> Result<State> {
    let empty = |(name, shape): &(String, Vec<i64>)| Ok((name.clone(), Tensor::zeros(&[], DType::Half, Device::Cpu)?.expand(shape)?));
    part.shapes.iter().map(empty).collect()
}

/// The names of the tensors from which the module's own would be copied. `None` where that cannot be told: an import that computes something of
/// them, or one that refuses.
fn needed(module: &Module, sketch: &State) -> Option<HashSet<String>> {
    let places: HashMap<usize, &String> = sketch.iter().map(|(name, t)| (t.id().0, name)).collect();
    let imported = quietly(|| module.imported(sketch)).ok()?;
    let state = imported.as_ref().unwrap_or(sketch);
    let taken = module.state().into_iter().filter_map(|(name, _)| state.get(&name).cloned());
    taken.map(|t| places.get(&t.id().0).map(|name| (*name).clone())).collect()
}

/// Runs something that is only a trial: what it writes to the log is left out.
fn quietly<T>(trial: impl FnOnce() -> T) -> T {
    tracing::subscriber::with_default(tracing::subscriber::NoSubscriber::default(), trial)
}

/// How well a part's names and sizes, read by the module's own import, are the module's.
fn fit(module: &Module, part: &Part) -> Result<Fit> {
    let Ok(sketch) = sketch(part) else { return Ok(Fit { matched: 0, whole: false }) };
    let own = module.state();
    // An import that refuses the names leaves them as they are; loading then says what it says.
    let state = quietly(|| module.imported(&sketch)).ok().flatten().unwrap_or(sketch);
    let matched = own.iter().filter(|(name, t)| state.get(*name).is_some_and(|s| s.shape() == t.shape())).count();
    Ok(Fit { matched, whole: matched == own.len() && state.len() == own.len() })
}
