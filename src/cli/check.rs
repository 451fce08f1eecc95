//! `lathe check [PATH..]`: everything that can be known to be wrong before a script runs.

use super::wants_color;
use crate::error::{Diagnostic, Error, ErrorKind, Result};
use crate::script::{Engine, EngineOptions, Params, Permissions, on_big_stack};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Check scripts without running them: syntax, unknown functions, imports, settings.
#[derive(clap::Args)]
pub struct Args {
    /// Scripts, or folders that hold them. Default: the working directory.
    paths: Vec<PathBuf>,
}

/// Folders that hold no scripts of the user's.
const SKIPPED: &[&str] = &["target", "node_modules", "exps"];

/// Checks every script and prints all that is wrong, each fault once.
///
/// # Errors
/// `E0301` for a path that cannot be read, `E0503` when something is wrong with a script.
pub fn run(args: &Args) -> Result<()> {
    let here = [PathBuf::from(".")];
    let paths = if args.paths.is_empty() { &here[..] } else { &args.paths };
    let files = scripts(paths)?;
    if files.is_empty() {
        return Err(Error::usage("there is no .rhai file here"));
    }
    let faults = on_big_stack(|| check_all(&files))??;
    let plural = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let (files, errors) = (plural(files.len(), "script"), plural(faults.len(), "error"));
    for fault in &faults {
        eprintln!("{fault}\n");
    }
    if faults.is_empty() {
        eprintln!("checked {files}: all well");
        return Ok(());
    }
    Err(Error::script(Diagnostic::plain("E0503", format!("checked {files}: {errors}"))))
}

/// Each fault once, although a broken module is met by every script that imports it.
fn check_all(files: &[PathBuf]) -> Result<Vec<String>> {
    let engine = Engine::new(EngineOptions::default());
    let (mut seen, mut list) = (BTreeSet::new(), Vec::new());
    for file in files {
        crate::interrupt::check()?;
        // `params()` and constants do run.
        engine.set_permissions(Permissions::for_script(file).read_only());
        let Err(e) = engine.check(file).and_then(|()| Params::of(&engine).map(|_| ())) else { continue };
        let each: Vec<String> = match e.kind() {
            ErrorKind::Script(d) => {
                let first = Diagnostic { also: Vec::new(), ..(**d).clone() };
                std::iter::once(&first).chain(&d.also).map(|d| d.render(wants_color())).collect()
            }
            _ if e.is_interrupt() => return Err(e),
            _ => vec![e.context(file.display().to_string()).render(wants_color())],
        };
        list.extend(each.into_iter().filter(|text| seen.insert(text.clone())));
    }
    Ok(list)
}

pub(super) fn scripts(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = BTreeSet::new();
    for path in paths {
        if path.is_file() {
            files.insert(path.clone());
            continue;
        }
        let keep = |e: &walkdir::DirEntry| {
            let name = e.file_name().to_string_lossy();
            e.depth() == 0 || !(e.file_type().is_dir() && (name.starts_with('.') || SKIPPED.contains(&&*name)))
        };
        for entry in walkdir::WalkDir::new(path).into_iter().filter_entry(keep) {
            let entry = entry.map_err(|e| {
                let at = e.path().unwrap_or(path).to_owned();
                Error::io("read", at, e.into())
            })?;
            if entry.file_type().is_file() && entry.path().extension().is_some_and(|x| x == "rhai") {
                let path = entry.path();
                files.insert(path.strip_prefix(Path::new(".")).unwrap_or(path).to_owned());
            }
        }
    }
    Ok(files.into_iter().collect())
}
