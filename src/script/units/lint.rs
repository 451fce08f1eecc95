//! What can be known to be wrong before a script runs: calls of functions that do not exist.

use super::capture;
use super::scopes;
use super::unit::{Parsed, Unit, exported_constants, public_functions};
use crate::error::{Diagnostic, did_you_mean};
use crate::script::lang::codes::LINT;
use crate::script::lang::diagnose::{Explain, is_closure};
use crate::script::lang::known::{Arities, Known, counts};
use indexmap::IndexMap;
use rhai::{AST, ASTFlags, ASTNode, Expr, FnCallExpr, Position, Stmt};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// Units that run already, by id.
pub(crate) type Loaded = BTreeMap<String, Rc<Unit>>;

/// Looks at every call in every unit of a program; `loaded` are units that those may import besides.
pub(crate) fn check(units: &IndexMap<String, Parsed>, loaded: &Loaded, explain: Explain) -> Vec<Diagnostic> {
    let members = units.values().flat_map(|p| members(&p.ast)).collect();
    units.values().flat_map(|parsed| Lint::new(parsed, units, loaded, &members, explain).run(&parsed.ast)).collect()
}

/// Looks at every call in one unit, given the members of all: what is wrong, and the methods that are none but for those members.
pub(crate) fn one(
    parsed: &Parsed,
    units: &IndexMap<String, Parsed>,
    loaded: &Loaded,
    members: &BTreeSet<String>,
    explain: Explain,
) -> (Vec<Diagnostic>, BTreeSet<String>) {
    let mut lint = Lint::new(parsed, units, loaded, members, explain);
    lint.look(&parsed.ast);
    (lint.found, lint.leans_on)
}

/// Looks at the calls in statements typed at a prompt: `typed` has the functions that they see, and the aliases. What its functions
/// call is looked at when they run, since what is missing may be typed later. `variables` are those that the line sees.
pub(crate) fn check_statements(typed: &Parsed, statements: &AST, variables: Vec<&str>, loaded: &Loaded, explain: Explain) -> Vec<Diagnostic> {
    let members = members(&typed.ast).into_iter().chain(members(statements)).collect();
    Lint { typed: Some(variables), ..Lint::new(typed, &IndexMap::new(), loaded, &members, explain) }.run(statements)
}

/// Keys of maps and properties that are assigned: a function stored there is called as a method, perhaps in another unit.
pub(super) fn members(ast: &AST) -> BTreeSet<String> {
    let mut members = BTreeSet::new();
    ast.walk(&mut |path: &[ASTNode]| {
        match path.last() {
            Some(ASTNode::Expr(Expr::Map(x, _))) => members.extend(x.0.iter().map(|(k, _)| k.name.to_string())),
            Some(ASTNode::Stmt(Stmt::Assignment(x))) => {
                let mut target = &x.1.lhs;
                // `a.b.c = ..`: the last property is what is set.
                while let Expr::Dot(inner, _, _) | Expr::Index(inner, _, _) = target {
                    target = &inner.rhs;
                }
                if let Expr::Property(p, _) = target {
                    members.insert(p.2.to_string());
                }
            }
            _ => {}
        }
        true
    });
    members
}

struct Lint<'a> {
    parsed: &'a Parsed,
    units: &'a IndexMap<String, Parsed>,
    loaded: &'a Loaded,
    members: &'a BTreeSet<String>,
    known: &'a Known,
    explain: Explain<'a>,
    /// The unit's own functions.
    local: BTreeMap<&'a str, Arities>,
    /// At a prompt, the names of variables: each line sees those of the lines before.
    typed: Option<Vec<&'a str>>,
    found: Vec<Diagnostic>,
    /// Methods that only maps of these scripts have.
    leans_on: BTreeSet<String>,
}

impl<'a> Lint<'a> {
    fn new(parsed: &'a Parsed, units: &'a IndexMap<String, Parsed>, loaded: &'a Loaded, members: &'a BTreeSet<String>, explain: Explain<'a>) -> Self {
        let mut local: BTreeMap<&str, Arities> = BTreeMap::new();
        for f in parsed.ast.iter_functions() {
            local.entry(f.name).or_default().insert(f.params.len());
        }
        Lint { parsed, units, loaded, members, known: explain.known, explain, local, typed: None, found: Vec::new(), leans_on: BTreeSet::new() }
    }

    /// The functions of another unit, and its name in messages.
    fn other(&self, id: &str) -> Option<(&'a AST, &'a str)> {
        let new = self.units.get(id).map(|p| (&p.ast, p.found.shown.as_str()));
        new.or_else(|| self.loaded.get(id).map(|u| (&u.ast, u.shown.as_str())))
    }

    fn run(mut self, ast: &AST) -> Vec<Diagnostic> {
        self.look(ast);
        self.found
    }

    fn look(&mut self, ast: &AST) {
        ast.walk(&mut |path: &[ASTNode]| {
            match path.last() {
                Some(ASTNode::Expr(Expr::FnCall(call, at)) | ASTNode::Stmt(Stmt::FnCall(call, at))) => self.call(call, *at),
                Some(ASTNode::Expr(Expr::MethodCall(call, at))) => self.method(call, *at),
                Some(ASTNode::Expr(Expr::Variable(x, _, at))) if !x.2.is_empty() => self.constant(x.2.root(), &x.1, *at),
                _ => {}
            }
            true
        });
        for capture::Mistaken { name, at, line } in capture::mistaken(ast) {
            let message = format!("in this closure `{name}` is the function of line {line}, not the variable `{name}` around it");
            self.report(at, message, Some("give the variable another name: a closure takes functions of the file first".into()));
        }
        // rhai keeps functions in no order.
        self.found.sort_by_key(|d| d.labels.first().map(|l| (l.line, l.column)));
    }

    fn report(&mut self, at: Position, message: String, help: Option<String>) {
        let labels = self.explain.sources.label(&self.parsed.tag, at, "").into_iter().collect();
        self.found.push(Diagnostic { labels, help, ..Diagnostic::plain(LINT, message) });
    }

    fn call(&mut self, call: &FnCallExpr, at: Position) {
        let n = call.args.len();
        if call.op_token.is_some() || is_closure(&call.name) {
            return;
        }
        if call.namespace.is_empty() {
            self.plain_call(call, n, at);
        } else {
            self.qualified_call(call, n, at);
        }
    }

    fn plain_call(&mut self, call: &FnCallExpr, n: usize, at: Position) {
        let name = call.name.as_str();
        let own = self.local.get(name);
        if own.is_some_and(|a| a.contains(&n)) {
            return;
        }
        if self.known.takes(name, n) {
            return self.options(name, call, n);
        }
        if !name.starts_with(|c: char| c.is_alphabetic() || c == '_') {
            return;
        }
        if let Some(own) = own {
            let message = format!("`{name}` takes {}, but is called with {n}", arguments(own));
            return self.report(at, message, None);
        }
        if let Some(arities) = self.known.functions.get(name) {
            let message = format!("`{name}` takes {}, but is called with {n}", arguments(arities));
            let usage = self.known.usage(name).map(|u| format!("it is `{u}`"));
            return self.report(at, message, usage);
        }
        let is_variable = self.typed.as_ref().map_or_else(|| scopes::sees(&self.parsed.ast, name, at), |typed| typed.contains(&name));
        if is_variable {
            let args = if n == 0 { "()" } else { "(..)" };
            return self.report(
                at,
                format!("`{name}` is a variable, not a function"),
                Some(format!("a function in a variable is called with `{name}.call{args}`")),
            );
        }
        let own: Vec<&str> = self.local.keys().copied().filter(|k| !is_closure(k)).collect();
        let near = self.known.near(name, &own);
        self.report(at, format!("unknown function `{name}`{near}"), None);
    }

    fn qualified_call(&mut self, call: &FnCallExpr, n: usize, at: Position) {
        let (root, name) = (call.namespace.root(), call.name.as_str());
        if let Some(id) = self.parsed.aliases.get(root) {
            let Some((ast, shown)) = self.other(id) else { return };
            let takes: Arities = public_functions(ast).filter(|(f, _)| *f == name).map(|(_, n)| n).collect();
            if takes.contains(&n) {
                return;
            }
            if !takes.is_empty() {
                return self.report(at, format!("`{root}::{name}` takes {}, but is called with {n}", arguments(&takes)), None);
            }
            let is_private = ast.iter_functions().any(|f| f.name == name);
            let near = did_you_mean(name, public_functions(ast).map(|(f, _)| f));
            let message = if is_private { format!("`{name}` is private to `{shown}`") } else { format!("`{shown}` has no function `{name}`{near}") };
            return self.report(at, message, None);
        }
        let full = call.namespace.path.iter().map(|p| p.name.as_str()).collect::<Vec<_>>().join("::");
        let Some(members) = self.known.namespaces.get(&full) else {
            let spaces = self.known.namespaces.keys().map(String::as_str).chain(self.parsed.aliases.keys().map(String::as_str));
            let near = did_you_mean(&full, spaces);
            let help = format!("is an `import \"std/{full}\" as {full};` missing?");
            return self.report(at, format!("unknown module or namespace `{full}`{near}"), near.is_empty().then_some(help));
        };
        match members.get(name) {
            Some(takes) if takes.contains(&n) => self.options(&format!("{full}::{name}"), call, n),
            Some(takes) => {
                let usage = self.known.usage(&format!("{full}::{name}")).map(|u| format!("it is `{u}`"));
                self.report(at, format!("`{full}::{name}` takes {}, but is called with {n}", arguments(takes)), usage);
            }
            None => {
                let near = did_you_mean(name, members.keys().map(String::as_str));
                self.report(at, format!("`{full}` has no function `{name}`{near}"), None);
            }
        }
    }

    /// A method is looked up by its receiver's type, which only the run knows: here it must exist on some type.
    fn method(&mut self, call: &FnCallExpr, at: Position) {
        let (name, n) = (call.name.as_str(), call.args.len());
        if self.local.get(name).is_some_and(|a| a.contains(&n)) {
            return;
        }
        if self.members.contains(name) {
            self.leans_on.insert(name.to_owned());
            return;
        }
        if self.known.takes(name, n + 1) {
            return self.options(name, call, n + 1);
        }
        if let Some(arities) = self.known.functions.get(name) {
            let takes: Arities = arities.iter().filter_map(|a| a.checked_sub(1)).collect();
            let usage = self.known.usage(name).map(|u| format!("it is `{u}`"));
            return self.report(at, format!("the method `{name}` takes {}, but is called with {n}", arguments(&takes)), usage);
        }
        if self.known.properties.contains(name) {
            return self.report(at, format!("`{name}` is a property, not a method"), Some(format!("write `.{name}` without parentheses")));
        }
        let mut near = did_you_mean(name, self.known.function_names().chain(self.members.iter().map(String::as_str)));
        if near.is_empty() {
            near = did_you_mean(name, self.known.properties.iter().map(String::as_str));
        }
        self.report(at, format!("no type has a method `{name}`{near}"), None);
    }

    /// The literal map that ends a call: its keys, and the values that are literals.
    fn options(&mut self, name: &str, call: &FnCallExpr, n: usize) {
        let Some(Expr::Map(map, _)) = call.args.last() else { return };
        let faults = super::option_lint::faults(&call.name, &map.0, &self.known.options(name, n));
        for (at, e) in faults {
            self.report(at, e.to_string(), e.help_text().map(str::to_owned));
        }
    }

    /// `module::NAME` without a call.
    fn constant(&mut self, root: &str, name: &str, at: Position) {
        let Some((ast, shown)) = self.parsed.aliases.get(root).and_then(|id| self.other(id)) else { return };
        let exported = exported_constants(ast);
        if exported.contains(&name) || public_functions(ast).any(|(f, _)| f == name) {
            return;
        }
        let declared =
            ast.statements().iter().any(|s| matches!(s, Stmt::Var(x, flags, _) if x.0.name == name && flags.intersects(ASTFlags::CONSTANT)));
        let help = declared.then(|| format!("declare it as `export const {name}` in `{shown}`"));
        let near = did_you_mean(name, exported.iter().copied());
        self.report(at, format!("`{shown}` exports no constant `{name}`{near}"), help);
    }
}

fn arguments(arities: &Arities) -> String {
    let plural = if arities.len() == 1 && arities.contains(&1) { "" } else { "s" };
    format!("{} argument{plural}", counts(arities))
}
