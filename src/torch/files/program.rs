//! The parameters in a TorchScript archive, read as data: nothing of its program is compiled or run.

use super::Named;
use super::pickle::Node;
use super::pt::{PtValue, PtView, read_program};
use crate::error::{Error, Result};
use crate::files;
use std::collections::HashSet;
use std::io::Read;
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

/// Operators by which a program opens files: all that libtorch 2.11 has.
const OPENING: [&str; 2] = ["from_file", "save"];

/// Refuses a TorchScript program whose code names an operator that opens files: it would run with the rights of the whole process.
///
/// # Errors
/// `E0302` naming the operator, or when the archive cannot be read.
pub fn refuse_file_access(path: &Path) -> Result<()> {
    let damaged = |e: zip::result::ZipError| Error::data(path, e.to_string());
    let mut archive = zip::ZipArchive::new(std::io::BufReader::new(files::open(path)?)).map_err(damaged)?;
    for i in 0..archive.len() {
        let entry = archive.by_index(i).map_err(damaged)?;
        if !entry.name().is_ok_and(|n| n.ends_with(".py")) {
            continue;
        }
        let mut code = Vec::new();
        entry.take(MAX_CODE).read_to_end(&mut code).map_err(|e| Error::data(path, e.to_string()))?;
        if code.len() as u64 == MAX_CODE {
            return Err(Error::data(path, "its program has more code than any model"));
        }
        if let Some(what) = opens_files(&String::from_utf8_lossy(&code)) {
            return Err(Error::data(path, format!("its program uses `{what}`, by which it could open any file")).help("export the model without it"));
        }
    }
    Ok(())
}

/// More bytes of code in one file than any model has.
const MAX_CODE: u64 = 256 << 20;

/// The name in a program's code that opens files. Names count wherever they stand, in strings too: `getattr(torch, "save")` is a call as well, and
/// an escape could spell it.
fn opens_files(code: &str) -> Option<&'static str> {
    let mut names = code.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let named = names.find_map(|name| OPENING.into_iter().find(|o| name == *o));
    named.or_else(|| (code.contains("getattr") && code.contains('\\')).then_some("getattr with an escaped name"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_that_opens_files_is_found_however_it_is_spelt() {
        for code in [
            "x = torch.from_file(\"/etc/passwd\", False, 5)",
            "torch.save(x, \"/tmp/x\")",
            "(torch . \n save)(x)",
            "ops.aten.save(x, y)",
            "getattr(torch, \"save\")(x)",
            "getattr(torch, \"\\x73ave\")(x)",
        ] {
            assert!(opens_files(code).is_some(), "{code}");
        }
        for code in ["_0 = getattr(self.layers, \"0\")", "torch.add(x, self.saved)", "y = torch.load_state(x)"] {
            assert_eq!(opens_files(code), None, "{code}");
        }
        refuse_file_access(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/encoders/clip_jit.pt"))).unwrap();
    }
}
