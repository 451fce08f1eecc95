//! `log.txt`: everything that was said while a run was open.

use crate::error::{Error, Result};
use crate::files;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// An open log, with the space that opened it.
struct Open {
    id: u64,
    space: u64,
    file: File,
}

/// The open logs, newest last: a script may open one run inside another.
static OPEN: Mutex<Vec<Open>> = Mutex::new(Vec::new());
static NEXT: AtomicU64 = AtomicU64::new(0);

/// Keeps a log open; closes it when dropped.
pub struct Attached(u64);

/// Sends lines to the log at `path` from now on.
///
/// # Errors
/// `E0301` when the system refuses.
pub fn attach(path: &Path) -> Result<Attached> {
    let file = files::append(path)?;
    let id = NEXT.fetch_add(1, Ordering::Relaxed);
    with_open(|logs| logs.push(Open { id, space: crate::space::id(), file }));
    Ok(Attached(id))
}

impl Drop for Attached {
    fn drop(&mut self) {
        with_open(|logs| logs.retain(|log| log.id != self.0));
    }
}

fn with_open<T>(f: impl FnOnce(&mut Vec<Open>) -> T) -> T {
    // A thread that panicked while it wrote left at worst half a line.
    f(&mut OPEN.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
}

/// Adds text to the newest log that this space opened; nothing happens without one. (A worker thread is in none.) A log that cannot be written must not stop a run, whose
/// truth is in `metrics.jsonl`.
pub fn write(text: &str) {
    with_open(|logs| {
        let space = crate::space::id();
        if let Some(log) = logs.iter_mut().rev().find(|log| log.space == space) {
            let _ = log.file.write_all(text.as_bytes());
        }
    });
}

/// Adds text to the log at `path`, which may be open or not. As with [`write`], it must not stop anything when it cannot be written.
pub(super) fn add(path: &Path, text: &str) {
    let _ = files::append(path).map(|mut file| file.write_all(text.as_bytes()));
}

/// Says a line on standard error and in the log.
pub fn say(line: &str) {
    let line = &*crate::plain::text(line);
    crate::space::say(line);
    write(&format!("{line}\n"));
}

/// Shows an error on standard error, and in the log without colors.
pub fn show(error: &Error, color: bool) {
    crate::progress::line(&error.render(color));
    write(&format!("{}\n", error.render(false)));
}

/// A writer into the newest open log, for a `tracing_subscriber::fmt` layer: `.with_writer(|| train::log::Writer)`.
pub struct Writer;

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        write(&String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_go_to_the_newest_log() {
        let dir = tempfile::tempdir().unwrap();
        let text = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
        let outer = attach(&dir.path().join("a")).unwrap();
        write("1\n");
        {
            let _inner = attach(&dir.path().join("b")).unwrap();
            Writer.write_all(b"2\n").unwrap();
        }
        write("3\n");
        drop(outer);
        write("4\n");
        assert_eq!(
            (text("a").contains("1\n"), text("a").contains("3\n"), text("b").contains("2\n"), text("b").contains("4\n")),
            (true, true, true, false)
        );
    }
}
