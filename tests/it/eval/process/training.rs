//! Training with LPIPS from its published pair of files.

use super::pictures::shards;
use super::weights;
use crate::support::process::{ok, refused, script};
use crate::support::{TINY_SIT, TINY_VAE, metrics, path, pictures};

#[test]
fn vgg16_and_its_heads_are_two_files() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let images = shards(&pictures(at("pictures"), "bun", 0, 8), at("images"), "32");
    let [vgg, heads] = weights::lpips();
    let both = format!("{},{}", path(vgg), path(heads));
    let out = at("exps");
    let common = ["--data-dir", path(&images), "--output-dir", path(&out), "--batch-size", "2", "--max-train-steps", "1", "--log-every", "1"];
    let sendvae = [&common[..], TINY_VAE, &["--align", "none", "--sampling-steps", "0", "--discriminator-weight", "0"]].concat();
    let trained = |kind: &str, flags: &[&str], name: &str| {
        ok(&mut script(kind, &[flags, &["--exp-name", name, "--lpips-weights", &both]].concat()));
        metrics(&out.join(name)).swap_remove(0)
    };
    assert!(trained("train_sendvae", &sendvae, "sendvae")["perceptual"].as_f64().unwrap() > 0.0);
    let encoder = ["--enc-type", "torchscript:tests/data/encoders/map.pt", "--enc-config.resolution", "16", "--encoder-depth", "1"];
    let rest = ["--model-config.projector-dim", "16", "--disc-config.ndf", "8", "--sampling-steps", "0"];
    let joint = [&common[..], TINY_VAE, TINY_SIT, &encoder, &rest].concat();
    assert!(trained("train_repae", &joint, "repae")["perceptual_loss"].as_f64().unwrap() > 0.0);
    // Without them both say what is needed.
    for (kind, flags) in [("train_sendvae", &sendvae), ("train_repae", &joint)] {
        refused(&mut script(kind, &[&flags[..], &["--exp-name", "none"]].concat()), &["vgg16-397923af.pth", "vgg.pth"]);
    }
}
