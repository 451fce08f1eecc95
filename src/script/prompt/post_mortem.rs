//! `:debug`: the variables where a step or a line failed.
//!
//! Rhai forgets variables when an error leaves their function, and keeping them at every statement would slow every script down. So what
//! failed is run once more up to the error, on an engine that looks at the statements that the error names. What a run tracks, the random
//! numbers and the prompt's variables are put back afterwards; what a line of a prompt does in place is done twice.

use super::display;
use super::evaluation::{self, Limit};
use super::session::Session;
use super::twin::Twin;
use super::watched::{Frame, watching};
use crate::error::{Diagnostic, Error, Label, Result};
use crate::script::training::run::Run;
use crate::script::training::steps::FailedStep;
use crate::script::units::at::At;
use crate::train::rng;
use rhai::{AST, ASTNode, Dynamic, Map, Stmt};
use std::time::{Duration, Instant};

/// How long the second run may take.
const TIME: Duration = Duration::from_secs(60);
/// How many functions are shown, the innermost first.
const FRAMES: usize = 6;

/// The variables where the step of a run failed that waits to be tried again.
///
/// # Errors
/// When no step waits, or the second run does not fail.
pub(super) fn step(at: At, session: &mut Session, run: &Run) -> Result<String> {
    let Some(failed) = at.host.get::<FailedStep>() else {
        return Err(Error::usage("no step has failed and waits")
            .help("under `--watch` a failed step waits for the next save: `:debug` then shows its variables"));
    };
    let twin = at.host.get::<Twin>().ok_or_else(|| Error::usage("this program has no prompt"))?;
    let frames = watched(at, session, None, &failed.error);
    let again = || {
        run.run().unchanged(|| {
            rng::apart(|| {
                let call = || at.program.call(twin.debugger(), None, &failed.unit, &failed.name, failed.args.clone());
                Ok(under(frames, || call().map(drop)))
            })
        })
    };
    let (frames, fails) = again()?;
    shown(at, session, &failed.error, frames, fails)
}

/// The variables where the last line of a prompt failed.
///
/// # Errors
/// When none has failed, or the second run does not fail.
pub(super) fn line(at: At, session: &mut Session) -> Result<String> {
    let Some((ast, error)) = session.failed.clone() else {
        return Err(Error::usage("no line has failed").help("`:debug` shows the variables where the last error arose"));
    };
    let twin = at.host.get::<Twin>().ok_or_else(|| Error::usage("this program has no prompt"))?;
    let frames = watched(at, session, Some(&ast), &error);
    let mut scope = session.scope.clone();
    let (frames, fails) = rng::apart(|| {
        Ok(under(frames, || {
            evaluation::set_variables(session.variables().map(|(n, v)| (n.to_owned(), v.clone())).collect());
            ast.statements().iter().filter(|s| !matches!(s, Stmt::Import(..))).try_for_each(|statement| {
                let one = session.statement(statement);
                twin.debugger().eval_ast_with_scope::<Dynamic>(&mut scope, &one).map(drop)
            })
        }))
    })?;
    shown(at, session, &error, frames, fails)
}

/// Runs what failed once more; the places with their variables, and whether it failed again.
fn under(frames: Vec<Frame>, f: impl FnOnce() -> std::result::Result<(), Box<rhai::EvalAltResult>>) -> (Vec<Frame>, bool) {
    let limit = Limit { deadline: Some(Instant::now() + TIME), on_interrupt: true, ..Limit::default() };
    let line = crate::interrupt::line();
    let ((result, frames), _) = evaluation::captured(|| watching(frames, || evaluation::under(limit, f)));
    drop(line);
    (frames, result.is_err())
}

/// The places that an error names, with the statements that hold them.
fn watched(at: At, session: &Session, typed: Option<&AST>, error: &Diagnostic) -> Vec<Frame> {
    let current = at.program.current();
    let one = |label: &Label| {
        let unit = current.units.values().find(|u| u.shown == label.file);
        let (id, starts) = match unit {
            Some(unit) => (unit.id.clone(), starts(&unit.ast)),
            None if label.file == session.id => {
                let mut all = starts(&session.lib);
                all.extend(typed.map(starts).unwrap_or_default());
                (session.id.clone(), all)
            }
            None => return None,
        };
        let start = starts.into_iter().filter(|p| *p <= (label.line, label.column)).max().map_or(label.line, |(line, _)| line);
        Some(Frame { label: label.clone(), unit: id, lines: start..=label.line, variables: None })
    };
    error.labels.iter().filter_map(one).take(FRAMES).collect()
}

/// Where the statements of a text begin.
fn starts(ast: &AST) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    ast.walk(&mut |path: &[ASTNode]| {
        if let Some(ASTNode::Stmt(statement)) = path.last() {
            let at = statement.position();
            found.extend(at.line().zip(at.position()));
        }
        true
    });
    found
}

fn shown(at: At, session: &mut Session, error: &Diagnostic, frames: Vec<Frame>, fails: bool) -> Result<String> {
    if !fails {
        return Err(Error::run("run once more, it did not fail").help("what it depends on has changed since: there are no variables to show"));
    }
    let mut out = vec![error.message.clone()];
    let mut innermost = None;
    let mut met: Vec<(String, usize)> = Vec::new();
    for frame in frames {
        let Some(variables) = frame.variables.filter(|_| !met.contains(&(frame.unit.clone(), *frame.lines.end()))) else { continue };
        met.push((frame.unit.clone(), *frame.lines.end()));
        out.push(format!("{}:{}", frame.label.file, frame.label.line));
        let mut map = Map::new();
        // rhai begins with the newest, which hides older ones of its name.
        for (name, value) in variables {
            map.entry(name.as_str().into()).or_insert(value);
        }
        if map.is_empty() {
            out.push("  no variables".into());
        }
        out.extend(map.iter().map(|(name, value)| format!("  {name} = {}", display::one_line(at, value))));
        innermost.get_or_insert(map);
    }
    match innermost {
        Some(map) => {
            session.set("locals", map.into());
            out.push("`locals` has the variables of the first: `locals.x`".into());
        }
        None => out.push("the error names no place whose variables could be kept".into()),
    }
    Ok(out.join("\n"))
}
