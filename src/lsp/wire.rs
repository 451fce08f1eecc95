//! Between bytes of a text and the protocol's places.

use super::uri;
use crate::script::text::lines::{Columns, Place};
use crate::script::text::script::Script;
use gen_lsp_types::{Location, MarkupContent, MarkupKind, Position, Range, TextEdit, Uri, WorkspaceEdit};
use std::collections::HashMap;
use std::path::Path;

/// In what this editor counts, and how it calls the texts that it opened.
pub struct Wire<'a> {
    /// In what it counts columns.
    pub columns: Columns,
    /// The URI of an open text.
    pub opened: &'a dyn Fn(&Path) -> Option<String>,
}

fn small(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// A place of the protocol's.
pub fn place(position: Position) -> Place {
    Place { line: position.line as usize, column: position.character as usize }
}

/// A place as the protocol has it.
pub fn position(place: Place) -> Position {
    Position { line: small(place.line), character: small(place.column) }
}

/// Text with Markdown.
pub fn markdown(value: String) -> MarkupContent {
    MarkupContent { kind: MarkupKind::Markdown, value }
}

impl Wire<'_> {
    /// A part of a text.
    pub fn range(&self, script: &Script, range: std::ops::Range<usize>) -> Range {
        Range { start: position(script.place(range.start, self.columns)), end: position(script.place(range.end, self.columns)) }
    }

    /// The byte at a place.
    pub fn offset(&self, script: &Script, position: Position) -> usize {
        script.offset(place(position), self.columns)
    }

    /// The bytes of a part.
    pub fn bytes(&self, script: &Script, range: Range) -> std::ops::Range<usize> {
        let start = self.offset(script, range.start);
        start..self.offset(script, range.end).max(start)
    }

    /// A file, as the editor calls it.
    pub fn uri(&self, path: &Path) -> Uri {
        Uri((self.opened)(path).unwrap_or_else(|| uri::uri(path)))
    }

    /// A part of a file.
    pub fn location(&self, path: &Path, script: &Script, range: std::ops::Range<usize>) -> Location {
        Location { uri: self.uri(path), range: self.range(script, range) }
    }

    /// Changes of one file.
    pub fn edit(&self, path: &Path, edits: Vec<TextEdit>) -> WorkspaceEdit {
        WorkspaceEdit { changes: Some(HashMap::from([(self.uri(path), edits)])), ..WorkspaceEdit::default() }
    }
}
