//! The engine: the only place that names `rhai`.

pub mod api;
pub mod bind;
mod callback;
mod context;
mod diagnose;
mod engine;
mod facade;
pub mod host;
mod hot;
mod known;
mod lint;
mod live;
mod locate;
pub mod params;
mod program;
mod reload;
mod replay;
mod source;
mod stack;
#[cfg(test)]
mod tests;
mod unit;
pub mod value;
mod watch;

pub use bind::{ApiFn, Cx, ErrorValue, Param, Receiver};
pub use context::RunContext;
pub use engine::{Engine, EngineOptions, Print};
pub use host::Host;
pub use hot::{Hot, HotOptions};
pub use live::Choose;
pub use locate::stdlib_folder;
pub use params::{Arg, Chosen, Config, Origin, Params, Setting};
pub use reload::{Reloaded, UnitChange};
pub use replay::{Replay, ReplayEnd};
/// The language's own crate, for the value types of an embedding program.
pub use rhai;
pub use stack::on_big_stack;
pub use watch::WatchMode;
