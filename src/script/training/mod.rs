//! A run in the hands of a script: its steps, reloading between them, live settings, watching files, replay.

pub mod boundary;
pub mod find_nan;
pub mod hot;
pub mod live;
mod offer;
pub mod open;
pub mod pointer;
pub mod profile;
pub mod replay;
pub mod run;
pub mod shapes;
pub mod steps;
pub mod stopping;
pub mod values;
pub mod watch;
