//! Files and folders, the one place that asks the system for them: every error says which file, and what is written appears whole
//! under its name or not at all. What a script asked for is opened where it was allowed: see [`pass`].
#![expect(clippy::disallowed_methods, reason = "what the rest calls instead of std::fs")]

mod lock;
pub mod pass;
mod place;
mod temporary;

use crate::error::{Error, Result};
pub use lock::{leads_to, lock};
pub use pass::{Held, Pass, Rule};
use place::Entry;
pub use place::{Access, resolve, through};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
pub use temporary::{Folder, Temporary, temporary, temporary_dir};

/// What is no plain file may give so much when it is read as a whole.
const ENDLESS: u64 = 256 << 20;

/// Opens a file for reading.
///
/// # Errors
/// `E0301` when it is missing or not readable.
pub fn open(path: &Path) -> Result<File> {
    place::open(path, "open")
}

/// Opens a plain file for reading: no pipe or device, which may have no end and nobody at the other side.
///
/// # Errors
/// `E0301` when it is missing or not readable, `E0302` when it is something else.
pub fn open_plain(path: &Path) -> Result<File> {
    let refused = || Error::data(path, "is no plain file");
    // Before it is opened: opening alone may wait for somebody.
    if path.metadata().is_ok_and(|m| !m.is_file()) {
        return Err(refused());
    }
    let file = place::open(path, "read")?;
    if file.metadata().is_ok_and(|m| m.is_file()) { Ok(file) } else { Err(refused()) }
}

/// Reads a record that a run, a data set or a library keeps of itself: a plain text file of a sensible size.
///
/// # Errors
/// `E0301` when it is missing or not readable, `E0302` when it is something else, or not UTF-8.
pub fn read_record(path: &Path) -> Result<String> {
    let file = open_plain(path)?;
    let io = |e| Error::io("read", path, e);
    let length = file.metadata().map_err(io)?.len();
    if length > RECORD {
        return Err(Error::data(path, format!("has {} MB, more than any such record", length >> 20)));
    }
    let mut bytes = Vec::with_capacity(length as usize);
    file.take(RECORD + 1).read_to_end(&mut bytes).map_err(io)?;
    String::from_utf8(bytes).map_err(|_| Error::data(path, "is no text"))
}

/// Opens a file to which lines are added, and makes it if it is missing.
///
/// # Errors
/// `E0301` when the system refuses.
pub fn append(path: &Path) -> Result<File> {
    let entry = Entry::target(path)?;
    entry.options().create(true).append(true).open(&entry.path).map_err(|e| Error::io("open", path, e))
}

/// Reads a whole file.
///
/// # Errors
/// `E0301` when it is missing or not readable.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    let mut file = place::open(path, "read")?;
    let io = |e| Error::io("read", path, e);
    let meta = file.metadata().map_err(io)?;
    if meta.is_file() {
        let mut bytes = Vec::with_capacity(usize::try_from(meta.len()).unwrap_or(0).min(1 << 30));
        file.read_to_end(&mut bytes).map_err(io)?;
        return Ok(bytes);
    }
    // A device may have no end.
    let mut bytes = Vec::new();
    file.take(ENDLESS + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > ENDLESS {
        return Err(Error::data(path, format!("is no plain file, and gives more than {} MB", ENDLESS >> 20)));
    }
    Ok(bytes)
}

/// Reads a text file that lies at this very place: a path without links. Where a link was put in the way since, it is refused.
///
/// # Errors
/// `E0301` when it is missing, not readable, elsewhere by now, or not UTF-8.
pub fn read_at(place: &Path) -> Result<String> {
    let file = place::open(place, "read")?;
    place::stays(&file, place)?;
    std::io::read_to_string(file).map_err(|e| Error::io("read", place, e))
}

/// Reads a text file.
///
/// # Errors
/// `E0301` when it is missing, not readable, or not UTF-8.
pub fn read_text(path: &Path) -> Result<String> {
    String::from_utf8(read(path)?)
        .map_err(|_| Error::io("read", path, std::io::Error::new(ErrorKind::InvalidData, "stream did not contain valid UTF-8")))
}

/// More than any record that a run, a data set or a library keeps of itself.
const RECORD: u64 = 512 << 20;

/// Reads JSON.
///
/// # Errors
/// `E0301` when the file is missing or not readable, `E0302` with the line when it is not what it should be.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    serde_json::from_str(&read_record(path)?).map_err(|e| Error::data(path, e.to_string()))
}

/// The length of a file in bytes.
///
/// # Errors
/// `E0301` when it is missing or not reachable.
pub fn size(path: &Path) -> Result<u64> {
    fs::metadata(path).map(|m| m.len()).map_err(|e| Error::io("read", path, e))
}

/// When a file was changed, in nanoseconds since 1970; 0 where the system does not say.
pub fn changed(path: &Path) -> u128 {
    let time = fs::metadata(path).and_then(|m| m.modified()).ok();
    time.and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok()).map_or(0, |d| d.as_nanos())
}

/// The entries of a folder by name, sorted; none where the folder is missing. Names that are not UTF-8 are passed over.
///
/// # Errors
/// `E0301` when it cannot be listed.
pub fn list(dir: &Path) -> Result<Vec<(String, PathBuf)>> {
    let io = |e| Error::io("list", dir, e);
    let folder = match place::open(dir, "list") {
        Ok(folder) => folder,
        Err(_) if !dir.exists() => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    let mut out = Vec::new();
    for entry in fs::read_dir(if pass::is_free() { dir.to_owned() } else { through(&folder) }).map_err(io)? {
        let entry = entry.map_err(io)?;
        if let Ok(name) = entry.file_name().into_string() {
            let path = dir.join(&name);
            out.push((name, path));
        }
    }
    out.sort();
    Ok(out)
}

/// Opens a folder to look at its entries.
///
/// # Errors
/// `E0301` when it is missing, not readable, or no folder.
pub fn open_dir(path: &Path) -> Result<fs::ReadDir> {
    if !pass::is_free() {
        place::open(path, "open")?;
    }
    fs::read_dir(path).map_err(|e| Error::io("open", path, e))
}

/// Makes a folder with its parents.
///
/// # Errors
/// `E0301` when the system refuses.
pub fn create_dir(path: &Path) -> Result<()> {
    place::create_dir(path)
}

/// The first of `names` that nothing has yet.
///
/// # Errors
/// `E0601` when all are taken.
pub fn free(names: impl IntoIterator<Item = PathBuf>) -> Result<PathBuf> {
    names.into_iter().find(|p| !p.exists()).ok_or_else(|| Error::run("all names for a file are taken"))
}

/// Gives a file or folder another name; a file of that name is replaced.
///
/// # Errors
/// `E0301` when the system refuses.
pub fn rename(from: &Path, to: &Path) -> Result<()> {
    let (source, target) = (Entry::name(from)?, Entry::name(to)?);
    fs::rename(&source.path, &target.path).map_err(|e| Error::io("rename", from, e))
}

/// Makes a link to `target` that appears under its name at once; a link or file of that name is replaced.
///
/// # Errors
/// `E0301` when the system refuses, or the file system has no links.
pub fn link(target: &Path, path: &Path) -> Result<()> {
    let io = |e| Error::io("link", path, e);
    let entry = Entry::name(path)?;
    if entry.path.read_link().is_ok_and(|old| old == target) {
        return Ok(());
    }
    let temp = entry.parent().join(format!(".{}.{}.part", path.file_name().unwrap_or_default().to_string_lossy(), std::process::id()));
    std::os::unix::fs::symlink(target, &temp).map_err(io)?;
    fs::rename(&temp, &entry.path).and_then(|()| entry.sync()).map_err(|e| {
        let _ = fs::remove_file(&temp);
        io(e)
    })
}

/// Removes a file.
///
/// # Errors
/// `E0301` when the system refuses, or it is missing.
pub fn remove(path: &Path) -> Result<()> {
    fs::remove_file(&Entry::name(path)?.path).map_err(|e| Error::io("remove", path, e))
}

/// Removes a folder with all that is in it, if it is there.
///
/// # Errors
/// `E0301` when the system refuses.
pub fn remove_dir(path: &Path) -> Result<()> {
    if path.symlink_metadata().is_err_and(|e| e.kind() == ErrorKind::NotFound) {
        return Ok(());
    }
    match fs::remove_dir_all(&Entry::name(path)?.path) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(Error::io("remove", path, e)),
        _ => Ok(()),
    }
}

/// Makes the entries of a folder durable: a rename is not, before its folder is synced.
///
/// # Errors
/// `E0301` when the system refuses.
pub fn sync_dir(path: &Path) -> Result<()> {
    place::open(path, "sync")?.sync_all().map_err(|e| Error::io("sync", path, e))
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Writes a file under a temporary name in the same folder, syncs it to disk and renames it. When `write` fails, the disk is full or
/// the process dies, an older file of that name stays as it was.
///
/// # Errors
/// `E0301` when the folder cannot be written; whatever `write` returns.
pub fn write_atomic(path: &Path, write: impl FnOnce(&mut BufWriter<&File>) -> Result<()>) -> Result<()> {
    let (file, temp) = temporary(path)?;
    let io = |e| Error::io("write", path, e);
    let mut out = BufWriter::with_capacity(1 << 20, &file);
    write(&mut out)?;
    out.into_inner().map_err(|e| io(e.into_error()))?.sync_all().map_err(io)?;
    temp.persist()
}

/// Writes a file that appears whole under its name, or not at all.
///
/// # Errors
/// `E0301` when the system refuses, as with a full disk; an older file of that name is then untouched.
pub fn write(path: &Path, bytes: impl AsRef<[u8]>) -> Result<()> {
    write_atomic(path, |out| out.write_all(bytes.as_ref()).map_err(|e| Error::io("write", path, e)))
}

/// Writes a file and waits until it is on the disk; for files in a folder that appears whole under its name afterwards.
///
/// # Errors
/// `E0301` when the system refuses.
pub fn write_synced(path: &Path, bytes: impl AsRef<[u8]>) -> Result<()> {
    let io = |e| Error::io("write", path, e);
    let entry = Entry::target(path)?;
    let mut file = entry.options().write(true).create(true).truncate(true).open(&entry.path).map_err(io)?;
    file.write_all(bytes.as_ref()).and_then(|()| file.sync_all()).map_err(io)
}

/// Writes a file that appears whole under its name, and does not wait for the disk: for what only tells people what goes on. `temp` is its name until
/// then, which no link is followed by.
///
/// # Errors
/// `E0301` when the system refuses.
pub fn write_unsynced(path: &Path, temp: &Path, bytes: &[u8]) -> Result<()> {
    let io = |e| Error::io("write", path, e);
    let mut file = open_own(temp)?;
    file.set_len(0).and_then(|()| file.write_all(bytes)).map_err(io)?;
    rename(temp, path)
}

/// Opens a plain file that is made if it is missing, and is not emptied: for locks. No link is followed.
///
/// # Errors
/// `E0301` when the system refuses, or something else has that name.
pub fn open_own(path: &Path) -> Result<File> {
    let io = |e| Error::io("open", path, e);
    let entry = Entry::name(path)?;
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).read(true).write(true).custom_flags(flags.bits() as i32);
    let file = options.open(&entry.path).map_err(io)?;
    if !file.metadata().map_err(io)?.is_file() {
        return Err(Error::data(path, "is no plain file"));
    }
    Ok(file)
}

/// Makes a file to which lines are added; `None` when something has that name already.
///
/// # Errors
/// `E0301` when the system refuses.
pub fn create_new(path: &Path) -> Result<Option<File>> {
    let entry = Entry::name(path)?;
    match OpenOptions::new().create_new(true).append(true).open(&entry.path) {
        Ok(file) => Ok(Some(file)),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(None),
        Err(e) => Err(Error::io("create", path, e)),
    }
}

/// A value as JSON that people can read.
///
/// # Errors
/// `E0601` when it has no JSON form.
pub fn json(value: &impl Serialize) -> Result<Vec<u8>> {
    let mut text = serde_json::to_vec_pretty(value).map_err(|e| Error::run(format!("this has no JSON form: {e}")))?;
    text.push(b'\n');
    Ok(text)
}

/// Bytes in hexadecimal digits, as files name a hash.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Seconds since 1970.
pub fn unix_time() -> f64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64())
}

/// `2026-03-01T12:00:05Z`, from seconds since 1970.
pub fn iso_time(unix: f64) -> String {
    let secs = unix.max(0.0) as i64;
    let (days, rest) = (secs.div_euclid(86_400), secs.rem_euclid(86_400));
    // Days to a civil date: Howard Hinnant, "chrono-compatible low-level date algorithms".
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest % 3600 / 60, rest % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_civil() {
        assert_eq!(iso_time(0.0), "1970-01-01T00:00:00Z");
        assert_eq!(iso_time(951_827_696.0), "2000-02-29T12:34:56Z");
        assert_eq!(iso_time(1_772_366_405.9), "2026-03-01T12:00:05Z");
    }

    #[test]
    fn a_failed_write_leaves_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.txt");
        write(&path, "old").unwrap();
        assert!(write_atomic(&path, |_| Err(Error::run("stopped"))).is_err());
        assert_eq!(read(&path).unwrap(), b"old");
        assert_eq!(list(folder.path()).unwrap().len(), 1);
    }

    #[test]
    fn a_refused_write_leaves_the_old_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        write(&path, b"one").unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        let nowhere = dir.path().join("missing/b");
        assert_eq!(write(&nowhere, b"x").unwrap_err().code(), "E0301");
        assert_eq!(list(dir.path()).unwrap().len(), 1, "no temporary file is left");
    }
}
