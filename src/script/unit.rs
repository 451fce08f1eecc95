//! A unit: one script or module, parsed, checked, and evaluated once.

use super::diagnose::{Explain, PARSE};
use super::locate::Found;
use super::source::Sources;
use crate::error::{Diagnostic, ErrorKind};
use rhai::{AST, ASTFlags, ASTNode, Expr, FnAccess, Module, Position, Scope, Shared, Stmt};
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// One script or module of a generation.
pub(crate) struct Unit {
    /// Unique in the program: `train.rhai`, `std/flow.rhai`.
    pub id: String,
    /// The id with the version of the text.
    pub tag: String,
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
    /// Whether it runs from top to bottom instead of only declaring things.
    pub is_notebook: bool,
    /// What other units see of it.
    pub facade: Shared<Module>,
    /// Its functions with their imports and constants: what calls by name run on.
    callable: OnceCell<AST>,
}

/// A parsed text, before its imports are known.
pub(crate) struct Parsed {
    pub found: Found,
    pub tag: String,
    pub ast: AST,
    pub is_notebook: bool,
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
/// # Errors
/// Everything that is wrong, with its place.
pub(crate) fn parse(
    rhai: &rhai::Engine,
    explain: impl FnOnce() -> std::rc::Rc<super::known::Known>,
    sources: &Sources,
    found: Found,
    is_entry: bool,
) -> Result<Parsed, Vec<Diagnostic>> {
    let tag = sources.add(&found.id, &found.shown, &found.text);
    let mut ast = rhai.compile(&*found.text).map_err(|e| {
        let known = explain();
        vec![Explain { sources, known: &known }.parse_error(&tag, &e)]
    })?;
    ast.set_source(tag.as_str());
    let is_notebook = is_entry && !ast.iter_functions().any(|f| f.name == "main");
    let mut wrong = Vec::new();
    if !is_notebook {
        for statement in ast.statements() {
            if let Some(message) = not_a_declaration(statement, is_entry) {
                let labels = sources.label(&tag, statement.position(), "").into_iter().collect();
                let help = Some("the top level holds `import`, `const`, `export` and `fn`; move the rest into a function".to_owned());
                wrong.push(Diagnostic { labels, help, ..Diagnostic::plain(PARSE, message) });
            }
        }
    }
    if wrong.is_empty() { Ok(Parsed { found, tag, ast, is_notebook }) } else { Err(wrong) }
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
    /// `evaluated` is the module that its top level made; a notebook's is made later.
    pub(crate) fn new(parsed: Parsed, imports: BTreeMap<String, String>, evaluated: Module, facade: Shared<Module>) -> Self {
        let Parsed { found: Found { id, shown, path, text }, tag, ast, is_notebook } = parsed;
        let callable = OnceCell::new();
        if !is_notebook {
            callable.get_or_init(|| AST::new_from_module(evaluated));
        }
        Unit { id, tag, shown, path, text, ast, imports, is_notebook, facade, callable }
    }

    /// Whether it has a function of that name and number of parameters.
    pub(crate) fn has(&self, name: &str, arity: usize) -> bool {
        self.ast.iter_functions().any(|f| f.name == name && f.params.len() == arity)
    }

    /// Its functions as other units may call them: name and parameters.
    pub(crate) fn public_functions(&self) -> impl Iterator<Item = (&str, usize)> {
        public_functions(&self.ast)
    }

    /// The names of all its functions.
    pub(crate) fn function_names(&self) -> impl Iterator<Item = &str> {
        self.ast.iter_functions().map(|f| f.name).filter(|n| !super::diagnose::is_closure(n))
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
        ast.set_source(self.tag.as_str());
        let ast = AST::new_from_module(Module::eval_ast_as_new(Scope::new(), &ast, rhai)?);
        Ok(self.callable.get_or_init(|| ast).clone())
    }
}

/// The functions that other units may call.
pub(crate) fn public_functions(ast: &AST) -> impl Iterator<Item = (&str, usize)> {
    ast.iter_functions()
        .filter(|f| matches!(f.access, FnAccess::Public) && f.this_type.is_none() && !super::diagnose::is_closure(f.name))
        .map(|f| (f.name, f.params.len()))
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

/// The diagnostics in an error: all of them when it is one of ours.
pub(crate) fn diagnostics(e: crate::error::Error) -> Vec<Diagnostic> {
    if let ErrorKind::Script(d) = e.kind() {
        let mut first = (**d).clone();
        let also = std::mem::take(&mut first.also);
        return std::iter::once(first).chain(also).collect();
    }
    let help = e.help_text().map(str::to_owned);
    vec![Diagnostic { help, ..Diagnostic::plain(e.code(), e.to_string()) }]
}
