//! Listing what files and folders hold.

use super::{Part, Piece, Weights};
use crate::error::{Error, Result};
use crate::fetch::IN_FOLDER;
use crate::files;
use crate::torch::files::{Distributed, instead_of, is_zip_of_arrays, pt_parts, read_npz, read_pt, safetensors_info};
use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

/// An index lists names only: a larger one is no index.
const MAX_INDEX: u64 = 64 << 20;

impl Weights {
    /// Lists the weights of a file (`.safetensors`, `.pt`, `.pth`, `.ckpt`, `.bin`, `.npz`, the `.index.json` of a sharded one) or of a
    /// folder as diffusers, transformers and torch.distributed write it; of a pipeline's folder each sub-folder is a part. The content
    /// decides, not the name.
    ///
    /// # Errors
    /// `E0301` when it cannot be read, `E0302` when it is damaged or holds no weights.
    pub fn open(path: &Path) -> Result<Weights> {
        let parts = if path.is_dir() { folder(path)? } else { file(path)? };
        if parts.is_empty() {
            return Err(Error::data(path, "holds no weights").help("`io::load(path)` shows what it holds"));
        }
        Ok(Weights { path: path.to_owned(), parts })
    }
}

/// The file of the weights in a folder of diffusers or transformers.
fn in_folder(folder: &Path) -> Result<Option<PathBuf>> {
    if let Some(found) = IN_FOLDER.iter().map(|n| folder.join(n)).find(|p| p.is_file()) {
        return Ok(Some(found));
    }
    // `diffusion_pytorch_model.fp16.safetensors`: a variant, where there is nothing else.
    let mut variants = Vec::new();
    for (name, entry) in files::list(folder)? {
        if name.starts_with("diffusion_pytorch_model.") && (name.ends_with(".safetensors") || name.ends_with(".bin")) && entry.is_file() {
            variants.push(entry);
        }
    }
    match variants.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(one.clone())),
        many => {
            let names: Vec<_> = many.iter().map(|p| format!("`{}`", p.file_name().unwrap_or_default().to_string_lossy())).collect();
            Err(Error::data(folder, format!("holds several variants of the weights: {}", names.join(", "))).help("give the path of the one you want"))
        }
    }
}

/// A folder of torch.distributed as the parts that its state dict had.
fn distributed(path: &Path) -> Result<Vec<Part>> {
    let checkpoint = Distributed::open(path)?;
    let part = |(name, shapes): (String, _)| Part { pieces: vec![Piece::Distributed(checkpoint.clone(), name.clone())], name, shapes, below: None };
    Ok(checkpoint.parts().into_iter().map(part).collect())
}

fn folder(path: &Path) -> Result<Vec<Part>> {
    if Distributed::is_here(path) {
        return distributed(path);
    }
    if let Some(found) = in_folder(path)? {
        return file(&found);
    }
    let mut parts = Vec::new();
    for sub in files::list(path)?.into_iter().map(|(_, p)| p).filter(|p| p.is_dir()) {
        let Some(found) = in_folder(&sub)? else { continue };
        let name = sub.file_name().unwrap_or_default().to_string_lossy().into_owned();
        parts.extend(file(&found)?.into_iter().map(|p| Part { name: join(&name, &p.name), ..p }));
    }
    if parts.is_empty() {
        let e = Error::data(path, format!("a folder without weights: neither it nor a folder in it has one of {}", IN_FOLDER.join(", ")));
        let run = path.join("config.toml").is_file() && path.join("checkpoints").is_dir();
        return Err(if run { e.help("it is a run of lathe: `train::checkpoint(path).load(\"vae\", module)`") } else { e });
    }
    Ok(parts)
}

fn join(a: &str, b: &str) -> String {
    match (a.is_empty(), b.is_empty()) {
        (true, _) => b.to_owned(),
        (_, true) => a.to_owned(),
        _ => format!("{a}.{b}"),
    }
}

/// By the first bytes, because `.bin` and names without an ending say nothing.
fn file(path: &Path) -> Result<Vec<Part>> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    if name.ends_with(".index.json") {
        return sharded(path);
    }
    if name.ends_with(".npz") || is_zip_of_arrays(path) {
        let state = read_npz(path)?;
        let shapes = state.iter().map(|(k, t)| (k.clone(), t.shape())).collect();
        return Ok(vec![Part { name: String::new(), shapes, pieces: vec![Piece::Read(state)], below: None }]);
    }
    if name.ends_with(".safetensors") || looks_like_safetensors(path)? {
        return Ok(vec![Part {
            name: String::new(),
            shapes: safetensors_shapes(path)?,
            pieces: vec![Piece::Safetensors(path.to_owned())],
            below: None,
        }]);
    }
    let part = |(name, value): (String, _)| {
        Ok(Part { name, shapes: crate::torch::files::PtValue::shapes(&value)?, pieces: vec![Piece::Pt(value)], below: None })
    };
    pt_parts(&read_pt(path)?).into_iter().map(part).collect()
}

/// Eight bytes of length, then a JSON object.
fn looks_like_safetensors(path: &Path) -> Result<bool> {
    let mut head = [0u8; 9];
    let mut file = files::open(path)?;
    match file.read_exact(&mut head) {
        Ok(()) => Ok(head[8] == b'{' && head[5..8] == [0, 0, 0]),
        Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
        Err(e) => Err(Error::io("read", path, e)),
    }
}

fn safetensors_shapes(path: &Path) -> Result<Vec<(String, Vec<i64>)>> {
    let bad = |name: &str| Error::data(path, format!("`{name}` has an impossible shape"));
    let shape = |(name, _, shape): (String, String, Vec<usize>)| {
        let sizes = shape.into_iter().map(i64::try_from).collect::<Result<Vec<_>, _>>().map_err(|_| bad(&name))?;
        Ok((name, sizes))
    };
    safetensors_info(path)?.tensors.into_iter().map(shape).collect()
}

/// A sharded file: the index names the file of each tensor, and they must agree.
fn sharded(path: &Path) -> Result<Vec<Part>> {
    let bad = |message: String| Error::data(path, message);
    let index: serde_json::Value = read_json(path)?;
    let map = index
        .get("weight_map")
        .and_then(|m| m.as_object())
        .ok_or_else(|| bad("not the index of a sharded checkpoint: it has no `weight_map`".into()))?;
    let mut names = BTreeSet::new();
    for (tensor, file) in map {
        let file = file.as_str().ok_or_else(|| bad(format!("`weight_map` gives no file name for `{tensor}`")))?;
        // A shard lies beside its index; anything else would read files that nobody named.
        if !matches!(Path::new(file).components().collect::<Vec<_>>()[..], [Component::Normal(_)]) {
            return Err(bad(format!("`{file}` is no name of a file beside the index")));
        }
        names.insert(file);
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut all = Part { name: String::new(), shapes: Vec::new(), pieces: Vec::new(), below: None };
    let mut here = std::collections::HashMap::new();
    for name in names {
        let shard = folder.join(name);
        if !shard.is_file() {
            return Err(bad(format!("the shard `{name}` is missing")).help(format!("put it beside the index, into `{}`", folder.display())));
        }
        let parts = file(&shard)?;
        let [part] = parts.as_slice() else { return Err(Error::data(&shard, "a shard must hold one dict of tensors")) };
        for (tensor, shape) in &part.shapes {
            if here.insert(tensor.clone(), name.to_owned()).is_some() {
                return Err(bad(format!("`{tensor}` is in two shards")));
            }
            all.shapes.push((tensor.clone(), shape.clone()));
        }
        all.pieces.extend(part.pieces.iter().cloned());
    }
    match map.keys().find(|k| here.get(*k).map(String::as_str) != map[*k].as_str()) {
        Some(lost) => Err(bad(format!("`{lost}` is not in the shard that the index names"))),
        None => Ok(vec![all]),
    }
}

/// A small JSON file.
pub(crate) fn read_json(path: &Path) -> Result<serde_json::Value> {
    let file = files::open(path)?;
    let mut text = String::new();
    file.take(MAX_INDEX + 1).read_to_string(&mut text).map_err(|e| match e.kind() {
        std::io::ErrorKind::InvalidData => Error::data(path, "it is not text"),
        _ => Error::io("read", path, e),
    })?;
    if text.len() as u64 > MAX_INDEX {
        return Err(Error::data(path, "too large for a description of weights"));
    }
    serde_json::from_str(&text).map_err(|e| instead_of(path, "a description in JSON").unwrap_or_else(|| Error::data(path, e.to_string())))
}
