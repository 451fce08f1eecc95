//! Files of a hub, in the cache that `huggingface_hub` of Python has: `models--OWNER--REPO` with `blobs` (content by its mark), `refs` (the commit of a
//! branch) and `snapshots/COMMIT`, which link to blobs. What one has fetched the other finds; both wait for the same locks.
//!
//! The crate `hf-hub` is not used: it brings an asynchronous runtime and a second HTTP client with it, does not know of offline mode, and follows
//! redirects out of sight, of which each is looked at here.

use super::failure::Failure;
use super::http::{Ask, Http, text};
use super::pins::Pin;
use super::reference::HubFile;
use super::transfer::{self, Job, changed};
use super::{lock, partial, place};
use crate::error::{Error, Result};
use crate::{files, space};
use std::path::{Path, PathBuf};

/// A file that is there.
pub(super) struct Cached {
    pub path: PathBuf,
    /// The commit of the repository that it is from.
    pub commit: String,
    /// Where the cache's own names tell it.
    pub sha256: Option<String>,
}

/// What the hub says of a file.
struct Known {
    commit: String,
    mark: String,
    size: Option<u64>,
}

fn folder(file: &HubFile) -> Option<PathBuf> {
    place::hub_folder().map(|f| f.join(format!("models--{}", file.repo.replace('/', "--"))))
}

/// The file at a commit, or at the one that its revision was when it was last looked at.
pub(super) fn cached(file: &HubFile, commit: Option<&str>) -> Option<Cached> {
    let folder = folder(file)?;
    let noted = || files::read_text(&folder.join("refs").join(&file.rev)).ok().map(|t| t.trim().to_owned());
    let commit = match commit {
        Some(commit) => commit.to_owned(),
        None if is_commit(&file.rev) => file.rev.clone(),
        None => noted().filter(|c| is_commit(c))?,
    };
    let path = folder.join("snapshots").join(&commit).join(&file.file);
    if !path.is_file() {
        return None;
    }
    let blob = path.read_link().ok().and_then(|to| to.file_name().map(|n| n.to_string_lossy().into_owned()));
    Some(Cached { sha256: blob.filter(|b| is_sha256(b)), path, commit })
}

/// Fetches a file, at the commit that is pinned if one is, else at `commit`, and gives it its names in the cache.
pub(super) fn fetch(http: &Http, file: &HubFile, pin: Option<&Pin>, commit: Option<&str>, says: &str) -> Result<(PathBuf, Pin), Failure> {
    let label = file.reference();
    let folder = folder(file).ok_or_else(|| Error::usage("there is no folder for files of the hub").help("set HF_HOME, XDG_CACHE_HOME or HOME"))?;
    let endpoint = place::endpoint();
    let token = place::token();
    let rev = pin.and_then(|p| p.commit.as_deref()).or(commit).unwrap_or(&file.rev).to_owned();
    let url = format!("{endpoint}/{}/resolve/{}/{}", file.repo, rev.replace('/', "%2F"), escaped(&file.file));
    let known = look(http, &Ask { label: &label, url: &url, token: token.as_deref(), from: 0, mark: None })?;
    let want = pin.map_or("", |p| p.sha256.as_str());
    let own = Some(known.mark.as_str()).filter(|m| is_sha256(m));
    if let Some(own) = own.filter(|own| !own.starts_with(want)) {
        return Err(changed(&label, says, want, own).into());
    }
    let blob = folder.join("blobs").join(&known.mark);
    for sub in ["blobs", "refs", "snapshots"] {
        files::create_dir(&folder.join(sub))?;
    }
    let locks = place::hub_folder().unwrap_or_default().join(".locks").join(folder.file_name().unwrap_or_default());
    let _lock = lock::take(&locks.join(format!("{}.lock", known.mark)), &label)?;
    let (sha256, size) = if let Some(sha256) = whole(&blob, own, &known, &label)? {
        if !sha256.starts_with(want) {
            return Err(changed(&label, says, want, &sha256).into());
        }
        (sha256, files::size(&blob)?)
    } else {
        let partial = folder.join("blobs").join(format!("{}.incomplete", known.mark));
        let (sha256, says) = own.map_or((want, says), |own| (own, "the hub"));
        let job = Job { label: &label, url: &url, token: token.as_deref(), mark: None, size: known.size, sha256, says, partial: &partial };
        let done = transfer::run(http, &job)?;
        files::rename(&partial, &blob)?;
        files::sync_dir(&folder.join("blobs"))?;
        done
    };
    let path = link(&folder, file, &known, &blob)?;
    // A pinned commit says nothing of where the branch is now.
    if !is_commit(&file.rev) && rev == file.rev {
        let note = folder.join("refs").join(&file.rev);
        files::create_dir(note.parent().unwrap_or(&folder))?;
        files::write(&note, known.commit.as_bytes())?;
    }
    Ok((path, Pin { commit: Some(known.commit), sha256, size }))
}

/// The SHA-256 of a file that is in the cache already; a damaged one is taken away.
fn whole(blob: &Path, own: Option<&str>, known: &Known, label: &str) -> Result<Option<String>> {
    if !blob.is_file() {
        return Ok(None);
    }
    let (sha256, size) = (partial::sha256_of(blob)?, files::size(blob)?);
    if own.is_none_or(|own| own == sha256) && known.size.is_none_or(|s| s == size) {
        return Ok(Some(sha256));
    }
    space::say(&format!("what is in the cache of {label} is damaged: it is fetched again"));
    files::remove(blob)?;
    Ok(None)
}

/// Asks the hub for the commit, the mark and the size of a file.
fn look(http: &Http, ask: &Ask) -> Result<Known, Failure> {
    let mut tries = 0;
    let headers = loop {
        match http.head(ask) {
            Err(Failure::Passing(e, pause)) => {
                tries += 1;
                if tries >= 3 {
                    return Err(Failure::Passing(e, pause));
                }
                transfer::wait(pause.unwrap_or(std::time::Duration::from_millis(250 * tries)))?;
            }
            other => break other?,
        }
    };
    let host = super::address::Address::parse(ask.url).map_or_else(String::new, |a| a.host);
    let mark = text(&headers, "x-linked-etag").or_else(|| text(&headers, "etag"));
    let mark = mark.map(|m| m.trim_start_matches("W/").trim_matches('"').to_owned());
    let commit = text(&headers, "x-repo-commit").filter(|c| is_commit(c));
    let size = text(&headers, "x-linked-size").or_else(|| text(&headers, "content-length")).and_then(|n| n.parse().ok());
    let is_plain = |m: &String| !m.is_empty() && m.len() <= 128 && m.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    match (commit, mark.filter(is_plain)) {
        (Some(commit), Some(mark)) => Ok(Known { commit, mark, size }),
        _ if text(&headers, "content-type").is_some_and(|t| t.starts_with("text/html")) => Err(super::http::page(ask.label, &host).into()),
        _ => Err(Error::fetch(format!("`{}` is not fetched: {host} does not answer as a hub does (no commit or no mark of the file)", ask.label))
            .help("does HF_ENDPOINT name a hub or a mirror of one?")
            .into()),
    }
}

/// Gives the blob its name in the snapshot.
fn link(folder: &Path, file: &HubFile, known: &Known, blob: &Path) -> Result<PathBuf> {
    let path = folder.join("snapshots").join(&known.commit).join(&file.file);
    let up = "../".repeat(file.file.split('/').count() + 1);
    let target = PathBuf::from(format!("{up}blobs/{}", blob.file_name().unwrap_or_default().to_string_lossy()));
    files::create_dir(path.parent().unwrap_or(folder))?;
    files::link(&target, &path)?;
    Ok(path)
}

fn is_hex(text: &str, len: usize) -> bool {
    text.len() == len && text.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c))
}

fn is_commit(text: &str) -> bool {
    is_hex(text, 40)
}

pub(super) fn is_sha256(text: &str) -> bool {
    is_hex(text, 64)
}

/// A path as an address has it.
fn escaped(path: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~/+".contains(&b);
    path.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}
