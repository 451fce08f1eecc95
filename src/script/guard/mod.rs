//! What scripts may read, write and run.

pub mod permissions;
mod programs;
mod running;
