//! What each part of a text is, for editors that color it.

use super::project::Project;
use crate::script::text::lines::Columns;
use crate::script::text::names::{DeclKind, UseKind};
use crate::script::text::script::Script;
use crate::script::text::token::{Kind, Token};
use gen_lsp_types::SemanticToken;
use std::collections::HashMap;
use std::ops::Range;

/// The kinds, in the order of their numbers.
pub const TYPES: &[&str] =
    &["namespace", "function", "method", "property", "parameter", "variable", "string", "number", "comment", "keyword", "operator"];
/// What else is told, in the order of bits.
pub const MODIFIERS: &[&str] = &["declaration", "readonly", "documentation", "defaultLibrary"];

const DECLARATION: u32 = 1;
const READONLY: u32 = 2;
const DOCUMENTATION: u32 = 4;
const LIBRARY: u32 = 8;

/// The tokens of a text that meet a part of it, each on one line, relative to the one before.
pub fn tokens(project: &Project, script: &Script, part: Range<usize>, columns: Columns) -> Vec<SemanticToken> {
    let names = names(project, script);
    let mut all: Vec<(Token, (u32, u32))> =
        script.code.iter().filter_map(|t| Some((*t, names.get(&t.start).copied().or_else(|| plain(t))?))).collect();
    all.extend(
        script.comments.iter().map(|t| (*t, if matches!(t.kind, Kind::DocComment | Kind::TextComment) { (8, DOCUMENTATION) } else { (8, 0) })),
    );
    all.sort_by_key(|(t, _)| t.start);
    let (mut out, mut line_before, mut column_before) = (Vec::new(), 0, 0);
    let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    for (token, (token_type, modifiers)) in all.into_iter().filter(|(t, _)| t.start < part.end && t.end > part.start) {
        // Few editors take a token over several lines.
        for line in script.lines.line(token.start)..=script.lines.line(token.end.saturating_sub(1).max(token.start)) {
            let first = script.lines.start(&script.source, line);
            let end = token.end.min(first + script.lines.text(&script.source, line).len());
            let start = token.start.max(first);
            if start >= end {
                continue;
            }
            let column = script.place(start, columns).column;
            let length = script.place(end, columns).column.saturating_sub(column);
            let delta_start = if line == line_before { column - column_before } else { column };
            out.push(SemanticToken {
                delta_line: small(line - line_before),
                delta_start: small(delta_start),
                length: small(length),
                token_type,
                token_modifiers_bitset: modifiers,
            });
            (line_before, column_before) = (line, column);
        }
    }
    out
}

fn plain(token: &Token) -> Option<(u32, u32)> {
    Some(match token.kind {
        Kind::Keyword | Kind::Bool => (9, 0),
        Kind::Number => (7, 0),
        Kind::Text | Kind::RawText | Kind::Char | Kind::Template | Kind::TemplateHead | Kind::TemplateMiddle | Kind::TemplateTail => (6, 0),
        Kind::Operator | Kind::Assign | Kind::Arrow | Kind::Prefix | Kind::Range => (10, 0),
        _ => return None,
    })
}

fn of_decl(kind: DeclKind) -> (u32, u32) {
    match kind {
        DeclKind::Function => (1, 0),
        DeclKind::Module => (0, 0),
        DeclKind::Parameter | DeclKind::ClosureParameter => (4, 0),
        DeclKind::Constant => (5, READONLY),
        DeclKind::Variable | DeclKind::Loop | DeclKind::Caught => (5, 0),
    }
}

fn names(project: &Project, script: &Script) -> HashMap<usize, (u32, u32)> {
    let mut out = HashMap::new();
    for decl in &script.names.decls {
        let (kind, modifiers) = of_decl(decl.kind);
        out.insert(decl.name.start, (kind, modifiers | DECLARATION));
    }
    for u in &script.names.uses {
        let decl = u.decl.and_then(|d| script.names.decls.get(d));
        let is_native = decl.is_none() && !project.named(script.slice(u.at.clone())).is_empty();
        let library = if is_native { LIBRARY } else { 0 };
        let found = match u.kind {
            UseKind::Variable => decl.map_or((5, 0), |d| of_decl(d.kind)),
            UseKind::Call | UseKind::Member(true) => (1, library),
            UseKind::Module => (0, if decl.is_none() { LIBRARY } else { 0 }),
            UseKind::Member(false) => (5, READONLY),
            UseKind::Property(true) => (2, library),
            UseKind::Property(false) | UseKind::Key => (3, 0),
        };
        out.insert(u.at.start, found);
    }
    out
}
