//! What a file is by its first bytes.

use super::pread::Shared;
use crate::error::{Error, Result};
use crate::files;
use std::path::Path;

/// What is read here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::data) enum Kind {
    Tar,
    TarGz,
    Zip,
    Parquet,
}

/// What a file is by its content; a tar without a mark, from before POSIX, by its name.
///
/// # Errors
/// `E0301` when it cannot be read, `E0302` for anything else, with what to do about it.
pub(in crate::data) fn kind_of(path: &Path) -> Result<Kind> {
    let io = |e| Error::io("read", path, e);
    let file = Shared::new(files::open_plain(path)?).map_err(io)?;
    let start = file.bytes(0, file.len().min(512)).map_err(io)?;
    let named_tar = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("tar"));
    let packed = |what: &str, command: &str| {
        Err(Error::data(path, format!("{what}, which is not read here")).help(format!("unpack it and make it a .tar or a .zip: {command}")))
    };
    match &start[..] {
        [b'P', b'K', 3 | 5, 4 | 6, ..] => Ok(Kind::Zip),
        [0x1f, 0x8b, ..] => Ok(Kind::TarGz),
        [b'P', b'A', b'R', b'1', ..] => Ok(Kind::Parquet),
        [b'P', b'A', b'R', b'E', ..] => Err(Error::data(path, "a parquet file with an encrypted footer").help("write it again without encryption")),
        s if s.get(257..262) == Some(b"ustar") => Ok(Kind::Tar),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => packed("a file that zstd has compressed", "`zstd -d FILE`"),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => packed("a file that xz has compressed", "`xz -dk FILE`"),
        [b'B', b'Z', b'h', ..] => packed("a file that bzip2 has compressed", "`bzip2 -dk FILE`"),
        [b'7', b'z', 0xbc, 0xaf, ..] => packed("a 7-Zip archive", "`7z x FILE`, then `tar cf NAME.tar -C FOLDER .`"),
        [b'R', b'a', b'r', b'!', ..] => packed("a RAR archive", "`unrar x FILE`, then `tar cf NAME.tar -C FOLDER .`"),
        [] => Err(Error::data(path, "an empty file").help("make or fetch the archive again")),
        _ if named_tar => Ok(Kind::Tar),
        _ => Err(Error::data(path, "neither a folder nor an archive that is read here").help(
            "give a folder of pictures with one sub-folder for each class, a .tar, .tar.gz or .zip of one, WebDataset shards (`shards/{000..127}.tar`), .parquet files, or a container images.h5",
        )),
    }
}
