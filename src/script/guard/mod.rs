//! What scripts may read, write and run.

pub mod fetching;
mod found;
pub mod permissions;
mod programs;
mod running;
