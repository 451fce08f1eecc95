//! How far a line is indented: one step for a bracket that is open, whatever else its line opens, and one for a line that goes on with a
//! statement or an element of a list.

use crate::script::text::token::{Bracket, Kind, Token};

const STEP: usize = 4;

/// What is known inside a bracket.
#[derive(Clone, Copy)]
struct Frame {
    bracket: Option<Bracket>,
    /// The indentation of the line that closes it.
    outer: usize,
    /// The indentation of what begins in it.
    inner: usize,
    /// Whether a statement or an element begins with the next token.
    begins: bool,
    /// The indentation of the line on which the last one began.
    element: usize,
    /// The number of its first token.
    first: usize,
}

pub(super) struct Indent<'a> {
    source: &'a str,
    tokens: &'a [Token],
    frames: Vec<Frame>,
    /// The indentation of the current line, and the number of its first token.
    line: (usize, usize),
    /// The last token that is no comment.
    before: Option<Token>,
}

impl<'a> Indent<'a> {
    pub(super) fn new(source: &'a str, tokens: &'a [Token]) -> Self {
        let root = Frame { bracket: None, outer: 0, inner: 0, begins: true, element: 0, first: 0 };
        Indent { source, tokens, frames: vec![root], line: (0, 0), before: None }
    }

    fn frame(&self) -> Frame {
        self.frames.last().copied().unwrap_or(Frame { bracket: None, outer: 0, inner: 0, begins: true, element: 0, first: 0 })
    }

    fn word(&self, token: &Token) -> &'a str {
        token.text(self.source)
    }

    /// The indentation of a line that begins with token `i`.
    pub(super) fn on_new_line(&mut self, i: usize) -> usize {
        let frame = self.frame();
        let token = &self.tokens[i];
        // A comment belongs to what follows it.
        let next = self.tokens[i..].iter().find(|t| !t.is_comment());
        let columns = match next {
            Some(t) if token.is_comment() && t.closes().is_some() => frame.inner,
            None => frame.inner,
            Some(t) if t.closes().is_some() => frame.outer,
            // The branch of a statement, or of a value in one.
            Some(t) if self.goes_on(t) => frame.element + if self.is_branching(frame.first) { 0 } else { STEP },
            Some(t) if frame.begins && !self.is_tail(t) => frame.inner,
            Some(_) => frame.element + STEP,
        };
        self.line = (columns, i);
        columns
    }

    /// `else` and the like behind a block.
    fn goes_on(&self, token: &Token) -> bool {
        token.kind == Kind::Keyword && self.before.is_some_and(|b| b.closes() == Some(Bracket::Brace)) && matches!(self.word(token), "else" | "catch")
    }

    fn is_branching(&self, first: usize) -> bool {
        matches!(self.frame().bracket, None | Some(Bracket::Brace)) && self.tokens.get(first).is_some_and(|t| matches!(self.word(t), "if" | "try"))
    }

    /// Whether a token behind a block goes on with its statement.
    fn is_tail(&self, token: &Token) -> bool {
        let behind_block = self.before.is_some_and(|b| b.closes() == Some(Bracket::Brace));
        behind_block && matches!(token.kind, Kind::Dot | Kind::Operator | Kind::Assign | Kind::Range | Kind::Semicolon | Kind::Comma)
    }

    /// Takes note of token `i`, which has been written.
    pub(super) fn passed(&mut self, i: usize) {
        let token = self.tokens[i];
        if token.is_comment() {
            return;
        }
        let line = self.line.0;
        if token.closes().is_some() {
            if self.frames.len() > 1 {
                self.frames.pop();
            }
            if let Some(frame) = self.frames.last_mut() {
                // A block ends its statement, unless an operator follows.
                frame.begins = token.closes() == Some(Bracket::Brace) && matches!(frame.bracket, None | Some(Bracket::Brace | Bracket::Template));
            }
            self.before = Some(token);
            return;
        }
        let is_tail = self.is_tail(&token) || self.goes_on(&token);
        if let Some(frame) = self.frames.last_mut() {
            if frame.begins && !is_tail {
                (frame.element, frame.first) = (line, i);
            }
            frame.begins = matches!(token.kind, Kind::Semicolon | Kind::Comma);
        }
        if let Some(bracket) = token.opens() {
            let frame = self.frame();
            // What a statement ends with hangs from the statement's first line, on whichever line it opens.
            let hangs = match bracket {
                Bracket::Brace => !self.is_led(i),
                Bracket::Map => matches!(frame.bracket, None | Some(Bracket::Brace)),
                _ => false,
            };
            let outer = if hangs { frame.element } else { line };
            self.frames.push(Frame { bracket: Some(bracket), outer, inner: outer + STEP, begins: true, element: outer, first: i + 1 });
        }
        self.before = Some(token);
    }

    /// Whether what a block belongs to stands on the block's line.
    fn is_led(&self, brace: usize) -> bool {
        self.tokens[self.line.1..brace].iter().any(|t| match t.kind {
            Kind::Keyword => matches!(self.word(t), "if" | "else" | "for" | "while" | "until" | "loop" | "do" | "switch" | "try" | "catch" | "fn"),
            Kind::ClosureClose | Kind::ClosureBars | Kind::Arrow => true,
            _ => false,
        })
    }
}
