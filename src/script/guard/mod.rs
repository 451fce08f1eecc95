//! What scripts may read and write.

pub mod permissions;
