//! `scripts/probe_vae.rhai` on bad input: each is refused by name.

use crate::support::process::{ok, refused, script};
use crate::support::{TINY_VAE, avatars, files, name, path, pictures};
use lathe::models::{AutoencoderKl, VaeConfig};
use lathe::torch::bridge::manual_seed;
use std::path::{Path, PathBuf};

/// A tiny VAE in a file; `broken` has NaN where the latents come out.
fn vae(file: PathBuf, broken: bool) -> PathBuf {
    manual_seed(0).unwrap();
    let config = VaeConfig { ch: 8, ch_mult: vec![1, 2], num_res_blocks: 1, z_channels: 4, embed_dim: 4, norm_groups: 4, ..VaeConfig::default() };
    let module = AutoencoderKl::module("vae", config).unwrap();
    if broken {
        lathe::torch::no_grad(|| module.state()["quant_conv.bias"].fill_(f64::NAN)).unwrap();
    }
    lathe::torch::files::write_safetensors(&file, &module.state(), &Default::default()).unwrap();
    file
}

/// The rows of the pictures in `folder`, with the header.
fn rows(folder: &Path, keep: impl Fn(usize) -> bool) -> String {
    let all = std::fs::read_to_string(avatars().join("attributes.csv")).unwrap();
    let names = files(folder);
    let mut lines: Vec<&str> = vec![all.lines().next().unwrap()];
    for (i, file) in names.iter().enumerate() {
        let name = name(file);
        if keep(i) {
            lines.push(all.lines().find(|l| l.split(',').next().is_some_and(|k| k.ends_with(name.as_str()))).unwrap());
        }
    }
    lines.join("\n") + "\n"
}

#[test]
fn bad_latents_and_attributes_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let all = at("pictures");
    let bun = pictures(all.join("bun"), "bun", 0, 60);
    let (good, broken) = (vae(at("good.safetensors"), false), vae(at("broken.safetensors"), true));
    let out = at("out");
    let probe = |vae: &Path, attributes: &Path, more: &[&str], words: &[&str]| {
        let own = ["--vae", path(vae), "--pictures", path(&all), "--attributes", path(attributes), "--spread", "0", "--seeds", "1"];
        let args = [&own[..], &["--output", path(&out), "--vae-config.z-channels", "4"], TINY_VAE, more].concat();
        let mut command = script("probe_vae", &args);
        if words.is_empty() { ok(&mut command) } else { refused(&mut command, words) }
    };
    let written = |name: &str, text: &str| {
        std::fs::write(at(name), text).unwrap();
        at(name)
    };
    let whole = written("whole.csv", &rows(&bun, |_| true));
    assert!(probe(&good, &whole, &[], &[]).contains("F1 macro"));
    // A table that says more than is asked is no fault.
    assert!(probe(&good, &avatars().join("attributes.csv"), &["--max-images", "50"], &[]).contains("F1 macro"));

    probe(&broken, &whole, &[], &["the VAE gives NaN or infinite latents for pictures 0 to"]);
    probe(&good, &whole, &["--factors", "hair"], &["`hair` has one value", "in all 60 pictures"]);
    probe(&good, &whole, &["--factors", "beerd"], &["whole.csv", "`beerd`", "did you mean `beard`"]);
    let missing = written("missing.csv", &rows(&bun, |i| i % 20 != 7));
    probe(&good, &missing, &[], &["missing.csv", "no row for `bun/", "and 2 more pictures"]);
    let header = rows(&bun, |_| false);
    probe(&good, &written("header.csv", &header), &[], &["header.csv", "no row for `bun/", "and 59 more pictures"]);
    let twice = rows(&bun, |_| true) + rows(&bun, |i| i == 3).lines().nth(1).unwrap();
    probe(&good, &written("twice.csv", &twice), &[], &["twice.csv", "has two rows"]);
    probe(&good, &written("text.txt", "no list at all\n"), &[], &["text.txt", "neither attributes.csv nor a list"]);
    // A list of CelebA that ends early, and one with a value too few.
    let celeba = |count: usize| {
        let rows: Vec<String> = (0..60).map(|i| format!("{:06}.png 1 -1", i)).collect();
        format!("{count}\nSmiling Young\n{}\n", rows.join("\n"))
    };
    probe(&good, &written("list_attr_celeba.txt", &celeba(61)), &[], &["says 61 rows and holds 60"]);
    let short = celeba(60).replacen("000004.png 1 -1", "000004.png 1", 1);
    probe(&good, &written("list_attr_celeba.txt", &short), &[], &["`000004.png` has 1 values, there are 2 attributes"]);
    probe(&good, &at("nowhere.csv"), &[], &["nowhere.csv"]);
    // Weights of another architecture.
    let wider: Vec<&str> = TINY_VAE.iter().map(|word| if *word == "8" { "16" } else { word }).collect();
    let own = ["--vae", path(&good), "--pictures", path(&all), "--output", path(&out)];
    refused(&mut script("probe_vae", &[&own[..], &wider].concat()), &["[16, 3, 3, 3]", "[8, 3, 3, 3]"]);
}

#[test]
fn a_folder_larger_than_max_images_gives_as_many_of_each_class() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let all = at("pictures");
    pictures(all.join("bun"), "bun", 0, 50);
    pictures(all.join("spiky"), "spiky", 0, 30);
    let good = vae(at("good.safetensors"), false);
    let shared = ["--pictures", path(&all), "--max-images", "40", "--spread", "0", "--seeds", "1", "--vae-config.z-channels", "4"];
    let out = at("out");
    let said = ok(&mut script("probe_vae", &[&["--vae", path(&good), "--output", path(&out)], &shared[..], TINY_VAE].concat()));
    assert!(said.contains("40 of 80 pictures, drawn evenly over 2 classes by seed 0") && said.contains("classes      F1 macro"), "{said}");
    let said = ok(&mut script("compare_vaes", &[&["--vaes", path(&good), "--output", path(&out)], &shared[..], TINY_VAE].concat()));
    assert!(said.contains("drawn evenly over 2 classes"), "{said}");
    // The first are of one class: there is no class to probe.
    let first = ok(&mut script("probe_vae", &[&["--vae", path(&good), "--output", path(&out), "--pick", "first"], &shared[..], TINY_VAE].concat()));
    assert!(first.contains("the first 40 of 80 pictures") && !first.contains("classes      F1 macro"), "{first}");
}
