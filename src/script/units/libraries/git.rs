//! Libraries in git repositories: fetched once with the system's `git`, kept in the cache folder by commit.

use crate::error::{Error, Result};
use crate::files;
use crate::git::{self, Limits, PLAIN_FILES};
use sha2::{Digest, Sha256};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What may stand before `://`; others, such as `ext::`, run programs.
const PROTOCOLS: &str = "file:git:http:https:ssh";
/// How long nothing may come.
const PATIENCE: Duration = Duration::from_secs(300);
/// More bytes than any repository with a library in it.
const LARGEST: u64 = 4 << 30;

/// Where the files of a commit are, or will be.
///
/// # Errors
/// `E0101` when there is no cache folder.
pub(super) fn folder(url: &str, commit: &str) -> Result<PathBuf> {
    let cache = crate::fetch::cache_folder()
        .ok_or_else(|| Error::usage("there is no folder to keep libraries in").help("set LATHE_CACHE, XDG_CACHE_HOME or HOME"))?;
    let last = url.trim_end_matches('/').rsplit(['/', ':']).next().unwrap_or_default().trim_end_matches(".git");
    let slug: String = last.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '-' }).take(40).collect();
    let hash = files::hex(&Sha256::digest(url.as_bytes())[..6]);
    Ok(cache.join("recipes").join(format!("{slug}-{hash}")).join(commit))
}

/// Fetches `rev` and gives its commit. Nothing is fetched when `rev` is a commit that is in the cache already.
///
/// # Errors
/// `E0601` with git's own words when it fails, `E0301` when the cache cannot be written.
pub(super) fn fetch(url: &str, rev: &str) -> Result<String> {
    let wrong = |what: &str| what.is_empty() || what.starts_with('-') || what.chars().any(char::is_control);
    if let Some(what) = [url, rev].into_iter().find(|what| wrong(what)) {
        return Err(Error::usage(format!("`{}` is no address or revision of a git repository", what.escape_debug())));
    }
    if is_commit(rev) && folder(url, rev)?.is_dir() {
        return Ok(rev.to_owned());
    }
    crate::progress::line(&format!("fetching {url} at {rev}"));
    let home = folder(url, "-")?.parent().map(Path::to_owned).unwrap_or_default();
    files::create_dir(&home)?;
    let temp = tempfile::Builder::new().prefix(".fetch-").tempdir_in(&home).map_err(|e| Error::io("create", &home, e))?;
    let work = temp.path().join("files");
    let failed =
        |e: Error| e.context(format!("fetching `{url}`")).help("is the address right, and can it be reached? what was fetched before is not lost");
    let limits = Limits { protocols: PROTOCOLS, patience: PATIENCE, fills: Some((temp.path(), LARGEST)) };
    clone(temp.path(), url, &work, &limits).map_err(failed)?;
    let commit = commit_of(&work, rev).ok_or_else(|| {
        Error::run(format!("`{url}` has no commit, tag or branch `{rev}`")).help("`lathe update` looks for it anew; `lathe add` takes another --rev")
    })?;
    let target = folder(url, &commit)?;
    if !target.is_dir() {
        let info = work.join(".git/info");
        files::create_dir(&info)?;
        files::write(&info.join("attributes"), PLAIN_FILES)?;
        git::run(&work, &limits, ["checkout", "--quiet", "--detach", commit.as_str()]).map_err(failed)?;
        let inner = work.join(".git");
        files::remove_dir(&inner)?;
        // Another process may have been faster; the commit says that its files are the same.
        files::rename(&work, &target).or_else(|e| if target.is_dir() { Ok(()) } else { Err(e) })?;
    }
    Ok(commit)
}

/// Clones without any files. ssh is told to ask nothing, unless the user has a command for it.
fn clone(at: &Path, url: &str, work: &Path, limits: &Limits) -> Result<()> {
    let has_own = || git::run(at, &Limits::LOCAL, ["config", "--get", "core.sshCommand"]).is_ok();
    let asks_nothing = std::env::var_os("GIT_SSH").is_some() || std::env::var_os("GIT_SSH_COMMAND").is_some() || has_own();
    let ssh: &[&str] = if asks_nothing { &[] } else { &["-c", "core.sshCommand=ssh -oBatchMode=yes -oConnectTimeout=30"] };
    let args = ["clone", "--quiet", "--no-checkout", "--no-recurse-submodules", "--template=", "--"];
    let args = ssh.iter().chain(&args).map(|a| OsStr::new(*a)).chain([url.as_ref(), work.as_os_str()]);
    git::run(at, limits, args).map(|_| ())
}

/// Forgets a commit, so that the next [`fetch`] gets it again.
///
/// # Errors
/// `E0301` when it cannot be removed.
pub(super) fn forget(url: &str, commit: &str) -> Result<()> {
    files::remove_dir(&folder(url, commit)?)
}

/// Whether an address is a place on this disk: `file:///x`, `/x`, `../x`.
pub(super) fn is_here(url: &str) -> bool {
    let host = url.split('/').next().unwrap_or_default();
    url.starts_with("file:") || !(url.contains("://") || host.contains(':'))
}

fn is_commit(rev: &str) -> bool {
    matches!(rev.len(), 40 | 64) && rev.chars().all(|c| c.is_ascii_hexdigit() && !c.is_ascii_uppercase())
}

/// A branch goes before a tag of the same name: branches are what moves. What looks like a commit is that commit: a branch may be called like it.
fn commit_of(work: &Path, rev: &str) -> Option<String> {
    let find = |name: &str| {
        let name = format!("{name}^{{commit}}");
        git::run(work, &Limits::LOCAL, ["rev-parse", "--verify", "--quiet", "--end-of-options", name.as_str()]).ok()
    };
    if is_commit(rev) {
        return find(rev).filter(|found| found.trim() == rev).map(|_| rev.to_owned());
    }
    let found = find(&format!("refs/remotes/origin/{rev}")).or_else(|| find(rev))?;
    Some(found.trim().to_owned()).filter(|c| is_commit(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_this_disk_are_told_from_others() {
        for here in ["file:///a/b", "/a/b", "../a", "a/b:c", "lab"] {
            assert!(is_here(here), "{here}");
        }
        for away in ["https://a/b", "git@host:a/b", "host:a", "ssh://a/b", "git://a"] {
            assert!(!is_here(away), "{away}");
        }
    }
}
