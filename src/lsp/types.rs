//! The types of values as far as a text tells: literals, what functions of the host return, and variables that begin with such a value.

use super::host::{EntryKind, Owner};
use super::project::Project;
use crate::script::text::items::ItemKind;
use crate::script::text::names::{At, UseKind};
use crate::script::text::script::Script;
use crate::script::text::token::{Bracket, Kind};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Longer ways from a name to a value are not followed.
const FURTHEST: usize = 8;

/// What is known of a value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Type {
    /// As the host calls it: `tensor`, `map`, `string`.
    pub name: String,
    /// The keys of a map.
    pub keys: Vec<String>,
}

impl Type {
    fn named(name: &str) -> Option<Type> {
        (!name.is_empty()).then(|| Type { name: name.to_owned(), keys: Vec::new() })
    }
}

/// Reads types in one text.
pub struct Types<'a> {
    project: &'a Project,
    path: &'a Path,
    script: &'a Script,
    left: usize,
}

impl<'a> Types<'a> {
    /// For that text.
    pub fn new(project: &'a Project, path: &'a Path, script: &'a Script) -> Self {
        Types { project, path, script, left: FURTHEST }
    }

    fn deeper(&self) -> Option<Types<'a>> {
        Some(Types { project: self.project, path: self.path, script: self.script, left: self.left.checked_sub(1)? })
    }

    /// The type of what stands before the dot at token `dot`.
    pub fn before_dot(&self, dot: usize) -> Option<Type> {
        let start = self.chain_start(dot.checked_sub(1)?)?;
        self.chain(start..dot)
    }

    /// Where a chain of names, calls and indices begins that ends with token `last`.
    fn chain_start(&self, last: usize) -> Option<usize> {
        let s = self.script;
        let mut i = last;
        loop {
            match s.kind(i)? {
                Kind::Close(Bracket::Paren | Bracket::Square) => {
                    i = s.pairs[i]?;
                    let before = i.checked_sub(1).and_then(|b| s.code.get(b));
                    if !before.is_some_and(|b| matches!(b.kind, Kind::Word | Kind::Close(Bracket::Paren | Bracket::Square) | Kind::CallBang)) {
                        return Some(i);
                    }
                    i -= 1;
                }
                Kind::CallBang => i = i.checked_sub(1)?,
                Kind::Close(Bracket::Map) => return s.pairs[i],
                Kind::Close(_) => return None,
                Kind::TemplateTail => {
                    // Back over what stands in the template.
                    while !matches!(s.kind(i), Some(Kind::TemplateHead)) {
                        i = i.checked_sub(1)?;
                    }
                    return Some(i);
                }
                _ => match i.checked_sub(1).and_then(|b| s.kind(b)) {
                    Some(Kind::Dot | Kind::Path) => i = i.checked_sub(2)?,
                    _ => return Some(i),
                },
            }
        }
    }

    /// The type of an expression.
    pub fn expression(&self, range: Range<usize>) -> Option<Type> {
        let s = self.script;
        let (mut i, mut from, mut found): (usize, usize, Vec<Option<Type>>) = (range.start, range.start, Vec::new());
        while i < range.end {
            match s.kind(i)? {
                Kind::Open(_) => i = s.pairs[i].filter(|p| *p < range.end)?,
                Kind::Keyword | Kind::ClosureOpen | Kind::ClosureBars | Kind::Range | Kind::Arrow => return None,
                Kind::Operator => {
                    if matches!(s.text(i), "==" | "!=" | "<" | ">" | "<=" | ">=" | "&&" | "||") {
                        return Type::named("bool");
                    }
                    found.push(self.chain(from..i));
                    from = i + 1;
                }
                Kind::Prefix => from = i + 1,
                _ => {}
            }
            i += 1;
        }
        found.push(self.chain(from..range.end));
        // Whatever a tensor is added to, a tensor comes of it.
        let tensor = found.iter().flatten().find(|t| t.name == "tensor").cloned();
        let is_map = found.iter().all(|t| t.as_ref().is_some_and(|t| t.name == "map"));
        if is_map && found.len() > 1 {
            let keys = found.into_iter().flatten().flat_map(|t| t.keys).collect();
            return Some(Type { name: "map".into(), keys });
        }
        tensor.or_else(|| found.into_iter().next().flatten())
    }

    /// The type of a value with what follows it: `f(x).y[0]`.
    fn chain(&self, range: Range<usize>) -> Option<Type> {
        let s = self.script;
        let mut i = range.start;
        let first = s.kind(i).filter(|_| i < range.end)?;
        let mut value = match first {
            Kind::Text | Kind::RawText | Kind::Template => {
                i += 1;
                Type::named("string")
            }
            Kind::TemplateHead => {
                i = (i..range.end).find(|j| matches!(s.kind(*j), Some(Kind::TemplateTail)))? + 1;
                Type::named("string")
            }
            Kind::Number => {
                i += 1;
                let text = s.text(i - 1);
                Type::named(if text.contains(['.', 'e']) && !text.contains('x') { "float" } else { "int" })
            }
            Kind::Bool => {
                i += 1;
                Type::named("bool")
            }
            Kind::Open(bracket) => {
                let close = s.pairs[i].filter(|p| *p < range.end)?;
                let inner = i + 1..close;
                i = close + 1;
                match bracket {
                    Bracket::Square => Type::named("array"),
                    Bracket::Map => Some(Type { name: "map".into(), keys: self.keys(inner) }),
                    Bracket::Paren if inner.is_empty() => None,
                    Bracket::Paren => self.expression(inner),
                    _ => None,
                }
            }
            Kind::Word => {
                while s.kind(i + 1) == Some(Kind::Path) && s.kind(i + 2) == Some(Kind::Word) {
                    i += 2;
                }
                i += 1;
                self.name(i - 1)
            }
            _ => return None,
        };
        while i < range.end {
            match s.kind(i)? {
                Kind::Open(Bracket::Paren) => i = s.pairs[i].filter(|p| *p < range.end)? + 1,
                Kind::CallBang => i += 1,
                Kind::Open(Bracket::Square) => {
                    i = s.pairs[i].filter(|p| *p < range.end)? + 1;
                    value = value.filter(|t| t.name == "tensor");
                }
                Kind::Dot => {
                    let (name, owner) = (s.text(i + 1), Owner::Type(value?.name));
                    let found = self.project.owned(&owner, name);
                    value = found.first().and_then(|e| Type::named(&self.project.entries()[*e].returns));
                    i += 2;
                }
                _ => return None,
            }
        }
        value
    }

    fn keys(&self, inner: Range<usize>) -> Vec<String> {
        let s = self.script;
        let (mut i, mut out, mut begins) = (inner.start, Vec::new(), true);
        while i < inner.end {
            match s.kind(i) {
                Some(Kind::Word | Kind::Text) if begins && s.kind(i + 1) == Some(Kind::Colon) => out.push(s.text(i).trim_matches('"').to_owned()),
                Some(Kind::Open(_)) => i = s.pairs[i].unwrap_or(inner.end),
                _ => {}
            }
            begins = s.kind(i) == Some(Kind::Comma);
            i += 1;
        }
        out
    }

    /// What the word at a token stands for: a variable's value, or what a function returns.
    fn name(&self, token: usize) -> Option<Type> {
        let s = self.script;
        let Some(At::Use(u)) = s.names.at(s.code.get(token)?.start) else { return None };
        let next = self.deeper()?;
        match (u.kind, u.decl) {
            (UseKind::Variable, Some(d)) => {
                let decl = s.names.decls.get(d)?;
                next.expression(decl.value.clone())
            }
            (UseKind::Call, Some(d)) => next.returned(d),
            (UseKind::Member(true), Some(d)) => {
                let file: PathBuf = self.project.module(self.path, s, d)?;
                let (script, found): (Arc<Script>, usize) = self.project.member(&file, s.text(token))?;
                Types { project: self.project, path: &file, script: &script, left: next.left }.returned(found)
            }
            (UseKind::Call | UseKind::Member(_), None) => {
                let owner = match u.kind {
                    UseKind::Call => Owner::Global,
                    _ => Owner::Namespace(s.text(token.checked_sub(2)?).to_owned()),
                };
                let found = self.project.owned(&owner, s.text(token));
                found.iter().map(|e| &self.project.entries()[*e]).find(|e| e.kind != EntryKind::Property).and_then(|e| Type::named(&e.returns))
            }
            _ => None,
        }
    }

    /// What a function of the text returns: the type of its last expression.
    fn returned(&self, decl: usize) -> Option<Type> {
        let s = self.script;
        let item = s.names.decls.get(decl)?.item.and_then(|i| s.items.get(i))?;
        let ItemKind::Function { body, .. } = &item.kind else { return None };
        let (mut i, mut from) = (body.start, body.start);
        while i < body.end {
            match s.kind(i)? {
                Kind::Semicolon => from = i + 1,
                Kind::Open(bracket) => {
                    i = s.pairs[i].filter(|p| *p < body.end)?;
                    if bracket == Bracket::Brace {
                        from = i + 1;
                    }
                }
                _ => {}
            }
            i += 1;
        }
        self.expression(from..body.end)
    }
}
