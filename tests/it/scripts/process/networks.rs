//! The recipes of networks other than SiT, in their tiny forms: each trains, is killed and goes on bit-equal, draws the same pictures in any batch, and
//! is judged by them; and what does not go together is refused by name.

use super::chain::{Made, made, ok, refused};
use crate::support::process::{Place, refused as refused_command, script, until};
use crate::support::{metrics, root};
use lathe::torch::files::Npz;
use std::path::Path;
use std::process::Stdio;

/// Flags of a training of a recipe's tiny form: four steps, a checkpoint after each.
fn tiny(recipe: &str, name: &str, more: &[&str]) -> Vec<String> {
    let m = made();
    let own = format!("scripts/tiny/{recipe}.toml");
    let small = if root().join(&own).is_file() { own } else { "scripts/tiny/train_ldm.toml".to_owned() };
    let (latents, images, all, vae) = (m.path("latents"), m.path("images"), m.path(""), m.path("sendvae"));
    let data = ["--data-dir", &latents, "--image-dir", &images, "--output-dir", &all, "--vae-ckpt", &vae, "--exp-name", name];
    let steps = ["--max-train-steps", "4", "--checkpointing-steps", "1"];
    // Of the same setting the last flag counts, and flags before files.
    let flags = [data.as_slice(), &steps, more, &["--config", recipe, "--config", &small]].concat();
    flags.into_iter().map(str::to_owned).collect()
}

fn words(flags: &[String]) -> Vec<&str> {
    flags.iter().map(String::as_str).collect()
}

fn train(recipe: &str, name: &str, more: &[&str]) {
    ok("train_ldm", &[&words(&tiny(recipe, name, more))]);
}

/// A training that is killed as soon as its first checkpoint is there, and goes on.
fn train_killed(recipe: &str, name: &str) {
    let flags = tiny(recipe, name, &[]);
    let mut child = script("train_ldm", &words(&flags)).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let run = made().0.path(name);
    until("a checkpoint", 120, || !crate::support::saved(&run).is_empty() || child.try_wait().unwrap().is_some());
    child.kill().unwrap();
    let status = child.wait().unwrap();
    assert!(!status.success() && !crate::support::saved(&run).contains(&4), "{recipe}: it was over before it was killed");
    ok("train_ldm", &[&words(&flags)]);
}

/// Every file of weights and states of the last checkpoint, by name.
fn last(m: &Made, name: &str) -> Vec<(String, Vec<u8>)> {
    let mut all: Vec<_> = crate::support::files(&m.0.path(name).join("checkpoints/0000004"))
        .into_iter()
        .filter(|f| f.extension().is_some_and(|x| x == "safetensors"))
        .map(|f| (crate::support::name(&f), std::fs::read(&f).unwrap()))
        .collect();
    all.sort();
    assert!(all.len() >= 3, "weights, average and optimizer: {:?}", all.iter().map(|a| &a.0).collect::<Vec<_>>());
    all
}

/// Four pictures `[H, W, 3]` of a run, drawn in batches of `batch`.
fn drawn(name: &str, batch: &str, more: &[&str]) -> Vec<Vec<u8>> {
    let m = made();
    let (run, all, out) = (m.path(name), m.path(""), m.path(&format!("{name}-{batch}")));
    let own = ["--exp-path", &run, "--allow-read", &all, "--output", &out, "--pproc-batch-size", batch, "--png", "false", "--num-fid-samples", "4"];
    ok("sample", &[more, &own]);
    let rows = Npz::open(Path::new(&format!("{out}.npz"))).unwrap().rows("arr_0").unwrap();
    (0..rows.shape()[0]).map(|i| rows.read(i, 1).unwrap().to_bytes().unwrap()).collect()
}

/// The distance of those pictures from those of the training, by the evaluation's own script.
fn judged(name: &str, batch: &str) -> f64 {
    let m = made();
    let (images, all, set) = (m.path("images"), m.path(""), m.path(&format!("{name}-{batch}")));
    let (samples, out) = (format!("{set}.npz"), format!("{set}-eval"));
    let few = ["--extractor", "efficientnet-lite0", "--max-images", "8", "--allow-read", &all];
    let said = ok("evaluate", &[&["--samples", &samples, "--reference", &images, "--output", &out], &few]);
    assert!(said.contains("FD-lite0"), "{said}");
    let result: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(format!("{out}/result.json")).unwrap()).unwrap();
    assert_eq!((result["n"].as_u64(), result["reference_n"].as_u64()), (Some(4), Some(8)), "{result}");
    result["figures"][0]["value"].as_f64().unwrap()
}

/// Recipes from their training to their pictures and the figures of these.
fn whole(recipes: &[&str], sampling: &[&str]) {
    let m = made();
    for recipe in recipes {
        let (at_once, killed) = (format!("{recipe}-at-once"), format!("{recipe}-killed"));
        train(recipe, &at_once, &[]);
        train_killed(recipe, &killed);
        let log = metrics(&m.0.path(&at_once));
        assert!(log.len() >= 4 && log.iter().take(4).all(|l| l["loss"].as_f64().is_some_and(f64::is_finite)), "{recipe}: {log:?}");
        assert_eq!(log, metrics(&m.0.path(&killed)), "{recipe}");
        let (a, b) = (last(m, &at_once), last(m, &killed));
        let differ: Vec<&String> = a.iter().zip(&b).filter(|(x, y)| x != y).map(|(x, _)| &x.0).collect();
        assert!(a.len() == b.len() && differ.is_empty(), "{recipe}: {differ:?} differ");

        let (four, three) = (drawn(&at_once, "4", sampling), drawn(&at_once, "3", sampling));
        assert_eq!((four.len(), three.len()), (4, 4), "{recipe}");
        // The batch may change the last bits of a matrix product, and with them one level of a byte.
        let near = |a: &[u8], b: &[u8]| a.iter().zip(b).all(|(x, y)| x.abs_diff(*y) <= 1);
        assert!(four.iter().zip(&three).all(|(a, b)| near(a, b)), "{recipe}: pictures depend on the batch");
        assert!(!near(&four[0], &four[1]), "{recipe}: two pictures are the same");
        let distance = judged(&at_once, "4");
        assert!(distance.is_finite() && distance > 1.0, "{recipe}: hardly trained pictures are far from real ones: {distance}");
    }
}

const GUIDED: &[&str] = &["--num-steps", "2", "--cfg-scale", "2"];

#[test]
fn transformers_of_latents_go_on_bit_equal_and_sample() {
    whole(&["lightningdit", "ddt", "ditdh"], GUIDED);
}

#[test]
fn denoisers_of_class_tokens_go_on_bit_equal_and_sample() {
    whole(&["reg", "speedrun"], GUIDED);
}

#[test]
fn diffusion_bench_goes_on_bit_equal_and_samples() {
    whole(&["bench_ddt", "bench_ldit"], GUIDED);
}

#[test]
fn networks_of_few_steps_go_on_bit_equal_and_sample_in_one() {
    whole(&["meanflow", "imf"], &["--num-steps", "1"]);
}

#[test]
fn terms_and_weights_of_the_transport_go_on_bit_equal_and_sample() {
    whole(&["dispersive", "contrastive", "minsnr"], GUIDED);
}

#[test]
fn a_batch_in_parts_is_the_batch() {
    // SiT drops labels itself, while it is run.
    for recipe in ["lightningdit", "bench_ldit", "repa"] {
        let names = [format!("{recipe}-1-part"), format!("{recipe}-2-parts")];
        train(recipe, &names[0], &[]);
        train(recipe, &names[1], &["--accumulate", "2"]);
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
        let text = refused("train_ldm", &[&words(&tiny(recipe, "refused", flags))]);
        assert!(text.contains(word), "{recipe} {flags:?}: {text}");
        assert!(metrics(&m.0.path("refused")).is_empty(), "{recipe} {flags:?}: a step was made");
        let _ = std::fs::remove_dir_all(m.path("refused"));
    }
    // Another path than the checkpoint's, or a solver for what has none.
    train("lightningdit", "sampled", &[]);
    train("imf", "sampled-in-one", &[]);
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
    train("lightningdit", "strong", &[]);
    train("lightningdit", "small", &["--data-dir", &latents, "--image-dir", &small]);
    train("bench_ddt", "other-time", &[]);
    train("meanflow", "other-objective", &[]);
    let (run, out) = (m.path("strong"), m.path("guided"));
    for (weak, word) in [("small", "of the same space"), ("other-time", "data_at"), ("other-objective", "--objective flow")] {
        let (weak, own) = (m.path(weak), ["--exp-path", &run, "--allow-read", &all, "--output", &out, "--num-fid-samples", "4"]);
        let text = refused("sample", &[&own, GUIDED, &["--autoguidance", &weak]]);
        assert!(text.contains(word), "{text}");
        assert!(!Path::new(&out).exists(), "nothing is begun");
    }
}
