//! The texts that were loaded, each version under its own tag, so that an error shows the line that really ran.

use crate::error::Label;
use rhai::{ImmutableString, Position};
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;

/// What separates a unit's id from the number of its version in a tag. No file name holds it.
pub(crate) const VERSION: char = '\u{1}';

/// One version of one script.
#[derive(Debug, Clone)]
pub struct Text {
    /// The script's name as the user knows it: a path, or `std/flow`.
    pub shown: String,
    /// Its text.
    pub text: Arc<str>,
}

/// Every text that was loaded in this engine, by tag. Cloning shares the table.
#[derive(Clone, Default)]
pub(crate) struct Texts(Rc<RefCell<Table>>);

#[derive(Default)]
struct Table {
    by_tag: HashMap<String, (ImmutableString, Text)>,
    newest: HashMap<String, (String, usize)>,
}

impl Texts {
    /// Stores a unit's text and gives its tag, which rhai carries as the source's name. The same text by the same name keeps its tag.
    pub(crate) fn add(&self, id: &str, shown: &str, text: &Arc<str>) -> ImmutableString {
        let mut table = self.0.borrow_mut();
        let version = match table.newest.get(id) {
            Some((tag, _)) if table.by_tag.get(tag).is_some_and(|(_, s)| s.text == *text && s.shown == shown) => return table.by_tag[tag].0.clone(),
            Some((_, n)) => n + 1,
            None => 0,
        };
        let tag = if version == 0 { id.to_owned() } else { format!("{id}{VERSION}{version}") };
        table.newest.insert(id.to_owned(), (tag.clone(), version));
        let shared = ImmutableString::from(tag.as_str());
        table.by_tag.insert(tag, (shared.clone(), Text { shown: shown.to_owned(), text: text.clone() }));
        shared
    }

    /// Forgets the texts that nothing can run any more: their tags are held by no script, no closure and no exception.
    pub(crate) fn sweep(&self) {
        let mut table = self.0.borrow_mut();
        let Table { by_tag, newest } = &mut *table;
        let newest: HashSet<&str> = newest.values().map(|(tag, _)| tag.as_str()).collect();
        by_tag.retain(|tag, (shared, _)| shared.strong_count() > 1 || newest.contains(tag.as_str()));
    }

    /// How many versions of texts are held.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.borrow().by_tag.len()
    }

    /// Puts a text under a tag of its own, in place of the one before: for a prompt's lines, of which there are ever more.
    pub(crate) fn put(&self, tag: &str, shown: &str, text: &str) {
        let mut table = self.0.borrow_mut();
        table.newest.insert(tag.to_owned(), (tag.to_owned(), 0));
        table.by_tag.insert(tag.to_owned(), (tag.into(), Text { shown: shown.to_owned(), text: text.into() }));
    }

    /// The text behind a tag.
    pub(crate) fn get(&self, tag: &str) -> Option<Text> {
        self.0.borrow().by_tag.get(tag).map(|(_, source)| source.clone())
    }

    /// The place in a diagnostic, widened from a point to the word, path or string that starts there.
    pub(crate) fn label(&self, tag: &str, position: Position, text: impl Into<String>) -> Option<Label> {
        let source = self.get(tag)?;
        Some(label(&source, position, text))
    }
}

/// What ends the tag of a prompt's text, where that of a file has the number of its version.
pub(crate) const TYPED: &str = "typed";

/// Whether a source's tag is that of a prompt.
pub(crate) fn is_typed(tag: &str) -> bool {
    tag.rsplit_once(VERSION).is_some_and(|(_, version)| version == TYPED)
}

/// The unit's id in a tag.
pub(crate) fn id_of(tag: &str) -> &str {
    tag.split(VERSION).next().unwrap_or(tag)
}

/// A place in a text, widened from a point to the word, path or string that starts there.
pub(crate) fn label(source: &Text, position: Position, text: impl Into<String>) -> Label {
    let line = position.line().unwrap_or(1);
    let chars: Vec<char> = source.text.lines().nth(line - 1).unwrap_or_default().chars().collect();
    let column = position.position().unwrap_or(1);
    let (column, width) = widen(&chars, column);
    Label { file: source.shown.clone(), source: source.text.clone(), line, column, width, text: text.into() }
}

/// The column and width of what stands at `column` (from 1).
fn widen(line: &[char], column: usize) -> (usize, usize) {
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    let at = column.saturating_sub(1);
    let Some(&first) = line.get(at) else { return (column.min(line.len() + 1), 1) };
    let run = |from: usize, ok: &dyn Fn(char) -> bool| line[from..].iter().take_while(|c| ok(**c)).count();
    if first == '"' || first == '`' {
        let end = line[at + 1..].iter().position(|c| *c == first).map_or(line.len() - at, |n| n + 2);
        return (column, end);
    }
    if is_word(first) {
        // rhai points at the last part of `nn::linear`; the name starts earlier.
        let mut start = at;
        while start >= 3 && line[start - 2..start] == [':', ':'] && is_word(line[start - 3]) {
            start -= 2 + line[..start - 2].iter().rev().take_while(|c| is_word(**c)).count();
        }
        let mut end = at + run(at, &is_word);
        // `nn::linear` is one name.
        while line.get(end..end + 2) == Some(&[':', ':']) && line.get(end + 2).is_some_and(|c| is_word(*c)) {
            end += 2 + run(end + 2, &is_word);
        }
        return (start + 1, end - start);
    }
    if first == '.' && line.get(at + 1).is_some_and(|c| is_word(*c)) {
        return (column + 1, run(at + 1, &is_word));
    }
    let is_operator = |c: char| "+-*/%@=<>!&|^~?".contains(c);
    (column, run(at, &is_operator).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_become_words() {
        let at = |text: &str, column| widen(&text.chars().collect::<Vec<_>>(), column);
        assert_eq!(at("let y = nn::linear(3)", 9), (9, 10));
        assert_eq!(at("let y = nn::linear(3)", 13), (9, 10));
        assert_eq!(at("x.shap", 3), (3, 4));
        assert_eq!(at("x.shap", 2), (3, 4));
        assert_eq!(at("a ** b", 3), (3, 2));
        assert_eq!(at("import \"std/flow\" as f", 8), (8, 10));
        assert_eq!(at("abc", 9), (4, 1));
        assert_eq!(at("", 1), (1, 1));
    }

    #[test]
    fn the_same_text_keeps_its_tag() {
        let s = Texts::default();
        let one: Arc<str> = "1".into();
        let two: Arc<str> = "2".into();
        assert_eq!(s.add("a", "a.rhai", &one), "a");
        assert_eq!(s.add("a", "a.rhai", &one), "a");
        let tag = s.add("a", "a.rhai", &two);
        assert_eq!((id_of(&tag), &*s.get(&tag).unwrap().text), ("a", "2"));
        assert_eq!(&*s.get("a").unwrap().text, "1");
        let other = s.add("a", "b/a.rhai", &two);
        assert_eq!((s.get(&tag).unwrap().shown, s.get(&other).unwrap().shown), ("a.rhai".into(), "b/a.rhai".into()));
    }
}
