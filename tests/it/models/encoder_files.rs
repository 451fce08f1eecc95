//! Vision models from the files that other software writes: Hugging Face's folders, training checkpoints, TorchScript. `make.py` beside
//! the fixtures says how they were made; what they must give was computed by transformers 5.24.0 and torch 2.11.0.

use crate::support::root;
use lathe::error::{Error, Result};
use lathe::models::encoder::Ffn;
use lathe::models::{Encoder, EncoderOptions, VitOptions};
use lathe::nn::{Module, State, read_state};
use lathe::torch::{DType, Tensor, no_grad};
use std::path::PathBuf;
use std::rc::Rc;

/// Another order of the same f32 operations.
const TOLERANCE: f64 = 1e-5;

pub fn file(name: &str) -> PathBuf {
    root().join("tests/data/encoders").join(name)
}

fn expected() -> State {
    read_state(&file("expected.safetensors"), None).unwrap()
}

pub fn model(module: &Module) -> Rc<Encoder> {
    module.model().expect("an encoder")
}

pub fn difference(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.shape(), b.shape());
    a.sub(b).unwrap().abs().unwrap().max().unwrap().item().unwrap()
}

/// The sizes of every fixture.
pub fn tiny(weights: Option<&str>) -> EncoderOptions {
    let vit = VitOptions { embed_dim: Some(16), depth: Some(2), heads: Some(2), patch: Some(4), native_grid: Some([4; 2]), ..VitOptions::default() };
    EncoderOptions { weights: weights.map(file), resolution: Some([16; 2]), vit, ..EncoderOptions::default() }
}

#[test]
fn folders_of_hugging_face_give_their_librarys_tokens() {
    let want = expected();
    let x = &want["x"];
    let with = |f: fn(&mut VitOptions)| f;
    let cases = [
        ("dinov2", "dinov2-vit-b", with(|_| ())),
        ("dinov2_swiglu", "dinov2-vit-g", with(|_| ())),
        ("dinov2_swiglu", "dinov2-vit-b", with(|o| o.ffn = Some(Ffn::SwiGlu))),
        ("dinov2_registers", "dinov2reg-vit-s", with(|o| o.registers = Some(3))),
        ("ijepa", "jepa-vit-h", with(|_| ())),
        ("dinov1", "dinov1-vit-b", with(|_| ())),
        ("mae", "mae-vit-l", with(|_| ())),
        ("clip", "clip-vit-L", with(|_| ())),
    ];
    for (folder, name, change) in cases {
        let mut options = tiny(Some(folder));
        change(&mut options.vit);
        let module = Encoder::module(name, options).unwrap_or_else(|e| panic!("{folder}: {e:?}"));
        let encoder = model(&module);
        let tokens = no_grad(|| encoder.network().features(x)).unwrap();
        let error = difference(&tokens, &want[&format!("{folder}.tokens")]);
        assert!(error < TOLERANCE, "{folder}: {error}");
        if let Some(pooled) = want.get(&format!("{folder}.pooled")) {
            let error = difference(&no_grad(|| encoder.network().pooled(x)).unwrap(), pooled);
            assert!(error < TOLERANCE, "{folder}, pooled: {error}");
        }
        assert!(module.named_parameters().iter().all(|(_, t)| !t.requires_grad()) && !module.is_training());
    }
}

#[test]
fn training_checkpoints_hold_several_networks_and_the_right_one_is_taken() {
    let want = expected();
    let tokens = |name: &str, options| no_grad(|| model(&Encoder::module(name, options)?).network().features(&want["x"]));
    for (weights, name, tokens_of) in
        [("dino_full.pth", "dinov1-vit-b", "dinov1"), ("moco.pth.tar", "mocov3-vit-b", "dinov1"), ("ijepa.pth.tar", "jepa-vit-h", "ijepa")]
    {
        let got = tokens(name, tiny(Some(weights))).unwrap_or_else(|e| panic!("{weights}: {e:?}"));
        let error = difference(&got, &want[&format!("{tokens_of}.tokens")]);
        assert!(error < TOLERANCE, "{weights}: {error}");
    }
    let target = EncoderOptions { key: Some("target_encoder".into()), ..tiny(Some("ijepa.pth.tar")) };
    assert_eq!(tokens("jepa-vit-h", target).unwrap().abs().unwrap().max().unwrap().item().unwrap(), 0.0, "the average was made of zeros");
}

#[test]
fn clip_is_read_from_its_torchscript_archive() {
    let want = expected();
    let tokens = |module: Module| no_grad(|| model(&module).network().features(&want["x"])).unwrap();
    let archive = tokens(Encoder::module("clip-vit-L", tiny(Some("clip_jit.pt"))).unwrap());
    // The archive has half precision, like the published one.
    let full = read_state(&file("clip/model.safetensors"), None).unwrap();
    let half: State = full.into_iter().map(|(k, t)| (k, t.to_dtype(DType::Half).unwrap())).collect();
    let error = difference(&archive, &tokens(Encoder::with_state("clip-vit-L", tiny(None), &half).unwrap()));
    assert!(error < TOLERANCE, "{error}");
    assert!(difference(&archive, &want["clip.tokens"]) < 0.1);
}

#[test]
fn damaged_archives_of_weights_are_errors() {
    let whole = std::fs::read(file("clip_jit.pt")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ViT-L-14.pt");
    let load = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        Encoder::module("clip-vit-L", EncoderOptions { weights: Some(path.clone()), ..tiny(None) })
    };
    assert!(load(&whole).is_ok());
    for i in 0..60 {
        let mut bytes = whole.clone();
        let at = whole.len() * i / 60;
        bytes[at..at + 3].fill(0xFF);
        // A changed weight cannot be told; anything else is an error of the file or of the names.
        if let Err(e) = load(&bytes) {
            assert!(matches!(e.code(), "E0302" | "E0401"), "{i}: {e:?}");
        }
        assert!(load(&whole[..at]).is_err(), "cut off at {at}");
    }
}

#[test]
fn a_saved_encoder_loads_again_with_its_resampled_positions() {
    let state = read_state(&file("dinov2/model.safetensors"), None).unwrap();
    let options = EncoderOptions { resolution: Some([24; 2]), ..tiny(None) };
    let first = Encoder::with_state("dinov2-vit-b", options.clone(), &state).unwrap();
    assert_eq!(first.state()["pos_embed"].shape(), [1, 37, 16]);
    let again = Encoder::with_state("dinov2-vit-b", options, &first.state()).unwrap();
    let x = Tensor::randn(&[1, 3, 24, 24], DType::Float, lathe::torch::Device::Cpu).unwrap();
    let tokens = |m: &Module| no_grad(|| model(m).network().features(&x)).unwrap();
    assert_eq!(difference(&tokens(&first), &tokens(&again)), 0.0);
    assert_eq!(difference(&tokens(&first), &tokens(&first.deep_copy().unwrap())), 0.0);
}

#[test]
fn pictures_choose_the_resolution_as_the_reference_does() {
    let of = |name: &str, patch: i64, pictures: i64| {
        let vit = VitOptions { embed_dim: Some(8), depth: Some(1), heads: Some(1), patch: Some(patch), ..VitOptions::default() };
        let module = Encoder::untrained(name, EncoderOptions { pictures: Some([pictures; 2]), vit, ..EncoderOptions::default() }).unwrap();
        (model(&module).resolution().unwrap(), model(&module).grid().unwrap())
    };
    assert_eq!(of("dinov2-vit-b", 14, 256), (224, 16));
    assert_eq!(of("dinov2-vit-b", 14, 512), (448, 32));
    assert_eq!(of("clip-vit-L", 14, 64), (56, 4));
    assert_eq!(of("mae-vit-l", 16, 256), (256, 16));
}

fn text(e: &Error) -> String {
    format!("{e} | {}", e.help_text().unwrap_or_default())
}

pub fn refused(made: Result<Module>, code: &str, parts: &[&str]) {
    let e = made.err().unwrap_or_else(|| panic!("accepted, not refused with {parts:?}"));
    assert_eq!(e.code(), code, "{e:?}");
    let text = text(&e);
    assert!(parts.iter().all(|p| text.contains(p)), "{parts:?} in {text}");
}

#[test]
fn weights_of_another_network_are_refused_with_the_difference() {
    let load = |name: &str, weights: &str| Encoder::module(name, tiny(Some(weights)));
    refused(load("dinov2-vit-b", "dinov2_registers"), "E0401", &["unexpected: `register_tokens`", "dinov2-vit-b"]);
    refused(load("dinov2reg-vit-b", "dinov2"), "E0401", &["missing: `register_tokens`"]);
    refused(load("dinov1-vit-b", "ijepa"), "E0401", &["cls_token"]);
    refused(load("mae-vit-b", "clip"), "E0401", &["missing", "unexpected"]);
    let mut options = tiny(Some("dinov2"));
    options.vit.native_grid = Some([5; 2]);
    options.resolution = Some([24; 2]);
    refused(Encoder::module("dinov2-vit-b", options), "E0401", &["4x4", "5x5", "native_grid: 4"]);
    let mut options = tiny(Some("dinov2"));
    options.vit.depth = Some(3);
    refused(Encoder::module("dinov2-vit-b", options), "E0401", &["missing: `blocks.2."]);
}

#[test]
fn options_that_mean_nothing_are_refused() {
    let untrained = |name: &str, f: fn(&mut EncoderOptions)| {
        let mut options = tiny(None);
        f(&mut options);
        Encoder::untrained(name, options)
    };
    refused(untrained("dinov2-vit-b", |o| o.stride = Some(8)), "E0202", &["dinov2-vit-b", "stride"]);
    refused(untrained("efficientnet-lite0", |_| ()), "E0202", &["sizes of a transformer"]);
    refused(untrained("dinov2-vit-b", |o| o.skip = Some(1)), "E0202", &["skip"]);
    refused(untrained("dinov2-vit-b", |o| o.resolution = Some([18; 2])), "E0202", &["resolution 18", "patch 4", "resolution: 16"]);
    refused(untrained("dinov2-vit-b", |o| o.vit.heads = Some(3)), "E0202", &["3 heads", "16"]);
    refused(untrained("dinov2-vit-b", |o| o.vit.depth = Some(-1)), "E0202", &["`depth`", "got -1"]);
    refused(untrained("mae-vit-b", |o| o.vit.pos_grid = Some([3; 2])), "E0202", &["3x3", "4x4"]);
    refused(untrained("dino2-vit-b", |_| ()), "E0202", &["did you mean `dinov2-vit-b`", "torchscript:PATH"]);
}

fn program(name: &str, f: impl FnOnce(&mut EncoderOptions)) -> Result<Module> {
    let mut options = EncoderOptions { resolution: Some([16; 2]), ..EncoderOptions::default() };
    f(&mut options);
    Encoder::module(&format!("torchscript:{}", file(name).display()), options)
}

#[test]
fn torchscript_programs_give_tokens_and_maps() {
    let want = expected();
    let map = want["map.tokens"].flatten(2, 3).unwrap().transpose(1, 2).unwrap();
    let patches = want["tokens.tokens"].narrow(1, 1, 16).unwrap();
    let cases = [
        (program("tokens.pt", |o| o.skip = Some(1)), &patches),
        // Saved in training mode: dropout and batch statistics must be off.
        (program("map.pt", |_| ()), &map),
        (program("dict.pt", |o| o.output = Some("map".into())), &map),
        (program("pair.pt", |o| o.output = Some("1".into())), &map),
    ];
    for (module, tokens) in cases {
        let module = module.unwrap_or_else(|e| panic!("{e:?}"));
        let encoder = model(&module);
        assert_eq!((encoder.dim(), encoder.grid_size(), encoder.input_size()), (6, [4; 2], [16; 2]));
        let got = no_grad(|| encoder.network().features(&want["x"])).unwrap();
        assert!(difference(&got, tokens) < TOLERANCE, "{module:?}");
        assert!(module.count() > 0 && module.trainable().is_empty());
        // A copy runs by itself, on weights of its own.
        let copy = module.deep_copy().unwrap();
        let pictures = Tensor::zeros(&[1, 3, 20, 20], DType::Uint8, lathe::torch::Device::Cpu).unwrap();
        let tokens = no_grad(|| model(&copy).features(&pictures)).unwrap();
        assert_eq!(tokens.shape(), [1, 16, 6]);
        assert!(difference(&tokens, &no_grad(|| encoder.features(&pictures)).unwrap()) < TOLERANCE);
        let floats = pictures.to_dtype(DType::Float).unwrap().requires_grad_(true).unwrap();
        encoder.features(&floats).unwrap().square().unwrap().mean(&[], false).unwrap().backward().unwrap();
        assert!(floats.grad().unwrap().expect("a gradient").norm().unwrap().item().unwrap() > 0.0);
    }
}

#[test]
fn torchscript_programs_that_cannot_serve_say_why() {
    refused(program("tokens.pt", |_| ()), "E0202", &["17 tokens", "skip: 1"]);
    refused(program("pooled.pt", |_| ()), "E0202", &["[1, 6]", "[B, N, D]"]);
    refused(program("dict.pt", |_| ()), "E0202", &["dict of pooled, map", "output"]);
    refused(program("dict.pt", |o| o.output = Some("tokens".into())), "E0202", &["no tensor `tokens`", "pooled, map"]);
    refused(program("pair.pt", |o| o.output = Some("2".into())), "E0202", &["a tuple of 2"]);
    refused(program("text.pt", |_| ()), "E0202", &["a string"]);
    refused(program("map.pt", |o| o.vit.depth = Some(2)), "E0202", &["sizes of a transformer"]);
    refused(program("map.pt", |o| o.resolution = Some([2; 2])), "E0201", &["torchscript", "[1, 3, 2, 2]"]);
    refused(program("dino_full.pth", |_| ()), "E0302", &["no program", "torch.jit.trace"]);
    refused(program("nowhere.pt", |_| ()), "E0301", &["nowhere.pt"]);
    // Cut off at many places: an error each time, never a crash.
    let whole = std::fs::read(file("map.pt")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broken.pt");
    for i in 0..40 {
        let mut bytes = whole.clone();
        if i % 2 == 0 {
            bytes.truncate(whole.len() * i / 40);
        } else {
            // The directory stays whole, a record does not.
            let at = whole.len() * i / 80;
            bytes[at..at + 40].fill(0xA5);
        }
        std::fs::write(&path, bytes).unwrap();
        if let Err(e) =
            Encoder::module(&format!("torchscript:{}", path.display()), EncoderOptions { resolution: Some([16; 2]), ..Default::default() })
        {
            assert!(matches!(e.code(), "E0302" | "E0201" | "E0202"), "{i}: {e:?}");
            assert!(!e.to_string().contains("Exception raised from"), "{e}");
        } else {
            assert!(i % 2 == 1, "a file cut off at {i}/40 was accepted");
        }
    }
}
