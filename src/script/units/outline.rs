//! One version of a unit's text, and what stands where in it, read when it is first asked for.

use super::shape::Shape;
use rhai::{AST, ImmutableString};
use std::cell::OnceCell;
use std::sync::Arc;

/// One version of a unit's text.
pub(crate) struct Outline {
    /// The unit's id with the version of the text.
    pub tag: ImmutableString,
    /// As messages show the unit.
    pub shown: String,
    /// The text.
    pub text: Arc<str>,
    ast: AST,
    is_notebook: bool,
    shape: OnceCell<Shape>,
}

impl Outline {
    pub(crate) fn new(tag: ImmutableString, shown: String, ast: AST, text: Arc<str>, is_notebook: bool) -> Self {
        Outline { tag, shown, text, ast, is_notebook, shape: OnceCell::new() }
    }

    /// What stands where in it.
    pub(crate) fn shape(&self) -> &Shape {
        self.shape.get_or_init(|| Shape::of(&self.ast, &self.text, self.is_notebook))
    }
}
