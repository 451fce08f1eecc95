//! One layout for all scripts: indentation, blanks between tokens, blank lines. Where lines break is the author's, tokens and comments stay what
//! they are.

mod indent;
mod spacing;

use super::faults::said;
use super::lexer::lex;
use super::lines::{Columns, Lines, Place};
use super::token::{Bracket, Kind, Token};
use indent::Indent;
use spacing::Spacing;

/// Why a text cannot be laid out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Where, in characters.
    pub at: Place,
    /// What is wrong there.
    pub message: String,
}

/// The text in its layout. Applied to its own result it changes nothing.
///
/// # Errors
/// What does not let the text be read: an open string or comment, a bracket without its partner.
pub fn format(source: &str) -> Result<String, Refused> {
    let tokens = lex(source);
    let lines = Lines::new(source);
    let refused = |token: &Token, message: String| Refused { at: lines.place(source, token.start, Columns::Chars), message };
    if let Some((token, message)) = fault(source, &tokens) {
        return Err(refused(&token, message));
    }
    let out = laid_out(source, &tokens);
    // What is written must be what was there, whatever the rules above it do.
    let again = lex(&out);
    let same = |(a, b): (&Token, &Token)| a.kind == b.kind && a.text(source) == b.text(&out);
    if let Some((token, _)) = tokens.iter().zip(&again).find(|(a, b)| !same((a, b))) {
        return Err(refused(token, format!("`{}` would become another token: please report this text", token.text(source))));
    }
    if tokens.len() != again.len() {
        return Err(Refused { at: Place::default(), message: "tokens would be lost: please report this text".into() });
    }
    Ok(out)
}

/// The first thing that does not let a text be read.
fn fault(source: &str, tokens: &[Token]) -> Option<(Token, String)> {
    let mut open: Vec<Token> = Vec::new();
    for token in tokens {
        match token.kind {
            Kind::Fault(fault) => return Some((*token, said(fault, token.text(source)))),
            Kind::Open(_) => open.push(*token),
            Kind::Close(bracket) => match open.pop() {
                Some(Token { kind: Kind::Open(b), .. }) if b == bracket => {}
                Some(other) => return Some((other, format!("`{}` is not closed", other.text(source)))),
                None => return Some((*token, format!("`{}` closes nothing", token.text(source)))),
            },
            _ => {}
        }
    }
    open.pop().map(|token| (token, format!("`{}` is not closed", token.text(source))))
}

fn laid_out(source: &str, tokens: &[Token]) -> String {
    let end_of_line = if source.split_once('\n').is_some_and(|(first, _)| first.ends_with('\r')) { "\r\n" } else { "\n" };
    let mut out = String::with_capacity(source.len() + 64);
    if source.starts_with('\u{feff}') {
        out.push('\u{feff}');
    }
    let (mut indent, mut spacing) = (Indent::new(source, tokens), Spacing::default());
    let mut before: Option<Token> = None;
    for (i, token) in tokens.iter().enumerate() {
        let gap = source.get(before.map_or(0, |b| b.end)..token.start).unwrap_or_default();
        let breaks = gap.matches('\n').count();
        match before {
            Some(b) if breaks == 0 && !b.is_comment_to_line_end() => {
                out.push_str(&spacing.between(source, &b, token, gap));
            }
            _ => {
                if let Some(b) = before {
                    let is_edge = matches!(b.kind, Kind::Open(_)) || matches!(token.kind, Kind::Close(_));
                    out.push_str(end_of_line);
                    if breaks > 1 && !is_edge {
                        out.push_str(end_of_line);
                    }
                }
                let columns = indent.on_new_line(i);
                out.extend(std::iter::repeat_n(' ', columns));
            }
        }
        out.push_str(token.text(source));
        spacing.passed(token);
        indent.passed(i);
        before = Some(*token);
    }
    if before.is_some() {
        out.push_str(end_of_line);
    }
    out
}

impl Token {
    /// Whether nothing may follow it on its line.
    fn is_comment_to_line_end(&self) -> bool {
        matches!(self.kind, Kind::LineComment | Kind::TextComment)
    }

    fn opens(&self) -> Option<Bracket> {
        if let Kind::Open(bracket) = self.kind { Some(bracket) } else { None }
    }

    fn closes(&self) -> Option<Bracket> {
        if let Kind::Close(bracket) = self.kind { Some(bracket) } else { None }
    }
}

/// What to change in a text for its layout: places in bytes, and the blanks that belong there. Nothing but blanks is touched.
///
/// # Errors
/// As for [`format`].
pub fn edits(source: &str) -> Result<Vec<(std::ops::Range<usize>, String)>, Refused> {
    let out = format(source)?;
    let (before, after) = (lex(source), lex(&out));
    let mut edits = Vec::new();
    let (mut from, mut to) = (0, 0);
    let ends = [(source.len(), out.len(), 0, 0)];
    let tokens = before.iter().zip(&after).map(|(a, b)| (a.start, b.start, a.end, b.end));
    for (a, b, a_end, b_end) in tokens.chain(ends) {
        let (is, wanted) = (source.get(from..a).unwrap_or_default(), out.get(to..b).unwrap_or_default());
        if is != wanted {
            edits.push((from..a, wanted.to_owned()));
        }
        (from, to) = (a_end, b_end);
    }
    Ok(edits)
}
