//! Every shard of a source stays open: the limit on open files is raised where they are more than it allows.

use crate::error::{Error, Result};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::path::PathBuf;

/// What else is open: libraries, logs, sockets, checkpoints on their way.
const ELSE: u64 = 200;

/// Makes sure that so many files can stay open, and raises this process's own limit up to what it may be where that is needed.
///
/// # Errors
/// `E0301` where the limit of the system is lower, with how to raise it.
pub(super) fn room_for(paths: &[PathBuf]) -> Result<()> {
    let wanted = paths.len() as u64 + ELSE;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|now| now >= wanted) {
        return Ok(());
    }
    let raised = maximum.map_or(wanted, |most| most.min(wanted));
    if current.is_some_and(|now| raised > now) {
        let failed = |e: rustix::io::Errno| Error::io("raise the limit on open files for", first(paths), e.into());
        setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum }).map_err(failed)?;
    }
    if raised < paths.len() as u64 {
        let few = std::io::Error::other(format!("{} files are to be open at once, and this system allows {raised}", paths.len()));
        return Err(Error::io("open all shards with", first(paths), few)
            .help("raise the limit (`ulimit -Hn`, or LimitNOFILE of the service), or join shards: `lathe run scripts/preprocess.rhai`"));
    }
    Ok(())
}

fn first(paths: &[PathBuf]) -> PathBuf {
    paths.first().cloned().unwrap_or_default()
}
