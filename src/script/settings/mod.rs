//! A script's settings: what `fn params()` declares, which are read, and which values a run has.

pub mod context;
pub mod params;
mod parse;
mod read;
pub mod uses;
