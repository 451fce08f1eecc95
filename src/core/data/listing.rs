//! The pictures below a folder: by their names, without what systems and tools leave there, and without links that lead nowhere.

use super::archive::Contents;
use super::manifest::Skipped;
use super::names::{is_left_out, is_picture, relative};
use crate::error::{Error, Result};
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use walkdir::{DirEntry, WalkDir};

/// How many left-out names are told.
const NAMED: usize = 3;

/// A picture by its name.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) path: PathBuf,
    /// Relative to the root, with `/`.
    pub(super) name: String,
    pub(super) size: u64,
    /// Its number among the members of an archive.
    pub(super) member: usize,
}

/// What lies below a folder.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Sorted by path.
    pub(super) pictures: Vec<Listed>,
    /// The sorted names of the folders in the root.
    pub(super) folders: Vec<String>,
    /// What looked like a picture or a folder and cannot be read.
    pub(super) skipped: Vec<Skipped>,
    /// Names of hidden and system files and folders.
    pub(super) left_out: Vec<String>,
}

impl Listing {
    /// Lists a folder; links are followed.
    pub(super) fn of(root: &Path) -> Result<Listing> {
        let mut found = Listing::default();
        let mut walk = WalkDir::new(root).follow_links(true).into_iter();
        while let Some(entry) = walk.next() {
            crate::interrupt::check()?;
            let entry = match entry {
                Ok(e) => e,
                Err(e) => {
                    let path = e.path().unwrap_or(root);
                    if e.depth() > 0 && is_left_out(path.file_name().unwrap_or_default()) {
                        found.left_out.push(relative(root, path));
                    } else {
                        found.skipped.push(Skipped { path: relative(root, path), reason: why(&e) });
                    }
                    continue;
                }
            };
            if entry.depth() > 0 && is_left_out(entry.file_name()) {
                found.left_out.push(relative(root, entry.path()));
                if entry.file_type().is_dir() {
                    walk.skip_current_dir();
                }
                continue;
            }
            found.add(root, &entry);
        }
        found.pictures.sort_by(|a, b| a.path.cmp(&b.path));
        found.folders.sort();
        found.skipped.sort_by(|a, b| a.path.cmp(&b.path));
        found.left_out.sort();
        Ok(found)
    }

    fn add(&mut self, root: &Path, entry: &DirEntry) {
        if entry.file_type().is_dir() {
            if entry.depth() == 1 {
                self.folders.push(relative(root, entry.path()));
            }
            return;
        }
        if entry.file_type().is_file() && is_picture(entry.path()) {
            let size = entry.metadata().map_or(0, |m| m.len());
            self.pictures.push(Listed { path: entry.path().to_owned(), name: relative(root, entry.path()), size, member: 0 });
        }
    }

    /// The same of what an archive holds below the folder `top` in it: as if it was unpacked at `root`.
    pub(super) fn of_archive(root: &Path, top: &Path, contents: &Contents) -> Listing {
        let mut found = Listing::default();
        let mut left_out = BTreeSet::new();
        let mut folders = BTreeSet::new();
        let mut enter = |path: &Path, is_folder: bool| {
            let below = path.strip_prefix(top).ok()?;
            let mut so_far = root.to_owned();
            for part in below.components() {
                so_far.push(part);
                if is_left_out(part.as_os_str()) {
                    left_out.insert(relative(root, &so_far));
                    return None;
                }
            }
            let depth = below.components().count();
            if let Some(first) = below.components().next().filter(|_| depth > 1 || is_folder) {
                folders.insert(relative(Path::new(""), Path::new(&first)));
            }
            Some(so_far)
        };
        for folder in &contents.folders {
            enter(folder, true);
        }
        for (number, member) in contents.members.iter().enumerate() {
            let Some(path) = enter(&member.path, false).filter(|p| is_picture(p)) else { continue };
            found.pictures.push(Listed { name: relative(root, &path), path, size: member.size, member: number });
        }
        for (path, reason) in &contents.refused {
            if let Some(path) = enter(path, false) {
                found.skipped.push(Skipped { path: relative(root, &path), reason: reason.clone() });
            }
        }
        found.pictures.sort_by(|a, b| a.path.cmp(&b.path));
        found.folders = folders.into_iter().collect();
        found.skipped.sort_by(|a, b| a.path.cmp(&b.path));
        found.left_out = left_out.into_iter().collect();
        found
    }

    /// What was left out, in a line.
    pub(super) fn left_out_line(&self) -> Option<String> {
        let n = self.left_out.len();
        if n == 0 {
            return None;
        }
        let more = if n > NAMED { ", .." } else { "" };
        let things = if n == 1 { "1 hidden or system file or folder is".to_owned() } else { format!("{n} hidden or system files and folders are") };
        Some(format!("{things} left out: {}{more}", self.left_out[..n.min(NAMED)].join(", ")))
    }
}

/// Why an entry cannot be followed.
fn why(e: &walkdir::Error) -> String {
    if e.loop_ancestor().is_some() {
        return "a link that leads back to a folder it lies in".into();
    }
    let Some(error) = e.io_error() else { return e.to_string() };
    match e.path().and_then(|p| p.read_link().ok()) {
        Some(target) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            format!("a link to `{}`, which is not there", target.display())
        }
        Some(target) => format!("a link to `{}`: {error}", target.display()),
        None => error.to_string(),
    }
}

/// Names of the parts that data sets are divided into.
const PARTS: &[&str] = &[
    "train",
    "training",
    "train2014",
    "train2017",
    "val",
    "valid",
    "validation",
    "val2014",
    "val2017",
    "dev",
    "eval",
    "test",
    "testing",
    "test2015",
];

/// The top-level folders that look like parts of a data set and not like classes, when there are several.
pub(super) fn parts<'a>(folders: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let found: Vec<&str> = folders.into_iter().filter(|f| PARTS.contains(&f.to_lowercase().as_str())).collect();
    if found.len() > 1 { found } else { Vec::new() }
}

/// Why a folder with such parts is refused, and which to give.
pub(super) fn refuse_parts(root: &Path, parts: &[&str]) -> Error {
    let first = parts.iter().find(|p| p.to_lowercase().starts_with("train")).unwrap_or(&parts[0]);
    let named = parts.iter().map(|p| format!("{p}/")).collect::<Vec<_>>().join(", ");
    Error::data(root, format!("it holds {named}: parts of a data set, not classes")).help(format!(
        "give one of them, `{}`; if they are classes, a dataset.json here says so: {{\"labels\": [[\"path/of/picture.png\", \"class\"], ..]}}",
        root.join(first).display()
    ))
}
