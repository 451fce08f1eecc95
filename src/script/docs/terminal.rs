//! Markdown in a terminal: wrapped to its width, colored where there is color, and readable without.

use std::fmt::Write;

/// How a text is shown.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    /// Whether escapes for color and weight may be used.
    pub color: bool,
    /// Columns.
    pub width: usize,
}

/// Bold, dimmed and colored text; the empty strings without color.
struct Codes {
    bold: &'static str,
    dim: &'static str,
    code: &'static str,
    reset: &'static str,
}

impl Style {
    fn codes(self) -> Codes {
        if self.color {
            Codes { bold: "\x1b[1m", dim: "\x1b[2m", code: "\x1b[36m", reset: "\x1b[0m" }
        } else {
            Codes { bold: "", dim: "", code: "", reset: "" }
        }
    }

    /// A text in bold.
    pub fn bold(self, text: &str) -> String {
        let c = self.codes();
        format!("{}{text}{}", c.bold, c.reset)
    }

    /// A piece of code.
    pub fn code(self, text: &str) -> String {
        let c = self.codes();
        format!("{}{text}{}", c.code, c.reset)
    }
}

/// Markdown as a terminal shows it: headings, paragraphs, lists, code blocks, tables, `code` and **bold**.
pub fn render(markdown: &str, style: Style) -> String {
    let codes = style.codes();
    let mut out = String::new();
    let mut paragraph = String::new();
    let mut fenced = false;
    let mut rows: Vec<Vec<String>> = Vec::new();
    for line in markdown.lines().chain(Some("")) {
        if cells(line.trim_start()).is_none() {
            columns(&mut out, &std::mem::take(&mut rows), style);
        }
        if line.trim_start().starts_with("```") {
            flush(&mut out, &mut paragraph, style);
            fenced = !fenced;
            continue;
        }
        if fenced {
            let _ = writeln!(out, "    {}{line}{}", codes.code, codes.reset);
            continue;
        }
        let trimmed = line.trim_start();
        if trimmed.is_empty() {
            flush(&mut out, &mut paragraph, style);
            if !out.is_empty() && !out.ends_with("\n\n") {
                out.push('\n');
            }
        } else if let Some(heading) = trimmed.strip_prefix('#') {
            flush(&mut out, &mut paragraph, style);
            let _ = writeln!(out, "{}{}{}", codes.bold, heading.trim_start_matches('#').trim(), codes.reset);
        } else if let Some(cells) = cells(trimmed) {
            flush(&mut out, &mut paragraph, style);
            rows.extend(cells);
            continue;
        } else {
            if is_item(trimmed) {
                flush(&mut out, &mut paragraph, style);
                paragraph.push_str(&line[..line.len() - trimmed.len()]);
            } else if !paragraph.is_empty() {
                paragraph.push(' ');
            }
            paragraph.push_str(trimmed);
        }
    }
    flush(&mut out, &mut paragraph, style);
    format!("{}\n", out.trim_end())
}

/// The cells of a table's row, none for the rule below its head; nothing for a line that is no row.
fn cells(line: &str) -> Option<Option<Vec<String>>> {
    let inner = line.strip_prefix('|').filter(|_| line.len() > 1 && line.ends_with('|'))?;
    let is_rule = inner.chars().all(|c| matches!(c, '|' | '-' | ':' | ' ')) && inner.contains('-');
    let inner = inner.trim_end_matches('|').replace("\\|", "\u{1}");
    Some((!is_rule).then(|| inner.split('|').map(|c| c.trim().replace('\u{1}', "|")).collect()))
}

/// Rows under each other; the last column is wrapped under itself.
fn columns(out: &mut String, rows: &[Vec<String>], style: Style) {
    let width = |i: usize| rows.iter().filter_map(|r| r.get(i)).map(|c| c.chars().count()).max().unwrap_or(0);
    for row in rows {
        let Some((last, first)) = row.split_last() else { continue };
        let start: usize = 2 + (0..first.len()).map(|i| width(i) + 2).sum::<usize>();
        let lines = wrap(last, style.width.saturating_sub(start).max(20), 0);
        let head: String =
            first.iter().enumerate().map(|(i, c)| format!("{}{}  ", inline(c, style), " ".repeat(width(i) - c.chars().count()))).collect();
        for (i, line) in lines.iter().enumerate() {
            let lead = if i == 0 { format!("  {head}") } else { " ".repeat(start) };
            let _ = writeln!(out, "{}", format!("{lead}{}", inline(line, style)).trim_end());
        }
    }
}

fn is_item(line: &str) -> bool {
    let number = line.trim_start_matches(|c: char| c.is_ascii_digit());
    line.starts_with("- ") || line.starts_with("* ") || (number.len() < line.len() && number.starts_with(". "))
}

/// Writes a paragraph or list item out, wrapped; what follows an item's mark is indented under it.
fn flush(out: &mut String, paragraph: &mut String, style: Style) {
    let text = std::mem::take(paragraph);
    if text.trim().is_empty() {
        return;
    }
    let indent = text.len() - text.trim_start().len();
    let body = text.trim_start();
    let mark = if is_item(body) { body.find(' ').map_or(0, |n| n + 1) } else { 0 };
    let (first, hang) = (" ".repeat(indent), " ".repeat(indent + mark));
    for (i, line) in wrap(body, style.width.saturating_sub(indent + mark).max(20), mark).iter().enumerate() {
        let lead = if i == 0 { &first } else { &hang };
        let _ = writeln!(out, "{lead}{}", inline(line, style));
    }
}

/// Lines of at most `width` characters, the first one longer by its mark; what stands between backticks stays together.
fn wrap(text: &str, width: usize, mark: usize) -> Vec<String> {
    let mut lines: Vec<String> = vec![String::new()];
    for word in words(text) {
        let room = if lines.len() == 1 { width + mark } else { width };
        let line = lines.last_mut().expect("there is always a line");
        let length = line.chars().count();
        if length > 0 && length + 1 + shown_width(&word) > room {
            lines.push(word);
        } else {
            if length > 0 {
                line.push(' ');
            }
            line.push_str(&word);
        }
    }
    lines
}

fn shown_width(word: &str) -> usize {
    word.chars().count()
}

/// Words; one that opens a code span goes on to its end.
fn words(text: &str) -> Vec<String> {
    let mut list: Vec<String> = Vec::new();
    let mut open = false;
    for piece in text.split(' ').filter(|p| !p.is_empty()) {
        match list.last_mut().filter(|_| open) {
            Some(last) => {
                last.push(' ');
                last.push_str(piece);
            }
            None => list.push(piece.to_owned()),
        }
        if piece.matches('`').count() % 2 == 1 {
            open = !open;
        }
    }
    list
}

/// Code spans and bold text in a line; links become their text.
fn inline(line: &str, style: Style) -> String {
    let codes = style.codes();
    let mut out = String::new();
    for (i, part) in line.split('`').enumerate() {
        if i % 2 == 1 {
            // Without color the backticks stay: they tell code from words.
            let (open, close) = if style.color { (codes.code, codes.reset) } else { ("`", "`") };
            let _ = write!(out, "{open}{part}{close}");
            continue;
        }
        for (j, piece) in links(part).split("**").enumerate() {
            if j % 2 == 1 {
                let _ = write!(out, "{}{piece}{}", codes.bold, codes.reset);
            } else {
                out.push_str(piece);
            }
        }
    }
    out
}

/// `[text](target)` as `text (target)`, where the target is an address; else the text alone.
fn links(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, tail)) = rest.split_once('[') {
        let Some((label, (target, after))) = tail.split_once("](").and_then(|(label, tail)| Some((label, tail.split_once(')')?))) else {
            break;
        };
        out.push_str(before);
        out.push_str(label);
        if target.starts_with("http") {
            let _ = write!(out, " ({target})");
        }
        rest = after;
    }
    out + rest
}

/// Two columns, the second wrapped under itself.
pub fn table(rows: &[(String, String)], style: Style) -> String {
    let codes = style.codes();
    let widest = style.width / 2;
    let first = rows.iter().map(|(a, _)| a.chars().count()).filter(|n| *n <= widest).max().unwrap_or(0);
    let room = style.width.saturating_sub(first + 4).max(20);
    let mut out = String::new();
    for (a, b) in rows {
        let mut lines = wrap(b, room, 0).into_iter();
        let fits = a.chars().count() <= first;
        let head = if fits { lines.next().unwrap_or_default() } else { String::new() };
        let pad = " ".repeat(first.saturating_sub(a.chars().count()));
        let _ = writeln!(out, "{}", format!("  {}{a}{}{pad}  {}", codes.code, codes.reset, inline(&head, style)).trim_end());
        for line in lines.filter(|l| !l.is_empty()) {
            let _ = writeln!(out, "  {}  {}", " ".repeat(first), inline(&line, style));
        }
    }
    out
}

/// A remark that matters less.
pub fn dimmed(text: &str, style: Style) -> String {
    let c = style.codes();
    format!("{}{text}{}", c.dim, c.reset)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Style = Style { color: false, width: 40 };

    #[test]
    fn markdown_is_wrapped_and_stays_readable() {
        let text = "Joins tensors along a dimension, as `torch.cat(xs, dim)` does.\n\n**Shapes**\n\n- `[n, k]`, `[m, k]` give one that is longer than a line\n\n```rhai\nlet x = 1;\n  x\n```\nSee [the paper](https://arxiv.org/abs/1) or [here](a.md).";
        let want = "Joins tensors along a dimension, as\n`torch.cat(xs, dim)` does.\n\nShapes\n\n- `[n, k]`, `[m, k]` give one that is\n  longer than a line\n\n    let x = 1;\n      x\nSee the paper (https://arxiv.org/abs/1)\nor here.\n";
        assert_eq!(render(text, PLAIN), want);
    }

    #[test]
    fn color_replaces_backticks() {
        let text = render("Has `code` and **weight**.", Style { color: true, width: 80 });
        assert_eq!(text, "Has \x1b[36mcode\x1b[0m and \x1b[1mweight\x1b[0m.\n");
        assert!(!render("Has `code` and **weight**.", PLAIN).contains('\x1b'));
    }

    #[test]
    fn tables_keep_their_columns() {
        let rows = [("a".to_owned(), "one two three four five six seven eight nine".to_owned()), ("longer".to_owned(), "x".to_owned())];
        let text = table(&rows, PLAIN);
        assert_eq!(text, "  a       one two three four five six\n          seven eight nine\n  longer  x\n");
        // A name that leaves no room gets its own line.
        let text = table(&[("n".repeat(30), "text".to_owned()), ("m".to_owned(), "text".to_owned())], PLAIN);
        assert_eq!(text, format!("  {}\n     text\n  m  text\n", "n".repeat(30)));
    }

    #[test]
    fn odd_markdown_does_not_hurt() {
        for text in ["", "`", "**", "[", "[a](", "```", "|", "| a |", "- ", "1. ", "\n\n\n", "`a b", "# "] {
            render(text, PLAIN);
            render(text, Style { color: true, width: 0 });
        }
    }
}
