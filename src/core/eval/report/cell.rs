//! What stands in a table's cell.

use maud::{Markup, html};

/// A cell of a table.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Cell {
    /// What it says.
    pub text: String,
    /// Below it, smaller.
    pub note: String,
    /// Whether it is a number: columns of such stand to the right.
    pub is_number: bool,
    /// Whether it stands out, as the best of its row does.
    pub is_strong: bool,
}

impl Cell {
    /// Words.
    pub fn text(text: impl Into<String>) -> Self {
        Cell { text: text.into(), ..Cell::default() }
    }

    /// A number, also one that is not finite.
    pub fn number(x: f64) -> Self {
        Cell { text: shown(x), is_number: true, ..Cell::default() }
    }

    /// There is nothing.
    pub fn none() -> Self {
        Cell { text: "\u{2013}".into(), is_number: true, ..Cell::default() }
    }

    /// The same with something below it.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    /// The same, standing out.
    #[must_use]
    pub fn strong(mut self, is_strong: bool) -> Self {
        self.is_strong = is_strong;
        self
    }

    /// The cell, to the right where its column holds numbers.
    pub(super) fn html(&self, to_right: bool) -> Markup {
        let text = html! { @if self.is_strong { strong { (self.text) } } @else { (self.text) } };
        html! {
            td.n[to_right] {
                (text)
                @if !self.note.is_empty() { small { (self.note) } }
            }
        }
    }
}

/// A number in as many digits as a reader compares: 4 significant ones, whole numbers whole, powers of ten where they shorten.
pub fn shown(x: f64) -> String {
    if x.is_nan() {
        return "NaN".into();
    }
    if x.is_infinite() {
        return if x > 0.0 { "\u{221e}" } else { "\u{2212}\u{221e}" }.into();
    }
    let a = x.abs();
    if a != 0.0 && !(1e-4..1e9).contains(&a) {
        return format!("{x:.3e}");
    }
    if x == x.trunc() {
        return format!("{x}");
    }
    let decimals = (3 - a.log10().floor() as i32).clamp(0, 8) as usize;
    let text = format!("{x:.decimals$}");
    // A whole number that rounding made keeps its decimals away, others lose their zeros.
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}
