//! What a file was when it was fetched first.

use crate::error::Result;

/// A file by its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// The commit of the repository, for files of the hub.
    pub commit: Option<String>,
    /// SHA-256 in 64 hexadecimal digits.
    pub sha256: String,
    /// In bytes.
    pub size: u64,
}

/// Where pins are kept: the project's `lathe.lock`. The source is a reference or an address.
pub trait Pins: Send + Sync {
    /// The pin of a source, if it has one.
    ///
    /// # Errors
    /// `E0301` or `E0302` when they cannot be read.
    fn get(&self, source: &str) -> Result<Option<Pin>>;

    /// Pins a source to this content, whatever it was pinned to.
    ///
    /// # Errors
    /// `E0301` or `E0302` when they cannot be written.
    fn put(&self, source: &str, pin: &Pin) -> Result<()>;

    /// How people call the place, `lathe.lock`.
    fn place(&self) -> String;
}
