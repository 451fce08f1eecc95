//! Training: the run folder, the fit loop, checkpoints, and where metrics and pictures go.

pub mod attach;
pub mod checkpoint;
mod console;
mod events;
pub mod files;
mod fit;
pub mod images;
pub mod log;
pub mod metrics;
pub mod optim;
pub mod rng;
mod run;
pub mod settings;
pub mod status;
mod tracked;
pub mod typed;

pub use checkpoint::Checkpoint;
pub use console::grouped;
pub use fit::{Batches, FitOptions, NoBatches, Outcome, Steps, fit};
pub use metrics::{Metric, Metrics};
pub use run::{Options, Run};
pub use tracked::{Saved, Tracked};
