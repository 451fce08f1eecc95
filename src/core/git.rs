//! The system's `git`, held: nothing that a repository says of itself runs a program here, and nobody is asked for anything.
//!
//! A repository may come from a stranger, its `.git` folder with it: hooks, monitors, filters, helpers and lazy fetches that its own
//! configuration names stay off. The user's configuration still counts, for addresses and credentials.

use crate::error::{Error, Result};
use crate::interrupt;
use std::ffi::OsStr;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The variables of the user's that count. Others, such as those that a hook of another repository sets, lead git to other places.
const KEPT: &[&str] = &["GIT_SSH", "GIT_SSL_", "GIT_PROXY_", "GIT_HTTP_", "GIT_EXEC_PATH", "GIT_CONFIG_"];
/// What of them does not: options of a command line that ran git around us.
const DROPPED: &[&str] = &["GIT_CONFIG_PARAMETERS"];
/// How much of what git says is kept.
const SAID: u64 = 1 << 20;
/// Between two looks whether it has ended.
const LOOK: Duration = Duration::from_millis(5);

/// How a command is held.
#[derive(Debug, Clone, Copy)]
pub struct Limits<'a> {
    /// What may stand before `://`, joined by `:`. Others, such as `ext::`, run programs.
    pub protocols: &'a str,
    /// How long nothing may happen: no end, or no growth where there is a folder that it fills.
    pub patience: Duration,
    /// The folder that it fills, and how many bytes that may come to.
    pub fills: Option<(&'a Path, u64)>,
}

impl Limits<'_> {
    /// For what only looks at a repository that is there: no network at all.
    pub const LOCAL: Limits<'static> = Limits { protocols: "none", patience: Duration::from_secs(30), fills: None };
}

/// Runs git in a folder and gives what it prints.
///
/// # Errors
/// `E0601` with git's own words when it fails or a limit is passed, `E0301` when there is no such program, `E0901` when it is interrupted.
pub fn run<S: AsRef<OsStr>>(folder: &Path, limits: &Limits, args: impl IntoIterator<Item = S>) -> Result<String> {
    run_with(folder, limits, &[], args)
}

/// What of the files that a repository knows differs from its commit, as `git status --porcelain=v2 --branch` says it. Its filters are off, so
/// that a file which one of them would have changed may count as different.
///
/// # Errors
/// As [`run`].
pub fn status(folder: &Path) -> Result<String> {
    let keys = run(folder, &Limits::LOCAL, ["config", "--list", "--name-only", "-z"])?;
    let off = |key: &&str| key.starts_with("filter.") && [".clean", ".smudge", ".process", ".required"].iter().any(|end| key.ends_with(end));
    let settings: Vec<(String, &str)> =
        keys.split('\0').filter(off).map(|key| (key.to_owned(), if key.ends_with(".required") { "false" } else { "" })).collect();
    let args = ["status", "--porcelain=v2", "--branch", "--untracked-files=no", "--ignore-submodules=all"];
    run_with(folder, &Limits::LOCAL, &settings, args)
}

/// Lets a fetched repository have no say in how its files are written: no filters, no other line ends, no keywords.
pub const PLAIN_FILES: &str = "* -filter -ident -text -eol -working-tree-encoding\n";

fn run_with<S: AsRef<OsStr>>(folder: &Path, limits: &Limits, settings: &[(String, &str)], args: impl IntoIterator<Item = S>) -> Result<String> {
    let mut command = command(folder, limits, settings);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let missing = |e| Error::io("run", "git", e).help("libraries from git need the program `git`");
    let mut child = Held(command.spawn().map_err(missing)?);
    let (said, wrong) = (reader(child.0.stdout.take()), reader(child.0.stderr.take()));
    let ended = wait(&mut child.0, limits)?;
    let text = |reader: Option<JoinHandle<Vec<u8>>>| reader.and_then(|r| r.join().ok()).unwrap_or_default();
    let (said, wrong) = (text(said), text(wrong));
    if ended.success() {
        return Ok(String::from_utf8_lossy(&said).into_owned());
    }
    interrupt::check()?;
    let wrong = String::from_utf8_lossy(&wrong);
    let wrong = wrong.lines().map(str::trim).filter(|l| !l.is_empty()).collect::<Vec<_>>().join("; ");
    Err(Error::run(format!("git failed: {wrong}")))
}

fn command(folder: &Path, limits: &Limits, settings: &[(String, &str)]) -> Command {
    let mut command = Command::new("git");
    let counted = std::env::var("GIT_CONFIG_COUNT").ok().and_then(|n| n.parse::<usize>().ok()).unwrap_or(0);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        let is_kept = KEPT.iter().any(|k| name.starts_with(k)) && !DROPPED.contains(&name.as_str());
        if name.starts_with("GIT_") && !is_kept {
            command.env_remove(name);
        }
    }
    // A name may hold what `-c` would cut in two.
    for (i, (key, value)) in settings.iter().enumerate() {
        command.env(format!("GIT_CONFIG_KEY_{}", counted + i), key).env(format!("GIT_CONFIG_VALUE_{}", counted + i), value);
    }
    if !settings.is_empty() {
        command.env("GIT_CONFIG_COUNT", (counted + settings.len()).to_string());
    }
    let own = [
        "core.hooksPath=/dev/null",
        "core.fsmonitor=false",
        "core.askPass=",
        "core.pager=cat",
        "core.autocrlf=false",
        "submodule.recurse=false",
        "fetch.recurseSubmodules=false",
        "status.submoduleSummary=false",
        "advice.detachedHead=false",
        "gc.auto=0",
        "maintenance.auto=false",
        "http.lowSpeedLimit=1",
        "http.lowSpeedTime=60",
    ];
    for setting in own {
        command.args(["-c", setting]);
    }
    command.arg("-C").arg(folder);
    command.env("GIT_ALLOW_PROTOCOL", limits.protocols).env("GIT_TERMINAL_PROMPT", "0").env("GIT_OPTIONAL_LOCKS", "0").env("GIT_NO_LAZY_FETCH", "1");
    command.env("SSH_ASKPASS_REQUIRE", "never").env_remove("SSH_ASKPASS");
    command
}

/// Ends the process when it goes out of use.
struct Held(Child);

impl Drop for Held {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            // It may have ended meanwhile.
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

/// Reads all that a process says, so that it never waits, and keeps the beginning.
fn reader(from: Option<impl Read + Send + 'static>) -> Option<JoinHandle<Vec<u8>>> {
    let mut from = from?;
    let read = move || {
        let mut kept = Vec::new();
        let _ = from.by_ref().take(SAID).read_to_end(&mut kept);
        let _ = std::io::copy(&mut from, &mut std::io::sink());
        kept
    };
    std::thread::Builder::new().name("git".into()).spawn(read).ok()
}

fn wait(child: &mut Child, limits: &Limits) -> Result<std::process::ExitStatus> {
    let (mut moved, mut looked, mut filled) = (Instant::now(), Instant::now(), 0);
    loop {
        if let Some(status) = child.try_wait().map_err(|e| Error::io("run", "git", e))? {
            return Ok(status);
        }
        interrupt::check()?;
        std::thread::sleep(LOOK);
        if let Some((folder, most)) = limits.fills
            && looked.elapsed() >= Duration::from_millis(500)
        {
            looked = Instant::now();
            let now = size(folder);
            if now > most {
                let message = format!("the repository comes to more than {} GB", most >> 30);
                return Err(Error::run(message).help("put the library into a repository of its own"));
            }
            if now != filled {
                (filled, moved) = (now, Instant::now());
            }
        }
        if moved.elapsed() >= limits.patience {
            return Err(Error::run(format!("git has done nothing for {} s", limits.patience.as_secs())));
        }
    }
}

fn size(folder: &Path) -> u64 {
    let files = walkdir::WalkDir::new(folder).into_iter().filter_map(std::result::Result::ok);
    files.filter_map(|e| e.metadata().ok()).map(|m| m.len()).sum()
}
