//! The scripts and the standard library.

mod alone;
pub mod process;
