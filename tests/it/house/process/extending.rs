//! docs/extending.md: every change in it applies to this tree, all of them together build, and the lines below each run.
//!
//! The copy is built with the dependencies of this very build, so that only the two crates of the project are compiled, without optimisation.

use crate::support::root;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A code block of the page: its language, its text, and its line.
struct Block {
    language: String,
    text: String,
    line: usize,
}

fn blocks(page: &str) -> Vec<Block> {
    let mut out: Vec<Block> = Vec::new();
    let mut is_open = false;
    for (i, line) in page.lines().enumerate() {
        match line.strip_prefix("```") {
            Some(_) if is_open => is_open = false,
            Some(language) => {
                is_open = true;
                out.push(Block { language: language.into(), text: String::new(), line: i + 2 });
            }
            None if is_open => writeln!(out.last_mut().unwrap().text, "{line}").unwrap(),
            None => {}
        }
    }
    out
}

/// Makes the change in a tree; the error says which part of it does not fit.
fn apply(tree: &Path, change: &Block) -> Result<(), String> {
    let mut file: Option<&str> = None;
    let (mut old, mut new, mut at) = (String::new(), String::new(), 0);
    let hunk = |file: Option<&str>, old: &mut String, new: &mut String, at: usize| -> Result<(), String> {
        let (Some(file), false) = (file, old.is_empty() && new.is_empty()) else { return Ok(()) };
        let path = tree.join(file);
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let count = if old.is_empty() { usize::from(text.is_empty()) } else { text.matches(old.as_str()).count() };
        if count != 1 {
            return Err(format!("docs/extending.md:{at}: these lines are in {file} {count} times, not once:\n{old}"));
        }
        std::fs::write(&path, text.replacen(old.as_str(), new, 1)).map_err(|e| e.to_string())?;
        (*old, *new) = (String::new(), String::new());
        Ok(())
    };
    for (i, line) in change.text.lines().enumerate() {
        if let Some(name) = line.strip_prefix("+++ b/") {
            file = Some(name);
        } else if line.starts_with("--- ") || line.starts_with("@@ ") {
            hunk(file, &mut old, &mut new, at)?;
            at = change.line + i;
        } else if let Some(added) = line.strip_prefix('+') {
            writeln!(new, "{added}").unwrap();
        } else if let Some(removed) = line.strip_prefix('-') {
            writeln!(old, "{removed}").unwrap();
        } else {
            let both = line.strip_prefix(' ').unwrap_or(line);
            writeln!(old, "{both}").unwrap();
            writeln!(new, "{both}").unwrap();
        }
    }
    hunk(file, &mut old, &mut new, at)
}

/// Copies a folder with all that is in it.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Makes `to` like `from`. Files that are alike keep their times, so that cargo builds only what has changed since the last run.
fn settle(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(to).unwrap() {
        let entry = entry.unwrap();
        if !from.join(entry.file_name()).exists() {
            if entry.path().is_dir() { std::fs::remove_dir_all(entry.path()) } else { std::fs::remove_file(entry.path()) }.unwrap();
        }
    }
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            settle(&entry.path(), &target);
        } else if std::fs::read(&target).ok() != Some(std::fs::read(entry.path()).unwrap()) {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn a_change_that_does_not_fit_is_named() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a.rs"), "one\ntwo\ntwo\n").unwrap();
    let change = |text: &str| apply(dir.path(), &blocks(&format!("\n```diff\n--- a/a.rs\n+++ b/a.rs\n@@ -1 +1 @@\n{text}\n```\n"))[0]);
    change(" one\n+more").unwrap();
    assert_eq!(std::fs::read_to_string(dir.path().join("a.rs")).unwrap(), "one\nmore\ntwo\ntwo\n");
    for (text, count) in [("-three", 0), ("-two", 2)] {
        let e = change(text).unwrap_err();
        assert!(e.starts_with(&format!("docs/extending.md:5: these lines are in a.rs {count} times")), "{e}");
    }
}

#[test]
fn every_change_of_the_page_applies_builds_and_runs() {
    let page = std::fs::read_to_string(root().join("docs/extending.md")).unwrap();
    let (changes, uses): (Vec<_>, Vec<_>) = blocks(&page).into_iter().partition(|b| b.language == "diff");
    assert!(changes.len() == 7 && uses.len() == 7, "a change and its use for each of seven things");

    // target/PROFILE/deps/NAME
    let exe = std::env::current_exe().unwrap();
    let profile = exe.ancestors().nth(2).unwrap();
    let target = profile.parent().unwrap();
    let profile = match profile.file_name().unwrap().to_str().unwrap() {
        "debug" => "dev",
        other => other,
    };
    let fresh = tempfile::tempdir_in(target).unwrap();
    for folder in ["src", "stdlib", "benches"] {
        copy(&root().join(folder), &fresh.path().join(folder));
    }
    for file in ["Cargo.toml", "Cargo.lock", "build.rs"] {
        std::fs::copy(root().join(file), fresh.path().join(file)).unwrap();
    }
    // Names of its own: `lathe` of this build is what other tests run, and of two packages of one name cargo takes the build script of the copy for that of
    // the project, whose changes it then does not see.
    for (file, before, after) in [
        ("Cargo.toml", "name = \"lathe\"\npath = \"src/main.rs\"", "name = \"extended\"\npath = \"src/main.rs\""),
        ("Cargo.toml", "[package]\nname = \"lathe\"", "[package]\nname = \"extended\""),
        ("Cargo.toml", "lathe-core = { path", "lathe-core = { package = \"extended-core\", path"),
        ("src/core/Cargo.toml", "[package]\nname = \"lathe-core\"", "[package]\nname = \"extended-core\""),
    ] {
        let path = fresh.path().join(file);
        let manifest = std::fs::read_to_string(&path).unwrap();
        assert_eq!(manifest.matches(before).count(), 1, "{file} says {before}");
        std::fs::write(path, manifest.replace(before, after)).unwrap();
    }
    let refused: Vec<String> = changes.iter().filter_map(|c| apply(fresh.path(), c).err()).collect();
    assert!(refused.is_empty(), "{}", refused.join("\n"));
    let script: String = uses.iter().map(|b| format!("// docs/extending.md:{}\n{{\n{}}}\n", b.line, b.text)).collect();
    std::fs::write(fresh.path().join("uses.rhai"), script).unwrap();
    let tree = target.join("extending");
    settle(fresh.path(), &tree);

    // The same profile, so that the dependencies are those of this build; but the crates themselves unoptimised.
    let mut cargo = Command::new(env!("CARGO"));
    // What cargo tells this test about its own package: some dependencies look at it, and would be built anew here and once more afterwards.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text == "OUT_DIR" || text.starts_with("CARGO_MANIFEST_") || text.starts_with("CARGO_PKG_") {
            cargo.env_remove(&name);
        }
    }
    let built = cargo
        .current_dir(&tree)
        .env("CARGO_TARGET_DIR", target)
        .args(["build", "--quiet", "--offline", "--bin", "extended", "--profile", profile])
        .args(["extended", "extended-core"].iter().flat_map(|name| ["--config".to_owned(), format!("profile.{profile}.package.{name}.opt-level=0")]))
        .arg("--message-format=json-render-diagnostics")
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let run = Command::new(executable(&built.stdout)).current_dir(&tree).args(["run", "uses.rhai"]).output().unwrap();
    assert!(run.status.success(), "{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
}

/// The binary that cargo says it made.
fn executable(messages: &[u8]) -> PathBuf {
    let messages = String::from_utf8_lossy(messages);
    let made = |line: &str| Some(serde_json::from_str::<serde_json::Value>(line).ok()?.get("executable")?.as_str()?.to_owned());
    messages.lines().filter_map(made).next_back().expect("cargo says what it built").into()
}
