//! Files to a repository of a hub, by the interface that `huggingface_hub` of Python uses: the hub is asked which files are large, these go to its storage by
//! Git LFS' batch interface, and one commit names everything. Before the commit the repository holds nothing of it.
//!
//! The crate `hf-hub` cannot send files; Xet, the hub's newer storage, takes what comes by LFS as well.

mod content;
mod large;
mod refusal;
mod wire;

use super::failure::Failure;
use super::reference::MAIN;
use super::{offline, shown};
use crate::error::{Error, Result};
use crate::space;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use content::Local;
use serde_json::{Value, json};
use std::path::PathBuf;
use wire::Wire;

/// The hub speaks of at most so many files at once.
const AT_ONCE: usize = 256;
/// What a hub takes within a commit is text; more than this is a mistake of the server.
const MOST_PLAIN: u64 = 32 << 20;

/// What is to be in a repository.
#[derive(Debug)]
pub struct Push {
    /// `owner/repo`.
    pub repo: String,
    /// The branch.
    pub rev: String,
    /// The name in the repository, and where the file lies.
    pub files: Vec<(String, PathBuf)>,
    /// The commit's message: a line, and after it what else is said.
    pub message: String,
    /// Make the repository and the branch where they are not there.
    pub create: bool,
    /// Only where nobody else can read it.
    pub private: bool,
}

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Pushed {
    /// The commit; the one that was there where nothing had changed.
    pub commit: String,
    /// Its page.
    pub url: String,
    /// How many files are new or changed.
    pub changed: usize,
}

/// A file, and what the hub says of it.
struct File {
    local: Local,
    is_large: bool,
}

/// Puts the files into the repository, with one commit, or leaves it as it was.
///
/// # Errors
/// `E0303` with what to do: refused, no such repository, no network, somebody else's commit in between; `E0301` for files; an interrupt.
pub fn push(job: &Push) -> Result<Pushed> {
    if let Some(name) = offline() {
        return Err(Error::fetch(format!("`hf://{}` is not pushed: {name} forbids to use the net", job.repo)).help(format!("unset {name}")));
    }
    send(&Wire::new(&job.repo), job).map_err(Failure::into_error)
}

fn send(wire: &Wire, job: &Push) -> Result<Pushed, Failure> {
    if job.create {
        create(wire, job)?;
    }
    let parent = head(wire, job)?;
    let local = job.files.iter().map(|(name, path)| Local::read(name, path)).collect::<Result<Vec<_>>>()?;
    let files = sorted(wire, job, local)?;
    if files.is_empty() {
        return Ok(Pushed { url: format!("{}/{}/commit/{parent}", wire.endpoint, job.repo), commit: parent, changed: 0 });
    }
    let large: Vec<&Local> = files.iter().filter(|f| f.is_large).map(|f| &f.local).collect();
    large::send(wire, job, &large)?;
    let said = commit(wire, job, &parent, &files)?;
    let text = |name: &str| said.get(name).and_then(Value::as_str).map(str::to_owned);
    let (Some(commit), Some(url)) = (text("commitOid"), text("commitUrl")) else { return Err(wire.strange("names no commit").into()) };
    Ok(Pushed { commit, url, changed: files.len() })
}

/// Makes the repository, unless it is there.
fn create(wire: &Wire, job: &Push) -> Result<(), Failure> {
    let (owner, name) = job.repo.split_once('/').unwrap_or_default();
    let visibility = if job.private { "private" } else { "public" };
    let body = json!({ "name": name, "organization": owner, "type": "model", "private": job.private, "visibility": visibility });
    match wire.json("POST", "/api/repos/create", Some(&body)) {
        Ok(_) => {
            space::say(&format!("made the {visibility} repository {}", job.repo));
            Ok(())
        }
        Err(refusal::Refusal { status: Some(409), .. }) => Ok(()),
        Err(e) => Err(e.failure),
    }
}

/// The commit that the branch is at. A repository that should be private and is not gets nothing.
fn head(wire: &Wire, job: &Push) -> Result<String, Failure> {
    let at = format!("/api/models/{}/revision/{}", job.repo, escaped(&job.rev));
    let said = match wire.json("GET", &at, None) {
        Err(e) if e.is_branch() && job.create && job.rev != MAIN => {
            let branch = format!("/api/models/{}/branch/{}", job.repo, escaped(&job.rev));
            match wire.json("POST", &branch, Some(&json!({}))) {
                Err(e) if e.status != Some(409) => return Err(e.failure),
                _ => space::say(&format!("made the branch {}", job.rev)),
            }
            wire.json("GET", &at, None)
        }
        other => other,
    };
    let said = said.map_err(|e| e.failure)?;
    if job.private && said.get("private").and_then(Value::as_bool) != Some(true) {
        let message = format!("`hf://{}` is not pushed: the repository is there and everybody can read it", job.repo);
        return Err(Error::fetch(message).help("make it private on its page, or leave --private out").into());
    }
    said.get("sha").and_then(Value::as_str).map(str::to_owned).ok_or_else(|| wire.strange("names no commit of the branch").into())
}

/// What the hub wants of the files: those that it has already are left out.
fn sorted(wire: &Wire, job: &Push, local: Vec<Local>) -> Result<Vec<File>, Failure> {
    let mut files = Vec::new();
    let mut local = local.into_iter().peekable();
    while local.peek().is_some() {
        let part: Vec<Local> = local.by_ref().take(AT_ONCE).collect();
        let asked = part.iter().map(|l| json!({ "path": l.name, "sample": STANDARD.encode(&l.sample), "size": l.size })).collect::<Vec<_>>();
        let at = format!("/api/models/{}/preupload/{}", job.repo, escaped(&job.rev));
        let said = wire.json("POST", &at, Some(&json!({ "files": asked }))).map_err(|e| e.failure)?;
        let answers = said.get("files").and_then(Value::as_array).ok_or_else(|| wire.strange("does not say what it takes"))?;
        for l in part {
            let answer = answers.iter().find(|a| a.get("path").and_then(Value::as_str) == Some(&l.name));
            let mode = answer.and_then(|a| a.get("uploadMode")).and_then(Value::as_str);
            let is_large = match mode {
                // Storage for large files takes no empty ones.
                Some("lfs") => l.size > 0,
                Some("regular") => false,
                _ => return Err(wire.strange(&format!("does not say how it takes `{}`", l.name)).into()),
            };
            let field = |name: &str| answer.and_then(|a| a.get(name));
            if field("shouldIgnore").and_then(Value::as_bool) == Some(true) {
                space::say(&format!("{} is left out: the .gitignore of the repository says so", l.name));
                continue;
            }
            let there = field("oid").and_then(Value::as_str);
            if there.is_some() && there == Some(if is_large { &l.sha256 } else { &l.git }) {
                space::say(&format!("{} is there already", l.name));
                continue;
            }
            if !is_large && l.size > MOST_PLAIN {
                return Err(wire.strange(&format!("takes `{}` ({}) as text", l.name, shown(l.size))).into());
            }
            files.push(File { local: l, is_large });
        }
    }
    Ok(files)
}

/// The one commit. It is sent once: where the answer is lost nobody knows whether it was made.
fn commit(wire: &Wire, job: &Push, parent: &str, files: &[File]) -> Result<Value, Failure> {
    let (summary, rest) = job.message.split_once('\n').unwrap_or((&job.message, ""));
    let header = json!({ "summary": summary.trim(), "description": rest.trim(), "parentCommit": parent });
    let mut lines = format!("{}\n", json!({ "key": "header", "value": header }));
    for File { local, is_large } in files {
        let line = if *is_large {
            json!({ "key": "lfsFile", "value": { "path": local.name, "algo": "sha256", "oid": local.sha256, "size": local.size } })
        } else {
            json!({ "key": "file", "value": { "content": STANDARD.encode(local.bytes()?), "path": local.name, "encoding": "base64" } })
        };
        lines.push_str(&format!("{line}\n"));
    }
    let at = format!("/api/models/{}/commit/{}", job.repo, escaped(&job.rev));
    wire.commit(&at, lines.into_bytes()).map_err(|e| match e.status {
        Some(409 | 412) => Failure::Final(
            Error::fetch(format!("`hf://{}` is not pushed: somebody else has changed `{}` meanwhile", job.repo, job.rev))
                .help("look what it was; the same command again commits on top of it, and what came over is not sent again"),
        ),
        None => Failure::Final(
            Error::fetch(format!("{}; whether the commit was made is not known", e.failure.into_error()))
                .help(format!("look at {}/{}; the same command again adds only what is not there", wire.endpoint, job.repo)),
        ),
        _ => e.failure,
    })
}

/// A branch as a part of an address.
fn escaped(rev: &str) -> String {
    rev.replace('/', "%2F")
}
