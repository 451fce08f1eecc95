//! Where literals and comments end.

use super::token::{Fault, Kind};

/// A place in a text that moves forward.
pub(super) struct Scan<'a> {
    source: &'a str,
    at: usize,
}

impl<'a> Scan<'a> {
    pub(super) fn new(source: &'a str) -> Self {
        Scan { source, at: 0 }
    }

    pub(super) fn source(&self) -> &'a str {
        self.source
    }

    /// How many bytes have been read.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn rest(&self) -> &'a str {
        &self.source[self.at..]
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(super) fn starts_with(&self, text: &str) -> bool {
        self.rest().starts_with(text)
    }

    pub(super) fn skip(&mut self, bytes: usize) {
        self.at += bytes;
    }

    fn take_while(&mut self, is: impl Fn(char) -> bool) {
        self.at += self.rest().find(|c| !is(c)).unwrap_or(self.rest().len());
    }

    /// Blanks, and the mark with which editors of Windows begin a file.
    pub(super) fn skip_blanks(&mut self) {
        if self.at == 0 && self.starts_with("\u{feff}") {
            self.skip('\u{feff}'.len_utf8());
        }
        self.take_while(|c| c.is_ascii_whitespace());
    }

    pub(super) fn word(&mut self) -> &'a str {
        let start = self.at;
        self.take_while(|c| c.is_ascii_alphanumeric() || c == '_');
        &self.source[start..self.at]
    }

    pub(super) fn number(&mut self) {
        let bytes = self.source.as_bytes();
        let at = |i: usize| bytes.get(i).copied().unwrap_or_default();
        let radix: Option<fn(&u8) -> bool> = match (at(self.at), at(self.at + 1).to_ascii_lowercase()) {
            (b'0', b'x') => Some(u8::is_ascii_hexdigit),
            (b'0', b'o') => Some(|c| (b'0'..=b'7').contains(c)),
            (b'0', b'b') => Some(|c| matches!(c, b'0' | b'1')),
            _ => None,
        };
        if let Some(is_digit) = radix {
            self.at += 2;
            while at(self.at) == b'_' || is_digit(&at(self.at)) {
                self.at += 1;
            }
            return;
        }
        let (mut has_point, mut has_exponent) = (false, false);
        loop {
            let next = at(self.at + 1);
            match at(self.at) {
                b'0'..=b'9' | b'_' => self.at += 1,
                // `1.max(2)` and `1..2` go on behind the number.
                b'.' if !has_point && next != b'.' && next != b'_' && !next.is_ascii_alphabetic() => {
                    (has_point, self.at) = (true, self.at + 1);
                }
                b'e' | b'E' if !has_exponent && (next.is_ascii_digit() || next == b'+' || next == b'-') => {
                    (has_exponent, has_point, self.at) = (true, true, self.at + 2);
                }
                _ => return,
            }
        }
    }

    /// `"..."`
    pub(super) fn text(&mut self) -> Kind {
        self.skip(1);
        loop {
            let Some(c) = self.peek() else { return Kind::Fault(Fault::OpenText) };
            match c {
                '"' if self.starts_with("\"\"") => self.skip(2),
                '"' => {
                    self.skip(1);
                    return Kind::Text;
                }
                '\\' if self.starts_with("\\\r\n") => self.skip(3),
                '\\' => {
                    self.skip(1);
                    self.skip(self.peek().map_or(0, char::len_utf8));
                }
                '\n' => return self.open_line(),
                c => self.skip(c.len_utf8()),
            }
        }
    }

    /// An open string ends with its line.
    fn open_line(&mut self) -> Kind {
        if self.source[..self.at].ends_with('\r') {
            self.at -= 1;
        }
        Kind::Fault(Fault::OpenText)
    }

    /// `'a'`, `'\n'`, `'\u1234'`
    pub(super) fn char(&mut self) -> Kind {
        let mut chars = self.rest().char_indices().skip(1);
        let (mut count, mut is_escaped) = (0, false);
        let end = loop {
            match chars.next() {
                Some((i, '\'')) if !is_escaped => break Some(i + 1),
                None | Some((_, '\n')) => break None,
                // The longest is `\U` and eight digits.
                Some(_) if count > 10 => break None,
                Some((_, c)) => (count, is_escaped) = (count + 1, c == '\\' && !is_escaped),
            }
        };
        self.skip(end.filter(|_| count > 0).unwrap_or(1));
        if end.is_some() && count > 0 { Kind::Char } else { Kind::Fault(Fault::Char) }
    }

    pub(super) fn is_raw_text(&self) -> bool {
        self.rest().trim_start_matches('#').starts_with('"')
    }

    /// `#"..."#`
    pub(super) fn raw_text(&mut self) -> Kind {
        let hashes = self.rest().len() - self.rest().trim_start_matches('#').len();
        let end = format!("\"{}", "#".repeat(hashes));
        match self.rest()[hashes + 1..].find(&end) {
            Some(i) => {
                self.skip(hashes + 1 + i + end.len());
                Kind::RawText
            }
            None => {
                self.at = self.source.len();
                Kind::Fault(Fault::OpenRaw)
            }
        }
    }

    /// A template's text from here up to `${` or its end: of kind `open` or `closed`.
    pub(super) fn template(&mut self, open: Kind, closed: Kind) -> Kind {
        loop {
            let Some(c) = self.peek() else { return Kind::Fault(Fault::OpenTemplate) };
            match c {
                '$' if self.starts_with("${") => {
                    self.skip(1);
                    return open;
                }
                '\\' if self.starts_with("\\${") => self.skip(2),
                '`' if self.starts_with("``") => self.skip(2),
                '`' => {
                    self.skip(1);
                    return closed;
                }
                c => self.skip(c.len_utf8()),
            }
        }
    }

    pub(super) fn line_comment(&mut self) -> Kind {
        let rest = self.rest();
        let line = &rest[..rest.find('\n').unwrap_or(rest.len())];
        // A `\r` alone ends the line as well.
        let line = &line[..line.find('\r').unwrap_or(line.len())];
        // Blanks at the end are no part of what is said.
        let line = line.trim_end();
        self.skip(line.len());
        match line {
            _ if line.starts_with("////") => Kind::LineComment,
            _ if line.starts_with("///") => Kind::DocComment,
            _ if line.starts_with("//!") => Kind::TextComment,
            _ => Kind::LineComment,
        }
    }

    /// `/* .. /* .. */ .. */`
    pub(super) fn block_comment(&mut self) -> Kind {
        let is_doc = self.starts_with("/**") && !self.starts_with("/***") && !self.starts_with("/**/");
        let bytes = self.source.as_bytes();
        let mut depth = 0usize;
        while self.at < bytes.len() {
            match bytes.get(self.at..self.at + 2) {
                Some(b"/*") => (depth, self.at) = (depth + 1, self.at + 2),
                Some(b"*/") => {
                    (depth, self.at) = (depth.saturating_sub(1), self.at + 2);
                    if depth == 0 {
                        return if is_doc { Kind::DocComment } else { Kind::BlockComment };
                    }
                }
                _ => self.at += 1,
            }
        }
        Kind::Fault(Fault::OpenComment)
    }
}
