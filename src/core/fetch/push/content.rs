//! A file that is to be sent: what it is by its content, and its bytes.

use crate::error::{Error, Result};
use crate::fetch::partial::PIECE;
use crate::{files, interrupt};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use std::io::{Read, Seek, SeekFrom, Take};
use std::path::{Path, PathBuf};

/// As much of a file as the hub looks at.
const SAMPLE: usize = 512;

/// A file by its content.
pub(super) struct Local {
    pub name: String,
    path: PathBuf,
    pub size: u64,
    /// Its first bytes.
    pub sample: Vec<u8>,
    /// What large files are called by.
    pub sha256: String,
    /// What git calls it by: SHA-1 over its length and content.
    pub git: String,
}

impl Local {
    /// Reads it through.
    pub(super) fn read(name: &str, path: &Path) -> Result<Local> {
        let io = |e| Error::io("read", path, e);
        let mut file = files::open_plain(path)?;
        let size = file.metadata().map_err(io)?.len();
        let (mut sha256, mut git) = (Sha256::new(), Sha1::new());
        git.update(format!("blob {size}\0"));
        let (mut sample, mut piece, mut came) = (Vec::new(), vec![0; PIECE], 0);
        loop {
            interrupt::check()?;
            let n = file.read(&mut piece).map_err(io)?;
            if n == 0 {
                break;
            }
            let missing = SAMPLE.saturating_sub(sample.len()).min(n);
            sample.extend_from_slice(&piece[..missing]);
            sha256.update(&piece[..n]);
            git.update(&piece[..n]);
            came += n as u64;
        }
        if came != size {
            return Err(changes(path));
        }
        let (sha256, git) = (files::hex(&sha256.finalize()), files::hex(&git.finalize()));
        Ok(Local { name: name.to_owned(), path: path.to_owned(), size, sample, sha256, git })
    }

    /// All of it, as it was.
    pub(super) fn bytes(&self) -> Result<Vec<u8>> {
        let bytes = files::read(&self.path)?;
        if files::hex(&Sha256::digest(&bytes)) == self.sha256 { Ok(bytes) } else { Err(changes(&self.path)) }
    }

    /// `length` bytes from `from` on.
    pub(super) fn part(&self, from: u64, length: u64) -> Result<Take<std::fs::File>> {
        let mut file = files::open_plain(&self.path)?;
        file.seek(SeekFrom::Start(from)).map_err(|e| Error::io("read", &self.path, e))?;
        Ok(file.take(length))
    }
}

fn changes(path: &Path) -> Error {
    Error::data(path, "changes while it is read").help("is something still writing it?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_called_as_git_calls_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        // `printf 'hello\n' | git hash-object --stdin`, and `sha256sum`.
        for (text, git, sha256) in [
            ("hello\n", "ce013625030ba8dba906f756967f9e9ca394464a", "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"),
            ("", "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ] {
            files::write(&path, text).unwrap();
            let local = Local::read("x", &path).unwrap();
            assert_eq!((local.git.as_str(), local.sha256.as_str(), local.size), (git, sha256, text.len() as u64));
            assert_eq!((local.bytes().unwrap(), local.sample.clone()), (text.into(), text.into()));
            files::write(&path, "other").unwrap();
            assert_eq!(local.bytes().unwrap_err().code(), "E0302");
        }
    }
}
