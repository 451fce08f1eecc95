//! `lathe push RUN hf://OWNER/REPO`: what `lathe export` wrote, or a run that is exported for it, into a repository of a hub.

use super::export;
use super::output::{print, print_json};
use crate::error::{Error, Result};
use crate::fetch::{self, MAIN, Push};
use crate::files;
use serde_json::json;
use std::path::{Path, PathBuf};

/// Push what `lathe export` wrote to a repository of a hub, or export a run and push that, in one commit.
///
/// Large files go to the hub's storage first; then one commit names everything, so that nobody sees half of it. What the hub has already is not sent again:
/// after a broken connection the same command goes on. Other files of the repository stay.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  lathe push e2e-vae-hf hf://me/e2e-vae --create --private      a folder that lathe export wrote, to a new repository
  lathe push exps/repae hf://me/repae --to repae --license mit  export the newest checkpoint and push it
  lathe push exps/repae hf://me/repae --to repae --dry-run      what would go, without a word to the hub

HF_TOKEN=hf_.. or `hf auth login` says who you are; HF_ENDPOINT names another hub.")]
pub struct Args {
    /// A folder that `lathe export` wrote; with --to a run's folder, or one of its checkpoints.
    run: PathBuf,
    /// The repository, `hf://owner/repo`.
    #[arg(value_name = "hf://OWNER/REPO")]
    target: String,
    /// Export the run first, for whom is to load it.
    #[arg(long, value_name = "FORMAT", value_parser = export::FORMATS)]
    to: Option<String>,
    #[command(flatten)]
    options: export::Options,
    /// The branch; without it `main`.
    #[arg(long, value_name = "BRANCH")]
    revision: Option<String>,
    /// The commit's message.
    #[arg(long, value_name = "TEXT")]
    message: Option<String>,
    /// Make the repository, and the branch, where they are not there.
    #[arg(long)]
    create: bool,
    /// With --create a repository that nobody else can read; without, refuse one that others can.
    #[arg(long)]
    private: bool,
    /// Show what would go, and ask nobody.
    #[arg(long)]
    dry_run: bool,
    /// One JSON document, for programs.
    #[arg(long)]
    json: bool,
}

/// Pushes, and prints the commit.
///
/// # Errors
/// `E0101` and `E0202` for wrong words, `E0303` for what the hub refuses, `E0301` and `E0302` for files, those of `lathe export` with --to.
pub fn run(args: &Args) -> Result<()> {
    let (repo, named) = fetch::parse_repository(&args.target)?;
    let rev = match (&args.revision, named) {
        (Some(rev), Some(named)) if *rev != named => {
            return Err(Error::usage(format!("--revision {rev} and `{}` name two branches", args.target)).help("leave one of them out"));
        }
        (rev, named) => rev.clone().or(named).unwrap_or_else(|| MAIN.into()),
    };
    if !fetch::is_branch(&rev) {
        return Err(Error::usage(format!("--revision `{}` is no branch", rev.escape_debug())).help("letters, digits, `-`, `_`, `.` and `/`"));
    }
    if args.message.as_ref().is_some_and(|m| m.trim().is_empty()) {
        return Err(Error::usage("--message is empty").help("a line that says what it is"));
    }
    let folder = match &args.to {
        Some(to) => Some(exported(args, to)?),
        None => None,
    };
    let (from, folder) = match &folder {
        Some((from, folder)) => (from.clone(), folder.path()),
        None => (format!("`{}`", args.run.display()), written(&args.run)?),
    };
    let files = listed(folder)?;
    let mut sizes = Vec::new();
    for (name, path) in &files {
        sizes.push((name.clone(), files::size(path)?));
    }
    let total: u64 = sizes.iter().map(|(_, n)| n).sum();
    let at = format!("hf://{repo}{}", if rev == MAIN { String::new() } else { format!(" ({rev})") });
    let rows: Vec<_> = sizes.iter().map(|(name, bytes)| json!({ "path": name, "bytes": bytes })).collect();
    if args.dry_run {
        if args.json {
            return print_json(&json!({ "repo": repo, "revision": rev, "bytes": total, "files": rows, "commit": null }));
        }
        let lines: String = sizes.iter().map(|(name, n)| format!("  {name} ({})\n", fetch::shown(*n))).collect();
        return print(&format!("{at} would get {} of {from}:\n{lines}", count(sizes.len(), total)));
    }
    let message = args.message.clone().unwrap_or_else(|| format!("{from}, by Lathe {}", env!("CARGO_PKG_VERSION")));
    let done = fetch::push(&Push { repo: repo.clone(), rev: rev.clone(), files, message, create: args.create, private: args.private })?;
    if args.json {
        let what = json!({
            "repo": repo, "revision": rev, "bytes": total, "files": rows, "commit": done.commit, "url": done.url, "changed": done.changed,
        });
        return print_json(&what);
    }
    match done.changed {
        0 => print(&format!("{at} has all of {from} already: {}\n", done.url)),
        n => print(&format!("{at} has {n} new or changed of {} of {from}: {}\n", count(sizes.len(), total), done.url)),
    }
}

fn count(n: usize, bytes: u64) -> String {
    format!("{n} {} ({})", if n == 1 { "file" } else { "files" }, fetch::shown(bytes))
}

/// The run as it is exported, in a folder that goes when it is pushed.
fn exported(args: &Args, to: &str) -> Result<(String, files::Folder)> {
    // Beside the run: weights are large, and there was room for them.
    let run = args.run.canonicalize().map_err(|e| Error::io("open", &args.run, e))?;
    let folder = files::temporary_dir(&run)?;
    let (_, written) = export::write(&args.run, to, &args.options, None, folder.path())?;
    for note in written.notes() {
        crate::space::say(&format!("note: {note}"));
    }
    let name = run.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok((format!("`{name}` for {to}"), folder))
}

/// A folder that can be pushed as it is.
fn written(folder: &Path) -> Result<&Path> {
    files::open_dir(folder).map_err(|e| e.help("give a folder that `lathe export` wrote, or a run with --to"))?;
    let refuse = |what: &str| {
        Error::usage(format!("`{}` {what}", folder.display())).help(format!("--to exports the run and pushes that: {}", export::FORMATS.join(", ")))
    };
    if folder.join(crate::train::status::FILE).is_file() || folder.join("state.json").is_file() {
        return Err(refuse("is a run, and not what `lathe export` wrote"));
    }
    if !folder.join("README.md").is_file() {
        return Err(refuse("has no model card (README.md): it is not what `lathe export` wrote"));
    }
    Ok(folder)
}

/// The files of a folder by their names in the repository. Hidden ones stay: what git or a hub's tool keeps beside the files is not theirs.
fn listed(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    let mut folders = vec![(String::new(), folder.to_owned())];
    while let Some((prefix, folder)) = folders.pop() {
        for (name, path) in files::list(&folder)? {
            if name.starts_with('.') {
                crate::space::say(&format!("{prefix}{name} is left out: it is hidden"));
                continue;
            }
            let kind = path.symlink_metadata().map_err(|e| Error::io("read", &path, e))?.file_type();
            if kind.is_dir() {
                folders.push((format!("{prefix}{name}/"), path));
            } else if kind.is_file() {
                found.push((format!("{prefix}{name}"), path));
            } else {
                return Err(Error::data(&path, "is no plain file").help("put a copy of the file in its place"));
            }
        }
    }
    found.sort();
    Ok(found)
}
