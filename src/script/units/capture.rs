//! A trap of the language: in a closure, the name of a variable that the file has a function of as well is the function's.
//!
//! rhai's parser captures a variable only if no function of that name stands above the closure in the file. Otherwise the closure
//! computes with a pointer to the function, far from where the mistake is, or silently.

use super::unit::alone;
use crate::script::lang::diagnose::is_closure;
use rhai::{AST, ASTNode, Expr, FnPtr, Position, Stmt};
use std::collections::{BTreeMap, BTreeSet};

/// A variable in a closure that is taken for a function.
pub(crate) struct Mistaken {
    /// The name of both.
    pub name: String,
    /// Where the closure uses it.
    pub at: Position,
    /// The line of the function.
    pub line: usize,
}

/// What a function or closure declares, makes and uses.
#[derive(Default)]
struct Body {
    /// Parameters and variables.
    declared: BTreeSet<String>,
    /// The closures in it, by the names that rhai gave them.
    closures: BTreeSet<String>,
    /// Names that stand for nothing in it.
    free: Vec<(String, Position)>,
}

/// Variables of the functions around closures which rhai takes for functions of the file.
pub(crate) fn mistaken(ast: &AST) -> Vec<Mistaken> {
    let line = |f: &rhai::Shared<rhai::ScriptFuncDef>| f.body.start_position().line().unwrap_or(1);
    let functions: BTreeMap<&str, usize> = ast.iter_fn_def().filter(|f| !is_closure(&f.name)).map(|f| (f.name.as_str(), line(f))).collect();
    if functions.is_empty() || !ast.iter_functions().any(|f| is_closure(f.name)) {
        return Vec::new();
    }
    let mut bodies: BTreeMap<String, Body> = BTreeMap::new();
    for f in ast.iter_functions() {
        let mut body = Body { declared: f.params.iter().map(|p| (*p).to_owned()).collect(), ..Body::default() };
        read(&alone(ast, f.name, f.params.len()), &mut body);
        // Functions of one name and several numbers of parameters count as one: which is meant does not matter here.
        let all = bodies.entry(f.name.to_owned()).or_default();
        all.declared.extend(body.declared);
        all.closures.extend(body.closures);
        all.free.extend(body.free);
    }
    let top = bodies.entry(String::new()).or_default();
    read(&ast.clone_statements_only(), top);
    let mut found = Vec::new();
    for (name, body) in bodies.iter().filter(|(name, _)| is_closure(name)) {
        for (free, at) in body.free.iter().filter(|(free, _)| !body.declared.contains(free)) {
            if let Some(line) = functions.get(free.as_str())
                && is_declared_around(&bodies, name, free, &mut BTreeSet::new())
            {
                found.push(Mistaken { name: free.clone(), at: *at, line: *line });
            }
        }
    }
    found.sort_by_key(|m| (m.at.line(), m.at.position()));
    found
}

/// Whether a function around the closure, near or far, has a variable of that name.
fn is_declared_around<'a>(bodies: &'a BTreeMap<String, Body>, closure: &str, name: &str, seen: &mut BTreeSet<&'a str>) -> bool {
    let around = bodies.iter().filter(|(_, body)| body.closures.contains(closure));
    let new: Vec<(&String, &Body)> = around.filter(|(outer, _)| seen.insert(outer)).collect();
    new.iter().any(|(outer, body)| body.declared.contains(name) || is_declared_around(bodies, outer, name, seen))
}

fn read(ast: &AST, body: &mut Body) {
    ast.walk(&mut |path: &[ASTNode]| {
        match path.last() {
            Some(ASTNode::Stmt(Stmt::Var(x, ..))) => {
                body.declared.insert(x.0.name.to_string());
            }
            Some(ASTNode::Stmt(Stmt::For(x, _))) => {
                body.declared.insert(x.0.name.to_string());
                body.declared.extend(x.1.as_ref().map(|counter| counter.name.to_string()));
            }
            Some(ASTNode::Stmt(Stmt::TryCatch(x, _))) => {
                if let Expr::Variable(v, ..) = &x.expr {
                    body.declared.insert(v.1.to_string());
                }
            }
            Some(ASTNode::Expr(Expr::DynamicConstant(value, _))) => {
                if let Some(f) = value.read_lock::<FnPtr>().filter(|f| is_closure(f.fn_name())) {
                    body.closures.insert(f.fn_name().to_owned());
                }
            }
            // A variable that the parser knows has its distance.
            Some(ASTNode::Expr(Expr::Variable(x, _, at))) if x.0.is_none() && x.2.is_empty() => body.free.push((x.1.to_string(), *at)),
            _ => {}
        }
        true
    });
}
