//! Vision models that see pictures which are no squares, against what the published code computes. `make_wide.py` beside the fixture says how it was made:
//! transformers 5.24.0, timm 1.0.31 and the models' own repositories.

use crate::models::encoder_files::{difference, model, refused, tiny};
use crate::support::root;
use lathe::models::encoder::{Interpolation, Known, Network, interpolate_positions};
use lathe::models::{Encoder, EncoderOptions, VitOptions};
use lathe::nn::{Module, State, read_state};
use lathe::torch::{DType, Device, Tensor, no_grad};
use std::path::PathBuf;

/// Another order of the same f32 operations.
const TOLERANCE: f64 = 1e-5;
/// More rows and columns than the published 4 x 4, as many columns, and as many patches in all.
const SIZES: [[i64; 2]; 3] = [[12, 24], [24, 16], [8, 32]];

fn file(name: &str) -> PathBuf {
    root().join("tests/data/encoders").join(name)
}

fn expected() -> State {
    read_state(&file("wide.safetensors"), None).unwrap()
}

fn options(size: [i64; 2], change: impl FnOnce(&mut VitOptions)) -> EncoderOptions {
    let mut options = EncoderOptions { resolution: Some(size), ..tiny(None) };
    change(&mut options.vit);
    options
}

fn load(name: &str, weights: &str, size: [i64; 2], change: impl FnOnce(&mut VitOptions)) -> Module {
    let options = EncoderOptions { weights: Some(file(weights)), ..options(size, change) };
    Encoder::module(name, options).unwrap_or_else(|e| panic!("{weights}, {size:?}: {e:?}"))
}

fn tokens(module: &Module, x: &Tensor) -> Tensor {
    no_grad(|| model(module).network().features(x)).unwrap()
}

/// The tokens of the published code for all sizes.
fn agrees(name: &str, weights: &str, key: &str, change: impl Fn(&mut VitOptions)) {
    let want = expected();
    for size in SIZES {
        let [h, w] = size;
        let module = load(name, weights, size, &change);
        let encoder = model(&module);
        assert_eq!((encoder.input_size(), encoder.grid_size()), (size, [h / 4, w / 4]), "{key}");
        let got = tokens(&module, &want[&format!("x{h}x{w}")]);
        assert_eq!(got.shape(), [1, h / 4 * w / 4, 16], "{key}");
        let error = difference(&got, &want[&format!("{key}.{h}x{w}")]);
        assert!(error < TOLERANCE, "{key}, {size:?}: {error}");
    }
}

const PUBLISHED: Option<[i64; 2]> = Some([4, 4]);

#[test]
fn dino_and_dinov2_interpolate_as_published() {
    let own =
        |offset, antialias| move |o: &mut VitOptions| (o.pos_grid, o.interpolate_offset, o.interpolate_antialias) = (PUBLISHED, offset, antialias);
    agrees("dinov1-vit-b", "dino_full.pth", "dino", own(None, None));
    agrees("webssl-dino1b-full2b-224", "today/webssl_official.pth", "dinov2", own(None, None));
    agrees("webssl-dino1b-full2b-224", "today/webssl_official.pth", "dinov2_aa", own(Some(0.0), Some(true)));
    agrees("webssl-dino1b-full2b-224", "today/webssl_official.pth", "dinov2_aa_offset", own(Some(0.1), Some(true)));
}

#[test]
fn published_tables_are_resampled_as_repa_does() {
    agrees("dinov1-vit-b", "dino_full.pth", "dino_repa", |_| ());
    agrees("mocov3-vit-b", "moco.pth.tar", "moco_repa", |_| ());
    agrees("jepa-vit-h", "ijepa.pth.tar", "ijepa_repa", |_| ());
    agrees("dinov2-vit-b", "dinov2/model.safetensors", "dinov2_repa", |_| ());
    agrees("clip-vit-L", "clip/model.safetensors", "clip_repa", |_| ());
}

#[test]
fn rotary_positions_count_each_side_by_itself() {
    let three = |o: &mut VitOptions| o.registers = Some(3);
    agrees("dinov3-vit-b16", "today/dinov3", "dinov3", three);
    agrees("dinov3-vit-h+16", "today/dinov3_gated", "dinov3_gated", three);
    agrees("dinov3-vit-l16", "today/dinov3_timm.safetensors", "dinov3_timm", |o| (o.registers, o.depth) = (Some(3), Some(1)));
}

#[test]
fn siglip2_and_perception_encoder_interpolate_as_published() {
    let own = |o: &mut VitOptions| o.pos_grid = PUBLISHED;
    agrees("siglip2-b", "today/siglip2", "siglip2", |o| o.mlp_ratio = Some(4.5));
    agrees("siglip2-l", "today/siglip2", "siglip2", |o| (o.mlp_ratio, o.pos_grid) = (Some(4.5), PUBLISHED));
    agrees("pe-core-b", "today/pe_core.pt", "pe_core", |_| ());
    agrees("pe-core-l", "today/pe_core.pt", "pe_core", own);
    agrees("pe-spatial-b", "today/pe_spatial.pt", "pe_spatial", |_| ());
    agrees("pe-spatial-l", "today/pe_spatial.pt", "pe_spatial", own);
}

#[test]
fn fixed_tables_tell_rows_and_columns() {
    for name in ["mae-vit-b", "mocov3-vit-b", "jepa-vit-h"] {
        // A place's row in the table depends on the place alone: that of a square holds them all.
        let table = |size| Encoder::untrained(name, options(size, |_| ())).unwrap().state()["pos_embed"].squeeze(Some(0)).unwrap();
        let (wide, square) = (table([12, 24]), table([24, 24]));
        let cls = i64::from(name != "jepa-vit-h");
        assert_eq!(wide.shape(), [cls + 3 * 6, 16], "{name}");
        let rows = square.narrow(0, 0, cls + 3 * 6).unwrap();
        assert_eq!(difference(&wide, &rows), 0.0, "{name}");
        let tall = table([24, 12]);
        for (row, column) in [(0, 2), (5, 0), (4, 1)] {
            let (a, b) = (tall.select(0, cls + row * 3 + column).unwrap(), square.select(0, cls + row * 6 + column).unwrap());
            assert_eq!(difference(&a, &b), 0.0, "{name}: {row}, {column}");
        }
    }
}

#[test]
fn pictures_are_resized_to_both_sides() {
    let want = expected();
    for (name, key) in [("dinov2-vit-b", "pixels.repa"), ("dinov3-vit-b16", "pixels.dinov3")] {
        let module = Encoder::untrained(name, options([12, 24], |_| ())).unwrap();
        let pixels = model(&module).preprocess(&want["pictures"]).unwrap();
        let error = difference(&pixels, &want[key]);
        assert!(error < TOLERANCE, "{name}: {error}");
    }
}

#[test]
fn every_model_gives_tokens_of_pictures_that_are_no_squares() {
    let pictures = Tensor::zeros(&[2, 3, 32, 48], DType::Uint8, Device::Cpu).unwrap();
    for known in Known::all() {
        let name = known.name.as_str();
        let (vit, patch) = match &known.network {
            Network::Lite0 => (VitOptions::default(), 16),
            Network::Vit(c) => (VitOptions { embed_dim: Some(16), depth: Some(1), heads: Some(2), ..VitOptions::default() }, c.patch),
        };
        let module = Encoder::untrained(name, EncoderOptions { pictures: Some([32, 48]), vit, ..EncoderOptions::default() }).unwrap();
        let encoder = model(&module);
        let input = if patch == 14 { [28, 42] } else { [32, 48] };
        assert_eq!((encoder.input_size(), encoder.grid_size()), (input, [2, 3]), "{name}");
        assert_eq!(no_grad(|| encoder.features(&pictures)).unwrap().shape(), [2, 6, encoder.dim()], "{name}");
        assert_eq!(no_grad(|| encoder.pooled(&pictures)).unwrap().shape()[0], 2, "{name}");
        let (grid, side) = (encoder.grid().unwrap_err(), encoder.resolution().unwrap_err());
        assert_eq!([grid.code(), side.code()], ["E0202", "E0202"], "{name}");
        let text = format!("{grid} {:?} {side} {:?}", grid.help_text(), side.help_text());
        let [h, w] = input;
        for part in ["2 x 3", "encoder.grid_size", "[2, 3]", &format!("{h} x {w}"), "encoder.input_size", &format!("[{h}, {w}]")] {
            assert!(text.contains(part), "{name}: {part} in {text}");
        }
    }
}

#[test]
fn efficientnet_has_maps_of_both_sides() {
    for (stride, grid) in [(8, [5, 8]), (16, [3, 4]), (32, [2, 2])] {
        let options = EncoderOptions { resolution: Some([40, 64]), stride: Some(stride), ..EncoderOptions::default() };
        let module = Encoder::untrained("efficientnet-lite0", options).unwrap();
        let encoder = model(&module);
        assert_eq!(encoder.grid_size(), grid);
        let pictures = Tensor::zeros(&[1, 3, 20, 30], DType::Uint8, Device::Cpu).unwrap();
        let map = no_grad(|| encoder.maps(&pictures)).unwrap().into_iter().find(|m| m.size(1).unwrap() == encoder.dim()).unwrap();
        assert_eq!(map.shape()[2..], grid);
        let tokens = no_grad(|| encoder.features(&pictures)).unwrap();
        assert_eq!(difference(&tokens, &map.flatten(2, 3).unwrap().transpose(1, 2).unwrap()), 0.0, "row by row");
    }
}

#[test]
fn an_encoder_saved_with_its_resampled_positions_loads_again() {
    let x = |[h, w]: [i64; 2]| Tensor::randn(&[1, 3, h, w], DType::Float, Device::Cpu).unwrap();
    for size in [[12, 24], [24, 16]] {
        let first = load("dinov2-vit-b", "dinov2/model.safetensors", size, |_| ());
        let again = Encoder::with_state("dinov2-vit-b", options(size, |_| ()), &first.state()).unwrap();
        let x = x(size);
        assert_eq!(difference(&tokens(&first, &x), &tokens(&again, &x)), 0.0);
        assert_eq!(difference(&tokens(&first, &x), &tokens(&first.deep_copy().unwrap(), &x)), 0.0);
    }
    // Of as many places as the published table has: which one it is must be said.
    let size = [8, 32];
    let first = load("dinov2-vit-b", "dinov2/model.safetensors", size, |_| ());
    let own = options(size, |o| o.native_grid = Some([2, 8]));
    let again = Encoder::with_state("dinov2-vit-b", own, &first.state()).unwrap();
    let x = x(size);
    assert_eq!(difference(&tokens(&first, &x), &tokens(&again, &x)), 0.0);
}

#[test]
fn a_table_of_two_shapes_is_refused_with_both() {
    // 16 x 16 published places are as many as 8 x 32.
    let vit = VitOptions { embed_dim: Some(8), depth: Some(1), heads: Some(1), ..VitOptions::default() };
    let of = |resolution, native_grid| EncoderOptions {
        resolution: Some(resolution),
        vit: VitOptions { native_grid, ..vit.clone() },
        ..EncoderOptions::default()
    };
    let published = Encoder::untrained("siglip2-b", of([256, 256], None)).unwrap().state();
    let wide = |native_grid| Encoder::with_state("siglip2-b", of([128, 512], native_grid), &published);
    refused(wide(None), "E0401", &["16x16", "8x32", "#{native_grid: 16}", "#{native_grid: [8, 32]}"]);
    let (resampled, kept) = (wide(Some([16, 16])).unwrap(), wide(Some([8, 32])).unwrap());
    assert!(difference(&resampled.state()["pos_embed"], &published["pos_embed"]) > 1e-3);
    assert_eq!(difference(&kept.state()["pos_embed"], &published["pos_embed"]), 0.0);
}

#[test]
fn sizes_that_make_no_network_are_refused() {
    let untrained = |name: &str, f: fn(&mut EncoderOptions)| {
        let mut options = tiny(None);
        f(&mut options);
        Encoder::untrained(name, options)
    };
    refused(untrained("dinov2-vit-b", |o| o.resolution = Some([16, 18])), "E0202", &["resolution [16, 18]", "patch 4", "resolution: 16"]);
    refused(untrained("dinov2-vit-b", |o| o.resolution = Some([10, 18])), "E0202", &["resolution [10, 18]", "resolution: [8, 16]"]);
    refused(untrained("dinov2-vit-b", |o| (o.resolution, o.vit.pos_grid) = (Some([16, 24]), Some([-3, 4]))), "E0202", &["`pos_grid`", "got -3"]);
    refused(untrained("dinov2-vit-b", |o| o.pictures = Some([i64::MAX, 16]).filter(|_| o.resolution.take().is_some())), "E0202", &["no multiple"]);
    refused(untrained("mae-vit-b", |o| o.vit.pos_grid = Some([2, 4])), "E0202", &["2x4", "4x4"]);
    let lite0 = EncoderOptions { resolution: Some([64, 31]), ..EncoderOptions::default() };
    refused(Encoder::untrained("efficientnet-lite0", lite0), "E0202", &["[64, 31]", "between 32 and 4096"]);
    for asked in [
        EncoderOptions { resolution: Some([16, 24]), ..EncoderOptions::default() },
        EncoderOptions { pictures: Some([16, 24]), ..EncoderOptions::default() },
    ] {
        let program = Encoder::module(&format!("torchscript:{}", file("map.pt").display()), asked);
        refused(program, "E0202", &["takes squares, not [16, 24]", "resolution: 224"]);
    }
    // Said by a user, a square is made of them.
    let square = EncoderOptions { pictures: Some([16, 24]), resolution: Some([16, 16]), ..EncoderOptions::default() };
    assert!(Encoder::module(&format!("torchscript:{}", file("map.pt").display()), square).is_ok());
    let table = Tensor::zeros(&[1, 17, 8], DType::Float, Device::Cpu).unwrap();
    assert!(interpolate_positions(&table, [4, 4], [3, 5], 1, Interpolation::default()).is_ok());
    for (from, to) in [([4, 5], [3, 5]), ([-4, -4], [3, 5]), ([4, 4], [0, 5]), ([4, 4], [3, -5])] {
        assert_eq!(interpolate_positions(&table, from, to, 1, Interpolation::default()).unwrap_err().code(), "E0202");
    }
}
