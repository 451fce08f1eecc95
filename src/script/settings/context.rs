//! How the running script was started: what a run folder records.

use super::params::Config;
use crate::torch::{DType, Device};
use std::path::PathBuf;

/// The command behind a run. `lathe run` puts it into the [`Host`](crate::script::Host); functions read it with
/// `cx.host().get::<RunContext>()`. An embedding program may put its own.
#[derive(Debug, Clone)]
pub struct RunContext {
    /// The script, as it was given.
    pub script: PathBuf,
    /// The whole command line.
    pub args: Vec<String>,
    /// Ids and texts of the script (first) and of every module it imports: `train.rhai`, `std/flow.rhai`.
    pub sources: Vec<(String, String)>,
    /// Every setting with its value and where that comes from.
    pub config: Config,
    /// Where new tensors and models are made.
    pub device: Device,
    /// The dtype that `--dtype` asks for.
    pub dtype: DType,
}
