//! Places: where a path leads, and handles by which nothing else can be put in between.
#![expect(clippy::disallowed_methods, reason = "what the rest calls instead of std::fs")]

use super::pass::rule_for;
use crate::error::{Error, Result};
use rustix::fs::OFlags;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};

/// What is done with a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// It is opened, listed, or looked for.
    Read,
    /// It is made or replaced.
    Write,
}

impl Access {
    /// The word for it in messages and flags: `read`, `write`.
    pub fn word(self) -> &'static str {
        match self {
            Access::Read => "read",
            Access::Write => "write",
        }
    }
}

/// More links than this in one path are a circle: the system's own limit.
const MAX_LINKS: usize = 40;
/// How often a folder is looked for that somebody moves at the same time.
const TRIES: usize = 4;
/// How long a pipe may have nobody who writes into it.
const PIPE: Duration = Duration::from_secs(5);

/// The place that a path leads to: absolute, without `.`, `..` and links. What is not there yet is taken by its name.
pub fn resolve(path: &Path) -> PathBuf {
    let mut place = if path.is_absolute() { PathBuf::new() } else { std::env::current_dir().unwrap_or_default() };
    let mut todo: VecDeque<OsString> = path.components().map(|c| c.as_os_str().to_owned()).collect();
    let mut links = 0;
    while let Some(part) = todo.pop_front() {
        match Path::new(&part).components().next() {
            Some(Component::ParentDir) => {
                place.pop();
            }
            Some(Component::Normal(name)) => {
                let next = place.join(name);
                match next.read_link() {
                    Ok(target) if links < MAX_LINKS => {
                        links += 1;
                        if target.is_absolute() {
                            place.clear();
                        }
                        for c in target.components().rev() {
                            todo.push_front(c.as_os_str().to_owned());
                        }
                    }
                    _ => place = next,
                }
            }
            Some(Component::CurDir) | None => {}
            Some(Component::RootDir | Component::Prefix(_)) => place.push(part),
        }
    }
    place
}

/// The same for what a name itself stands for, were it a link: what is renamed or removed.
fn resolve_name(path: &Path) -> PathBuf {
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => resolve(if parent.as_os_str().is_empty() { Path::new(".") } else { parent }).join(name),
        _ => resolve(path),
    }
}

/// A name in the file system for what a handle has open.
pub fn through(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// Where what a handle has open lies now.
fn place_of(file: &File, path: &Path) -> Result<PathBuf> {
    let Ok(place) = through(file).read_link() else {
        // Without /proc: the place by its name, if that is the same file.
        let (place, own) = (resolve(path), file.metadata().map_err(|e| Error::io("open", path, e))?);
        let is_it = place.symlink_metadata().is_ok_and(|m| (m.dev(), m.ino()) == (own.dev(), own.ino()));
        return if is_it { Ok(place) } else { Err(swapped(path)) };
    };
    // A pipe without a name is what it was found by.
    if !place.is_absolute() {
        return Ok(resolve(path));
    }
    let gone = place.to_string_lossy().strip_suffix(" (deleted)").map(PathBuf::from);
    Ok(gone.filter(|_| file.metadata().is_ok_and(|m| m.nlink() == 0)).unwrap_or(place))
}

/// Makes sure that what is open lies at that place.
pub(super) fn stays(file: &File, place: &Path) -> Result<()> {
    if place_of(file, place)? == place { Ok(()) } else { Err(swapped(place)) }
}

fn swapped(path: &Path) -> Error {
    let e = std::io::Error::new(ErrorKind::NotFound, "somebody else moves it or its folders at the same time");
    Error::io("open", path, e)
}

/// Opens a file or folder for reading. What a check allows is asked for the place that was opened, not for the name. A pipe waits for somebody who
/// writes into it, but not for ever.
pub(super) fn open(path: &Path, action: &'static str) -> Result<File> {
    let io = |e| Error::io(action, path, e);
    let file = OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits() as i32).open(path).map_err(io)?;
    if let Some(rule) = rule_for(path) {
        rule.allow(Access::Read, path, &place_of(&file, path)?)?;
    }
    let kind = file.metadata().map_err(io)?.file_type();
    if kind.is_fifo() && through(&file).read_link().is_ok_and(|place| place.is_absolute()) {
        wait_for_writer(&file, path)?;
    }
    if !kind.is_file() && !kind.is_dir() {
        rustix::fs::fcntl_setfl(&file, OFlags::empty()).map_err(|e| io(e.into()))?;
    }
    Ok(file)
}

/// A pipe with a name may have nobody who writes into it.
fn wait_for_writer(file: &File, path: &Path) -> Result<()> {
    let since = Instant::now();
    while rustix::io::ioctl_fionread(file).is_ok_and(|n| n == 0) {
        if since.elapsed() >= PIPE {
            let e = std::io::Error::new(ErrorKind::TimedOut, "a pipe into which nobody writes");
            return Err(Error::io("read", path, e));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// A name in a folder, held by the folder's handle where it was checked: what is made, renamed or removed by it lies in that folder, whatever becomes of
/// the names above.
pub(super) struct Entry {
    /// What to hand to the system.
    pub path: PathBuf,
    /// The folder that it is in; none where nothing was checked.
    folder: Option<File>,
}

impl Entry {
    /// For what is written: a link counts as the place that it leads to.
    pub(super) fn target(path: &Path) -> Result<Entry> {
        Self::find(path, resolve)
    }

    /// For what is renamed or removed: a link counts as itself.
    pub(super) fn name(path: &Path) -> Result<Entry> {
        Self::find(path, resolve_name)
    }

    fn find(path: &Path, resolve: fn(&Path) -> PathBuf) -> Result<Entry> {
        let Some(rule) = rule_for(path) else { return Ok(Entry { path: path.to_owned(), folder: None }) };
        for _ in 0..TRIES {
            let place = resolve(path);
            rule.allow(Access::Write, path, &place)?;
            let (Some(parent), Some(name)) = (place.parent(), place.file_name()) else { break };
            if let Some(folder) = folder(parent, path)? {
                return Ok(Entry { path: through(&folder).join(name), folder: Some(folder) });
            }
        }
        Err(swapped(path))
    }

    /// Whether a link that was put here since may be followed: not where the place was checked.
    pub(super) fn options(&self) -> OpenOptions {
        let mut options = OpenOptions::new();
        let follow = if self.folder.is_some() { OFlags::NOFOLLOW } else { OFlags::empty() };
        options.custom_flags((OFlags::NONBLOCK | follow).bits() as i32);
        options
    }

    /// The folder to work in, as a name for the system.
    pub(super) fn parent(&self) -> &Path {
        super::parent(&self.path)
    }

    /// Makes what was renamed here durable.
    pub(super) fn sync(&self) -> std::io::Result<()> {
        match &self.folder {
            Some(folder) => folder.sync_all(),
            None => File::open(self.parent()).and_then(|f| f.sync_all()),
        }
    }
}

/// The folder of that place; `None` when the name leads elsewhere by now.
fn folder(place: &Path, path: &Path) -> Result<Option<File>> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW;
    match OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(place) {
        Ok(file) => Ok((place_of(&file, place)? == place).then_some(file)),
        Err(_) if place.is_symlink() => Ok(None),
        Err(e) => Err(Error::io("open", path, e)),
    }
}

/// Makes a folder with its parents, each in the one above by its handle.
pub(super) fn create_dir(path: &Path) -> Result<()> {
    let io = |e| Error::io("create", path, e);
    let Some(rule) = rule_for(path) else { return std::fs::create_dir_all(path).map_err(io) };
    for _ in 0..TRIES {
        let place = resolve(path);
        rule.allow(Access::Write, path, &place)?;
        if make_below(&place, path)? {
            return Ok(());
        }
    }
    Err(swapped(path))
}

/// Makes what is missing of a place; false when somebody moved it meanwhile.
fn make_below(place: &Path, path: &Path) -> Result<bool> {
    let io = |e| Error::io("create", path, e);
    let there = place.ancestors().find(|a| a.symlink_metadata().is_ok()).unwrap_or(Path::new("/"));
    let missing = place.strip_prefix(there).unwrap_or(Path::new(""));
    if there == place && !place.is_dir() {
        return Err(io(ErrorKind::AlreadyExists.into()));
    }
    let Some(mut at) = folder(there, path)? else { return Ok(false) };
    for name in missing {
        let next = through(&at).join(name);
        match std::fs::create_dir(&next) {
            Err(e) if e.kind() != ErrorKind::AlreadyExists => return Err(io(e)),
            _ => {}
        }
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW;
        match OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(&next) {
            Ok(file) => at = file,
            Err(_) if next.is_symlink() => return Ok(false),
            Err(e) => return Err(io(e)),
        }
    }
    Ok(true)
}
