//! Pictures of other sizes than the demo's, from the files to the figures of what a denoiser draws.

use super::chain::ok;
use super::{ENCODER, SIT, VAE};
use crate::support::process::Place;
use crate::support::{TINY_VAE, metrics};
use lathe::torch::files::Npz;
use std::path::Path;

/// Pictures in shards, a VAE of them, and their latents.
fn prepare(place: &Place, size: &[&str], encoder: &[&str], vae: &[&str], more: &[&str]) {
    let (images, all) = (place.at("images"), place.at(""));
    ok("preprocess", &[&["--imagenet-path", "tests/data/avatars64", "--max-images", "8", "--output-path", &images], size]);
    let run = ["--data-dir", &images, "--output-dir", &all, "--exp-name", "vae", "--batch-size", "4", "--max-train-steps", "2", "--log-every", "1"];
    let mapper = ["--mapper.width", "32", "--mapper.heads", "2", "--mapper.hidden", "32", "--perceptual", "none", "--discriminator-weight", "0"];
    ok("train_sendvae", &[&run, vae, encoder, &mapper]);
    ok("cache_latents", &[&["--data-dir", &images, "--output-dir", &all, "--vae-ckpt-path", &place.at("vae")], more]);
}

fn train(place: &Place, exp: &str, more: &[&[&str]]) -> Vec<f64> {
    let (all, vae) = (place.at(""), place.at("vae"));
    let run = ["--output-dir", &all, "--exp-name", exp, "--max-train-steps", "2", "--checkpointing-steps", "2", "--log-every", "1"];
    ok("train_ldm", &[&[&run, &["--vae-ckpt", &vae][..]], more].concat());
    metrics(&place.path(exp)).iter().map(|l| l["loss"].as_f64().unwrap()).collect()
}

/// The shape of pictures that a run draws.
fn drawn(place: &Place, exp: &str) -> Vec<i64> {
    let (run, all, out) = (place.at(exp), place.at(""), place.at(&format!("{exp}-drawn")));
    let own = ["--exp-path", &run, "--allow-read", &all, "--output", &out, "--num-fid-samples", "4", "--num-steps", "2", "--png", "false"];
    ok("sample", &[&own]);
    Npz::open(Path::new(&format!("{out}.npz"))).unwrap().rows("arr_0").unwrap().shape().to_vec()
}

#[test]
fn pictures_that_are_no_squares_go_through_every_stage() {
    let place = Place::new(&[]);
    let wide = ["--enc-type", "efficientnet-lite0", "--enc-config.resolution", "[64,96]", "--enc-config.stride", "8"];
    let kept = ["--features", "efficientnet-lite0", "--features-config.resolution", "[64,96]", "--features-config.stride", "8"];
    prepare(&place, &["--resolution", "32", "--width", "48"], &wide, &[TINY_VAE, VAE].concat(), &kept);
    let (latents, images, all) = (place.at("latents"), place.at("images"), place.at(""));
    let seen = train(&place, "ldm", &[SIT, &wide, &["--data-dir", &latents, "--image-dir", &images]]);
    let read = train(&place, "ldm-kept", &[SIT, &wide, &["--data-dir", &latents]]);
    assert!(seen.len() >= 2 && seen == read, "features beside the latents are those of the pictures: {seen:?} {read:?}");
    assert_eq!(drawn(&place, "ldm"), [4, 32, 48, 3]);
    let few = ["--extractor", "efficientnet-lite0", "--allow-read", &all, "--reference", &images, "--output", &place.at("judged")];
    assert!(ok("evaluate", &[&["--samples", &place.at("ldm-drawn.npz")], &few]).contains("FD-lite0"));

    // Pixels, as they are in the files.
    let jit = ["--model", "jit", "--model-config.depth", "2", "--model-config.hidden-size", "32", "--model-config.num-heads", "2"];
    let pixels = ["--space", "pixels", "--data-dir", "tests/data/avatars64", "--resolution", "32", "--width", "48", "--proj-coeff", "0"];
    let more = [
        "--model-config.in-context-start",
        "1",
        "--model-config.patch-size",
        "8",
        "--model-config.bottleneck-dim",
        "8",
        "--batch-size",
        "4",
        "--vae-ckpt",
        "",
    ];
    train(&place, "jit", &[&jit, &pixels, &more]);
    assert_eq!(drawn(&place, "jit"), [4, 32, 48, 3]);

    let own = ["--data-dir", &images, "--output-dir", &all, "--exp-name", "repae", "--max-train-steps", "1", "--vae-ckpt", &place.at("vae")];
    let cheap = ["--loss.perceptual-loss", "encoder", "--stats-pictures", "4", "--disc-config.layers", "2"];
    ok("train_repae", &[&own, &[TINY_VAE, VAE, SIT].concat(), &wide, &cheap]);
    let pairs = ["--pictures", &images, "--vae-ckpt", &place.at("vae"), "--max-images", "2", "--output", &place.at("pairs"), "--allow-read", &all];
    assert!(ok("reconstruct", &[&pairs]).contains("PSNR"));
}

#[test]
fn pictures_of_1024_pixels_go_through_every_stage() {
    let place = Place::new(&[]);
    // 64 pixels to a place: latents of 16 x 16.
    let vae = [
        "--vae-config.ch",
        "4",
        "--vae-config.ch-mult",
        "[1,1,1,1,1,1,1]",
        "--vae-config.num-res-blocks",
        "1",
        "--vae-config.norm-groups",
        "2",
        "--vae-config.attn-resolutions",
        "[]",
        "--vae-config.z-channels",
        "4",
    ];
    prepare(&place, &["--resolution", "1024", "--max-images", "4"], ENCODER, &vae, &[]);
    train(&place, "ldm", &[SIT, ENCODER, &["--data-dir", &place.at("latents"), "--image-dir", &place.at("images"), "--batch-size", "4"]]);
    assert_eq!(drawn(&place, "ldm"), [4, 1024, 1024, 3]);
}
