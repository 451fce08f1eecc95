//! A part of a file that reads like a file of its own.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};

/// The part of a file that one archive takes up: in a distributed checkpoint they stand one behind the other.
#[derive(Clone, Copy)]
pub(super) struct Window {
    pub start: u64,
    pub len: u64,
}

/// A file seen through a window.
pub(super) struct Slice {
    file: BufReader<File>,
    window: Window,
    at: u64,
}

impl Slice {
    pub(super) fn new(file: &File, window: Window) -> std::io::Result<Slice> {
        let mut file = BufReader::new(file.try_clone()?);
        file.seek(SeekFrom::Start(window.start))?;
        Ok(Slice { file, window, at: 0 })
    }
}

impl Read for Slice {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let left = usize::try_from(self.window.len.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let most = left.min(buffer.len());
        let n = self.file.read(&mut buffer[..most])?;
        self.at += n as u64;
        Ok(n)
    }
}

impl Seek for Slice {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        let at = match to {
            SeekFrom::Start(n) => Some(n),
            SeekFrom::End(n) => self.window.len.checked_add_signed(n),
            SeekFrom::Current(n) => self.at.checked_add_signed(n),
        };
        self.at = at.ok_or_else(|| std::io::Error::from(std::io::ErrorKind::InvalidInput))?;
        let place = self.window.start.checked_add(self.at).ok_or_else(|| std::io::Error::from(std::io::ErrorKind::InvalidInput))?;
        self.file.seek(SeekFrom::Start(place))?;
        Ok(self.at)
    }
}
