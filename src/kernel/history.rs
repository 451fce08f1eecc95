//! The cells that this kernel has run, for `history_request`.

use super::message::Message;
use serde_json::{Value, json};
use std::collections::VecDeque;

/// So many are kept.
const MOST: usize = 10_000;
/// Longer outputs are not kept.
const LONGEST: usize = 10_000;

struct Entry {
    number: u64,
    input: String,
    output: Option<String>,
}

/// What was run, oldest first.
#[derive(Default)]
pub(super) struct History(VecDeque<Entry>);

impl History {
    pub(super) fn add(&mut self, number: u64, input: &str) {
        if self.0.len() == MOST {
            self.0.pop_front();
        }
        self.0.push_back(Entry { number, input: input.to_owned(), output: None });
    }

    /// What the newest came to.
    pub(super) fn came_to(&mut self, output: &str) {
        if let Some(entry) = self.0.back_mut().filter(|_| output.len() <= LONGEST) {
            entry.output = Some(output.to_owned());
        }
    }

    /// Answers a request: by range, the last ones, or those that match a pattern with `*` and `?`.
    pub(super) fn answer(&self, asked: &Message) -> Value {
        let most = asked.number("n").and_then(|n| usize::try_from(n).ok()).unwrap_or(MOST);
        let chosen: Vec<&Entry> = match asked.text("hist_access_type") {
            "range" => {
                let (start, stop) = (asked.number("start").unwrap_or(0), asked.number("stop").unwrap_or(i64::MAX));
                // There is one session: this one. What came before it is not kept.
                let is_this = matches!(asked.number("session"), None | Some(0 | SESSION));
                self.0.iter().filter(|e| is_this && i64::try_from(e.number).is_ok_and(|n| n >= start && n < stop)).collect()
            }
            "search" => {
                let pattern = if asked.text("pattern").is_empty() { "*" } else { asked.text("pattern") };
                let mut found: Vec<&Entry> = Vec::new();
                for e in self.0.iter().rev().filter(|e| matches(pattern, &e.input)) {
                    let is_new = !asked.is("unique", false) || found.iter().all(|f| f.input != e.input);
                    if found.len() < most && is_new {
                        found.push(e);
                    }
                }
                found.reverse();
                found
            }
            _ => self.0.iter().skip(self.0.len().saturating_sub(most)).collect(),
        };
        let with_output = asked.is("output", false);
        let rows = chosen
            .into_iter()
            .map(|e| if with_output { json!([SESSION, e.number, [e.input, e.output]]) } else { json!([SESSION, e.number, e.input]) });
        json!({ "status": "ok", "history": rows.collect::<Vec<_>>() })
    }
}

const SESSION: i64 = 1;

/// Whether a text matches a pattern in which `*` is any text and `?` any character.
fn matches(pattern: &str, text: &str) -> bool {
    let (p, t): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut i, mut j, mut star) = (0, 0, None);
    while j < t.len() {
        match p.get(i) {
            Some('*') => {
                star = Some((i, j));
                i += 1;
            }
            Some(c) if *c == '?' || *c == t[j] => (i, j) = (i + 1, j + 1),
            _ => {
                // The last star takes one character more.
                let Some((at, taken)) = star else { return false };
                star = Some((at, taken + 1));
                (i, j) = (at + 1, taken + 1);
            }
        }
    }
    p[i..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_are_those_of_a_shell() {
        let good = [("*", ""), ("a*c", "abbc"), ("*b*", "abc"), ("?b?", "abc"), ("a**", "a"), ("*ab*ab", "abxab")];
        assert!(good.iter().all(|(p, t)| matches(p, t)));
        let bad = [("", "a"), ("a", ""), ("?", ""), ("a*d", "abc"), ("b*", "abc"), ("*ab*abc", "abab")];
        assert!(bad.iter().all(|(p, t)| !matches(p, t)));
    }
}
