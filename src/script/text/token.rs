//! The tokens of a text.

use std::ops::Range;

/// A pair of brackets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bracket {
    /// `(` `)`
    Paren,
    /// `[` or `?[`, and `]`
    Square,
    /// `{` `}` around statements or the arms of a `switch`
    Brace,
    /// `#{` `}`
    Map,
    /// `{` `}` in a template, behind its `$`
    Template,
}

/// What is wrong with a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// A string without its closing quote; the token ends with the line.
    OpenText,
    /// A template without its closing backtick; the token ends with the text. It is empty where the text ends behind a `}` of the template.
    OpenTemplate,
    /// A raw string without its end; the token ends with the text.
    OpenRaw,
    /// A block comment without `*/`; the token ends with the text.
    OpenComment,
    /// A `'` that begins no character.
    Char,
    /// What no token begins with.
    Unknown,
}

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A name. `this`, `print`, `Fn` and the like are names here.
    Word,
    /// A word with a meaning of its own: `let`, `if`, `!in`.
    Keyword,
    /// `true`, `false`
    Bool,
    /// `_`
    Underscore,
    /// `3`, `2.5e-3`, `0xff`; with its sign where nothing can be subtracted from.
    Number,
    /// `"..."`
    Text,
    /// `#"..."#`
    RawText,
    /// `'a'`
    Char,
    /// A template without `${`, with both its backticks.
    Template,
    /// A template up to the `$` of its first `${`.
    TemplateHead,
    /// What stands in a template between a `}` and the `$` of the next `${`.
    TemplateMiddle,
    /// What stands in a template behind its last `}`, with the backtick.
    TemplateTail,
    /// `// ...`, without the line's end.
    LineComment,
    /// `/// ...` or `/** ... */`: what is said of the function below.
    DocComment,
    /// `//! ...`: what is said of the whole text.
    TextComment,
    /// `/* ... */`
    BlockComment,
    /// An opening bracket.
    Open(Bracket),
    /// A closing bracket, of the kind of the one that it closes, or of its own shape where it closes none.
    Close(Bracket),
    /// `,`
    Comma,
    /// `;`
    Semicolon,
    /// `:`
    Colon,
    /// `::`
    Path,
    /// `.` or `?.`
    Dot,
    /// `=>`
    Arrow,
    /// `..`, `..=` or `...`
    Range,
    /// `=`, `+=` and the like.
    Assign,
    /// `|` in front of a closure's parameters.
    ClosureOpen,
    /// `|` behind a closure's parameters.
    ClosureClose,
    /// `||` in front of the body of a closure without parameters.
    ClosureBars,
    /// `+`, `-` or `!` in front of an operand.
    Prefix,
    /// `!` between a function's name and its arguments.
    CallBang,
    /// Any other operator, between two operands.
    Operator,
    /// Something wrong.
    Fault(Fault),
}

/// A token and its place in the text, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// Its first byte.
    pub start: usize,
    /// Behind its last byte.
    pub end: usize,
}

impl Token {
    /// Its place in the text, in bytes.
    pub fn range(&self) -> Range<usize> {
        self.start..self.end
    }

    /// Its text.
    pub fn text<'a>(&self, source: &'a str) -> &'a str {
        source.get(self.range()).unwrap_or_default()
    }

    /// Whether it is a comment.
    pub fn is_comment(&self) -> bool {
        matches!(self.kind, Kind::LineComment | Kind::DocComment | Kind::TextComment | Kind::BlockComment | Kind::Fault(Fault::OpenComment))
    }

    /// Whether a value may end with it, so that an operator behind it stands between two operands.
    pub fn ends_value(&self) -> bool {
        matches!(
            self.kind,
            Kind::Word
                | Kind::Bool
                | Kind::Underscore
                | Kind::Number
                | Kind::Text
                | Kind::RawText
                | Kind::Char
                | Kind::Template
                | Kind::TemplateTail
                | Kind::Close(_)
                | Kind::Fault(Fault::OpenText | Fault::OpenTemplate | Fault::OpenRaw)
        )
    }
}
