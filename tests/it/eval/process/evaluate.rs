//! `scripts/evaluate.rhai` and `scripts/probe_vae.rhai` as a user runs them, on real pictures. With EfficientNet-Lite0; without its weights
//! (`make weights`) the tests that need them say so and end.

use super::run::{evaluate, number, refused};
use crate::support::process::{ok, refused as script_refused, script};
use crate::support::{TINY_VAE, files, metrics, pictures};
use lathe::models::encoder_weights;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Two folders of `n` pictures each.
fn folders(dir: &Path, n: usize) -> [PathBuf; 2] {
    [("a", 0), ("b", n)].map(|(name, skip)| pictures(dir.join(name), "bun", skip, n))
}

fn weights_are_here() -> bool {
    let here = encoder_weights("efficientnet-lite0", None).is_ok();
    assert!(here || std::env::var_os("LATHE_REQUIRE_WEIGHTS").is_none(), "`make weights` first");
    if !here {
        eprintln!("not run: `make weights` fetches what it needs");
    }
    here
}

fn figure(r: &Value, name: &str) -> f64 {
    number(&super::run::figure(r, name)["value"])
}

#[test]
fn distances_are_named_after_the_network_and_go_on() {
    if !weights_are_here() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let [a, b] = folders(dir.path(), 24);
    let out = dir.path().join("out");
    let common = ["--extractor", "efficientnet-lite0", "--enc-config.resolution", "64", "--batch", "7"];
    let (first, said) = evaluate(&a, &b, &out, &common);
    assert!(said.contains("FD-lite0") && !said.contains("FID"), "{said}");
    assert!(said.contains("two real halves of 12") && said.contains("N = 24") && said.contains("fewer than the 320 features"), "{said}");
    assert!(figure(&first, "FD-lite0") > 0.0);

    // The features are there already: a second run reads them and finds the same.
    let kept = || std::fs::metadata(out.join("samples-lite0/0.safetensors")).unwrap().modified().unwrap();
    let before = kept();
    let (again, _) = evaluate(&a, &b, &out, &common);
    assert_eq!(again["figures"], first["figures"]);
    assert_eq!(kept(), before);

    // The cached statistics of the reference give the same distance; those of another network are refused by name.
    let stats = out.join("reference-stats.npz");
    let (cached, _) = evaluate(&a, &stats, &dir.path().join("cached"), &common);
    assert!((figure(&cached, "FD-lite0") - figure(&first, "FD-lite0")).abs() < 1e-6 * figure(&first, "FD-lite0"));
    let other = ["--extractor", "mae-vit-b", "--enc-config.pretrained", "false", "--enc-config.depth", "1"];
    refused(&a, &stats, Path::new("/nonexistent"), &other, &[]);
    // Pictures that change are looked at again.
    std::fs::remove_file(&files(&a)[0]).unwrap();
    assert_ne!(evaluate(&a, &b, &out, &common).0["figures"], first["figures"]);

    let pairs = [&["--task", "reconstruction"], &common[..]].concat();
    refused(&a, &b, &out, &pairs, &["23 pictures", "24"]);
}

#[test]
fn reconstructions_of_themselves_are_perfect() {
    let dir = tempfile::tempdir().unwrap();
    let [a, _] = folders(dir.path(), 5);
    let (found, said) = evaluate(&a, &a, &dir.path().join("out"), &["--task", "reconstruction"]);
    assert_eq!(figure(&found, "SSIM"), 1.0);
    assert!(said.contains("equal pictures") && said.contains("no rFID") && said.contains("no LPIPS"), "{said}");
}

#[test]
fn inception_without_weights_says_where_to_get_them() {
    let dir = tempfile::tempdir().unwrap();
    let [a, b] = folders(dir.path(), 2);
    refused(&a, &b, &dir.path().join("out"), &[], &["pt_inception-2015-12-05-6726825d.pth"]);
}

/// A tiny VAE trained with probes of held-out pictures, then probed as a whole.
#[test]
fn probes_while_and_after_training() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let images = at("images");
    let pictures = ["--imagenet-path", "tests/data/avatars64", "--resolution", "32", "--max-images", "120", "--pick", "first"];
    ok(script("preprocess", &pictures).args(["--output-path", &images]));
    let train = |name: &str, more: &[&str]| {
        let rest = ["--vae-config.z-channels", "4", "--vae-config.resolution", "32", "--align", "none", "--perceptual", "none"];
        let last = ["--discriminator-weight", "0", "--batch-size", "8", "--max-train-steps", "4", "--log-every", "1", "--sampling-steps", "0"];
        let out = at("exps");
        let first = ["--data-dir", &images, "--output-dir", &out, "--exp-name", name];
        ok(&mut script("train_sendvae", &[&first, TINY_VAE, &rest, &last, more].concat()));
        metrics(&dir.path().join("exps").join(name))
    };
    let plain = train("plain", &[]);
    let probed = train("probed", &["--probe-every", "2", "--probe-dir", &images, "--probe-images", "60"]);
    let with: Vec<i64> = probed.iter().filter(|r| r["probe_psnr"].is_number()).map(|r| r["step"].as_i64().unwrap()).collect();
    assert_eq!(with, [2, 4], "{probed:?}");
    let last = probed.iter().rfind(|r| r["probe_f1"].is_number()).unwrap();
    assert!((0.0..=1.0).contains(&last["probe_f1"].as_f64().unwrap()) && last["probe_seconds"].as_f64().unwrap() > 0.0);
    // Probes change nothing of the training.
    let losses = |rows: &[Value]| rows.iter().filter_map(|r| r["loss"].as_f64()).collect::<Vec<_>>();
    assert_eq!(losses(&plain), losses(&probed));

    let (run, out) = (at("exps/probed"), at("probe"));
    let probe = |more: &[&str]| script("probe_vae", &[&["--vae", &run, "--pictures", &images, "--output", &out], more].concat());
    let said = ok(&mut probe(&["--seeds", "2", "--perplexity", "10", "--pick", "first"]));
    // The first 120 pictures all have one hair, which is named; asked for by name it is refused.
    assert!(said.contains("left out: [\"hair\"]"), "{said}");
    script_refused(&mut probe(&["--pick", "first", "--factors", "hair", "--spread", "0"]), &["`hair` has one value, `bun`"]);
    assert!(said.contains("F1 macro") && said.contains("uniformity") && said.contains("16 modes"), "{said}");
    let found: Value = serde_json::from_str(&std::fs::read_to_string(dir.path().join("probe/probe.json")).unwrap()).unwrap();
    assert_eq!(found["n"], 120);
    for file in ["pca.png", "pictures.png", "traversal.png", "spectrum.svg"] {
        assert!(dir.path().join("probe").join(file).is_file(), "{file}");
    }
}
