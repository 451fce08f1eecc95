//! Names of files: which are pictures, which belong to systems and tools, and how they stand in lists.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Names that end like this are taken for pictures; the content then decides.
const EXTENSIONS: &[&str] = &[
    "apng", "bmp", "dds", "dib", "gif", "heic", "heif", "avif", "icns", "ico", "j2k", "jfif", "jp2", "jpe", "jpeg", "jpg", "mpo", "pbm", "pcx",
    "pgm", "png", "pnm", "ppm", "psd", "qoi", "sgi", "tga", "tif", "tiff", "webp", "xbm", "xpm",
];

/// What systems put beside pictures under names that are not hidden: macOS archives, Windows, Synology, ext4.
const LEFT_BY_SYSTEMS: &[&str] =
    &["__macosx", "__pycache__", "thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "system volume information", "@eadir", "lost+found"];

/// Whether a name ends like that of a picture.
pub(super) fn is_picture(path: &Path) -> bool {
    path.extension().is_some_and(|e| EXTENSIONS.contains(&e.to_string_lossy().to_lowercase().as_str()))
}

/// Whether a path in an archive belongs to what systems and tools leave there.
pub(super) fn is_hidden(path: &Path) -> bool {
    path.components().any(|c| is_left_out(c.as_os_str()))
}

/// A path as it stands in lists: see [`relative`].
pub(super) fn shown_path(path: &Path) -> String {
    relative(Path::new(""), path)
}

/// Whether a file or folder of that name is hidden, or of a system.
pub(super) fn is_left_out(name: &OsStr) -> bool {
    name.as_bytes().first() == Some(&b'.') || name.to_str().is_some_and(|n| LEFT_BY_SYSTEMS.contains(&n.to_lowercase().as_str()))
}

/// The path below `root`, with `/`. Bytes that are not UTF-8 become `\xff`, so that two names never look the same; in such a name, and in one that
/// could be taken for one, a backslash is doubled.
pub(super) fn relative(root: &Path, path: &Path) -> String {
    let rest = path.strip_prefix(root).unwrap_or(path);
    rest.components().map(|c| shown(c.as_os_str())).collect::<Vec<_>>().join("/")
}

fn shown(name: &OsStr) -> String {
    match name.to_str() {
        Some(plain) if !plain.contains("\\x") => plain.to_owned(),
        _ => name
            .as_bytes()
            .utf8_chunks()
            .map(|c| {
                let odd: String = c.invalid().iter().map(|b| format!("\\x{b:02x}")).collect();
                c.valid().replace('\\', "\\\\") + odd.as_str()
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_stay_apart_whatever_their_bytes() {
        let names: [&[u8]; 9] = [b"\xff", b"\xfe", b"a\xff", b"\\xff", b"\\\\xff", b"a\\b", b"a\\\xff", b"a\\\\\xff", "\u{fffd}".as_bytes()];
        let shown: BTreeSet<String> = names.iter().map(|n| shown(OsStr::from_bytes(n))).collect();
        assert_eq!(shown.len(), names.len(), "{shown:?}");
        assert_eq!(super::shown(OsStr::from_bytes(b"caf\xe9")), "caf\\xe9");
        assert_eq!(super::shown(OsStr::new("a\\b \u{e9}")), "a\\b \u{e9}");
    }
}
