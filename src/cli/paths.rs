//! `--allow-read`, `--allow-write`, `--allow-torchscript` and `--allow-unsafe-ops`: the same for every verb that runs scripts.

use crate::script::Permissions;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

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
    #[command(flatten)]
    pub programs: Programs,
}

// Which TorchScript programs scripts may run.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct Programs {
    /// Let scripts run TorchScript programs that they can read and cannot write; with `=PATH` the one in that file. May be given several
    /// times. A program that another flag names may be run without.
    #[arg(long, value_name = "PATH", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub allow_torchscript: Vec<OsString>,
}

impl Programs {
    /// Allows them.
    pub(super) fn grant(&self, permissions: &mut Permissions) {
        for given in &self.allow_torchscript {
            if given.is_empty() { permissions.allow_torchscript() } else { permissions.allow_program(Path::new(given)) }
        }
    }
}

impl Paths {
    /// Allows them.
    pub(super) fn grant(&self, permissions: &mut Permissions) {
        self.allow_read.iter().for_each(|path| permissions.allow_read(path));
        self.allow_write.iter().for_each(|path| permissions.allow_write(path));
        if self.allow_unsafe_ops {
            permissions.allow_unsafe_ops();
        }
        self.programs.grant(permissions);
    }
}
