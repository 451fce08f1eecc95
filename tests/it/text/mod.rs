//! The text layer: tokens, names and layout, over every script of the project and over broken ones.

mod damage;
pub mod files;
mod format;
mod lexer;
mod names;
