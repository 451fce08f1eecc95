//! DINOv3, Web-SSL, SigLIP 2 and Perception Encoder from small files under every published naming, against what the published code computes.
//! `make_today.py` beside the fixtures says how they were made: transformers 5.24.0, timm 1.0.31 and the models' own repositories.

use crate::models::encoder_files::{difference, model, refused, tiny};
use crate::support::root;
use lathe::error::Result;
use lathe::models::encoder::Ffn;
use lathe::models::{Encoder, EncoderOptions, VitOptions};
use lathe::nn::{Module, State, read_state};
use lathe::torch::{DType, Tensor, no_grad};
use std::path::PathBuf;

/// Another order of the same f32 operations.
const TOLERANCE: f64 = 1e-5;
/// Processors that resize bytes round after each of both directions: at most one of 256 levels, in [-1, 1].
const ROUNDED: f64 = 1.01 / 127.5;

fn file(name: &str) -> PathBuf {
    root().join("tests/data/encoders/today").join(name)
}

fn expected() -> State {
    read_state(&file("expected.safetensors"), None).unwrap()
}

/// A fixture as the model `name`, with an input of that side.
fn load(name: &str, weights: &str, side: i64, change: impl FnOnce(&mut VitOptions)) -> Result<Module> {
    let mut options = EncoderOptions { weights: Some(file(weights)), resolution: Some([side; 2]), ..tiny(None) };
    change(&mut options.vit);
    Encoder::module(name, options)
}

fn tokens(module: &Module, x: &Tensor) -> Tensor {
    no_grad(|| model(module).network().features(x)).unwrap()
}

/// The tokens of the published code for the published side of 16 pixels and for others.
fn agrees(name: &str, weights: &str, key: &str, sides: &[i64], change: impl Fn(&mut VitOptions)) {
    let want = expected();
    for side in sides {
        let module = load(name, weights, *side, &change).unwrap_or_else(|e| panic!("{weights}, {side}: {e:?}"));
        let error = difference(&tokens(&module, &want[&format!("x{side}")]), &want[&format!("{key}.{side}")]);
        assert!(error < TOLERANCE, "{weights}, {side}: {error}");
        assert!(module.trainable().is_empty() && !module.is_training());
        if let Some(pooled) = want.get(&format!("{key}.pooled")).filter(|_| *side == 16) {
            let error = difference(&no_grad(|| model(&module).network().pooled(&want["x16"])).unwrap(), pooled);
            assert!(error < TOLERANCE, "{weights}, pooled: {error}");
        }
    }
}

const ALL: [i64; 3] = [16, 24, 8];

#[test]
fn dinov3_gives_the_published_tokens_on_any_grid_under_each_naming() {
    let three = |o: &mut VitOptions| o.registers = Some(3);
    agrees("dinov3-vit-b16", "dinov3", "dinov3", &ALL, three);
    agrees("dinov3-vit-h+16", "dinov3_gated", "dinov3_gated", &ALL, three);
    agrees("dinov3-vit-s+16", "dinov3_official.pth", "dinov3_official", &ALL, three);
    agrees("dinov3-vit-h+16", "dinov3_timm_bias.safetensors", "dinov3_timm_bias", &ALL, three);
    let flat = |o: &mut VitOptions| (o.registers, o.depth) = (Some(3), Some(1));
    agrees("dinov3-vit-l16", "dinov3_timm.safetensors", "dinov3_timm", &ALL, flat);
}

#[test]
fn siglip2_gives_the_published_tokens_and_interpolates_as_published() {
    let wide = |o: &mut VitOptions| o.mlp_ratio = Some(4.5);
    agrees("siglip2-b", "siglip2", "siglip2", &ALL, wide);
    agrees("siglip2-so400m", "siglip2_timm.safetensors", "siglip2_timm", &[16], |o| (o.mlp_ratio, o.depth) = (Some(4.5), Some(1)));
    // With the published table kept, the network interpolates itself.
    agrees("siglip2-l", "siglip2", "siglip2", &ALL, |o| (o.mlp_ratio, o.pos_grid) = (Some(4.5), Some([4; 2])));
}

#[test]
fn webssl_gives_the_published_tokens_from_several_files_and_from_chunks() {
    agrees("webssl-dino300m-full2b-224", "webssl", "webssl", &[16], |_| ());
    agrees("webssl-dino7b-full8b-518", "webssl_official.pth", "webssl_official", &[16], |_| ());
    agrees("webssl-dino1b-full2b-224", "webssl_official.pth", "webssl_official", &ALL, |o| o.pos_grid = Some([4; 2]));
}

#[test]
fn perception_encoder_gives_the_published_tokens_and_interpolates_as_published() {
    agrees("pe-core-b", "pe_core.pt", "pe_core", &ALL, |_| ());
    agrees("pe-core-l", "pe_core_timm.safetensors", "pe_core", &ALL, |_| ());
    agrees("pe-spatial-b", "pe_spatial.pt", "pe_spatial", &ALL, |_| ());
    agrees("pe-spatial-l", "pe_spatial.pt", "pe_spatial", &ALL, |o| o.pos_grid = Some([4; 2]));
}

#[test]
fn pictures_are_prepared_as_the_published_processors_do() {
    let want = expected();
    for (name, key, tolerance) in
        [("dinov3-vit-b16", "pixels.dinov3", 1e-5), ("siglip2-b", "pixels.siglip2", ROUNDED), ("pe-core-b", "pixels.pe", ROUNDED)]
    {
        let module = Encoder::untrained(name, EncoderOptions { resolution: Some([16; 2]), ..tiny(None) }).unwrap();
        let pixels = model(&module).preprocess(&want["pictures"]).unwrap();
        let error = difference(&pixels, &want[key]);
        assert!(error < tolerance, "{name}: {error}");
        // Floats in [-1, 1] are the same pictures, with gradients.
        let floats = want["pictures"].to_dtype(DType::Float).unwrap().div(127.5).unwrap().sub(1.0).unwrap().requires_grad_(true).unwrap();
        assert!(difference(&model(&module).preprocess(&floats).unwrap(), &pixels) < 1e-5);
        model(&module).features(&floats).unwrap().square().unwrap().mean(&[], false).unwrap().backward().unwrap();
        assert!(floats.grad().unwrap().expect("a gradient").norm().unwrap().item().unwrap() > 0.0, "{name}");
    }
}

#[test]
fn saved_encoders_load_again_with_the_same_tokens() {
    let want = expected();
    for (name, weights) in [("dinov3-vit-b16", "dinov3"), ("pe-core-b", "pe_core.pt"), ("siglip2-b", "siglip2")] {
        let vit =
            VitOptions { registers: (name == "dinov3-vit-b16").then_some(3), mlp_ratio: (name == "siglip2-b").then_some(4.5), ..tiny(None).vit };
        let first = load(name, weights, 24, |o| *o = vit.clone()).unwrap();
        let options = EncoderOptions { resolution: Some([24; 2]), vit, ..EncoderOptions::default() };
        let again = Encoder::with_state(name, options, &first.state()).unwrap();
        let x = &want["x24"];
        assert_eq!(difference(&tokens(&first, x), &tokens(&again, x)), 0.0, "{name}");
        assert_eq!(difference(&tokens(&first, x), &tokens(&first.deep_copy().unwrap(), x)), 0.0, "{name}");
        let half = first.deep_copy().unwrap();
        half.to(None, Some(DType::BFloat16)).unwrap();
        let low = tokens(&half, &x.to_dtype(DType::BFloat16).unwrap());
        assert_eq!(low.dtype(), DType::BFloat16);
        let scale = tokens(&first, x).abs().unwrap().max().unwrap().item().unwrap();
        assert!(difference(&low.to_dtype(DType::Float).unwrap(), &tokens(&first, x)) < 0.1 * scale, "{name}");
    }
}

#[test]
fn published_sizes_make_networks_with_the_published_numbers_of_weights() {
    // Of one block each: what the published configurations say of width, MLP and heads.
    for (name, block, rest) in [
        // width^2 * (4 + 2 * ratio) + biases and norms, scales.
        ("dinov3-vit-b16", 12 * 768 * 768 + 13 * 768 + 2 * 768, (3 * 256 + 1) * 768 + 5 * 768 + 2 * 768),
        ("dinov3-vit-s+16", 4 * 384 * 384 + 3 * 384 * 1536 + 2 * 1536 + 9 * 384 + 2 * 384, (3 * 256 + 1) * 384 + 5 * 384 + 2 * 384),
        ("siglip2-so400m", 4 * 1152 * 1152 + 2 * 1152 * 4304 + 4304 + 9 * 1152, (3 * 256 + 1) * 1152 + 256 * 1152 + 2 * 1152),
        ("pe-core-b", 12 * 768 * 768 + 13 * 768, 3 * 256 * 768 + 768 + 257 * 768 + 4 * 768),
        ("pe-spatial-b", 12 * 768 * 768 + 13 * 768, 3 * 256 * 768 + 768 + 257 * 768 + 2 * 768),
    ] {
        let vit = VitOptions { depth: Some(1), ..VitOptions::default() };
        let module = Encoder::untrained(name, EncoderOptions { vit, ..EncoderOptions::default() }).unwrap();
        assert_eq!(module.count(), block + rest, "{name}");
        assert_eq!((model(&module).input_size(), model(&module).grid_size()), ([256; 2], [16; 2]), "{name}");
    }
}

#[test]
fn weights_of_another_size_or_kind_are_refused_in_one_sentence() {
    let three = |o: &mut VitOptions| o.registers = Some(3);
    let wide = |o: &mut VitOptions| o.mlp_ratio = Some(4.5);
    refused(load("siglip2-b", "naflex", 16, |_| ()), "E0401", &["NaFlex", "siglip2-base-patch16-256"]);
    refused(Encoder::untrained("siglip2-b-NaFlex", EncoderOptions::default()), "E0202", &["NaFlex", "siglip2-so400m"]);
    refused(
        load("siglip2-b", "siglip2", 16, |o| (o.embed_dim, o.heads) = (Some(32), Some(2))),
        "E0401",
        &["width 16", "width 32", "lathe fetch --list"],
    );
    refused(load("pe-core-b", "pe_core.pt", 16, |o| o.patch = Some(8)), "E0401", &["patches of 4", "patches of 8"]);
    // Two that differ in more than a size, and a network that has what the file has not.
    refused(load("dinov3-vit-b16", "dinov3_gated", 16, three), "E0401", &["unexpected", "gate_proj", "dinov3-vit-b16"]);
    refused(load("dinov2-vit-b", "dinov3", 16, |_| ()), "E0401", &["missing", "pos_embed", "register_tokens"]);
    refused(load("dinov3-vit-b16", "webssl", 16, three), "E0401", &["missing", "register_tokens", "unexpected", "pos_embed"]);
    refused(load("pe-core-b", "pe_spatial.pt", 16, |_| ()), "E0401", &["missing", "ln_post.weight"]);
    refused(load("pe-spatial-b", "pe_core.pt", 16, |_| ()), "E0401", &["unexpected", "ln_post.weight"]);
    refused(load("siglip2-b", "pe_core.pt", 16, wide), "E0401", &["missing", "unexpected"]);
}

#[test]
fn weights_without_some_of_the_names_are_refused_with_those() {
    let load = |name: &str, weights: &str, gone: &str| {
        let mut state = read_state(&file(weights), None).unwrap();
        assert!(state.shift_remove(gone).is_some(), "{gone}");
        let mut options = EncoderOptions { resolution: Some([16; 2]), ..tiny(None) };
        options.vit.registers = name.starts_with("dinov3").then_some(3);
        options.vit.mlp_ratio = name.starts_with("siglip").then_some(4.5);
        Encoder::with_state(name, options, &state)
    };
    refused(load("dinov3-vit-b16", "dinov3", "layer.1.attention.q_proj.bias"), "E0401", &["missing", "blocks.1.attn.qkv.bias"]);
    refused(load("dinov3-vit-b16", "dinov3", "layer.0.layer_scale2.lambda1"), "E0401", &["missing", "blocks.0.ls2.gamma"]);
    refused(load("dinov3-vit-h+16", "dinov3_gated", "layer.0.mlp.gate_proj.weight"), "E0401", &["missing", "blocks.0.mlp.w12.weight", "up_proj"]);
    refused(load("dinov3-vit-h+16", "dinov3_official.pth", "blocks.0.attn.qkv.bias"), "E0401", &["missing", "blocks.0.attn.qkv.bias"]);
    refused(load("dinov3-vit-h+16", "dinov3_timm_bias.safetensors", "blocks.1.attn.v_bias"), "E0401", &["missing", "blocks.1.attn.qkv.bias"]);
    refused(load("siglip2-b", "siglip2", "vision_model.encoder.layers.0.self_attn.k_proj.bias"), "E0401", &["missing", "blocks.0.attn.qkv.bias"]);
    refused(load("pe-core-b", "pe_core.pt", "visual.ln_pre.bias"), "E0401", &["missing", "ln_pre.bias"]);
}

#[test]
fn options_that_mean_nothing_for_rotary_positions_are_refused() {
    let untrained = |name: &str, f: fn(&mut VitOptions)| {
        let mut options = tiny(None);
        f(&mut options.vit);
        Encoder::untrained(name, options)
    };
    refused(untrained("dinov3-vit-b16", |o| o.pos_grid = Some([3; 2])), "E0202", &["has none", "pos_grid"]);
    refused(untrained("dinov3-vit-b16", |o| o.heads = Some(8)), "E0202", &["8 heads have 2", "4 divides"]);
    refused(untrained("pe-core-b", |o| o.heads = Some(16)), "E0202", &["16 heads have 1"]);
    refused(untrained("siglip2-vit-b", |_| ()), "E0202", &["did you mean `siglip2-b`"]);
    assert!(untrained("dinov3-vit-b16", |o| o.ffn = Some(Ffn::SwiGlu)).is_ok());
}
