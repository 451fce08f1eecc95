//! `env.json`: the machine and the program that work on a run, and the commit of the scripts' repository.

use crate::dist;
use crate::error::Result;
use crate::files;
use crate::git;
use crate::torch::{bridge, cuda_is_available, default_device, device_name, num_threads};
use serde_json::{Value, json};
use std::path::Path;

/// Writes `env.json`: versions, device, threads, system, host, and the commit of the working directory. No user's name.
///
/// # Errors
/// `E0301` when the system refuses.
pub(super) fn write(dir: &Path) -> Result<()> {
    let torch = bridge::build_info().ok();
    let here = std::env::current_dir().unwrap_or_default();
    let git = Git::at(&here);
    let env = json!({
        "lathe": env!("CARGO_PKG_VERSION"),
        "libtorch": torch.as_ref().map(|t| t.version.as_deref().unwrap_or(&t.compiled)),
        "cpu_kernels": torch.as_ref().map(|t| t.cpu.as_str()),
        "device": device_name(default_device()),
        "cuda": cuda_is_available(),
        "gpus": gpus(Path::new("/proc/driver/nvidia/gpus")),
        "threads": num_threads(),
        "spin": bridge::spin().to_string(),
        "ranks": dist::size(),
        "cores": std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        "os": std::env::consts::OS,
        "arch": std::env::consts::ARCH,
        "host": host(),
        "folder": here,
        "commit": git.as_ref().map(|g| g.commit.as_str()),
        "dirty": git.as_ref().map(|g| g.is_dirty),
        "started": files::iso_time(files::unix_time()),
    });
    files::write(&dir.join("env.json"), files::json(&env)?)
}

/// The machine's name in its network; nothing where the system does not tell.
/// What the machine is called.
pub(super) fn host() -> Option<String> {
    Some(files::read_text(Path::new("/proc/sys/kernel/hostname")).ok()?.trim().to_owned())
}

/// The models of this machine's NVIDIA GPUs, as their driver names them; empty without one.
fn gpus(folder: &Path) -> Vec<Value> {
    let model = |text: &str| text.lines().find_map(|l| Some(l.strip_prefix("Model:")?.trim().into()));
    // Without the driver there is no such folder.
    let found = files::list(folder).unwrap_or_default();
    found.into_iter().filter_map(|(_, path)| model(&files::read_text(&path.join("information")).ok()?)).collect()
}

/// The state of a repository.
#[derive(Debug, PartialEq, Eq)]
struct Git {
    /// The commit that is checked out.
    commit: String,
    /// Whether files that it knows differ from it.
    is_dirty: bool,
}

impl Git {
    /// That of the repository around a folder; `None` without one, without a commit, or without the program `git`.
    fn at(folder: &Path) -> Option<Git> {
        folder.ancestors().find(|a| a.join(".git").exists())?;
        Git::read(&git::status(folder).ok()?)
    }

    fn read(text: &str) -> Option<Git> {
        let commit = text.lines().find_map(|l| l.strip_prefix("# branch.oid "))?;
        let is_dirty = text.lines().any(|l| !l.starts_with('#'));
        commit.bytes().all(|b| b.is_ascii_hexdigit()).then(|| Git { commit: commit.to_owned(), is_dirty })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_says_becomes_commit_and_dirty() {
        let clean = "# branch.oid 081e9ce0d0\n# branch.head main\n";
        assert_eq!(Git::read(clean), Some(Git { commit: "081e9ce0d0".into(), is_dirty: false }));
        let changed = format!("{clean}1 .M N... 100644 100644 100644 a b src/x.rs\n");
        assert!(Git::read(&changed).unwrap().is_dirty);
        assert_eq!(Git::read("# branch.oid (initial)\n"), None);
    }

    #[test]
    fn gpus_are_named_as_the_driver_names_them() {
        let dir = tempfile::tempdir().unwrap();
        for (bus, text) in [("0000:01:00.0", "Model: \t\t NVIDIA H200\nIRQ:   90\n"), ("0000:02:00.0", "IRQ: 1\n")] {
            std::fs::create_dir(dir.path().join(bus)).unwrap();
            std::fs::write(dir.path().join(bus).join("information"), text).unwrap();
        }
        assert_eq!(gpus(dir.path()), ["NVIDIA H200"]);
        assert!(gpus(&dir.path().join("none")).is_empty());
    }
}
