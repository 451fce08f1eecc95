//! The engine: the only place that names `rhai`.

pub mod api;
pub mod bind;
mod callback;
mod context;
mod diagnose;
pub mod docs;
mod engine;
mod facade;
pub mod host;
mod hot;
mod known;
mod limits;
mod lint;
mod live;
mod locate;
pub mod params;
pub mod permissions;
mod principal;
mod program;
pub mod recipes;
mod reload;
mod replay;
mod roots;
pub mod runtime;
mod settings_use;
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
pub use limits::Limits;
pub use live::Choose;
pub use locate::{embedded_tests, stdlib_folder};
pub use params::{Arg, Chosen, Config, Origin, Params, Setting};
pub use permissions::Permissions;
pub use reload::{Reloaded, UnitChange};
pub use replay::{Replay, ReplayEnd};
/// The language's own crate, for the value types of an embedding program.
pub use rhai;
pub use runtime::{Builder, Held, Runtime, Stop};
pub use stack::on_big_stack;
pub use watch::WatchMode;
