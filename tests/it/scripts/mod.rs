//! The scripts and the standard library.

mod alone;
mod process;
