//! `lathe add` and `lathe remove`: a library's line in `lathe.toml`, beside what people wrote there.

use super::library::Library;
use super::manifest::{self, Entry, LibraryFile, ProjectFile};
use super::project::{LATHE_TOML, Project};
use crate::error::{Error, Result, did_you_mean};
use crate::files;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What `lathe add` did.
#[derive(Debug)]
pub struct Added {
    /// The library.
    pub library: Library,
    /// The file that names it now.
    pub file: PathBuf,
}

/// What `lathe remove` did.
#[derive(Debug)]
pub struct Removed {
    /// The file that names it no more.
    pub file: PathBuf,
    /// Other libraries that only it used.
    pub unused: Vec<String>,
    /// Libraries that use it themselves, so that it stays in the lock.
    pub users: Vec<String>,
}

impl Project {
    /// Takes a library out of the project's file and writes the lock. Neither is touched unless all that stays can be used.
    ///
    /// # Errors
    /// `E0101` for a name that the file does not have, with the nearest; otherwise as [`Project::libraries`].
    pub fn remove(&self, name: &str) -> Result<Removed> {
        if !self.entries.contains_key(name) {
            let near = did_you_mean(name, self.entries.keys().map(String::as_str));
            return Err(Error::usage(format!("{} names no library `{name}`{near}", self.file.display())).help("`lathe recipes` lists them"));
        }
        let text = without_line(&files::read_text(&self.file)?, name);
        let by_hand = || {
            Error::data(&self.file, "its layout cannot be changed safely")
                .help(format!("take `{name}` out of `[recipes]` yourself, then `lathe update`"))
        };
        let text = text.ok_or_else(by_hand)?;
        let mut wanted = self.entries.clone();
        wanted.remove(name);
        if self.entries_in(&text).map_err(|_| by_hand())? != wanted {
            return Err(by_hand());
        }
        // The others stay as the lock has them.
        let (lock, updates, libraries) = Project { entries: wanted, ..self.clone() }.plan(Some(name))?;
        files::write(&self.file, text.as_bytes())?;
        lock.write(&self.lock())?;
        let unused = updates.into_iter().filter(|u| u.after.is_none() && u.name != name).map(|u| u.name).collect();
        let users = libraries.values().filter(|l| l.uses.iter().any(|used| used == name)).map(|l| l.name.clone()).collect();
        Ok(Removed { file: self.file.clone(), unused, users })
    }

    /// Names a library in the project's file and writes the lock. Neither is touched unless the library and all that it uses can be
    /// used.
    ///
    /// # Errors
    /// `E0101` for a name that another library has; otherwise as [`Project::libraries`].
    pub fn add(&self, name: &str, entry: &Entry) -> Result<Added> {
        manifest::check_name(&self.file, name)?;
        entry.check(&self.file, name)?;
        if let Some(old) = self.entries.get(name).filter(|old| (&old.path, &old.git) != (&entry.path, &entry.git)) {
            let from = old.git.clone().or_else(|| old.path.as_ref().map(|p| p.display().to_string())).unwrap_or_default();
            let message = format!("{} has a library `{name}` already, from {from}", self.file.display());
            return Err(Error::usage(message).help("take its line out first, or give the new library another name in its recipe.toml"));
        }
        let old = if self.file.exists() { files::read_text(&self.file)? } else { String::new() };
        let line = line_of(name, entry);
        let text = with_line(&old, name, &line);
        let by_hand = || {
            Error::data(&self.file, "its layout cannot be changed safely")
                .help(format!("write this below `[recipes]`, then `lathe update {name}`: {line}"))
        };
        let entries = self.entries_in(&text).map_err(|_| by_hand())?;
        let mut wanted = self.entries.clone();
        wanted.insert(name.to_owned(), entry.clone());
        if entries != wanted {
            return Err(by_hand());
        }
        let next = Project { entries, ..self.clone() };
        next.check()?;
        let (lock, _, mut libraries) = next.plan(Some(name))?;
        let library = libraries.remove(name).ok_or_else(|| Error::data(&self.file, format!("the library `{name}` was not found")))?;
        files::write(&self.file, text.as_bytes())?;
        lock.write(&self.lock())?;
        Ok(Added { library, file: self.file.clone() })
    }

    fn entries_in(&self, text: &str) -> Result<BTreeMap<String, Entry>> {
        if self.file.ends_with(LATHE_TOML) {
            return Ok(manifest::parse::<ProjectFile>(&self.file, text)?.libraries);
        }
        Ok(manifest::parse::<LibraryFile>(&self.file, text)?.libraries)
    }

    /// A path that was given in the folder `here`, as the project's file names it.
    pub fn relative(&self, here: &Path, path: &Path) -> PathBuf {
        if path.is_absolute() {
            return path.to_owned();
        }
        let here = here.canonicalize().unwrap_or_else(|_| here.to_owned());
        here.strip_prefix(&self.root).map_or_else(|_| here.join(path), |below| below.join(path))
    }
}

/// `lab = { path = "../lab", read = ["data"] }`.
fn line_of(name: &str, entry: &Entry) -> String {
    let text = |s: &str| toml::Value::String(s.to_owned()).to_string();
    let path = |p: &PathBuf| text(&p.to_string_lossy());
    let list = |l: &Vec<String>| (!l.is_empty()).then(|| format!("[{}]", l.iter().map(|s| text(s)).collect::<Vec<_>>().join(", ")));
    let fields = [
        ("path", entry.path.as_ref().map(path)),
        ("git", entry.git.as_deref().map(text)),
        ("rev", entry.rev.as_deref().map(text)),
        ("folder", entry.folder.as_ref().map(path)),
        ("version", entry.version.as_ref().map(|v| text(&v.to_string()))),
        ("read", list(&entry.read)),
        ("write", list(&entry.write)),
    ];
    let fields: Vec<String> = fields.into_iter().filter_map(|(key, value)| Some(format!("{key} = {}", value?))).collect();
    format!("{name} = {{ {} }}", fields.join(", "))
}

/// The text with the line in its `[recipes]`, instead of the line of that name if there is one.
fn with_line(text: &str, name: &str, line: &str) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    match place(&lines, name) {
        None => {
            if lines.last().is_some_and(|l| !l.trim().is_empty()) {
                lines.push("");
            }
            lines.extend(["[recipes]", line]);
        }
        Some((_, Some(at))) => lines[at] = line,
        Some((table, None)) => {
            let last = table.clone().rev().find(|i| !lines[*i].trim().is_empty()).unwrap_or(table.start);
            lines.insert(last + 1, line);
        }
    }
    lines.join("\n") + "\n"
}

/// The lines of the table `[recipes]` with its head, and which of them names a library; `None` where there is no such table.
fn place(lines: &[&str], name: &str) -> Option<(std::ops::Range<usize>, Option<usize>)> {
    let is_header = |l: &&str| l.trim_start().starts_with('[');
    let is_table = |l: &&str| l.split('#').next().unwrap_or_default().replace(' ', "").trim() == "[recipes]";
    let header = lines.iter().position(is_table)?;
    let end = lines[header + 1..].iter().position(is_header).map_or(lines.len(), |n| header + 1 + n);
    let key = |l: &str| l.split_once('=').map(|(k, _)| k.trim().trim_matches('"').to_owned());
    Some((header..end, (header + 1..end).find(|i| key(lines[*i]).as_deref() == Some(name))))
}

/// The text without the line of that name in its `[recipes]`; `None` where there is none.
fn without_line(text: &str, name: &str) -> Option<String> {
    let lines: Vec<&str> = text.lines().collect();
    let (_, at) = place(&lines, name)?;
    let at = at?;
    let kept: Vec<&str> = lines.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, l)| *l).collect();
    Some(if kept.is_empty() { String::new() } else { kept.join("\n") + "\n" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_goes_where_it_belongs() {
        let cases = [
            ("", "[recipes]\nlab = 1\n"),
            ("# mine\n", "# mine\n\n[recipes]\nlab = 1\n"),
            ("[recipes] # used\na = 2\n\n[other]\nlab = 3\n", "[recipes] # used\na = 2\nlab = 1\n\n[other]\nlab = 3\n"),
            ("[recipes]\n\"lab\" = 0\nz = 2", "[recipes]\nlab = 1\nz = 2\n"),
        ];
        for (before, after) in cases {
            assert_eq!(with_line(before, "lab", "lab = 1"), after, "{before:?}");
        }
        for (before, after) in [
            ("[recipes]\nlab = 1\n", Some("[recipes]\n")),
            ("# mine\n[recipes]\na = 2\n\"lab\" = 0 # old\n\n[other]\nlab = 3\n", Some("# mine\n[recipes]\na = 2\n\n[other]\nlab = 3\n")),
            ("[other]\nlab = 3\n", None),
            ("[recipes]\na = 2\n", None),
        ] {
            assert_eq!(without_line(before, "lab").as_deref(), after, "{before:?}");
        }
        let entry = Entry { git: Some("file:///a\"b".into()), rev: Some("v1".into()), read: vec!["data".into()], ..Entry::default() };
        assert_eq!(line_of("lab", &entry), "lab = { git = 'file:///a\"b', rev = \"v1\", read = [\"data\"] }");
    }
}
