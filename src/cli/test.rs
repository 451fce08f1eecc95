//! `lathe test [PATH..]`: runs the functions `test_*` of scripts and libraries.

use super::output::{error, print_json};
use super::paths::Programs;
use super::{check, wants_color};
use crate::error::{Diagnostic, Error, Result};
use crate::files;
use crate::script::units::libraries::Project;
use crate::script::{Engine, EngineOptions, Permissions, embedded_tests, on_big_stack, stdlib_folder};
use serde_json::json;
use std::cell::RefCell;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Instant;

/// Run tests: every `fn test_..()` without parameters in scripts and libraries.
///
/// A test fails when it throws, as `assert` and `assert_eq` do. It may read the project and write to `io::temp_dir()`.
#[derive(clap::Args)]
pub struct Args {
    /// Scripts, folders, or names of libraries; `std` is the standard library. Default: the working directory.
    paths: Vec<PathBuf>,
    /// Run only tests with this text in `FILE::NAME`.
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Print one JSON array, for programs.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    programs: Programs,
}

/// A script with tests.
enum Script {
    File(PathBuf),
    /// A test of the standard library that is only in the binary.
    Text(String, &'static str),
}

/// How a test ended. A script that does not load counts as a failed one without a name.
struct Outcome {
    file: String,
    name: String,
    line: usize,
    seconds: f64,
    error: Option<Error>,
    /// What it printed.
    output: String,
}

/// Runs the tests and prints a line for each; the failures follow on stderr.
///
/// # Errors
/// `E0505` when a test failed, `E0101` when there is none.
pub fn run(args: &Args) -> Result<()> {
    let scripts = scripts(&args.paths)?;
    let start = Instant::now();
    let (outcomes, skipped) = on_big_stack(|| run_all(args, &scripts))??;
    let failed = outcomes.iter().filter(|o| o.error.is_some()).count();
    if args.json {
        print_json(&outcomes.iter().map(as_json).collect::<Vec<_>>())?;
    } else {
        outcomes.iter().filter(|o| o.error.is_some()).for_each(explain);
    }
    if outcomes.is_empty() {
        let message = if skipped > 0 { format!("none of the {skipped} tests is called so") } else { "there is no test here".to_owned() };
        return Err(Error::usage(message).help("a test is a function `fn test_..()` without parameters in a .rhai file"));
    }
    let counts =
        format!("{} passed, {failed} failed{}", outcomes.len() - failed, if skipped > 0 { format!(", {skipped} left out") } else { String::new() });
    if failed > 0 {
        return Err(Error::script(Diagnostic::plain("E0505", counts)));
    }
    eprintln!("{counts} in {:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}

/// The scripts that have tests by the look of their text: the others need not be loaded.
fn scripts(paths: &[PathBuf]) -> Result<Vec<Script>> {
    let (mut folders, mut list) = (Vec::new(), Vec::new());
    for path in paths {
        match path.to_str() {
            Some(name) if !path.exists() => match library(name)? {
                Some(folder) => folders.push(folder),
                None if name == "std" => list.extend(embedded_tests().into_iter().map(|(name, text)| Script::Text(name, text))),
                None => folders.push(path.clone()),
            },
            _ => folders.push(path.clone()),
        }
    }
    if paths.is_empty() {
        folders.push(PathBuf::from("."));
    }
    for file in check::scripts(&folders)? {
        let text = files::read_text(&file)?;
        if text.split("fn ").skip(1).any(|rest| rest.trim_start().starts_with("test_")) {
            list.push(Script::File(file));
        }
    }
    Ok(list)
}

/// The folder of the standard library or of a library of the project around the working directory.
fn library(name: &str) -> Result<Option<PathBuf>> {
    if name == "std" {
        return Ok(stdlib_folder());
    }
    let Some(project) = Project::find([Path::new(".")])? else { return Ok(None) };
    Ok(project.libraries()?.get(name).map(|l| l.root.clone()))
}

fn run_all(args: &Args, scripts: &[Script]) -> Result<(Vec<Outcome>, usize)> {
    let (mut outcomes, mut skipped) = (Vec::new(), 0);
    for script in scripts {
        let done = run_script(args, script, &mut skipped, &mut |outcome| {
            if !args.json {
                let mark = if outcome.error.is_some() { "FAIL" } else { "ok" };
                put(&format!("{mark:4}  {}  {:.0} ms\n", title(&outcome), outcome.seconds * 1e3))?;
            }
            outcomes.push(outcome);
            Ok(())
        });
        done?;
    }
    Ok((outcomes, skipped))
}

/// A script's tests, one after the other, each with the same random numbers.
fn run_script(args: &Args, script: &Script, skipped: &mut usize, done: &mut dyn FnMut(Outcome) -> Result<()>) -> Result<()> {
    let printed = Rc::new(RefCell::new(String::new()));
    let sink = printed.clone();
    let print = Rc::new(move |text: &str| {
        let mut out = sink.borrow_mut();
        out.push_str(text);
        out.push('\n');
    });
    let (shown, place) = match script {
        Script::File(path) => (path.display().to_string(), path.as_path()),
        Script::Text(name, _) => (name.clone(), Path::new(".")),
    };
    let mut permissions = Permissions::for_script(place).read_only();
    args.programs.grant(&mut permissions);
    // An engine of its own: nothing of another script's tests is left in it.
    let engine = Engine::new(EngineOptions { permissions: Some(permissions), print: Some(print), ..EngineOptions::default() });
    let outcome = |name: &str, line: usize, start: Instant, error: Option<Error>| Outcome {
        file: shown.clone(),
        name: name.to_owned(),
        line,
        seconds: start.elapsed().as_secs_f64(),
        error,
        output: std::mem::take(&mut *printed.borrow_mut()),
    };
    let start = Instant::now();
    let loaded = match script {
        Script::File(path) => engine.load(path),
        Script::Text(name, text) => engine.load_text(name, text),
    };
    if let Err(e) = loaded {
        crate::interrupt::check()?;
        return done(outcome("", 1, start, Some(e)));
    }
    for (name, line) in engine.tests() {
        if args.filter.as_ref().is_some_and(|f| !format!("{shown}::{name}").contains(f.as_str())) {
            *skipped += 1;
            continue;
        }
        crate::interrupt::check()?;
        let start = Instant::now();
        let error = crate::torch::bridge::manual_seed(0).and_then(|()| engine.call(&name, vec![]).map(|_| ())).err();
        crate::interrupt::check()?;
        done(outcome(&name, line, start, error))?;
    }
    Ok(())
}

/// `tests/flow.rhai::test_linear`.
fn title(o: &Outcome) -> String {
    if o.name.is_empty() { format!("{} (does not load)", o.file) } else { format!("{}::{}", o.file, o.name) }
}

fn explain(o: &Outcome) {
    let Some(e) = &o.error else { return };
    eprintln!("\n{}", title(o));
    for line in o.output.lines() {
        eprintln!("  | {line}");
    }
    eprintln!("{}", e.render(wants_color()));
}

fn as_json(o: &Outcome) -> serde_json::Value {
    let error = o.error.as_ref().map(error);
    json!({ "file": o.file, "test": o.name, "line": o.line, "ok": o.error.is_none(), "seconds": o.seconds, "output": o.output, "error": error })
}

fn put(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|e| Error::io("write", "stdout", e))
}
