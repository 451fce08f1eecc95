//! Files and folders, the one place that asks the system for them: every error says which file, and what is written appears whole
//! under its name or not at all.
#![expect(clippy::disallowed_methods, reason = "what the rest calls instead of std::fs")]

use crate::error::{Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use tempfile::{NamedTempFile, TempDir};

/// Opens a file for reading.
///
/// # Errors
/// `E0301` when it is missing or not readable.
pub fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(|e| Error::io("open", path, e))
}

/// Opens a file to which lines are added, and makes it if it is missing.
///
/// # Errors
/// `E0301` when the system refuses.
pub fn append(path: &Path) -> Result<File> {
    OpenOptions::new().create(true).append(true).open(path).map_err(|e| Error::io("open", path, e))
}

/// Reads a whole file.
///
/// # Errors
/// `E0301` when it is missing or not readable.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|e| Error::io("read", path, e))
}

/// Reads a text file.
///
/// # Errors
/// `E0301` when it is missing, not readable, or not UTF-8.
pub fn read_text(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|e| Error::io("read", path, e))
}

/// Reads JSON.
///
/// # Errors
/// `E0301` when the file is missing or not readable, `E0302` with the line when it is not what it should be.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    serde_json::from_slice(&read(path)?).map_err(|e| Error::data(path, e.to_string()))
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
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(io(e)),
    };
    let mut out = Vec::new();
    for entry in entries {
        let entry = entry.map_err(io)?;
        if let Ok(name) = entry.file_name().into_string() {
            out.push((name, entry.path()));
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
    fs::read_dir(path).map_err(|e| Error::io("open", path, e))
}

/// Makes a folder with its parents.
///
/// # Errors
/// `E0301` when the system refuses.
pub fn create_dir(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|e| Error::io("create", path, e))
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
    fs::rename(from, to).map_err(|e| Error::io("rename", from, e))
}

/// Removes a file.
///
/// # Errors
/// `E0301` when the system refuses, or it is missing.
pub fn remove(path: &Path) -> Result<()> {
    fs::remove_file(path).map_err(|e| Error::io("remove", path, e))
}

/// Removes a folder with all that is in it, if it is there.
///
/// # Errors
/// `E0301` when the system refuses.
pub fn remove_dir(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(Error::io("remove", path, e)),
        _ => Ok(()),
    }
}

/// Makes the entries of a folder durable: a rename is not, before its folder is synced.
///
/// # Errors
/// `E0301` when the system refuses.
pub fn sync_dir(path: &Path) -> Result<()> {
    File::open(path).and_then(|f| f.sync_all()).map_err(|e| Error::io("sync", path, e))
}

/// A file under a temporary name beside `path`, with the permissions of any other, for [`persist`]; it goes when it is dropped.
///
/// # Errors
/// `E0301` when the folder cannot be written.
pub fn temporary(path: &Path) -> Result<NamedTempFile> {
    let prefix = format!(".{}.", path.file_name().unwrap_or_default().to_string_lossy());
    let mut builder = tempfile::Builder::new();
    // The permissions that a plain `create` would give, as far as the umask allows.
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.prefix(&prefix).suffix(".part").tempfile_in(parent(path)).map_err(|e| Error::io("create", path, e))
}

/// Gives a temporary file its name, and makes that durable. The file itself was synced before.
///
/// # Errors
/// `E0301` when the system refuses.
pub fn persist(temp: tempfile::TempPath, path: &Path) -> Result<()> {
    temp.persist(path).map_err(|e| Error::io("rename", path, e.error))?;
    File::open(parent(path)).and_then(|f| f.sync_all()).map_err(|e| Error::io("write", path, e))
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A folder under a temporary name in `dir`, for [`persist_dir`] to become `path`; it goes when it is dropped.
///
/// # Errors
/// `E0301` when the system refuses.
pub fn temporary_dir(dir: &Path, path: &Path) -> Result<TempDir> {
    let temp = tempfile::Builder::new().prefix(".tmp-").tempdir_in(dir).map_err(|e| Error::io("create", path, e))?;
    // A temporary folder is its owner's alone; what becomes of this one is not.
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(temp.path(), mode).map_err(|e| Error::io("write", path, e))?;
    Ok(temp)
}

/// Gives a temporary folder its name, and makes that durable. What is in it was synced before.
///
/// # Errors
/// `E0301` when the system refuses.
pub fn persist_dir(temp: TempDir, path: &Path) -> Result<()> {
    rename(temp.path(), path)?;
    // It has another name now; there is nothing left to clean up.
    let _ = temp.keep();
    sync_dir(parent(path))
}

/// Writes a file under a temporary name in the same folder, syncs it to disk and renames it. When `write` fails, the disk is full or
/// the process dies, an older file of that name stays as it was.
///
/// # Errors
/// `E0301` when the folder cannot be written; whatever `write` returns.
pub fn write_atomic(path: &Path, write: impl FnOnce(&mut BufWriter<&File>) -> Result<()>) -> Result<()> {
    let temp = temporary(path)?;
    let io = |e| Error::io("write", path, e);
    let mut out = BufWriter::with_capacity(1 << 20, temp.as_file());
    write(&mut out)?;
    out.into_inner().map_err(|e| io(e.into_error()))?.sync_all().map_err(io)?;
    persist(temp.into_temp_path(), path)
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
    let mut file = File::create(path).map_err(io)?;
    file.write_all(bytes.as_ref()).and_then(|()| file.sync_all()).map_err(io)
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
