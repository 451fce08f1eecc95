//! The origin of any artefact, by its path: what wrote it decides where it says what it was made of.

use super::Checkpoint;
use super::status::FILE;
use crate::data::{ImageSet, LatentSet, Pictures, SampleRecord, read_npz_origin};
use crate::error::{Error, Result};
use crate::files;
use crate::nn::{State, Weights, digest_state};
use crate::origin::{Made, Origin, hash_of};
use crate::torch::files::{Npz, read_pt};
use serde_json::{Map, Value};
use std::path::Path;

/// What an artefact is and what it was made from: a folder of shards or latents, a run or a checkpoint in it, samples (a folder or an `.npz`), statistics
/// (`.npz`, `latents-stats.pt`), an evaluation or features that it kept, or a file or folder of weights. Only weights that say nothing of themselves are read.
///
/// # Errors
/// `E0301` or `E0302` when it cannot be read, or is nothing of these.
pub fn of(path: &Path) -> Result<Origin> {
    if path.is_dir() { folder(path) } else { file(path) }
}

fn folder(path: &Path) -> Result<Origin> {
    let has = |name: &str| path.join(name).is_file();
    if has("dataset.json") && has("images-00000.safetensors") {
        return ImageSet::open(path).map(|s| s.origin());
    }
    if has("latents.json") {
        return LatentSet::open(path).map(|s| s.origin());
    }
    if has("state.json") || has(FILE) || path.join("checkpoints").is_dir() {
        return run(&Checkpoint::find_unread(path, None)?);
    }
    if let Some(record) = SampleRecord::read(path)? {
        return Ok(record.origin(path));
    }
    if has("origin.json") && has("features.safetensors") {
        return features(path);
    }
    if has("features.json") {
        return json(&path.join("features.json"), "features");
    }
    if has("result.json") {
        return json(&path.join("result.json"), "evaluation");
    }
    match weights(path) {
        Ok(found) => Ok(found),
        Err(_) if !files::list(path)?.is_empty() => Pictures::open(path)?.origin(),
        Err(e) => Err(e),
    }
}

/// A checkpoint with everything that it holds.
fn run(c: &Checkpoint) -> Result<Origin> {
    let names: Vec<String> = c.parts().iter().filter(|(_, kind)| ["module", "ema"].contains(kind)).map(|(n, _)| (*n).to_owned()).collect();
    let mut from = c.head().made_from.clone();
    let mut hashes = vec![c.head().step.to_string()];
    for name in &names {
        let held = c.origin(name)?;
        hashes.push(held.id.clone());
        // What the run was made from stands once, beside its weights.
        from.insert(format!("holds {name}"), Origin { from: Made::new(), about: String::new(), path: String::new(), ..held });
    }
    let hashes: Vec<&str> = hashes.iter().map(String::as_str).collect();
    Ok(Origin::new("checkpoint", c.path()).about(format!("step {}", c.head().step)).with_id(hash_of(&hashes)).made(from, Map::new()))
}

fn file(path: &Path) -> Result<Origin> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    if name.ends_with(".json") && !name.ends_with(".index.json") {
        return json(path, "result");
    }
    if name.ends_with(".npz") {
        let names = Npz::open(path)?.names();
        if names.iter().any(|n| n == "mu") && names.iter().any(|n| n == "sigma") {
            return statistics(path);
        }
        if names.iter().any(|n| n == "arr_0") {
            return Pictures::open(path)?.origin();
        }
    }
    if let Some(stats) = latent_statistics(path)? {
        return Ok(stats);
    }
    weights(path)
}

/// Statistics of features.
fn statistics(path: &Path) -> Result<Origin> {
    let sums: Vec<String> = Npz::open(path)?.sums()?.into_iter().map(|(name, bytes, crc)| format!("{name} {bytes} {crc}")).collect();
    let id = hash_of(&sums.iter().map(String::as_str).collect::<Vec<_>>());
    let known = read_npz_origin(path)?.unwrap_or_default();
    Ok(Origin::new("statistics", path).about(known.about).with_id(id).made(known.from, known.settings))
}

/// The origin of a file of latent statistics, as `std/weights` writes it, where it is one.
///
/// # Errors
/// `E0301` or `E0302` when the file cannot be read.
pub fn latent_statistics(path: &Path) -> Result<Option<Origin>> {
    let is_pt = path.extension().is_some_and(|e| ["pt", "pth"].iter().any(|x| e.eq_ignore_ascii_case(x)));
    if !is_pt {
        return Ok(None);
    }
    let root = read_pt(path)?;
    let entry = |name: &str| root.entries().into_iter().find(|(k, _)| k.as_str() == Some(name)).map(|(_, v)| v);
    if entry("latents_scale").is_none() || entry("latents_bias").is_none() {
        return Ok(None);
    }
    let known: Origin = entry("origin").and_then(|v| serde_json::from_str(v.as_str()?).ok()).unwrap_or_default();
    let id = hash_of(&[&files::hex(&files::read(path)?)]);
    Ok(Some(Origin::new("latent statistics", path).about(known.about).with_id(id).made(known.from, known.settings)))
}

/// Features that a training run keeps for the next one (`std/features`): a vision model's, of pictures.
fn features(path: &Path) -> Result<Origin> {
    let of: Map<String, Value> = files::read_json(&path.join("origin.json"))?;
    let part = |name: &str, kind: &str| {
        let id = of.get(name).and_then(Value::as_str).unwrap_or_default();
        Origin { kind: kind.into(), id: id.into(), ..Origin::default() }
    };
    let from = Made::from([("encoder".to_owned(), part("encoder", "weights")), ("pictures".to_owned(), part("pictures", "pictures"))]);
    let settings = of.iter().filter(|(k, _)| *k != "encoder" && *k != "pictures").map(|(k, v)| (k.clone(), v.clone())).collect();
    Ok(Origin::new("features", path).made(from, settings).derived())
}

/// A result in JSON, which says in `made_from` what it was made from.
fn json(path: &Path, kind: &str) -> Result<Origin> {
    let value: Map<String, Value> = files::read_json(path)?;
    let object = |name: &str| value.get(name).and_then(Value::as_object).cloned().unwrap_or_default();
    let from: Made = serde_json::from_value(Value::Object(object("made_from"))).map_err(|e| Error::data(path, format!("`made_from`: {e}")))?;
    let kind = value.get("kind").and_then(Value::as_str).unwrap_or(kind);
    let id = hash_of(&[&Value::Object(value.clone()).to_string()]);
    Ok(Origin::new(kind, path).with_id(id).made(from, object("settings")))
}

/// A file or folder of weights: each network in it with its kind, its number of tensors and its hash.
fn weights(path: &Path) -> Result<Origin> {
    let found = Weights::open(path)?;
    let describe = |state: &State| format!("{}, {} tensors, {} numbers", network(state), state.len(), crate::progress::grouped(numbers(state), ' '));
    let mut parts = Vec::new();
    for part in found.parts() {
        crate::interrupt::check()?;
        let state = part.read()?;
        parts
            .push((part.name.clone(), Origin { kind: "weights".into(), ..Origin::default() }.about(describe(&state)).with_id(digest_state(&state)?)));
    }
    if let [(_, only)] = parts.as_slice() {
        return Ok(Origin { path: path.display().to_string(), ..only.clone() });
    }
    let ids: Vec<String> = parts.iter().map(|(name, o)| format!("{name} {}", o.id)).collect();
    let id = hash_of(&ids.iter().map(String::as_str).collect::<Vec<_>>());
    let from: Made = parts.into_iter().map(|(name, o)| (format!("holds {}", if name.is_empty() { "top level" } else { &name }), o)).collect();
    Ok(Origin::new("weights", path).about(format!("{} networks", from.len())).with_id(id).made(from, Map::new()))
}

fn numbers(state: &State) -> u64 {
    state.values().map(|t| t.numel() as u64).sum()
}

/// What a network seems to be, by the names of its tensors.
fn network(state: &State) -> &'static str {
    const KNOWN: &[(&str, &[&str])] = &[
        ("VAE", &["decoder.conv_in.weight", "decoder.mid_block.", "decoder.mid."]),
        ("SiT denoiser", &["final_layer.adaLN_modulation.1.weight", "x_embedder.proj.weight"]),
        ("Inception", &["Mixed_7c.", "Mixed_5b."]),
        ("CLIP", &["visual.transformer.", "vision_model.encoder."]),
        ("vision transformer", &["blocks.0.attn.qkv.weight", "encoder.layer.0.attention."]),
        ("EfficientNet", &["conv_stem.weight"]),
        ("LPIPS", &["lin0.model.1.weight"]),
        ("discriminator", &["main.0.weight"]),
    ];
    let holds = |anchor: &&str| state.keys().any(|k| k.contains(*anchor));
    KNOWN.iter().find(|(_, anchors)| anchors.iter().any(holds)).map_or("unknown network", |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::torch::files::write_safetensors;
    use crate::torch::{DType, Device, Tensor};

    #[test]
    fn plain_weights_have_kind_count_and_the_hash_of_a_module() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("vae.safetensors");
        let zeros = |n: i64| Tensor::zeros(&[n], DType::Float, Device::Cpu).unwrap();
        let state: State = [("decoder.conv_in.weight".to_owned(), zeros(3)), ("x".to_owned(), zeros(2))].into_iter().collect();
        write_safetensors(&path, &state, &std::collections::HashMap::new()).unwrap();
        let o = of(&path).unwrap();
        assert_eq!((o.kind.as_str(), o.about.as_str(), o.id), ("weights", "VAE, 2 tensors, 5 numbers", digest_state(&state).unwrap()));
        std::fs::write(dir.path().join("text.pt"), b"nothing").unwrap();
        assert!(of(&dir.path().join("text.pt")).is_err() && of(&dir.path().join("missing")).is_err());
    }
}
