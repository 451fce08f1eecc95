//! Where tests start processes: in the folders `process` of `tests/it` alone, so that `make quick` can leave them out; and in the folders
//! `alone`, whose tests it runs one after the other instead.

use crate::support::root;
use std::path::{Path, PathBuf};

/// What a line has that starts a process, or uses the helpers for it.
const TELLING: [&str; 4] = ["process::", "Command::", "on_terminal", "CARGO_BIN_EXE"];

/// The lines of a text that tell of processes. Comments may speak of them.
fn telling(text: &str) -> Vec<(usize, &str)> {
    let code = text.lines().enumerate().map(|(i, l)| (i + 1, l.split("//").next().unwrap_or_default()));
    code.filter(|(_, l)| TELLING.iter().any(|t| l.contains(t))).collect()
}

fn rust_files(folder: &str) -> Vec<PathBuf> {
    let all = walkdir::WalkDir::new(root().join(folder)).into_iter().map(|e| e.unwrap().into_path());
    all.filter(|p| p.extension().is_some_and(|e| e == "rs")).collect()
}

fn is_below(path: &Path, folder: &str) -> bool {
    path.iter().any(|part| part == folder)
}

#[test]
fn processes_are_started_in_their_folders_only() {
    let this = root().join("tests/it/house/processes.rs");
    let own = rust_files("tests/it")
        .into_iter()
        .filter(|p| !is_below(p, "process") && !["it/support.rs", "it/terminal.rs"].iter().any(|helper| p.ends_with(helper)) && *p != this);
    let unit = rust_files("src").into_iter().filter(|p| p.iter().any(|part| part.to_string_lossy().starts_with("tests")));
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for file in own.chain(unit) {
        seen += 1;
        let text = std::fs::read_to_string(&file).unwrap();
        wrong.extend(telling(&text).into_iter().map(|(n, line)| format!("{}:{n}: {}", file.display(), line.trim())));
        let asks = text.lines().any(|l| l.starts_with("use crate::support") && l.contains("alone"));
        if asks && !is_below(&file, "alone") {
            wrong.push(format!("{}: `alone` is for the folders of that name", file.display()));
        }
    }
    assert!(seen > 40, "the tests were found");
    assert!(wrong.is_empty(), "a test that starts processes belongs into a folder `process`:\n{}", wrong.join("\n"));
}

#[test]
fn every_file_of_a_folder_alone_needs_it() {
    let files: Vec<PathBuf> = rust_files("tests/it").into_iter().filter(|p| is_below(p, "alone")).collect();
    assert!(!files.is_empty());
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(!text.contains("#[test]") || text.contains(" alone("), "{} has no test that runs alone", file.display());
    }
}

#[test]
fn a_line_that_starts_a_process_is_found() {
    let text = "use std::path::Path;\n// Command::new is spoken of\nfn f() {\n    std::process::Command::new(\"ls\");\n}\n";
    assert_eq!(telling(text).iter().map(|(n, _)| *n).collect::<Vec<_>>(), [4]);
    assert_eq!(telling("let c = script(\"demo\", &[]);"), [], "the helpers must be imported, by a line that tells");
    assert_eq!(telling("use crate::support::process::script;").len(), 1);
}
