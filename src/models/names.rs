//! State dicts inside checkpoints of whole runs.

use crate::error::{Error, Result};
use crate::nn::State;

/// The entries of one model of a checkpoint, without their common prefix (`vae.`, `module.`, `first_stage_model.`, ...). `anchor` is a
/// name that every such model has: what stands before it is the prefix.
///
/// # Errors
/// `E0401` when the checkpoint holds several of them, such as a model and its moving average.
pub fn strip_prefix(state: &State, anchor: &str) -> Result<State> {
    strip_prefixes(state, &[anchor], &[])
}

/// The same where a model has one of several `anchors`, and where of several models in the checkpoint the `preferred` prefix is meant.
///
/// # Errors
/// As [`strip_prefix`].
pub fn strip_prefixes(state: &State, anchors: &[&str], preferred: &[&str]) -> Result<State> {
    let prefix = |k: &'_ str| anchors.iter().find_map(|a| k.strip_suffix(a).map(str::len));
    let mut prefixes: Vec<&str> = state.keys().filter_map(|k| prefix(k).map(|n| &k[..n])).filter(|p| p.is_empty() || p.ends_with('.')).collect();
    if let Some(choice) = preferred.iter().find(|p| prefixes.contains(p)) {
        prefixes = vec![choice];
    }
    match *prefixes {
        [] | [""] => Ok(state.clone()),
        [prefix] => Ok(state.iter().filter_map(|(k, v)| Some((k.strip_prefix(prefix)?.to_owned(), v.clone()))).collect()),
        _ => {
            let list: Vec<String> = prefixes.iter().map(|p| format!("`{p}`")).collect();
            Err(Error::weights(format!("the checkpoint holds this model more than once, under {}", list.join(", ")))
                .help("load the one you want: keep its entries of `io::load(path)` and give that map to `load`"))
        }
    }
}
