//! `io::temp_dir`: a folder for tries and tests.

use crate::api;
use crate::error::Error;
use std::cell::RefCell;
use tempfile::TempDir;

/// The folders made so far; they go when the engine goes.
#[derive(Default)]
struct TempDirs(RefCell<Vec<TempDir>>);

api! {
    namespace "io";

    /// A new empty folder that is removed when the program ends.
    ///
    /// # Errors
    /// `E0301` when the system refuses.
    /// # Example
    /// ```rhai
    /// let dir = io::temp_dir();
    /// assert(dir != io::temp_dir(), "each call makes another one");
    /// ```
    fn temp_dir[cx]() -> String {
        let dir = TempDir::with_prefix("lathe-").map_err(|e| Error::io("create", std::env::temp_dir(), e))?;
        let path = dir.path().display().to_string();
        cx.give(dir.path());
        cx.host().get_or_default::<TempDirs>().0.borrow_mut().push(dir);
        Ok(path)
    }
}
