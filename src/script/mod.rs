//! The engine: the only place that names `rhai`.

pub mod answer;
pub mod api;
pub mod attached;
pub mod bind;
pub mod breakpoint;
mod callback;
pub mod complete;
mod context;
mod diagnose;
pub mod display;
mod engine;
mod facade;
pub mod host;
mod known;
mod lint;
mod locate;
pub mod manual;
pub mod params;
mod program;
mod reload;
pub mod session;
mod source;
mod stack;
#[cfg(test)]
mod tests;
mod unit;
pub mod value;

pub use bind::{ApiFn, Cx, ErrorValue, Param, Receiver};
pub use context::RunContext;
pub use engine::{Engine, EngineOptions, Print};
pub use host::Host;
pub use locate::stdlib_folder;
pub use params::{Arg, Chosen, Config, Origin, Params, Setting};
pub use reload::{Reloaded, UnitChange};
/// The language's own crate, for the value types of an embedding program.
pub use rhai;
pub use session::{At, Session};
pub use stack::on_big_stack;
