//! Where the lines of a prompt come from, when they come from larger texts: the cells of a notebook. All lines together are one text to the
//! engine; to the user a place is the line of a cell.

use crate::error::{Error, Label};
use std::sync::Arc;

/// What is to be said of a line's places.
struct Part {
    /// What the text is called.
    name: String,
    /// All of it.
    text: Arc<str>,
    /// Its lines in front of what is typed.
    first: usize,
    /// The prompt's lines in front of it, and how many there are.
    from: usize,
    lines: usize,
}

/// The parts of a prompt's text that come from elsewhere, oldest first.
#[derive(Default)]
pub(super) struct Parts {
    next: Option<(String, Arc<str>, usize)>,
    known: Vec<Part>,
}

impl Parts {
    /// Says where the next line comes from.
    pub(super) fn next(&mut self, name: &str, text: &str, first: usize) {
        self.next = Some((name.to_owned(), text.into(), first));
    }

    /// Forgets all parts: the prompt's text begins anew.
    pub(super) fn clear(&mut self) {
        self.known.clear();
    }

    /// A line begins, with so many of the prompt's lines in front of it.
    pub(super) fn begin(&mut self, from: usize, lines: usize) {
        if let Some((name, text, first)) = self.next.take() {
            self.known.push(Part { name, text, first, from, lines });
        }
    }

    /// An error with the places in the prompt `id` told as places in the texts that its lines came from.
    pub(super) fn placed(&self, id: &str, e: Error) -> Error {
        e.placed(&|label: &mut Label| {
            if label.file != id {
                return;
            }
            let Some(part) = self.known.iter().rev().find(|p| p.from < label.line && label.line <= p.from + p.lines) else { return };
            label.line = label.line - part.from + part.first;
            label.file.clone_from(&part.name);
            label.source = part.text.clone();
        })
    }
}
