//! The engine: the only place that names `rhai`.

pub mod api;
pub mod bind;
pub mod host;
pub mod value;

pub use bind::{ApiFn, Cx, Param, Receiver};
pub use host::Host;
