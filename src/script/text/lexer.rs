//! A text as tokens that, with the blanks between them, are the whole text.
//!
//! On every text that parses these are the tokens of `rhai::Engine::lex` with Lathe's operators, but for `()`, which is two brackets here. Unlike
//! rhai's it knows where a token ends, follows templates by itself, and reaches the end of every text.

use super::scan::Scan;
use super::token::{Bracket, Fault, Kind, Token};

/// Words with a meaning of their own.
pub const KEYWORDS: &[&str] = &[
    "as", "break", "catch", "const", "continue", "do", "else", "export", "fn", "for", "if", "import", "in", "let", "loop", "private", "return",
    "switch", "throw", "try", "until", "while",
];

/// Longer ones first.
const OPERATORS: &[&str] = &[
    "**=", "<<=", ">>=", "===", "!==", "::<", "...", "..=", "**", "<<", ">>", "==", "!=", "<=", ">=", "=>", "&&", "||", "??", "?.", "?[", "::", "..",
    "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "->", "<-", ":=", "++", "--", "+", "-", "*", "/", "%", "@", "<", ">", "=", "!", "&", "|", "^",
    "~", "$", "?", "#", ":", ".", ",", ";",
];

/// The tokens of a text, comments among them.
pub fn lex(source: &str) -> Vec<Token> {
    let mut lexer = Lexer { scan: Scan::new(source), tokens: Vec::with_capacity(source.len() / 4), open: Vec::new(), last: None, params: None };
    while lexer.step() {}
    lexer.tokens
}

struct Lexer<'a> {
    scan: Scan<'a>,
    tokens: Vec<Token>,
    open: Vec<Bracket>,
    /// The last token that is no comment.
    last: Option<Token>,
    /// Between the bars of a closure: how many brackets were open before them.
    params: Option<usize>,
}

impl Lexer<'_> {
    /// Reads one token; `false` at the end.
    fn step(&mut self) -> bool {
        self.scan.skip_blanks();
        let start = self.scan.at();
        let Some(first) = self.scan.peek() else { return false };
        let kind = match first {
            '0'..='9' => {
                self.scan.number();
                Kind::Number
            }
            '"' => self.scan.text(),
            '`' => {
                self.scan.skip(1);
                self.scan.template(Kind::TemplateHead, Kind::Template)
            }
            '\'' => self.scan.char(),
            '#' if self.scan.is_raw_text() => self.scan.raw_text(),
            '#' if start == 0 && self.scan.starts_with("#!") => self.scan.line_comment(),
            '/' if self.scan.starts_with("//") => self.scan.line_comment(),
            '/' if self.scan.starts_with("/*") => self.scan.block_comment(),
            '(' | '[' | '{' | ')' | ']' | '}' => self.bracket(first),
            '#' if self.scan.starts_with("#{") => self.opened(Bracket::Map, 2),
            c if c.is_ascii_alphabetic() || c == '_' => {
                let word = self.scan.word();
                match word {
                    "true" | "false" => Kind::Bool,
                    "_" => Kind::Underscore,
                    _ if KEYWORDS.contains(&word) => Kind::Keyword,
                    _ => Kind::Word,
                }
            }
            _ => self.operator(),
        };
        self.push(kind, start);
        // What follows the `}` of a template is text again.
        if kind == Kind::Close(Bracket::Template) {
            let start = self.scan.at();
            let kind = self.scan.template(Kind::TemplateMiddle, Kind::TemplateTail);
            self.push(kind, start);
        }
        true
    }

    fn push(&mut self, kind: Kind, start: usize) {
        let token = Token { kind, start, end: self.scan.at() };
        if !token.is_comment() {
            self.last = Some(token);
        }
        self.tokens.push(token);
    }

    fn opened(&mut self, bracket: Bracket, width: usize) -> Kind {
        self.scan.skip(width);
        self.open.push(bracket);
        Kind::Open(bracket)
    }

    fn bracket(&mut self, c: char) -> Kind {
        let is_template = self.last.is_some_and(|t| matches!(t.kind, Kind::TemplateHead | Kind::TemplateMiddle) && t.end == self.scan.at());
        match c {
            '(' => return self.opened(Bracket::Paren, 1),
            '[' => return self.opened(Bracket::Square, 1),
            '{' if is_template => return self.opened(Bracket::Template, 1),
            '{' => return self.opened(Bracket::Brace, 1),
            _ => self.scan.skip(1),
        }
        let shape = |b: &Bracket| match b {
            Bracket::Paren => ')',
            Bracket::Square => ']',
            _ => '}',
        };
        // A bracket that was never closed does not take the one of a bracket around it, unless that is a template's: its text must go on.
        let found = self.open.iter().rposition(|b| shape(b) == c);
        let template = self.open.iter().rposition(|b| *b == Bracket::Template);
        match found.filter(|i| template.is_none_or(|t| *i >= t)) {
            Some(i) => {
                let bracket = self.open[i];
                self.open.truncate(i);
                self.params = self.params.filter(|depth| *depth <= i);
                Kind::Close(bracket)
            }
            None => Kind::Close(match c {
                ')' => Bracket::Paren,
                ']' => Bracket::Square,
                _ => Bracket::Brace,
            }),
        }
    }

    fn operator(&mut self) -> Kind {
        let rest = self.scan.rest();
        if rest.starts_with("!in") && !rest[3..].starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') {
            self.scan.skip(3);
            return Kind::Keyword;
        }
        let Some(text) = OPERATORS.iter().find(|o| rest.starts_with(**o)) else {
            self.scan.skip(self.scan.peek().map_or(1, char::len_utf8));
            return Kind::Fault(Fault::Unknown);
        };
        let behind_value = self.last.is_some_and(|t| t.ends_value() && !self.ends_statement(t));
        // As rhai sees it: the `}` of a block may end a value.
        let takes_sign = self.last.is_none_or(|t| self.is_before_operand(t));
        if *text == "?[" {
            return self.opened(Bracket::Square, 2);
        }
        self.scan.skip(text.len());
        match *text {
            "," => Kind::Comma,
            ";" => Kind::Semicolon,
            ":" => Kind::Colon,
            "::" => Kind::Path,
            "." | "?." => Kind::Dot,
            "=>" => Kind::Arrow,
            ".." | "..=" | "..." => Kind::Range,
            "=" | "+=" | "-=" | "*=" | "/=" | "%=" | "**=" | "<<=" | ">>=" | "&=" | "|=" | "^=" => Kind::Assign,
            "|" if self.params == Some(self.open.len()) => {
                self.params = None;
                Kind::ClosureClose
            }
            "|" if !behind_value => {
                self.params = Some(self.open.len());
                Kind::ClosureOpen
            }
            "||" if !behind_value => Kind::ClosureBars,
            "-" if takes_sign && self.scan.peek().is_some_and(|c| c.is_ascii_digit()) => {
                self.scan.number();
                Kind::Number
            }
            "+" | "-" if !behind_value => Kind::Prefix,
            "!" if !behind_value => Kind::Prefix,
            "!" if self.last.is_some_and(|t| t.kind == Kind::Word && t.end + 1 == self.scan.at()) && self.scan.peek() == Some('(') => Kind::CallBang,
            "!" => Kind::Prefix,
            "$" | "?" | "#" | "~" | "->" | "<-" | ":=" | "++" | "--" | "===" | "!==" | "::<" => Kind::Fault(Fault::Unknown),
            _ => Kind::Operator,
        }
    }

    /// Whether a `}` ended its statement, since a closure begins on a line behind it.
    fn ends_statement(&self, last: Token) -> bool {
        if last.kind != Kind::Close(Bracket::Brace) || !self.scan.source()[last.end..self.scan.at()].contains('\n') {
            return false;
        }
        let Some(rest) = self.scan.rest().strip_prefix('|') else { return false };
        let params = rest.split_once('|').map_or("|", |(params, _)| params);
        params.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | ',' | ' '))
    }

    /// Whether rhai takes a `-` behind this token as the sign of a number.
    fn is_before_operand(&self, token: Token) -> bool {
        match token.kind {
            Kind::Keyword => matches!(token.text(self.scan.source()), "if" | "while" | "until" | "in" | "!in" | "return" | "throw"),
            Kind::Operator => token.text(self.scan.source()) != "@",
            // The operators are one token for rhai whether they stand in front of a closure or between operands.
            Kind::ClosureOpen
            | Kind::ClosureClose
            | Kind::ClosureBars
            | Kind::Prefix
            | Kind::Assign
            | Kind::Semicolon
            | Kind::Colon
            | Kind::Comma
            | Kind::Fault(_) => true,
            Kind::Range => token.text(self.scan.source()) != "...",
            Kind::Open(bracket) => bracket != Bracket::Map,
            _ => false,
        }
    }
}
