//! Recipes in their tiny forms, from the training to the figures of what it made.

use super::chain::{made, ok, words};
use crate::support::process::{script, until};
use crate::support::{files, metrics, name, root, saved};
use lathe::torch::files::Npz;
use std::path::Path;
use std::process::Stdio;

/// Flags of a training of a recipe's tiny form: four steps, a checkpoint after each.
pub(super) fn tiny(kind: &str, recipe: &str, name: &str, more: &[&str]) -> Vec<String> {
    let m = made();
    let own = format!("scripts/tiny/{recipe}.toml");
    let small = if root().join(&own).is_file() { own } else { format!("scripts/tiny/{kind}.toml") };
    let (latents, images, all, vae) = (m.path("latents"), m.path("images"), m.path(""), m.path("sendvae"));
    let data: &[&str] = match (kind, recipe) {
        // It begins with grey pictures alone, and an average of few steps stays there.
        ("train_ldm", "jit") => &["--data-dir", &images, "--ema-decay", "0", "--learning-rate", "1e-2"],
        ("train_ldm", _) => &["--data-dir", &latents, "--image-dir", &images, "--vae-ckpt", &vae],
        ("train_rae", _) => &["--data-dir", &images],
        // The recipe's pictures are of 64 pixels, these are of 32.
        ("train_repae", _) => &["--data-dir", &images, "--vae-config.resolution", "32", "--enc-config.resolution", "64"],
        _ => &["--data-dir", &images, "--vae-config.resolution", "32"],
    };
    let steps = ["--output-dir", &all, "--exp-name", name, "--max-train-steps", "4", "--checkpointing-steps", "1", "--log-every", "1"];
    // Of the same setting the last flag counts, and flags before files.
    let flags = [data, &steps, more, &["--config", recipe, "--config", &small]].concat();
    flags.into_iter().map(str::to_owned).collect()
}

pub(super) fn train(kind: &str, recipe: &str, name: &str, more: &[&str]) {
    ok(kind, &[&words(&tiny(kind, recipe, name, more))]);
}

/// A training that is killed as soon as its first checkpoint is there, and goes on.
fn train_killed(kind: &str, recipe: &str, name: &str) {
    let flags = tiny(kind, recipe, name, &[]);
    let mut child = script(kind, &words(&flags)).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let run = made().0.path(name);
    until("a checkpoint", 120, || !saved(&run).is_empty() || child.try_wait().unwrap().is_some());
    child.kill().unwrap();
    let status = child.wait().unwrap();
    assert!(!status.success() && !saved(&run).contains(&4), "{recipe}: it was over before it was killed");
    ok(kind, &[&words(&flags)]);
}

/// Every file of weights and states of the last checkpoint, by name.
fn last(run: &str) -> Vec<(String, Vec<u8>)> {
    let mut all: Vec<_> = files(&made().0.path(run).join("checkpoints/0000004"))
        .into_iter()
        .filter(|f| f.extension().is_some_and(|x| x == "safetensors"))
        .map(|f| (name(&f), std::fs::read(&f).unwrap()))
        .collect();
    all.sort();
    assert!(all.len() >= 3, "weights and optimizers: {:?}", all.iter().map(|a| &a.0).collect::<Vec<_>>());
    all
}

/// Trains a recipe at once, and once more killed in between: both end with the same bytes. The name of the first.
fn same_after_a_kill(kind: &str, recipe: &str) -> String {
    let m = made();
    let (at_once, killed) = (format!("{recipe}-at-once"), format!("{recipe}-killed"));
    train(kind, recipe, &at_once, &[]);
    train_killed(kind, recipe, &killed);
    let log = metrics(&m.0.path(&at_once));
    assert!(log.len() >= 4 && log.iter().take(4).all(|l| l["loss"].as_f64().is_some_and(f64::is_finite)), "{recipe}: {log:?}");
    assert_eq!(log, metrics(&m.0.path(&killed)), "{recipe}");
    let (a, b) = (last(&at_once), last(&killed));
    let differ: Vec<&String> = a.iter().zip(&b).filter(|(x, y)| x != y).map(|(x, _)| &x.0).collect();
    assert!(a.len() == b.len() && differ.is_empty(), "{recipe}: {differ:?} differ");
    at_once
}

/// Four pictures `[H, W, 3]` of a run, drawn in batches of `batch`.
fn drawn(name: &str, batch: &str, more: &[&str]) -> Vec<Vec<u8>> {
    let m = made();
    let (run, all, out) = (m.path(name), m.path(""), m.path(&format!("{name}-{batch}")));
    let own = ["--exp-path", &run, "--allow-read", &all, "--output", &out, "--pproc-batch-size", batch, "--png", "false", "--num-fid-samples", "4"];
    ok("sample", &[more, &own]);
    let rows = Npz::open(Path::new(&format!("{out}.npz"))).unwrap().rows("arr_0").unwrap();
    (0..rows.shape()[0]).map(|i| rows.read(i, 1).unwrap().to_bytes().unwrap()).collect()
}

fn result(folder: &str) -> serde_json::Value {
    serde_json::from_str(&std::fs::read_to_string(format!("{folder}/result.json")).unwrap()).unwrap()
}

/// The distance of those pictures from those of the training, by the evaluation's own script.
fn judged(name: &str, batch: &str) -> f64 {
    let m = made();
    let (images, all, set) = (m.path("images"), m.path(""), m.path(&format!("{name}-{batch}")));
    let (samples, out) = (format!("{set}.npz"), format!("{set}-eval"));
    let few = ["--extractor", "efficientnet-lite0", "--max-images", "8", "--allow-read", &all];
    let said = ok("evaluate", &[&["--samples", &samples, "--reference", &images, "--output", &out], &few]);
    assert!(said.contains("FD-lite0"), "{said}");
    let result = result(&out);
    assert_eq!((result["n"].as_u64(), result["reference_n"].as_u64()), (Some(4), Some(8)), "{result}");
    result["figures"][0]["value"].as_f64().unwrap()
}

/// Recipes of denoisers from their training to their pictures and the figures of these.
pub(super) fn whole(kind: &str, recipes: &[&str], sampling: &[&str]) {
    for recipe in recipes {
        let run = same_after_a_kill(kind, recipe);
        let (four, three) = (drawn(&run, "4", sampling), drawn(&run, "3", sampling));
        assert_eq!((four.len(), three.len()), (4, 4), "{recipe}");
        // The batch may change the last bits of a matrix product, and with them one level of a byte.
        let near = |a: &[u8], b: &[u8]| a.iter().zip(b).all(|(x, y)| x.abs_diff(*y) <= 1);
        assert!(four.iter().zip(&three).all(|(a, b)| near(a, b)), "{recipe}: pictures depend on the batch");
        assert!(!near(&four[0], &four[1]), "{recipe}: two pictures are the same");
        let distance = judged(&run, "4");
        assert!(distance.is_finite() && distance > 1.0, "{recipe}: hardly trained pictures are far from real ones: {distance}");
    }
}

/// Recipes of autoencoders from their training to the figures of what they make of pictures.
pub(super) fn rebuilt(kind: &str, recipes: &[&str]) {
    let m = made();
    for recipe in recipes {
        let run = same_after_a_kill(kind, recipe);
        let (vae, images, all, out) = (m.path(&run), m.path("images"), m.path(""), m.path(&format!("{run}-rebuilt")));
        ok("reconstruct", &[&["--vae-ckpt", &vae, "--pictures", &images, "--max-images", "4", "--output", &out, "--allow-read", &all]]);
        let result = result(&out);
        let psnr: Vec<f64> = result["figures"].as_array().unwrap().iter().map(|f| f["PSNR"].as_f64().unwrap()).collect();
        assert!(psnr.len() == 4 && psnr.iter().all(|p| (3.0..30.0).contains(p)), "{recipe}: hardly trained: {psnr:?}");
    }
}
