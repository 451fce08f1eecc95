//! What is done with a path, and where a path leads.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

/// What is done with a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// It is opened, listed, or looked for.
    Read,
    /// It is made or replaced.
    Write,
}

impl Access {
    /// The word for it in messages and flags: `read`, `write`.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Access::Read => "read",
            Access::Write => "write",
        }
    }
}

/// More links than this in one path are a circle: the system's own limit.
const MAX_LINKS: usize = 40;

/// The place that a path leads to: absolute, without `.`, `..` and links. What is not there yet is taken by its name.
pub(crate) fn resolve(path: &Path) -> PathBuf {
    let mut place = if path.is_absolute() { PathBuf::new() } else { std::env::current_dir().unwrap_or_default() };
    let mut todo: VecDeque<OsString> = path.components().map(|c| c.as_os_str().to_owned()).collect();
    let mut links = 0;
    while let Some(part) = todo.pop_front() {
        match Path::new(&part).components().next() {
            Some(Component::ParentDir) => {
                place.pop();
            }
            Some(Component::Normal(name)) => {
                let next = place.join(name);
                match next.read_link() {
                    Ok(target) if links < MAX_LINKS => {
                        links += 1;
                        if target.is_absolute() {
                            place.clear();
                        }
                        for c in target.components().rev() {
                            todo.push_front(c.as_os_str().to_owned());
                        }
                    }
                    _ => place = next,
                }
            }
            Some(Component::CurDir) | None => {}
            Some(Component::RootDir | Component::Prefix(_)) => place.push(part),
        }
    }
    place
}
