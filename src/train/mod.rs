//! Training: the run folder, the fit loop, checkpoints, and where metrics and pictures go.

mod allowed;
pub mod attach;
pub mod checkpoint;
pub mod compare;
mod console;
pub mod edits;
mod events;
mod fit;
pub mod images;
pub mod log;
pub mod metrics;
pub mod optim;
pub mod origins;
pub mod rng;
mod run;
pub mod settings;
pub mod sources;
pub mod status;
mod sum;
mod tracked;

pub use allowed::Allowed;
pub use checkpoint::Checkpoint;
pub use edits::{Edit, NewEdit};
pub use fit::{Batches, Failure, FitOptions, NoBatches, Outcome, Retry, Steps, fit};
pub use metrics::{Metric, Metrics};
pub use run::{OpenRun, Options};
pub use sources::{Source, Sources};
pub use tracked::{Saved, Tracked};
