//! What the parser of the language does not know by itself: several indices in `x[..]`, and formats in `${..}`.
//!
//! rhai's parser takes one expression between the brackets, and blocks between `${` and `}`. Its tokens can be exchanged one for one on
//! their way to it, so that lines and columns stay what they are: every `,` and `:` of an index becomes an operator between two
//! operands, a prefix in front of one, or an operand by itself, whatever the grammar allows at its place. All three build the same list,
//! see [`super::indices`]. Which it must be is told by what follows in the text.

use super::formats::{self, Spec};
use super::indices::{ELLIPSIS, Separator};
use rhai::{AST, Engine, LexError, ParseError, Position, Token};
use std::cell::RefCell;

thread_local! {
    /// The text that is being parsed.
    static READER: RefCell<Option<Reader>> = const { RefCell::new(None) };
}

/// Parses a text of the language.
pub(crate) fn parse(engine: &Engine, text: &str) -> Result<AST, ParseError> {
    struct Restore(Option<Reader>);
    impl Drop for Restore {
        fn drop(&mut self) {
            READER.replace(self.0.take());
        }
    }
    let _before = Restore(READER.replace(Some(Reader::new(text))));
    engine.compile(text)
}

/// The token that the parser gets in the place of one of the text.
pub(super) fn exchanged(token: Token, at: Position) -> Token {
    READER.with_borrow_mut(|reader| match reader {
        Some(reader) => reader.token(token, at),
        None => token,
    })
}

/// An open bracket.
#[derive(PartialEq)]
enum Open {
    /// `x[`; whether it holds several indices.
    Index {
        is_list: bool,
    },
    /// `${`
    Template,
    Other,
}

struct Reader {
    text: Box<str>,
    /// Where each line begins.
    lines: Vec<usize>,
    open: Vec<Open>,
    /// What the last token was.
    last: Last,
    /// A format: how many of its tokens follow, and the format.
    format: Option<(usize, String)>,
}

#[derive(PartialEq, Clone, Copy)]
enum Last {
    /// The end of an operand.
    Operand,
    /// `}`, which may be the end of one.
    Brace,
    /// The part of a template in front of `${`.
    Template,
    Other,
}

impl Reader {
    fn new(text: &str) -> Self {
        Reader { text: text.into(), lines: Vec::new(), open: Vec::new(), last: Last::Other, format: None }
    }

    fn token(&mut self, token: Token, at: Position) -> Token {
        let token = match self.format.take() {
            Some((n, spec)) if n > 1 => {
                self.format = Some((n - 1, spec));
                Token::Custom(Box::new(formats::PREFIX.into()))
            }
            Some((_, spec)) => Token::StringConstant(Box::new(spec.into())),
            None => match self.open.last() {
                Some(Open::Index { is_list }) => self.of_index(token, at, *is_list),
                Some(Open::Template) if token == Token::Colon => self.of_template(token, at),
                _ => token,
            },
        };
        match token {
            Token::LeftBracket if self.last == Last::Operand => self.open.push(Open::Index { is_list: false }),
            Token::QuestionBracket => self.open.push(Open::Index { is_list: false }),
            Token::LeftBrace if self.last == Last::Template => self.open.push(Open::Template),
            Token::LeftBracket | Token::LeftBrace | Token::LeftParen | Token::MapStart => self.open.push(Open::Other),
            Token::RightBracket | Token::RightBrace | Token::RightParen => {
                self.open.pop();
            }
            _ => {}
        }
        self.last = match &token {
            Token::Identifier(_) | Token::IntegerConstant(_) | Token::FloatConstant(_) | Token::StringConstant(_) | Token::CharConstant(_) => {
                Last::Operand
            }
            Token::RightParen | Token::RightBracket | Token::Unit | Token::True | Token::False => Last::Operand,
            Token::Reserved(word) if word.as_str() == "this" => Last::Operand,
            Token::RightBrace => Last::Brace,
            Token::InterpolatedString(_) => Last::Template,
            _ => Last::Other,
        };
        token
    }

    /// A token between the brackets of an index, in none inside them.
    fn of_index(&mut self, token: Token, at: Position, is_list: bool) -> Token {
        let behind_operand = matches!(self.last, Last::Operand | Last::Brace);
        let Some(start) = self.offset(at) else { return token };
        let (separator, width) = match &token {
            Token::Comma => (Separator::Comma, 1),
            Token::Colon => (Separator::Colon, 1),
            Token::DoubleColon if !self.is_path(start + 2) => (Separator::Colons, 2),
            // `a..` in front of a comma, where the parser does not know an open range.
            Token::ExclusiveRange if behind_operand && self.next(start + 2) == Some(',') => (Separator::Colon, 2),
            Token::ExclusiveRange if !behind_operand => {
                let next = self.next(start + 2);
                let is_alone = next == Some(',') || (next == Some(']') && is_list);
                return if is_alone { Token::StringConstant(Box::new(ELLIPSIS.into())) } else { token };
            }
            Token::Reserved(word) if !behind_operand && word.as_str() == "..." => return Token::StringConstant(Box::new(ELLIPSIS.into())),
            _ => return token,
        };
        let syntax = if token == Token::ExclusiveRange { ".." } else { separator.text() };
        if !self.text[start..].starts_with(syntax) {
            return token;
        }
        if let Some(Open::Index { is_list }) = self.open.last_mut() {
            *is_list = true;
        }
        let (more, is_end) = self.run(start + width);
        match (behind_operand, is_end) {
            // `1:]`: the parser's own open range.
            (true, true) if more == 0 => {
                if separator == Separator::Comma {
                    token
                } else {
                    Token::ExclusiveRange
                }
            }
            (true, _) => Token::Custom(Box::new(separator.between().into())),
            // What remains must end with an operand or a prefix in front of one.
            (false, _) if (more % 2 == 0) == is_end => Token::StringConstant(Box::new(separator.alone().into())),
            (false, _) => Token::Custom(Box::new(separator.prefix().into())),
        }
    }

    /// `:` between `${` and `}`.
    fn of_template(&mut self, token: Token, at: Position) -> Token {
        let Some(start) = self.offset(at).filter(|i| self.text[*i..].starts_with(':')) else { return token };
        let Some(text) = self.text[start + 1..].split_once('}').map(|(text, _)| text) else { return token };
        if let Err(e) = Spec::read(text) {
            return Token::LexError(Box::new(LexError::ImproperSymbol(":".into(), e)));
        }
        self.format = Some((formats::tokens(text), text.to_owned()));
        Token::Custom(Box::new(formats::OPERATOR.into()))
    }

    /// Where a place is in the text.
    fn offset(&mut self, at: Position) -> Option<usize> {
        if self.lines.is_empty() {
            self.lines = std::iter::once(0).chain(self.text.match_indices('\n').map(|(i, _)| i + 1)).collect();
        }
        let start = *self.lines.get(at.line()? - 1)?;
        let (i, _) = self.text[start..].char_indices().nth(at.position()?.checked_sub(1)?)?;
        Some(start + i)
    }

    /// How many separators follow each other from there on, and whether the bracket ends behind them.
    fn run(&self, mut from: usize) -> (usize, bool) {
        let mut n = 0;
        loop {
            from = self.skip(from);
            let rest = &self.text[from..];
            if rest.starts_with(']') {
                return (n, true);
            }
            let width = if rest.starts_with("::") && !self.is_path(from + 2) { 2 } else { usize::from(rest.starts_with([',', ':'])) };
            if width == 0 {
                return (n, false);
            }
            (n, from) = (n + 1, from + width);
        }
    }

    /// Whether `::` stands between a module and a name: behind an operand, in front of a word.
    fn is_path(&self, behind: usize) -> bool {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        self.text[..behind - 2].ends_with(is_word) && self.text[behind..].starts_with(|c: char| c.is_alphabetic() || c == '_')
    }

    fn next(&self, from: usize) -> Option<char> {
        self.text[self.skip(from)..].chars().next()
    }

    /// The first place from there on that is no space and in no comment.
    fn skip(&self, mut from: usize) -> usize {
        loop {
            let rest = &self.text[from..];
            let trimmed = rest.trim_start();
            from += rest.len() - trimmed.len();
            let comment = if trimmed.starts_with("//") {
                trimmed.find('\n')
            } else if trimmed.starts_with("/*") {
                trimmed.find("*/").map(|i| i + 2)
            } else {
                return from;
            };
            from = comment.map_or(self.text.len(), |n| from + n);
        }
    }
}
