//! What lies below the scripts: tensors and the bridge to libtorch, networks, data, training, evaluation, files. A crate of its own, so that a line of a script
//! function does not have all of it compiled again; `lathe` hands on every part under the same name.
#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, clippy::disallowed_macros, clippy::unwrap_used, clippy::panic, reason = "tests make files as others would")
)]

pub mod data;
pub mod dist;
pub mod error;
pub mod eval;
pub mod fetch;
pub mod files;
pub mod git;
pub mod interrupt;
pub mod memory;
pub mod models;
pub mod nn;
pub mod origin;
pub mod plain;
pub mod progress;
pub mod space;
pub mod torch;
pub mod train;
