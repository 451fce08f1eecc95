//! What is allowed and hardly ever meant: said once, and the script runs.

use super::unit::Parsed;
use crate::error::Diagnostic;
use crate::script::lang::codes::LINT;
use crate::script::lang::diagnose::Explain;
use indexmap::IndexMap;
use rhai::{AST, ASTNode, Expr, Stmt};
use std::cell::RefCell;
use std::collections::BTreeSet;

/// What was said already, among the host's values; and what is kept for whoever asks instead of being said.
#[derive(Default)]
pub(crate) struct Said {
    seen: RefCell<BTreeSet<String>>,
    kept: RefCell<Option<Vec<Diagnostic>>>,
}

impl Said {
    /// Gives each doubt once to `tell`, or keeps it.
    pub(crate) fn say(&self, doubts: Vec<Diagnostic>, tell: impl Fn(&str)) {
        for doubt in doubts {
            let text = doubt.render(false);
            if !self.seen.borrow_mut().insert(text.clone()) {
            } else if let Some(kept) = self.kept.borrow_mut().as_mut() {
                kept.push(doubt);
            } else {
                tell(&text);
            }
        }
    }

    /// Keeps what is doubtful from now on.
    pub(crate) fn keep(&self) {
        self.kept.replace(Some(Vec::new()));
    }

    /// What was kept; from now on it is said again.
    pub(crate) fn take(&self) -> Vec<Diagnostic> {
        self.kept.take().unwrap_or_default()
    }
}

/// Whether units are evaluated although something is wrong with them, among the host's values: only the check does, to find more.
#[derive(Default)]
pub(crate) struct InSpite(pub std::cell::Cell<bool>);

/// The doubts about every unit of a program, in the order of the texts.
pub(crate) fn all(units: &IndexMap<String, Parsed>, explain: Explain) -> Vec<Diagnostic> {
    units.values().flat_map(|p| of(&p.ast, &p.tag, explain)).collect()
}

/// The doubts about one text.
pub(crate) fn of(ast: &AST, tag: &str, explain: Explain) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    ast.walk(&mut |path: &[ASTNode]| {
        if let Some(ASTNode::Expr(Expr::FnCall(call, at)) | ASTNode::Stmt(Stmt::FnCall(call, at))) = path.last()
            && call.name == "/"
            && let [Expr::IntegerConstant(a, start), Expr::IntegerConstant(b, _)] = call.args[..]
            // Nothing for a divisor of 0, nor for the least int by -1, which has no quotient.
            && let (Some(quotient), Some(1..) | Some(..=-1)) = (a.checked_div(b), a.checked_rem(b))
        {
            let labels = explain.sources.label(tag, start, "").or_else(|| explain.sources.label(tag, *at, "")).into_iter().collect();
            let message = format!("`{a}/{b}` divides two ints: it is {quotient}");
            let help = Some(format!("write `{a}.0/{b}` for {}", crate::progress::digits(a as f64 / b as f64, 4)));
            found.push((start.line(), start.position(), Diagnostic { labels, help, ..Diagnostic::plain(LINT, message).as_warning() }));
        }
        true
    });
    found.sort_by_key(|(line, column, _)| (*line, *column));
    found.into_iter().map(|(.., d)| d).collect()
}
