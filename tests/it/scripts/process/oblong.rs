//! Latents that are no squares, made by hand: denoisers train on them, are stopped and go on bit-equal, and draw pictures of their sides.

use crate::support::process::{Place, lathe, ok, refused, script};
use crate::support::{files, metrics, name, saved};
use lathe::torch::files::Npz;
use serde_json::Value;
use std::path::Path;

/// Latents of 4 x 18, whose 2 x 9 patches are no square, and of 8 x 18, whose 4 x 9 are as many as those of one; beside them features of a vision model,
/// and a VAE of factor 2.
const DATA: &str = r#"
fn main(cfg) {
    torch::manual_seed(5);
    for size in [[4, 18], [8, 18]] {
        let tokens = size[0] / 2 * 9;
        let hand = #{ name: "hand", model: "none", tokens: tokens, dim: 6, grid: [size[0] / 2, 9] };
        let w = data::latent_writer(`latents-${size[0]}`, #{ channels: 4, size: size, classes: ["a", "b"], features: [hand] });
        let labels = torch::arange(0, 24) % 2;
        w.push(#{ mean: torch::randn([24, 4] + size), std: torch::rand([24, 4] + size), labels: labels, features: [torch::randn([24, tokens, 6])] });
        w.finish();
    }
    models::vae(#{ ch: 8, ch_mult: [1, 2], num_res_blocks: 1, norm_groups: 4, z_channels: 4 }).save("vae.safetensors");
}
"#;

const SIT: &[&str] = &["--model-config.depth", "2", "--model-config.hidden", "32", "--model-config.heads", "2", "--model-config.patch", "2"];
const LDIT: &[&str] = &[
    "--model",
    "hustvl",
    "--model-config.depth",
    "2",
    "--model-config.hidden-size",
    "32",
    "--model-config.num-heads",
    "2",
    "--model-config.patch-size",
    "2",
    "--model-config.use-rope",
    "true",
];

fn place() -> Place {
    let place = Place::new(&[("data.rhai", DATA)]);
    ok(&mut place.command(&["run", "data.rhai", "--allow-write", "."]));
    place
}

/// A run on the latents of so many rows, to that step.
fn train(place: &Place, rows: usize, exp: &str, steps: &str, more: &[&str]) -> std::process::Command {
    let own = [
        "--data-dir",
        &place.at(&format!("latents-{rows}")),
        "--output-dir",
        &place.at("exps"),
        "--exp-name",
        exp,
        "--max-train-steps",
        steps,
        "--checkpointing-steps",
        "2",
        "--log-every",
        "1",
        "--batch-size",
        "4",
        "--encoder-depth",
        "1",
        "--enc-type",
        "hand",
    ];
    script("train_ldm", &[more, &own].concat())
}

/// Every file of weights and states of a run's fourth step, by name.
fn last(place: &Place, exp: &str) -> Vec<(String, Vec<u8>)> {
    let all = files(&place.path(&format!("exps/{exp}/checkpoints/0000004")));
    let mut all: Vec<_> =
        all.iter().filter(|f| f.extension().is_some_and(|x| x == "safetensors")).map(|f| (name(f), std::fs::read(f).unwrap())).collect();
    all.sort();
    all
}

#[test]
fn denoisers_of_oblong_latents_go_on_bit_equal_and_sample() {
    let place = place();
    for (kind, config, rows, own) in [
        ("sit", SIT, 4, &["--projector", "conv"][..]),
        ("sit-as-many", SIT, 8, &[]),
        ("ldit", LDIT, 4, &["--projector", "conv"]),
        ("ldit-as-many", LDIT, 8, &["--projector", "linear"]),
    ] {
        let flags = [config, own].concat();
        let (at_once, stopped) = (format!("{kind}-at-once"), format!("{kind}-stopped"));
        ok(&mut train(&place, rows, &at_once, "4", &flags));
        ok(&mut train(&place, rows, &stopped, "2", &flags));
        assert_eq!(saved(&place.path(&format!("exps/{stopped}"))), [2]);
        ok(&mut train(&place, rows, &stopped, "4", &flags));
        let log = metrics(&place.path(&format!("exps/{at_once}")));
        assert!(log.len() >= 4 && log.iter().take(4).all(|l| l["proj"].as_f64().is_some_and(f64::is_finite)), "{kind}: {log:?}");
        let (a, b) = (last(&place, &at_once), last(&place, &stopped));
        assert!(a.iter().any(|f| f.0 == "stats.safetensors"), "{kind}: the sides are kept: {:?}", a.iter().map(|f| &f.0).collect::<Vec<_>>());
        let differ: Vec<&String> = a.iter().zip(&b).filter(|(x, y)| x != y).map(|(x, _)| &x.0).collect();
        assert!(a.len() == b.len() && differ.is_empty(), "{kind}: {differ:?} differ");

        // The data are not needed for it.
        std::fs::rename(place.path(&format!("latents-{rows}")), place.path("away")).unwrap();
        let (run, out, vae, all) =
            (place.at(&format!("exps/{at_once}")), place.at(&format!("{kind}-pictures")), place.at("vae.safetensors"), place.at(""));
        let more = [
            "--vae-ckpt",
            &vae,
            "--vae-config.norm-groups",
            "4",
            "--allow-read",
            &all,
            "--num-fid-samples",
            "3",
            "--num-steps",
            "2",
            "--cfg-scale",
            "2",
        ];
        ok(&mut script("sample", &[&["--exp-path", &run, "--output", &out][..], &more].concat()));
        std::fs::rename(place.path("away"), place.path(&format!("latents-{rows}"))).unwrap();
        let images = Npz::open(Path::new(&format!("{out}.npz"))).unwrap().rows("arr_0").unwrap();
        assert_eq!(images.shape(), [3, 2 * rows as i64, 36, 3], "{kind}");
        let png = image::open(place.path(&format!("{kind}-pictures/000002.png"))).unwrap();
        assert_eq!((png.height(), png.width()), (2 * rows as u32, 36), "{kind}");
    }
    exported(&place);
}

/// What other programs get of such runs: nothing where their code has squares alone, else files that say what no tensor tells.
fn exported(place: &Place) {
    let export = |run: &str, to: &str, out: &str| lathe(place.folder(), &["export", &format!("exps/{run}"), out, "--to", to]);
    refused(&mut export("sit-at-once", "repae", "no"), &["REPA-E has square latents alone, and this denoiser those of 4 x 18"]);
    refused(&mut export("ldit-at-once", "lightningdit", "no"), &["LightningDiT's code has square latents alone"]);
    let said = ok(&mut export("sit-as-many-at-once", "safetensors-sharded", "out"));
    assert!(said.contains("latents are 8 x 18, which no tensor tells: `--model-config.input-size [8,18]`"), "{said}");
    let index: Value = serde_json::from_str(&place.read("out/model.safetensors.index.json")).unwrap();
    assert!(index["weight_map"]["pos_embed"].is_string());

    let (file, vae, out, all) = (place.at("out"), place.at("vae.safetensors"), place.at("of-files"), place.at(""));
    let own = ["--sit-ckpt", &file, "--vae-ckpt", &vae, "--vae-config.norm-groups", "4", "--output", &out, "--allow-read", &all];
    let more = ["--num-fid-samples", "2", "--num-steps", "2", "--mode", "ode", "--model-config.heads", "2"];
    // As many as those of a square, and its positions are none of a square.
    refused(&mut script("sample", &[&own[..], &more].concat()), &["those of 4 rows of 9 patches", "input_size: [8, 18]"]);
    ok(&mut script("sample", &[&own[..], &more, &["--model-config.input-size", "[8,18]"]].concat()));
    let images = Npz::open(Path::new(&format!("{out}.npz"))).unwrap().rows("arr_0").unwrap();
    assert_eq!(images.shape(), [2, 16, 36, 3]);
}
