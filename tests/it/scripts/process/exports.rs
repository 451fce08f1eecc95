//! Runs exported for other programs: the files that their loaders name, with the weights of the run, and a card.

use super::chain::{Made, ldm, made, ok, words};
use crate::support::process;
use lathe::nn::Weights;
use lathe::torch::Tensor;
use lathe::torch::files::read_safetensors;
use serde_json::Value;
use std::path::Path;
use std::sync::OnceLock;

/// A SiT of two steps on the latents that all tests of the chain share.
fn trained() -> &'static Made {
    static TRAINED: OnceLock<()> = OnceLock::new();
    TRAINED.get_or_init(|| {
        ok("train_ldm", &[&words(&ldm("exported", &[])), &["--max-train-steps", "2", "--checkpointing-steps", "2"]]);
    });
    made()
}

fn export(m: &Made, run: &str, out: &str, more: &[&str]) -> std::process::Command {
    process::lathe(m.0.folder(), &[&["export", run, out], more].concat())
}

/// A part of a file of weights.
fn part(file: &Path, key: Option<&str>) -> Vec<(String, Tensor)> {
    Weights::open(file).unwrap().part_where(key, "weights", |_| true).unwrap().read().unwrap().into_iter().collect()
}

/// That a part of a file is what a checkpoint has.
fn same(file: &Path, key: Option<&str>, checkpoint: &Path) {
    let (got, want) = (part(file, key), read_safetensors(checkpoint).unwrap().0);
    assert!(got.len() >= 20 && got.len() == want.len(), "{} tensors of {}", got.len(), want.len());
    for (name, t) in got {
        assert_eq!(t.to_vec_f64().unwrap(), want[&name].to_vec_f64().unwrap(), "{name}");
    }
}

#[test]
fn a_run_is_exported_as_repae_takes_it() {
    let m = trained();
    let text = process::ok(&mut export(m, "exported", "repae", &["--to", "repae", "--license", "mit"]));
    assert!(text.contains("checkpoints/0000002.pt: model, ema, steps") && text.contains("has other sizes"), "{text}");
    let (out, run) = (m.0.path("repae"), m.0.path("exported/checkpoints/0000002"));
    same(&out.join("checkpoints/0000002.pt"), Some("ema"), &run.join("ema.safetensors"));
    same(&out.join("checkpoints/0000002.pt"), Some("model"), &run.join("sit.safetensors"));
    same(&out.join("vae.pt"), None, &m.0.path("sendvae/checkpoints/0000003/vae.safetensors"));
    let args: Value = serde_json::from_str(&m.0.read("repae/args.json")).unwrap();
    // The side of the latents times that of a pixel of f8d4, as generate.py divides it.
    assert_eq!((&args["vae"], &args["resolution"], &args["num_classes"]), (&"f8d4".into(), &128.into(), &4.into()));
    assert_eq!((&args["enc_type"], &args["cfg_prob"]), (&"efficientnet-lite0".into(), &0.1.into()));
    // What generate.py makes of vae_ckpt.
    let stats = args["vae_ckpt"].as_str().unwrap().replace(".pt", "-latents-stats.pt");
    let stats = part(Path::new(&stats), None);
    let bn = read_safetensors(&run.join("ema.safetensors")).unwrap().0;
    for (name, t) in stats {
        let mean = bn["bn.running_mean"].to_vec_f64().unwrap();
        let scale: Vec<f64> = bn["bn.running_var"].to_vec_f64().unwrap().iter().map(|v| 1.0 / v.sqrt()).collect();
        assert_eq!(t.shape(), [1, 4, 1, 1]);
        let want = if name == "latents_scale" { scale } else { mean };
        t.to_vec_f64().unwrap().iter().zip(want).for_each(|(a, b)| assert!((a - b).abs() <= 1e-6 * b.abs(), "{name}: {a} {b}"));
    }
    let card = m.0.read("repae/README.md");
    assert!(card.starts_with("---\nlicense: mit\n") && card.contains("--exp-path exported --train-steps 2"), "{card}");
    assert!(card.contains("latents `latents`") && card.contains("max_train_steps = 2") && card.contains("| loss | "), "{card}");
    assert!(!card.contains(&m.path("")), "no folder of this machine: {card}");
    process::refused(&mut export(m, "exported", "no/such/out", &["--to", "repae"]), &["no folder `no/such`", "mkdir -p no/such"]);
    // What cannot be written is called as it would have been called.
    let mut limited = std::process::Command::new("bash");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 1; exec \"$@\"", "-", process::LATHE, "export", "exported", "full", "--to", "safetensors-sharded"]);
    let e = process::refused(limited.current_dir(m.0.folder()), &["E0301", "`full/"]);
    assert!(!e.contains(".tmp-"), "{e}");
    let again = process::refused(&mut export(m, "exported", "repae", &["--to", "repae"]), &["`repae` is there already"]);
    assert!(!again.contains("panicked"), "{again}");
}

#[test]
fn a_run_is_exported_and_pushed_by_one_command() {
    let m = trained();
    let hub = crate::fetch::hub::Hub::new();
    let run = m.path("exported");
    let push = |more: &[&str]| {
        let args = [&["push", &run, "hf://me/run", "--to", "repae", "--license", "mit", "--create"], more].concat();
        let mut c = crate::fetch::process::lathe(&m.0, &hub, &args);
        c.env("HF_TOKEN", crate::fetch::uploads::TOKEN);
        c
    };
    let list = process::ok(&mut push(&["--dry-run"]));
    assert!(list.contains("checkpoints/0000002.pt (") && list.contains("README.md (") && hub.log().is_empty(), "{list}");
    let said = process::ok(&mut push(&[]));
    let last = hub.uploads(|u| u.last("me/run", "main"));
    assert!(last.summary.contains("`exported` for repae") && said.contains(&last.id), "{said} {last:?}", last = last.summary);
    let file = m.0.path("pushed.pt");
    std::fs::write(&file, &last.files["checkpoints/0000002.pt"]).unwrap();
    same(&file, Some("ema"), &m.0.path("exported/checkpoints/0000002/ema.safetensors"));
    assert!(String::from_utf8_lossy(&last.files["README.md"]).starts_with("---\nlicense: mit\n"));
    // Of the folder that was made for it nothing stays; those of other tests, which write beside it, go in a moment.
    let is_left = || crate::support::files(m.0.folder()).iter().any(|p| crate::support::name(p).starts_with(".tmp-"));
    let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while is_left() {
        assert!(std::time::Instant::now() < until, "{:?}", crate::support::files(m.0.folder()));
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert!(!String::from_utf8_lossy(&last.files["args.json"]).contains(".tmp-"));
}

#[test]
fn a_network_of_lightningdit_is_exported_with_the_latents_mean_and_std() {
    let m = trained();
    let small = ["--model", "hustvl", "--model-config.hidden-size", "32", "--model-config.num-heads", "2", "--proj-coeff", "0"];
    let own = ["--model-config.depth", "2", "--model-config.patch-size", "2", "--max-train-steps", "1", "--checkpointing-steps", "1"];
    let (latents, all, vae) = (m.path("latents"), m.path(""), m.path("sendvae"));
    let data = ["--data-dir", &latents, "--output-dir", &all, "--exp-name", "hustvl", "--vae-ckpt", &vae, "--batch-size", "8"];
    ok("train_ldm", &[&data, &small, &own]);
    process::ok(&mut export(m, "hustvl", "ldit", &["--to", "lightningdit"]));
    same(&m.0.path("ldit/0000001.pt"), Some("ema"), &m.0.path("hustvl/checkpoints/0000001/ema.safetensors"));
    let kept = read_safetensors(&m.0.path("hustvl/checkpoints/0000001/stats.safetensors")).unwrap().0;
    let stats = part(&m.0.path("ldit/latents_stats.pt"), None);
    for (name, t) in &stats {
        let want: Vec<f64> = match name.as_str() {
            "mean" => kept["bias"].to_vec_f64().unwrap(),
            _ => kept["scale"].to_vec_f64().unwrap().iter().map(|s| 1.0 / s).collect(),
        };
        t.to_vec_f64().unwrap().iter().zip(want).for_each(|(a, b)| assert!((a - b).abs() <= 1e-6 * b.abs(), "{name}: {a} {b}"));
    }
    assert_eq!(stats.len(), 2);
}

#[test]
fn a_vae_is_exported_for_diffusers_and_a_denoiser_in_shards() {
    let m = trained();
    process::ok(&mut export(m, "sendvae", "hf", &["--to", "diffusers"]));
    let back = process::ok(&mut process::lathe(m.0.folder(), &["convert", "hf", "back.safetensors", "--to", "ldm"]));
    assert!(back.contains("4 latent channels"), "{back}");
    same(&m.0.path("back.safetensors"), None, &m.0.path("sendvae/checkpoints/0000003/vae.safetensors"));
    let e = process::refused(&mut export(m, "exported", "no", &["--to", "diffusers"]), &["holds no VAE"]);
    assert!(e.contains("safetensors-sharded") && !m.0.path("no").exists(), "{e}");
    let e = process::refused(&mut export(m, "exported", "no", &["--to", "lightningdit"]), &["no such form"]);
    assert!(!m.0.path("no").exists(), "{e}");
    process::ok(&mut export(m, "exported", "shards", &["--to", "safetensors-sharded", "--shard-size", "40KB", "--step", "2"]));
    assert!(crate::support::files(&m.0.path("shards")).len() > 5, "several files, an index and a card");
    same(&m.0.path("shards/model.safetensors.index.json"), None, &m.0.path("exported/checkpoints/0000002/ema.safetensors"));
    let e = process::refused(&mut export(m, "exported", "no", &["--to", "repae", "--step", "7"]), &["no checkpoint of step 7"]);
    assert!(e.contains("it has: 2"), "{e}");
}
