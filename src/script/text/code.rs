//! A text's tokens, lines and brackets.

use super::lexer::lex;
use super::lines::{Columns, Lines, Place};
use super::token::{Kind, Token};
use std::ops::Range;
use std::sync::Arc;

/// A text's lines, tokens and brackets.
#[derive(Debug, Clone)]
pub struct Code {
    /// The text.
    pub source: Arc<str>,
    /// Its lines.
    pub lines: Lines,
    /// Its tokens without comments.
    pub code: Vec<Token>,
    /// Its comments.
    pub comments: Vec<Token>,
    /// For each bracket of `code` the number of its partner.
    pub pairs: Vec<Option<usize>>,
}

impl Code {
    /// Reads a text.
    pub fn new(source: impl Into<Arc<str>>) -> Self {
        let source = source.into();
        let lines = Lines::new(&source);
        let (comments, code): (Vec<Token>, Vec<Token>) = lex(&source).into_iter().partition(Token::is_comment);
        let pairs = pairs(&source, &code);
        Code { source, lines, code, comments, pairs }
    }

    /// A token's text; nothing for a number that no token has.
    pub fn text(&self, i: usize) -> &str {
        self.code.get(i).map_or("", |t| t.text(&self.source))
    }

    /// A token's kind.
    pub fn kind(&self, i: usize) -> Option<Kind> {
        self.code.get(i).map(|t| t.kind)
    }

    /// The text at a place in bytes.
    pub fn slice(&self, range: Range<usize>) -> &str {
        self.source.get(range).unwrap_or_default()
    }

    /// The number of the token at a byte: the one that holds it, or ends there as a word.
    pub fn token_at(&self, offset: usize) -> Option<usize> {
        let next = self.code.partition_point(|t| t.end <= offset);
        let holds = |i: &usize| self.code.get(*i).is_some_and(|t| t.start <= offset);
        let ends = |i: &usize| self.code.get(*i).is_some_and(|t| t.end == offset && matches!(t.kind, Kind::Word | Kind::Text | Kind::Keyword));
        let word = |i: &usize| matches!(self.kind(*i), Some(Kind::Word | Kind::Text | Kind::Keyword));
        let inside = Some(next).filter(holds);
        inside.filter(word).or(next.checked_sub(1).filter(ends)).or(inside)
    }

    /// The comment that holds a byte, or ends there with its line.
    pub fn comment_at(&self, offset: usize) -> Option<&Token> {
        let i = self.comments.partition_point(|t| t.start < offset).checked_sub(1)?;
        let comment = self.comments.get(i)?;
        let is_line = !self.slice(comment.range()).starts_with("/*") || matches!(comment.kind, Kind::Fault(_));
        (offset < comment.end || (is_line && offset == comment.end)).then_some(comment)
    }

    /// The numbers of the brackets that are open at a byte, the outermost first.
    pub fn enclosing(&self, offset: usize) -> Vec<usize> {
        let mut open: Vec<usize> = Vec::new();
        for (i, token) in self.code.iter().enumerate().take_while(|(_, t)| t.start < offset) {
            match token.kind {
                // The closing bracket of a `{` may stand behind the cursor, so pairs say nothing here of brackets that are open.
                Kind::Open(_) if token.end <= offset => open.push(i),
                Kind::Close(_) => {
                    if let Some(partner) = self.pairs[i] {
                        open.retain(|o| *o < partner);
                    }
                }
                _ if self.begins_item(i) => open.clear(),
                _ => {}
            }
        }
        open
    }

    /// Whether a token begins a top-level item whatever is open before it: at the beginning of its line.
    pub fn begins_item(&self, i: usize) -> bool {
        begins_item(&self.source, &self.code, i)
    }

    /// The text in parts, each of which begins with an item at the beginning of its line: a parser that stops at the first fault finds one in each.
    pub fn parts(&self) -> Vec<Range<usize>> {
        let begins = (0..self.code.len()).filter(|i| self.begins_item(*i)).map(|i| self.code[i].start);
        let mut starts: Vec<usize> = std::iter::once(0).chain(begins.filter(|s| *s > 0)).collect();
        // `private` and `fn` on one line begin one item.
        starts.dedup_by_key(|s| self.lines.line(*s));
        let ends = starts.iter().skip(1).copied().chain([self.source.len()]);
        starts.iter().copied().zip(ends).map(|(a, b)| a..b).filter(|r| !r.is_empty()).collect()
    }

    /// Line and column of a byte.
    pub fn place(&self, offset: usize, columns: Columns) -> Place {
        self.lines.place(&self.source, offset, columns)
    }

    /// The byte at a line and column.
    pub fn offset(&self, place: Place, columns: Columns) -> usize {
        self.lines.offset(&self.source, place, columns)
    }
}

fn begins_item(source: &str, code: &[Token], i: usize) -> bool {
    let Some(token) = code.get(i).filter(|t| t.kind == Kind::Keyword) else { return false };
    let at_line = token.start == 0 || source[..token.start].ends_with('\n') || source[..token.start] == *"\u{feff}";
    let next = |i: usize, kind: Kind| code.get(i).is_some_and(|t| t.kind == kind);
    at_line
        && match token.text(source) {
            "fn" => next(i + 1, Kind::Word),
            "private" | "import" => true,
            "const" | "export" => next(i + 1, Kind::Word) || next(i + 1, Kind::Keyword),
            _ => false,
        }
}

/// Which bracket closes which. One that was forgotten costs its own function alone: the next item at the beginning of a line begins anew.
fn pairs(source: &str, code: &[Token]) -> Vec<Option<usize>> {
    let mut pairs = vec![None; code.len()];
    let mut open: Vec<usize> = Vec::new();
    for (i, token) in code.iter().enumerate() {
        match token.kind {
            Kind::Open(_) => open.push(i),
            Kind::Close(bracket) => {
                let Some(at) = open.iter().rposition(|o| code[*o].kind == Kind::Open(bracket)) else { continue };
                (pairs[i], pairs[open[at]]) = (Some(open[at]), Some(i));
                open.truncate(at);
            }
            _ if !open.is_empty() && begins_item(source, code, i) => open.clear(),
            _ => {}
        }
    }
    pairs
}
