//! Vision encoders: tokens under every published naming, position tables, preprocessing.

use super::fixture::{Fixture, hash_normalish, hash_tensor, shape_of};
use super::report::{Report, on_this_device};
use lathe::error::{Error, Result};
use lathe::models::encoder::{Ffn, Interpolation, interpolate_positions, resample_positions};
use lathe::models::{Encoder, EncoderOptions, VitOptions};
use lathe::nn::{Module, State};
use lathe::torch::{DType, Tensor, default_device, no_grad};
use serde_json::Value;
use std::rc::Rc;

const FORWARD: f64 = 1e-5;
const FORWARD_FULL: f64 = 1e-4;
/// More parameters than any network made small for a test.
const FULL: i64 = 10_000_000;
/// Position tables are exact up to the rounding of one interpolation.
const TABLE: f64 = 1e-6;
/// PyTorch's bicubic kernel without vector instructions differs from the one with them by 1.4e-6 of the largest value (256 to 224 pixels,
/// libtorch 2.11), and not evenly in both directions: by 1.5e-7 on average over the pixels. Three times that.
const BICUBIC: f64 = 4e-6;
const BICUBIC_MEAN: f64 = 4.5e-7;

/// The product's name for the reference's `encoder_type`; sizes come from the sidecar.
fn name_of(arch: &str, registers: i64) -> Result<&'static str> {
    Ok(match arch {
        "dinov2" | "dinov2reg" if registers > 0 => "dinov2reg-vit-b",
        "dinov2" => "dinov2-vit-b",
        "dinov1" | "dino" => "dinov1-vit-b",
        "clip" => "clip-vit-L",
        "ijepa" | "jepa" => "jepa-vit-h",
        "mae" => "mae-vit-l",
        "mocov3" => "mocov3-vit-b",
        other => return Err(Error::value("parity", format!("unknown vision model `{other}`"))),
    })
}

fn encoder(module: &Module) -> Result<Rc<Encoder>> {
    module.model().ok_or_else(|| Error::value("parity", "not an encoder"))
}

/// The published weights: hashed by `spec`, or stored.
fn published(f: &Fixture) -> Result<State> {
    if let Some(spec) = f.meta["spec"].as_object() {
        let tensor = |(name, s): (&String, &Value)| {
            let bound = |k: &str| s[k].as_f64().unwrap_or(f64::NAN);
            Ok((name.clone(), hash_tensor(f.seed(), name, &shape_of(&s["shape"]), bound("lo"), bound("hi"))?))
        };
        return spec.iter().map(tensor).collect();
    }
    let mut state: State = f.below("w.").map(|(k, v)| (k.to_owned(), v.clone())).collect();
    if f.has("native_pos_embed") {
        state.insert("pos_embed".into(), f.get("native_pos_embed")?.clone());
    }
    Ok(state)
}

/// The position table among published weights.
fn table(state: &State) -> Result<&Tensor> {
    let found = state.iter().find(|(k, _)| k.ends_with("pos_embed") || k.ends_with("positional_embedding"));
    found.map(|(_, t)| t).ok_or_else(|| Error::value("parity", "the weights have no position table"))
}

/// The fixtures are of squares.
fn square(side: i64) -> [i64; 2] {
    [side; 2]
}

fn options(f: &Fixture, arch: &str, state: &State) -> Result<EncoderOptions> {
    let c = f.config();
    let int = |keys: &[&str]| keys.iter().find_map(|k| c.int(k));
    let of_clip = arch == "clip";
    c.is("cls_token", !matches!(arch, "ijepa" | "jepa"))?;
    c.is("final_norm", !of_clip)?;
    c.is("ln_post_applied", false)?;
    c.is("act", if of_clip { "QuickGELU" } else { "GELU" })?;
    let rows = table(state)?.size(-2)?;
    let prefix = i64::from(!matches!(arch, "ijepa" | "jepa"));
    let native = int(&["native_grid"]).unwrap_or(((rows - prefix) as f64).sqrt().round() as i64);
    // `resample_to: null` says that the table stays as published and the forward pass interpolates.
    let pos_grid = int(&["resample_to"]).or_else(|| f.meta["config"].get("resample_to").map(|_| native));
    let swiglu = match c.text("ffn") {
        Some("mlp") => false,
        Some("swiglu" | "swiglufused") => true,
        Some(other) => return Err(Error::value("parity", format!("`config.ffn` is \"{other}\", which is not implemented"))),
        None => state.keys().any(|k| k.contains("mlp.w12")),
    };
    Ok(EncoderOptions {
        resolution: int(&["input_px", "img_size", "resolution"]).map(square),
        vit: VitOptions {
            embed_dim: int(&["embed_dim", "width", "hidden"]),
            depth: int(&["depth", "layers"]),
            heads: int(&["num_heads", "heads"]),
            patch: int(&["patch", "patch_size"]),
            native_grid: Some(square(native)),
            pos_grid: pos_grid.map(square),
            registers: int(&["num_register_tokens", "registers"]),
            mlp_ratio: c.number("mlp_ratio"),
            ffn: swiglu.then_some(Ffn::SwiGlu),
            layer_scale: f.meta["config"].get("init_values").map(|_| c.number("init_values").is_some_and(|v| v != 0.0)),
            eps: c.number("ln_eps"),
            interpolate_offset: c.number("interpolate_offset"),
            interpolate_antialias: c.flag("antialias_in_forward"),
        },
        ..EncoderOptions::default()
    })
}

pub fn check(f: &Fixture, r: &mut Report) -> Result<()> {
    let arch = f.meta["arch"].as_str().unwrap_or_default();
    let state = published(f)?;
    let options = options(f, arch, &state)?;
    let name = name_of(arch, options.vit.registers.unwrap_or(0))?;
    let module = Encoder::with_state(name, options.clone(), &state)?;
    let own = encoder(&module)?;
    let tolerance = if module.count() > FULL { FORWARD_FULL } else { FORWARD };

    let side = own.resolution()?;
    let batch = f.get("features")?.size(0)?;
    let input = f.meta["x"].as_str().and_then(|x| x.split_whitespace().last()).unwrap_or("in.x");
    let x = if f.has("x") { f.get("x")?.clone() } else { hash_normalish(f.seed(), input, &[batch, 3, side, side], 1.0)? };
    let x = x.to_device(default_device())?;
    let features = no_grad(|| own.network().features(&x))?;
    r.same("shape of the tokens", features.shape(), vec![batch, own.grid_size().iter().product(), own.dim()]);

    for (key, want) in f.everything() {
        let got = match key.as_str() {
            "features" => features.clone(),
            "cls" => no_grad(|| own.network().pooled(&x))?.reshape(&want.shape())?,
            "prenorm" => no_grad(|| own.network().hidden(&x))?,
            "native_pos_embed" => table(&state)?.clone(),
            "resampled_pos_embed" => table(&module.state())?.clone(),
            "built_in_sincos_pos_embed" => table(&Encoder::untrained(name, options.clone())?.state())?.clone(),
            "x" => continue,
            weight => match weight.strip_prefix("w.").and_then(|w| module.state().get(w).cloned()) {
                Some(t) => t,
                None => {
                    r.fail(format!("nothing here computes `{key}`"));
                    continue;
                }
            },
        };
        let tolerance = if key.ends_with("pos_embed") { TABLE } else { tolerance };
        r.close(key, &stored(f, key, &got, want)?, want, tolerance)?;
    }
    for (what, renamed) in [("Hugging Face's names", hugging_face(arch, &state)?), ("the official checkpoint's names", official(arch, &state)?)] {
        no_grad(|| module.state().values().try_for_each(|t| t.zero_().map(drop)))?;
        module.load_state(&renamed, true).map_err(|e| e.context(what))?;
        r.close(what, &no_grad(|| own.network().features(&x))?, &features, 1e-7)?;
    }
    if module.count() < FULL {
        refusal(name, &options, &state, r)?;
    }
    Ok(())
}

/// A state dict with a name too few and one too many is refused with both.
fn refusal(name: &str, options: &EncoderOptions, state: &State, r: &mut Report) -> Result<()> {
    let mut wrong = state.clone();
    let gone = wrong.keys().find(|k| k.ends_with("fc1.bias") || k.ends_with("c_fc.bias") || k.ends_with("w12.bias")).cloned().unwrap_or_default();
    if let Some(t) = wrong.shift_remove(&gone) {
        let prefix = gone.split("blocks").next().unwrap_or_default().split("transformer").next().unwrap_or_default();
        wrong.insert(format!("{prefix}surplus.weight"), t);
    }
    match Encoder::with_state(name, options.clone(), &wrong) {
        Ok(_) => r.fail("weights with a name too few and one too many were accepted".into()),
        Err(e) => {
            let text = e.to_string();
            let tail = gone.rsplit("blocks.").next().unwrap_or_default();
            r.same("the refusal names both", text.contains(tail) && text.contains("surplus.weight") && e.code() == "E0401", true);
        }
    }
    Ok(())
}

/// The names that Hugging Face's conversion scripts give, with the queries, keys and values apart.
fn hugging_face(arch: &str, state: &State) -> Result<State> {
    let clip = arch == "clip";
    let (mut out, root) = (State::new(), if clip { "vision_model." } else { "" });
    for (name, t) in state {
        let name = name.strip_prefix("model.").or(name.strip_prefix("visual.")).unwrap_or(name);
        let put = |out: &mut State, n: String, t: Tensor| drop(out.insert(format!("{root}{n}"), t));
        let block = name.strip_prefix("transformer.resblocks.").or(name.strip_prefix("blocks.")).and_then(|n| n.split_once('.'));
        let Some((i, inner)) = block else {
            let of = |from: &str, to: &str| name.strip_prefix(from).map(|leaf| format!("{to}{leaf}"));
            let simple = match name {
                "cls_token" => Some("embeddings.cls_token".to_owned()),
                "class_embedding" => Some("embeddings.class_embedding".into()),
                "pos_embed" => Some("embeddings.position_embeddings".into()),
                "positional_embedding" => Some("embeddings.position_embedding.weight".into()),
                "mask_token" => Some("embeddings.mask_token".into()),
                "register_tokens" => Some("embeddings.register_tokens".into()),
                _ => of("patch_embed.proj.", "embeddings.patch_embeddings.projection.")
                    .or_else(|| of("conv1.", "embeddings.patch_embedding."))
                    .or_else(|| of("ln_pre.", "pre_layrnorm."))
                    .or_else(|| of("ln_post.", "post_layernorm."))
                    .or_else(|| of("norm.", "layernorm.")),
            };
            match simple {
                Some(n) => put(&mut out, n, t.clone()),
                // CLIP's projection lies outside its vision model.
                None => drop(out.insert("visual_projection.weight".into(), t.t()?)),
            }
            continue;
        };
        let layer = if clip { format!("encoder.layers.{i}") } else { format!("encoder.layer.{i}") };
        if inner.contains("qkv") || inner.contains("in_proj") {
            let leaf = if inner.ends_with("bias") { "bias" } else { "weight" };
            for (part, t) in ["query", "key", "value"].into_iter().zip(t.chunk(3, 0)?) {
                let n = if clip { format!("self_attn.{}_proj", &part[..1]) } else { format!("attention.attention.{part}") };
                put(&mut out, format!("{layer}.{n}.{leaf}"), t);
            }
            continue;
        }
        let dinov2 = arch.starts_with("dinov2");
        let names: &[(&str, &str)] = if clip {
            &[
                ("ln_1", "layer_norm1"),
                ("ln_2", "layer_norm2"),
                ("attn.out_proj", "self_attn.out_proj"),
                ("mlp.c_fc", "mlp.fc1"),
                ("mlp.c_proj", "mlp.fc2"),
            ]
        } else if dinov2 {
            &[
                ("attn.proj", "attention.output.dense"),
                ("ls1.gamma", "layer_scale1.lambda1"),
                ("ls2.gamma", "layer_scale2.lambda1"),
                ("mlp.w12", "mlp.weights_in"),
                ("mlp.w3", "mlp.weights_out"),
            ]
        } else {
            &[
                ("norm1", "layernorm_before"),
                ("norm2", "layernorm_after"),
                ("attn.proj", "attention.output.dense"),
                ("mlp.fc1", "intermediate.dense"),
                ("mlp.fc2", "output.dense"),
            ]
        };
        let renamed = names.iter().find_map(|(from, to)| inner.strip_prefix(from).map(|leaf| format!("{to}{leaf}")));
        put(&mut out, format!("{layer}.{}", renamed.unwrap_or_else(|| inner.to_owned())), t.clone());
    }
    Ok(out)
}

/// The official checkpoint's names, with what lies beside the network there.
fn official(arch: &str, state: &State) -> Result<State> {
    let (prefix, beside): (&str, &[&str]) = match arch {
        "clip" => ("visual.", &["transformer.resblocks.0.ln_1.weight", "token_embedding.weight", "ln_final.weight", "logit_scale"]),
        "ijepa" | "jepa" => ("module.", &[]),
        "mocov3" => (
            "module.base_encoder.",
            &["module.momentum_encoder.patch_embed.proj.weight", "module.base_encoder.head.0.weight", "module.predictor.0.weight"],
        ),
        "mae" => ("", &["decoder_embed.weight", "decoder_blocks.0.norm1.weight", "mask_token"]),
        _ => ("backbone.", &["dino_head.mlp.0.weight"]),
    };
    let dim = table(state)?.size(-1)?;
    let bare = |n: &str| n.strip_prefix("model.").unwrap_or(n).to_owned();
    let other = Tensor::zeros(&[1, 1, dim], DType::Float, lathe::torch::Device::Cpu)?;
    let own = state.iter().map(|(k, t)| (format!("{prefix}{}", bare(k)), t.clone()));
    Ok(own.chain(beside.iter().map(|k| ((*k).to_owned(), other.clone()))).collect())
}

/// What the fixture keeps of a tensor: all of it, or the slices that its sidecar declares; where it declares none, the steps that lead
/// to the stored shape.
fn stored(f: &Fixture, name: &str, got: &Tensor, want: &Tensor) -> Result<Tensor> {
    if got.shape() == want.shape() || got.rank() != want.rank() {
        return Ok(got.clone());
    }
    let text = f.meta["strided"].as_str().unwrap_or_default();
    if let Some((_, after)) = text.split_once(&format!("{name}[")) {
        let declared = slices(got, after.split(']').next().unwrap_or_default())?;
        if declared.shape() == want.shape() {
            return Ok(declared);
        }
    }
    super::strides::strided(got, want)
}

/// Python's `:, ::5, -6:`.
fn slices(t: &Tensor, text: &str) -> Result<Tensor> {
    let mut out = t.clone();
    for (d, part) in text.split(',').enumerate() {
        let n: Vec<Option<i64>> = part.trim().split(':').map(|n| n.parse().ok()).collect();
        let at = |i: usize| n.get(i).copied().flatten();
        out = out.slice(d as i64, at(0), at(1), at(2).unwrap_or(1))?;
    }
    Ok(out)
}

/// The networks' inputs for one picture, and tables on other grids. Equal to the last bit where nothing is resized.
pub fn preprocess(f: &Fixture, r: &mut Report) -> Result<()> {
    let (strides, corner) = f.meta["strided"].as_str().unwrap_or_default().split_once(';').unwrap_or_default();
    let inner = |text: &str| text.split('[').nth(1).unwrap_or_default().split(']').next().unwrap_or_default().to_owned();
    let shapes: Vec<Vec<i64>> = f.tensors.iter().filter(|(k, _)| k.ends_with("_shape")).map(|(_, t)| t.to_vec_i64()).collect::<Result<_>>()?;
    // Some encoders take the picture as it is: theirs is the largest shape.
    let shape = shapes.iter().max_by_key(|s| s.iter().product::<i64>()).ok_or_else(|| Error::data(&f.path, "has no shapes"))?;
    let image = hash_tensor(f.seed(), "in.image", shape, 0.0, 256.0)?.floor()?.to_dtype(DType::Uint8)?;
    for (key, want) in f.everything() {
        if key == "image_u8_corner" {
            let (h, w) = (want.size(-2)?, want.size(-1)?);
            r.close(key, &image.narrow(-2, 0, h)?.narrow(-1, 0, w)?, want, 0.5)?;
        } else if key == "image_u8_sum" {
            r.same(key, image.to_dtype(DType::Double)?.sum(&[], false)?.item()?, want.item()?);
        } else if let Some(kind) = key.strip_suffix("_shape") {
            let shape = want.to_vec_i64()?;
            let registers = i64::from(kind == "dinov2reg");
            let vit = VitOptions { embed_dim: Some(8), depth: Some(1), heads: Some(1), registers: Some(registers), ..VitOptions::default() };
            let options = EncoderOptions { resolution: shape.last().copied().map(square), vit, ..EncoderOptions::default() };
            let module = Encoder::untrained(name_of(kind, registers)?, options)?;
            let got = no_grad(|| encoder(&module)?.preprocess(&image.to_device(default_device())?))?;
            r.same(&format!("{kind}_shape"), got.shape(), shape);
            let parts = [("strided", slices(&got, &inner(strides))?), ("corner", slices(&got, &inner(corner))?)];
            for (part, got) in parts {
                let name = format!("{kind}_{part}");
                r.close(&name, &got, f.get(&name)?, BICUBIC)?;
            }
            let sum = got.to_dtype(DType::Double)?.sum(&[], false)?.item()?;
            r.within(&format!("{kind}_sum"), (sum - f.get(&format!("{kind}_sum"))?.item()?).abs(), on_this_device(BICUBIC_MEAN * got.numel() as f64));
        } else if let Some(numbers) = key.strip_prefix("resample.").and_then(|k| k.strip_suffix(".out")) {
            let n: Vec<i64> = numbers.split('_').filter_map(|n| n.parse().ok()).collect();
            let &[from, to, prefix] = n.as_slice() else { return Err(Error::data(&f.path, format!("cannot read the sizes in `{key}`"))) };
            let pe = hash_tensor(f.seed(), &format!("pe{from}"), &[1, from * from + prefix, want.size(-1)?], -1.0, 1.0)?;
            r.close(key, &resample_positions(&pe, square(from), square(to), prefix)?, want, TABLE)?;
        } else if let Some(how) = key.strip_prefix("grid_bicubic_") {
            let (grid, side) = (f.get("grid")?, want.size(-1)?);
            let (_, c, g, _) = grid.size4()?;
            let table = grid.reshape(&[1, c, g * g])?.transpose(1, 2)?;
            let antialias = how.ends_with("_aa");
            // `scale_offset01`: 0.1 is added to the size before the scale is taken.
            let offset =
                how.strip_prefix("scale_offset").map_or(Some(0.0), |digits| digits.trim_end_matches("_aa").parse::<f64>().ok().map(|n| n / 10.0));
            let offset = offset.ok_or_else(|| Error::data(&f.path, format!("cannot read the offset in `{key}`")))?;
            let got = interpolate_positions(&table, square(g), square(side), 0, Interpolation { offset, antialias, ..Interpolation::default() })?;
            r.close(key, &got.transpose(1, 2)?.reshape(&want.shape())?, want, BICUBIC)?;
        } else if key != "grid" && !["_strided", "_corner", "_sum"].iter().any(|s| key.ends_with(s)) {
            r.fail(format!("nothing here computes `{key}`"));
        }
    }
    Ok(())
}
