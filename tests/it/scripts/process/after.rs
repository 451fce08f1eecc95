//! What is done with trained networks, and how runs share what they computed: pictures through a VAE, chosen classes, kept features.

use super::chain::{ENCODER, VAE, ldm, made, ok, refused, words};
use crate::support::process::{self, script};
use crate::support::{TINY_VAE, avatars, files, metrics, path};
use lathe::eval::{psnr, ssim};
use lathe::torch::files::read_npz;
use lathe::torch::{DType, Tensor};
use serde_json::Value;
use std::path::Path;

/// A picture file as u8 `[1, 3, H, W]`.
fn picture(file: &Path) -> Tensor {
    let image = image::open(file).unwrap().to_rgb8();
    let (w, h) = image.dimensions();
    Tensor::from_vec(&image.into_raw(), &[1, i64::from(h), i64::from(w), 3]).unwrap().permute(&[0, 3, 1, 2]).unwrap()
}

fn mean(t: &Tensor) -> f64 {
    t.to_dtype(DType::Double).unwrap().mean(&[], false).unwrap().item().unwrap()
}

#[test]
fn reconstruct_makes_pairs_a_table_and_a_sheet() {
    let m = made();
    let out = m.path("reconstruct");
    let (vae, pictures) = (m.path("sendvae"), avatars().join("bun"));
    let flags = ["--vae-ckpt", &vae, "--pictures", path(&pictures), "--max-images", "10", "--shown", "9", "--batch", "4", "--output", &out];
    let said = ok("reconstruct", &[&flags]);
    for line in ["PSNR", "SSIM", "worst picture", "no LPIPS: --lpips-weights", "sheet.png, pairs/, result.json"] {
        assert!(said.contains(line), "no `{line}` in\n{said}");
    }
    let result: Value = serde_json::from_str(&std::fs::read_to_string(format!("{out}/result.json")).unwrap()).unwrap();
    let rows = result["figures"].as_array().unwrap();
    let pairs = files(&m.0.path("reconstruct/pairs"));
    assert_eq!((rows.len(), pairs.len()), (10, 10));
    // Each figure is that of the two pictures in the file: two pixels around each.
    for (row, file) in rows.iter().zip(&pairs) {
        let both = picture(file);
        let one = |x: i64| both.narrow(2, 2, 64).unwrap().narrow(3, x, 64).unwrap();
        let (a, b) = (one(2), one(68));
        let known = picture(&pictures.join(row["picture"].as_str().unwrap()));
        assert_eq!(mean(&a.ne(&known).unwrap()), 0.0, "the left one is the picture itself");
        for (name, want) in [("PSNR", psnr(&a, &b, None).unwrap()), ("SSIM", ssim(&a, &b, None).unwrap())] {
            let (got, want) = (row[name].as_f64().unwrap(), mean(&want));
            assert!((got - want).abs() <= 1e-6 * want.abs(), "{name} of {}: {got}, expected {want}", file.display());
        }
    }
    // Nine pairs: eight above their reconstructions, then one.
    let sheet = image::open(format!("{out}/sheet.png")).unwrap();
    assert_eq!((sheet.width(), sheet.height()), (8 * 66 + 2, 4 * 66 + 2));
    // Squares of another size are cut first, as for training.
    let cut = m.path("cut");
    ok("reconstruct", &[&["--vae-ckpt", &vae, "--pictures", path(&avatars()), "--resolution", "32", "--max-images", "2", "--output", &cut]]);
    assert_eq!(image::open(format!("{cut}/pairs/000001.png")).unwrap().height(), 32 + 4);
    let text = refused("reconstruct", &[&["--vae-ckpt", &vae]]);
    assert!(text.contains("--pictures is needed"), "{text}");
}

#[test]
fn sample_draws_chosen_classes_and_so_many_of_each() {
    let m = made();
    // The flags of the published README, and an alignment depth that follows from the denoiser's own.
    let small = ["--model-config.depth", "2", "--model-config.hidden", "16", "--model-config.heads", "2", "--proj-coeff", "0"];
    let (run, all, latents, vae) = (m.path("classes"), m.path(""), m.path("latents"), m.path("sendvae"));
    let place = ["--data-dir", &latents, "--output-dir", &all, "--exp-name", "classes", "--vae-ckpt", &vae];
    ok("train_ldm", &[&place, &small, &["--models", "SiT-B/1", "--max-train-steps", "2", "--batch-size", "4"]]);
    let config = std::fs::read_to_string(m.path("classes/config.toml")).unwrap();
    assert!(config.contains("model = \"SiT-B/1\"  # --models") && !config.contains("\nmodels"), "{config}");
    let sample = |out: &str, more: &[&str]| {
        let out = m.path(out);
        let fixed = ["--exp-path", &run, "--output", &out, "--allow-read", &all, "--num-steps", "2", "--mode", "ode", "--no-png"];
        ok("sample", &[&fixed, &["--pproc-batch-size", "5"], more])
    };
    let count = |out: &str| read_npz(&m.0.path(&format!("{out}.npz"))).unwrap()["arr_0"].shape()[0];
    let said = sample("two", &["--classes", "3,bun", "--per-class", "4"]);
    assert!(said.contains("8 pictures, 4 of each of 2 classes"), "{said}");
    assert_eq!(count("two"), 8);
    sample("all", &["--per-class", "2"]);
    assert_eq!(count("all"), 8, "four classes");
    sample("drawn", &["--classes", "1", "--num-fid-samples", "3"]);
    assert_eq!(count("drawn"), 3);
    for (class, want) in [("4", "there is no class 4: 0 to 3"), ("bum", "there is no class bum"), ("-1", "there is no class -1")] {
        let text = refused("sample", &[&["--exp-path", &run, "--allow-read", &all, "--classes", class]]);
        assert!(text.contains(want), "{text}");
    }
}

#[test]
fn features_are_computed_for_what_is_seen_and_kept_by_identity() {
    let m = made();
    let out = m.path("cached");
    let train = |name: &str, more: &[&str]| {
        let fixed = ["--data-dir", &m.path("images"), "--output-dir", &out, "--exp-name", name, "--perceptual", "none", "--batch-size", "4"];
        let mapper = ["--mapper.width", "32", "--mapper.heads", "2", "--mapper.hidden", "32", "--log-every", "1", "--discriminator-weight", "0"];
        ok("train_sendvae", &[&fixed, &mapper, TINY_VAE, VAE, more])
    };
    let align = |name: &str| metrics(&m.0.path(&format!("cached/{name}"))).iter().map(|l| l["align"].as_f64().unwrap()).collect::<Vec<_>>();
    let few = [ENCODER, &["--max-train-steps", "3"]].concat();
    let said = train("first", &few);
    assert!(said.contains("features of 12 pictures are computed; kept in "), "{said}");
    let said = train("again", &few);
    assert!(said.contains("features of 12 pictures are read from ") && !said.contains("are computed"), "{said}");
    assert_eq!(align("again"), align("first"));
    // A longer run computes what is missing, and sees the same as one that computed all at once.
    let more = [ENCODER, &["--max-train-steps", "24"]].concat();
    let said = train("longer", &more);
    assert!(said.contains("features of 84 pictures are computed, 12 were there"), "{said}");
    std::fs::remove_dir_all(m.path("cached/features")).unwrap();
    assert!(train("whole", &more).contains("features of 96 pictures are computed; kept in"));
    assert_eq!(align("whole"), align("longer"));
    // Another preprocessing is another identity.
    let other = [
        "--enc-type",
        "efficientnet-lite0",
        "--enc-config.resolution",
        "96",
        "--enc-config.stride",
        "8",
        "--max-train-steps",
        "1",
        "--align",
        "gram",
    ];
    assert!(train("other", &other).contains("features of 4 pictures are computed; kept in"));
    assert_eq!(files(&m.0.path("cached/features")).len(), 2);
    // `train_ldm` reads what `train_sendvae` kept.
    let flags = ldm("reads", &["--max-train-steps", "1", "--output-dir", &out]);
    let said = ok("train_ldm", &[&words(&flags)]);
    assert!(said.contains("features of 96 pictures are read from"), "{said}");
}

#[test]
fn pictures_are_trained_on_with_the_features_beside_their_latents() {
    let m = made();
    let (images, all, vae) = (m.path("images"), m.path(""), m.path("sendvae"));
    let beside = ["--features-dir", &m.path("with-features")];
    let eye = ["--features", "efficientnet-lite0", "--features-config.resolution", "64", "--features-config.stride", "16"];
    ok("cache_latents", &[&["--data-dir", &images, "--output-dir", &all, "--vae-ckpt-path", &vae, "--vae-latents-name", "with-features"], &eye]);
    let nowhere = m.path("nowhere");
    let own = ["--data-dir", &images, "--vae-config.resolution", "32", "--enc-config.resolution", "64", "--max-train-steps", "3"];
    for kind in ["train_sendvae", "train_repae"] {
        let small = format!("scripts/tiny/{kind}.toml");
        // Features that one of them keeps the other would read.
        let out = m.path(&format!("{kind}-beside"));
        let run =
            |name, more: &[&str]| script(kind, &[&own, ["--config", &small, "--output-dir", &out, "--exp-name", name].as_slice(), more].concat());
        assert!(process::ok(&mut run("computed", &[])).contains("features of 12 pictures are computed"));
        // Where no weights of a vision model are found.
        let mut command = run("read", &beside);
        let said = process::ok(command.env("LATHE_CACHE", &nowhere).env("HF_HOME", &nowhere).env_remove("LATHE_WEIGHTS"));
        assert!(said.contains("features of [\"efficientnet-lite0\"] are read from ") && !said.contains("are computed"), "{said}");
        let (a, b) = (metrics(&Path::new(&out).join("computed")), metrics(&Path::new(&out).join("read")));
        assert!(a.len() == 3 && a == b, "{a:#?}\n{b:#?}");
        process::refused(&mut run("refused", &[&beside[..], &["--flip"]].concat()), &["--features-dir", "--crop random"]);
    }
}
