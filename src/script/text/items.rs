//! The top level of a text: imports, constants, variables and functions.

use super::code::Code;
use super::token::{Bracket, Kind, Token};
use std::ops::Range;

/// What an item is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ItemKind {
    /// `import "path" as name;`
    Import {
        /// What is imported, as written, without quotes.
        path: String,
        /// Where that stands, without quotes.
        at: Range<usize>,
    },
    /// `fn name(params) { .. }`
    Function {
        /// The places of its parameters.
        params: Vec<Range<usize>>,
        /// The numbers of its body's tokens, without the brackets.
        body: Range<usize>,
        /// Whether other scripts do not see it.
        private: bool,
    },
    /// `const name = ..`
    Constant,
    /// `let name = ..`
    Variable,
}

/// Something at the top level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// What it is.
    pub kind: ItemKind,
    /// Its name's place in bytes; empty for an import without one.
    pub name: Range<usize>,
    /// From its first token to its last, in bytes, without the comment above it.
    pub range: Range<usize>,
    /// The doc comments above it, without their marks.
    pub doc: String,
    /// Whether importing scripts see it.
    pub exported: bool,
}

impl Item {
    /// Its name.
    pub fn name<'a>(&self, script: &'a Code) -> &'a str {
        script.slice(self.name.clone())
    }

    /// A function as it is called: `loss(run, z, targets)`.
    pub fn signature(&self, script: &Code) -> String {
        let ItemKind::Function { params, .. } = &self.kind else { return self.name(script).to_owned() };
        let params: Vec<&str> = params.iter().map(|p| script.slice(p.clone())).collect();
        format!("{}({})", self.name(script), params.join(", "))
    }
}

/// Everything at the top level, in the order of the text.
pub(super) fn items(script: &Code) -> Vec<Item> {
    let mut out = Vec::new();
    let mut i = 0;
    while i < script.code.len() {
        let (item, next) = item(script, i);
        out.extend(item);
        i = next.max(i + 1);
    }
    out
}

/// The item that begins with token `i`, and the number of the token behind it.
fn item(script: &Code, i: usize) -> (Option<Item>, usize) {
    // What is open without an end is passed token by token, so that items behind it are found.
    if let Some(Kind::Open(_)) = script.kind(i) {
        return (None, script.pairs[i].map_or(i + 1, |p| p + 1));
    }
    if script.kind(i) != Some(Kind::Keyword) {
        return (None, i + 1);
    }
    let exported = matches!(script.text(i), "export");
    let private = matches!(script.text(i), "private");
    let at = if exported || private { i + 1 } else { i };
    match script.text(at) {
        "import" => import(script, i),
        "const" | "let" if script.kind(at + 1) == Some(Kind::Word) => {
            let end = statement_end(script, at + 2);
            let kind = if script.text(at) == "const" { ItemKind::Constant } else { ItemKind::Variable };
            (Some(made(script, i, end, at + 1, kind, exported)), end + 1)
        }
        "fn" if matches!(script.kind(at + 1), Some(Kind::Word)) => function(script, i, at, private),
        _ => (None, i + 1),
    }
}

fn made(script: &Code, first: usize, last: usize, name: usize, kind: ItemKind, exported: bool) -> Item {
    let first = &script.code[first];
    let last = script.code.get(last).or(script.code.last()).unwrap_or(first);
    let name = script.code.get(name).map_or(first.start..first.start, Token::range);
    Item { kind, name, range: first.start..last.end.max(first.end), doc: doc(script, first.start), exported }
}

fn import(script: &Code, i: usize) -> (Option<Item>, usize) {
    if script.kind(i + 1) != Some(Kind::Text) {
        return (None, i + 1);
    }
    let end = statement_end(script, i + 2);
    let text = script.code[i + 1].range();
    let at = text.start + 1..text.end.saturating_sub(1).max(text.start + 1);
    let name = if script.text(i + 2) == "as" && script.kind(i + 3) == Some(Kind::Word) { i + 3 } else { usize::MAX };
    let kind = ItemKind::Import { path: script.slice(at.clone()).to_owned(), at };
    (Some(made(script, i, end, name, kind, false)), end + 1)
}

fn function(script: &Code, first: usize, at: usize, private: bool) -> (Option<Item>, usize) {
    let name = at + 1;
    let open = name + 1;
    let mut params = Vec::new();
    let mut end = name;
    if script.kind(open) == Some(Kind::Open(Bracket::Paren)) {
        end = open;
        // Without its `)`, a list of parameters ends with what cannot be in one.
        for j in open + 1..script.code.len() {
            match script.kind(j) {
                Some(Kind::Word) if script.lines.line(script.code[j].start) <= script.lines.line(script.code[end].start) + 1 => {
                    params.push(script.code[j].range())
                }
                Some(Kind::Comma) => {}
                Some(Kind::Close(Bracket::Paren)) => {
                    end = j;
                    break;
                }
                _ => break,
            }
            end = j;
        }
    }
    let brace = end + 1;
    let (body, last) = match script.kind(brace) {
        Some(Kind::Open(Bracket::Brace)) => {
            let close = script.pairs[brace].unwrap_or_else(|| next_item(script, brace + 1));
            (brace + 1..close, if script.pairs[brace].is_some() { close } else { close.saturating_sub(1) })
        }
        _ => (brace..brace, end),
    };
    let next = last + 1;
    (Some(made(script, first, last, name, ItemKind::Function { params, body, private }, !private)), next)
}

fn next_item(script: &Code, from: usize) -> usize {
    (from..script.code.len()).find(|i| script.begins_item(*i)).unwrap_or(script.code.len())
}

/// The `;` that ends a statement, or the last token before one that begins an item.
fn statement_end(script: &Code, from: usize) -> usize {
    let mut i = from;
    while i < script.code.len() {
        match script.kind(i) {
            Some(Kind::Semicolon) => return i,
            Some(Kind::Open(_)) => i = script.pairs[i].unwrap_or(i),
            Some(Kind::Close(_)) => return i.saturating_sub(1),
            _ if script.begins_item(i) => return i.saturating_sub(1),
            _ => {}
        }
        i += 1;
    }
    script.code.len().saturating_sub(1)
}

/// The doc comments that end on the line above a place, without their marks.
fn doc(script: &Code, start: usize) -> String {
    let behind = script.comments.partition_point(|c| c.end <= start);
    let mut line = script.lines.line(start);
    let mut texts = Vec::new();
    for comment in script.comments[..behind].iter().rev() {
        if comment.kind != Kind::DocComment || script.lines.line(comment.end.saturating_sub(1)) + 1 != line {
            break;
        }
        line = script.lines.line(comment.start);
        texts.push(plain(comment.text(&script.source)));
    }
    texts.reverse();
    texts.join("\n")
}

/// A doc comment without `///`, or `/**` and `*/`.
pub fn plain(comment: &str) -> String {
    if let Some(line) = comment.strip_prefix("///").or_else(|| comment.strip_prefix("//!")) {
        return line.strip_prefix(' ').unwrap_or(line).trim_end().to_owned();
    }
    let inside = comment.trim_start_matches("/**").trim_end_matches("*/");
    let lines = inside.lines().map(|l| l.trim_start().trim_start_matches('*').trim_start().trim_end());
    lines.collect::<Vec<_>>().join("\n").trim().to_owned()
}
