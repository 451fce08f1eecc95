//! A unit: one script or module, parsed, checked, and evaluated once.

use super::outline::Outline;
use crate::error::Diagnostic;
use crate::script::lang::codes::PARSE;
use crate::script::lang::diagnose::Explain;
use crate::script::lang::import::Found;
use crate::script::lang::language::lenient;
use crate::script::lang::reading;
use rhai::{AST, ASTFlags, ASTNode, Expr, FnAccess, ImmutableString, Module, ParseError, ParseErrorType, Position, Scope, Shared, Stmt};
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

/// One script or module of a generation.
pub(crate) struct Unit {
    /// Unique in the program: `train.rhai`, `std/flow.rhai`.
    pub id: String,
    /// The id with the version of the text. The handle itself keeps the text known, see [`crate::script::lang::source::Texts::sweep`].
    pub tag: ImmutableString,
    /// As messages show it.
    pub shown: String,
    /// Its file, when it is on disk.
    pub path: Option<PathBuf>,
    /// Its text.
    pub text: Arc<str>,
    /// What the parser made of it.
    pub ast: AST,
    /// Import paths as written, with the unit each leads to.
    pub imports: BTreeMap<String, String>,
    /// The same by the name given to the import.
    pub aliases: BTreeMap<String, String>,
    /// Whether it runs from top to bottom instead of only declaring things.
    pub is_notebook: bool,
    /// What stands where in it.
    pub outline: Rc<Outline>,
    /// What other units see of it.
    pub facade: Shared<Module>,
    /// Its functions with their imports and constants: what calls by name run on.
    callable: OnceCell<AST>,
}

/// A parsed text, before its imports are known.
#[derive(Clone)]
pub(crate) struct Parsed {
    pub found: Found,
    pub tag: ImmutableString,
    pub ast: AST,
    pub is_notebook: bool,
    /// What is wrong so far; the rest is still looked at.
    pub wrong: Vec<Diagnostic>,
    /// Import paths as written, with the unit each leads to (empty: it was not found).
    pub imports: BTreeMap<String, String>,
    /// The same by the name given to the import.
    pub aliases: BTreeMap<String, String>,
}

/// An `import` statement.
pub(crate) struct Import {
    /// As written; `None` when it is not a string literal.
    pub path: Option<String>,
    pub alias: String,
    pub position: Position,
}

/// Parses a text. A module, and a script with `fn main`, may hold only declarations at its top level.
///
/// The parser stops at its first error. To find the others, unknown variables are patched out of a copy of the text, and
/// what a parser without strict variables makes of it still serves for imports and the lint.
///
/// # Errors
/// Everything that is wrong, with its place, when there is nothing to go on with.
pub(crate) fn parse(rhai: &rhai::Engine, explain: Explain, found: Found, is_entry: bool) -> Result<Parsed, Vec<Diagnostic>> {
    let sources = explain.sources;
    let tag = sources.add(&found.id, &found.shown, &found.text);
    let mut wrong = Vec::new();
    let mut ast = match reading::parse(rhai, &found.text) {
        Ok(ast) => ast,
        Err(first) => {
            wrong.push(explain.parse_error(&tag, &first));
            match reading::parse(&lenient(), &found.text) {
                Ok(ast) => {
                    wrong.extend(more_unknown(rhai, &found.text, &first).iter().map(|e| explain.parse_error(&tag, e)));
                    ast
                }
                Err(_) => return Err(wrong),
            }
        }
    };
    ast.set_source(tag.clone());
    let is_notebook = is_entry && !ast.iter_functions().any(|f| f.name == "main");
    if is_entry {
        wrong.extend(wrong_entry(&ast).map(|message| Diagnostic::plain(PARSE, format!("`{}`: {message}", found.shown))));
    }
    if !is_notebook {
        for statement in ast.statements() {
            if let Some(message) = not_a_declaration(statement, is_entry) {
                let labels = sources.label(&tag, statement.position(), "").into_iter().collect();
                let help = Some("the top level holds `import`, `const`, `export` and `fn`; move the rest into a function".to_owned());
                wrong.push(Diagnostic { labels, help, ..Diagnostic::plain(PARSE, message) });
            }
        }
    }
    Ok(Parsed { found, tag, ast, is_notebook, wrong, imports: BTreeMap::new(), aliases: BTreeMap::new() })
}

/// How many unknown names of one text are reported.
const UNKNOWN_NAMES: usize = 20;

/// The unknown variables and modules after the first.
fn more_unknown(rhai: &rhai::Engine, text: &str, first: &ParseError) -> Vec<ParseError> {
    let mut lines: Vec<Vec<char>> = text.split('\n').map(|l| l.chars().collect()).collect();
    let mut list: Vec<ParseError> = Vec::new();
    for _ in 0..UNKNOWN_NAMES {
        let last = list.last().unwrap_or(first);
        let (name, put) = match last.err_type() {
            ParseErrorType::VariableUndefined(name) => (name.clone(), "()"),
            // Without `nn::` the call is one of an unknown function, which parses.
            ParseErrorType::ModuleUndefined(name) => (format!("{name}::"), ""),
            _ => break,
        };
        let at = last.position();
        let Some(place) = at.line().zip(at.position()).and_then(|(l, c)| lines.get_mut(l - 1)?.get_mut(c - 1..c - 1 + name.chars().count())) else {
            break;
        };
        if !place.iter().copied().eq(name.chars()) {
            break;
        }
        // One character leaves no room for `()`.
        let put = if place.len() < put.len() { "0" } else { put };
        place.iter_mut().zip(put.chars().chain(std::iter::repeat(' '))).for_each(|(c, p)| *c = p);
        let patched: Vec<String> = lines.iter().map(|l| l.iter().collect()).collect();
        match reading::parse(rhai, &patched.join("\n")) {
            Err(e) if matches!(e.err_type(), ParseErrorType::VariableUndefined(_) | ParseErrorType::ModuleUndefined(_)) => list.push(e),
            _ => break,
        }
    }
    list
}

/// What is wrong with the functions that `lathe run` calls.
fn wrong_entry(ast: &AST) -> Option<String> {
    let arity = |name: &str| ast.iter_functions().find(|f| f.name == name).map(|f| f.params.len());
    match (arity("params"), arity("main")) {
        (_, Some(n)) if n > 1 => Some(format!("`main` has {n} parameters; it gets one, the map of settings")),
        (Some(n), _) if n > 0 => Some(format!("`params` has {n} parameters; it gets none")),
        (Some(_), None) => Some("`params` without `fn main(cfg)`: settings need a `main` that gets them".into()),
        _ => None,
    }
}

fn not_a_declaration(statement: &Stmt, is_entry: bool) -> Option<String> {
    let kind = if is_entry { "a script with `fn main`" } else { "a module" };
    match statement {
        Stmt::Import(..) | Stmt::Export(..) | Stmt::Noop(..) => None,
        Stmt::Var(_, flags, _) if flags.intersects(ASTFlags::CONSTANT) => None,
        Stmt::Var(..) => Some(format!("a `let` at the top level of {kind} is seen by no function; use `const`")),
        _ => Some(format!("a statement at the top level of {kind}")),
    }
}

/// Every import in a text, those inside functions too.
pub(crate) fn imports(ast: &AST) -> Vec<Import> {
    let mut list = Vec::new();
    ast.walk(&mut |path: &[ASTNode]| {
        if let Some(ASTNode::Stmt(Stmt::Import(x, at))) = path.last() {
            let (expr, alias) = &**x;
            let (path, position) = match expr {
                Expr::StringConstant(text, at) => (Some(text.to_string()), *at),
                _ => (None, *at),
            };
            list.push(Import { path, alias: alias.name.to_string(), position });
        }
        true
    });
    list
}

impl Unit {
    /// `evaluated`: the functions, imports and constants that its top level made; a notebook's are made later.
    /// `known`: the outline, when an earlier generation has the same text.
    pub(crate) fn new(parsed: Parsed, evaluated: Option<AST>, facade: Shared<Module>, known: Option<Rc<Outline>>) -> Self {
        let Parsed { found: Found { id, shown, path, text }, tag, ast, is_notebook, imports, aliases, .. } = parsed;
        let callable = OnceCell::new();
        if let Some(evaluated) = evaluated {
            callable.get_or_init(|| evaluated);
        }
        let outline = known.unwrap_or_else(|| Rc::new(Outline::new(tag.clone(), shown.clone(), ast.clone(), text.clone(), is_notebook)));
        Unit { id, tag, shown, path, text, ast, imports, aliases, is_notebook, outline, facade, callable }
    }

    /// Whether it has a function of that name and number of parameters that can be called by name.
    pub(crate) fn has(&self, name: &str, arity: usize) -> bool {
        public_functions(&self.ast).any(|(f, n)| f == name && n == arity)
    }

    /// Whether it has a function of that name that can be called by name.
    pub(crate) fn has_name(&self, name: &str) -> bool {
        public_functions(&self.ast).any(|(f, _)| f == name)
    }

    /// Its functions `test_*` without parameters, in the order of the text, each with its line.
    pub(crate) fn tests(&self) -> Vec<(String, usize)> {
        let is_test = |name: &str| name.starts_with("test_") && self.has(name, 0);
        let found = self.ast.iter_fn_def().filter(|f| f.params.is_empty() && is_test(&f.name));
        let mut tests: Vec<(String, usize)> = found.map(|f| (f.name.to_string(), f.body.start_position().line().unwrap_or(1))).collect();
        tests.sort_by_key(|t| t.1);
        tests
    }

    /// The names of all its functions.
    pub(crate) fn function_names(&self) -> impl Iterator<Item = &str> {
        self.ast.iter_functions().map(|f| f.name).filter(|n| !crate::script::lang::diagnose::is_closure(n))
    }

    /// Its functions with their imports and constants, made on first use.
    ///
    /// # Errors
    /// What a constant's expression threw.
    pub(crate) fn callable(&self, rhai: &rhai::Engine) -> Result<AST, Box<rhai::EvalAltResult>> {
        if let Some(ast) = self.callable.get() {
            return Ok(ast.clone());
        }
        // Of a script that runs top to bottom, only the imports and the constants that stand for themselves.
        let declarations = self.ast.statements().iter().filter(|s| stands_alone(s)).cloned();
        let mut ast = AST::new(declarations, self.ast.shared_lib().clone());
        ast.set_source(self.tag.clone());
        let ast = AST::new_from_module(Module::eval_ast_as_new(Scope::new(), &ast, rhai)?);
        Ok(self.callable.get_or_init(|| ast).clone())
    }
}

/// One function of a unit, for looking at its body. (rhai's own ways clone all functions first.)
pub(crate) fn alone(ast: &AST, name: &str, arity: usize) -> AST {
    let mut one = Module::new();
    for f in ast.iter_fn_def().filter(|f| f.name == name && f.params.len() == arity) {
        one.set_script_fn(f.clone());
    }
    AST::new([], one)
}

/// The functions that other units may call.
pub(crate) fn public_functions(ast: &AST) -> impl Iterator<Item = (&str, usize)> {
    ast.iter_functions()
        .filter(|f| matches!(f.access, FnAccess::Public) && f.this_type.is_none() && !crate::script::lang::diagnose::is_closure(f.name))
        .map(|f| (f.name, f.params.len()))
}

/// The constants that other units may read.
pub(crate) fn exported_constants(ast: &AST) -> Vec<&str> {
    ast.statements()
        .iter()
        .filter_map(|s| match s {
            Stmt::Var(x, flags, _) if flags.intersects(ASTFlags::EXPORTED) => Some(x.0.name.as_str()),
            Stmt::Export(x, _) => Some(if x.1.name.is_empty() { x.0.name.as_str() } else { x.1.name.as_str() }),
            _ => None,
        })
        .collect()
}

/// Whether a statement declares something without reading a variable: rhai addresses variables by their place in the scope,
/// which is another one when statements in between are left out.
fn stands_alone(statement: &Stmt) -> bool {
    match statement {
        Stmt::Import(..) => true,
        Stmt::Var(x, flags, _) if flags.intersects(ASTFlags::CONSTANT) => {
            x.1.walk(&mut Vec::new(), &mut |path: &[ASTNode]| !matches!(path.last(), Some(ASTNode::Expr(Expr::Variable(..)) | ASTNode::Stmt(_))))
        }
        _ => false,
    }
}
