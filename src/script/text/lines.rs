//! Places in a text: bytes, lines, and the columns of editors.

/// In what an editor counts columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Columns {
    /// Bytes of UTF-8.
    Utf8,
    /// Units of UTF-16: two for an emoji.
    Utf16,
    /// Characters.
    Chars,
}

/// A place: line and column, both from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// Where the lines of a text begin.
#[derive(Debug, Clone)]
pub struct Lines {
    starts: Vec<usize>,
}

impl Lines {
    /// Reads a text's lines. A line ends with `\n` or `\r\n`.
    pub fn new(source: &str) -> Self {
        let ends = source.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i + 1);
        Lines { starts: std::iter::once(0).chain(ends).collect() }
    }

    /// How many lines there are; one more than there are line ends.
    pub fn count(&self) -> usize {
        self.starts.len()
    }

    /// The line, from 0, in which a byte stands.
    pub fn line(&self, offset: usize) -> usize {
        self.starts.partition_point(|s| *s <= offset).saturating_sub(1)
    }

    /// The first byte of a line; the text's end behind the last line.
    pub fn start(&self, source: &str, line: usize) -> usize {
        self.starts.get(line).copied().unwrap_or(source.len())
    }

    /// A line's text without its end.
    pub fn text<'a>(&self, source: &'a str, line: usize) -> &'a str {
        let text = source.get(self.start(source, line)..self.start(source, line + 1)).unwrap_or_default();
        let text = text.strip_suffix('\n').unwrap_or(text);
        text.strip_suffix('\r').unwrap_or(text)
    }

    /// The place of a byte.
    pub fn place(&self, source: &str, offset: usize, columns: Columns) -> Place {
        let offset = offset.min(source.len());
        let line = self.line(offset);
        let before = source.get(self.start(source, line)..offset).unwrap_or_default();
        let column = match columns {
            Columns::Utf8 => before.len(),
            Columns::Utf16 => before.chars().map(char::len_utf16).sum(),
            Columns::Chars => before.chars().count(),
        };
        Place { line, column }
    }

    /// The byte at a place. Behind a line's end, this is its end; within a character, its beginning.
    pub fn offset(&self, source: &str, place: Place, columns: Columns) -> usize {
        let start = self.start(source, place.line);
        let mut column = 0;
        for (i, c) in self.text(source, place.line).char_indices() {
            column += match columns {
                Columns::Utf8 => c.len_utf8(),
                Columns::Utf16 => c.len_utf16(),
                Columns::Chars => 1,
            };
            if column > place.column {
                return start + i;
            }
        }
        start + self.text(source, place.line).len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_what_the_editor_counts() {
        let text = "a\r\n\u{1f642}é x\n\nz";
        let lines = Lines::new(text);
        let x = text.find('x').unwrap();
        assert_eq!(lines.count(), 4);
        for (columns, column) in [(Columns::Utf8, 7), (Columns::Utf16, 4), (Columns::Chars, 3)] {
            assert_eq!(lines.place(text, x, columns), Place { line: 1, column });
            assert_eq!(lines.offset(text, Place { line: 1, column }, columns), x);
        }
        // In the middle of the emoji, behind the line's end, behind the text.
        assert_eq!(lines.offset(text, Place { line: 1, column: 1 }, Columns::Utf16), 3);
        assert_eq!(lines.offset(text, Place { line: 0, column: 9 }, Columns::Utf16), 1);
        assert_eq!(lines.offset(text, Place { line: 9, column: 0 }, Columns::Utf16), text.len());
    }
}
