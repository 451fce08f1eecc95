//! Artefacts know what they were made of: each stage run again after something before it has changed is right, or refused with both sides
//! named.

use crate::support::process::{Place, lathe, ok, refused};
use crate::support::{metrics, path, pictures, root};
use std::process::Command;
use std::sync::OnceLock;

const VAE: &[&str] = &[
    "--vae-config.ch",
    "8",
    "--vae-config.ch-mult",
    "[1, 2]",
    "--vae-config.num-res-blocks",
    "1",
    "--vae-config.norm-groups",
    "4",
    "--vae-config.z-channels",
    "4",
    "--vae-config.resolution",
    "32",
];
const PLAIN: &[&str] = &["--align-coeff", "0", "--perceptual", "none", "--discriminator-weight", "0", "--batch-size", "4", "--log-every", "1"];
const SIT: &[&str] = &[
    "--model-config.depth",
    "1",
    "--model-config.hidden",
    "16",
    "--model-config.heads",
    "2",
    "--model-config.patch",
    "4",
    "--encoder-depth",
    "1",
    "--batch-size",
    "4",
    "--log-every",
    "1",
    "--learning-rate",
    "0.01",
    "--ema-decay",
    "0.5",
];

/// A script in a place, with paths that are meant from there.
fn script(place: &Place, name: &str, flags: &[&[&str]]) -> Command {
    let file = root().join(format!("scripts/{name}.rhai"));
    let mut c = lathe(place.folder(), &["run", path(&file), "--device", "cpu", "--threads", "1", "--allow-read", ".", "--allow-write", "."]);
    c.args(flags.concat());
    c
}

fn preprocess(place: &Place, from: &str, to: &str) -> Command {
    script(place, "preprocess", &[&["--imagenet-path", from, "--output-path", to, "--resolution", "32"]])
}

fn vae(place: &Place, steps: &str, more: &[&str]) -> Command {
    let own = ["--data-dir", "images", "--output-dir", "exps", "--exp-name", "vae", "--max-train-steps", steps];
    script(place, "train_sendvae", &[&own, VAE, PLAIN, more])
}

fn cache(place: &Place, images: &str, more: &[&str]) -> Command {
    script(place, "cache_latents", &[&["--data-dir", images, "--output-dir", ".", "--vae-ckpt-path", "exps/vae"], more])
}

fn ldm(place: &Place, name: &str, steps: &str, more: &[&str]) -> Command {
    let own = ["--data-dir", "latents", "--output-dir", "exps", "--exp-name", name, "--vae-ckpt", "exps/vae", "--max-train-steps", steps];
    script(place, "train_ldm", &[&own, SIT, if more.contains(&"--image-dir") { &[] } else { &["--proj-coeff", "0"] }, more])
}

fn sample(place: &Place, output: &str, more: &[&str]) -> Command {
    let own = ["--exp-path", "exps/ldm", "--output", output, "--num-steps", "2", "--mode", "ode", "--pproc-batch-size", "4"];
    script(place, "sample", &[&own, if more.contains(&"--num-fid-samples") { &[] } else { &["--num-fid-samples", "4"] }, more])
}

/// Two sets of pictures with the same classes and names, shards of one, a VAE, its latents and a denoiser: made once, each test has a copy.
fn made() -> Place {
    static MADE: OnceLock<Place> = OnceLock::new();
    let first = MADE.get_or_init(|| {
        let place = Place::new(&[]);
        for (set, skip) in [("a", 0), ("b", 40)] {
            for class in ["bun", "spiky"] {
                let from = pictures(place.path("from"), class, skip, 8);
                for (i, file) in crate::support::files(&from).iter().enumerate() {
                    std::fs::create_dir_all(place.path(&format!("{set}/{class}"))).unwrap();
                    std::fs::rename(file, place.path(&format!("{set}/{class}/{i}.png"))).unwrap();
                }
            }
        }
        ok(&mut preprocess(&place, "a", "images"));
        ok(&mut preprocess(&place, "b", "others"));
        ok(&mut vae(&place, "2", &[]));
        ok(&mut cache(&place, "images", &[]));
        ok(&mut ldm(&place, "ldm", "2", &[]));
        place
    });
    let place = Place::new(&[]);
    ok(Command::new("cp").args(["-r", path(&first.folder().join(".")), path(place.folder())]));
    place
}

fn read(place: &Place, name: &str) -> Vec<u8> {
    std::fs::read(place.path(name)).unwrap()
}

#[test]
fn samples_of_an_older_checkpoint_are_refused_or_drawn_anew() {
    let place = made();
    ok(&mut sample(&place, "s", &[]));
    let before = read(&place, "s.npz");
    ok(&mut ldm(&place, "ldm", "4", &[]));
    refused(&mut sample(&place, "s", &[]), &["holds other pictures", "step 2)", "step 4)", "step: 2 -> 4", "--force"]);
    assert!(read(&place, "s.npz") == before);
    ok(&mut sample(&place, "s", &["--train-steps", "2"]));
    let said = ok(&mut sample(&place, "s", &["--force"]));
    assert!(said.contains("drawn anew"), "{said}");
    let anew = read(&place, "s.npz");
    assert!(anew != before, "other pictures");
    // Where it lies, on how many threads and in what batches does not count.
    let said = ok(&mut sample(&place, "s", &["--pproc-batch-size", "3", "--threads", "2"]));
    assert!(said.contains("4 of 4 pictures are in s already"), "{said}");
    refused(&mut sample(&place, "s", &["--global-seed", "7"]), &["global_seed: 0 -> 7"]);
    refused(&mut sample(&place, "s", &["--num-steps", "3"]), &["num_steps: 2 -> 3"]);
    assert!(read(&place, "s.npz") == anew);
}

#[test]
fn an_archive_or_folder_of_another_program_is_never_counted_as_finished() {
    let place = made();
    std::fs::copy(place.path("latents/latents-stats.pt"), place.path("s.npz")).unwrap();
    refused(&mut sample(&place, "s", &[]), &["`s.npz` is there", "--force"]);
    std::fs::create_dir(place.path("t")).unwrap();
    std::fs::copy(place.path("a/bun/0.png"), place.path("t/000000.png")).unwrap();
    refused(&mut sample(&place, "t", &[]), &["1 pictures are there", "--force"]);
    ok(&mut sample(&place, "s", &["--force"]));
    // Another one takes the place of the finished archive.
    ok(&mut sample(&place, "u", &["--global-seed", "1"]));
    std::fs::copy(place.path("u.npz"), place.path("s.npz")).unwrap();
    refused(&mut sample(&place, "s", &[]), &["another program wrote it"]);
}

#[test]
fn a_finished_set_of_samples_is_extended_by_new_pictures_alone() {
    let place = made();
    ok(&mut sample(&place, "s", &[]));
    let first = std::fs::metadata(place.path("s/000000.png")).unwrap().modified().unwrap();
    ok(&mut sample(&place, "s", &["--num-fid-samples", "8"]));
    assert_eq!(std::fs::metadata(place.path("s/000000.png")).unwrap().modified().unwrap(), first, "not drawn again");
    ok(&mut sample(&place, "whole", &["--num-fid-samples", "8"]));
    assert!(read(&place, "s.npz") == read(&place, "whole.npz"), "as one long run");
    refused(&mut sample(&place, "s", &["--num-fid-samples", "6"]), &["holds 8 pictures, and 6 are asked for"]);
}

#[test]
fn pictures_that_were_written_after_their_shards_are_told() {
    let place = made();
    ok(&mut preprocess(&place, "a", "anew"));
    let picture = place.path("a/bun/0.png");
    assert!(!ok(&mut preprocess(&place, "a", "anew")).contains("written after"));
    std::fs::write(&picture, std::fs::read(&picture).unwrap()).unwrap();
    let said = ok(&mut preprocess(&place, "a", "anew"));
    assert!(said.contains("1 source picture was written after anew was (the first is bun/0.png)"), "{said}");
}

#[test]
fn latents_of_other_pictures_are_not_kept() {
    let place = made();
    let before = read(&place, "latents/latents-00000.safetensors");
    let said = ok(&mut cache(&place, "images", &["--pproc-batch-size", "5"]));
    assert!(said.contains("is finished"), "{said}");
    refused(&mut cache(&place, "others", &[]), &["holds other latents", "`images` (16 pictures", "`others` (16 pictures", "--force"]);
    assert!(read(&place, "latents/latents-00000.safetensors") == before);
    // The same pictures elsewhere are the same; fewer are not.
    std::fs::rename(place.path("images"), place.path("moved")).unwrap();
    ok(&mut cache(&place, "moved", &[]));
    std::fs::remove_file(place.path("a/bun/0.png")).unwrap();
    ok(&mut preprocess(&place, "a", "fewer"));
    refused(&mut cache(&place, "fewer", &[]), &["16 -> 15"]);
    refused(&mut ldm(&place, "aligned", "2", &["--image-dir", "others"]), &["were made from other pictures", "`others`", "--image-dir"]);
    ok(&mut cache(&place, "others", &["--force"]));
    assert!(read(&place, "latents/latents-00000.safetensors") != before);
    refused(&mut ldm(&place, "ldm", "4", &[]), &["made from something else", "data_dir: latents", "--allow-change data_dir"]);
}

#[test]
fn a_vae_that_did_not_make_the_latents_is_refused_everywhere() {
    let place = made();
    ok(Command::new("cp").args(["-r", &place.at("exps/vae"), &place.at("exps/first")]));
    ok(&mut vae(&place, "3", &[]));
    let both = &["another VAE", "vae, step 2)", "vae, step 3)", "--force"];
    refused(&mut sample(&place, "s", &[]), both);
    refused(&mut ldm(&place, "ldm", "4", &[]), both);
    refused(&mut cache(&place, "images", &[]), &["holds other latents", "VAE: "]);
    ok(&mut sample(&place, "s", &["--vae-ckpt", "exps/first"]));
    // Its latents in another folder: the denoiser does not go on with them.
    ok(&mut cache(&place, "images", &["--vae-latents-name", "latents2"]));
    refused(&mut ldm(&place, "ldm", "4", &["--data-dir", "latents2"]), &["made from something else", "latents2", "vae: weights"]);
    refused(&mut ldm(&place, "l", "4", &["--vae-ckpt", "exps/first", "--data-dir", "latents2"]), both);
    ok(&mut ldm(&place, "l", "2", &["--data-dir", "latents2"]));
    // A VAE that goes on training from another is not that one's heir any more when that is another.
    ok(&mut vae(&place, "2", &["--exp-name", "heir", "--vae-ckpt", "exps/first"]));
    ok(&mut vae(&place, "3", &["--exp-name", "heir", "--vae-ckpt", "exps/first"]));
    refused(&mut vae(&place, "4", &["--exp-name", "heir", "--vae-ckpt", "exps/vae"]), &["vae_ckpt: weights `exps/first`", "weights `exps/vae`"]);
}

#[test]
fn another_batch_size_or_data_set_is_taken_when_told_so_recorded_and_replayed() {
    let place = made();
    // A run that began in this folder: a replay works where the run did.
    ok(&mut ldm(&place, "mine", "2", &[]));
    let run = place.path("exps/mine");
    refused(&mut ldm(&place, "mine", "4", &["--batch-size", "2"]), &["`batch` 4, now it is 2", "--allow-change"]);
    let said = ok(&mut ldm(&place, "mine", "5", &["--batch-size", "2", "--allow-change", "batch_size"]));
    assert!(
        said.contains("the loader goes on at epoch 0, batch 4 of 8") && said.contains("batch_size 4 -> 2") && said.contains("recorded in"),
        "{said}"
    );
    refused(&mut ldm(&place, "mine", "6", &["--allow-change", "bach_size"]), &["bach_size", "did you mean"]);
    ok(&mut cache(&place, "others", &["--vae-latents-name", "grown"]));
    let said = ok(&mut ldm(&place, "mine", "6", &["--data-dir", "grown", "--batch-size", "2", "--allow-change", "data_dir"]));
    assert!(said.contains("goes on with other content") && said.contains("the loader goes on at epoch 1, batch 0 of 8"), "{said}");
    ok(&mut lathe(place.folder(), &["replay", "exps/mine", "--allow-read", "."]));
    assert_eq!(metrics(&run), metrics(&place.path("exps/mine-replay")), "bit for bit");
    // What it began with is gone: it cannot be repeated, and says so.
    std::fs::remove_dir_all(place.path("latents")).unwrap();
    std::fs::rename(place.path("grown"), place.path("latents")).unwrap();
    let again = &mut lathe(place.folder(), &["replay", "exps/mine", "--exp-name", "third", "--allow-read", "."]);
    refused(again, &["the recorded run was made from something else", "data_dir: latents"]);
}

#[test]
fn what_an_earlier_version_wrote_is_read_with_a_remark() {
    let place = made();
    let without = |name: &str, keys: &[&str]| {
        let mut v: serde_json::Value = serde_json::from_str(&place.read(name)).unwrap();
        for key in keys {
            let (at, key) = key.rsplit_once('/').map_or(("", *key), |(at, key)| (at, key));
            v.pointer_mut(at).unwrap().as_object_mut().unwrap().remove(key).unwrap();
        }
        place.write(name, &v.to_string());
    };
    without("latents/latents.json", &["made_from", "settings"]);
    without("exps/ldm/checkpoints/0000002/state.json", &["made_from", "/parts/loader/meta/set", "/parts/ema/hash", "/parts/sit/hash"]);
    without("exps/ldm/start.json", &["made_from"]);
    let said = ok(&mut cache(&place, "images", &[]));
    assert_eq!(said.matches("origin is unknown").count(), 1, "{said}");
    let said = ok(&mut ldm(&place, "ldm", "3", &[]));
    assert!(said.contains("does not say what its run was made from"), "{said}");
    // The hash of the VAE was kept by earlier versions too.
    ok(&mut vae(&place, "3", &[]));
    refused(&mut sample(&place, "s", &[]), &["another VAE"]);
}

#[test]
fn inspect_prints_the_chain_of_every_artefact() {
    let place = made();
    ok(&mut sample(&place, "s", &[]));
    ok(&mut sample(&place, "t", &["--global-seed", "1"]));
    let judge = ["--extractor", "efficientnet-lite0", "--reference", "t.npz"];
    ok(&mut script(&place, "evaluate", &[&["--samples", "s", "--output", "judged"], &judge]));
    ok(&mut script(&place, "evaluate", &[&["--samples", "s.npz", "--output", "judged2"], &judge]));
    let inspect = |what: &str| ok(&mut lathe(place.folder(), &["inspect", what]));
    for (what, words) in [
        ("images", &["images `images` (16 pictures of 32 x 32)"][..]),
        ("latents", &["images: images `images`", "vae: weights `exps/vae` (vae, step 2)", "data_dir: images `images`"]),
        ("latents/latents-stats.pt", &["latent statistics", "vae: weights"]),
        ("exps/ldm", &["checkpoint", "step 2", "data_dir: latents `latents`", "holds ema: weights", "vae: weights"]),
        ("exps/ldm/checkpoints/0000002", &["data_dir: latents"]),
        ("s", &["samples `s` (4 pictures)", "denoiser: weights `exps/ldm` (ema, step 2)", "images: images", "step = 2"]),
        ("s.npz", &["samples `s.npz`", "vae: weights"]),
        ("judged", &["evaluation", "samples: samples `s`", "reference: samples `t.npz`", "extractor: weights (lite0)"]),
        ("judged/result.json", &["evaluation", "denoiser"]),
        ("judged/reference-stats.npz", &["statistics", "pictures: samples `t.npz`", "extractor"]),
        ("exps/vae/checkpoints/0000002/vae.safetensors", &["weights", "VAE, ", " tensors"]),
    ] {
        let said = inspect(what);
        for word in words {
            assert!(said.contains(word), "{what}: no `{word}` in\n{said}");
        }
    }
    // The weights of the file are those that the latents name.
    let id = |what: &str| inspect(what).lines().find_map(|l| l.strip_prefix("  identity: ").map(str::to_owned)).unwrap();
    let json = ok(&mut lathe(place.folder(), &["inspect", "latents", "--json"]));
    assert!(json.contains(&id("exps/vae/checkpoints/0000002/vae.safetensors")), "{json}");
    refused(&mut lathe(place.folder(), &["inspect", "a/nowhere"]), &["nowhere"]);
}

#[test]
fn the_chain_run_twice_with_a_change_between_is_right_or_refused_at_every_stage() {
    let chain = |place: &Place, pictures: &str, seed: &str, steps: &str| -> Vec<bool> {
        let stages = [
            preprocess(place, pictures, "images"),
            vae(place, steps, &["--seed", seed]),
            cache(place, "images", &[]),
            ldm(place, "ldm", steps, &["--seed", seed]),
            sample(place, "s", &["--global-seed", seed]),
            script(place, "evaluate", &[&["--extractor", "efficientnet-lite0", "--samples", "s.npz", "--reference", "images", "--output", "judged"]]),
        ];
        stages.into_iter().map(|mut c| c.output().unwrap().status.success()).collect()
    };
    let place = made();
    assert_eq!(chain(&place, "a", "0", "2"), [true; 6]);
    let (first, judged) = (read(&place, "s.npz"), place.read("judged/result.json"));
    let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap()["figures"][0]["value"].as_f64().unwrap();
    assert_eq!(chain(&place, "a", "0", "2"), [true; 6], "the same again");
    assert!(read(&place, "s.npz") == first);
    assert_eq!(value(&place.read("judged/result.json")), value(&judged));

    // Another seed: the trained stages and the samples are refused, what does not depend on it is as it was.
    assert_eq!(chain(&place, "a", "1", "2"), [true, false, true, false, false, true]);
    // Other pictures: nothing is made of them in these folders.
    assert_eq!(chain(&place, "b", "0", "2"), [false, true, true, true, true, true]);
    assert!(read(&place, "s.npz") == first);
    // Longer training of the VAE: from the latents on all is refused, and nothing was replaced.
    assert_eq!(chain(&place, "a", "0", "3"), [true, true, false, false, false, true]);
    assert!(read(&place, "s.npz") == first);
}
