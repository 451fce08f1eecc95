//! The engine: the only place that names `rhai`.

pub mod api;
pub mod bind;
mod callback;
mod diagnose;
mod engine;
mod facade;
pub mod host;
mod known;
mod lint;
mod locate;
mod program;
mod reload;
mod source;
mod stack;
#[cfg(test)]
mod tests;
mod unit;
pub mod value;

pub use bind::{ApiFn, Cx, ErrorValue, Param, Receiver};
pub use engine::{Engine, EngineOptions};
pub use host::Host;
pub use reload::{Reloaded, UnitChange};
pub use stack::on_big_stack;
