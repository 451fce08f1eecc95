//! The space of a representation autoencoder, from the training of its decoder to the pictures of a denoiser, with the real vision model.

use super::chain::{ENCODER, Made, SIT, made, ok, refused, words};
use super::killed::{contents, remove, same, trained};
use crate::support::metrics;
use crate::support::process::{self, script};
use std::path::Path;
use std::process::Command;

pub(super) const DECODER: &[&str] = &[
    "--decoder-config.decoder-hidden-size",
    "32",
    "--decoder-config.decoder-num-hidden-layers",
    "2",
    "--decoder-config.decoder-num-attention-heads",
    "2",
    "--decoder-config.decoder-intermediate-size",
    "64",
];

/// Both losses beside L1, the second a step after the first, the discriminator one before.
const LOSSES: &[&str] = &[
    "--perceptual",
    "encoder",
    "--discriminator",
    "patchgan",
    "--disc-config.ndf",
    "8",
    "--perceptual-start",
    "1",
    "--disc-update-start",
    "1",
    "--discriminator-start",
    "2",
];

/// The flags of a training that takes seconds.
fn flags(m: &Made, name: &str, more: &[&str]) -> Vec<String> {
    let (images, out) = (m.path("images"), m.path(""));
    let own = ["--data-dir", &images, "--output-dir", &out, "--exp-name", name, "--batch-size", "8", "--warmup-steps", "2"];
    let often = ["--learning-rate", "1e-3", "--log-every", "1", "--checkpointing-steps", "1", "--sampling-steps", "3", "--max-train-steps", "6"];
    own.iter().chain(&often).chain(DECODER).chain(LOSSES).chain(ENCODER).chain(more).map(|s| (*s).to_owned()).collect()
}

fn train(m: &Made, name: &str, more: &[&str]) -> Command {
    script("train_rae", &words(&flags(m, name, more)))
}

fn run(m: &Made, name: &str, more: &[&str]) -> String {
    process::ok(&mut train(m, name, more))
}

fn cache<'a>(images: &'a str, out: &'a str, run: &'a str, name: &'a str) -> Vec<&'a str> {
    ["--data-dir", images, "--output-dir", out, "--vae-ckpt-path", run, "--vae-latents-name", name, "--pproc-batch-size", "5"].to_vec()
}

#[test]
fn train_rae_killed_at_any_time_ends_with_the_same_weights() {
    let m = made();
    let stage = || train(m, "killed-rae", &[]);
    same("train_rae", 11, &stage, &|| trained(m, "killed-rae"), &|| remove(&m.path("killed-rae")));
    let (images, to, run) = (m.path("images"), m.path("killed-rae-latents"), m.path("killed-rae"));
    let stage = || script("cache_latents", &cache(&images, &to, &run, "latents"));
    same("cache_latents of an RAE", 12, &stage, &|| contents(Path::new(&to)), &|| remove(&to));
}

#[test]
fn every_term_begins_at_its_step_and_the_loss_falls() {
    let m = made();
    run(m, "terms", &[]);
    let log = metrics(&m.0.path("terms"));
    let from = |name: &str| log.iter().position(|l| l.get(name).is_some()).unwrap();
    assert_eq!(["recon", "perceptual", "disc", "gen", "d_weight"].map(from), [0, 1, 1, 2, 2], "{log:#?}");
    assert!(m.0.path("terms/samples/step-0000003-reconstruction.png").is_file());

    let plain =
        ["--perceptual", "none", "--discriminator-weight", "0", "--max-train-steps", "60", "--checkpointing-steps", "0", "--noise-tau", "0.2"];
    run(m, "falls", &plain);
    let recon: Vec<f64> = metrics(&m.0.path("falls")).iter().map(|l| l["recon"].as_f64().unwrap()).collect();
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    assert!(mean(&recon[50..]) < 0.7 * mean(&recon[..5]), "{recon:?}");
}

#[test]
fn its_latents_train_a_denoiser_and_only_its_decoders_read_them() {
    let m = made();
    let (images, out) = (m.path("images"), m.path(""));
    run(m, "rae", &[]);
    let rae = m.path("rae");
    ok("cache_latents", &[&cache(&images, &out, &rae, "rae-latents")]);
    let latents = m.path("rae-latents");
    let denoiser = ["--data-dir", &latents, "--image-dir", &images, "--output-dir", &out, "--max-train-steps", "3", "--log-every", "1"];
    let ldm = |name: &'static str, vae: &str| {
        let own = ["--exp-name", name, "--vae-ckpt", vae, "--model-config.patch", "1"].map(str::to_owned);
        denoiser.iter().chain(SIT).chain(ENCODER).map(|s| (*s).to_owned()).chain(own).collect::<Vec<_>>()
    };
    ok("train_ldm", &[&words(&ldm("rae-ldm", &rae))]);

    // A decoder that went on reads the same latents; what another vision model's input or other pictures' statistics make are others.
    run(m, "rae-on", &["--decoder-ckpt", &rae, "--max-train-steps", "2"]);
    run(m, "rae-few", &["--stats-pictures", "9", "--max-train-steps", "2"]);
    for (name, vae) in [("rae-ldm-few", m.path("rae-few")), ("rae-ldm-vae", m.path("sendvae"))] {
        let text = refused("train_ldm", &[&words(&ldm(name, &vae))]);
        assert!(text.contains("another VAE made the latents") && text.contains("latents of efficientnet-lite0"), "{text}");
    }
    let text = refused("cache_latents", &[&cache(&images, &out, &m.path("rae-few"), "rae-latents")]);
    assert!(text.contains("holds other latents") && text.contains("rae-few") && text.contains("--force"), "{text}");

    let model = m.path("rae-ldm");
    let sample = |to: &str, vae: &str| {
        let own = ["--exp-path", &model, "--output", to, "--num-fid-samples", "6", "--num-steps", "3", "--allow-read", &out, "--vae-ckpt", vae];
        own.map(str::to_owned).to_vec()
    };
    let drawn = |to: &str, vae: &str| {
        let to = m.path(to);
        ok("sample", &[&words(&sample(&to, vae))]);
        std::fs::read(format!("{to}.npz")).unwrap()
    };
    // Of the same latents, by another decoder.
    assert!(drawn("rae-pictures", &rae) != drawn("rae-pictures-on", &m.path("rae-on")), "the decoders draw the same");
    let text = refused("sample", &[&words(&sample(&m.path("rae-no"), &m.path("rae-few")))]);
    assert!(text.contains("was trained on the latents of another VAE"), "{text}");
}

#[test]
fn a_decoder_becomes_a_run_without_training_and_what_does_not_fit_is_refused() {
    let m = made();
    run(m, "source", &["--max-train-steps", "2"]);
    let (source, stats) = (m.path("source"), m.path("source/stat.pt"));
    let still = ["--learning-rate", "0", "--ema-decay", "0", "--max-train-steps", "1", "--discriminator-weight", "0", "--perceptual", "none"];
    run(m, "imported", &[["--decoder-ckpt", &source, "--latents-stats", &stats].as_slice(), &still].concat());
    // The numbers, behind a header that says the step.
    let ema = |name: &str, step: &str| {
        let bytes = std::fs::read(m.0.path(name).join("checkpoints").join(step).join("ema.safetensors")).unwrap();
        let header = usize::try_from(u64::from_le_bytes(bytes[..8].try_into().unwrap())).unwrap();
        bytes[8 + header..].to_vec()
    };
    assert!(ema("source", "0000002") == ema("imported", "0000001"), "the decoder has changed");

    let fails = |more: &[&str]| process::refused(&mut train(m, "bad", more), &[]);
    let text = fails(&["--enc-config.resolution", "40"]);
    assert!(text.contains("pictures of 32 have no 5 x 5 patches") && text.contains("--enc-config.resolution"), "{text}");
    let text = fails(&["--discriminator", "dino", "--disc-config.ndf", "8"]);
    assert!(text.contains("ndf"), "{text}");
    let text = fails(&["--latents-stats", &m.path("source/none.pt")]);
    assert!(text.contains("source/none.pt"), "{text}");
    let text = fails(&["--enc-config.stride", "16", "--latents-stats", &stats]);
    assert!(text.contains("stat.pt is of other latents"), "{text}");
}
