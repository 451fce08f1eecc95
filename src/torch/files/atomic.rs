//! Files that appear whole or not at all.

use crate::error::{Error, Result};
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

/// Writes a file under a temporary name in the same folder, syncs it to disk and renames it. When `write` fails, the disk is full or
/// the process dies, an older file of that name stays as it was.
///
/// # Errors
/// `E0301` when the folder cannot be written; whatever `write` returns.
pub fn write_atomic(path: &Path, write: impl FnOnce(&mut BufWriter<&File>) -> Result<()>) -> Result<()> {
    let folder = match path.parent() {
        Some(p) if !p.as_os_str().is_empty() => p,
        _ => Path::new("."),
    };
    let prefix = format!(".{}.", path.file_name().unwrap_or_default().to_string_lossy());
    let mut builder = tempfile::Builder::new();
    // The permissions that a plain `create` would give, as far as the umask allows.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let temp = builder.prefix(&prefix).suffix(".part").tempfile_in(folder).map_err(|e| Error::io("create", path, e))?;
    let io = |e| Error::io("write", path, e);
    let mut out = BufWriter::with_capacity(1 << 20, temp.as_file());
    write(&mut out)?;
    out.into_inner().map_err(|e| io(e.into_error()))?.sync_all().map_err(io)?;
    temp.persist(path).map_err(|e| Error::io("rename", path, e.error))?;
    // The rename itself must reach the disk as well.
    File::open(folder).and_then(|f| f.sync_all()).map_err(io)
}
