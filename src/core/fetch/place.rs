//! Where fetched files lie, and what the environment says of the hub: the variables of `huggingface_hub`, so that a file that Python has fetched is
//! found, and the other way round.

use crate::files;
use std::path::PathBuf;

fn var(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from)
}

fn text(name: &str) -> Option<String> {
    std::env::var(name).ok().map(|v| v.trim().to_owned()).filter(|v| !v.is_empty())
}

/// A folder of the user's cache: `XDG_CACHE_HOME`, else `~/.cache`.
fn in_cache(name: &str) -> Option<PathBuf> {
    var("XDG_CACHE_HOME").or_else(|| var("HOME").map(|h| h.join(".cache"))).map(|c| c.join(name))
}

/// Where things are kept that can be had again: `LATHE_CACHE`, else `lathe` in the user's cache folder.
pub fn cache_folder() -> Option<PathBuf> {
    var("LATHE_CACHE").or_else(|| in_cache("lathe"))
}

/// The folders that are searched for weights: `LATHE_WEIGHTS`, then `weights/` in the cache.
pub fn weight_folders() -> Vec<PathBuf> {
    var("LATHE_WEIGHTS").into_iter().chain(cache_folder().map(|c| c.join("weights"))).collect()
}

fn home() -> Option<PathBuf> {
    var("HF_HOME").or_else(|| in_cache("huggingface"))
}

/// The cache of the hub: `HF_HUB_CACHE`, else `hub` in `HF_HOME`, else in the user's cache folder.
pub fn hub_folder() -> Option<PathBuf> {
    var("HF_HUB_CACHE").or_else(|| var("HUGGINGFACE_HUB_CACHE")).or_else(|| home().map(|h| h.join("hub")))
}

/// The address of the hub, without a slash at its end: `HF_ENDPOINT` names a mirror.
pub(super) fn endpoint() -> String {
    text("HF_ENDPOINT").map_or_else(|| "https://huggingface.co".to_owned(), |e| e.trim_end_matches('/').to_owned())
}

/// Who the user is to the hub: `HF_TOKEN`, else what `hf auth login` wrote.
pub(super) fn token() -> Option<String> {
    let written = || {
        let file = var("HF_TOKEN_PATH").or_else(|| home().map(|h| h.join("token")))?;
        files::read_text(&file).ok().map(|t| t.trim().to_owned()).filter(|t| !t.is_empty())
    };
    text("HF_TOKEN").or_else(|| text("HUGGING_FACE_HUB_TOKEN")).or_else(written)
}

/// The variable that forbids the net, if one does.
pub fn offline() -> Option<&'static str> {
    let is_on = |name: &&str| text(name).is_some_and(|v| ["1", "on", "yes", "true"].contains(&v.to_lowercase().as_str()));
    ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"].into_iter().find(is_on)
}
