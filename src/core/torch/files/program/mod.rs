//! TorchScript archives: their parameters read as data, and their programs loaded.

mod archive;
mod load;
#[cfg(test)]
mod tests;

pub(in crate::torch) use load::{load_program, plain};

use super::Named;
use super::pickle::Node;
use super::pt::{PtValue, PtView, read_program};
use crate::error::{Error, Result};
use crate::files;
use std::collections::HashSet;
use std::path::Path;

/// Deeper nesting than any module has.
const MAX_DEPTH: usize = 64;

/// Whether a file is a TorchScript archive: a zip archive that holds code. A file that cannot be read is none.
pub fn is_torchscript(path: &Path) -> bool {
    let archive = files::open(path).ok().and_then(|f| zip::ZipArchive::new(std::io::BufReader::new(f)).ok());
    let Some(archive) = archive else { return false };
    let code = |n: &str| n.ends_with("/constants.pkl") || n == "constants.pkl" || n.contains("/code/") || n.starts_with("code/");
    archive.file_names().any(|n| n.is_ok_and(|n| code(&n)))
}

/// The state dict of the module in a TorchScript archive: its parameters, buffers and other tensors, named by the attributes that lead to
/// them. OpenAI's CLIP is published so.
///
/// # Errors
/// `E0301` when the file cannot be read, `E0302` when it is damaged or holds no tensors.
pub fn read_torchscript_state(path: &Path) -> Result<Named> {
    let (mut todo, mut seen, mut out) = (vec![(String::new(), read_program(path)?, 0)], HashSet::new(), Named::new());
    while let Some((prefix, at, depth)) = todo.pop() {
        if depth > MAX_DEPTH || !seen.insert(at.identity()) {
            continue;
        }
        let mut inner = Vec::new();
        for (key, value) in at.entries() {
            let Some(key) = key.as_str() else { continue };
            let name = format!("{prefix}{key}");
            if value.is_tensor() {
                if let PtView::Tensor(t) = value.view()? {
                    out.insert(name, t);
                }
            } else if is_module(&value) {
                inner.push((format!("{name}."), value, depth + 1));
            }
        }
        todo.extend(inner.into_iter().rev());
    }
    if out.is_empty() { Err(Error::data(path, "the TorchScript archive holds no tensors")) } else { Ok(out) }
}

fn is_module(value: &PtValue) -> bool {
    matches!(value.node(), Node::Object(_))
}
