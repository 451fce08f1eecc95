//! Which settings a script reads: `cfg.lerning_rate` is known to be wrong before anything runs.
//!
//! Followed from `main(cfg)` into the functions that are handed `cfg` as it is, the script's own and those of the modules that it imports.
//! Where a function changes the map as a whole, or asks whether it has a name, nothing is said.

use super::params::Params;
use super::parse::normal;
use crate::error::{Diagnostic, did_you_mean};
use crate::script::lang::codes::LINT;
use crate::script::units::program::Program;
use crate::script::units::unit::{Unit, alone, imports};
use rhai::{AST, ASTNode, Expr, FnCallExpr, Position, Stmt};
use std::collections::BTreeSet;
use std::rc::Rc;

/// Settings that `lathe run` adds to every script's own.
const ALWAYS: &[&str] = &["device", "dtype"];

/// A setting that is read: its name, with dots for maps in maps, and where.
struct Read {
    path: Vec<String>,
    at: Position,
}

/// A function that gets the map: the module in front of it, if any, its name, number of parameters, and which of them.
type Handed = (Option<String>, String, usize, usize);

/// What is wrong with the settings that a script and the modules under it read.
pub(super) fn check(program: &Program, entry: &Rc<Unit>, params: &Params) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    let mut open = vec![(entry.clone(), "main".to_owned(), 1_usize, 0_usize, BTreeSet::new())];
    while let Some((unit, name, arity, index, known)) = open.pop() {
        if !seen.insert((unit.id.clone(), name.clone(), arity, index, known.clone())) {
            continue;
        }
        let function = unit.ast.iter_functions().find(|f| f.name == name && f.params.len() == arity);
        let Some(variable) = function.and_then(|f| f.params.get(index).map(|p| (*p).to_owned())) else { continue };
        let body = alone(&unit.ast, &name, arity);
        let Some(uses) = Uses::of(&body, &variable) else { continue };
        // What was assigned or asked for before the map was handed on may be there.
        let named: BTreeSet<String> = known.union(&uses.named).cloned().collect();
        for (module, name, arity, index) in uses.handed_to {
            let unit = module.map_or_else(|| Some(unit.clone()), |alias| imported(program, &unit, &alias));
            open.extend(unit.map(|unit| (unit, name, arity, index, named.clone())));
        }
        for read in uses.reads.iter().filter(|r| !named.contains(&r.path[0])) {
            if let Some(unknown) = unknown(params, &read.path) {
                let labels = program.sources.label(&unit.tag, read.at, "").into_iter().collect();
                found.push(Diagnostic { labels, ..unknown });
            }
        }
    }
    found.sort_by_key(|d| d.labels.first().map(|l| (l.file.clone(), l.line, l.column)));
    found
}

/// The unit that a unit imports under that name.
fn imported(program: &Program, unit: &Unit, alias: &str) -> Option<Rc<Unit>> {
    let path = imports(&unit.ast).into_iter().find(|i| i.alias == alias)?.path?;
    program.unit(unit.imports.get(&path)?)
}

/// The diagnostic for a setting that does not exist.
fn unknown(params: &Params, path: &[String]) -> Option<Diagnostic> {
    let mut prefix = String::new();
    for part in path {
        let full = format!("{prefix}{part}");
        if params.get(&full).is_some() || (prefix.is_empty() && ALWAYS.contains(&part.as_str())) {
            return None;
        }
        let inside = format!("{full}.");
        if !params.iter().any(|s| s.name.starts_with(&inside)) {
            let known = params.iter().filter_map(|s| s.name.strip_prefix(&prefix).map(|n| n.split('.').next().unwrap_or(n).to_owned()));
            let known: Vec<String> = known.chain(ALWAYS.iter().filter(|_| prefix.is_empty()).map(|a| (*a).to_owned())).collect();
            let near = did_you_mean(part, known.iter().map(String::as_str));
            let help = format!("`fn params()` declares the settings; add `{part}` there");
            return Some(Diagnostic { help: Some(help), ..Diagnostic::plain(LINT, format!("the script has no setting `{full}`{near}")) });
        }
        prefix = inside;
    }
    None
}

/// How a function uses the map.
#[derive(Default)]
struct Uses {
    reads: Vec<Read>,
    /// Functions that get the map itself.
    handed_to: Vec<Handed>,
    /// Names that are assigned, or occur as strings, as in `"name" in cfg`.
    named: BTreeSet<String>,
    is_changed: bool,
}

impl Uses {
    /// `None` when the map is changed as a whole or its name means something else as well.
    fn of(body: &AST, variable: &str) -> Option<Uses> {
        let mut uses = Uses::default();
        let is_it = |e: &Expr| matches!(e, Expr::Variable(x, ..) if x.2.is_empty() && x.1 == variable);
        body.walk(&mut |path: &[ASTNode]| {
            match path.last() {
                Some(ASTNode::Expr(Expr::Dot(x, flags, _))) if is_it(&x.lhs) && flags.is_empty() => uses.dot(&x.rhs),
                Some(ASTNode::Expr(Expr::StringConstant(text, _))) => {
                    uses.named.insert(normal(text));
                }
                Some(ASTNode::Expr(Expr::FnCall(call, _)) | ASTNode::Stmt(Stmt::FnCall(call, _))) if call.namespace.path.len() < 2 => {
                    let handed = call.args.iter().enumerate().filter(|(_, a)| is_it(a));
                    uses.handed_to.extend(handed.map(|(i, _)| (module(call), call.name.to_string(), call.args.len(), i)));
                }
                Some(ASTNode::Stmt(Stmt::Var(x, ..))) if x.0.name == variable => uses.is_changed = true,
                Some(ASTNode::Stmt(Stmt::Assignment(x))) => match &x.1.lhs {
                    lhs if is_it(lhs) => uses.is_changed = true,
                    Expr::Dot(target, ..) if is_it(&target.lhs) => uses.named.extend(chain(&target.rhs).map(|(path, _)| path[0].clone())),
                    _ => {}
                },
                _ => {}
            }
            true
        });
        (!uses.is_changed).then_some(uses)
    }

    /// What follows the map's name and a dot.
    fn dot(&mut self, rhs: &Expr) {
        match rhs {
            Expr::MethodCall(..) => self.is_changed = true,
            Expr::Dot(x, ..) if matches!(x.lhs, Expr::MethodCall(..)) => self.is_changed = true,
            _ => self.reads.extend(chain(rhs).map(|(path, at)| Read { path, at })),
        }
    }
}

/// The module in front of a function's name: `std` in `std::f(x)`.
fn module(call: &FnCallExpr) -> Option<String> {
    (!call.namespace.is_empty()).then(|| call.namespace.root().to_owned())
}

/// The properties in `a.b.c` after the variable, up to a method or an index, and where the first is.
fn chain(rhs: &Expr) -> Option<(Vec<String>, Position)> {
    let mut path = Vec::new();
    let mut at = Position::NONE;
    let mut rest = rhs;
    loop {
        let (head, tail) = match rest {
            Expr::Dot(x, flags, _) if flags.is_empty() => (&x.lhs, Some(&x.rhs)),
            // `cfg.betas[0]` reads `betas`.
            Expr::Index(x, ..) => (&x.lhs, None),
            other => (other, None),
        };
        let Expr::Property(p, place) = head else { break };
        if path.is_empty() {
            at = *place;
        }
        path.push(normal(&p.2));
        match tail {
            Some(next) => rest = next,
            None => break,
        }
    }
    (!path.is_empty()).then_some((path, at))
}
