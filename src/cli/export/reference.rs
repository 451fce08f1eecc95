//! The forms of the PyTorch code: REPA-E's experiment folder, LightningDiT's checkpoint.

use super::networks::Denoiser;
use super::{Export, Written};
use crate::cli::convert;
use crate::error::{Error, Result};
use crate::files;
use crate::models::SitConfig;
use crate::nn::{State, Weights};
use crate::origin::Origin;
use crate::space::say;
use crate::torch::files::{PtItem, write_pt};
use crate::train::checkpoint::Checkpoint;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// What REPA-E's `generate.py --exp-path` reads (End2End-Diffusion/REPA-E): `args.json`, and `checkpoints/NNNNNNN.pt` with `ema` and, where the run
/// trained it, `vae`; else `vae.pt` and `vae-latents-stats.pt`, which `vae_ckpt` in args.json names.
pub fn repae(e: &Export, folder: &Path) -> Result<Written> {
    let mut w = Written::default();
    let Some(d) = &e.networks.denoiser else {
        let Some(vae) = &e.networks.vae else { return Err(foreign(e, "REPA-E has no decoder of RAE")) };
        file(&mut w, folder, "vae.pt", "the VAE, what --vae-ckpt takes", &tensors(vae))?;
        w.notes.push("train_ldm.py wants vae-latents-stats.pt beside it: REPA-E's cache_latents.py writes it".into());
        return Ok(w);
    };
    if d.name != "sit" {
        return Err(foreign(e, "REPA-E has SiT alone"));
    }
    square(e, d, "REPA-E")?;
    let sizes = SitConfig::of_state(&d.model, None)?;
    let (vae, down) = match sizes.in_channels {
        4 => ("f8d4", 8),
        32 => ("f16d32", 16),
        n => return Err(foreign(e, &format!("REPA-E has latents of 4 or 32 channels, and this denoiser {n}"))),
    };
    let mut args = e.run.config.clone();
    let fixed = json!({
        "vae": vae, "resolution": sizes.input_size[0] * down, "num_classes": sizes.num_classes, "qk_norm": sizes.qk_norm, "fused_attn": true,
        "bn_momentum": sizes.bn_momentum,
    });
    for (key, value) in fixed.as_object().into_iter().flatten() {
        // What the run says of its norm's momentum stays.
        if key != "bn_momentum" || !args.contains_key(key) {
            args.insert(key.clone(), value.clone());
        }
    }
    let named = SitConfig::named(e.setting("model"));
    if !named.is_ok_and(|n| (n.depth, n.hidden, n.patch, n.projector_dim) == (sizes.depth, sizes.hidden, sizes.patch, sizes.projector_dim)) {
        w.notes.push(format!(
            "`{}` of REPA-E has other sizes: generate.py cannot build this network unless its table of models is changed",
            e.setting("model")
        ));
    }
    let mut entries = vec![("model", tensors(&d.model)), ("ema", tensors(&d.ema))];
    if let Some(vae) = &e.networks.vae {
        entries.push(("vae", tensors(vae)));
        entries.extend(e.networks.discriminator.iter().map(|s| ("discriminator", tensors(s))));
    } else if let Some((vae, stats)) = of_latents(e, d, &mut w)? {
        file(&mut w, folder, "vae.pt", "the VAE that the latents were made by", &tensors(&vae))?;
        file(&mut w, folder, "vae-latents-stats.pt", "their statistics", &stats)?;
        let path = match e.place {
            Some(out) => {
                w.notes.push("vae_ckpt in args.json is an absolute path: change it when the folder is moved".into());
                std::path::absolute(out.join("vae.pt")).map_err(|err| Error::io("find", out, err))?
            }
            None => {
                w.notes.push("vae_ckpt in args.json is `vae.pt`: write the path of the downloaded file there".into());
                "vae.pt".into()
            }
        };
        args.insert("vae_ckpt".into(), path.display().to_string().into());
    }
    entries.push(("steps", PtItem::Int(step(e)?)));
    files::create_dir(&folder.join("checkpoints"))?;
    let what: Vec<&str> = entries.iter().map(|(k, _)| *k).collect();
    let name = format!("checkpoints/{:07}.pt", e.checkpoint.head().step);
    w.files.push((name.clone(), what.join(", ")));
    write_pt(&folder.join(&name), &dict(entries))?;
    files::sync_dir(&folder.join("checkpoints"))?;
    without_average(d, &mut w);
    files::write(&folder.join("args.json"), files::json(&Value::Object(args))?)?;
    w.files.push(("args.json".into(), "the settings, with the reference's names".into()));
    w.usage =
        Some(("sh", format!("python generate.py --exp-path PATH --train-steps {} --num-classes {}", e.checkpoint.head().step, sizes.num_classes)));
    Ok(w)
}

/// What hustvl/LightningDiT's `inference.py` takes as `ckpt_path`: `ema`, beside it `model`; and the latents' `mean` and `std`.
pub fn lightningdit(e: &Export, folder: &Path) -> Result<Written> {
    let is_its = e.setting("model") == "hustvl" || e.setting("model").starts_with("LightningDiT-");
    let d = e.networks.denoiser.as_ref().filter(|d| d.name == "net" && is_its);
    let Some(d) = d else { return Err(foreign(e, "LightningDiT's code has no such denoiser")) };
    square(e, d, "LightningDiT's code")?;
    let mut w = Written::default();
    let name = format!("{:07}.pt", e.checkpoint.head().step);
    w.files.push((name.clone(), "ema, model".into()));
    write_pt(&folder.join(&name), &dict(vec![("model", tensors(&d.model)), ("ema", tensors(&d.ema))]))?;
    without_average(d, &mut w);
    match &d.stats {
        Some((scale, bias)) => {
            let std = scale.reciprocal()?;
            let entries = vec![("mean", PtItem::Tensor(bias.clone())), ("std", PtItem::Tensor(std))];
            w.files.push(("latents_stats.pt".into(), "mean and std of the latents".into()));
            write_pt(&folder.join("latents_stats.pt"), &dict(entries))?;
        }
        None => w.notes.push("the run keeps no statistics of its latents: latents_stats.pt is not written".into()),
    }
    Ok(w)
}

/// Refuses a denoiser of latents that are no squares, which the code of that name cannot be told of.
fn square(e: &Export, d: &Denoiser, code: &str) -> Result<()> {
    let Some([height, width]) = d.oblong else { return Ok(()) };
    Err(foreign(e, &format!("{code} has square latents alone, and this denoiser those of {height} x {width}")))
}

/// The VAE that made the latents of a run, with their statistics; what is missing is noted.
fn of_latents(e: &Export, d: &Denoiser, w: &mut Written) -> Result<Option<(State, PtItem)>> {
    let Some((scale, bias)) = &d.stats else {
        w.notes.push("the run keeps no statistics of its latents: generate.py wants vae-latents-stats.pt beside vae_ckpt".into());
        return Ok(None);
    };
    let origin = e.checkpoint.head().made_from.get("data_dir").and_then(|latents| latents.from.get("vae"));
    match origin.map(vae_of) {
        Some(Ok(state)) => {
            let stats = dict(vec![("latents_scale", PtItem::Tensor(scale.clone())), ("latents_bias", PtItem::Tensor(bias.clone()))]);
            Ok(Some((state, stats)))
        }
        Some(Err(why)) => {
            say(&format!("warning: {why}"));
            w.notes.push("the VAE is missing: vae_ckpt in args.json must name a file with its -latents-stats.pt".into());
            Ok(None)
        }
        None => {
            w.notes.push("the run does not say which VAE made its latents: vae_ckpt in args.json must name one".into());
            Ok(None)
        }
    }
}

/// The weights of an origin, if they are still there and still the same.
fn vae_of(origin: &Origin) -> Result<State> {
    let path = PathBuf::from(&origin.path);
    let state = if path.is_dir() && !path.join("config.json").is_file() {
        // The step is in what is said of it: "vae, step 2".
        let step = origin.about.rsplit(' ').next().and_then(|n| n.parse().ok());
        Checkpoint::find(&path, step, &mut |text| say(&format!("warning: {text}")))?.read("vae")?.tensors
    } else {
        crate::models::vae::from_any(&Weights::open(&path)?.part_where(None, "autoencoder", |_| true)?.read()?)?
    };
    if origin.is_known() && crate::nn::digest_state(&state)? != origin.id {
        return Err(Error::weights(format!("`{}` holds other weights than those that made the latents", path.display())));
    }
    Ok(state)
}

fn foreign(e: &Export, why: &str) -> Error {
    let what = e.setting("model");
    let what = if what.is_empty() { e.run.script.as_str() } else { what };
    Error::weights(format!("`{}` ({what}) has no such form: {why}", e.checkpoint.run_folder().display()))
        .help("`--to safetensors-sharded` takes every network")
}

fn without_average(d: &Denoiser, w: &mut Written) {
    if !d.is_averaged {
        w.notes.push("the run keeps no moving average: `ema` is the model itself".into());
    }
}

fn step(e: &Export) -> Result<i64> {
    i64::try_from(e.checkpoint.head().step).map_err(|_| Error::run("the step is too large for a file of PyTorch"))
}

/// Writes one object, noted as a file of the folder.
fn file(w: &mut Written, folder: &Path, name: &str, what: &str, item: &PtItem) -> Result<()> {
    w.files.push((name.to_owned(), what.to_owned()));
    write_pt(&folder.join(name), item)
}

fn tensors(state: &State) -> PtItem {
    convert::dict(state)
}

fn dict(entries: Vec<(&str, PtItem)>) -> PtItem {
    PtItem::Dict(entries.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())
}
