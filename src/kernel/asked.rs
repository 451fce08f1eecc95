//! What a client asks about a text: how a word goes on, what a name means, whether a cell is whole.

use super::cells::{Cells, commands as known};
use super::message::Message;
use crate::script::prompt::answer::Ask;
use crate::script::prompt::complete::{Candidate, Completions, complete};
use serde_json::{Value, json};

/// The byte in front of character `n`.
fn byte(text: &str, n: usize) -> usize {
    text.char_indices().nth(n).map_or(text.len(), |(i, _)| i)
}

/// The characters in front of byte `n`.
fn character(text: &str, n: usize) -> usize {
    text.get(..n).map_or(0, |t| t.chars().count())
}

/// The code of a request, and the byte of its cursor.
fn code(asked: &Message) -> (&str, usize) {
    let code = asked.text("code");
    let cursor = asked.number("cursor_pos").and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX);
    (code, byte(code, cursor))
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The name at a place of a text, with what stands in front of its dots and colons; that of the function whose arguments it is in, where there is none.
fn name_at(code: &str, cursor: usize) -> Option<&str> {
    let after = code.get(cursor..)?.chars().take_while(|c| is_word(*c)).map(char::len_utf8).sum::<usize>();
    let name = name_before(code.get(..cursor + after)?);
    if !name.is_empty() {
        return Some(name);
    }
    let mut depth = 0;
    for (i, c) in code.get(..cursor)?.char_indices().rev() {
        match c {
            ')' | ']' | '}' => depth += 1,
            '(' if depth == 0 => return Some(name_before(&code[..i])).filter(|n| !n.is_empty()),
            '(' | '[' | '{' => depth -= 1,
            _ => {}
        }
    }
    None
}

fn name_before(text: &str) -> &str {
    let text = text.trim_end();
    let start = text.char_indices().rev().take_while(|(_, c)| is_word(*c) || matches!(c, '.' | ':')).last().map_or(text.len(), |(i, _)| i);
    text[start..].trim_matches(['.', ':'])
}

/// The commands that a line could become.
fn commands(line: &str) -> Completions {
    let fitting = known().filter(|(name, ..)| name.starts_with(line));
    let candidate = |(name, args, _): (&str, &str, &str)| {
        let space = if args.is_empty() { "" } else { " " };
        Candidate { text: format!("{name}{space}"), shown: format!("{name} {args}") }
    };
    Completions { start: 0, candidates: fitting.map(candidate).collect() }
}

impl Cells {
    /// What the word at the cursor could become.
    pub(super) fn complete(&mut self, asked: &Message) -> Value {
        let (code, cursor) = code(asked);
        let from = self.line_start(&code[..cursor]);
        let (line, pos) = (&code[from..cursor], cursor - from);
        let found = match &mut self.attached {
            _ if line.starts_with(':') && !line.contains(' ') => commands(line),
            Some(there) => there.complete(line, pos),
            _ => complete(self.engine.at(), &self.session, line, pos),
        };
        let (start, end) = (character(code, from + found.start), character(code, cursor));
        let kind = |text: &str| match text {
            t if t.ends_with('(') || t.ends_with("()") => "function",
            t if t.ends_with("::") => "module",
            _ => "",
        };
        let matches: Vec<&str> = found.candidates.iter().map(|c| c.text.as_str()).collect();
        let types: Vec<Value> = found
            .candidates
            .iter()
            .map(|c| json!({ "start": start, "end": end, "text": c.text, "type": kind(&c.text), "signature": c.shown }))
            .collect();
        let metadata = json!({ "_jupyter_types_experimental": types });
        json!({ "status": "ok", "matches": matches, "cursor_start": start, "cursor_end": end, "metadata": metadata })
    }

    /// Where the line that ends at the end of a text begins, as the prompt would have it typed.
    fn line_start(&self, before: &str) -> usize {
        let last = before.rfind('\n').map_or(0, |i| i + 1);
        let Some(line) = self.parser.split(before).pop() else { return last };
        let start = before.split_inclusive('\n').take(line.first).map(str::len).sum();
        // What is whole ends in front of an empty line.
        if before[last..].trim().is_empty() && !self.parser.needs_more(&line.text) { last } else { start }
    }

    /// The documentation of the name at the cursor.
    pub(super) fn inspect(&mut self, asked: &Message) -> Value {
        let (code, cursor) = code(asked);
        let ask = |name: &str| self.session.ask(self.engine.at(), &Ask::Doc(name.to_owned())).ok();
        match name_at(code, cursor).and_then(ask) {
            Some(text) => json!({ "status": "ok", "found": true, "data": { "text/plain": text }, "metadata": {} }),
            None => json!({ "status": "ok", "found": false, "data": {}, "metadata": {} }),
        }
    }

    /// Whether a cell is whole.
    pub(super) fn is_complete(&mut self, asked: &Message) -> Value {
        let lines = self.parser.split(asked.text("code"));
        let is_command = |text: &str| text.starts_with(':');
        if let Some(last) = lines.last().filter(|l| !is_command(&l.text) && self.parser.needs_more(&l.text)) {
            let count = |c: [char; 3]| last.text.matches(c).count();
            let depth = count(['(', '[', '{']).saturating_sub(count([')', ']', '}']));
            return json!({ "status": "incomplete", "indent": "    ".repeat(depth.min(20)) });
        }
        let is_whole = lines.iter().all(|l| is_command(&l.text) || self.parser.is_whole(&l.text));
        json!({ "status": if is_whole { "complete" } else { "invalid" } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_at_the_cursor_is_found() {
        let at = |text: &str| {
            let cursor = text.find('|').unwrap();
            name_at(&text.replace('|', ""), cursor).map(str::to_owned)
        };
        assert_eq!(at("torch::ze|ros([2])").as_deref(), Some("torch::zeros"));
        assert_eq!(at("torch::zeros|").as_deref(), Some("torch::zeros"));
        assert_eq!(at("x = z.resh|ape(3)").as_deref(), Some("z.reshape"));
        assert_eq!(at("F::conv2d(x, w, |)").as_deref(), Some("F::conv2d"));
        assert_eq!(at("f([1, (2)], |").as_deref(), Some("f"));
        assert_eq!((at("|"), at("1 + |"), at("(|")), (None, None, None));
    }

    #[test]
    fn places_are_counted_in_characters() {
        let text = "é🙂x";
        assert_eq!((byte(text, 2), character(text, 6), byte(text, 99)), (6, 2, 7));
    }
}
