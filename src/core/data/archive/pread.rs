//! A file that many threads read at places of their own.

use super::handles::Counted;
use std::fs::File;
use std::io::{Error, ErrorKind, Read, Result, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// An open file without a position; clones are the same file.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    file: Arc<(File, Counted)>,
    len: u64,
}

impl Shared {
    pub(super) fn new(file: File) -> Result<Shared> {
        let len = file.metadata()?.len();
        Ok(Shared { file: Arc::new((file, Counted::one())), len })
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// The bytes `start .. start + len`, all of which must be there: nothing is allocated for what a header only claims.
    pub(super) fn bytes(&self, start: u64, len: u64) -> Result<Vec<u8>> {
        if start.checked_add(len).is_none_or(|end| end > self.len) {
            return Err(Error::new(ErrorKind::UnexpectedEof, "the file ends before it: it is cut off"));
        }
        let mut bytes = vec![0; usize::try_from(len).map_err(|_| Error::from(ErrorKind::OutOfMemory))?];
        self.file.0.read_exact_at(&mut bytes, start)?;
        Ok(bytes)
    }

    /// A reader with a position of its own.
    pub(super) fn from(&self, at: u64) -> Reader {
        Reader { shared: self.clone(), at }
    }
}

/// Reads a [`Shared`] file from a position of its own.
#[derive(Debug)]
pub(super) struct Reader {
    shared: Shared,
    at: u64,
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let n = self.shared.file.0.read_at(buffer, self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}

impl Seek for Reader {
    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        let at = match to {
            SeekFrom::Start(n) => Some(n),
            SeekFrom::End(n) => self.shared.len.checked_add_signed(n),
            SeekFrom::Current(n) => self.at.checked_add_signed(n),
        };
        self.at = at.ok_or_else(|| Error::from(ErrorKind::InvalidInput))?;
        Ok(self.at)
    }
}
