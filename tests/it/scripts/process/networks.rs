//! The recipes of denoisers in their tiny forms: each trains, is killed and goes on bit-equal, draws the same pictures in any batch, and
//! is judged by them; and what does not go together is refused by name.

use super::chain::{made, ok, refused, words};
use super::tiny::{tiny, train, whole};
use crate::support::metrics;
use crate::support::process::{Place, refused as refused_command};
use std::path::Path;

const GUIDED: &[&str] = &["--num-steps", "2", "--cfg-scale", "2"];

#[test]
fn transformers_of_latents_go_on_bit_equal_and_sample() {
    whole("train_ldm", &["lightningdit", "ddt", "ditdh"], GUIDED);
}

#[test]
fn denoisers_of_class_tokens_go_on_bit_equal_and_sample() {
    whole("train_ldm", &["reg", "speedrun"], GUIDED);
}

#[test]
fn diffusion_bench_goes_on_bit_equal_and_samples() {
    whole("train_ldm", &["bench_ddt", "bench_ldit"], GUIDED);
}

#[test]
fn alignments_of_sit_go_on_bit_equal_and_sample() {
    whole("train_ldm", &["repa", "irepa", "haste", "gram_tokens"], GUIDED);
}

#[test]
fn a_denoiser_of_pixels_goes_on_bit_equal_and_samples() {
    whole("train_ldm", &["jit"], GUIDED);
}

#[test]
fn networks_of_few_steps_go_on_bit_equal_and_sample_in_one() {
    whole("train_ldm", &["meanflow", "imf"], &["--num-steps", "1"]);
}

#[test]
fn terms_and_weights_of_the_transport_go_on_bit_equal_and_sample() {
    whole("train_ldm", &["dispersive", "contrastive", "minsnr"], GUIDED);
}

#[test]
fn a_batch_in_parts_is_the_batch() {
    // SiT drops labels itself, while it is run.
    for recipe in ["lightningdit", "bench_ldit", "repa"] {
        let names = [format!("{recipe}-1-part"), format!("{recipe}-2-parts")];
        train("train_ldm", recipe, &names[0], &[]);
        train("train_ldm", recipe, &names[1], &["--accumulate", "2"]);
        let [a, b] = names.map(|name| metrics(&made().0.path(&name)));
        for (x, y) in a.iter().zip(&b).take(4) {
            let (x, y) = (x["loss"].as_f64().unwrap(), y["loss"].as_f64().unwrap());
            assert!((x - y).abs() <= 1e-6 * x.abs().max(1.0), "{recipe}: {x} and {y}");
        }
    }
}

#[test]
fn what_does_not_go_together_is_refused_before_the_first_step() {
    let m = made();
    let cases: &[(&str, &[&str], &str)] = &[
        ("lightningdit", &["--transport-config.prediction", "eps"], "compares velocities"),
        ("lightningdit", &["--path-type", "cosine"], "--transport-config.path"),
        ("lightningdit", &["--objective", "meanflow"], "MeanFlow-SiT"),
        ("lightningdit", &["--objective", "imf"], "is-meanflow"),
        ("lightningdit", &["--objective-config.cfg-omega", "2"], "this is flow"),
        ("lightningdit", &["--model-config.input-size", "8"], "--model-config.input-size 8"),
        ("lightningdit", &["--model-config.patch-size", "3"], "--model-config.patch-size 3"),
        ("ditdh", &["--model-config.input-size", "8"], "--model-config.input-size 8"),
        ("meanflow", &["--proj-coeff", "0.5"], "--proj-coeff 0"),
        ("meanflow", &["--objective", "flow"], "--objective meanflow"),
        ("imf", &["--transport", "sit"], "without --transport"),
        ("imf", &["--accumulate", "2"], "--accumulate"),
        ("dispersive", &["--accumulate", "2"], "--accumulate"),
        ("reg", &["--proj-coeff", "0"], "--proj-coeff above 0"),
    ];
    for (recipe, flags, word) in cases {
        let text = refused("train_ldm", &[&words(&tiny("train_ldm", recipe, "refused", flags))]);
        assert!(text.contains(word), "{recipe} {flags:?}: {text}");
        assert!(metrics(&m.0.path("refused")).is_empty(), "{recipe} {flags:?}: a step was made");
        let _ = std::fs::remove_dir_all(m.path("refused"));
    }
    // Another path than the checkpoint's, or a solver for what has none.
    train("train_ldm", "lightningdit", "sampled", &[]);
    train("train_ldm", "imf", "sampled-in-one", &[]);
    let all = m.path("");
    for (name, flags, word) in [
        ("sampled", ["--path-type", "cosine"], "that it was trained on"),
        ("sampled", ["--internal-guidance", "2"], "a head in the middle"),
        ("sampled-in-one", ["--method", "dopri5"], "by itself"),
        ("sampled-in-one", ["--guidance-rescale", "0.5"], "--objective flow"),
    ] {
        let (run, out) = (m.path(name), m.path("refused-pictures"));
        let text = refused("sample", &[&["--exp-path", &run, "--allow-read", &all, "--output", &out, "--num-fid-samples", "4"], &flags]);
        assert!(text.contains(word), "{name} {flags:?}: {text}");
        assert!(!Path::new(&out).exists(), "nothing is begun");
    }
    // Muon on a vector.
    let place = Place::new(&[("muon.rhai", "optim::muon(nn::layer_norm(8), #{ lr: 0.02 });")]);
    refused_command(&mut place.command(&["run", "muon.rhai"]), &["`weight` is [8]", "Muon orthogonalizes matrices"]);
}

#[test]
fn a_weaker_denoiser_of_another_space_is_refused() {
    let m = made();
    let [small, latents] = ["images16", "latents16"].map(|name| m.path(name));
    ok("preprocess", &[&["--imagenet-path", "tests/data/avatars64", "--resolution", "16", "--max-images", "16", "--output-path", &small]]);
    let (all, vae) = (m.path(""), m.path("sendvae"));
    let named = ["--data-dir", &small, "--vae-ckpt-path", &vae, "--output-dir", &all, "--vae-latents-name", "latents16"];
    ok("cache_latents", &[&named]);
    train("train_ldm", "lightningdit", "strong", &[]);
    train("train_ldm", "lightningdit", "small", &["--data-dir", &latents, "--image-dir", &small]);
    train("train_ldm", "bench_ddt", "other-time", &[]);
    train("train_ldm", "meanflow", "other-objective", &[]);
    let (run, out) = (m.path("strong"), m.path("guided"));
    for (weak, word) in [("small", "of the same space"), ("other-time", "data_at"), ("other-objective", "--objective flow")] {
        let (weak, own) = (m.path(weak), ["--exp-path", &run, "--allow-read", &all, "--output", &out, "--num-fid-samples", "4"]);
        let text = refused("sample", &[&own, GUIDED, &["--autoguidance", &weak]]);
        assert!(text.contains(word), "{text}");
        assert!(!Path::new(&out).exists(), "nothing is begun");
    }
}
