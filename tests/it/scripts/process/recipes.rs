//! docs/guide/recipes.md: its commands run as they stand, and every recipe and switch that it names makes a difference.

use crate::support::process::{LATHE, ok};
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

/// Runs commands in a folder, with the `lathe` under test.
fn bash(folder: &Path, commands: &str) -> String {
    let bin = Path::new(LATHE).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut c = Command::new("bash");
    c.args(["-euo", "pipefail", "-c", commands]).current_dir(folder).env("PATH", path).env_remove("LATHE_STDLIB");
    ok(&mut c)
}

/// A folder with the project's scripts.
fn project() -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    for name in ["scripts", "stdlib", "tests"] {
        symlink(root().join(name), place.path().join(name)).unwrap();
    }
    place
}

#[test]
fn the_page_s_commands_run_and_no_switch_is_dead() {
    let place = project();
    let page = std::fs::read_to_string(root().join("docs/guide/recipes.md")).unwrap();
    bash(place.path(), &commands(&page));

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

/// Does what a page says, block after block: writes the files whose names stand before them, applies differences, runs commands.
fn follow(page: &str, folder: &Path) -> String {
    let (mut said, mut before) = (String::new(), "");
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(language) = line.strip_prefix("```") else {
            before = if line.is_empty() { before } else { line };
            continue;
        };
        let block: String = lines.by_ref().take_while(|l| *l != "```").map(|l| format!("{l}\n")).collect();
        match language {
            "sh" => said += &bash(folder, &block),
            "diff" => {
                std::fs::write(folder.join("page.diff"), &block).unwrap();
                said += &bash(folder, "git apply page.diff");
            }
            _ => {
                let name = before.strip_prefix('`').and_then(|n| n.strip_suffix('`')).unwrap_or_else(|| panic!("no name before\n{block}"));
                std::fs::write(folder.join(name), &block).unwrap();
            }
        }
    }
    said
}

#[test]
fn a_paper_becomes_a_recipe_as_the_page_says() {
    let place = project();
    let page = std::fs::read_to_string(root().join("docs/guide/new-paper.md")).unwrap();
    let said = follow(&page, place.path());
    assert!(said.contains("3 passed, 0 failed"), "{said}");
    let [with, without] = ["disperse", "plain"].map(|name| metrics(&place.path().join("exps/paper").join(name)));
    // The term is there, does something, and changes nothing before its first step.
    assert!(with[0]["disperse"] < 0.0 && !without[0].contains_key("disperse"), "{:?} {:?}", with[0], without[0]);
    assert!((with[0]["denoise"] - without[0]["denoise"]).abs() < 1e-6 && with[39]["denoise"] != without[39]["denoise"]);
    // Four pictures that are far apart cost log(1 / 4).
    let mean = |rows: &[BTreeMap<String, f64>]| rows.iter().map(|r| r["disperse"]).sum::<f64>() / rows.len() as f64;
    let (first, last) = (mean(&with[..10]), mean(&with[30..40]));
    assert!(last < first - 0.3 && last > -(4_f64.ln()) - 1e-6, "{first} {last}");
}
