//! The autoencoder: forward, posterior, gradients, published checkpoints, and the real sizes.

use super::fixture::{Fixture, hash_tensor, read};
use super::report::Report;
use super::settings::Settings;
use super::strides::strided;
use lathe::error::{Error, Result};
use lathe::models::{AutoencoderKl, VaeConfig};
use lathe::nn::Module;
use lathe::torch::{Tensor, no_grad};
use std::rc::Rc;

const FORWARD: f64 = 1e-5;
const FORWARD_FULL: f64 = 1e-4;
const GRADIENT: f64 = 1e-4;
/// Gradients below this part of the largest one are rounding noise around zero.
const ZERO: f64 = 1e-6;

fn config(c: &Settings) -> VaeConfig {
    let d = VaeConfig::default();
    let int = |k: &str, default: i64| c.int(k).unwrap_or(default);
    let z_channels = int("z_channels", d.z_channels);
    VaeConfig {
        ch: int("ch", d.ch),
        ch_mult: c.list("ch_mult"),
        num_res_blocks: int("num_res_blocks", d.num_res_blocks),
        z_channels,
        embed_dim: int("embed_dim", z_channels),
        attn_resolutions: c.list("attn_resolutions"),
        resolution: int("resolution", d.resolution),
        in_channels: int("in_channels", d.in_channels),
        out_ch: int("out_ch", d.out_ch),
        dropout: c.number("dropout").unwrap_or(0.0),
        norm_groups: d.norm_groups,
    }
}

fn model(module: &Module) -> Result<Rc<AutoencoderKl>> {
    module.model().ok_or_else(|| Error::value("vae", "the module holds no autoencoder"))
}

pub fn small(f: &Fixture, r: &mut Report) -> Result<()> {
    let module = AutoencoderKl::module("vae", config(&f.config()))?;
    f.init(&module)?;
    r.same("names in order", module.state().keys().collect::<Vec<_>>(), f.meta["spec"].as_object().into_iter().flatten().map(|e| e.0).collect());
    all(f, &module, r)
}

/// Forward in both modes, then both losses' gradients.
fn all(f: &Fixture, module: &Module, r: &mut Report) -> Result<()> {
    let vae = model(module)?;
    for training in [false, true] {
        module.set_training(training);
        no_grad(|| forward(f, &vae, r, if training { "train" } else { "eval" }))?;
    }
    let norms = f.meta["grad_norms"].as_object();
    let largest = norms.into_iter().flatten().filter_map(|(_, v)| v.as_f64()).fold(0.0, f64::max);

    let x = f.get("x")?.copy()?.requires_grad_(true)?;
    let loss = vae.decode(&vae.encode(&x)?.mean)?.square()?.sum(&[], false)?;
    r.within("loss_sumsq", (loss.item()? / f.get("loss_sumsq")?.item()? - 1.0).abs(), FORWARD);
    gradients(f, "grad.", &loss, &x, module, largest, r)?;

    let x = f.get("x")?.copy()?.requires_grad_(true)?;
    let posterior = vae.encode(&x)?;
    let kl = posterior.kl()?.sum(&[], false)?.div(x.size(0)?)?.mul(1e-6)?;
    let recon = vae.decode(&posterior.sample(Some(f.get("eps")?))?)?;
    r.close("loss_l1kl", &recon.abs()?.mean(&[], false)?.add(&kl)?, f.get("loss_l1kl")?, FORWARD)?;
    let loss = recon.mul(&signs(f, &recon, r)?)?.mean(&[], false)?.add(&kl)?;
    gradients(f, "grad2.", &loss, &x, module, 1.0, r)
}

/// The signs that `|decode(z)|` had where the fixture was made. The gradient of a mean of absolute values jumps where one of them changes its sign,
/// and which sign rounding gives to a value beside 0 differs between processors; with the signs given the same gradient is smooth. Signs
/// may differ from the recorded ones only where the values are 0 within the limit.
fn signs(f: &Fixture, recon: &Tensor, r: &mut Report) -> Result<Tensor> {
    let want = f.get("recon_z")?;
    let (got, recorded) = (recon.detach()?.to_vec_f64()?, want.to_vec_f64()?);
    let scale = recorded.iter().fold(1.0f64, |m, x| m.max(x.abs()));
    let apart: Vec<f64> = got.iter().zip(&recorded).filter(|(a, b)| a.signum() != b.signum()).map(|(a, b)| a.abs().max(b.abs())).collect();
    r.within("decode(z) where its sign is another", apart.iter().copied().fold(0.0, f64::max), FORWARD * scale);
    if !apart.is_empty() {
        r.kink(format!("{} of {} signs of decode(z) are others than recorded: grad2 is that of the recorded signs", apart.len(), got.len()));
    }
    want.sign()
}

fn forward(f: &Fixture, vae: &AutoencoderKl, r: &mut Report, mode: &str) -> Result<()> {
    let x = f.get("x")?;
    let p = vae.encode(x)?;
    let z = p.sample(Some(f.get("eps")?))?;
    let (recon_mean, recon_z) = (vae.decode(&p.mean)?, vae.decode(f.get("z")?)?);
    let got = [
        ("moments", vae.moments(x)?),
        ("mean", p.mean.clone()),
        ("logvar", p.logvar.clone()),
        ("std", p.std()?),
        ("var", p.var()?),
        ("kl", p.kl()?),
        ("nll_of_z", p.nll(f.get("z")?)?),
        ("z", z),
        ("recon_mean", recon_mean),
        ("recon_z", recon_z),
    ];
    got.iter().try_for_each(|(name, t)| r.close(&format!("{mode} {name}"), t, f.get(name)?, FORWARD))
}

fn gradients(f: &Fixture, prefix: &str, loss: &Tensor, x: &Tensor, module: &Module, largest: f64, r: &mut Report) -> Result<()> {
    module.state().values().try_for_each(Tensor::zero_grad)?;
    loss.backward()?;
    let state = module.state();
    let grad = |name: &str| -> Result<Tensor> {
        let of = if name == "x" { x } else { state.get(name).ok_or_else(|| Error::value("parity", format!("no parameter `{name}`")))? };
        of.grad()?.ok_or_else(|| Error::value("parity", format!("no gradient of `{name}`")))
    };
    for (name, want) in f.below(prefix) {
        r.gradient(&format!("{prefix}{name}"), &grad(name)?, want, GRADIENT, ZERO * largest)?;
    }
    if prefix == "grad." {
        for (name, want) in f.meta["grad_norms"].as_object().into_iter().flatten() {
            let (got, want) = (grad(name)?.norm()?.item()?, want.as_f64().unwrap_or(f64::NAN));
            let (error, tolerance) = if want <= ZERO * largest { (got, ZERO * largest) } else { ((got / want - 1.0).abs(), GRADIENT) };
            r.within(&format!("norm of {prefix}{name}"), error, tolerance);
        }
    }
    Ok(())
}

/// A checkpoint is checked by the loader fixture of its configuration, which must lie beside it.
pub fn checkpoint(f: &Fixture, r: &mut Report) -> Result<()> {
    f.meta["config"].as_object().into_iter().flatten().for_each(|(key, _)| {
        f.config().get(key);
    });
    let is_loader = |path: &std::path::Path| Fixture::open(path).is_ok_and(|x| x.kind == "vae_loader" && x.meta["config"] == f.meta["config"]);
    if !beside(f)?.iter().any(|path| is_loader(path)) {
        r.fail("no `vae_loader` of its `config` lies beside it, so nobody loads it".into());
    }
    r.same("the file holds what the sidecar says", f.everything().len(), f.meta["tensors"].as_object().map_or(0, serde_json::Map::len));
    Ok(())
}

/// The sidecars in a fixture's folder.
fn beside(f: &Fixture) -> Result<Vec<std::path::PathBuf>> {
    let folder = f.path.parent().ok_or_else(|| Error::value("parity", "the fixture lies nowhere"))?;
    let all = std::fs::read_dir(folder).map_err(|e| Error::io("list", folder, e))?.flatten().map(|e| e.path());
    let mut sidecars: Vec<_> = all.filter(|p| p.extension().is_some_and(|e| e == "json")).collect();
    sidecars.sort();
    Ok(sidecars)
}

/// The same autoencoder from every checkpoint of its folder, and under the names and prefixes that are met in the wild.
pub fn loader(f: &Fixture, r: &mut Report) -> Result<()> {
    let mut loaded = 0;
    for path in beside(f)? {
        let checkpoint = Fixture::open(&path)?;
        if checkpoint.kind != "checkpoint" || checkpoint.meta["config"] != f.meta["config"] {
            continue;
        }
        let weights = read(&path.with_extension("safetensors"))?;
        let prefixed = weights
            .iter()
            .map(|(k, v)| (format!("first_stage_model.{k}"), v.clone()))
            .chain([("model.other".to_owned(), f.get("x")?.clone())])
            .collect();
        let old_names = weights.iter().map(|(k, v)| (old_diffusers(k), v.clone())).collect();
        for (what, state) in [("as it is", weights), ("with a prefix", prefixed), ("with diffusers' older names", old_names)] {
            let module = AutoencoderKl::module("vae", config(&f.config()))?;
            module.load_state(&state, true).map_err(|e| e.context(format!("{} {what}", path.display())))?;
            if what == "as it is" {
                all(f, &module, r)?;
            } else {
                no_grad(|| r.close(what, &model(&module)?.moments(f.get("x")?)?, f.get("moments")?, FORWARD))?;
            }
            loaded += 1;
        }
    }
    r.note(format!("{loaded} loads"));
    if loaded == 0 {
        r.fail("no checkpoint of this configuration lies beside it".into());
    }
    Ok(())
}

fn old_diffusers(name: &str) -> String {
    [("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "proj_attn")]
        .iter()
        .fold(name.to_owned(), |n, (new, old)| n.replace(new, old))
}

pub fn full(f: &Fixture, r: &mut Report) -> Result<()> {
    let config = VaeConfig::named(f.meta["arch"].as_str().unwrap_or_default())?;
    let (name, shape, lo, hi) = hashed_input(f.meta["x"].as_str().unwrap_or_default())?;
    let module = AutoencoderKl::module("vae", config)?;
    f.init(&module)?;
    module.set_training(false);
    r.same("n_params", module.count(), f.number("n_params", 0.0) as i64);
    let vae = model(&module)?;
    no_grad(|| {
        let p = vae.encode(&hash_tensor(f.seed(), &name, &shape, lo, hi)?)?;
        r.close("mean", &p.mean, f.get("mean")?, FORWARD_FULL)?;
        r.close("std", &p.std()?, f.get("std")?, FORWARD_FULL)?;
        let recon = vae.decode(&p.mean)?;
        let want = f.get("recon_strided")?;
        r.close("recon", &strided(&recon, want)?, want, FORWARD_FULL)?;
        let abs = recon.to_dtype(lathe::torch::DType::Double)?.abs()?.sum(&[], false)?.item()?;
        let sum = recon.to_dtype(lathe::torch::DType::Double)?.sum(&[], false)?.item()?;
        r.within("recon_sum", (sum - f.get("recon_sum")?.item()?).abs(), FORWARD_FULL * abs);
        r.within("recon_abs_sum", (abs / f.get("recon_abs_sum")?.item()? - 1.0).abs(), FORWARD_FULL);
        Ok(())
    })
}

/// `hashinit name input.x shape [1,3,256,256] lo=-1 hi=1`.
fn hashed_input(text: &str) -> Result<(String, Vec<i64>, f64, f64)> {
    let bad = || Error::value("parity", format!("cannot read the input's description `{text}`"));
    let words: Vec<&str> = text.split_whitespace().collect();
    let after = |key: &str| words.iter().position(|w| *w == key).and_then(|i| words.get(i + 1)).copied().ok_or_else(bad);
    let number = |key: &str| words.iter().find_map(|w| w.strip_prefix(key)).and_then(|v| v.parse().ok()).ok_or_else(bad);
    let shape = after("shape")?.trim_matches(['[', ']']).split(',').map(|n| n.parse().map_err(|_| bad())).collect::<Result<_>>()?;
    Ok((after("name")?.to_owned(), shape, number("lo=")?, number("hi=")?))
}
