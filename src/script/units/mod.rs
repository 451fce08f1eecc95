//! Scripts: where their texts are, how they are checked, built and called, and the libraries that they may import.

pub mod at;
pub mod build;
pub mod callback;
pub mod capture;
pub mod changes;
pub mod doubts;
pub mod facade;
pub mod generation;
pub mod libraries;
pub mod lint;
pub mod locate;
mod option_lint;
pub mod program;
pub mod roots;
mod scopes;
pub mod swap;
pub mod unit;
