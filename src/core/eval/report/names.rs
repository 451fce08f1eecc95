//! Short names of paths.

use crate::error::{Error, Result};
use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

/// A name for each path: its last part, or as many of its last parts as set it apart from the others: `vae`, or `a/vae` and `b/vae`.
///
/// # Errors
/// `E0202` when two paths are the same place.
pub fn names(paths: &[PathBuf]) -> Result<Vec<String>> {
    let parts: Vec<Vec<String>> = paths.iter().map(|p| parts(p)).collect();
    for (i, a) in parts.iter().enumerate() {
        if parts[..i].contains(a) {
            return Err(Error::value("names", format!("`{}` is given twice", paths[i].display())));
        }
    }
    let mut taken: Vec<usize> = vec![1; paths.len()];
    loop {
        let name = |i: usize| parts[i][parts[i].len().saturating_sub(taken[i])..].join("/");
        let all: Vec<String> = (0..paths.len()).map(name).collect();
        let mut times: HashMap<&str, usize> = HashMap::new();
        all.iter().for_each(|n| *times.entry(n).or_default() += 1);
        let mut grown = false;
        for i in 0..paths.len() {
            if times[all[i].as_str()] > 1 && taken[i] < parts[i].len() {
                taken[i] += 1;
                grown = true;
            }
        }
        if !grown {
            return Ok(all);
        }
    }
}

/// The parts of a path without `.` and `..`; links count as what they lead to.
fn parts(path: &Path) -> Vec<String> {
    let full = path.canonicalize().or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.to_owned());
    let mut out = Vec::new();
    for c in full.components() {
        match c {
            Component::Normal(name) => out.push(name.to_string_lossy().into_owned()),
            Component::ParentDir => drop(out.pop()),
            _ => {}
        }
    }
    out
}
