//! Training: the run folder, the fit loop, checkpoints, and where metrics and pictures go.

mod allowed;
pub mod attach;
pub mod checkpoint;
pub mod compare;
mod console;
pub mod edits;
mod env;
mod events;
mod fit;
pub mod images;
mod job;
mod keep;
pub mod log;
pub mod metrics;
mod name;
pub mod optim;
pub mod origins;
mod rewind;
pub mod rng;
mod run;
pub mod settings;
pub mod sources;
pub mod status;
mod sum;
mod tracked;
mod unchanged;

pub use allowed::Allowed;
pub use checkpoint::Checkpoint;
pub use edits::{Edit, NewEdit};
pub use fit::{Batches, Failure, FitOptions, NoBatches, Outcome, Retry, Steps, fit};
pub use keep::Keep;
pub use metrics::{Metric, Metrics};
pub use name::check as check_name;
pub use run::{OpenRun, Options, ended, ending};
pub use sources::{Source, Sources};
pub use tracked::{Saved, Tracked};
