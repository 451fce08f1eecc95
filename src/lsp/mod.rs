//! The language server: what editors ask of scripts, answered from their text and from what the host tells.

mod capabilities;
mod colors;
mod completion;
mod config;
mod definition;
mod diagnostics;
mod folding;
mod hints;
pub mod host;
mod hover;
pub mod live;
mod meaning;
mod mend;
mod project;
mod rename;
mod requests;
mod server;
mod signature;
mod store;
mod symbols;
mod transport;
mod types;
mod uri;
mod wire;

pub use server::{Ended, serve};
