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
