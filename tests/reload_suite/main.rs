//! Hot reload by the `lathe` binary: real processes, real signals, files edited by real tools.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests make files as others would, and stop where one fails"
)]

mod edits;
mod place;
mod random;
mod replay;
