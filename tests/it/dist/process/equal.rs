//! Several ranks train what one process trains.

use super::{assert_equal, assert_equal_but, train, whole};
use crate::scripts::process::{ENCODER, SIT, VAE, ldm, made, words};
use crate::support::process::{ok, script};
use crate::support::{TINY_VAE, metrics};
use std::collections::BTreeMap;
use std::path::Path;

#[test]
fn two_and_four_ranks_are_one_in_f64() {
    let place = whole();
    for (ranks, more) in [(2, &[][..]), (4, &[]), (2, &["--plain"])] {
        let name = format!("equal-{ranks}-{}", more.len());
        let said = ok(&mut train(place, ranks, &name, more));
        assert!(said.contains(&format!("done by {ranks}")), "{said}");
        assert_equal(&place.path("exps/one"), &place.path(&format!("exps/{name}")), 1e-12);
    }
}

#[test]
fn ranks_stay_equal_where_the_script_branches() {
    let place = whole();
    for more in [&["--branch"][..], &["--branch", "--plain"]] {
        // The script itself compares all ranks at its end.
        let said = ok(&mut train(place, 2, &format!("branch-{}", more.len()), more));
        assert!(said.contains("done by 2"), "{said}");
    }
}

#[test]
fn gradients_may_be_sent_as_bf16_and_ranks_may_draw_for_themselves() {
    let place = whole();
    for (name, more) in [("wire", ["--dist-wire", "bf16"]), ("rng", ["--rng", "rank"]), ("bucket", ["--dist-bucket-mb", "1"])] {
        ok(&mut train(place, 2, name, &more));
    }
    let last = |name: &str| metrics(&place.path(&format!("exps/{name}"))).last().unwrap()["loss"].as_f64().unwrap();
    // f64 gradients are not rounded on the way; the numbers that ranks draw for themselves are others.
    assert!((last("wire") - last("one")).abs() < 1e-2);
    assert!((last("rng") - last("one")).abs() > 1e-6);
    assert_equal(&place.path("exps/one"), &place.path("exps/bucket"), 1e-12);
}

/// The recipes, for real. Where an adversary is trained, Adam makes of the last bits of small gradients whole steps, on one process with
/// another number of threads as well: there the rates are 0, so that losses, gradients, moments and statistics of all steps are compared.
#[test]
fn the_recipes_are_equal_with_two_ranks() {
    let m = made();
    let (images, latents, out, vae) = (m.path("images"), m.path("latents"), m.path(""), m.path("sendvae"));
    let often = ["--max-train-steps", "8", "--log-every", "1", "--checkpointing-steps", "8"];
    let (encoder, sit, small) = (ENCODER, SIT, VAE);
    let still = ["--learning-rate", "0", "--disc-learning-rate", "0"];
    let mapper = ["--mapper.width", "32", "--mapper.heads", "2", "--mapper.hidden", "32", "--perceptual", "encoder", "--batch-size", "8"];
    let joint = [
        "--vae-ckpt",
        &vae,
        "--stats-pictures",
        "8",
        "--loss.perceptual-loss",
        "encoder",
        "--loss.discriminator-start",
        "2",
        "--vae-learning-rate",
        "0",
    ];
    let denoiser = ["--data-dir", &latents, "--image-dir", &images, "--vae-ckpt", &vae];
    let pictures = ["--data-dir", &images];
    let recipes: [(&str, Vec<&[&str]>); 3] = [
        ("train_ldm", vec![&denoiser, sit, encoder]),
        ("train_sendvae", vec![&pictures, &mapper, TINY_VAE, small, encoder, &still]),
        ("train_repae", vec![&pictures, &joint, TINY_VAE, small, sit, encoder, &still]),
    ];
    for (recipe, flags) in recipes {
        for ranks in ["1", "2"] {
            let name = format!("ranks-{recipe}-{ranks}");
            let own = ["--output-dir", &out, "--exp-name", &name];
            let nproc = if ranks == "1" { &[][..] } else { &["--nproc", ranks] };
            ok(&mut script(recipe, &[&own[..], &often, &flags.concat(), nproc].concat()));
        }
        let run = |ranks: &str| Path::new(&out).join(format!("ranks-{recipe}-{ranks}"));
        assert_equal_but(&run("1"), &run("2"), 1e-5, 0.02);
    }
}

/// What lies in a folder, by name.
fn bytes(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = walkdir::WalkDir::new(folder).into_iter().map(|e| e.unwrap()).filter(|e| e.file_type().is_file());
    files.map(|e| (e.path().strip_prefix(folder).unwrap().display().to_string(), std::fs::read(e.path()).unwrap())).collect()
}

#[test]
fn latents_and_samples_are_the_same_bytes_for_any_number_of_ranks() {
    let m = made();
    let (images, out, vae) = (m.path("images"), m.path(""), m.path("sendvae"));
    let cached = |nproc: &[&str]| {
        // In the same place each time, which some files name.
        let to = m.path("ranks-latents");
        let own = ["--data-dir", &images, "--output-dir", &to, "--vae-ckpt-path", &vae, "--pproc-batch-size", "20"];
        ok(&mut script("cache_latents", &[&own[..], nproc].concat()));
        let all = bytes(Path::new(&to));
        std::fs::remove_dir_all(&to).unwrap();
        all
    };
    let one = cached(&[]);
    assert!(one.len() >= 3, "{:?}", one.keys());
    for ranks in ["2", "3"] {
        assert!(cached(&["--nproc", ranks]) == one, "{ranks} ranks");
    }
    ok(&mut script("train_ldm", &words(&ldm("ranks-sampled", &["--max-train-steps", "2"]))));
    let drawn = |name: &str, nproc: &[&str]| {
        let to = m.path(name);
        let own = ["--exp-path", &m.path("ranks-sampled"), "--allow-read", &out, "--output", &to, "--num-fid-samples", "7", "--num-steps", "3"];
        ok(&mut script("sample", &[&own[..], &["--pproc-batch-size", "2"], nproc].concat()));
        std::fs::read(format!("{to}.npz")).unwrap()
    };
    let one = drawn("ranks-samples-1", &[]);
    for ranks in ["2", "3"] {
        assert!(drawn(&format!("ranks-samples-{ranks}"), &["--nproc", ranks]) == one, "{ranks} ranks");
    }
}
