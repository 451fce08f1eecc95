//! The prompt, in its own process and attached to a run.

mod process;
