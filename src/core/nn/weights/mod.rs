//! Published weights: files and folders of every usual kind, and the part of them that a module wants.
//!
//! A checkpoint of a training run holds several networks, averages of them and optimizers. [`Weights::open`] lists what there is
//! without reading it; [`Weights::for_module`] finds the part whose names and sizes are the module's, and says so when two parts are.

mod choose;
mod open;
#[cfg(test)]
mod tests;

pub(crate) use open::read_json;

use super::State;
use crate::error::{Error, Result};
use crate::torch::files::{Distributed, PtValue, Taken, read_some_safetensors};
use std::path::{Path, PathBuf};

/// What a file or folder of weights holds, listed and not yet read.
pub struct Weights {
    path: PathBuf,
    parts: Vec<Part>,
}

/// A dict of tensors.
#[derive(Clone)]
pub struct Part {
    /// Its place: `ema`, `state_dict`, the sub-folder of a pipeline; empty for the file itself.
    pub name: String,
    /// Names and sizes of its tensors.
    pub shapes: Vec<(String, Vec<i64>)>,
    pieces: Vec<Piece>,
    /// Only what lies below this prefix, where a part of a flat file was asked for.
    below: Option<String>,
}

/// A file of a part; a sharded one has several.
#[derive(Clone)]
enum Piece {
    Pt(PtValue),
    Safetensors(PathBuf),
    /// The part at this place of a folder of torch.distributed.
    Distributed(Distributed, String),
    /// Formats that are read at once.
    Read(State),
}

impl Piece {
    fn take(&self, wanted: &dyn Fn(&str) -> bool) -> Result<Taken> {
        match self {
            Piece::Pt(value) => value.some_tensors(wanted),
            Piece::Safetensors(path) => read_some_safetensors(path, wanted),
            Piece::Distributed(checkpoint, part) => checkpoint.read(part, wanted),
            Piece::Read(state) => {
                Ok(Taken { tensors: state.iter().filter(|(k, _)| wanted(k)).map(|(k, t)| (k.clone(), t.clone())).collect(), unread: Vec::new() })
            }
        }
    }
}

impl Part {
    /// Reads its tensors, on the CPU. One whose type no tensor here can hold is left out, with a word in the log.
    ///
    /// # Errors
    /// `E0301` when a file cannot be read, `E0302` when it is damaged.
    pub fn read(&self) -> Result<State> {
        let taken = self.take(&|_| true)?;
        if !taken.unread.is_empty() {
            tracing::info!("{} is left out: its type is not known", listed(&taken.unread));
        }
        Ok(taken.tensors)
    }

    /// Reads the tensors whose names are `wanted`.
    fn take(&self, wanted: &dyn Fn(&str) -> bool) -> Result<Taken> {
        let prefix = self.below.as_deref().unwrap_or_default();
        let mut out = Taken::default();
        for piece in &self.pieces {
            let taken = piece.take(&|name| name.strip_prefix(prefix).is_some_and(wanted))?;
            let own = |name: String| name.get(prefix.len()..).unwrap_or_default().to_owned();
            out.tensors.extend(taken.tensors.into_iter().map(|(name, t)| (own(name), t)));
            out.unread.extend(taken.unread.into_iter().map(|(name, dtype)| (own(name), dtype)));
        }
        Ok(out)
    }

    /// As it is listed in messages: ``` `ema` (301 tensors) ```.
    pub fn label(&self) -> String {
        let name = if self.name.is_empty() { "the top level".to_owned() } else { format!("`{}`", self.name) };
        format!("{name} ({} tensors)", self.shapes.len())
    }

    /// Whether it is a moving average, by its name.
    fn is_average(&self) -> bool {
        is_average(&self.name)
    }

    /// The tensors below a prefix of their names, `ema.` in a file without nesting.
    fn below(&self, prefix: &str) -> Part {
        let shapes = self.shapes.iter().filter_map(|(k, s)| Some((k.strip_prefix(prefix)?.to_owned(), s.clone()))).collect();
        let below = Some(format!("{}{prefix}", self.below.as_deref().unwrap_or_default()));
        Part { name: prefix.trim_end_matches('.').to_owned(), shapes, pieces: self.pieces.clone(), below }
    }
}

/// Names with their types: `` `a` (F4), `b` (F4) ``.
fn listed(unread: &[(String, String)]) -> String {
    unread.iter().map(|(name, dtype)| format!("`{name}` ({dtype})")).collect::<Vec<_>>().join(", ")
}

/// Whether that is how checkpoints call a moving average: `ema`, `model_ema`, `ema_state_dict`.
pub fn is_average(name: &str) -> bool {
    name.split(['.', '_']).any(|word| word == "ema")
}

impl Weights {
    /// Where they came from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Everything in it that could be a network's weights.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    fn listing(&self) -> String {
        const SHOWN: usize = 12;
        let more = self.parts.len().saturating_sub(SHOWN);
        let list = self.parts.iter().take(SHOWN).map(Part::label).collect::<Vec<_>>().join(", ");
        if more > 0 { format!("{list} and {more} more") } else { list }
    }

    fn bad(&self, message: impl Into<String>) -> Error {
        Error::data(&self.path, message)
    }
}

/// The weights in a file or folder without a module to fit: `key` names their place (`model`, `state_dict.ema`); without it the usual places
/// are looked at, an average of weights first.
///
/// # Errors
/// `E0301` when the file cannot be read, `E0302` when it is damaged, holds no weights, or several of which none has a usual name.
pub fn read_state(path: &Path, key: Option<&str>) -> Result<State> {
    Weights::open(path)?.usual(key)?.read().map_err(|e| e.context("weights"))
}
