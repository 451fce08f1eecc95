//! What stands between two tokens of a line.

use crate::script::text::lexer::lex;
use crate::script::text::token::{Bracket, Kind, Token};
use std::borrow::Cow;

/// The brackets that are open, and whether a template's format is being passed.
#[derive(Default)]
pub(super) struct Spacing {
    open: Vec<Bracket>,
    /// How many brackets are open around a format, such as `.3` of `${x:.3}`.
    format: Option<usize>,
}

impl Spacing {
    /// The blanks between two tokens that the author put on one line, with `gap` between them.
    pub(super) fn between<'a>(&self, source: &str, before: &Token, token: &Token, gap: &'a str) -> Cow<'a, str> {
        let is_format = token.kind == Kind::Colon && self.open.last() == Some(&Bracket::Template);
        if is_format || self.format.is_some() || token.is_comment() && !gap.is_empty() {
            return gap.into();
        }
        let wanted = self.wants_blank(source, before, token, !gap.is_empty());
        if wanted || (!gap.is_empty() && merges(source, before, token)) { " ".into() } else { "".into() }
    }

    /// Takes note of a token that has been written.
    pub(super) fn passed(&mut self, token: &Token) {
        match token.kind {
            Kind::Open(bracket) => self.open.push(bracket),
            Kind::Close(_) => {
                self.open.pop();
                self.format = self.format.filter(|depth| self.open.len() >= *depth);
            }
            Kind::Colon if self.open.last() == Some(&Bracket::Template) && self.format.is_none() => self.format = Some(self.open.len()),
            _ => {}
        }
    }

    fn wants_blank(&self, source: &str, before: &Token, token: &Token, has_blank: bool) -> bool {
        use Bracket::{Brace, Map, Paren, Square, Template};
        match (before.kind, token.kind) {
            _ if before.is_comment() || token.is_comment() => has_blank,
            (Kind::TemplateHead | Kind::TemplateMiddle, _) | (Kind::Close(Template), _) => false,
            // An empty block may have a blank in it.
            (Kind::Open(Brace), Kind::Close(Brace)) => has_blank,
            (Kind::Open(_), Kind::Close(_)) => false,
            (Kind::Open(Paren | Square | Template), _) | (_, Kind::Close(Paren | Square | Template)) => false,
            (Kind::Open(Brace | Map), _) | (_, Kind::Close(Brace | Map)) => true,
            (_, Kind::Comma | Kind::Semicolon) => false,
            (Kind::Colon, _) | (_, Kind::Colon) if self.open.last() == Some(&Square) => before.kind == Kind::Comma,
            (Kind::Comma | Kind::Semicolon, _) => true,
            (_, Kind::Colon) => false,
            (Kind::Colon, _) => true,
            (Kind::Path | Kind::Dot | Kind::Prefix | Kind::CallBang, _) | (_, Kind::Path | Kind::Dot | Kind::CallBang) => false,
            (Kind::ClosureOpen, _) | (_, Kind::ClosureClose) => false,
            (Kind::ClosureClose | Kind::ClosureBars, _) => true,
            (Kind::Keyword | Kind::Operator | Kind::Assign | Kind::Arrow, _) | (_, Kind::Keyword | Kind::Operator | Kind::Assign | Kind::Arrow) => {
                true
            }
            (Kind::Range, _) | (_, Kind::Range) => false,
            // A block, then a list or a value in parentheses: not an index or a call of what it gives.
            (Kind::Close(Brace), Kind::Open(Paren | Square)) => has_blank,
            (_, Kind::Open(Square)) if token.text(source) == "?[" => false,
            (_, Kind::Open(Paren | Square)) => !before.ends_value(),
            _ => true,
        }
    }
}

/// Whether two tokens would be read as others with nothing between them.
fn merges(source: &str, before: &Token, token: &Token) -> bool {
    let (a, b) = (before.text(source), token.text(source));
    // Texts and templates end by themselves; what begins a template's rest would not be read as one.
    if matches!(
        before.kind,
        Kind::Text | Kind::RawText | Kind::Template | Kind::TemplateTail | Kind::TemplateHead | Kind::TemplateMiddle | Kind::Close(_)
    ) {
        return false;
    }
    // What follows has a say: `2.` is a number, `2.max` is not.
    let mut end = (token.end + 2).min(source.len());
    while !source.is_char_boundary(end) {
        end += 1;
    }
    let both = lex(&format!("{a}{b}{}", source.get(token.end..end).unwrap_or_default()));
    both.first().map(|t| t.end) != Some(a.len())
}
