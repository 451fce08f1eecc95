//! docs/guide/recipes.md: its commands run as they stand, and every recipe and switch that it names makes a difference.

use crate::support::process::LATHE;
use crate::support::root;
use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

/// The text of every ```` ```sh ```` block, one after the other.
fn commands(page: &str) -> String {
    page.split("```sh\n").skip(1).filter_map(|rest| rest.split_once("```")).map(|(block, _)| block).collect()
}

/// The values that a run logged, step by step, without the clock.
fn metrics(run: &Path) -> Vec<BTreeMap<String, f64>> {
    let text = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let row = |line: &str| {
        let values: BTreeMap<String, serde_json::Value> = serde_json::from_str(line).unwrap();
        values.into_iter().filter(|(k, _)| k != "time").filter_map(|(k, v)| Some((k, v.as_f64()?))).collect()
    };
    text.lines().map(row).collect()
}

#[test]
fn the_page_s_commands_run_and_no_switch_is_dead() {
    let place = tempfile::tempdir().unwrap();
    for name in ["scripts", "stdlib", "tests"] {
        symlink(root().join(name), place.path().join(name)).unwrap();
    }
    let page = std::fs::read_to_string(root().join("docs/guide/recipes.md")).unwrap();
    let bin = Path::new(LATHE).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let out = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &commands(&page)])
        .current_dir(place.path())
        .env("PATH", path)
        .env_remove("LATHE_STDLIB")
        .output()
        .unwrap();
    assert!(out.status.success(), "{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));

    // Runs of one kind differ in a switch only, so two with the same numbers would mean that a switch does nothing.
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    let mut count = 0;
    for entry in std::fs::read_dir(place.path().join("exps/recipes")).unwrap() {
        let run = entry.unwrap().path();
        let name = run.file_name().unwrap().to_string_lossy().into_owned();
        if !run.join("metrics.jsonl").is_file() {
            continue;
        }
        let rows = metrics(&run);
        assert!(rows.len() >= 2 && rows.iter().all(|r| r["loss"].is_finite()), "{name}: {rows:?}");
        if let Some(other) = seen.insert(format!("{rows:?}"), name.clone()) {
            panic!("`{name}` and `{other}` have the same numbers: {rows:?}");
        }
        count += 1;
    }
    let named = page
        .lines()
        .filter(|l| ["tiny ", "train_sendvae ", "train_ldm ", "train_repae ", "train_rae "].iter().any(|kind| l.starts_with(kind)))
        .count();
    assert_eq!(count, named, "runs on disk, and commands of the page that make one");
}
