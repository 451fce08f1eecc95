//! State dicts in files.

use super::State;
use crate::error::{Error, Result};
use crate::torch::files::{read_pt, read_safetensors, state_dict};
use std::path::Path;

/// The weights in a file: safetensors by its extension, otherwise a PyTorch checkpoint (`.pt`, `.pth`, `.bin`, `.ckpt`), in which `key`
/// names the place of the weights (`model`, `state_dict.ema`); without it the usual places are looked at, an average of weights first.
///
/// # Errors
/// `E0301` when the file cannot be read, `E0302` when it is damaged or holds no weights.
pub fn read_state(path: &Path, key: Option<&str>) -> Result<State> {
    if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("safetensors")) {
        let (state, _) = read_safetensors(path)?;
        let Some(key) = key else { return Ok(state) };
        let below: State = state.into_iter().filter_map(|(k, v)| Some((k.strip_prefix(key)?.strip_prefix('.')?.to_owned(), v))).collect();
        return if below.is_empty() { Err(Error::data(path, format!("no tensor lies below `{key}`"))) } else { Ok(below) };
    }
    state_dict(&read_pt(path)?, key)?.ok_or_else(|| Error::data(path, "holds no weights").help("`io::load(path)` shows what it holds"))
}
