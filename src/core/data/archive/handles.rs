//! Every shard of a source stays open: the limit on open files is raised where those of all sources are more than it allows.

use crate::error::{Error, Result};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

/// What else is open: libraries, logs, sockets, checkpoints on their way.
const ELSE: u64 = 200;

/// The files that sources of this process have open.
static OPEN: AtomicU64 = AtomicU64::new(0);

/// Counts one open file, as long as it lasts.
#[derive(Debug)]
pub(super) struct Counted(());

impl Counted {
    pub(super) fn one() -> Counted {
        OPEN.fetch_add(1, Ordering::Relaxed);
        Counted(())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        OPEN.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Makes sure that so many files can be opened beside those of other sources, and raises this process's own limit up to what it may be where that is needed.
///
/// # Errors
/// `E0301` where the limit of the system is lower, with how to raise it.
pub(super) fn room_for(paths: &[PathBuf]) -> Result<()> {
    let others = OPEN.load(Ordering::Relaxed);
    let open = others + paths.len() as u64;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|now| now >= open + ELSE) {
        return Ok(());
    }
    let raised = maximum.map_or(open + ELSE, |most| most.min(open + ELSE));
    if current.is_some_and(|now| raised > now) {
        let failed = |e: rustix::io::Errno| Error::io("raise the limit on open files for", first(paths), e.into());
        setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum }).map_err(failed)?;
    }
    if raised < open {
        let others = if others > 0 { format!(", {others} of them of other sources") } else { String::new() };
        let few = std::io::Error::other(format!("{open} files are to be open at once{others}, and this system allows {raised}"));
        return Err(Error::io("open all shards with", first(paths), few)
            .help("raise the limit (`ulimit -Hn`, or LimitNOFILE of the service), or join shards: `lathe run scripts/preprocess.rhai`"));
    }
    Ok(())
}

fn first(paths: &[PathBuf]) -> PathBuf {
    paths.first().cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_other_sources_count_as_long_as_they_are_open() {
        // Of a limit that no test could reach there is nothing to see.
        let Some(most) = getrlimit(Resource::Nofile).maximum.and_then(|n| usize::try_from(n).ok()).filter(|n| *n <= 1 << 20) else { return };
        let paths = vec![PathBuf::from("x.tar"); most - 100];
        let others: Vec<Counted> = (0..300).map(|_| Counted::one()).collect();
        let e = room_for(&paths).unwrap_err();
        assert!(e.code() == "E0301" && e.to_string().contains("of them of other sources"), "{e}");
        drop(others);
        assert!(room_for(&paths[..most / 2]).is_ok());
    }
}
