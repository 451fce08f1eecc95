//! The tests that use Lathe from outside: the library's public items, and the `lathe` binary. A folder for each theme; in it
//! - `process/`: tests that start processes (`make quick` leaves them out; `house/processes.rs` fails on one elsewhere),
//! - `alone/`: tests that need a process for themselves, because they use what a process has only once.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests make files as others would, and stop where one fails"
)]

mod cli;
mod data;
mod dist;
mod eval;
mod fetch;
mod house;
mod kernel;
mod lsp;
mod models;
mod parity;
mod prompt;
mod reload;
mod scripts;
mod support;
mod terminal;
mod text;
mod train;
