//! `scripts/evaluate.rhai` and `scripts/probe_vae.rhai` as a user runs them, on real pictures. With EfficientNet-Lite0; without its weights
//! (`make weights`) the tests that need them say so and end.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests make files as others would, and stop where one fails"
)]

use lathe::models::encoder_weights;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn lathe(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lathe")).current_dir(root()).env("OMP_NUM_THREADS", "1").args(["run"]).args(args).output().unwrap()
}

fn text(o: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&o.stdout), String::from_utf8_lossy(&o.stderr))
}

/// Two folders of `n` pictures each.
fn folders(dir: &Path, n: usize) -> [PathBuf; 2] {
    let mut files: Vec<PathBuf> = std::fs::read_dir(root().join("tests/data/avatars64/bun")).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    ["a", "b"].map(|name| {
        let to = dir.join(name);
        std::fs::create_dir(&to).unwrap();
        let skip = if name == "a" { 0 } else { n };
        for f in files.iter().skip(skip).take(n) {
            std::fs::copy(f, to.join(f.file_name().unwrap())).unwrap();
        }
        to
    })
}

fn weights_are_here() -> bool {
    let here = encoder_weights("efficientnet-lite0", None).is_ok();
    assert!(here || std::env::var_os("LATHE_REQUIRE_WEIGHTS").is_none(), "`make weights` first");
    if !here {
        eprintln!("not run: `make weights` fetches what it needs");
    }
    here
}

fn result(dir: &Path) -> serde_json::Value {
    serde_json::from_str(&std::fs::read_to_string(dir.join("result.json")).unwrap()).unwrap()
}

fn figure(r: &serde_json::Value, name: &str) -> f64 {
    r["figures"].as_array().unwrap().iter().find(|f| f["name"] == name).unwrap_or_else(|| panic!("no {name}: {r}"))["value"].as_f64().unwrap()
}

#[test]
fn distances_are_named_after_the_network_and_go_on() {
    if !weights_are_here() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let [a, b] = folders(dir.path(), 24);
    let (a, b, out) = (a.to_str().unwrap(), b.to_str().unwrap(), dir.path().join("out"));
    let common = ["--extractor", "efficientnet-lite0", "--enc-config.resolution", "64", "--batch", "7"];
    let run = |samples: &str, reference: &str, out: &Path| {
        let o = lathe(
            &[&["scripts/evaluate.rhai", "--samples", samples, "--reference", reference, "--output", out.to_str().unwrap()], &common[..]].concat(),
        );
        assert!(o.status.success(), "{}", text(&o));
        (result(out), text(&o))
    };
    let (first, said) = run(a, b, &out);
    assert!(said.contains("FD-lite0") && !said.contains("FID"), "{said}");
    assert!(said.contains("two real halves of 12") && said.contains("N = 24") && said.contains("fewer than the 320 features"), "{said}");
    assert!(figure(&first, "FD-lite0") > 0.0);

    // The features are there already: a second run reads them and finds the same.
    let kept = std::fs::metadata(out.join("samples-lite0/0.safetensors")).unwrap().modified().unwrap();
    let (again, _) = run(a, b, &out);
    assert_eq!(again["figures"], first["figures"]);
    assert_eq!(std::fs::metadata(out.join("samples-lite0/0.safetensors")).unwrap().modified().unwrap(), kept);

    // The cached statistics of the reference give the same distance; those of another network are refused by name.
    let stats = out.join("reference-stats.npz");
    let (cached, _) = run(a, stats.to_str().unwrap(), &dir.path().join("cached"));
    assert!((figure(&cached, "FD-lite0") - figure(&first, "FD-lite0")).abs() < 1e-6 * figure(&first, "FD-lite0"));
    let other = ["--extractor", "mae-vit-b", "--enc-config.pretrained", "false", "--enc-config.depth", "1"];
    let o =
        lathe(&[&["scripts/evaluate.rhai", "--samples", a, "--reference", stats.to_str().unwrap(), "--output", "/nonexistent"], &other[..]].concat());
    assert!(!o.status.success(), "{}", text(&o));
    // Pictures that change are looked at again.
    std::fs::remove_file(std::fs::read_dir(a).unwrap().next().unwrap().unwrap().path()).unwrap();
    assert_ne!(run(a, b, &out).0["figures"], first["figures"]);

    let o = lathe(
        &[&["scripts/evaluate.rhai", "--task", "reconstruction", "--samples", a, "--reference", b, "--output", out.to_str().unwrap()], &common[..]]
            .concat(),
    );
    assert!(!o.status.success() && text(&o).contains("23 pictures") && text(&o).contains("24"), "{}", text(&o));
}

#[test]
fn reconstructions_of_themselves_are_perfect() {
    let dir = tempfile::tempdir().unwrap();
    let [a, _] = folders(dir.path(), 5);
    let (a, out) = (a.to_str().unwrap(), dir.path().join("out"));
    let o = lathe(&["scripts/evaluate.rhai", "--task", "reconstruction", "--samples", a, "--reference", a, "--output", out.to_str().unwrap()]);
    assert!(o.status.success(), "{}", text(&o));
    assert_eq!(figure(&result(&out), "SSIM"), 1.0);
    assert!(text(&o).contains("equal pictures") && text(&o).contains("no rFID") && text(&o).contains("no LPIPS"), "{}", text(&o));
}

#[test]
fn inception_without_weights_says_where_to_get_them() {
    let dir = tempfile::tempdir().unwrap();
    let [a, b] = folders(dir.path(), 2);
    let out = dir.path().join("out");
    let o =
        lathe(&["scripts/evaluate.rhai", "--samples", a.to_str().unwrap(), "--reference", b.to_str().unwrap(), "--output", out.to_str().unwrap()]);
    assert!(!o.status.success() && text(&o).contains("pt_inception-2015-12-05-6726825d.pth"), "{}", text(&o));
}

/// A tiny VAE trained with probes of held-out pictures, then probed as a whole.
#[test]
fn probes_while_and_after_training() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let ok = |args: &[&str]| {
        let o = lathe(args);
        assert!(o.status.success(), "{}", text(&o));
        text(&o)
    };
    let images = at("images");
    ok(&[
        "scripts/preprocess.rhai",
        "--imagenet-path",
        "tests/data/avatars64",
        "--output-path",
        &images,
        "--resolution",
        "32",
        "--max-images",
        "120",
    ]);
    let train = |name: &str, more: &[&str]| {
        let vae = ["--vae-config.ch", "8", "--vae-config.ch-mult", "[1, 2]", "--vae-config.num-res-blocks", "1", "--vae-config.z-channels", "4"];
        let rest = ["--vae-config.norm-groups", "4", "--vae-config.resolution", "32", "--align", "none", "--perceptual", "none"];
        let last = ["--discriminator-weight", "0", "--batch-size", "8", "--max-train-steps", "4", "--log-every", "1", "--sampling-steps", "0"];
        let out = at("exps");
        let first = ["scripts/train_sendvae.rhai", "--data-dir", &images, "--output-dir", &out, "--exp-name", name];
        ok(&[&first, &vae[..], &rest, &last, more].concat());
        let lines = std::fs::read_to_string(dir.path().join("exps").join(name).join("metrics.jsonl")).unwrap();
        lines.lines().map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap()).collect::<Vec<_>>()
    };
    let plain = train("plain", &[]);
    let probed = train("probed", &["--probe-every", "2", "--probe-dir", &images, "--probe-images", "60"]);
    let with: Vec<i64> = probed.iter().filter(|r| r["probe_psnr"].is_number()).map(|r| r["step"].as_i64().unwrap()).collect();
    assert_eq!(with, [2, 4], "{probed:?}");
    let last = probed.iter().rfind(|r| r["probe_f1"].is_number()).unwrap();
    assert!((0.0..=1.0).contains(&last["probe_f1"].as_f64().unwrap()) && last["probe_seconds"].as_f64().unwrap() > 0.0);
    // Probes change nothing of the training.
    let losses = |rows: &[serde_json::Value]| rows.iter().filter_map(|r| r["loss"].as_f64()).collect::<Vec<_>>();
    assert_eq!(losses(&plain), losses(&probed));

    let (run, out) = (at("exps/probed"), at("probe"));
    let said = ok(&["scripts/probe_vae.rhai", "--vae", &run, "--pictures", &images, "--seeds", "2", "--perplexity", "10", "--output", &out]);
    // The first 120 pictures all have one hair, which is named; asked for by name it is refused.
    assert!(said.contains("left out: [\"hair\"]"), "{said}");
    let o = lathe(&["scripts/probe_vae.rhai", "--vae", &run, "--pictures", &images, "--factors", "hair", "--spread", "0", "--output", &out]);
    assert!(!o.status.success() && text(&o).contains("`hair` has one value, `bun`"), "{}", text(&o));
    assert!(said.contains("F1 macro") && said.contains("uniformity") && said.contains("16 modes"), "{said}");
    let found: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(dir.path().join("probe/probe.json")).unwrap()).unwrap();
    assert_eq!(found["n"], 120);
    for file in ["pca.png", "pictures.png", "traversal.png", "spectrum.svg"] {
        assert!(dir.path().join("probe").join(file).is_file(), "{file}");
    }
}
