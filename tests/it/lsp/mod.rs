//! The language server: with a small host over pipes, and as a process that editors start.

mod bare;
mod client;
mod faults;
mod names;
mod process;
mod protocol;
mod typing;
