//! Names that training software changed: words of wrapper modules inside them, and averages under names without dots.

use super::module::State;
use indexmap::IndexMap;
use std::collections::HashMap;

/// What DataParallel, torch.compile, FSDP and activation checkpointing put into names.
const WRAPPERS: [&str; 4] = ["module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"];

/// A name without the words of wrappers, wherever they stand: `encoder._orig_mod.conv_in.weight` -> `encoder.conv_in.weight`.
pub fn plain_name(name: &str) -> String {
    without(name, &WRAPPERS, 0)
}

/// A state dict without the words of wrappers behind the first part of each name: what stands first is a prefix like any other.
pub fn plain(state: &State) -> State {
    inner(state, &WRAPPERS).unwrap_or_else(|| state.clone())
}

/// The state dict as a module with the names of `own` would have saved it, as far as the changes are known: `None` where there are none. A word
/// that is one of the module's own stays.
pub(super) fn with_own_names(own: &State, state: &State) -> Option<State> {
    let unwrapped = inner(state, &foreign_words(own));
    let averaged = average(own, unwrapped.as_ref().unwrap_or(state));
    averaged.or(unwrapped)
}

/// Without the wrappers that stand before every name, for modules that have no import of their own.
pub(super) fn unwrapped(own: &State, state: &State) -> Option<State> {
    let words = foreign_words(own);
    let mut out: Option<State> = None;
    loop {
        let from = out.as_ref().unwrap_or(state);
        let first = from.keys().next().and_then(|k| k.split_once('.')).map(|(word, _)| format!("{word}."));
        let Some(prefix) = first.filter(|p| words.contains(&p.trim_end_matches('.')) && from.keys().all(|k| k.starts_with(p))) else { return out };
        out = Some(from.iter().filter_map(|(k, v)| Some((k.strip_prefix(&prefix)?.to_owned(), v.clone()))).collect());
    }
}

fn foreign_words(own: &State) -> Vec<&'static str> {
    WRAPPERS.into_iter().filter(|w| !own.keys().any(|k| k.split('.').any(|part| part == *w))).collect()
}

fn without(name: &str, words: &[&str], keep: usize) -> String {
    let parts = name.split('.').enumerate().filter(|(i, part)| *i < keep || !words.contains(part));
    parts.map(|(_, part)| part).collect::<Vec<_>>().join(".")
}

/// Without the words behind the first part; a name that would then be another's stays as it is.
fn inner(state: &State, words: &[&str]) -> Option<State> {
    let wrapped = |k: &String| k.split('.').skip(1).any(|part| words.contains(&part));
    if !state.keys().any(wrapped) {
        return None;
    }
    let mut counts: HashMap<String, usize> = HashMap::new();
    state.keys().for_each(|k| *counts.entry(without(k, words, 1)).or_default() += 1);
    let name = |k: &String| Some(without(k, words, 1)).filter(|n| counts.get(n) == Some(&1)).unwrap_or_else(|| k.clone());
    Some(state.iter().map(|(k, v)| (name(k), v.clone())).collect())
}

/// The average that latent diffusion's `LitEma` keeps beside the weights: their names without dots below `model_ema.`, `decay` and `num_updates`. It
/// is left out where the weights themselves are there, and takes their names where it is all there is.
fn average(own: &State, state: &State) -> Option<State> {
    let is_place = |p: &&str| (p.is_empty() || p.ends_with('.')) && state.contains_key(&format!("{p}decay"));
    let place = state.keys().find_map(|k| k.strip_suffix("num_updates").filter(is_place))?;
    let flat = |name: &str| name.replace('.', "");
    let own_names: HashMap<String, &String> = own.keys().map(|k| (flat(k), k)).collect();
    let anchor = flat(own.keys().next()?);
    let is_inside = |k: &str| k.strip_prefix(place).is_some_and(|rest| place.is_empty() || !rest.contains('.'));
    let weights: State = state.iter().filter(|(k, _)| !is_inside(k)).map(|(k, v)| (k.clone(), v.clone())).collect();
    if weights.keys().any(|k| flat(k).ends_with(&anchor)) {
        let key = place.trim_end_matches('.');
        tracing::info!("takes the weights themselves; `#{{key: \"{key}\"}}` takes their average, which lies under `{place}` by names without dots");
        return Some(weights);
    }
    let inside = || state.keys().filter_map(|k| k.strip_prefix(place));
    // A model that was part of a larger one has that part's name before its own, without a dot as well.
    let before = inside().find_map(|k| k.strip_suffix(&anchor))?.to_owned();
    let named = state.iter().filter_map(|(k, v)| {
        let rest = k.strip_prefix(place)?;
        let name = rest.strip_prefix(&before).and_then(|r| own_names.get(r));
        match (name, rest) {
            (Some(name), _) => Some(((*name).clone(), v.clone())),
            (None, "decay" | "num_updates") => None,
            (None, _) => Some((k.clone(), v.clone())),
        }
    });
    let named: IndexMap<_, _> = named.collect();
    tracing::info!("takes the average that `LitEma` kept, whose names have no dots");
    Some(named)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::torch::{DType, Device, Tensor};

    fn state(names: &[&str]) -> State {
        names.iter().map(|n| ((*n).to_owned(), Tensor::zeros(&[1], DType::Float, Device::Cpu).unwrap())).collect()
    }

    fn names(state: Option<State>) -> Vec<String> {
        state.unwrap().keys().cloned().collect()
    }

    #[test]
    fn inner_wrappers_go_wherever_they_stand() {
        let own = state(&["blocks.0.attn.weight", "blocks.1.attn.weight"]);
        let file =
            state(&["module.blocks.0._checkpoint_wrapped_module._orig_mod.attn.weight", "module.blocks._fsdp_wrapped_module.1.module.attn.weight"]);
        let inner = with_own_names(&own, &file).unwrap();
        assert_eq!(names(unwrapped(&own, &inner)), ["blocks.0.attn.weight", "blocks.1.attn.weight"]);
        assert_eq!(plain_name("_orig_mod.encoder.module.conv_in.weight"), "encoder.conv_in.weight");
        // A module's own word stays, and so do names that would fall together.
        let own = state(&["head.module.weight"]);
        assert!(with_own_names(&own, &state(&["head.module.weight"])).is_none());
        assert_eq!(names(with_own_names(&state(&["a.b"]), &state(&["a.module.b", "a.b"]))), ["a.module.b", "a.b"]);
    }

    #[test]
    fn ldm_litema_names_without_dots() {
        let own = state(&["encoder.conv_in.weight", "decoder.b.0.bias"]);
        let average = ["model_ema.decay", "model_ema.num_updates", "model_ema.encoderconv_inweight", "model_ema.decoderb0bias"];
        let both = [&["encoder.conv_in.weight", "decoder.b.0.bias", "loss.x"][..], &average].concat();
        assert_eq!(names(with_own_names(&own, &state(&both))), ["encoder.conv_in.weight", "decoder.b.0.bias", "loss.x"]);
        assert_eq!(names(with_own_names(&own, &state(&average))), ["encoder.conv_in.weight", "decoder.b.0.bias"]);
        let bare = ["decay", "num_updates", "modelencoderconv_inweight", "modeldecoderb0bias", "other"];
        assert_eq!(names(with_own_names(&own, &state(&bare))), ["encoder.conv_in.weight", "decoder.b.0.bias", "other"]);
    }
}
