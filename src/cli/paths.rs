//! `--allow-read`, `--allow-write` and `--allow-unsafe-ops`: the same for every verb that runs scripts.

use crate::script::Permissions;
use std::path::PathBuf;

// What scripts may do besides what they always may. (A doc comment would take the place of the verb's own.)
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct Paths {
    /// A file or folder that scripts may read besides the project and what other flags name. May be given several times.
    #[arg(long, value_name = "PATH")]
    pub allow_read: Vec<PathBuf>,
    /// A file or folder that scripts may write besides the run folder and the outputs that other flags name.
    #[arg(long, value_name = "PATH")]
    pub allow_write: Vec<PathBuf>,
    /// Opens every operator of libtorch to `torch::op`, also those that do not check their arguments: a wrong one may end the process. Libraries
    /// never get them.
    #[arg(long)]
    pub allow_unsafe_ops: bool,
}

impl Paths {
    /// Allows them.
    pub(super) fn grant(&self, permissions: &mut Permissions) {
        self.allow_read.iter().for_each(|path| permissions.allow_read(path));
        self.allow_write.iter().for_each(|path| permissions.allow_write(path));
        if self.allow_unsafe_ops {
            permissions.allow_unsafe_ops();
        }
    }
}
