//! Text of strangers on a terminal and in names: what cannot be seen, or moves what is seen, is written out.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_seen_is_written_out() {
        assert_eq!(shown("a\tb\n\u{1b}[31m\u{202e}evil"), "a\\tb\\n\\u{1b}[31m\\u{202e}evil");
        assert_eq!(shown("Größe 2 × 3, 日本"), "Größe 2 × 3, 日本");
    }
}
