//! A script's settings: what `fn params()` declares, which are read, and which values a run has.

pub mod context;
pub mod declare;
pub mod params;
pub mod parse;
pub mod uses;
