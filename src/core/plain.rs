//! Text of strangers on a terminal and in names: what cannot be seen, or moves what is seen, is written out.

use std::borrow::Cow;

/// Whether a character is neither a control character, nor one that nobody sees or that turns the direction of what follows.
pub fn is_plain(c: char) -> bool {
    let is_hidden = matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    !c.is_control() && !is_hidden
}

/// A text with such characters written out, `\n` and `\u{202e}`: one line that shows what is in it.
pub fn shown(text: &str) -> String {
    text.chars().map(|c| if is_plain(c) { c.to_string() } else { c.escape_default().to_string() }).collect()
}

/// The same for a text of several lines: line ends and tabs stay.
pub fn text(text: &str) -> Cow<'_, str> {
    let steers = |c: char| !is_plain(c) && c != '\n' && c != '\t';
    if !text.contains(steers) {
        return Cow::Borrowed(text);
    }
    let one = |c: char| if steers(c) { c.escape_default().to_string() } else { c.to_string() };
    Cow::Owned(text.replace("\r\n", "\n").chars().map(one).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_seen_is_written_out() {
        assert_eq!(shown("a\tb\n\u{1b}[31m\u{202e}evil"), "a\\tb\\n\\u{1b}[31m\\u{202e}evil");
        assert_eq!(text("a\u{1b}[31mb\u{202e}c\rd\r\n\te"), "a\\u{1b}[31mb\\u{202e}c\\rd\n\te");
        assert!(matches!(text("Größe 2 × 3\n\t日本"), Cow::Borrowed(_)));
        assert_eq!(shown("Größe 2 × 3, 日本"), "Größe 2 × 3, 日本");
    }
}
