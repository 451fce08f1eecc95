//! Lines that go on: whether what was typed is whole.

use crate::script::lang::language::{lenient, with_underscore};
use crate::script::lang::reading;
use rhai::{Engine, LexError, ParseError, ParseErrorType};

/// Recognises lines that go on.
pub struct LineParser(Engine);

impl Default for LineParser {
    fn default() -> Self {
        LineParser(lenient())
    }
}

impl LineParser {
    /// Whether a text is not a whole line yet: the parser met its end and wanted more.
    pub fn needs_more(&self, text: &str) -> bool {
        with_underscore(text, || reading::parse(&self.0, text)).is_err_and(|e| wants_more(text, &e))
    }

    /// Whether a text can be read as it is.
    pub fn is_whole(&self, text: &str) -> bool {
        with_underscore(text, || reading::parse(&self.0, text)).is_ok()
    }

    /// A text as lines that are each whole, as if they were typed one after the other. A last one that is not stays as it is: its error
    /// says what is missing.
    pub fn split(&self, text: &str) -> Vec<Typed> {
        let mut out = Vec::new();
        let mut open = Typed::default();
        let mut lines = text.lines().enumerate().peekable();
        while let Some((number, line)) = lines.next() {
            if open.text.is_empty() && (line.trim().is_empty() || line.starts_with(':')) {
                if line.starts_with(':') {
                    out.push(Typed { first: number, text: line.to_owned() });
                }
                continue;
            }
            if open.text.is_empty() {
                open.first = number;
            } else {
                open.text.push('\n');
            }
            open.text += line;
            // `}` and then `else`, or a chain of methods, goes on in the next line.
            let next = lines.peek().map(|(_, l)| l.trim_start()).unwrap_or_default();
            let goes_on = next.starts_with('.') || next.starts_with("else") || next.starts_with("catch");
            let is_comment = open.text.lines().all(|l| l.trim_start().starts_with("//") || l.trim().is_empty());
            if !goes_on && !is_comment && !self.needs_more(&open.text) {
                out.push(std::mem::take(&mut open));
            }
        }
        if !open.text.trim().is_empty() {
            out.push(open);
        }
        out
    }
}

/// A line as it would be typed, of one or several lines of a text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Typed {
    /// Lines of the text in front of it.
    pub first: usize,
    /// What would be typed.
    pub text: String,
}

fn wants_more(text: &str, e: &ParseError) -> bool {
    let at = e.position();
    match e.err_type() {
        ParseErrorType::UnexpectedEOF => return true,
        // Of the strings, only those in backticks go over several lines; comments do as well.
        ParseErrorType::BadInput(LexError::UnterminatedString) => {
            let line = at.line().and_then(|l| text.lines().nth(l - 1)).unwrap_or_default();
            return line.chars().nth(at.position().unwrap_or(1).saturating_sub(1)) == Some('`');
        }
        _ => {}
    }
    let text = text.trim_end();
    let (lines, width) = (text.lines().count(), text.lines().last().map_or(0, |l| l.chars().count()));
    let is_at_end = at.line().is_none_or(|l| l > lines || (l == lines && at.position().unwrap_or(0) >= width));
    use ParseErrorType as P;
    is_at_end
        && matches!(
            e.err_type(),
            P::MissingToken(..)
                | P::PropertyExpected
                | P::VariableExpected
                | P::ExprExpected(..)
                | P::MissingSymbol(..)
                | P::FnMissingBody(..)
                | P::FnMissingParams(..)
                | P::FnMissingName
        )
}
