//! What scripts can call: one file for each namespace. Thin: convert, call down, convert back.

pub mod f;
