//! Training straight from archives and tables, with mirrored pictures; killed in an epoch, and gone on with.

use super::chain::{ENCODER, SIT, VAE, ok};
use crate::support::process::{Place, script, until};
use crate::support::{TINY_VAE, metrics, pictures, root, saved};
use std::process::{Command, Stdio};

/// Flags of a VAE's training on a gzipped tar of 48 avatars.
fn flags(place: &Place, name: &str) -> Vec<String> {
    let (src, out) = (place.at("pictures.tar.gz"), place.at(""));
    let own = [
        "--data-dir",
        &src,
        "--resolution",
        "32",
        "--flip",
        "--crop",
        "random",
        "--output-dir",
        &out,
        "--exp-name",
        name,
        "--perceptual",
        "encoder",
        "--batch-size",
        "8",
    ];
    let mapper = [
        "--mapper.width",
        "32",
        "--mapper.heads",
        "2",
        "--mapper.hidden",
        "32",
        "--max-train-steps",
        "14",
        "--checkpointing-steps",
        "2",
        "--log-every",
        "1",
    ];
    own.iter().chain(TINY_VAE).chain(VAE).chain(ENCODER).chain(&mapper).map(|s| (*s).to_owned()).collect()
}

#[test]
fn a_run_on_a_gzipped_tar_that_is_killed_sees_the_same_pictures_cropped_and_mirrored_alike() {
    let place = Place::new(&[]);
    for class in ["bun", "spiky"] {
        pictures(place.path("tree").join(class), class, 0, 24);
    }
    let tar = Command::new("tar").args(["czf", "pictures.tar.gz", "tree"]).current_dir(place.folder()).status().unwrap();
    assert!(tar.success());
    let words = |flags: &[String]| flags.to_vec();
    let run = |name: &str| {
        let all = words(&flags(&place, name));
        script("train_sendvae", &all.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let said = crate::support::process::ok(&mut run("whole"));
    assert!(said.contains("48 pictures, 2 classes by folder; each is cropped to 32 x 32 when it is drawn"), "{said}");
    let mut kills = 0;
    for _ in 0..2 {
        let before = saved(&place.path("killed")).len();
        let mut child = run("killed").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        until("a checkpoint", 120, || saved(&place.path("killed")).len() > before || child.try_wait().unwrap().is_some());
        kills += usize::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(kills > 0);
    crate::support::process::ok(&mut run("killed"));
    assert_eq!(metrics(&place.path("killed")), metrics(&place.path("whole")));
}

#[test]
fn the_chain_runs_from_parquet_and_latents_of_mirror_images_find_their_pictures() {
    let place = Place::new(&[]);
    let (src, out) = (root().join("tests/data/packed/train-*.parquet").display().to_string(), place.at(""));
    let vae = ["--data-dir", &src, "--resolution", "32", "--output-dir", &out, "--exp-name", "vae", "--align-coeff", "0", "--perceptual", "none"];
    let short = ["--discriminator-weight", "0", "--batch-size", "4", "--max-train-steps", "2"];
    ok("train_sendvae", &[&vae, &short, TINY_VAE, VAE]);
    let cache = ["--data-dir", &src, "--resolution", "32", "--output-dir", &out, "--vae-ckpt-path", &place.at("vae")];
    assert!(ok("cache_latents", &[&cache, &["--flip", "--crops", "3"]]).contains("48 latents"));
    ok("cache_latents", &[&cache, &["--vae-latents-name", "plain"]]);
    // The first are the latents without --flip and --crops, then come other crops, then all of them mirrored.
    place.write(
        "same.rhai",
        r#"fn main(cfg) {
            let both = data::latents("latents").get(5);
            // Up to the rounding of batches of another size.
            assert((both.mean - data::latents("plain").get(5).mean).abs().max().item() < 1e-5, "the same latent");
            for at in [8 + 5, 16 + 5, 24 + 5, 40 + 5] {
                let other = data::latents("latents").get(at);
                assert_eq([both.label, other.label, other.index.item().to_int()], [2, 2, at]);
            }
            // A crop may be the whole picture, but not of all of them.
            let all = data::latents("latents").loader(#{batch: 48}).next().mean;
            for k in 1..6 { assert((all.narrow(0, k * 8, 8) - all.narrow(0, 0, 8)).abs().max().item() > 1e-3, "other latents"); }
        }"#,
    );
    crate::support::process::ok(&mut place.command(&["run", "same.rhai", "--device", "cpu", "--threads", "1"]));
    let ldm = [
        "--data-dir",
        &place.at("latents"),
        "--image-dir",
        &src,
        "--resolution",
        "32",
        "--output-dir",
        &out,
        "--exp-name",
        "ldm",
        "--vae-ckpt",
        &place.at("vae"),
    ];
    let said = ok("train_ldm", &[&ldm, SIT, ENCODER, &["--max-train-steps", "3", "--log-every", "1"]]);
    assert!(said.contains("proj ") && said.contains("features of 24 pictures"), "{said}");
    let said = super::chain::refused(
        "train_ldm",
        &[&ldm[..2], &["--image-dir", "tests/data/avatars64", "--resolution", "32", "--output-dir", &out, "--exp-name", "x"], SIT, ENCODER],
    );
    assert!(said.contains("were made from other pictures"), "{said}");
}
