//! One thing that is documented, and the page it stands on.

use super::comment::Comment;
use crate::script::lang::function::{ApiFn, Param, Receiver};
use crate::script::lang::given::OptionSpec;
use crate::script::lang::option_limits::Limits;
use std::fmt::Write;

/// What kind of thing it is: how a script writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `MODULE::NAME`.
    Constant,
    /// `x.name`, read or assigned.
    Property,
    /// `f(..)`, `ns::f(..)`.
    Function,
    /// `x.f(..)`.
    Method,
    /// `x + y`, `x[i]`.
    Operator,
}

/// A parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// What it must be, where that is known: `a tensor`.
    pub kind: String,
    /// Whether it may be left out.
    pub optional: bool,
}

/// A documented thing.
#[derive(Debug, Clone)]
pub struct Item {
    /// As a user asks for it: `torch::op`, `tensor.matmul`, `std/flow::score`, `assert`.
    pub id: String,
    /// Its name on its page: `op`, `matmul`, `+`.
    pub name: String,
    /// How it is written.
    pub kind: Kind,
    /// `torch::op(name, args?, opts?)`.
    pub signature: String,
    /// What it takes; without the receiver.
    pub params: Vec<Parameter>,
    /// What its map of options may hold.
    pub options: Vec<OptionSpec>,
    /// What it returns, where that is known.
    pub returns: String,
    /// What is said of it.
    pub doc: Comment,
}

/// What a page is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageKind {
    /// Functions without a namespace.
    Global,
    /// `torch::`.
    Namespace,
    /// A type and its methods.
    Type,
    /// A kind of modules and its methods.
    Model,
    /// A module of the standard library, in Rhai.
    Module,
    /// A module of a library.
    Library,
}

/// A page: everything in one namespace, on one type, or in one module.
#[derive(Debug, Clone)]
pub struct Page {
    /// `torch`, `tensor`, `std/flow`, `lab/augment`, `global`.
    pub name: String,
    /// What it is about.
    pub kind: PageKind,
    /// What is said of the whole: Markdown.
    pub about: String,
    /// In alphabetical order, operators last.
    pub items: Vec<Item>,
}

impl Page {
    /// What it is called in a list: `torch::`, `tensor`, `std/flow`.
    pub fn title(&self) -> String {
        match self.kind {
            PageKind::Namespace => format!("{}::", self.name),
            PageKind::Global => "functions without a namespace".into(),
            PageKind::Type | PageKind::Model | PageKind::Module | PageKind::Library => self.name.clone(),
        }
    }

    /// The first paragraph of what is said of the whole.
    pub fn summary(&self) -> String {
        Comment::parse(&self.about).summary
    }

    pub(super) fn sort(&mut self) {
        self.items.sort_by_key(|i| (i.kind == Kind::Operator, i.name.to_lowercase(), i.signature.len()));
    }
}

/// The page of functions without a namespace.
pub const GLOBAL: &str = "global";

impl Item {
    /// A registered function.
    pub fn of(f: &ApiFn) -> Item {
        let is_method = f.receiver.is_method();
        let own: &[Param] = if is_method { f.params.get(1..).unwrap_or_default() } else { &f.params };
        let params = own.iter().map(|p| Parameter { name: p.name.into(), kind: p.kind.into(), optional: p.optional }).collect();
        let property = f.name.strip_prefix("get$").or_else(|| f.name.strip_prefix("set$"));
        let kind = match property {
            Some(_) => Kind::Property,
            None if is_operator(f.name) => Kind::Operator,
            None if is_method => Kind::Method,
            None => Kind::Function,
        };
        let name = match f.name {
            "index$get$" => "[]",
            "index$set$" => "[]=",
            other => property.unwrap_or(other).trim_end_matches('$'),
        };
        let id = match f.receiver {
            Receiver::Namespace(ns) => format!("{ns}::{name}"),
            Receiver::Global => name.to_owned(),
            _ if kind == Kind::Operator => format!("{} {name}", page_of(f)),
            _ => format!("{}.{name}", page_of(f)),
        };
        let (options, returns) = (f.options(), f.returns.into());
        Item { id, name: name.to_owned(), kind, signature: f.signature(), params, options, returns, doc: Comment::parse(f.doc) }
    }

    /// `- x: a tensor` for each parameter whose kind is known, and what comes back: Markdown.
    pub fn types(&self) -> String {
        let line = |p: &Parameter| format!("- `{}`: {}{}", p.name, p.kind, if p.optional { ", optional" } else { "" });
        let mut lines: Vec<String> = self.params.iter().filter(|p| !p.kind.is_empty()).map(line).collect();
        if !matches!(self.returns.as_str(), "" | "()" | "a value") {
            lines.push(format!("- returns {}", self.returns));
        }
        lines.join("\n")
    }

    /// The types, the comment, and the table of options: Markdown.
    pub fn markdown(&self) -> String {
        let mut parts = vec![self.types(), option_table(&self.options), self.doc.markdown()];
        parts.retain(|p| !p.is_empty());
        parts.join("\n\n")
    }
}

/// Options as a Markdown table: what each must be, its default, what it does.
pub fn option_table(options: &[OptionSpec]) -> String {
    if options.is_empty() {
        return String::new();
    }
    let mut out = String::from("| option | type | default | |\n| --- | --- | --- | --- |");
    for o in options {
        let default = match &o.default {
            Some(text) => format!("`{text}`"),
            None if o.required => "required".into(),
            None => String::new(),
        };
        let limits = match o.limits {
            Limits::None => String::new(),
            Limits::OneOf(choices) => choices.iter().map(|c| format!("`{c}`")).collect::<Vec<_>>().join(", "),
            limits => limits.text(),
        };
        let notes: Vec<&str> = [o.doc.as_str(), limits.as_str()].into_iter().filter(|t| !t.is_empty()).collect();
        let _ = write!(out, "\n| `{}` | {} | {default} | {} |", o.name, o.kind, notes.join("; ").replace('|', "\\|"));
    }
    out
}

/// Whether a registered name is an operator or an indexer.
pub fn is_operator(name: &str) -> bool {
    name.starts_with("index$") || !name.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// The page on which a function stands.
pub fn page_of(f: &ApiFn) -> String {
    match f.receiver {
        Receiver::Namespace(ns) => ns.to_owned(),
        Receiver::Global => GLOBAL.into(),
        Receiver::Method(..) | Receiver::Model(..) => f.receiver.shown().unwrap_or_default(),
    }
}
