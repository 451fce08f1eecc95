//! Finds what each name means, from brackets and keywords alone: no expression is parsed, so that a text half written has the same names.
//!
//! Functions, variables and modules have names of their own. A function sees its parameters, the text's functions and its imports; a closure
//! sees what is around it.

use super::code::Code;
use super::items::{Item, ItemKind};
use super::names::{Decl, DeclKind, Names, Use, UseKind};
use super::token::{Bracket, Kind};
use std::collections::HashMap;
use std::ops::Range;

/// Deeper than any text that parses; what is nested deeper is not looked at.
const DEEPEST: usize = 200;

/// The names of a text.
pub(super) fn resolve(script: &Code, items: &[Item]) -> Names {
    let by_name = items.iter().enumerate().filter(|(_, i)| !i.name.is_empty()).map(|(n, i)| (i.name.start, n)).collect();
    let mut r = Resolver { script, names: Names::default(), scopes: vec![Vec::new()], modules: Vec::new(), by_name, items };
    for (i, item) in items.iter().enumerate() {
        let kind = match item.kind {
            ItemKind::Function { .. } => DeclKind::Function,
            ItemKind::Import { .. } if !item.name.is_empty() => DeclKind::Module,
            _ => continue,
        };
        let name = script.slice(item.name.clone());
        let n = r.names.decls.len();
        match kind {
            DeclKind::Function => r.names.functions.entry(name.to_owned()).or_default().push(n),
            _ => r.modules.push((name.to_owned(), n)),
        }
        let visible = 0..script.source.len();
        r.names.decls.push(Decl { kind, name: item.name.clone(), visible, value: 0..0, item: Some(i), top: true });
    }
    r.walk(0..script.code.len(), script.source.len(), 0, Vec::new());
    let top = std::mem::take(&mut r.scopes);
    for item in items {
        let ItemKind::Function { params, body, .. } = &item.kind else { continue };
        r.scopes = vec![Vec::new()];
        let place = |n: usize, or: usize| script.code.get(n).map_or(or, |t| t.start);
        let end = place(body.end, script.source.len()).max(item.range.end.min(place(body.end, item.range.end)));
        for param in params {
            r.declare(DeclKind::Parameter, param.clone(), param.end..end, 0..0);
        }
        r.walk(body.clone(), end, 1, Vec::new());
    }
    // `global::NAME` is a constant of the top level.
    if let Some(top) = top.into_iter().next() {
        for u in 0..r.names.uses.len() {
            let (at, before) = (r.names.uses[u].at.clone(), u.checked_sub(1).map(|b| r.names.uses[b].clone()));
            let is_global = before.is_some_and(|b| b.kind == UseKind::Module && script.slice(b.at) == "global");
            if matches!(r.names.uses[u].kind, UseKind::Member(_)) && is_global {
                let found = top.iter().rev().find(|(n, _)| n == script.slice(at.clone())).map(|(_, d)| *d);
                if found.is_some() {
                    r.names.uses[u].kind = UseKind::Variable;
                    r.names.uses[u].decl = found;
                }
            }
        }
    }
    r.names.uses.sort_by_key(|u| u.at.start);
    r.names
}

struct Resolver<'a> {
    script: &'a Code,
    items: &'a [Item],
    names: Names,
    /// Variables by name, the innermost scope last.
    scopes: Vec<Vec<(String, usize)>>,
    modules: Vec<(String, usize)>,
    /// Items by the places of their names.
    by_name: HashMap<usize, usize>,
}

/// A declaration that holds from the end of its statement on.
struct Late {
    kind: DeclKind,
    name: usize,
    from: usize,
}

impl Resolver<'_> {
    fn declare(&mut self, kind: DeclKind, name: Range<usize>, visible: Range<usize>, value: Range<usize>) {
        let text = self.script.slice(name.clone()).to_owned();
        let n = self.names.decls.len();
        let top = self.scopes.len() == 1 && !matches!(kind, DeclKind::Parameter);
        let item = self.by_name.get(&name.start).copied();
        self.names.decls.push(Decl { kind, name, visible, value, item, top: top && item.is_some() });
        if kind == DeclKind::Module {
            self.modules.push((text, n));
        } else if let Some(scope) = self.scopes.last_mut() {
            scope.push((text, n));
        }
    }

    fn variable(&self, name: &str) -> Option<usize> {
        let found = self.scopes.iter().rev().find_map(|s| s.iter().rev().find(|(n, _)| n == name));
        found.map(|(_, d)| *d)
    }

    fn start(&self, i: usize) -> usize {
        self.script.code.get(i).map_or(self.script.source.len(), |t| t.start)
    }

    /// What the bracket at `i` closes with, within a part that ends at `to`.
    fn close(&self, i: usize, to: usize) -> usize {
        self.script.pairs[i].filter(|p| *p < to).unwrap_or(to)
    }

    fn in_scope(&mut self, range: Range<usize>, end: usize, depth: usize, declared: Vec<(DeclKind, usize)>) {
        self.scopes.push(Vec::new());
        for (kind, name) in declared {
            let name = self.script.code[name].range();
            self.declare(kind, name.clone(), name.end..end, 0..0);
        }
        self.walk(range, end, depth + 1, Vec::new());
        self.scopes.pop();
    }

    fn flush(&mut self, late: &mut Vec<Late>, at: usize, end: usize) {
        for l in late.drain(..) {
            let name = self.script.code[l.name].range();
            let from = self.start(at).max(name.end);
            self.declare(l.kind, name, from..end.max(from), l.from..at);
        }
    }

    /// Reads tokens of one scope that ends at byte `end`; `pending` goes into the next block.
    fn walk(&mut self, range: Range<usize>, end: usize, depth: usize, mut pending: Vec<(DeclKind, usize)>) {
        if depth > DEEPEST {
            return;
        }
        let script = self.script;
        let mut late: Vec<Late> = Vec::new();
        let (mut i, to) = (range.start, range.end.min(script.code.len()));
        while i < to {
            let text = script.text(i);
            match script.code[i].kind {
                Kind::Keyword => match text {
                    "let" | "const" if script.kind(i + 1) == Some(Kind::Word) && i + 1 < to => {
                        let kind = if text == "let" { DeclKind::Variable } else { DeclKind::Constant };
                        let has_value = script.kind(i + 2) == Some(Kind::Assign);
                        late.push(Late { kind, name: i + 1, from: if has_value { i + 3 } else { i + 2 } });
                        i += 2;
                        continue;
                    }
                    "fn" if depth == 0 => {
                        i = self.behind_function(i, to);
                        continue;
                    }
                    "import" => {
                        let is_named = script.text(i + 2) == "as" && script.kind(i + 3) == Some(Kind::Word);
                        if is_named && i + 3 < to {
                            if !self.by_name.contains_key(&script.code[i + 3].start) {
                                let name = script.code[i + 3].range();
                                self.declare(DeclKind::Module, name.clone(), name.end..end, 0..0);
                            }
                            i += 4;
                            continue;
                        }
                    }
                    // The new name of `export x as y` is no use of one.
                    "as" => {
                        i += 2;
                        continue;
                    }
                    "for" => {
                        let mut j = i + 1;
                        while j < to && !(script.kind(j) == Some(Kind::Keyword) || matches!(script.kind(j), Some(Kind::Open(Bracket::Brace)))) {
                            if script.kind(j) == Some(Kind::Word) {
                                pending.push((DeclKind::Loop, j));
                            }
                            j += 1;
                        }
                        i = j;
                        continue;
                    }
                    "catch" if script.kind(i + 1) == Some(Kind::Open(Bracket::Paren)) => {
                        if script.kind(i + 2) == Some(Kind::Word) {
                            pending.push((DeclKind::Caught, i + 2));
                        }
                        i = self.close(i + 1, to) + 1;
                        continue;
                    }
                    _ => {}
                },
                Kind::ClosureOpen | Kind::ClosureBars => {
                    i = self.closure(i, to, depth);
                    continue;
                }
                Kind::Open(bracket) => {
                    let close = self.close(i, to);
                    let inner = i + 1..close;
                    if matches!(bracket, Bracket::Brace | Bracket::Template) {
                        let declared = if bracket == Bracket::Brace { std::mem::take(&mut pending) } else { Vec::new() };
                        let end = self.start(close).min(end);
                        self.in_scope(inner, end, depth, declared);
                    } else {
                        self.walk(inner, end, depth + 1, Vec::new());
                    }
                    i = close + 1;
                    continue;
                }
                Kind::Semicolon => {
                    self.flush(&mut late, i, end);
                    pending.clear();
                }
                Kind::Word => self.word(i),
                _ => {}
            }
            i += 1;
        }
        self.flush(&mut late, to, end);
    }

    /// A closure: its parameters, and its body up to the end of the expression or its block.
    fn closure(&mut self, i: usize, to: usize, depth: usize) -> usize {
        let script = self.script;
        let mut declared = Vec::new();
        let mut body = i + 1;
        if script.kind(i) == Some(Kind::ClosureOpen) {
            while body < to && matches!(script.kind(body), Some(Kind::Word | Kind::Comma)) {
                if script.kind(body) == Some(Kind::Word) {
                    declared.push((DeclKind::ClosureParameter, body));
                }
                body += 1;
            }
            if script.kind(body) == Some(Kind::ClosureClose) {
                body += 1;
            }
        }
        let mut end = body;
        while end < to && !matches!(script.kind(end), Some(Kind::Comma | Kind::Semicolon | Kind::Close(_))) {
            let is_block = end == body && script.kind(end) == Some(Kind::Open(Bracket::Brace));
            match script.kind(end) {
                Some(Kind::Open(_)) => end = self.close(end, to),
                // A closure that gives a closure: the commas between its parameters end nothing.
                Some(Kind::ClosureOpen) => end = (end..to).find(|j| script.kind(*j) == Some(Kind::ClosureClose)).unwrap_or(to),
                _ => {}
            }
            end += 1;
            if is_block {
                break;
            }
        }
        let end = end.min(to);
        let place = end.checked_sub(1).and_then(|e| script.code.get(e)).map_or(0, |t| t.end).max(self.start(body));
        // What is being typed behind the last token belongs to the body.
        let place = place.max(self.start(end).min(place + 1));
        self.in_scope(body..end, place, depth, declared);
        end
    }

    fn behind_function(&self, i: usize, to: usize) -> usize {
        let item = self.by_name.get(&self.start(i + 1)).and_then(|n| self.items.get(*n));
        let end = item.map_or(0, |item| item.range.end);
        let behind = self.script.code.partition_point(|t| t.start < end);
        behind.clamp(i + 1, to.max(i + 1))
    }

    fn word(&mut self, i: usize) {
        let script = self.script;
        let at = script.code[i].range();
        let name = script.slice(at.clone());
        let before = i.checked_sub(1).and_then(|b| script.kind(b));
        let next = script.kind(i + 1);
        let is_call = matches!(next, Some(Kind::Open(Bracket::Paren) | Kind::CallBang));
        let (kind, decl) = match (before, next) {
            (Some(Kind::Dot), _) => (UseKind::Property(is_call), None),
            (Some(Kind::Path), Some(Kind::Path)) | (_, Some(Kind::Path)) => (UseKind::Module, self.module(name)),
            (Some(Kind::Path), _) => {
                let module = i.checked_sub(2).map(|m| script.text(m));
                (UseKind::Member(is_call), module.and_then(|m| self.module(m)))
            }
            (Some(Kind::Open(Bracket::Map) | Kind::Comma), Some(Kind::Colon)) if self.is_key(i) => (UseKind::Key, None),
            _ if is_call => (UseKind::Call, self.function(name, i + 1)),
            _ => (UseKind::Variable, self.variable(name)),
        };
        self.names.uses.push(Use { kind, at, token: i, decl });
    }

    fn module(&self, name: &str) -> Option<usize> {
        self.modules.iter().rev().find(|(n, _)| n == name).map(|(_, d)| *d)
    }

    /// A function by name; of several the one with as many parameters as arguments.
    fn function(&self, name: &str, open: usize) -> Option<usize> {
        let known = self.names.functions(name);
        if known.len() < 2 {
            return known.first().copied();
        }
        let given = super::site::count_arguments(self.script, open);
        let takes = |d: &&usize| {
            let item = self.names.decls[**d].item.and_then(|i| self.items.get(i));
            matches!(item.map(|i| &i.kind), Some(ItemKind::Function { params, .. }) if params.len() == given)
        };
        known.iter().find(takes).or(known.first()).copied()
    }

    /// Whether the colon behind a word belongs to a map: not to an index or a template's format.
    fn is_key(&self, i: usize) -> bool {
        let mut j = i;
        while let Some(b) = j.checked_sub(1) {
            match self.script.kind(b) {
                Some(Kind::Open(bracket)) => return bracket == Bracket::Map,
                Some(Kind::Close(_)) => match self.script.pairs[b] {
                    Some(open) => j = open,
                    None => return false,
                },
                _ => j = b,
            }
        }
        false
    }
}
