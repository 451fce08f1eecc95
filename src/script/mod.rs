//! The engine: the only place that names `rhai`. Its parts use each other downwards only: docs/architecture.md has the order.

pub mod api;
pub mod bind;
pub mod docs;
mod engine;
pub mod guard;
pub mod lang;
pub mod prompt;
pub mod runtime;
pub mod settings;
#[cfg(test)]
mod tests;
pub mod text;
pub mod training;
pub mod units;

pub use bind::Cx;
pub use engine::{Engine, EngineOptions, Print};
pub use guard::fetching::{Consent, Fetching};
pub use guard::permissions::Permissions;
pub use lang::exception::ErrorValue;
pub use lang::function::{ApiFn, Call, Param, Receiver};
pub use lang::host::Host;
pub use lang::limits::Limits;
pub use lang::stack::on_big_stack;
pub use prompt::session::Session;
/// The language's own crate, for the value types of an embedding program.
pub use rhai;
pub use runtime::{Builder, Held, Runtime, Stop};
pub use settings::context::RunContext;
pub use settings::params::{Arg, Chosen, Config, Origin, Params, Setting};
pub use training::find_nan::Looking;
pub use training::hot::{Hot, HotOptions};
pub use training::live::Choose;
pub use training::profile::Profile;
pub use training::replay::{Replay, ReplayEnd};
pub use training::watch::WatchMode;
pub use units::at::At;
pub use units::changes::{Reloaded, UnitChange};
pub use units::locate::{embedded_tests, stdlib_folder};
