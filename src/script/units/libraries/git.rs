//! Libraries in git repositories: fetched once with the system's `git`, kept in the cache folder by commit.

use crate::error::{Error, Result};
use crate::files;
use sha2::{Digest, Sha256};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What may stand before `://`; others, such as `ext::`, run programs.
const PROTOCOLS: &str = "file:git:http:https:ssh";

/// Where the files of a commit are, or will be.
///
/// # Errors
/// `E0101` when there is no cache folder.
pub(super) fn folder(url: &str, commit: &str) -> Result<PathBuf> {
    let cache = crate::models::cache_folder()
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
    if url.starts_with('-') || rev.starts_with('-') || rev.is_empty() {
        return Err(Error::usage(format!("`{}` is no address or revision of a git repository", if url.starts_with('-') { url } else { rev })));
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
    git(temp.path(), [OsStr::new("clone"), "--quiet".as_ref(), "--no-checkout".as_ref(), "--".as_ref(), url.as_ref(), work.as_os_str()])
        .map_err(failed)?;
    let commit = commit_of(&work, rev).ok_or_else(|| {
        Error::run(format!("`{url}` has no commit, tag or branch `{rev}`")).help("`lathe update` looks for it anew; `lathe add` takes another --rev")
    })?;
    let target = folder(url, &commit)?;
    if !target.is_dir() {
        git(&work, ["checkout", "--quiet", "--detach", commit.as_str()]).map_err(failed)?;
        let inner = work.join(".git");
        files::remove_dir(&inner)?;
        // Another process may have been faster; the commit says that its files are the same.
        files::rename(&work, &target).or_else(|e| if target.is_dir() { Ok(()) } else { Err(e) })?;
    }
    Ok(commit)
}

/// Forgets a commit, so that the next [`fetch`] gets it again.
///
/// # Errors
/// `E0301` when it cannot be removed.
pub(super) fn forget(url: &str, commit: &str) -> Result<()> {
    files::remove_dir(&folder(url, commit)?)
}

fn is_commit(rev: &str) -> bool {
    matches!(rev.len(), 40 | 64) && rev.chars().all(|c| c.is_ascii_hexdigit() && !c.is_ascii_uppercase())
}

/// A branch goes before a tag of the same name: branches are what moves.
fn commit_of(work: &Path, rev: &str) -> Option<String> {
    let find = |name: String| git(work, ["rev-parse", "--verify", "--quiet", "--end-of-options", &format!("{name}^{{commit}}")]).ok();
    let found = find(format!("refs/remotes/origin/{rev}")).or_else(|| find(rev.to_owned()))?;
    Some(found.trim().to_owned()).filter(|c| is_commit(c))
}

fn git<S: AsRef<OsStr>>(folder: &Path, args: impl IntoIterator<Item = S>) -> Result<String> {
    let mut command = Command::new("git");
    // The repository's own hooks do not run, and nobody is asked for a password.
    command.args(["-c", "core.hooksPath=/dev/null", "-c", "advice.detachedHead=false", "-C"]).arg(folder).args(args);
    command.env("GIT_ALLOW_PROTOCOL", PROTOCOLS).env("GIT_TERMINAL_PROMPT", "0");
    for var in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE"] {
        command.env_remove(var);
    }
    let out = command.stdin(Stdio::null()).output().map_err(|e| Error::io("run", "git", e).help("libraries from git need the program `git`"))?;
    if out.status.success() {
        return Ok(String::from_utf8_lossy(&out.stdout).into_owned());
    }
    crate::interrupt::check()?;
    let said = String::from_utf8_lossy(&out.stderr);
    let said = said.lines().map(str::trim).filter(|l| !l.is_empty()).collect::<Vec<_>>().join("; ");
    Err(Error::run(format!("git failed: {said}")))
}
