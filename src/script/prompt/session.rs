//! A prompt's state: variables, functions and imports that stay from line to line.
//!
//! All lines together are one text that only grows, so that a place in a function typed long ago is still found in an error. rhai
//! keeps nothing between two evaluations but the scope: functions are merged into one library, imports are repeated before every
//! statement, and variables are handed to typed functions through `on_var`, which only the engine's twin has.

use super::display;
use super::evaluation::{self, Limit};
use super::parts::Parts;
use super::twin::Twin;
use crate::error::{Diagnostic, Error, ErrorKind, Result};
use crate::script::lang::import::Found;
use crate::script::lang::language::{lenient, with_underscore};
use crate::script::lang::reading;
use crate::script::lang::source::{TYPED, VERSION};
use crate::script::lang::stack::Crossing;
use crate::script::training::stopping::Stopping;
use crate::script::units::at::At;
use crate::script::units::program::UNIT;
use crate::script::units::unit::{self, Unit};
use rhai::{AST, Array, Dynamic, Expr, ParseError, Position, Scope, ScriptFuncDef, Shared, Stmt};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How many results `it` keeps: each may be a large tensor.
const RESULTS: usize = 20;
/// rhai counts lines in 16 bits; the functions of scripts stand at this line, where no text is.
pub(super) const WRAPPERS: usize = 65_000;
/// After so many lines the text begins anew.
const MAX_LINES: usize = 60_000;

/// What a line came to.
pub struct Outcome {
    /// The value of its last statement.
    pub value: Dynamic,
    /// What went wrong.
    pub error: Option<Error>,
    /// How long it took.
    pub time: Duration,
    /// Whether the value is not to be shown: the line ends with `;`, or there is none.
    pub is_hidden: bool,
}

/// What is held from line to line.
pub struct Session {
    pub(super) id: String,
    pub(super) tag: String,
    pub(super) folder: Option<PathBuf>,
    pub(super) parser: rhai::Engine,
    pub(crate) scope: Scope<'static>,
    /// Functions typed here and those of the scripts, with the closures of all lines.
    pub(crate) lib: AST,
    /// `import` statements in the order in which they were typed, with their alias and path.
    pub(super) imports: Vec<(String, String, Stmt)>,
    /// Imports whose units are loaded, with the unit each leads to.
    pub(super) loaded: Vec<String>,
    /// Units whose functions can be called without a prefix.
    pub(super) scripts: Vec<String>,
    pub(super) text: String,
    pub(super) lines: usize,
    pub(super) results: Array,
    /// The last line that failed.
    pub(super) failed: Option<(AST, Diagnostic)>,
    pub(super) parts: Parts,
}

impl Session {
    /// An empty prompt. `id` names it in error messages and must be its own.
    pub fn new(at: At, id: &str) -> Self {
        let folder = at.program.prompt_folder();
        Session {
            id: id.to_owned(),
            tag: format!("{id}{VERSION}{TYPED}"),
            folder,
            parser: lenient(),
            scope: Scope::new(),
            lib: AST::empty(),
            imports: Vec::new(),
            loaded: Vec::new(),
            scripts: Vec::new(),
            text: String::new(),
            lines: 0,
            results: Array::new(),
            failed: None,
            parts: Parts::default(),
        }
    }

    /// Says that the next line comes from a part of a larger text, such as a cell: places in it are told as places there.
    pub fn part(&mut self, name: &str, text: &str, first: usize) {
        self.parts.next(name, text, first);
    }

    /// What it is called in messages.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// All that was typed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Gives the prompt a variable, or another value to one that it has.
    pub fn set(&mut self, name: &str, value: Dynamic) {
        if self.scope.is_constant(name) == Some(false)
            && let Some(slot) = self.scope.get_mut(name)
        {
            *slot = value;
        } else {
            self.scope.push_dynamic(name, value);
        }
    }

    /// The variables, oldest first.
    pub(crate) fn variables(&self) -> impl Iterator<Item = (&str, &Dynamic)> {
        // rhai begins with the newest.
        let mut all: Vec<(&str, &Dynamic)> = self.scope.iter_raw().map(|(name, _, value)| (name, value)).collect();
        all.reverse();
        all.into_iter()
    }

    /// The names of the variables.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.variables().map(|(name, _)| name)
    }

    /// The value of a variable.
    pub(crate) fn variable(&self, name: &str) -> Option<Dynamic> {
        self.scope.get(name).map(Dynamic::flatten_clone)
    }

    /// The unit behind the alias of an import.
    pub(crate) fn module(&self, at: At, alias: &str) -> Option<Rc<Unit>> {
        let path = self.imports.iter().rev().find(|(a, ..)| a == alias).map(|(_, path, _)| path)?;
        self.unit_at(at, path)
    }

    pub(super) fn unit_at(&self, at: At, path: &str) -> Option<Rc<Unit>> {
        match path.strip_prefix(UNIT) {
            Some(id) => at.program.unit(id),
            None => at.program.unit(at.program.unit(&self.id)?.imports.get(path)?),
        }
    }

    /// The aliases of imports.
    pub(crate) fn aliases(&self) -> impl Iterator<Item = &str> {
        self.imports.iter().map(|(alias, ..)| alias.as_str()).filter(|a| !a.starts_with(WRAPPED))
    }

    /// The units whose functions can be called without a prefix.
    pub(crate) fn scripts(&self, at: At) -> Vec<Rc<Unit>> {
        self.scripts.iter().filter_map(|id| at.program.unit(id)).collect()
    }

    /// Lets the functions of a unit be called without a prefix, and takes over its imports. Called again, it takes new functions in.
    ///
    /// # Errors
    /// When the unit's imports cannot be loaded for the prompt.
    pub(crate) fn see(&mut self, at: At, id: &str) -> Result<()> {
        let Some(unit) = at.program.unit(id) else { return Err(Error::usage(format!("no script `{id}` is loaded"))) };
        if !self.scripts.iter().any(|s| s == id) {
            self.scripts.push(id.to_owned());
        }
        if let Some(folder) = unit.path.as_ref().and_then(|p| p.parent()) {
            self.folder = Some(folder.to_owned());
        }
        let alias = format!("{WRAPPED}{}", self.scripts.iter().position(|s| s == id).unwrap_or(0));
        let mut text = "\n".repeat(WRAPPERS - 1);
        for f in unit.ast.iter_functions().filter(|f| f.this_type.is_none() && !crate::script::lang::diagnose::is_closure(f.name)) {
            let params = f.params.join(", ");
            // A private function has no way in from outside.
            if matches!(f.access, rhai::FnAccess::Public) {
                text += &format!("fn {}({params}) {{ {alias}::{}({params}) }} ", f.name, f.name);
            }
        }
        let explain = |e: ParseError| Error::script(Diagnostic::plain(crate::script::lang::codes::PARSE, e.to_string()));
        let wrappers = self.parser.compile(&text).map_err(explain)?;
        let import = self.parser.compile(format!("import \"{UNIT}{id}\" as {alias};")).map_err(explain)?;
        self.lib.combine(wrappers.clone_functions_only());
        if let Some(Stmt::Import(..)) = import.statements().first() {
            self.import(alias, format!("{UNIT}{id}"), import.statements()[0].clone());
        }
        for statement in unit.ast.statements().iter().filter(|s| matches!(s, Stmt::Import(..))) {
            let Stmt::Import(x, _) = statement else { continue };
            let Expr::StringConstant(path, ..) = &x.0 else { continue };
            if let Some(to) = unit.imports.get(path.as_str()) {
                let there = format!("{UNIT}{to}");
                let ast = self.parser.compile(format!("import \"{there}\" as {};", x.1.name)).map_err(explain)?;
                self.import(x.1.name.to_string(), there, ast.statements()[0].clone());
            }
        }
        Ok(())
    }

    /// The last import of a name counts, and rhai finds modules by how far they are from the last one.
    fn import(&mut self, alias: String, path: String, statement: Stmt) {
        self.imports.retain(|(a, ..)| *a != alias);
        self.imports.push((alias, path, statement));
    }

    /// Evaluates a line: what it declares stays. `limit` can end it.
    pub fn eval(&mut self, at: At, text: &str, limit: Limit) -> Outcome {
        let start = Instant::now();
        let is_hidden = text.trim_end().ends_with(';');
        let result = self.run(at, text, limit);
        Stopping::end(at.host);
        let time = start.elapsed();
        match result {
            Ok(value) => {
                let value = value.flatten();
                if !value.is_unit() {
                    self.set("_", value.clone());
                    self.results.push(value.clone());
                    if self.results.len() > RESULTS {
                        drop(self.results.remove(0));
                    }
                    self.set("it", self.results.clone().into());
                }
                Outcome { is_hidden: is_hidden || value.is_unit(), value, error: None, time }
            }
            Err(e) => {
                if !e.is_interrupt() {
                    self.set("_err", e.to_string().into());
                }
                Outcome { value: Dynamic::UNIT, error: Some(e), time, is_hidden: true }
            }
        }
    }

    fn run(&mut self, at: At, text: &str, limit: Limit) -> Result<Dynamic> {
        if self.lines + text.lines().count() > MAX_LINES {
            (self.text, self.lines) = (String::new(), 0);
            self.parts.clear();
        }
        self.parts.begin(self.lines, text.split('\n').count());
        let padded = format!("{}{text}", "\n".repeat(self.lines));
        self.text += text;
        self.text.push('\n');
        self.lines += text.split('\n').count();
        at.program.sources.put(&self.tag, &self.id, &self.text);
        let known = at.program.known();
        let explain = crate::script::lang::diagnose::Explain { sources: &at.program.sources, known: &known };
        let mut ast =
            with_underscore(text, || reading::parse(&self.parser, &padded)).map_err(|e| Error::script(explain.parse_error(&self.tag, &e)))?;
        ast.set_source(self.tag.as_str());
        self.load_imports(at, &ast)?;
        self.lib.combine(ast.clone_functions_only());
        self.lib.set_source(self.tag.as_str());
        self.lint(at, &known, &ast, text)?;
        let line = crate::interrupt::line();
        let result = evaluation::under(limit, || self.statements(at, &ast));
        drop(line);
        self.tidy();
        result.map_err(|e| {
            let error = self.explained(at, &known, &e);
            if let ErrorKind::Script(d) = error.kind() {
                self.failed = Some((ast.clone_statements_only(), (**d).clone()));
            }
            error
        })
    }

    fn statements(&mut self, at: At, ast: &AST) -> std::result::Result<Dynamic, Box<rhai::EvalAltResult>> {
        let _crossing = Crossing::enter().map_err(|e| crate::script::lang::exception::into_script(e, None, Position::NONE))?;
        let mut value = Dynamic::UNIT;
        // Those of scripts stand where no text is, and see their own script alone.
        let is_typed = |f: &Shared<ScriptFuncDef>| f.body.start_position().line().is_none_or(|line| line < WRAPPERS);
        let functions = self.lib.iter_fn_def().any(|f| is_typed(f) && !crate::script::lang::diagnose::is_closure(&f.name));
        let twin = if functions { at.host.get::<Twin>() } else { None };
        let rhai = twin.as_ref().map_or(at.rhai, |twin| twin.engine());
        for statement in ast.statements() {
            if let Stmt::Import(x, _) = statement
                && let Expr::StringConstant(path, ..) = &x.0
            {
                self.import(x.1.name.to_string(), path.to_string(), statement.clone());
                value = Dynamic::UNIT;
                continue;
            }
            if functions {
                evaluation::set_variables(self.variables().map(|(n, v)| (n.to_owned(), v.clone())).collect());
            }
            let one = self.statement(statement);
            let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| rhai.eval_ast_with_scope::<Dynamic>(&mut self.scope, &one)));
            value = caught.unwrap_or_else(|panic| {
                Err(crate::script::lang::exception::into_script(crate::script::lang::stack::internal(&*panic), None, Position::NONE))
            })?;
            if matches!(statement, Stmt::Return(..)) {
                break;
            }
        }
        Ok(value)
    }

    /// A statement with all that it can see.
    pub(super) fn statement(&self, statement: &Stmt) -> AST {
        let all = self.imports.iter().map(|(.., s)| s.clone()).chain([statement.clone()]);
        let mut one = AST::new(all, self.lib.shared_lib().clone());
        one.set_source(self.tag.as_str());
        one
    }

    /// Loads the modules that a line imports. They are found beside what runs; nothing that runs is read anew.
    fn load_imports(&mut self, at: At, ast: &AST) -> Result<()> {
        let imports = unit::imports(ast);
        let is_new = |path: &Option<String>| path.as_ref().is_none_or(|p| !p.starts_with(UNIT) && !self.loaded.contains(p));
        let new: Vec<unit::Import> = imports.into_iter().filter(|i| is_new(&i.path)).collect();
        for import in new {
            let place = |e: Error| match e.kind() {
                ErrorKind::Script(d) if d.labels.first().is_none_or(|l| l.file == self.id) => {
                    let labels = at.program.sources.label(&self.tag, import.position, "").into_iter().collect();
                    Error::script(Diagnostic { labels, ..(**d).clone() })
                }
                _ => e,
            };
            let Some(path) = &import.path else {
                let d = Diagnostic::plain(crate::script::lang::codes::IMPORT, "the path of an import must be known before the line runs");
                return Err(place(Error::script(d)));
            };
            let all: String = self
                .loaded
                .iter()
                .chain([path])
                .enumerate()
                .map(|(i, p)| format!("import {} as m{i};\n", serde_json::Value::from(p.as_str())))
                .collect();
            let path_here = self.folder.as_ref().map(|f| f.join(format!("{}.rhai", self.id)));
            let found = Found { id: self.id.clone(), shown: self.id.clone(), path: path_here, text: all.as_str().into() };
            at.program.extend(at.rhai, found).map_err(place)?;
            self.loaded.push(path.clone());
        }
        Ok(())
    }

    /// Only the last variable of each name is kept: `let x = ..` again must free the tensor that `x` was.
    fn tidy(&mut self) {
        // Newest first, as rhai has them: the first of each name is the one that counts.
        let mut met = std::collections::BTreeSet::new();
        let mut kept: Vec<_> = self.scope.iter_raw().filter(|(name, ..)| met.insert(*name)).collect();
        if kept.len() == self.scope.len() {
            return;
        }
        kept.reverse();
        let mut scope = Scope::new();
        for (name, is_constant, value) in kept {
            if is_constant {
                scope.push_constant_dynamic(name, value.clone());
            } else {
                scope.push_dynamic(name, value.clone());
            }
        }
        self.scope = scope;
    }

    /// Takes new versions of the scripts in after a reload.
    ///
    /// # Errors
    /// As [`Session::see`].
    pub(crate) fn refresh(&mut self, at: At) -> Result<()> {
        for id in self.scripts.clone() {
            if at.program.unit(&id).is_some() {
                self.see(at, &id)?;
            }
        }
        Ok(())
    }

    /// A value as the prompt shows it.
    pub fn shown(&self, at: At, value: &Dynamic, color: bool) -> String {
        display::shown(at, value, color)
    }

    /// The constants among the variables.
    pub(crate) fn is_constant(&self, name: &str) -> bool {
        self.scope.is_constant(name) == Some(true)
    }
}

/// Aliases under which the units of scripts are imported, for [`Session::see`].
const WRAPPED: &str = "lathe_script_";
