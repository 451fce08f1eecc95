//! Scripts that are edited while they run.

mod alone;
mod process;
