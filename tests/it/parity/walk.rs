//! What lies in a folder of fixtures.

use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The files of a folder.
#[derive(Default)]
pub struct Found {
    /// Sidecars with their paths below the root, in the order of their names.
    pub sidecars: Vec<(PathBuf, String)>,
    /// Files that belong to no sidecar.
    pub strays: Vec<String>,
}

/// Sorts the files below `root` into sidecars and what belongs to them: `X.safetensors` beside `X.json`, pictures that a manifest names,
/// and descriptions (`.md`).
pub fn walk(root: &Path) -> Found {
    let files: Vec<PathBuf> = walkdir::WalkDir::new(root)
        .sort_by_file_name()
        .into_iter()
        .map(|e| e.unwrap_or_else(|e| panic!("the fixtures cannot be listed: {e}")))
        .filter(|e| !e.file_type().is_dir())
        .map(walkdir::DirEntry::into_path)
        .collect();
    let has = |p: &Path, extension: &str| p.extension().is_some_and(|e| e == extension);
    let named: BTreeSet<PathBuf> = files.iter().filter(|p| has(p, "json")).flat_map(|p| pictures(p)).collect();
    let name = |p: &Path| p.strip_prefix(root).unwrap_or(p).display().to_string();
    let mut found = Found::default();
    for file in files {
        if has(&file, "json") {
            found.sidecars.push((file.clone(), name(&file)));
            continue;
        }
        let tensors = has(&file, "safetensors") && file.with_extension("json").exists();
        if !(tensors || has(&file, "md") || named.contains(&file)) {
            found.strays.push(name(&file));
        }
    }
    found
}

/// The files that a manifest of pictures names, those that it expects included.
fn pictures(manifest: &Path) -> Vec<PathBuf> {
    let text = std::fs::read_to_string(manifest).unwrap_or_default();
    let json: Value = serde_json::from_str(&text).unwrap_or_default();
    let folder = manifest.parent().unwrap_or(Path::new("."));
    let entries = json["images"].as_array().into_iter().flatten();
    let names = entries.flat_map(|e| {
        let crops = e["crops"].as_object().into_iter().flatten().map(|(_, c)| &c["png"]);
        [&e["src"], &e["decoded_rgb_png"]].into_iter().chain(crops).filter_map(Value::as_str).collect::<Vec<_>>()
    });
    names.map(|n| folder.join(n)).collect()
}
