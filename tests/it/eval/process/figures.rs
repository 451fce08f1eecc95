//! Samples against a reference with Inception: every figure beside what the definitions give on the same features, every form of pictures and of
//! reference, and their bad input.

use super::pictures::{decoded, npz, planes, shards};
use super::run::{evaluate, figure, number, refused};
use super::weights;
use crate::support::{files, path, pictures};
use lathe::eval::{Distances, feature_stats, frechet, inception_score, precision_recall, write_stats};
use lathe::models::{Activations, Inception};
use lathe::nn::read_state;
use lathe::torch::bridge::manual_seed;
use lathe::torch::{DType, Device, Tensor, no_grad};
use serde_json::Value;
use std::path::Path;

/// Features in other batches differ in their last bits; of few pictures against many features the distance is a small difference of sums.
const CLOSE: f64 = 1e-4;

fn activations(pictures: &Tensor) -> Activations {
    let module = Inception::with_state(&read_state(weights::inception(), None).unwrap()).unwrap();
    no_grad(|| module.model::<Inception>().unwrap().activations(&planes(pictures))).unwrap()
}

fn distance(a: &Tensor, b: &Tensor) -> f64 {
    let (a, b) = (feature_stats(a).unwrap(), feature_stats(b).unwrap());
    frechet(&a.mu, &a.cov, &b.mu, &b.cov).unwrap()
}

fn score(logits: &Tensor) -> f64 {
    inception_score(&logits.to_dtype(DType::Double).unwrap().softmax(1).unwrap(), 5000).unwrap()
}

/// The two halves that `--seed 0` draws.
fn halves(x: &Tensor) -> [Tensor; 2] {
    manual_seed(0).unwrap();
    let n = x.shape()[0];
    let order = Tensor::randperm(n, Device::Cpu).unwrap();
    [0, n / 2].map(|start| x.index_select(0, &order.narrow(0, start, n / 2).unwrap()).unwrap())
}

fn near(got: &Value, want: f64, what: &str) {
    let got = number(got);
    assert!((got - want).abs() <= CLOSE * want.abs().max(1e-3), "{what}: {got}, expected {want}");
}

fn same(a: &Value, b: &Value) {
    assert_eq!(a["figures"], b["figures"]);
}

fn with_inception<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["--weights", path(weights::inception()), "--batch", "4"], more].concat()
}

#[test]
fn figures_are_those_of_the_definitions_in_every_form() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let (a, b) = (pictures(at("a"), "bun", 0, 9), pictures(at("b"), "spiky", 0, 12));
    let (pixels_a, pixels_b) = (decoded(&a), decoded(&b));
    let flags = with_inception(&["--split", "5000"]);
    let (first, said) = evaluate(&a, &b, &at("out"), &flags);

    let (x, y) = (activations(&pixels_a), activations(&pixels_b));
    let (pool, spatial) = (halves(&y.pool), halves(&y.spatial));
    for (name, value, floor) in [
        ("FID", distance(&x.pool, &y.pool), distance(&pool[0], &pool[1])),
        ("sFID", distance(&x.spatial, &y.spatial), distance(&spatial[0], &spatial[1])),
        ("Inception Score", score(&x.logits), score(&y.logits)),
    ] {
        let f = figure(&first, name);
        near(&f["value"], value, name);
        near(&f["floor"], floor, &format!("the floor of {name}"));
        assert_eq!((&f["n"], &f["floor_n"]), (&9.into(), &(if name == "Inception Score" { 12 } else { 6 }).into()), "{name}");
    }
    let (precision, recall) = precision_recall(&y.pool, &x.pool, 3, Distances::F32).unwrap();
    let floor = precision_recall(&pool[0], &pool[1], 3, Distances::F32).unwrap();
    for (name, value, floor) in [("precision", precision, floor.0), ("recall", recall, floor.1)] {
        let f = figure(&first, name);
        assert_eq!((number(&f["value"]), number(&f["floor"]), &f["n"], &f["floor_n"]), (value, floor, &9.into(), &6.into()), "{name}");
    }
    // N and the floor stand in the line of each figure; what weakens them is said.
    for (name, floor) in [
        ("FID ", "two real halves of 6"),
        ("sFID", "two real halves of 6"),
        ("Inception Score", "the 12 reference pictures"),
        ("precision", "two real halves of 6"),
        ("recall", "two real halves of 6"),
    ] {
        let line = said.lines().find(|l| l.starts_with(name)).unwrap_or_else(|| panic!("no line of {name} in\n{said}"));
        assert!(line.contains("N = 9") && line.contains(floor), "{line}");
    }
    for note in
        ["9 pictures are fewer than the 2048 features", "12 reference pictures are fewer than the 2048 features", "differ in number: 9 and 12"]
    {
        assert!(said.contains(note), "no `{note}` in\n{said}");
    }

    // The same pictures as an .npz against shards give the same figures to the last bit, since they come in the same batches, whatever the network.
    let (a_npz, b_shards) = (npz(at("a.npz"), &[("arr_0", &pixels_a)]), shards(&b, at("shards"), "64"));
    let [folders, other] = [("folders", &a, &b), ("forms", &a_npz, &b_shards)].map(|(to, a, b)| evaluate(a, b, &at(to), &cheap()).0);
    same(&folders, &other);

    // A reference of statistics: the same distances, without what needs pictures.
    let stats = at("out/reference-stats.npz");
    let (cached, said) = evaluate(&a, &stats, &at("cached"), &flags);
    for name in ["FID", "sFID"] {
        let (got, want) = (figure(&cached, name), number(&figure(&first, name)["value"]));
        assert!((number(&got["value"]) - want).abs() <= 1e-9 * want && got["floor"].is_null(), "{got}, {want}");
    }
    assert!(said.contains("statistics alone: no floor, and no precision and recall"), "{said}");
    assert!(cached["figures"].as_array().unwrap().iter().all(|f| f["name"] != "precision"));

    // A reference batch of ADM holds both: its statistics stand behind the distances, its pictures behind the rest.
    let (mu, sigma) = (feature_stats(&y.pool).unwrap(), feature_stats(&y.spatial).unwrap());
    let shifted = mu.mu.add(1.0).unwrap();
    let batch = npz(at("batch.npz"), &[("arr_0", &pixels_b), ("mu", &shifted), ("sigma", &mu.cov), ("mu_s", &sigma.mu), ("sigma_s", &sigma.cov)]);
    let (adm, _) = evaluate(&a, &batch, &at("adm"), &flags);
    near(&figure(&adm, "FID")["value"], frechet_to(&x.pool, &shifted, &mu.cov), "FID against the batch's statistics");
    near(&figure(&adm, "sFID")["value"], number(&figure(&first, "sFID")["value"]), "sFID against the batch's statistics");
    assert_eq!(figure(&adm, "precision")["value"], figure(&first, "precision")["value"]);
    assert_eq!(figure(&adm, "FID")["floor"], figure(&first, "FID")["floor"]);
}

fn frechet_to(x: &Tensor, mu: &Tensor, cov: &Tensor) -> f64 {
    let s = feature_stats(x).unwrap();
    frechet(&s.mu, &s.cov, mu, cov).unwrap()
}

/// A cheap network that is no Inception: figures are named after it, and its statistics are another's.
fn cheap() -> [&'static str; 4] {
    ["--extractor", "torchscript:tests/data/encoders/map.pt", "--enc-config.resolution", "16"]
}

#[test]
fn a_reference_that_cannot_serve_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let a = pictures(at("a"), "bun", 0, 12);
    let out = at("out");
    let refuse = |reference: &Path, words: &[&str]| {
        refused(&a, reference, &out, &cheap(), words);
    };
    let pixels = decoded(&a);
    refuse(&npz(at("key.npz"), &[("images", &pixels)]), &["key.npz", "`arr_0`", "`images`"]);
    refuse(&npz(at("dtype.npz"), &[("arr_0", &pixels.to_dtype(DType::Float).unwrap())]), &["dtype.npz", "must be uint8", "f32"]);
    refuse(&npz(at("shape.npz"), &[("arr_0", &planes(&pixels))]), &["shape.npz", "[N, H, W, 3]"]);
    refuse(&at("nowhere"), &["nowhere"]);
    std::fs::create_dir(at("empty")).unwrap();
    refuse(&at("empty"), &["empty", "no picture"]);

    // Folders whose pictures differ in size.
    let mixed = pictures(at("mixed"), "spiky", 0, 3);
    image::open(&files(&mixed)[0]).unwrap().thumbnail(32, 32).save(mixed.join("zz.png")).unwrap();
    refuse(&mixed, &["zz.png", "is 32 x 32", "64 x 64", "preprocess.rhai"]);

    // Statistics of another network, by its name; and those that name none but are of another width.
    let x = Tensor::randn(&[20, 6], DType::Double, Device::Cpu).unwrap();
    let stats = feature_stats(&x).unwrap();
    let named = lathe::eval::FeatureStats { extractor: Some("lite0".into()), ..stats.clone() };
    write_stats(&at("lite0.npz"), &named, None, None).unwrap();
    refuse(&at("lite0.npz"), &["were made by 'lite0'", "not by 'torchscript:map.pt'", "--extractor lite0"]);
    refuse(&npz(at("unnamed.npz"), &[("mu", &stats.mu), ("sigma", &stats.cov)]), &["were made by 'inception'", "unnamed.npz"]);
    let own = lathe::eval::FeatureStats { extractor: Some("torchscript:map.pt".into()), ..feature_stats(&x.narrow(1, 0, 5).unwrap()).unwrap() };
    write_stats(&at("width.npz"), &own, None, None).unwrap();
    refuse(&at("width.npz"), &["width.npz", "5 features", "gives 6"]);
    let integers = npz(at("integers.npz"), &[("mu", &stats.mu.to_dtype(DType::Int64).unwrap()), ("sigma", &stats.cov)]);
    refuse(&integers, &["`mu` must be float64 or float32"]);
}

#[test]
fn sets_of_different_sizes_are_said() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let (a, b) = (pictures(at("a"), "bun", 0, 12), pictures(at("b"), "spiky", 0, 12));
    let small = shards(&b, at("small"), "32");
    let out = at("out");
    let (found, said) = evaluate(&a, &small, &out, &cheap());
    assert!(said.contains("differ in size: 64 x 64 and 32 x 32 pixels"), "{said}");
    // Another network's distance is not called FID, and has no figures that only Inception has.
    let names: Vec<&str> = found["figures"].as_array().unwrap().iter().map(|f| f["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["FD-torchscript:map.pt", "precision-torchscript:map.pt", "recall-torchscript:map.pt"]);
    assert!(!said.contains("FID"), "{said}");
    // Pairs must have one size.
    refused(&a, &small, &out, &["--task", "reconstruction"], &["64 x 64", "32 x 32"]);
}

#[test]
fn features_that_are_not_finite_are_refused_with_their_pictures() {
    let dir = tempfile::tempdir().unwrap();
    let a = pictures(dir.path().join("a"), "bun", 0, 6);
    let state = read_state(weights::inception(), None).unwrap();
    // From the last block on: the distance would be NaN.
    state["Mixed_7c.branch_pool.conv.weight"].fill_(f64::NAN).unwrap();
    let (file, out) = (dir.path().join("nan.safetensors"), dir.path().join("out"));
    lathe::torch::files::write_safetensors(&file, &state, &Default::default()).unwrap();
    refused(&a, &a, &out, &["--weights", path(&file), "--batch", "4"], &["samples", "NaN or infinite features for pictures 0 to 3"]);
    // Weights of another network.
    let [vgg, _] = weights::lpips();
    refused(&a, &a, &out, &["--weights", path(vgg)], &["vgg16.pth", "the weights do not belong to this inception", "missing"]);
}
