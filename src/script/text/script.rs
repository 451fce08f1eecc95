//! A text read whole: its tokens, items and names.

use super::code::Code;
use super::items::{Item, items};
use super::names::Names;
use super::resolve::resolve;
use std::ops::Deref;
use std::sync::Arc;

/// A text and what is known of it. It is read anew after each change: a thousand lines take a few milliseconds.
#[derive(Debug, Clone)]
pub struct Script {
    code: Code,
    /// Imports, constants and functions.
    pub items: Vec<Item>,
    /// What is declared and used.
    pub names: Names,
}

impl Script {
    /// Reads a text.
    pub fn new(source: impl Into<Arc<str>>) -> Self {
        let code = Code::new(source);
        let items = items(&code);
        let names = resolve(&code, &items);
        Script { code, items, names }
    }
}

impl Deref for Script {
    type Target = Code;

    fn deref(&self) -> &Code {
        &self.code
    }
}
