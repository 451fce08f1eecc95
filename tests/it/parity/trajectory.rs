//! Ten training steps with recorded draws, through the step functions of `scripts/train_ldm.rhai` and `scripts/train_repae.rhai`: the
//! script's own settings, models, optimizers and losses; only the data and the draws come from the fixture.

use super::fixture::{Fixture, fill, hash_normalish, hash_tensor, shape_of};
use super::recon_loss::perceptual;
use super::report::{Report, on_this_device};
use super::scripts::{Library, Script, entry, list, map, module, tensor};
use super::settings::Settings;
use super::trajectory_end as end;
use lathe::error::{Error, Result};
use lathe::models::Sit;
use lathe::nn::Module;
use lathe::script::lang::value::from_json;
use lathe::script::rhai::{Array, Dynamic, Map};
use lathe::torch::draws::{self, Draw, Law};
use lathe::torch::{DType, Tensor, default_device};
use serde_json::Value;

/// A run as the script's `main` sets it up, before the first step.
pub struct Session<'a> {
    pub f: &'a Fixture,
    library: Library,
    script: Script,
    run: Dynamic,
    /// What is trained, and `ema`: the prefix in the fixture's names, and the module.
    pub models: Vec<(&'static str, Module)>,
}

/// The fixture's `config`.
pub struct Config<'a>(Settings<'a>);

impl Config<'_> {
    pub fn of(f: &Fixture) -> Config<'_> {
        Config(f.config())
    }

    fn int(&self, key: &str) -> i64 {
        self.0.int(key).unwrap_or(0)
    }

    pub fn number(&self, key: &str, default: f64) -> f64 {
        self.0.number(key).unwrap_or(default)
    }

    fn text(&self, key: &str) -> String {
        self.0.text(key).unwrap_or_default().to_owned()
    }

    pub fn joint(&self) -> bool {
        self.0.flag("joint").unwrap_or(false)
    }

    pub fn steps(&self) -> i64 {
        self.int("steps")
    }

    fn latent(&self) -> [i64; 3] {
        [self.int("embed_dim"), self.int("latent"), self.int("latent")]
    }
}

pub fn check(f: &Fixture, r: &mut Report) -> Result<()> {
    let folder = tempfile::tempdir().map_err(|e| Error::io("create", "a temporary folder", e))?;
    let session = Session::open(f, &folder.path().display().to_string())?;
    let keys: Vec<&str> = f.meta["log_keys"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let table = |name: &str| -> Result<Vec<Vec<f64>>> { Ok(f.get(name)?.to_vec_f64()?.chunks(keys.len().max(1)).map(<[f64]>::to_vec).collect()) };
    let (logs, limits) = (table("logs")?, table("logs_rtol")?);
    for step in 0..Config::of(f).steps() {
        let log = session.step(step).map_err(|e| e.context(format!("step {step}")))?;
        let at = usize::try_from(step).unwrap_or(0);
        let (Some(logs), Some(limits)) = (logs.get(at), limits.get(at)) else {
            return Err(Error::data(&f.path, format!("has no logs of step {step}")));
        };
        for ((key, want), limit) in keys.iter().zip(logs).zip(limits) {
            let got = session.logged(&log, key)?;
            r.within(&format!("{key} of step {step}"), (got - want).abs(), on_this_device(limit * want.abs()));
        }
        if step == 0 {
            end::gradients(&session, |norm| session.logged(&log, norm), r)?;
        }
    }
    end::weights(&session, r)
}

impl<'a> Session<'a> {
    fn open(f: &'a Fixture, folder: &str) -> Result<Session<'a>> {
        let (c, library) = (Config::of(f), Library::load()?);
        let mut script = Script::load(if c.joint() { "train_repae" } else { "train_ldm" })?;
        script.set("output-dir", folder.to_owned())?;
        settings(&mut script, &c, &f.meta["init_specs"]["vae"])?;
        let run = library.open(script.cfg())?;
        let cfg = Dynamic::from(script.cfg());

        let specs = &f.meta["init_specs"];
        let seed = c.0.get("seed").as_u64().unwrap_or(0);
        let classes = (0..c.int("num_classes")).map(|i| format!("class{i}").into()).collect::<Array>();
        let shape = c.latent().map(Dynamic::from).to_vec();
        let latents = map([("shape", shape.into()), ("classes", classes.into())]);
        let z_dims: Array = c.0.list("z_dims").into_iter().map(Dynamic::from).collect();
        let sit = module(&library.call("weights", "denoiser", vec![cfg.clone(), latents, z_dims.into()])?)?;
        fill(&sit, &specs["sit"], seed, "sit.")?;
        let network = sit.model::<Sit>().ok_or_else(|| Error::value("parity", "the denoiser is no SiT"))?;
        network.init_bn(f.get("latents_scale")?, f.get("latents_bias")?)?;

        let mut models = vec![("sit", sit.clone())];
        if c.joint() {
            let vae = module(&library.call("weights", "start_vae", vec![cfg.clone()])?)?;
            fill(&vae, &specs["vae"], seed, "vae.")?;
            let disc = module(&library.call("weights", "start_discriminator", vec![cfg])?)?;
            fill(&disc, &specs["disc"], seed, "disc.")?;
            let lpips = perceptual(f, seed, &specs["vgg"])?;
            let given = [&vae, &sit, &disc, &lpips].map(|m| Dynamic::from(m.clone()));
            let _ = script.call("begin", [vec![run.clone()], given.to_vec()].concat())?;
            models.extend([("vae", vae), ("disc", disc)]);
        } else {
            let denoiser = library.call("denoisers", "of_sit", vec![Dynamic::from(sit)])?;
            let _ = script.call("begin", vec![run.clone(), denoiser, Dynamic::UNIT])?;
        }
        models.push(("ema", library.of(&run, "ema")?));
        // Everything trains, as after construction in the reference.
        models.iter().filter(|m| m.0 != "ema").for_each(|(_, m)| m.set_training(true));
        Ok(Session { f, library, script, run, models })
    }

    /// One step of the script, with the fixture's batch and draws.
    fn step(&self, step: i64) -> Result<Dynamic> {
        self.library.set_step(&self.run, step)?;
        let draws = draws(self.f, step)?;
        let args = vec![self.run.clone(), batch(self.f, step)?];
        draws::replay(draws, || self.script.call("step", args))
    }

    pub fn model(&self, name: &str) -> Result<&Module> {
        self.models.iter().find(|m| m.0 == name).map(|m| &m.1).ok_or_else(|| Error::value("parity", format!("nothing named `{name}` is trained")))
    }

    /// A value of the reference's log: what the script logs, under train_ldm's own names where those differ, or a norm of statistics.
    pub fn logged(&self, log: &Dynamic, key: &str) -> Result<f64> {
        let statistics = |model: &str, name: &str| self.model(model)?.state()[name].to_dtype(DType::Double)?.norm()?.item();
        let name = match key {
            "bn_running_mean_l2" => return statistics("sit", "bn.running_mean"),
            "bn_running_var_l2" => return statistics("sit", "bn.running_var"),
            "ema_bn_running_var_l2" => return statistics("ema", "bn.running_var"),
            _ if Config::of(self.f).joint() => key,
            "sit_loss" => "loss",
            "denoising_loss" => "denoise",
            "proj_loss" => "proj",
            "grad_norm_sit" => "grad_norm",
            other => other,
        };
        tensor(&entry(log, name)?)?.to_dtype(DType::Double)?.item()
    }
}

/// The flags that a user would give for the fixture's run.
fn settings(script: &mut Script, c: &Config, vae_spec: &Value) -> Result<()> {
    let shared = [("proj-coeff", 0.5), ("cfg-prob", 0.1), ("max-grad-norm", 1.0), ("ema-decay", 0.9999)];
    for (flag, default) in shared {
        script.set(flag, c.number(&flag.replace('-', "_"), default))?;
    }
    script.set("learning-rate", c.number("lr", 1e-4))?;
    script.set(if c.joint() { "adam-weight-decay" } else { "weight-decay" }, c.number("wd", 0.0))?;
    let beta = |i: usize, default: f64| c.0.get("betas")[i].as_f64().unwrap_or(default);
    script.set("adam-beta1", beta(0, 0.9))?;
    script.set("adam-beta2", beta(1, 0.999))?;
    script.set("adam-epsilon", c.number("adam_eps", 1e-8))?;
    script.set("path-type", c.text("path"))?;
    script.set("weighting", c.text("weighting"))?;
    script.set("encoder-depth", c.int("enc_depth"))?;
    script.set("qk-norm", c.0.flag("qk").unwrap_or(false))?;
    script.set("batch-size", c.int("batch"))?;
    let sizes = [("depth", "depth"), ("hidden", "hidden"), ("heads", "heads"), ("patch", "patch"), ("projector_dim", "pd")];
    let mut model: Map = sizes.into_iter().map(|(k, key)| (k.into(), c.int(key).into())).collect();
    let momentum = c.number("bn_momentum", 0.1);
    if !c.joint() {
        if c.0.has("loss_overrides") {
            return Err(Error::value("parity", "`loss_overrides` without a reconstruction loss"));
        }
        c.0.not_here(&["ch_mult", "nres", "ndf", "lr_vae", "lr_disc", "vae_align_proj_coeff"]);
        model.insert("bn_momentum".into(), momentum.into());
        return script.set("model-config", model);
    }
    script.set("model-config", model)?;
    script.set("bn-momentum", momentum)?;
    script.set("vae-learning-rate", c.number("lr_vae", 1e-4))?;
    script.set("disc-learning-rate", c.number("lr_disc", 1e-4))?;
    script.set("vae-align-proj-coeff", c.number("vae_align_proj_coeff", 1.5))?;
    let list = |key: &str| c.0.list(key).into_iter().map(Dynamic::from).collect::<Array>();
    let (ch, attention) = levels(vae_spec);
    let vae = map([
        ("ch", ch.into()),
        ("attn_resolutions", attention.into()),
        ("ch_mult", list("ch_mult").into()),
        ("num_res_blocks", c.int("nres").into()),
        ("z_channels", c.int("embed_dim").into()),
    ]);
    script.set("vae-config", vae)?;
    script.set("disc-config", map([("ndf", c.int("ndf").into())]))?;
    // Settings of the reconstruction loss by the reference's names; one that the script does not have is an error.
    c.0.get("loss_overrides")
        .as_object()
        .into_iter()
        .flatten()
        .try_for_each(|(name, value)| script.set(&format!("loss.{}", name.strip_prefix("losses.").unwrap_or(name)), from_json(value)))
}

/// What the sidecar's `config` leaves to the list of parameters: the VAE's base width, and the nominal resolutions (of 256) of the levels with
/// attention.
fn levels(spec: &Value) -> (i64, Array) {
    let ch = shape_of(&spec["encoder.conv_in.weight"]["shape"]).first().copied().unwrap_or(0);
    let has = |level: usize| spec.get(format!("encoder.down.{level}.attn.0.norm.weight")).is_some();
    (ch, (0..16).filter(|level| has(*level)).map(|level| Dynamic::from(256i64 >> level)).collect())
}

/// The batch of a step: pictures or cached moments, labels, and the vision models' features.
fn batch(f: &Fixture, step: i64) -> Result<Dynamic> {
    let c = Config::of(f);
    let (n, seed) = (c.int("batch"), c.0.get("seed").as_u64().unwrap_or(0));
    let part = |name: &str| f.get(name)?.narrow(0, step * n, n);
    let [channels, side, _] = c.latent();
    let tokens = (side / c.int("patch").max(1)).pow(2);
    let widths = c.0.list("z_dims");
    let features = widths.iter().enumerate().map(|(i, z)| hash_normalish(seed, &format!("zs{i}.step{step}"), &[n, tokens, *z], 1.0));
    let features = list(features.collect::<Result<Vec<_>>>()?);
    let labels = Dynamic::from(part("labels")?);
    if c.joint() {
        return Ok(map([("images", Dynamic::from(part("images_u8")?)), ("labels", labels), ("features", features)]));
    }
    let shape = [n, channels, side, side];
    let mean = hash_normalish(seed, &format!("latmean.step{step}"), &shape, 0.9)?;
    let std = hash_tensor(seed, &format!("latstd.step{step}"), &shape, 0.01, 0.3)?;
    let index = Tensor::arange((step * n) as f64, ((step + 1) * n) as f64, 1.0, DType::Int64, default_device())?;
    let tensors = [("mean", mean), ("std", std), ("index", index)].map(|(k, t)| (k, Dynamic::from(t)));
    Ok(map(tensors.into_iter().chain([("labels", labels), ("features", features)])))
}

/// The draws of a step, in the order in which the reference made them.
fn draws(f: &Fixture, step: i64) -> Result<Vec<Draw>> {
    let order = f.meta["rng_order"].as_array().ok_or_else(|| Error::data(&f.path, "has no `rng_order`"))?;
    order
        .iter()
        .map(|d| {
            let law = Law::parse(d["kind"].as_str().unwrap_or_default())?;
            let value = f.get(&format!("rng.{}", d["idx"]))?.narrow(0, step, 1)?.squeeze(Some(0))?;
            Ok(Draw { law, value })
        })
        .collect()
}
