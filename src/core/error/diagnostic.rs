//! A message with the source lines that it speaks of.

use super::nearest::Replacement;

/// A place in a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The script's name as the user knows it.
    pub file: String,
    /// Its whole text, for the source line.
    pub source: std::sync::Arc<str>,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// In characters; at least 1.
    pub width: usize,
    /// What this place has to do with the error.
    pub text: String,
}

/// A message with the source lines it speaks of: the failing place first, then its callers.
#[derive(Debug, Clone)]
pub struct Diagnostic {
    /// The stable code.
    pub code: &'static str,
    /// What went wrong.
    pub message: String,
    /// The failing place, then each caller outwards.
    pub labels: Vec<Label>,
    /// What to type.
    pub help: Option<String>,
    /// Further errors that the same check found.
    pub also: Vec<Diagnostic>,
    /// The script exception behind this message, while it is on its way through Rust code: see `script::bind`.
    pub ticket: Option<u64>,
    /// Whether it is a warning: nothing stops for it.
    pub is_warning: bool,
}

impl Diagnostic {
    /// The same as a warning.
    pub fn as_warning(self) -> Self {
        Diagnostic { is_warning: true, ..self }
    }

    /// A message without a place.
    pub fn plain(code: &'static str, message: impl Into<String>) -> Self {
        Diagnostic { code, message: message.into(), labels: Vec::new(), help: None, also: Vec::new(), ticket: None, is_warning: false }
    }

    pub(super) fn place(&mut self, place: &dyn Fn(&mut Label)) {
        self.labels.iter_mut().for_each(place);
        self.also.iter_mut().for_each(|d| d.place(place));
    }

    /// The word that is a slip, and the one that was meant, where one is near.
    pub fn replacement(&self) -> Option<Replacement> {
        Replacement::offered(&self.message)
    }

    /// The text that goes to the terminal.
    pub fn render(&self, color: bool) -> String {
        use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
        let level = if self.is_warning { Level::WARNING } else { Level::ERROR };
        let title = level.primary_title(self.message.as_str()).id(self.code);
        let mut group = annotate_snippets::Group::with_title(title);
        for (i, l) in self.labels.iter().enumerate() {
            let kind = if i == 0 { AnnotationKind::Primary } else { AnnotationKind::Context };
            group =
                group.element(Snippet::source(&*l.source).path(l.file.as_str()).line_start(1).annotation(kind.span(l.span()).label(l.text.as_str())));
        }
        if let Some(h) = &self.help {
            group = group.element(Level::HELP.message(h.as_str()));
        }
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let mut text = renderer.render(&[group]).to_string();
        for d in &self.also {
            text.push_str("\n\n");
            text.push_str(&d.render(color));
        }
        // The renderer shows the controls of ASCII, and lets those behind them through, which steer a terminal as well.
        let steers = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t' | '\u{1b}');
        if !text.contains(steers) {
            return text;
        }
        text.chars().map(|c| if steers(c) { c.escape_default().to_string() } else { c.to_string() }).collect()
    }
}

impl Label {
    /// The byte range of this place in its source.
    fn span(&self) -> std::ops::Range<usize> {
        let mut start = 0;
        for (i, line) in self.source.split_inclusive('\n').enumerate() {
            if i + 1 == self.line {
                let text = line.trim_end_matches(['\n', '\r']);
                let at = |n: usize| text.char_indices().nth(n).map_or(text.len(), |(b, _)| b);
                let (a, b) = (at(self.column.saturating_sub(1)), at(self.column.saturating_sub(1) + self.width.max(1)));
                return start + a..start + b;
            }
            start += line.len();
        }
        self.source.len()..self.source.len()
    }
}
