//! The hash of a library's content.

use crate::error::{Error, Result};
use sha2::{Digest, Sha256};
use std::io::Read;
use std::path::{Path, PathBuf};

/// More files than any library has: someone named a whole disk.
const MAX_FILES: usize = 20_000;

/// SHA-256 over the names, lengths and bytes of all files in a folder, in the order of their names. Hidden files do not count:
/// nothing of them can be imported or read.
///
/// # Errors
/// `E0301` when something cannot be read, `E0302` for a link, which could lead out of the folder.
pub(super) fn digest(root: &Path) -> Result<String> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    for (name, path) in files(root)? {
        crate::interrupt::check()?;
        let io = |e| Error::io("read", &path, e);
        let mut file = crate::files::open(&path)?;
        let length = file.metadata().map_err(io)?.len();
        hash.update(format!("{name}\0{length}\0"));
        loop {
            match file.read(&mut buffer).map_err(io)? {
                0 => break,
                n => hash.update(&buffer[..n]),
            }
        }
    }
    Ok(format!("sha256:{}", crate::files::hex(&hash.finalize())))
}

/// Name with `/` and path of every file, sorted by name.
fn files(root: &Path) -> Result<Vec<(String, PathBuf)>> {
    let mut list = Vec::new();
    let visible = |e: &walkdir::DirEntry| e.depth() == 0 || !is_hidden(e.path());
    for entry in walkdir::WalkDir::new(root).into_iter().filter_entry(visible) {
        let entry = entry.map_err(|e| {
            let at = e.path().unwrap_or(root).to_owned();
            Error::io("read", at, e.into())
        })?;
        let (path, kind) = (entry.path(), entry.file_type());
        if kind.is_dir() {
            continue;
        }
        if !kind.is_file() {
            let what = if kind.is_symlink() { "a link" } else { "no plain file" };
            return Err(Error::data(path, format!("this is {what}: a library holds files and folders only")).help("put the file itself there"));
        }
        let relative = path.strip_prefix(root).unwrap_or(path);
        let parts: Option<Vec<&str>> = relative.iter().map(|p| p.to_str()).collect();
        let parts = parts.ok_or_else(|| Error::data(path, "the name of this file is not UTF-8"))?;
        list.push((parts.join("/"), path.to_owned()));
        if list.len() > MAX_FILES {
            return Err(Error::data(root, format!("more than {MAX_FILES} files: is this the folder of a library?")));
        }
    }
    list.sort();
    Ok(list)
}

/// Whether the last part of a path begins with a dot.
pub(super) fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_and_name_counts_and_hidden_files_do_not() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::create_dir_all(at("sub/.git")).unwrap();
        std::fs::write(at("a.rhai"), "12").unwrap();
        std::fs::write(at("sub/b.rhai"), "3").unwrap();
        let first = digest(dir.path()).unwrap();
        // By hand: printf 'a.rhai\0002\00012sub/b.rhai\0001\0003' | sha256sum
        assert_eq!(first, "sha256:23c3965022ca80e51f1f47471ad48b1011c8fa4d50731ea93f2c4f80007c90e3");
        std::fs::write(at(".hidden"), "x").unwrap();
        std::fs::write(at("sub/.git/config"), "x").unwrap();
        assert_eq!(digest(dir.path()).unwrap(), first);
        std::fs::rename(at("a.rhai"), at("c.rhai")).unwrap();
        assert_ne!(digest(dir.path()).unwrap(), first);
        std::fs::rename(at("c.rhai"), at("a.rhai")).unwrap();
        assert_eq!(digest(dir.path()).unwrap(), first);
        std::fs::write(at("a.rhai"), "13").unwrap();
        assert_ne!(digest(dir.path()).unwrap(), first);
        std::os::unix::fs::symlink("/etc/passwd", at("sub/data.txt")).unwrap();
        let e = digest(dir.path()).unwrap_err();
        assert!(e.code() == "E0302" && e.to_string().contains("sub/data.txt") && e.to_string().contains("a link"), "{e}");
    }
}
