//! The scripts as a user runs them, one after the other, on real pictures with the real vision model; killed, and fed with nonsense.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests make files as others would, and stop where one fails"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// A small model for every stage: seconds on one core.
const VAE: &[&str] = &[
    "--vae-config.ch",
    "8",
    "--vae-config.ch-mult",
    "[1, 2]",
    "--vae-config.num-res-blocks",
    "1",
    "--vae-config.z-channels",
    "4",
    "--vae-config.norm-groups",
    "4",
    "--vae-config.resolution",
    "32",
];
const ENCODER: &[&str] = &["--enc-type", "efficientnet-lite0", "--enc-config.resolution", "64", "--enc-config.stride", "8"];
const SIT: &[&str] = &[
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

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// `lathe run scripts/SCRIPT.rhai` in the project, on one thread of the processor.
fn lathe(script: &str, flags: &[&[&str]]) -> Command {
    let mut c = Command::new(env!("CARGO_BIN_EXE_lathe"));
    c.current_dir(project()).arg("run").arg(format!("scripts/{script}.rhai")).args(["--device", "cpu", "--threads", "1"]);
    c.args(flags.concat()).stdout(Stdio::piped()).stderr(Stdio::piped());
    c
}

fn said(out: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr))
}

fn ok(script: &str, flags: &[&[&str]]) -> String {
    let out = lathe(script, flags).output().unwrap();
    assert!(out.status.success(), "{script}: {:?}\n{}", out.status, said(&out));
    said(&out)
}

/// One message, exit code 1 or 2, no panic.
fn refused(script: &str, flags: &[&[&str]]) -> String {
    let out = lathe(script, flags).output().unwrap();
    let text = said(&out);
    assert!(matches!(out.status.code(), Some(1 | 2)), "{script}: {:?}\n{text}", out.status);
    assert!(!text.contains("panicked"), "{text}");
    assert_eq!(text.matches("error").count() - text.matches("error message").count(), 1, "one message:\n{text}");
    text
}

/// Shards, a VAE and latents that all tests here share.
struct Made {
    folder: tempfile::TempDir,
}

impl Made {
    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }
}

fn made() -> &'static Made {
    static MADE: OnceLock<Made> = OnceLock::new();
    MADE.get_or_init(|| {
        let made = Made { folder: tempfile::tempdir().unwrap() };
        let out = made.path("");
        ok(
            "preprocess",
            &[&["--imagenet-path", "tests/data/avatars64", "--resolution", "32", "--max-images", "96", "--output-path", &made.path("images")]],
        );
        let common =
            ["--data-dir", &made.path("images"), "--output-dir", &out, "--exp-name", "sendvae", "--perceptual", "encoder", "--batch-size", "8"];
        let mapper = ["--mapper.width", "32", "--mapper.heads", "2", "--mapper.hidden", "32", "--max-train-steps", "3", "--log-every", "1"];
        let text = ok("train_sendvae", &[&common, VAE, ENCODER, &mapper]);
        for metric in ["align", "recon", "kl", "perceptual", "gen", "disc"] {
            assert!(text.contains(&format!("  {metric} ")), "no {metric} in\n{text}");
        }
        ok("cache_latents", &[&["--data-dir", &made.path("images"), "--output-dir", &out, "--vae-ckpt-path", &made.path("sendvae")]]);
        made
    })
}

fn ldm(name: &str, more: &[&str]) -> Vec<String> {
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

fn words(flags: &[String]) -> Vec<&str> {
    flags.iter().map(String::as_str).collect()
}

/// The log of a run without clocks.
fn log(name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(PathBuf::from(made().path(name)).join("metrics.jsonl")).unwrap();
    let line = |l: &str| {
        let mut v: serde_json::Value = serde_json::from_str(l).unwrap();
        v.as_object_mut().unwrap().remove("time");
        v.to_string()
    };
    text.lines().map(line).collect()
}

fn saved(name: &str) -> usize {
    std::fs::read_dir(PathBuf::from(made().path(name)).join("checkpoints"))
        .map_or(0, |d| d.filter(|e| !e.as_ref().unwrap().file_name().to_string_lossy().starts_with('.')).count())
}

#[test]
fn train_ldm_killed_at_any_time_gives_the_losses_of_an_uninterrupted_run() {
    ok("train_ldm", &[&words(&ldm("whole", &[]))]);
    let want = log("whole");
    assert!(want.len() >= 40, "{want:#?}");
    let flags = ldm("killed", &[]);
    let mut kills = 0;
    for pause in [0_u64, 7, 23, 41, 3] {
        let mut child = lathe("train_ldm", &[&words(&flags)]).spawn().unwrap();
        let (before, start) = (saved("killed"), Instant::now());
        // A checkpoint further, then some moment later.
        while saved("killed") == before && child.try_wait().unwrap().is_none() {
            assert!(start.elapsed() < Duration::from_secs(120), "no checkpoint in two minutes");
            std::thread::sleep(Duration::from_millis(2));
        }
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
    let mut child = lathe("sample", &[&words(&again)]).spawn().unwrap();
    let start = Instant::now();
    while !PathBuf::from(m.path("pictures2")).exists() && child.try_wait().unwrap().is_none() && start.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(2));
    }
    let _ = child.kill();
    child.wait().unwrap();
    ok("sample", &[&words(&again)]);
    let npz = |name: &str| std::fs::read(m.path(name)).unwrap();
    assert_eq!(npz("pictures.npz"), npz("pictures2.npz"));
    assert_eq!(
        std::fs::read_dir(m.path("pictures2")).unwrap().filter(|e| e.as_ref().unwrap().path().extension().is_some_and(|x| x == "png")).count(),
        12
    );
}

#[test]
fn features_kept_in_memory_train_like_features_computed_each_time() {
    ok("train_ldm", &[&words(&ldm("kept", &["--cache-features", "on", "--max-train-steps", "4"]))]);
    ok("train_ldm", &[&words(&ldm("computed", &["--cache-features", "off", "--max-train-steps", "4"]))]);
    let loss = |name: &str| -> Vec<f64> {
        log(name).iter().filter_map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap()["loss"].as_f64()).collect()
    };
    let (a, b) = (loss("kept"), loss("computed"));
    assert_eq!((a.len(), b.len()), (4, 4));
    // The vision model sees other batches, so only the last bits may differ.
    assert!(a.iter().zip(&b).all(|(x, y)| (x - y).abs() < 1e-4), "{a:?} {b:?}");
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
    assert!(text.contains("40 pictures") && text.contains("96 latents"), "{text}");

    // A device that is not there is never replaced by another.
    if Command::new("nvidia-smi").output().map_or(true, |o| !o.status.success()) {
        let mut c = Command::new(env!("CARGO_BIN_EXE_lathe"));
        let out = c.current_dir(project()).args(["run", "scripts/preprocess.rhai", "--device", "cuda"]).output().unwrap();
        assert_eq!(out.status.code(), Some(1), "{}", said(&out));
        assert!(said(&out).contains("cuda"), "{}", said(&out));
    }
}
