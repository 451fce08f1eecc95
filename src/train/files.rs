//! Files that are whole or absent: a temporary name in the same folder, fsync, rename.

use crate::error::{Error, Result};
use crate::torch::files::write_atomic;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// Makes a folder with its parents.
///
/// # Errors
/// `E0301` when the system refuses.
pub fn create_dir(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|e| Error::io("create", path, e))
}

/// Makes the entries of a folder durable: a rename is not, before its folder is synced.
///
/// # Errors
/// `E0301` when the system refuses.
pub fn sync_dir(path: &Path) -> Result<()> {
    File::open(path).and_then(|f| f.sync_all()).map_err(|e| Error::io("sync", path, e))
}

/// Writes a file that appears whole under its name, or not at all.
///
/// # Errors
/// `E0301` when the system refuses, as with a full disk; an older file of that name is then untouched.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    write_atomic(path, |out| out.write_all(bytes).map_err(|e| Error::io("write", path, e)))
}

/// Writes a file and waits until it is on the disk; for files in a folder that appears whole under its name afterwards.
///
/// # Errors
/// `E0301` when the system refuses.
pub fn write_synced(path: &Path, bytes: &[u8]) -> Result<()> {
    let io = |e| Error::io("write", path, e);
    let mut file = File::create(path).map_err(io)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(io)
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

/// Reads a text file.
///
/// # Errors
/// `E0301` when it is missing or not readable, `E0302` when it is not UTF-8.
pub fn read_text(path: &Path) -> Result<String> {
    let bytes = fs::read(path).map_err(|e| Error::io("read", path, e))?;
    String::from_utf8(bytes).map_err(|_| Error::data(path, "is not UTF-8 text"))
}

/// Size and CRC-32C of a file, by which a truncated or altered one is recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sum {
    /// Its length.
    pub bytes: u64,
    /// CRC-32C (Castagnoli) of all bytes.
    pub crc32c: u32,
}

/// Size and checksum of a file as it lies on disk.
///
/// # Errors
/// `E0301` when it cannot be read.
pub fn sum(path: &Path) -> Result<Sum> {
    let io = |e| Error::io("read", path, e);
    let mut file = File::open(path).map_err(io)?;
    let mut sum = Sum { bytes: 0, crc32c: 0 };
    let mut buffer = vec![0; 1 << 20];
    loop {
        let n = file.read(&mut buffer).map_err(io)?;
        if n == 0 {
            return Ok(sum);
        }
        sum.crc32c = crc32c::crc32c_append(sum.crc32c, &buffer[..n]);
        sum.bytes += n as u64;
    }
}

/// The entries of a folder by name, sorted; none where the folder is missing.
///
/// # Errors
/// `E0301` when it cannot be listed.
pub fn list(dir: &Path) -> Result<Vec<(String, PathBuf)>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Error::io("list", dir, e)),
    };
    let mut out = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|e| Error::io("list", dir, e))?;
        if let Ok(name) = entry.file_name().into_string() {
            out.push((name, entry.path()));
        }
    }
    out.sort();
    Ok(out)
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
    fn a_sum_is_the_published_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        write(&path, b"123456789").unwrap();
        // The check value of CRC-32C in RFC 3720 and the catalogue of parametrised CRC algorithms.
        assert_eq!(sum(&path).unwrap(), Sum { bytes: 9, crc32c: 0xe306_9283 });
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
