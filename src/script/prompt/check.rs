//! What can be known to be wrong with a prompt's line before it runs, and what went wrong when it did.

use super::evaluation;
use super::session::{Session, WRAPPERS};
use crate::error::{Diagnostic, Error, ErrorKind, Result, did_you_mean};
use crate::script::lang::codes::PARSE;
use crate::script::lang::diagnose::{self, Explain};
use crate::script::lang::import::Found;
use crate::script::lang::known::Known;
use crate::script::units::at::At;
use crate::script::units::doubts::{self, Said};
use crate::script::units::lint;
use crate::script::units::unit::{self, Parsed};
use rhai::{AST, ASTNode, Expr, Stmt};
use std::collections::BTreeMap;

impl Session {
    /// What can be known to be wrong with a line before any of it runs.
    pub(super) fn lint(&self, at: At, known: &Known, ast: &AST, text: &str) -> Result<()> {
        let explain = Explain { sources: &at.program.sources, known };
        let found = Found { id: self.id.clone(), shown: self.id.clone(), path: None, text: text.into() };
        let mut aliases: BTreeMap<String, String> = BTreeMap::new();
        let typed = unit::imports(ast).into_iter().filter_map(|i| Some((i.alias, i.path?)));
        for (alias, path) in self.imports.iter().map(|(a, p, _)| (a.clone(), p.clone())).chain(typed) {
            if let Some(unit) = self.unit_at(at, &path) {
                aliases.insert(alias, unit.id.clone());
            }
        }
        let parsed = Parsed {
            found,
            tag: self.tag.as_str().into(),
            ast: self.lib.clone(),
            is_notebook: true,
            wrong: vec![],
            imports: BTreeMap::new(),
            aliases,
        };
        let statements = ast.clone_statements_only();
        let mut wrong = self.unknown_variables(at, known, ast, &parsed.aliases);
        let variables = diagnose::identifiers(text).variables.into_iter().chain(self.names()).collect();
        wrong.extend(lint::check_statements(&parsed, &statements, variables, &at.program.current().units, explain));
        if wrong.is_empty() {
            let tell = |text: &str| {
                if !evaluation::capture(text) {
                    crate::space::say(text);
                }
            };
            at.host.get_or_default::<Said>().say(doubts::of(ast, &self.tag, explain), tell);
            return Ok(());
        }
        let first = wrong.remove(0);
        Err(Error::script(Diagnostic { also: wrong, ..first }))
    }

    fn unknown_variables(&self, at: At, known: &Known, ast: &AST, aliases: &BTreeMap<String, String>) -> Vec<Diagnostic> {
        let mut declared: Vec<String> = Vec::new();
        let mut wrong = Vec::new();
        for statement in ast.statements() {
            statement.walk(&mut Vec::new(), &mut |path: &[ASTNode]| {
                match path.last() {
                    Some(ASTNode::Stmt(Stmt::Var(x, ..))) => declared.push(x.0.name.to_string()),
                    Some(ASTNode::Expr(Expr::Variable(x, None, position))) if x.0.is_none() && x.2.is_empty() => {
                        let name = x.1.as_str();
                        let is_known = self.scope.contains(name)
                            || declared.iter().any(|d| d == name)
                            || self.lib.iter_functions().any(|f| f.name == name)
                            || matches!(name, "this" | "global");
                        if !is_known {
                            let message = format!("unknown variable `{name}`{}", self.nearest_name(known, aliases, name));
                            let labels = at.program.sources.label(&self.tag, *position, "").into_iter().collect();
                            wrong.push(Diagnostic { labels, ..Diagnostic::plain(PARSE, message) });
                        }
                    }
                    _ => {}
                }
                true
            });
        }
        wrong
    }

    fn nearest_name(&self, known: &Known, aliases: &BTreeMap<String, String>, name: &str) -> String {
        let mine = did_you_mean(name, self.variables().map(|(n, _)| n).chain(self.lib.iter_functions().map(|f| f.name)));
        if mine.is_empty() { did_you_mean(name, known.namespaces.keys().chain(aliases.keys()).map(String::as_str)) } else { mine }
    }

    /// An exception as our error, without places in texts that nobody wrote.
    pub(super) fn explained(&self, at: At, known: &Known, e: &rhai::EvalAltResult) -> Error {
        let error = at.program.explain(&self.tag, e);
        let ErrorKind::Script(d) = error.kind() else { return error };
        let mut d = (**d).clone();
        d.labels.retain(|l| !(l.file == self.id && l.line >= WRAPPERS));
        if let Some(name) = d.message.strip_prefix("unknown variable `").and_then(|m| m.strip_suffix('`')).map(str::to_owned) {
            d.message += &self.nearest_name(known, &BTreeMap::new(), &name);
        }
        Error::script(d)
    }
}
