//! Listing a tar: POSIX and GNU, with long names, plain or gzipped.

use super::AGAIN;
use super::gzip::{FirstPass, Gzip};
use super::members::{Contents, Extent, Member};
use super::paths::inside;
use super::pread::Shared;
use crate::error::{Error, Result};
use crate::interrupt;
use std::cell::Cell;
use std::collections::HashMap;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use tar::{Entry, EntryType};

/// Lists a tar that is not packed.
pub(super) fn list(path: &Path, file: &Shared) -> Result<Contents> {
    let left = Rc::default();
    let mut archive = tar::Archive::new(Rationed { inner: Seeking(BufReader::new(file.from(0))), left: Rc::clone(&left) });
    let entries = archive.entries_with_seek().map_err(|e| Error::io("read", path, e))?;
    collect(path, entries, Some(file.len()), &left)
}

/// Lists a gzipped tar, for which all of it is unpacked once: one of so many.
pub(super) fn list_gzipped(path: &Path, file: Shared, among: usize) -> Result<(Gzip, Contents)> {
    let left = Rc::default();
    let mut archive = tar::Archive::new(Rationed { inner: Gzip::first_pass(file, among), left: Rc::clone(&left) });
    let entries = archive.entries().map_err(|e| Error::io("read", path, e))?;
    let contents = collect(path, entries, None, &left)?;
    let mut pass: FirstPass = archive.into_inner().inner;
    // What is behind the last member belongs to the stream as well: its checksum is at the end.
    std::io::copy(&mut pass, &mut std::io::sink()).map_err(|e| Error::data(path, e.to_string()).help(AGAIN))?;
    Ok((pass.finish(), contents))
}

/// A reader that keeps what is buffered when tar skips a little: small members and their headers lie close together.
struct Seeking<R>(BufReader<R>);

impl<R: Read> Read for Seeking<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(buffer)
    }
}

impl<R: Read + Seek> Seek for Seeking<R> {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        match to {
            SeekFrom::Current(n) => {
                self.0.seek_relative(n)?;
                self.0.stream_position()
            }
            other => self.0.seek(other),
        }
    }
}

/// Headers of one member, with its long names and attributes, of which tar keeps all in memory.
const HEADERS: u64 = 4 << 20;

/// A reader that gives so many bytes until it is allowed more: few bytes of a packed archive can stand for a name of any length.
struct Rationed<R> {
    inner: R,
    left: Rc<Cell<u64>>,
}

impl<R: Read> Read for Rationed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.inner.read(buffer)?;
        let left = self.left.get().checked_sub(n as u64);
        self.left.set(left.ok_or_else(|| std::io::Error::other(format!("a header of more than {} MB", HEADERS >> 20)))?);
        Ok(n)
    }
}

impl<R: Seek> Seek for Rationed<R> {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.inner.seek(to)
    }
}

fn collect<R: Read>(path: &Path, mut entries: tar::Entries<R>, end: Option<u64>, left: &Cell<u64>) -> Result<Contents> {
    let mut all = Contents::default();
    let mut positions: HashMap<PathBuf, usize> = HashMap::new();
    let mut before = 0u64;
    // What is read on the way to a member is the rest of the one before it, and headers.
    while let Some(entry) = {
        left.set(before.saturating_add(HEADERS));
        entries.next()
    } {
        interrupt::check()?;
        let entry = entry.map_err(|e| {
            let last = all.members.last().map_or("its beginning".to_owned(), |m| format!("`{}`", m.path.display()));
            Error::data(path, format!("the archive is damaged or cut off behind {last}: {}", whole(&e))).help(AGAIN)
        })?;
        before = entry.size();
        take(path, &entry, end, &mut all, &mut positions)?;
    }
    Ok(all)
}

/// All of an error's words: tar's own say the least.
fn whole(e: &std::io::Error) -> String {
    let mut words = e.to_string();
    let mut source = e.get_ref().and_then(std::error::Error::source);
    while let Some(e) = source {
        words = format!("{words}: {e}");
        source = e.source();
    }
    words
}

fn take<R: Read>(path: &Path, entry: &Entry<R>, end: Option<u64>, all: &mut Contents, positions: &mut HashMap<PathBuf, usize>) -> Result<()> {
    let raw = entry.path_bytes();
    let shown = String::from_utf8_lossy(&raw).into_owned();
    let Some(name) = inside(&raw) else {
        return Err(Error::data(path, format!("its member `{shown}` leads out of the archive"))
            .help("unpack it where that does no harm, and make it again from inside the folder: `tar cf NAME.tar -C FOLDER .`"));
    };
    match entry.header().entry_type() {
        EntryType::Regular | EntryType::Continuous => {
            let (start, size) = (entry.raw_file_position(), entry.size());
            if let Some(end) = end.filter(|end| start.checked_add(size).is_none_or(|e| e > *end)) {
                let there = end.saturating_sub(start);
                return Err(Error::data(path, format!("the archive is cut off in `{shown}`: {there} of its {size} bytes are there")).help(AGAIN));
            }
            if positions.insert(name.clone(), all.members.len()).is_some() {
                return Err(
                    Error::data(path, format!("it holds `{shown}` twice")).help("unpack it and make it again: a tar that was appended to keeps both")
                );
            }
            all.members.push(Member { path: name, size, extent: Extent::Plain(start) });
        }
        EntryType::Directory => all.folders.push(name),
        // A second name of a member before it; tar writes these for hard links.
        EntryType::Link => {
            let target = entry.link_name_bytes().and_then(|t| inside(&t)).and_then(|t| positions.get(&t)).map(|i| all.members[*i].clone());
            match target {
                Some(m) => {
                    positions.insert(name.clone(), all.members.len());
                    all.members.push(Member { path: name, ..m });
                }
                None => all.refused.push((name, "a hard link to what is not in the archive before it".into())),
            }
        }
        EntryType::Symlink => {
            all.refused.push((name, "a link: those in archives are not followed; `tar --dereference` packs what they lead to".into()))
        }
        EntryType::GNUSparse => all.refused.push((name, "a sparse file: make the archive without `--sparse`".into())),
        // Comments, devices, pipes: nothing that could be a picture.
        _ => {}
    }
    Ok(())
}
