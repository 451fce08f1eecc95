//! `--allow-read`, `--allow-write`, `--allow-torchscript`, `--allow-unsafe-ops` and `--fetch`: the same for every verb that runs scripts.

use crate::dist;
use crate::error::Result;
use crate::fetch::Pins;
use crate::script::units::libraries::Project;
use crate::script::{Consent, Fetching, Permissions};
use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;

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
    /// Fetch weights that are missing and have a name or a reference (`hf://owner/repo/file`), for libraries too. Without it `fetch = true` in
    /// lathe.toml counts, and else somebody at the terminal is asked.
    #[arg(long)]
    pub fetch: bool,
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

/// The project around a folder of a script, or around the working directory.
///
/// # Errors
/// `E0302` for a project file with something wrong in it.
pub(super) fn project_of(folder: &Path) -> Result<Option<Project>> {
    Project::find([folder, Path::new(".")])
}

/// Whether the scripts in a folder may have weights fetched: as the flag says, else as the project does, else as somebody at the terminal does.
///
/// # Errors
/// `E0302` for a project file with something wrong in it.
pub(super) fn fetching(folder: &Path, flag: bool) -> Result<Arc<Fetching>> {
    let project = project_of(folder)?;
    // Of several processes none has the terminal for itself.
    let can_ask = || std::io::stdin().is_terminal() && std::io::stderr().is_terminal() && dist::current().is_none();
    let consent = match (flag, project.as_ref().and_then(Project::fetches)) {
        (true, _) => Consent::Flag,
        (_, Some(true)) => Consent::Project,
        (_, None) if can_ask() => Consent::Ask,
        _ => Consent::Never,
    };
    let pins = project.map(|p| Arc::new(p.pins()) as Arc<dyn Pins>);
    Ok(Arc::new(Fetching::new(consent, pins)))
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
