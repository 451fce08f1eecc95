//! Listing a zip: members that are stored or deflated, ZIP64 too.

use super::AGAIN;
use super::members::{Contents, Extent, Member};
use super::paths::inside;
use super::pread::Shared;
use crate::data::names::is_picture;
use crate::error::{Error, Result};
use crate::interrupt;
use std::collections::HashSet;
use std::io::BufReader;
use std::path::Path;
use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive};

/// Lists a zip.
pub(super) fn list(path: &Path, file: &Shared) -> Result<Contents> {
    let damaged = |e: &ZipError| Error::data(path, format!("the archive is damaged or cut off: {e}")).help(AGAIN);
    let mut zip = ZipArchive::new(BufReader::with_capacity(1 << 12, file.from(0))).map_err(|e| damaged(&e))?;
    if zip.has_duplicate_names() {
        let twice = twice(file, zip.central_directory_start()).map_or("a name".into(), |n| format!("`{}`", String::from_utf8_lossy(&n)));
        return Err(Error::data(path, format!("it holds {twice} twice")).help("unpack it and make it again"));
    }
    let mut all = Contents::default();
    for i in 0..zip.len() {
        interrupt::check()?;
        let entry = zip.by_index_raw(i).map_err(|e| damaged(&e))?;
        let shown = String::from_utf8_lossy(entry.name_raw()).into_owned();
        let bad = |what: String| Error::data(path, format!("its member `{shown}` {what}"));
        let Some(name) = inside(entry.name_raw()) else {
            return Err(
                bad("leads out of the archive".into()).help("unpack it where that does no harm, and make it again: `cd FOLDER; zip -r NAME.zip .`")
            );
        };
        if entry.is_dir() || entry.name_raw().ends_with(b"/") {
            all.folders.push(name);
            continue;
        }
        if entry.is_symlink() {
            all.refused.push((name, "a link: those in archives are not followed; `zip -r` without `--symlinks` packs what they lead to".into()));
            continue;
        }
        let is_deflated = entry.compression() == CompressionMethod::Deflated;
        // What is read of an archive: its pictures, and what says their classes. The rest may be packed in any way.
        let is_read = is_picture(&name) || name.extension().is_some_and(|e| e == "json" || e == "csv");
        if entry.encrypted() && is_read {
            return Err(bad("is encrypted".into()).help("unpack it with its password, and make a zip or tar without one"));
        }
        if !is_deflated && entry.compression() != CompressionMethod::Stored && is_read {
            return Err(bad(format!("is compressed by {}, which is not read here", entry.compression()))
                .help("make the zip with deflate: `cd FOLDER; zip -r NAME.zip .`"));
        }
        let start = entry.data_start().ok_or_else(|| bad("has no data".into()).help(AGAIN))?;
        let packed = entry.compressed_size();
        if start.checked_add(packed).is_none_or(|end| end > file.len()) {
            return Err(bad(format!("is cut off: {} of its {packed} bytes are there", file.len().saturating_sub(start))).help(AGAIN));
        }
        let extent = Extent::Packed { start, packed, crc: entry.crc32(), is_deflated };
        all.members.push(Member { path: name, size: entry.size(), extent });
    }
    Ok(all)
}

/// The first name that stands twice in the central directory, which the crate does not tell (APPNOTE 4.3.12).
fn twice(file: &Shared, start: u64) -> Option<Vec<u8>> {
    let (mut at, mut seen) = (start, HashSet::new());
    loop {
        let header = file.bytes(at, 46).ok().filter(|h| h.starts_with(b"PK\x01\x02"))?;
        let length = |i: usize| u64::from(u16::from_le_bytes([header[i], header[i + 1]]));
        let name = file.bytes(at + 46, length(28)).ok()?;
        at += 46 + length(28) + length(30) + length(32);
        if !seen.insert(name.clone()) {
            return Some(name);
        }
    }
}
