//! Every script of the project.

use crate::support::root;
use std::path::{Path, PathBuf};

pub fn scripts() -> Vec<(PathBuf, String)> {
    let mut out = Vec::new();
    for folder in ["scripts", "stdlib", "tests", "docs"] {
        walk(&root().join(folder), &mut out);
    }
    out.sort();
    out
}

fn walk(folder: &Path, out: &mut Vec<(PathBuf, String)>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            walk(&path, out);
        } else if path.extension().is_some_and(|e| e == "rhai") {
            out.push((path.clone(), std::fs::read_to_string(path).unwrap()));
        }
    }
}
