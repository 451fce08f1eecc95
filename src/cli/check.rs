//! `lathe check [PATH..]`: everything that can be known to be wrong before a script runs.

use super::output::{fault, print_json};
use super::paths::Programs;
use super::wants_color;
use crate::error::{Diagnostic, Error, Result};
use crate::script::{Engine, EngineOptions, Limits, Permissions, on_big_stack};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

/// Check scripts without running them: syntax, unknown functions, imports, settings.
#[derive(clap::Args)]
#[command(
    after_help = "With --json: an array with one object for each fault. The fields are stable; `file` is always there, what is not known is null.
  file      the script as it was given, or `std/flow` for a module built in
  line      from 1
  column    from 1, in characters
  end       the column after the last one, on the same line
  severity  `error`, or `warning` for what is allowed and hardly ever meant
  code      such as `E0503`: the same as in the text
  message   what is wrong
  help      what to type instead
  replacement  `old`, a slip at that place or shortly behind it, and `new`, the name that was meant"
)]
pub struct Args {
    /// Scripts, or folders that hold them. Default: scripts and stdlib, or the working directory where there are none.
    paths: Vec<PathBuf>,
    /// The faults as a JSON array on stdout, for editors and other programs.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    programs: Programs,
}

/// Folders that hold no scripts of the user's.
const SKIPPED: &[&str] = &["target", "node_modules", "exps"];
/// Folders that are checked where nothing is named.
const DEFAULT_PATHS: &[&str] = &["scripts", "stdlib"];
/// More than any `params` and any constant needs: one without an end must not hang the check.
const LIMITS: Limits =
    Limits { operations: Some(50_000_000), time: Some(Duration::from_secs(20)), call_depth: None, string_bytes: None, elements: None };

/// One fault: what it is, and the script in which it was met.
struct Fault {
    diagnostic: Diagnostic,
    met_in: PathBuf,
}

/// Checks every script and prints all that is wrong, each fault once.
///
/// # Errors
/// `E0301` for a path that cannot be read, `E0503` when something is wrong with a script.
pub fn run(args: &Args) -> Result<()> {
    let files = chosen(&args.paths)?;
    let faults = on_big_stack(|| check_all(&files, &args.programs))??;
    if args.json {
        print_json(&faults.iter().map(|f| fault(&f.diagnostic, Some(&f.met_in))).collect::<Vec<_>>())?;
    } else {
        faults.iter().for_each(|f| eprintln!("{}\n", f.diagnostic.render(wants_color())));
    }
    let plural = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let warnings = faults.iter().filter(|f| f.diagnostic.is_warning).count();
    let (files, errors) = (plural(files.len(), "script"), plural(faults.len() - warnings, "error"));
    let doubts = if warnings == 0 { String::new() } else { format!(", {}", plural(warnings, "warning")) };
    if warnings == faults.len() {
        if !args.json {
            eprintln!("checked {files}: {}", if warnings == 0 { "all well" } else { &doubts[2..] });
        }
        return Ok(());
    }
    let errors = format!("{errors}{doubts}");
    Err(Error::script(Diagnostic::plain("E0503", format!("checked {files}: {errors}"))))
}

/// Each fault once, although a broken module is met by every script that imports it.
fn check_all(files: &[PathBuf], programs: &Programs) -> Result<Vec<Fault>> {
    // What `params` prints is no result of the check.
    let engine = Engine::new(EngineOptions { limits: LIMITS, print: Some(Rc::new(|text: &str| eprintln!("{text}"))), ..EngineOptions::default() });
    let (mut seen, mut list) = (BTreeSet::new(), Vec::new());
    for file in files {
        crate::interrupt::check()?;
        // `params()` and constants do run.
        let mut permissions = Permissions::for_script(file).read_only();
        programs.grant(&mut permissions);
        engine.set_permissions(permissions);
        let new = engine.faults(file)?.into_iter().filter(|d| seen.insert(d.render(false)));
        list.extend(new.map(|diagnostic| Fault { diagnostic, met_in: file.clone() }));
    }
    Ok(list)
}

/// The scripts of the paths that were given; of the usual folders, or of the working directory, where none were.
///
/// # Errors
/// `E0301` for a path that cannot be read, `E0101` where there is no script.
pub(super) fn chosen(given: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let usual: Vec<PathBuf> = DEFAULT_PATHS.iter().map(PathBuf::from).filter(|p| p.is_dir()).collect();
    let here = [PathBuf::from(".")];
    let paths: &[PathBuf] = match (given.is_empty(), usual.is_empty()) {
        (false, _) => given,
        (true, false) => &usual,
        (true, true) => &here,
    };
    let files = scripts(paths)?;
    if files.is_empty() { Err(Error::usage("there is no .rhai file here")) } else { Ok(files) }
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
            // Declarations for editors are not scripts.
            let name = entry.file_name().to_string_lossy();
            if entry.file_type().is_file() && name.ends_with(".rhai") && !name.ends_with(".d.rhai") {
                let path = entry.path();
                files.insert(path.strip_prefix(Path::new(".")).unwrap_or(path).to_owned());
            }
        }
    }
    Ok(files.into_iter().collect())
}
