//! A script's text while it is written: tokens, brackets, names. Nothing here fails, whatever the text.

pub mod code;
pub mod faults;
pub mod format;
pub mod items;
pub mod lexer;
pub mod lines;
pub mod names;
mod resolve;
mod scan;
pub mod script;
pub mod site;
pub mod token;
