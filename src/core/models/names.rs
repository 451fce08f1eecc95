//! State dicts inside checkpoints of whole runs.

use crate::error::{Error, Result};
use crate::nn::State;
use crate::nn::weights::is_average;

/// The entries of one model of a checkpoint, without their common prefix (`vae.`, `module.`, `first_stage_model.`, ...). `anchor` is a
/// name that every such model has: what stands before it is the prefix. Of a model and its moving average it is the average, as everywhere.
///
/// # Errors
/// `E0401` when the checkpoint holds several of them and not exactly one is an average.
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
        _ if prefixes.iter().filter(|p| is_average(p)).count() == 1 => {
            let prefix = prefixes.iter().find(|p| is_average(p)).copied().unwrap_or_default();
            tracing::info!("takes the moving average, which lies under `{prefix}`; the same network also lies under {}", others(&prefixes, prefix));
            Ok(state.iter().filter_map(|(k, v)| Some((k.strip_prefix(prefix)?.to_owned(), v.clone()))).collect())
        }
        _ => {
            let list: Vec<String> = prefixes.iter().map(|p| format!("`{p}`")).collect();
            Err(Error::weights(format!("the checkpoint holds this model more than once, under {}", list.join(", ")))
                .help(format!("say which: `#{{key: \"{}\"}}`", prefixes.iter().find(|p| !p.is_empty()).map_or("", |p| p.trim_end_matches('.')))))
        }
    }
}

fn others(all: &[&str], one: &str) -> String {
    all.iter().filter(|p| **p != one).map(|p| if p.is_empty() { "no prefix".to_owned() } else { format!("`{p}`") }).collect::<Vec<_>>().join(", ")
}
