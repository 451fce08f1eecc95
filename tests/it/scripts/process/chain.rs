//! The scripts as a user runs them, one after the other, on real pictures with the real vision model; killed, and fed with nonsense.

use crate::support::process::{self, Place, script, until};
use crate::support::{TINY_VAE, files, metrics, root};
use serde_json::Value;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

/// A small model for every stage: seconds on one core.
pub const VAE: &[&str] = &["--vae-config.z-channels", "4", "--vae-config.resolution", "32"];
pub const ENCODER: &[&str] = &["--enc-type", "efficientnet-lite0", "--enc-config.resolution", "64", "--enc-config.stride", "8"];
pub const SIT: &[&str] = &[
    "--model-config.depth",
    "2",
    "--model-config.hidden",
    "32",
    "--model-config.heads",
    "2",
    "--model-config.patch",
    "2",
    "--model-config.projector-dim",
    "32",
    "--encoder-depth",
    "1",
    "--batch-size",
    "8",
];

/// A script that is killed later.
fn start(kind: &str, flags: &[&str]) -> Child {
    script(kind, flags).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// What a script says.
pub(super) fn ok(kind: &str, flags: &[&[&str]]) -> String {
    process::ok(&mut script(kind, &flags.concat()))
}

pub(super) fn refused(kind: &str, flags: &[&[&str]]) -> String {
    process::refused(&mut script(kind, &flags.concat()), &[])
}

/// Shards, a VAE and latents that all tests here share.
pub struct Made(pub(super) Place);

impl Made {
    /// A folder with nothing in it yet.
    pub(super) fn empty() -> Self {
        Made(Place::new(&[]))
    }

    pub fn path(&self, name: &str) -> String {
        self.0.at(name)
    }
}

pub fn made() -> &'static Made {
    static MADE: OnceLock<Made> = OnceLock::new();
    MADE.get_or_init(|| {
        let made = Made::empty();
        let out = made.path("");
        ok(
            "preprocess",
            &[&["--imagenet-path", "tests/data/avatars64", "--resolution", "32", "--max-images", "96", "--output-path", &made.path("images")]],
        );
        let common =
            ["--data-dir", &made.path("images"), "--output-dir", &out, "--exp-name", "sendvae", "--perceptual", "encoder", "--batch-size", "8"];
        let mapper = ["--mapper.width", "32", "--mapper.heads", "2", "--mapper.hidden", "32", "--max-train-steps", "3", "--log-every", "1"];
        let text = ok("train_sendvae", &[&common, TINY_VAE, VAE, ENCODER, &mapper]);
        for metric in ["align", "recon", "kl", "perceptual", "gen", "disc"] {
            assert!(text.contains(&format!("  {metric} ")), "no {metric} in\n{text}");
        }
        ok("cache_latents", &[&["--data-dir", &made.path("images"), "--output-dir", &out, "--vae-ckpt-path", &made.path("sendvae")]]);
        made
    })
}

pub fn ldm(name: &str, more: &[&str]) -> Vec<String> {
    let m = made();
    let own = [
        "--data-dir",
        &m.path("latents"),
        "--image-dir",
        &m.path("images"),
        "--output-dir",
        &m.path(""),
        "--exp-name",
        name,
        "--vae-ckpt",
        &m.path("sendvae"),
        "--max-train-steps",
        "40",
        "--checkpointing-steps",
        "4",
        "--log-every",
        "1",
    ];
    own.iter().chain(SIT).chain(ENCODER).chain(more).map(|s| (*s).to_owned()).collect()
}

pub fn words(flags: &[String]) -> Vec<&str> {
    flags.iter().map(String::as_str).collect()
}

/// The log of a run without clocks.
fn log(name: &str) -> Vec<String> {
    metrics(&made().0.path(name)).iter().map(Value::to_string).collect()
}

fn saved(name: &str) -> usize {
    crate::support::saved(&made().0.path(name)).len()
}

#[test]
fn train_ldm_killed_at_any_time_gives_the_losses_of_an_uninterrupted_run() {
    ok("train_ldm", &[&words(&ldm("whole", &[]))]);
    let want = log("whole");
    assert!(want.len() >= 40, "{want:#?}");
    let flags = ldm("killed", &[]);
    let mut kills = 0;
    for pause in [0_u64, 7, 23, 41, 3] {
        let mut child = start("train_ldm", &words(&flags));
        let before = saved("killed");
        // A checkpoint further, then some moment later.
        until("a checkpoint", 120, || saved("killed") != before || child.try_wait().unwrap().is_some());
        std::thread::sleep(Duration::from_millis(pause));
        if child.try_wait().unwrap().is_none() {
            child.kill().unwrap();
            kills += 1;
        }
        child.wait().unwrap();
    }
    assert!(kills >= 3, "only {kills} kills");
    ok("train_ldm", &[&words(&flags)]);
    assert_eq!(log("killed"), want);

    // Both runs draw the same pictures, and a sampling that was killed goes on.
    let m = made();
    let sample = |run: &str, out: &str| {
        let (run, out, all) = (m.path(run), m.path(out), m.path(""));
        let drawn = ["--num-fid-samples", "12", "--pproc-batch-size", "4", "--num-steps", "3", "--cfg-scale", "2.0"];
        let named = ["--exp-path", &run, "--output", &out, "--allow-read", &all];
        [drawn.as_slice(), &named].concat().into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    // The run's own settings name the latents, which are no part of this project: that alone allows nothing.
    let all = sample("whole", "pictures");
    let text = refused("sample", &[&words(&all[..all.len() - 2])]);
    assert!(text.contains("E0701") && text.contains("run again with `--allow-read "), "{text}");
    ok("sample", &[&words(&sample("whole", "pictures"))]);
    let again = sample("killed", "pictures2");
    let mut child = start("sample", &words(&again));
    until("the first pictures", 60, || Path::new(&m.path("pictures2")).exists() || child.try_wait().unwrap().is_some());
    let _ = child.kill();
    child.wait().unwrap();
    ok("sample", &[&words(&again)]);
    let npz = |name: &str| std::fs::read(m.path(name)).unwrap();
    assert_eq!(npz("pictures.npz"), npz("pictures2.npz"));
    assert_eq!(files(&m.0.path("pictures2")).iter().filter(|f| f.extension().is_some_and(|x| x == "png")).count(), 12);
}

#[test]
fn features_kept_in_memory_train_like_features_computed_each_time() {
    ok("train_ldm", &[&words(&ldm("kept", &["--cache-features", "on", "--max-train-steps", "4"]))]);
    ok("train_ldm", &[&words(&ldm("computed", &["--cache-features", "off", "--max-train-steps", "4"]))]);
    let loss = |name: &str| -> Vec<f64> { metrics(&made().0.path(name)).iter().filter_map(|l| l["loss"].as_f64()).collect() };
    let (a, b) = (loss("kept"), loss("computed"));
    assert_eq!((a.len(), b.len()), (4, 4));
    // The vision model sees other batches, so only the last bits may differ.
    assert!(a.iter().zip(&b).all(|(x, y)| (x - y).abs() < 1e-4), "{a:?} {b:?}");
    // Beside the latents they are the same, and neither pictures nor vision model are needed; in bf16 nearly so, in half the space.
    let m = made();
    let (images, out, vae) = (m.path("images"), m.path(""), m.path("sendvae"));
    let eye = ["--features", "efficientnet-lite0", "--features-config.resolution", "64", "--features-config.stride", "8"];
    let size = |name: &str| -> u64 {
        let shards = files(&m.0.path(name)).into_iter().filter(|f| crate::support::name(f).starts_with("latents-0"));
        shards.map(|f| f.metadata().unwrap().len()).sum()
    };
    for (name, dtype) in [("beside", "f32"), ("beside16", "bf16")] {
        let own = ["--data-dir", &images, "--output-dir", &out, "--vae-ckpt-path", &vae, "--vae-latents-name", name, "--latent-dtype", dtype];
        let said = ok("cache_latents", &[&own, &eye]);
        assert_eq!(said.contains("means in bf16: off by 0."), dtype == "bf16", "{said}");
        ok("train_ldm", &[&words(&ldm(&format!("on-{name}"), &["--data-dir", &m.path(name), "--image-dir", "", "--max-train-steps", "4"]))]);
    }
    assert_eq!(loss("on-beside"), loss("kept"), "opening the vision model must draw nothing");
    let (a, b) = (loss("on-beside"), loss("on-beside16"));
    assert!(a.len() == 4 && b.len() == 4 && a.iter().zip(&b).all(|(x, y)| (x - y).abs() < 1e-2), "{a:?} {b:?}");
    m.0.write(
        "same.rhai",
        r#"fn main(cfg) {
            let eye = models::encoder("efficientnet-lite0", #{resolution: 64, stride: 8, pictures: 32});
            for name in ["beside", "beside16"] {
                let batch = data::latents(name).loader(#{batch: 96, shuffle: true}).next();
                let want = eye.features(data::images("images").take(batch.index).images);
                let off = (batch["features.0"] - want).abs().max().item() / want.abs().max().item();
                assert(off < if name == "beside" { 1e-5 } else { 1.0 / 256.0 }, `${name}: ${off}`);
            }
        }"#,
    );
    process::ok(&mut m.0.command(&["run", "same.rhai", "--device", "cpu", "--threads", "1"]));
    let (whole, half) = (size("beside"), size("beside16"));
    assert!(half * 2 > whole && half * 100 < whole * 52, "{half} of {whole}");
    let text = refused("train_ldm", &[&words(&ldm("z", &["--data-dir", &m.path("beside"), "--image-dir", "", "--enc-type", "dinov2-vit-b"]))]);
    assert!(text.contains("--image-dir is needed for alignment with dinov2-vit-b") && text.contains("efficientnet-lite0"), "{text}");
}

#[test]
fn every_stage_says_what_is_wrong_with_its_input() {
    let m = made();
    let text = refused("train_ldm", &[&words(&ldm("x", &["--model-cofnig.depth", "3"]))]);
    assert!(text.contains("model-config"), "{text}");

    let missing = m.path("nowhere");
    let text = refused("cache_latents", &[&["--data-dir", &missing, "--vae-ckpt-path", &m.path("sendvae"), "--output-dir", &m.path("")]]);
    assert!(text.contains("nowhere") && text.contains("cache_latents.rhai:"), "{text}");

    let empty = m.path("empty");
    std::fs::create_dir_all(&empty).unwrap();
    let text = refused("preprocess", &[&["--imagenet-path", &empty, "--output-path", &m.path("empty-shards")]]);
    assert!(text.contains("empty"), "{text}");
    assert!(!Path::new(&m.path("empty-shards")).join("dataset.json").exists());

    // Weights of another architecture: the difference is shown, and the folder of the run stays empty.
    let other = ["--vae-config.ch", "16", "--vae-config.ch-mult", "[1, 2]", "--vae-config.num-res-blocks", "1", "--vae-config.norm-groups", "4"];
    let common =
        ["--data-dir", &m.path("images"), "--output-dir", &m.path(""), "--exp-name", "other", "--perceptual", "none", "--max-train-steps", "2"];
    let text = refused("train_sendvae", &[&common, &other, ENCODER, &["--vae-ckpt", &m.path("sendvae")]]);
    assert!(text.contains("[16, 3, 3, 3]") && text.contains("[8, 3, 3, 3]"), "{text}");
    assert_eq!(saved("other"), 0);

    // A run that is not one, a step that was not saved.
    let text = refused("sample", &[&["--exp-path", &m.path("images")]]);
    assert!(text.contains("images"), "{text}");
    let text = refused("sample", &[&["--exp-path", &m.path("sendvae"), "--train-steps", "77"]]);
    assert!(text.contains("77"), "{text}");

    // Latents of other pictures.
    ok("preprocess", &[&["--imagenet-path", "tests/data/avatars64", "--resolution", "32", "--max-images", "40", "--output-path", &m.path("fewer")]]);
    let text = refused("train_ldm", &[&words(&ldm("y", &["--image-dir", &m.path("fewer")]))]);
    assert!(text.contains("40 pictures") && text.contains("96 pictures") && text.contains("--force"), "{text}");

    // A device that is not there is never replaced by another.
    if Command::new("nvidia-smi").output().map_or(true, |o| !o.status.success()) {
        process::refused(&mut process::lathe(root(), &["run", "scripts/preprocess.rhai", "--device", "cuda"]), &["cuda"]);
    }
}
