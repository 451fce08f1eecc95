//! Weights from the net: by reference ([`parse`]) or by address, into the caches where other tools look for them, whole or not at all.
//!
//! [`fetch`] and [`push`] are the only things here that open a connection. Who may call it is decided above: scripts have no network of their own, the program
//! fetches for them what has a name or a reference, when the user said so. Only a command of the user's pushes.

mod address;
mod blob;
mod commits;
mod failure;
mod http;
mod hub;
mod index;
mod lock;
mod partial;
mod pins;
mod place;
mod plain;
mod push;
mod reference;
mod transfer;

pub use pins::{Pin, Pins};
pub use place::{cache_folder, hub_folder, offline, weight_folders};
pub use plain::PlainFile;
pub use push::{Push, Pushed, push};
pub use reference::{HubFile, IN_FOLDER, MAIN, diffusers, is_branch, is_reference, parse, parse_repository};

use crate::error::{Error, Result};
use crate::{files, space};
use commits::Commits;
use failure::Failure;
use http::Http;
use std::path::{Path, PathBuf};

/// Where a file can be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// In a repository of the hub.
    Hub(HubFile),
    /// At an address.
    Plain(PlainFile),
}

/// A file that is needed, with the places that have it, best first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part(pub Vec<Source>);

/// What a name or a reference stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// As it was asked for.
    pub name: String,
    /// What it is, in one line.
    pub about: String,
    /// The files that belong to it.
    pub parts: Vec<Part>,
    /// Whether the folder of the files is meant.
    pub is_folder: bool,
}

impl From<Source> for Part {
    fn from(source: Source) -> Self {
        Part(vec![source])
    }
}

impl Source {
    /// The reference or the address.
    pub fn id(&self) -> String {
        match self {
            Source::Hub(file) => file.reference(),
            Source::Plain(file) => file.url.clone(),
        }
    }

    /// The file in a cache; nothing is asked of the net.
    ///
    /// # Errors
    /// `E0303` for one that is known to be another than the pin says.
    fn cached(&self, pins: Option<&dyn Pins>, commits: &mut Commits) -> Result<Option<PathBuf>> {
        let pin = pins.map(|p| p.get(&self.id())).transpose()?.flatten();
        match self {
            Source::Hub(file) => {
                let commit = pin.as_ref().and_then(|p| p.commit.as_deref()).or(commits.of(file));
                let Some(found) = hub::cached(file, commit) else { return Ok(None) };
                if let (Some(pin), Some(own), Some(pins)) = (&pin, &found.sha256, pins)
                    && *own != pin.sha256
                {
                    return Err(transfer::changed(&found.path.display().to_string(), &pins.place(), &pin.sha256, own));
                }
                if let (Some(pin), Some(pins)) = (&pin, pins) {
                    let size = files::size(&found.path)?;
                    if size != pin.size {
                        return Err(resized(&found.path, size, &pins.place(), pin.size));
                    }
                }
                commits.note(file, &found.commit);
                Ok(Some(found.path))
            }
            Source::Plain(file) => Ok(plain::cached(file)),
        }
    }

    /// Reads a file that is there, and compares it with what it should be.
    fn check(&self, pins: Option<&dyn Pins>) -> Result<()> {
        let Some(path) = self.cached(pins, &mut Commits::default())? else { return Ok(()) };
        let Source::Plain(file) = self else { return blob::check(&path) };
        let pin = pins.map(|p| p.get(&self.id())).transpose()?.flatten();
        let (want, says) = plain::wanted(file, pin.as_ref(), pins.map_or(String::new(), Pins::place));
        let sha256 = if want.is_empty() { String::new() } else { partial::sha256_of(&path)? };
        if sha256.starts_with(&want) { Ok(()) } else { Err(transfer::changed(&path.display().to_string(), &says, &want, &sha256)) }
    }

    fn fetch(&self, http: &Http, pins: Option<&dyn Pins>, again: bool, commits: &mut Commits) -> std::result::Result<PathBuf, Failure> {
        let id = self.id();
        let pin = if again { None } else { pins.map(|p| p.get(&id)).transpose()?.flatten() };
        let says = pins.map_or(String::new(), Pins::place);
        let (path, found) = match self {
            Source::Hub(file) => {
                let found = hub::fetch(http, file, pin.as_ref(), commits.of(file), &says)?;
                commits.note(file, found.1.commit.as_deref().unwrap_or_default());
                found
            }
            Source::Plain(file) => plain::fetch(http, file, pin.as_ref(), &says, again)?,
        };
        if let Some(pins) = pins.filter(|_| pin.as_ref() != Some(&found)) {
            pins.put(&id, &found)?;
        }
        let pinned = if pins.is_some() { format!(", in {says}") } else { String::new() };
        space::say(&format!("fetched {id} ({}), SHA-256 {}{pinned}", shown(found.size), found.sha256));
        Ok(path)
    }
}

impl Item {
    /// The places of its files, best first of each, for messages: `hf://facebook/dinov2-base/model.safetensors`.
    pub fn sources(&self) -> String {
        self.parts.iter().filter_map(|p| p.0.first()).map(Source::id).collect::<Vec<_>>().join(", ")
    }

    /// Its files, when all of them are in a cache, one for each part, and behind them those that a list of weights in several files names; nothing is asked
    /// of the net.
    ///
    /// # Errors
    /// `E0303` for one that is known to be another than the pin says.
    pub fn cached(&self, pins: Option<&dyn Pins>) -> Result<Option<Vec<PathBuf>>> {
        let mut commits = Commits::default();
        let (mut files, mut more) = (Vec::new(), Vec::new());
        for part in &self.parts {
            let Some((source, path)) = part.cached(pins, &mut commits)? else { return Ok(None) };
            more.extend(index::named(source, &path)?);
            files.push(path);
        }
        for source in more {
            let Some(path) = source.cached(pins, &mut commits)? else { return Ok(None) };
            files.push(path);
        }
        Ok(Some(files))
    }

    /// The file, or the folder, that its files are.
    pub fn path(&self, files: &[PathBuf]) -> PathBuf {
        let first = files.first().cloned().unwrap_or_default();
        if self.is_folder { first.parent().map(Into::into).unwrap_or(first) } else { first }
    }
}

impl Part {
    fn cached(&self, pins: Option<&dyn Pins>, commits: &mut Commits) -> Result<Option<(&Source, PathBuf)>> {
        for source in &self.0 {
            if let Some(path) = source.cached(pins, commits)? {
                return Ok(Some((source, path)));
            }
        }
        Ok(None)
    }
}

/// The files of it that are here and are what they should be: those of the hub are read when they are used for the first time.
///
/// # Errors
/// `E0303` for a damaged one, or one that is known to be another than the pin says.
pub fn usable(item: &Item, pins: Option<&dyn Pins>) -> Result<Option<Vec<PathBuf>>> {
    let files = item.cached(pins)?;
    files.iter().flatten().try_for_each(|path| blob::check_once(path))?;
    Ok(files)
}

/// A file has another size than it was fetched with.
fn resized(path: &Path, size: u64, says: &str, want: u64) -> Error {
    Error::fetch(format!("`{}` is damaged: it has {size} bytes, and {says} says {want}", path.display()))
        .help("`lathe fetch --again` with its name fetches it again")
}

/// Reads what is there of it, and makes sure that it is what it should be, as far as anybody says that.
///
/// # Errors
/// `E0303` for a file that is another; `E0301` when one cannot be read.
pub fn check(item: &Item, pins: Option<&dyn Pins>) -> Result<()> {
    for source in item.parts.iter().flat_map(|part| &part.0) {
        source.check(pins)?;
        let Some(path) = source.cached(pins, &mut Commits::default())? else { continue };
        index::named(source, &path)?.iter().try_for_each(|named| named.check(pins))?;
    }
    Ok(())
}

/// Fetches what is not there of it, and says so. What was pinned is what comes, or an error; what was not is pinned now. `again` looks whether it has
/// changed since, and pins what it is. Files of one repository come from one commit of it, though a branch may move meanwhile.
///
/// # Errors
/// `E0303` with what to do: no network, offline mode, refused, missing, changed; `E0301` when the cache cannot be written; an interrupt.
pub fn fetch(item: &Item, pins: Option<&dyn Pins>, again: bool) -> Result<Vec<PathBuf>> {
    let http = Http::new();
    let (mut files, mut more, mut commits) = (Vec::new(), Vec::new(), Commits::default());
    let mut get = |part: &Part| {
        let there = if again { None } else { part.cached(pins, &mut commits)? };
        let (source, path) = match there {
            Some(there) => there,
            None => one(&http, part, pins, again, &mut commits)?,
        };
        Ok::<_, Error>((index::named(source, &path)?, path))
    };
    for part in &item.parts {
        let (named, path) = get(part)?;
        more.extend(named);
        files.push(path);
    }
    for source in more {
        files.push(get(&source.into())?.1);
    }
    Ok(files)
}

/// The first place that has it.
fn one<'a>(http: &Http, part: &'a Part, pins: Option<&dyn Pins>, again: bool, commits: &mut Commits) -> Result<(&'a Source, PathBuf)> {
    let mut first = None;
    for source in &part.0 {
        if let Some(name) = offline() {
            return Err(Error::fetch(format!("`{}` is not in the cache, and {name} forbids to fetch it", source.id()))
                .help(format!("unset {name}, or copy the file from a machine that has it")));
        }
        match source.fetch(http, pins, again, commits) {
            Ok(path) => return Ok((source, path)),
            Err(Failure::Missing(e)) => {
                first.get_or_insert(e);
            }
            Err(other) => return Err(other.into_error()),
        }
    }
    Err(first.unwrap_or_else(|| Error::fetch("there is no address for it")))
}

/// A size as people say it: `346 MB`.
pub fn shown(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.0} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}
