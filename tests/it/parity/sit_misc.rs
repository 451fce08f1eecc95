//! Tables, latent statistics and first values of SiT.

use super::fixture::Fixture;
use super::report::Report;
use super::scripts::{Library, entry, tensor};
use super::strides::strided;
use lathe::error::{Error, Result};
use lathe::models::{LabelDrop, Sit, SitConfig, sit::timestep_embedding};
use lathe::nn::layers::sincos_2d;
use lathe::script::rhai::Dynamic;
use lathe::torch::draws::{self, Draw, Law};
use lathe::torch::{DType, Tensor, default_device, no_grad};

pub fn tables(f: &Fixture, r: &mut Report) -> Result<()> {
    for (name, want) in f.below("sincos.") {
        let bad = || Error::value("parity", format!("sincos.{name}"));
        let (dim, grid) = name.split_once('.').ok_or_else(bad)?;
        let (dim, grid) = (dim.parse().map_err(|_| bad())?, grid.parse().map_err(|_| bad())?);
        r.close(&format!("sincos.{name}"), &strided(&sincos_2d(dim, grid, grid)?, want)?, want, 1e-6)?;
    }
    r.close("t_freq256", &timestep_embedding(f.get("t")?)?, f.get("t_freq256")?, 1e-5)?;

    let channels = f.get("latents_scale")?.numel() as i64;
    let config = SitConfig { in_channels: channels, patch: 1, input_size: [3, 3], num_classes: 2, z_dims: vec![], ..SitConfig::sized(1, 8, 1) };
    let module = Sit::module("sit", config)?;
    module.set_training(false);
    let sit = module.model::<Sit>().ok_or_else(|| Error::value("parity", "no SiT"))?;
    let (scale, bias, x) = (f.get("latents_scale")?, f.get("latents_bias")?, f.get("x")?);
    no_grad(|| {
        sit.init_bn(scale, bias)?;
        let state = module.state();
        r.close("bn.running_var", &state["bn.running_var"], f.get("bn.running_var")?, 1e-6)?;
        r.close("bn.running_mean", &state["bn.running_mean"], f.get("bn.running_mean")?, 1e-6)?;
        let (scale, bias) = sit.latent_stats()?;
        r.close("extract.latents_scale", &scale.flatten(0, -1)?, f.get("extract.latents_scale")?, 1e-6)?;
        r.close("bn_eval(x)", &sit.normalize(x)?, f.get("bn_eval(x)")?, 1e-6)?;
        r.close("denormalize", &sit.denormalize(x)?, f.get("denormalize")?, 1e-6)?;
        r.close("normalize", &x.sub(&bias)?.mul(&scale)?, f.get("normalize")?, 1e-6)
    })?;
    policy(f, r)
}

/// The tables that scripts own: interpolants, time draws, pixel conversions.
fn policy(f: &Fixture, r: &mut Report) -> Result<()> {
    let library = Library::load()?;
    let given = |name: &str| f.get(name).map(|t| Dynamic::from(t.clone()));
    for (name, want) in f.below("interp.") {
        let (path, part) = name.split_once('.').ok_or_else(|| Error::value("parity", format!("interp.{name}")))?;
        let got = library.call("flow", "coefficients", vec![path.to_owned().into(), given("t")?])?;
        r.close(&format!("interp.{name}"), &tensor(&entry(&got, part)?)?, want, 1e-6)?;
    }
    let drawn = f.get("lognormal.rnd")?;
    for (path, want) in f.below("lognormal.").filter(|(path, _)| *path != "rnd") {
        let draws = vec![Draw { law: Law::Normal, value: drawn.clone() }];
        let args = vec![drawn.size(0)?.into(), "lognormal".to_owned().into(), path.to_owned().into()];
        let got = draws::replay(draws, || library.tensor("flow", "sample_time", args))?;
        r.close(&format!("lognormal.{path}"), &got.reshape(&want.shape())?, want, 1e-6)?;
    }
    let all = Tensor::arange(0.0, 256.0, 1.0, DType::Uint8, default_device())?;
    let float = library.tensor("pixels", "to_float", vec![Dynamic::from(all)])?;
    r.same("u8_to_vae", float.to_vec_f64()?, f.get("u8_to_vae")?.to_vec_f64()?);
    for (name, function) in [("gen.uint8", "to_u8"), ("grid.uint8", "to_u8_rounded")] {
        let got = library.tensor("pixels", function, vec![given("gen.float")?])?;
        r.same(&format!("{name} dtype"), got.dtype(), DType::Uint8);
        let (got, want) = (got.to_vec_f64()?, f.get(name)?.to_vec_f64()?);
        let wrong: Vec<_> = got.iter().zip(&want).enumerate().filter(|(_, (a, b))| a != b).map(|(i, (a, b))| (i, *a, *b)).take(3).collect();
        r.same(name, wrong, Vec::new());
    }
    Ok(())
}

/// Every parameter of a fresh model has the reference's distribution: mean and deviation within six standard errors, and the range. The
/// network runs as built, which the reference's SiT-S does not; its last layer is zero, so that the first velocity is.
pub fn init_stats(f: &Fixture, r: &mut Report) -> Result<()> {
    let stats = f.meta["stats"].as_object().ok_or_else(|| Error::data(&f.path, "has no stats"))?;
    let text = f.meta["ref"].as_str().unwrap_or_default();
    let name: String = text.split('(').next().unwrap_or_default().replacen('_', "-", 1).replace('_', "/");
    let config = SitConfig { qk_norm: text.contains("qk_norm=True"), ..SitConfig::named(&name)? };
    let module = Sit::module("sit", config)?;
    let sit = module.model::<Sit>().ok_or_else(|| Error::value("parity", "no SiT"))?;
    let (c, device) = (sit.config(), default_device());
    let x = Tensor::ones(&[1, c.in_channels, c.input_size[0], c.input_size[1]], DType::Float, device)?;
    let (t, y) = (Tensor::full(&[1], 0.5, DType::Float, device)?, Tensor::zeros(&[1], DType::Int64, device)?);
    let velocity = no_grad(|| sit.forward(&x, &t, &y, &LabelDrop::Off))?;
    r.same("shape of the first velocity", velocity.shape(), x.shape());
    r.same("largest value of the first velocity", velocity.abs()?.max()?.item()?, 0.0);
    let state = module.state();
    for (name, want) in stats {
        let Some(t) = state.get(name) else {
            r.fail(format!("the model has no `{name}`"));
            continue;
        };
        let t = t.detach()?.to_dtype(DType::Double)?;
        let number = |k: &str| want[k].as_f64().unwrap_or(f64::NAN);
        let (std, n) = (number("std"), t.numel() as f64);
        r.same(name, t.shape(), super::fixture::shape_of(&want["shape"]));
        r.within(&format!("{name} mean"), (t.mean(&[], false)?.item()? - number("mean")).abs(), 1e-6 + 6.0 * std * (2.0 / n).sqrt());
        if n > 1.0 {
            r.within(&format!("{name} std"), (t.std(&[], 1, false)?.item()? - std).abs(), 1e-6 + 6.0 * std / n.sqrt());
        }
        // A uniform law reaches its bound, a normal one varies by some tenths of its deviation.
        for (key, got) in [("min", t.min()?.item()?), ("max", t.max()?.item()?)] {
            r.within(&format!("{name} {key}"), (got - number(key)).abs(), 1e-6 + 2.0 * std);
        }
    }
    Ok(())
}
