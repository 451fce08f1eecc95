//! The language as it is met: values, functions, errors with their places, limits. Knows of no script.

pub mod caught;
pub mod codes;
pub mod diagnose;
pub mod exception;
mod formats;
pub mod function;
pub mod given;
pub mod host;
pub mod import;
pub mod indices;
mod keywords;
pub mod known;
pub mod language;
pub mod limits;
pub mod option_limits;
pub mod options;
pub mod place;
pub mod principal;
pub mod reading;
pub mod shown;
pub mod source;
pub mod stack;
pub mod tensors;
pub mod unsaved;
pub mod value;
pub mod witness;
