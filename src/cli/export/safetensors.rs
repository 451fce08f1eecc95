//! Files of at most a size, with an index, as transformers and diffusers read them.

use super::{Export, Written};
use crate::cli::convert;
use crate::error::{Error, Result};
use crate::files;
use crate::nn::State;
use crate::torch::Tensor;
use crate::torch::files::write_safetensors;
use serde_json::{Map, Value, json};
use std::path::Path;

/// Every network of the run: alone in the folder, or each in one of its own.
pub fn sharded(e: &Export, folder: &Path) -> Result<Written> {
    let most = bytes(&e.options.shard_size)?;
    let mut all: Vec<(&str, &str, &State)> = Vec::new();
    let mut w = Written::default();
    if let Some(d) = &e.networks.denoiser {
        if let Some([height, width]) = d.oblong {
            w.notes.push(format!(
                "the denoiser's latents are {height} x {width}, which no tensor tells: `--model-config.input-size [{height},{width}]`"
            ));
        }
        all.push((&d.name, if d.is_averaged { "the denoiser's moving average" } else { "the denoiser" }, &d.ema));
    }
    all.extend(e.networks.vae.iter().map(|s| ("vae", "the VAE", s)));
    all.extend(e.networks.others.iter().map(|(name, s)| (name.as_str(), "the decoder's moving average", s)));
    let is_one = all.len() == 1;
    for (name, what, state) in all {
        let (dir, prefix) = if is_one { (folder.to_owned(), String::new()) } else { (folder.join(name), format!("{name}/")) };
        files::create_dir(&dir)?;
        let n = write(&dir, state, most)?;
        w.files.push((
            format!("{prefix}model.safetensors.index.json"),
            format!("{what} in {n} {}: {}", if n == 1 { "file" } else { "files" }, convert::contents(state)),
        ));
        if !is_one {
            files::sync_dir(&dir)?;
        }
    }
    Ok(w)
}

/// Writes the files, then the index: a folder with an index is whole. How many files there are.
fn write(dir: &Path, state: &State, most: u64) -> Result<usize> {
    let mut shards: Vec<(u64, State)> = Vec::new();
    for (name, t) in state {
        let size = size(t);
        match shards.last_mut() {
            Some((full, shard)) if *full + size <= most => {
                *full += size;
                shard.insert(name.clone(), t.clone());
            }
            // One tensor that is larger has a file of its own.
            _ => shards.push((size, State::from_iter([(name.clone(), t.clone())]))),
        }
    }
    let n = shards.len();
    let (mut total, mut map) = (0, Map::new());
    for (i, (size, shard)) in shards.iter().enumerate() {
        let file = format!("model-{:05}-of-{n:05}.safetensors", i + 1);
        write_safetensors(&dir.join(&file), shard, &convert::made_by_torch())?;
        total += size;
        map.extend(shard.keys().map(|k| (k.clone(), Value::from(file.clone()))));
    }
    let index = json!({ "metadata": { "total_size": total }, "weight_map": map });
    files::write(&dir.join("model.safetensors.index.json"), files::json(&index)?)?;
    Ok(n)
}

fn size(t: &Tensor) -> u64 {
    (t.numel() * t.dtype().elt_size_in_bytes()) as u64
}

/// `5GB`, `500 MB`, in powers of ten as the hub counts.
fn bytes(text: &str) -> Result<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == ' ');
    let unit = match text[digits.len()..].trim().to_uppercase().as_str() {
        "" | "B" => Some(1u64),
        "KB" => Some(1_000),
        "MB" => Some(1_000_000),
        "GB" => Some(1_000_000_000),
        _ => None,
    };
    let n = digits.trim().parse::<u64>().ok().zip(unit).and_then(|(n, unit)| n.checked_mul(unit)).filter(|n| *n > 0);
    n.ok_or_else(|| Error::usage(format!("--shard-size `{text}` is no size")).help("such as 5GB or 500MB"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::torch::{DType, Device};

    #[test]
    fn sizes_are_read() {
        assert_eq!((bytes("5GB").unwrap(), bytes("500 mb").unwrap(), bytes("7").unwrap()), (5_000_000_000, 500_000_000, 7));
        for bad in ["", "GB", "-1GB", "0", "1TBB", "99999999999999GB", "1.5GB"] {
            assert!(bytes(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn shards_hold_everything_once_and_are_read_as_one() {
        let dir = tempfile::tempdir().unwrap();
        let t = |n: i64| Tensor::rand(&[n], DType::Float, Device::Cpu).unwrap();
        let state: State = [("a", 10), ("b", 20), ("c", 200), ("d", 5)].into_iter().map(|(k, n)| (k.to_owned(), t(n))).collect();
        assert_eq!(write(dir.path(), &state, 130).unwrap(), 3, "a and b fill one, c is too large for any");
        let index = dir.path().join("model.safetensors.index.json");
        let read = crate::nn::Weights::open(&index).unwrap().part_where(None, "weights", |_| true).unwrap().read().unwrap();
        assert_eq!(read.len(), 4);
        for (k, t) in &state {
            assert_eq!(read[k].to_vec_f64().unwrap(), t.to_vec_f64().unwrap(), "{k}");
        }
    }
}
