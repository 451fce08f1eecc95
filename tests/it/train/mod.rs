//! Runs: steps, checkpoints, going on after any kind of end.

mod alone;
mod process;
