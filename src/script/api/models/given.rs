//! Weights as scripts give them.

use crate::error::{Error, Result};
use crate::models::published;
use crate::models::vae::quant_convs;
use crate::nn::{LoadReport, Module, State, Weights, read_state};
use crate::script::Cx;
use crate::script::lang::value::FromArg;
use crate::torch::Tensor;
use rhai::{Array, Dynamic, Map};
use std::path::PathBuf;

/// A map of tensors, or a file or folder that is listed and not yet read.
pub(crate) enum Given {
    Map(State),
    Files(Weights),
}

impl Given {
    /// Opens what a script named.
    pub(crate) fn open(cx: &Cx, given: &Dynamic) -> Result<Given> {
        let Some(path) = String::from_dynamic(given) else { return state(cx, given).map(Given::Map) };
        Weights::open(&place(cx, &path)?).map(Given::Files)
    }

    /// Loads the module's part, with what [`Module::load_state_but`] calls `optional`.
    pub(crate) fn load(&self, module: &Module, key: Option<&str>, strict: bool, optional: &[String]) -> Result<LoadReport> {
        let copy = |state: &State| if strict { module.load_state_but(state, optional) } else { module.load_state(state, false) };
        match self {
            Given::Map(_) if key.is_some() => Err(Error::value("weights", "option `key` is for files and folders")),
            Given::Map(state) => copy(state),
            Given::Files(weights) => {
                let state = weights.for_module(module, key)?;
                copy(&state).map_err(|e| e.context(format!("`{}`", weights.path().display())))
            }
        }
    }

    /// Whether the autoencoders in it have a `quant_conv` and a `post_quant_conv`; `None` where there is none, or they differ.
    pub(crate) fn quant_convs(&self, key: Option<&str>) -> Result<Option<[bool; 2]>> {
        let names: Vec<Vec<String>> = match self {
            Given::Map(state) => vec![state.keys().cloned().collect()],
            Given::Files(weights) => weights.below(key)?.into_iter().map(|p| p.shapes.into_iter().map(|(name, _)| name).collect()).collect(),
        };
        let mut found = names.iter().filter_map(|names| quant_convs(names.iter().map(String::as_str)));
        let first = found.next();
        Ok(first.filter(|f| found.all(|other| other == *f)))
    }
}

/// Loads the weights that an option gave, if it gave any.
pub(crate) fn load(cx: &Cx, module: &Module, given: Option<Dynamic>, key: Option<String>) -> Result<()> {
    given.map(|g| Given::open(cx, &g)?.load(module, key.as_deref(), true, &[])).transpose().map(|_| ())
}

/// The tensors of a map, or of files.
pub(crate) fn state(cx: &Cx, given: &Dynamic) -> Result<State> {
    if let Some(map) = Map::from_dynamic(given) {
        let entry =
            |(k, v): (_, &Dynamic)| Tensor::from_dynamic(v).map(|t| (k, t)).ok_or_else(|| Error::value("weights", "the map must hold tensors only"));
        return map.iter().map(|(k, v)| entry((k.to_string(), v))).collect();
    }
    let mut state = State::new();
    for path in files(cx, given)? {
        state.extend(read_state(&path, None)?);
    }
    Ok(state)
}

/// The paths that a script named: one, or an array.
pub(crate) fn files(cx: &Cx, given: &Dynamic) -> Result<Vec<PathBuf>> {
    let many = || Array::from_dynamic(given)?.iter().map(String::from_dynamic).collect::<Option<Vec<_>>>();
    let names = String::from_dynamic(given).map(|p| vec![p]).or_else(many);
    let names = names.ok_or_else(|| Error::value("weights", "must be a path, an array of paths, or a map of tensors"))?;
    let mut all = Vec::new();
    for name in &names {
        for path in cx.weight_files(name)? {
            cx.readable_within(&path)?;
            all.push(path);
        }
    }
    Ok(all)
}

/// The file or folder of weights that a script named, by a path, a reference or a published name, when the script may read it.
pub(crate) fn place(cx: &Cx, name: &str) -> Result<PathBuf> {
    let path = cx.weights(name)?;
    cx.readable_within(&path)?;
    Ok(path)
}

/// The files of published weights; `missing` is the error where they are not there and may not be fetched.
pub(crate) fn published(cx: &Cx, name: &str, missing: impl FnOnce() -> Error) -> Result<Vec<PathBuf>> {
    cx.fetched(&published::find(name)?, missing)
}
