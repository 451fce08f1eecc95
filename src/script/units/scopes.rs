//! Which variables a place of a script can see: for advice, once something is wrong.

use super::unit::alone;
use crate::script::lang::diagnose::is_closure;
use rhai::{AST, ASTNode, Expr, FnPtr, Position, Stmt};
use std::collections::BTreeSet;

/// What a function or closure declares and makes.
#[derive(Default)]
struct Body {
    /// Variables, each with its place; parameters have none.
    declared: Vec<(String, Position)>,
    /// The closures in it, by the names that rhai gave them.
    closures: BTreeSet<String>,
    /// Whether the place that is asked for is in it.
    holds: bool,
}

/// Whether the call at a place sees a variable of that name: one of the function around it, or of those around a closure, from above.
pub(super) fn sees(ast: &AST, name: &str, at: Position) -> bool {
    let mut bodies: Vec<(String, Body)> = ast
        .iter_functions()
        .map(|f| {
            let mut body = Body { declared: f.params.iter().map(|p| ((*p).to_owned(), Position::NONE)).collect(), ..Body::default() };
            read(&alone(ast, f.name, f.params.len()), at, &mut body);
            (f.name.to_owned(), body)
        })
        .collect();
    let mut top = Body::default();
    read(&ast.clone_statements_only(), at, &mut top);
    bodies.push((String::new(), top));
    let Some((mut inside, mut body)) = bodies.iter().find(|(_, b)| b.holds).map(|(n, b)| (n, b)) else { return false };
    for _ in 0..bodies.len() {
        if body.declared.iter().any(|(n, place)| n == name && is_before(*place, at)) {
            return true;
        }
        match bodies.iter().find(|(_, b)| is_closure(inside) && b.closures.contains(inside)) {
            Some((outer, b)) => (inside, body) = (outer, b),
            None => break,
        }
    }
    false
}

fn is_before(place: Position, at: Position) -> bool {
    place.is_none() || (place.line(), place.position()) < (at.line(), at.position())
}

fn read(ast: &AST, at: Position, body: &mut Body) {
    ast.walk(&mut |path: &[ASTNode]| {
        match path.last() {
            Some(ASTNode::Stmt(Stmt::Var(x, ..))) => body.declared.push((x.0.name.to_string(), x.0.pos)),
            Some(ASTNode::Stmt(Stmt::For(x, _))) => {
                body.declared.push((x.0.name.to_string(), x.0.pos));
                body.declared.extend(x.1.as_ref().map(|counter| (counter.name.to_string(), counter.pos)));
            }
            Some(ASTNode::Stmt(Stmt::TryCatch(x, _))) => {
                if let Expr::Variable(v, _, place) = &x.expr {
                    body.declared.push((v.1.to_string(), *place));
                }
            }
            Some(ASTNode::Expr(Expr::DynamicConstant(value, _))) => {
                if let Some(f) = value.read_lock::<FnPtr>().filter(|f| is_closure(f.fn_name())) {
                    body.closures.insert(f.fn_name().to_owned());
                }
            }
            Some(ASTNode::Expr(Expr::FnCall(_, place)) | ASTNode::Stmt(Stmt::FnCall(_, place))) if *place == at => body.holds = true,
            _ => {}
        }
        true
    });
}
