//! Where the weights of a vision model are.

use crate::error::{Error, Result};
use std::path::PathBuf;

/// Extensions under which weights may lie in a folder, best first.
const EXTENSIONS: [&str; 3] = ["safetensors", "pth", "pt"];

/// The given file, or the first `NAME.pth` (or `.safetensors`, `.pt`) in the folders that may hold one.
pub fn weights(name: &str, given: Option<PathBuf>) -> Result<PathBuf> {
    if let Some(path) = given {
        return Ok(path);
    }
    let folders = folders();
    let candidates = folders.iter().flat_map(|f| EXTENSIONS.map(|e| f.join(format!("{name}.{e}"))));
    candidates.into_iter().find(|p| p.is_file()).ok_or_else(|| {
        let first = folders.last().cloned().unwrap_or_default().join(format!("{name}.pth"));
        Error::io("find the weights", first, std::io::ErrorKind::NotFound.into())
            .help("`make weights` fetches them once; or give the file: `#{weights: \"path/to/file.pth\"}`")
    })
}

/// The folders that are searched for weights: `LATHE_WEIGHTS`, then `weights/` in the cache.
pub fn folders() -> Vec<PathBuf> {
    var("LATHE_WEIGHTS").into_iter().chain(cache().map(|c| c.join("weights"))).collect()
}

/// Where things are kept that can be had again: `LATHE_CACHE`, else `lathe` in the user's cache folder.
pub fn cache() -> Option<PathBuf> {
    var("LATHE_CACHE").or_else(|| var("XDG_CACHE_HOME").map(|c| c.join("lathe"))).or_else(|| var("HOME").map(|h| h.join(".cache").join("lathe")))
}

fn var(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from)
}
