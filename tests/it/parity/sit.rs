//! SiT: the training, alignment and sampling passes of the reference, with gradients, and the real sizes.

use super::fixture::{Fixture, hash_normalish};
use super::report::Report;
use super::scripts::{Library, entry, list, tensor};
use super::strides::strided;
use lathe::error::{Error, Result};
use lathe::models::{LabelDrop, Sit, SitConfig, sit::timestep_embedding};
use lathe::nn::Module;
use lathe::script::rhai::Dynamic;
use lathe::torch::{DType, Tensor, default_device, no_grad};
use std::rc::Rc;

const FORWARD: f64 = 1e-5;
const FORWARD_FULL: f64 = 1e-4;
const GRADIENT: f64 = 1e-4;
/// Gradients below this part of the largest one are rounding noise around zero: a bias added to all keys changes no attention weight.
const ZERO: f64 = 1e-6;

/// The sizes in a sidecar.
///
/// # Errors
/// `E0202` for what is not implemented.
pub fn config(f: &Fixture) -> Result<SitConfig> {
    let c = f.config();
    let int = |k: &str| c.int(k).unwrap_or(0);
    let number = |k: &str| c.number(k).unwrap_or(0.0);
    // The reference keeps them with the model and reads them nowhere: the loss has its own path, and the decoder the encoder's width.
    if c.get("path_type") != &f.meta["path_type"] {
        c.is("path_type", "edm")?;
    }
    c.is("decoder_hidden_size", int("hidden_size"))?;
    // Attention in one kernel or in several, with the same result.
    c.flag("fused_attn");
    Ok(SitConfig {
        patch: int("patch_size"),
        input_size: [int("input_size"); 2],
        in_channels: int("in_channels"),
        num_classes: int("num_classes"),
        z_dims: c.list("z_dims"),
        encoder_depth: int("encoder_depth"),
        qk_norm: c.flag("qk_norm").unwrap_or(false),
        class_dropout: number("class_dropout_prob"),
        projector_dim: int("projector_dim"),
        mlp_ratio: number("mlp_ratio"),
        bn_momentum: number("bn_momentum"),
        ..SitConfig::sized(int("depth"), int("hidden_size"), int("num_heads"))
    })
}

fn model(module: &Module) -> Result<Rc<Sit>> {
    module.model().ok_or_else(|| Error::value("sit", "the module holds no SiT"))
}

/// One pass of the reference's `forward`.
struct Pass {
    output: Tensor,
    denoising: Tensor,
    projection: Tensor,
    projected: Vec<Tensor>,
}

/// The noised latents and the velocity to learn, by `std/flow`.
fn interpolate(f: &Fixture, library: &Library, x: &Tensor, noise: &Tensor, t: &Tensor) -> Result<[Tensor; 2]> {
    let path = f.meta["path_type"].as_str().unwrap_or("linear").to_owned();
    let args = vec![path.into(), Dynamic::from(x.clone()), Dynamic::from(noise.clone()), Dynamic::from(t.clone())];
    let out = library.call("flow", "interpolate", args)?;
    Ok([tensor(&entry(&out, "x_t")?)?, tensor(&entry(&out, "target")?)?])
}

/// The alignment loss of `std/repa`.
fn projection_loss(library: &Library, projected: &[Tensor], targets: &[Tensor]) -> Result<Tensor> {
    library.tensor("repa", "projection_loss", vec![list(projected.to_vec()), list(targets.to_vec())])
}

fn targets(f: &Fixture) -> Result<Vec<Tensor>> {
    (0..).map(|i| format!("zs.{i}")).take_while(|n| f.has(n)).map(|n| f.get(&n).cloned()).collect()
}

fn pass(f: &Fixture, library: &Library, sit: &Sit, drop: &LabelDrop) -> Result<Pass> {
    let t = f.get("time_input")?;
    let [x_t, target] = interpolate(f, library, &sit.normalize(f.get("x")?)?, f.get("noises")?, t)?;
    let out = sit.forward_features(&x_t, t, f.get("y")?, drop)?;
    let denoising = library.tensor("flow", "velocity_loss", vec![Dynamic::from(out.velocity.clone()), Dynamic::from(target)])?;
    let projection = projection_loss(library, &out.projected, &targets(f)?)?;
    Ok(Pass { denoising, projection, output: out.velocity, projected: out.projected })
}

/// The initial state, in training.
fn reset(f: &Fixture, module: &Module) -> Result<()> {
    f.init(module)?;
    let state = module.state();
    for (name, value) in f.below("bn0.") {
        no_grad(|| state[&format!("bn.{name}")].copy_(value))?;
    }
    no_grad(|| state["bn.num_batches_tracked"].zero_())?;
    state.values().try_for_each(Tensor::zero_grad)?;
    model(module)?.freeze_bn(false);
    module.set_training(true);
    Ok(())
}

pub fn small(f: &Fixture, r: &mut Report) -> Result<()> {
    let library = &Library::load()?;
    let module = Sit::module("sit", config(f)?)?;
    let order: Vec<String> = f.below("w.").map(|(k, _)| k.to_owned()).collect();
    if !order.is_empty() {
        let mut own: Vec<String> = module.state().keys().cloned().collect();
        own.sort();
        r.same("names", own, order);
    }
    reset(f, &module)?;
    r.close("pos_embed", &module.state()["pos_embed"], f.get("pos_embed")?, FORWARD)?;
    train(f, library, &module, r)?;

    reset(f, &module)?;
    let sit = model(&module)?;
    sit.freeze_bn(true);
    let p = no_grad(|| pass(f, library, &sit, &LabelDrop::Off))?;
    outputs(f, "train_bnfrozen.", &p, r)?;
    r.same("a frozen batch norm does not move", module.state()["bn.num_batches_tracked"].item()?, 0.0);

    dropped(f, library, r)?;
    reset(f, &module)?;
    align(f, library, &module, r)?;
    infer(f, &module, r)
}

fn outputs(f: &Fixture, prefix: &str, p: &Pass, r: &mut Report) -> Result<()> {
    for (name, got) in [("model_output", &p.output), ("denoising_loss", &p.denoising), ("proj_loss", &p.projection)] {
        let name = format!("{prefix}{name}");
        if f.has(&name) {
            r.close(&name, got, f.get(&name)?, FORWARD)?;
        }
    }
    for (i, got) in p.projected.iter().enumerate() {
        let name = format!("{prefix}zs_tilde.{i}");
        if f.has(&name) {
            r.close(&name, got, f.get(&name)?, FORWARD)?;
        }
    }
    Ok(())
}

fn train(f: &Fixture, library: &Library, module: &Module, r: &mut Report) -> Result<()> {
    let p = pass(f, library, &*model(module)?, &LabelDrop::Off)?;
    outputs(f, "train.", &p, r)?;
    let loss = p.denoising.mean(&[], false)?.add(&p.projection.mul(0.5)?)?;
    r.close("train.loss", &loss, f.get("train.loss")?, FORWARD)?;
    loss.backward()?;
    let state = module.state();
    for (name, want) in f.below("train.bn_") {
        r.close(&format!("train.bn_{name}"), &state[&format!("bn.{name}")], want, FORWARD)?;
    }
    let grad = |name: &str| state.get(name).map_or(Ok(None), Tensor::grad)?.ok_or_else(|| Error::value("parity", format!("no gradient of `{name}`")));
    let norms = || f.meta["train_grad_norms"].as_object().into_iter().flatten().map(|(k, v)| (k, v.as_f64().unwrap_or(f64::NAN)));
    let zero = ZERO * norms().map(|n| n.1).fold(0.0, f64::max);
    for (name, want) in f.below("train.grad.") {
        r.gradient(&format!("train.grad.{name}"), &grad(name)?, want, GRADIENT, zero)?;
    }
    for (name, want) in norms() {
        let got = grad(name)?.to_dtype(DType::Double)?.norm()?.item()?;
        let (error, tolerance) = if want <= zero { (got, zero) } else { ((got / want - 1.0).abs(), GRADIENT) };
        r.within(&format!("norm of train.grad.{name}"), error, tolerance);
    }
    let fixed: Vec<String> = module.named_parameters().into_iter().filter(|(_, t)| !t.requires_grad()).map(|(n, _)| n).collect();
    let want: Vec<String> =
        f.meta["params_without_requires_grad"].as_array().into_iter().flatten().filter_map(|v| v.as_str().map(str::to_owned)).collect();
    r.same("parameters without gradient", fixed, want);
    Ok(())
}

/// Label dropout with the recorded draw; the reference's batch norm was still frozen then.
fn dropped(f: &Fixture, library: &Library, r: &mut Report) -> Result<()> {
    if !f.has("drop.rand") {
        return Ok(());
    }
    let module = Sit::module("sit", SitConfig { class_dropout: f.get("drop.prob")?.item()?, ..config(f)? })?;
    reset(f, &module)?;
    let sit = model(&module)?;
    sit.freeze_bn(true);
    let p = no_grad(|| pass(f, library, &sit, &LabelDrop::Uniform(f.get("drop.rand")?.clone())))?;
    outputs(f, "drop.", &p, r)
}

fn align(f: &Fixture, library: &Library, module: &Module, r: &mut Report) -> Result<()> {
    module.set_training(false);
    module.set_requires_grad(false)?;
    let sit = model(module)?;
    let x = f.get("x")?.copy()?.requires_grad_(true)?;
    let t = f.get("time_input")?;
    let [x_t, _] = interpolate(f, library, &sit.normalize(&x)?, f.get("noises")?, t)?;
    let tokens = sit.tokens(&x_t, t, f.get("y")?, None, &LabelDrop::Auto)?;
    let projected = sit.project(&tokens)?;
    let loss = projection_loss(library, &projected, &targets(f)?)?;
    r.close("align.proj_loss", &loss, f.get("align.proj_loss")?, FORWARD)?;
    for (i, got) in projected.iter().enumerate() {
        r.close(&format!("align.zs_tilde.{i}"), got, f.get(&format!("align.zs_tilde.{i}"))?, FORWARD)?;
    }
    let after = sit.head(&tokens, &sit.condition(t, f.get("y")?, &LabelDrop::Auto)?)?;
    r.close("align.model_output_after_break", &after, f.get("align.model_output_after_break")?, FORWARD)?;
    loss.backward()?;
    let grad = x.grad()?.ok_or_else(|| Error::value("parity", "no gradient of x"))?;
    r.gradient("align.grad_x", &grad, f.get("align.grad_x")?, GRADIENT, 0.0)?;
    module.set_requires_grad(true)
}

fn infer(f: &Fixture, module: &Module, r: &mut Report) -> Result<()> {
    module.set_training(false);
    let (sit, x, t, y) = (model(module)?, f.get("x")?, f.get("infer.t")?, f.get("y")?);
    no_grad(|| {
        r.close("infer.out", &sit.forward(x, t, y, &LabelDrop::Auto)?, f.get("infer.out")?, FORWARD)?;
        let null = Tensor::full(&y.shape(), sit.null_label() as f64, DType::Int64, default_device())?;
        r.close("infer.out_null_label", &sit.forward(x, t, &null, &LabelDrop::Auto)?, f.get("infer.out_null_label")?, FORWARD)?;
        for (depth, want) in f.below("infer.feats_depth") {
            let depth = depth.parse().map_err(|_| Error::value("parity", format!("infer.feats_depth{depth}")))?;
            r.close(&format!("infer.feats_depth{depth}"), &sit.tokens(x, t, y, Some(depth), &LabelDrop::Auto)?, want, FORWARD)?;
        }
        r.close("t_freq", &timestep_embedding(t)?, f.get("t_freq")?, FORWARD)
    })
}

pub fn full(f: &Fixture, r: &mut Report) -> Result<()> {
    let m = &f.meta;
    let named = SitConfig::named(m["arch"].as_str().unwrap_or_default())?;
    let int = |k: &str, default: i64| m[k].as_i64().unwrap_or(default);
    let config = SitConfig {
        in_channels: int("in_channels", named.in_channels),
        input_size: [int("input_size", named.input_size[0]); 2],
        qk_norm: m["qk_norm"].as_bool().unwrap_or(false),
        encoder_depth: int("encoder_depth", named.encoder_depth),
        z_dims: m["z_dims"].as_array().into_iter().flatten().filter_map(serde_json::Value::as_i64).collect(),
        projector_dim: int("projector_dim", named.projector_dim),
        num_classes: int("num_classes", named.num_classes),
        ..named
    };
    let library = &Library::load()?;
    let (tokens, dims) = (config.grid().iter().product::<i64>(), config.z_dims.clone());
    let [height, width] = config.input_size;
    let shape = [1, config.in_channels, height, width];
    let module = Sit::module("sit", config)?;
    f.init(&module)?;
    module.set_training(false);
    // The positions count among the reference's parameters, the statistics do not.
    r.same("n_params", module.count(), int("n_params", 0));
    let sit = model(&module)?;
    let input = |name: &str, shape: &[i64]| hash_normalish(f.seed(), name, shape, 1.0);
    let (x, noise) = (input("in.x", &shape)?, input("in.noise", &shape)?);
    let t = Tensor::full(&[1], f.number("t", 0.0), DType::Float, default_device())?;
    let y = Tensor::full(&[1], f.number("y", 0.0), DType::Int64, default_device())?;
    no_grad(|| {
        r.close("infer.out", &sit.forward(&x, &t, &y, &LabelDrop::Off)?, f.get("infer.out")?, FORWARD_FULL)?;
        let [x_t, target] = interpolate(f, library, &sit.normalize(&x)?, &noise, &t)?;
        let out = sit.forward_features(&x_t, &t, &y, &LabelDrop::Off)?;
        let denoising = library.tensor("flow", "velocity_loss", vec![Dynamic::from(out.velocity.clone()), Dynamic::from(target)])?;
        r.close("eval.denoising_loss", &denoising, f.get("eval.denoising_loss")?, FORWARD_FULL)?;
        let targets: Vec<Tensor> = (0..).zip(&dims).map(|(i, z)| input(&format!("in.zs{i}"), &[1, tokens, *z])).collect::<Result<_>>()?;
        r.close("eval.proj_loss", &projection_loss(library, &out.projected, &targets)?, f.get("eval.proj_loss")?, FORWARD_FULL)?;
        let want = f.get("eval.zs_tilde0_strided")?;
        let got = out.projected.first().ok_or_else(|| Error::value("parity", "no projector"))?;
        r.close("eval.zs_tilde0", &strided(got, want)?, want, FORWARD_FULL)
    })
}
