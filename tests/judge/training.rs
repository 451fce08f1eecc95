//! Training with LPIPS from its published pair of files.

use super::pictures::{folder, shards};
use super::run::{command, path, refused};
use super::weights;
use std::path::Path;

const VAE: [&str; 8] =
    ["--vae-config.ch", "8", "--vae-config.ch-mult", "[1, 2]", "--vae-config.num-res-blocks", "1", "--vae-config.norm-groups", "4"];

/// The first line of a run's log.
fn first(run: &Path) -> serde_json::Value {
    let text = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    serde_json::from_str(text.lines().next().unwrap()).unwrap()
}

#[test]
fn vgg16_and_its_heads_are_two_files() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let images = shards(&folder(at("pictures"), "bun", 0, 8), at("images"), "32");
    let [vgg, heads] = weights::lpips();
    let both = format!("{},{}", path(vgg), path(heads));
    let out = at("exps");
    let common = ["--data-dir", path(&images), "--output-dir", path(&out), "--batch-size", "2", "--max-train-steps", "1", "--log-every", "1"];
    let sendvae = [&common[..], &VAE, &["--align", "none", "--sampling-steps", "0", "--discriminator-weight", "0"]].concat();
    let trained = |script: &str, flags: &[&str], name: &str| {
        let o = command(script, &[flags, &["--exp-name", name, "--lpips-weights", &both]].concat()).output().unwrap();
        assert!(o.status.success(), "{}{}", String::from_utf8_lossy(&o.stdout), String::from_utf8_lossy(&o.stderr));
        first(&out.join(name))
    };
    assert!(trained("train_sendvae", &sendvae, "sendvae")["perceptual"].as_f64().unwrap() > 0.0);
    let sit = ["--model-config.depth", "1", "--model-config.hidden", "16", "--model-config.heads", "2", "--model-config.patch", "4"];
    let encoder = ["--enc-type", "torchscript:tests/data/encoders/map.pt", "--enc-config.resolution", "16", "--encoder-depth", "1"];
    let rest = ["--model-config.projector-dim", "16", "--disc-config.ndf", "8", "--sampling-steps", "0"];
    let joint = [&common[..], &VAE, &sit, &encoder, &rest].concat();
    assert!(trained("train_repae", &joint, "repae")["perceptual_loss"].as_f64().unwrap() > 0.0);
    // Without them both say what is needed.
    for (script, flags) in [("train_sendvae", &sendvae), ("train_repae", &joint)] {
        refused(script, &[&flags[..], &["--exp-name", "none"]].concat(), &["vgg16-397923af.pth", "vgg.pth"]);
    }
}
