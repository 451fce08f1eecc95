//! What is made before and after a training by several ranks is what one process makes.

use crate::support::process::{Place, ok, parts, script};
use crate::support::{files, name, path, pictures};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// The bytes of a folder's files, by name.
fn bytes(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    files(folder).iter().filter(|p| p.is_file()).map(|p| (name(p), std::fs::read(p).unwrap())).collect()
}

const PREPROCESS: &str = r#"
fn params() { #{ out: "", strict: false } }
fn main(cfg) { data::preprocess("pictures", cfg.out, #{ resolution: 32, shard_size: 7, strict: cfg.strict }); }
"#;

#[test]
fn shards_are_the_same_bytes_for_any_number_of_ranks() {
    let place = Place::new(&[("p.rhai", PREPROCESS)]);
    pictures(place.path("pictures/a"), "bun", 0, 20);
    pictures(place.path("pictures/b"), "bun", 20, 20);
    std::fs::write(place.path("pictures/b/zz.png"), "no picture").unwrap();
    let made = |ranks: &str, out: &str, more: &[&str]| {
        let args = [&["run", "--nproc", ranks, "p.rhai", "--allow-write", ".", "--out", out], more].concat();
        parts(place.command(&args).output().unwrap())
    };
    let whole = |ranks: &str, out: &str| {
        let (code, _, said) = made(ranks, out, &[]);
        assert!(code == 0 && said.matches("skipped b/zz.png").count() == 1, "{said}");
        bytes(&place.path(out))
    };
    let one = whole("1", "one");
    assert!(one.len() == 8 && whole("2", "two") == one);
    // Three ranks fail in their second turn; two go on from the first.
    let (code, _, said) = made("3", "begun", &["--strict"]);
    assert!(code != 0 && said.contains("zz.png"), "{said}");
    assert!(place.path("begun/dataset.partial.json").is_file());
    let (code, _, said) = made("2", "begun", &[]);
    assert!(code == 0 && said.contains("3 of 6 shards are there"), "{said}");
    assert!(bytes(&place.path("begun")) == one);
}

#[test]
fn figures_are_the_same_for_any_number_of_ranks() {
    let dir = tempfile::tempdir().unwrap();
    let [a, b] = [("a", 0), ("b", 21)].map(|(name, skip)| pictures(dir.path().join(name), "bun", skip, 21));
    let judged = |ranks: &str, task: &[&str]| {
        let out = dir.path().join(format!("{ranks}-{}", task.len()));
        let inside = path(dir.path());
        let flags =
            ["--samples", path(&a), "--reference", path(&b), "--output", path(&out), "--batch", "4", "--allow-read", inside, "--allow-write", inside];
        let of_net = ["--extractor", "mae-vit-b", "--enc-config.pretrained", "false", "--enc-config.depth", "1", "--enc-config.resolution", "32"];
        ok(&mut script("evaluate", &[&["--nproc", ranks], &flags[..], &of_net[..], task].concat()));
        let mut result: Value = serde_json::from_str(&std::fs::read_to_string(out.join("result.json")).unwrap()).unwrap();
        let result = result.as_object_mut().unwrap();
        result.remove("seconds");
        result.remove("settings");
        let features = bytes(&out.join("samples-mae-vit-b"));
        (result.clone(), features)
    };
    for task in [&[][..], &["--task", "reconstruction"]] {
        let one = judged("1", task);
        assert!(one.0["figures"].as_array().is_some_and(|f| f.len() > 1) && one.1.len() == 3);
        for ranks in ["2", "3"] {
            assert!(judged(ranks, task) == one, "{ranks} ranks, {task:?}");
        }
    }
}
