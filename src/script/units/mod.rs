//! Scripts: where their texts are, how they are checked, built and called, and the libraries that they may import.

mod align;
pub mod at;
pub mod build;
pub mod callback;
pub mod capture;
pub mod changes;
pub mod doubts;
pub mod facade;
pub mod generation;
pub mod kept;
pub mod libraries;
pub mod lint;
pub mod locate;
pub mod look;
mod looked;
mod option_lint;
pub mod outline;
pub mod program;
mod reach;
pub mod roots;
mod scan;
mod scopes;
mod shape;
pub mod standing;
pub mod swap;
pub mod unit;
