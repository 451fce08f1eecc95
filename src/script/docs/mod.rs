//! The documentation: everything that a script can use, read from the doc comments beside the code.
//!
//! One [`Reference`] feeds `lathe doc`, the prompt's `:doc`, the pages of docs/reference and the editor's `.d.rhai` files, so that
//! they cannot disagree; the examples in it run as tests.

mod comment;
mod definitions;
mod find;
mod item;
mod modules;
mod pages;
mod recipe;
mod reference;
pub mod settings;
pub mod terminal;

pub use comment::{Comment, blocks};
pub use definitions::definitions;
pub use find::Found;
pub use item::{GLOBAL, Item, Kind, Page, PageKind, Parameter, option_table};
pub use modules::{head, script_texts};
pub use pages::{ScriptPage, is_ours, pages};
pub use recipe::{Recipe, recipe_page, recipes, recipes_folder};
pub use reference::Reference;
