//! A file on its way: what is there of it stays for the next try, and its hash grows with it.

use crate::error::{Error, Result};
use crate::{files, interrupt};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// More than this is not read or written at once: somebody may want to stop.
pub(super) const PIECE: usize = 1 << 18;

/// The begun file, under a name that nobody takes for the whole one.
pub(super) struct Partial {
    file: File,
    path: PathBuf,
    hash: Sha256,
    pub(super) len: u64,
}

impl Partial {
    /// Opens what is there, or begins anew.
    pub(super) fn open(path: &Path) -> Result<Partial> {
        let mut file = files::open_own(path)?;
        let (hash, len) = hashed(&mut file, path)?;
        Ok(Partial { file, path: path.to_owned(), hash, len })
    }

    /// Forgets what is there.
    pub(super) fn restart(&mut self) -> Result<()> {
        let io = |e| Error::io("write", &self.path, e);
        self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0)).map(|_| ())).map_err(io)?;
        (self.hash, self.len) = (Sha256::new(), 0);
        Ok(())
    }

    /// Adds a piece. A full disk takes nothing away: with more room it goes on from here.
    pub(super) fn add(&mut self, label: &str, piece: &[u8]) -> Result<()> {
        self.file.write_all(piece).map_err(|e| match e.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => no_space(label, &self.path, None),
            // As on FAT, or by a limit of the shell.
            ErrorKind::FileTooLarge => no_space(label, &self.path, None),
            _ => Error::io("write", &self.path, e),
        })?;
        self.hash.update(piece);
        self.len += piece.len() as u64;
        Ok(())
    }

    /// Makes sure that the rest of a file of that size has room.
    pub(super) fn has_room(&self, label: &str, size: u64) -> Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let Ok(disk) = rustix::fs::statvfs(folder) else { return Ok(()) };
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        let rest = size.saturating_sub(self.len);
        if rest > free { Err(no_space(label, &self.path, Some((rest, free)))) } else { Ok(()) }
    }

    /// The SHA-256 of what is there.
    pub(super) fn sha256(&self) -> String {
        files::hex(&self.hash.clone().finalize())
    }

    /// Waits until it is on the disk.
    pub(super) fn sync(&self) -> Result<()> {
        self.file.sync_all().map_err(|e| Error::io("write", &self.path, e))
    }
}

fn no_space(label: &str, path: &Path, rest: Option<(u64, u64)>) -> Error {
    let folder = path.parent().unwrap_or(Path::new(".")).display();
    let numbers = rest.map_or(String::new(), |(rest, free)| format!(": {} are missing and {} are free", super::shown(rest), super::shown(free)));
    Error::fetch(format!("`{label}` is not fetched: there is no space for it in `{folder}`{numbers}"))
        .help("make room, or let HF_HOME (files of the hub) or LATHE_CACHE (others) name a folder on another disk; then it goes on where it stopped")
}

/// The SHA-256 of a file that is there.
pub(super) fn sha256_of(path: &Path) -> Result<String> {
    Ok(files::hex(&hashed(&mut files::open_plain(path)?, path)?.0.finalize()))
}

/// Reads a file to its end, and gives the hash and the number of what came.
fn hashed(file: &mut File, path: &Path) -> Result<(Sha256, u64)> {
    let (mut hash, mut len, mut piece) = (Sha256::new(), 0, vec![0; PIECE]);
    loop {
        interrupt::check()?;
        match file.read(&mut piece).map_err(|e| Error::io("read", path, e))? {
            0 => return Ok((hash, len)),
            n => {
                hash.update(&piece[..n]);
                len += n as u64;
            }
        }
    }
}
