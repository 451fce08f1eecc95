//! Files and folders under a temporary name, which appear whole under their own or not at all.
#![expect(clippy::disallowed_methods, reason = "what the rest calls instead of std::fs")]

use super::parent;
use super::place::Entry;
use crate::error::{Error, Result};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use tempfile::{TempDir, TempPath};

/// A file under a temporary name beside the one that it will be; it goes when it is dropped before.
pub struct Temporary {
    // First: it is removed by the folder's handle.
    temp: TempPath,
    entry: Entry,
    path: PathBuf,
}

/// A file under a temporary name beside `path`, with the permissions of any other, for [`Temporary::persist`].
///
/// # Errors
/// `E0301` when the folder cannot be written.
pub fn temporary(path: &Path) -> Result<(File, Temporary)> {
    let entry = Entry::target(path)?;
    let prefix = format!(".{}.", path.file_name().unwrap_or_default().to_string_lossy());
    let mut builder = tempfile::Builder::new();
    // The permissions that a plain `create` would give, as far as the umask allows.
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let made = builder.prefix(&prefix).suffix(".part").tempfile_in(entry.parent()).map_err(|e| Error::io("create", path, e))?;
    let (file, temp) = made.into_parts();
    Ok((file, Temporary { temp, entry, path: path.to_owned() }))
}

impl Temporary {
    /// Where it lies until then.
    pub fn path(&self) -> &Path {
        &self.temp
    }

    /// Gives it its name, and makes that durable. The file itself was synced before.
    ///
    /// # Errors
    /// `E0301` when the system refuses.
    pub fn persist(self) -> Result<()> {
        let Temporary { temp, entry, path } = self;
        temp.persist(&entry.path).map_err(|e| Error::io("rename", &path, e.error))?;
        entry.sync().map_err(|e| Error::io("write", &path, e))
    }
}

/// A folder under a temporary name beside the one that it will be; it goes when it is dropped before.
pub struct Folder {
    temp: TempDir,
    entry: Entry,
    /// Its name as others would write it.
    named: PathBuf,
    to: PathBuf,
}

/// A folder under a temporary name beside `path`, for [`Folder::persist`].
///
/// # Errors
/// `E0301` when the system refuses.
pub fn temporary_dir(path: &Path) -> Result<Folder> {
    let entry = Entry::name(path)?;
    let temp = tempfile::Builder::new().prefix(".tmp-").tempdir_in(entry.parent()).map_err(|e| Error::io("create", path, e))?;
    // A temporary folder is its owner's alone; what becomes of this one is not.
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(temp.path(), mode).map_err(|e| Error::io("write", path, e))?;
    let named = parent(path).join(temp.path().file_name().unwrap_or_default());
    Ok(Folder { temp, entry, named, to: path.to_owned() })
}

impl Folder {
    /// Where it lies until then.
    pub fn path(&self) -> &Path {
        &self.named
    }

    /// Fills it. Errors name the files as they would have been called.
    ///
    /// # Errors
    /// Those of `fill`.
    pub fn fill<T>(&self, fill: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
        fill(self.path()).map_err(|e| e.moved(self.path(), &self.to))
    }

    /// Gives it its name, and makes that durable. What is in it was synced before.
    ///
    /// # Errors
    /// `E0301` when the system refuses.
    pub fn persist(self) -> Result<()> {
        let io = |e| Error::io("rename", &self.to, e);
        fs::rename(self.temp.path(), &self.entry.path).map_err(io)?;
        // It has another name now; there is nothing left to clean up.
        let _ = self.temp.keep();
        self.entry.sync().map_err(io)
    }
}
