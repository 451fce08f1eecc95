//! The files in an archive: where the bytes of each lie, and how they are read there.

use super::gzip::Gzip;
use super::kind::Kind;
use super::pread::Shared;
use super::{MAX_BYTES, tar, zip};
use crate::error::{Error, Result};
use crate::files;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Where a member's bytes lie in its archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::data) enum Extent {
    /// As they are, from here on; in a gzipped archive counted in the unpacked stream.
    Plain(u64),
    /// Deflated: so many bytes from here on, with the checksum of what comes out. `packed` is the size of what is there.
    Packed { start: u64, packed: u64, crc: u32, is_deflated: bool },
}

/// One file in an archive.
#[derive(Debug, Clone)]
pub(in crate::data) struct Member {
    /// Below the archive's root.
    pub(in crate::data) path: PathBuf,
    pub(in crate::data) size: u64,
    pub(in crate::data) extent: Extent,
}

/// What an archive holds.
#[derive(Debug, Default)]
pub(in crate::data) struct Contents {
    /// In the order of the archive.
    pub(in crate::data) members: Vec<Member>,
    pub(in crate::data) folders: Vec<PathBuf>,
    /// What is there and cannot be taken, with the reason.
    pub(in crate::data) refused: Vec<(PathBuf, String)>,
}

enum Bytes {
    Plain(Shared),
    Gzip(Gzip),
}

/// An archive that is open.
pub(in crate::data) struct Archive {
    path: PathBuf,
    bytes: Bytes,
}

impl Archive {
    /// Opens an archive of that kind, one of `among` that are open together, and lists what is in it.
    ///
    /// # Errors
    /// `E0301` when it cannot be read; `E0302` when it is cut off or damaged, has two members of one name, one that leads out of it, or pictures that are
    /// encrypted or packed in a way that is not read here.
    pub(in crate::data) fn open(path: &Path, kind: Kind, among: usize) -> Result<(Archive, Contents)> {
        let io = |e| Error::io("read", path, e);
        let file = Shared::new(files::open_plain(path)?).map_err(io)?;
        let (bytes, contents) = match kind {
            Kind::TarGz => {
                let (gzip, contents) = tar::list_gzipped(path, file, among)?;
                (Bytes::Gzip(gzip), contents)
            }
            Kind::Tar => {
                let contents = tar::list(path, &file)?;
                (Bytes::Plain(file), contents)
            }
            Kind::Zip => {
                let contents = zip::list(path, &file)?;
                (Bytes::Plain(file), contents)
            }
            Kind::Parquet => return Err(Error::data(path, "a parquet file among archives").help("give archives or tables, not both")),
        };
        Ok((Archive { path: path.to_owned(), bytes }, contents))
    }

    pub(in crate::data) fn path(&self) -> &Path {
        &self.path
    }

    /// The bytes of a member.
    ///
    /// # Errors
    /// Why they cannot be read, in words.
    pub(in crate::data) fn read(&self, size: u64, extent: Extent) -> std::result::Result<Vec<u8>, String> {
        if size > MAX_BYTES {
            return Err(format!("it is said to have {size} bytes; more than 1 GiB no picture needs"));
        }
        let words = |e: std::io::Error| e.to_string();
        match (&self.bytes, extent) {
            (Bytes::Plain(file), Extent::Plain(start)) => file.bytes(start, size).map_err(words),
            (Bytes::Gzip(gzip), Extent::Plain(start)) => gzip.bytes(start, size).map_err(words),
            (Bytes::Plain(file), Extent::Packed { start, packed, crc, is_deflated }) => {
                let packed = file.bytes(start, packed).map_err(words)?;
                let bytes = if is_deflated {
                    // Grows with what comes out, not with what a header claims.
                    let mut out = Vec::new();
                    let mut from = flate2::read::DeflateDecoder::new(&packed[..]).take(size + 1);
                    from.read_to_end(&mut out).map_err(|e| format!("its deflated data is damaged: {e}"))?;
                    out
                } else {
                    packed
                };
                if bytes.len() as u64 != size {
                    return Err(format!(
                        "it should have {size} bytes and has {}{}",
                        if bytes.len() as u64 > size { "more: at least " } else { "" },
                        bytes.len()
                    ));
                }
                let mut sum = flate2::Crc::new();
                sum.update(&bytes);
                if sum.sum() == crc { Ok(bytes) } else { Err("its checksum is another one: the archive is damaged".into()) }
            }
            (Bytes::Gzip(_), Extent::Packed { .. }) => Err("a packed member of a gzipped archive".into()),
        }
    }
}

/// Where an item lies: the archive, and in it.
#[derive(Debug, Clone, Copy)]
pub(in crate::data) struct Place {
    pub(in crate::data) archive: usize,
    pub(in crate::data) size: u64,
    pub(in crate::data) extent: Extent,
}

/// The archives of a source, and the places of its items.
#[derive(Default)]
pub(in crate::data) struct Members {
    pub(in crate::data) archives: Vec<Archive>,
    pub(in crate::data) places: Vec<Place>,
}

impl Members {
    /// The bytes at a place.
    ///
    /// # Errors
    /// Why they cannot be read, in words.
    pub(in crate::data) fn read(&self, place: usize) -> std::result::Result<Vec<u8>, String> {
        let p = self.places[place];
        self.archives[p.archive].read(p.size, p.extent)
    }
}

impl std::fmt::Debug for Members {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} files in {} archives", self.places.len(), self.archives.len())
    }
}
