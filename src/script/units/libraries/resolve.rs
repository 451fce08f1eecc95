//! From the names in `lathe.toml` to folders: the libraries, the libraries that those use, and what `lathe.lock` says of them.

use super::digest::digest;
use super::git;
use super::library::{Library, Rights};
use super::lock::{Lock, Locked};
use super::manifest::{self, Entry, LibraryFile, Wants};
use super::project::{LIBRARY_TOML, LOCK, Project};
use super::said;
use crate::error::{Error, Result, did_you_mean};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// The libraries of a project by name.
#[derive(Debug, Clone, Default)]
pub struct Libraries(BTreeMap<String, Arc<Library>>);

impl Libraries {
    /// The library of that name.
    pub fn get(&self, name: &str) -> Option<&Arc<Library>> {
        self.0.get(name)
    }

    /// These beside those that a program `knows` already, which stay as they are: what a library may do is settled when a program first looks at
    /// it. When `runs`, those that are new may do nothing beyond their own folder. What does not count is said once.
    pub(crate) fn beside(mut self, known: &Libraries, runs: bool) -> Libraries {
        for new in self.0.values_mut() {
            let (differs, kept) = match known.get(&new.name) {
                Some(old) => (old.rights != new.rights || old.root != new.root || old.uses != new.uses, old.clone()),
                None if runs => (new.rights.grants != Wants::default(), Arc::new(new.without_rights())),
                None => continue,
            };
            if differs {
                let line = format!(
                    "note: what the library `{}` is, uses or may do has changed since the program started: that counts after a restart",
                    new.name
                );
                said::once(&new.root, &format!("rights {:?} {:?}", new.rights, new.uses), &line);
            }
            *new = kept;
        }
        for old in known.iter() {
            self.0.entry(old.name.clone()).or_insert_with(|| old.clone());
        }
        self
    }

    /// All, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Library>> {
        self.0.values()
    }
}

/// What `lathe update` did with a library.
#[derive(Debug, Clone)]
pub struct Update {
    /// Its name.
    pub name: String,
    /// Version and hash in the lock before.
    pub before: Option<(String, String)>,
    /// Version and hash now; `None` when nothing uses it any more.
    pub after: Option<(String, String)>,
}

/// What is wrong with libraries, by name.
pub type Wrong = Vec<(String, Error)>;

/// Where a library comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    /// Relative to the project, or absolute.
    Path(PathBuf),
    Git {
        url: String,
        rev: String,
        folder: PathBuf,
    },
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Path(p) => write!(f, "path+{}", p.display()),
            Source::Git { url, rev, folder } => {
                write!(f, "git+{url}?rev={rev}")?;
                if folder.as_os_str().is_empty() { Ok(()) } else { write!(f, "&folder={}", folder.display()) }
            }
        }
    }
}

/// A library that something names.
struct Wanted {
    name: String,
    entry: Entry,
    /// The file that names it.
    file: PathBuf,
    /// The library that names it, with where that comes from; the project when there is none.
    by: Option<(String, Source)>,
}

/// How the lock is taken.
enum Pin<'a> {
    /// Every library must be what it says.
    Locked(&'a Lock),
    /// The library of that name, or all, are looked at anew; the others stay as they are.
    Anew { old: &'a Lock, only: Option<&'a str> },
}

#[derive(Default)]
struct Found {
    libraries: BTreeMap<String, Library>,
    sources: BTreeMap<String, (Source, Option<String>)>,
    wrong: Wrong,
}

impl Project {
    /// Its libraries, each as `lathe.lock` has it. A git library that the lock knows and the cache lacks is fetched.
    ///
    /// # Errors
    /// `E0302` naming the file, what was expected and found, and the remedy: for a library that is missing, has changed, is wanted
    /// in two versions, or is part of a circle.
    pub fn libraries(&self) -> Result<Libraries> {
        let lock = Lock::read(&self.lock())?;
        let found = self.resolve(&Pin::Locked(&lock));
        match found.wrong.into_iter().next() {
            Some((_, e)) => Err(e),
            None => Ok(Libraries(found.libraries.into_iter().map(|(n, l)| (n, Arc::new(l))).collect())),
        }
    }

    /// The libraries that are in order, and what is wrong with the others, by name.
    ///
    /// # Errors
    /// `E0302` when the lock cannot be read.
    pub fn look(&self) -> Result<(Vec<Library>, Wrong)> {
        let lock = Lock::read(&self.lock())?;
        let found = self.resolve(&Pin::Locked(&lock));
        Ok((found.libraries.into_values().collect(), found.wrong))
    }

    /// Looks at a library, or at all, anew and writes the lock.
    ///
    /// # Errors
    /// As [`Project::libraries`]; `E0101` for an unknown name; the lock stays as it was.
    pub fn update(&self, only: Option<&str>) -> Result<Vec<Update>> {
        let (lock, updates, libraries) = self.plan(only)?;
        if let Some(name) = only.filter(|n| !libraries.contains_key(*n)) {
            let near = did_you_mean(name, libraries.keys().map(String::as_str));
            return Err(Error::usage(format!("{} names no library `{name}`{near}", self.file.display())));
        }
        lock.write(&self.lock())?;
        Ok(updates)
    }

    /// The lock that an update would write.
    pub(super) fn plan(&self, only: Option<&str>) -> Result<(Lock, Vec<Update>, BTreeMap<String, Library>)> {
        // A lock that cannot be read is what `lathe update` mends.
        let old = if only.is_none() { Lock::read(&self.lock()).unwrap_or_default() } else { Lock::read(&self.lock())? };
        let Found { libraries, sources, wrong } = self.resolve(&Pin::Anew { old: &old, only });
        if let Some((_, e)) = wrong.into_iter().next() {
            return Err(e);
        }
        let locked = |l: &Library| Locked {
            name: l.name.clone(),
            version: l.version.to_string(),
            source: l.source.clone(),
            commit: l.commit.clone(),
            hash: l.hash.clone(),
        };
        let is_own = |name: &str| self.own.as_ref().is_some_and(|own| own.name == name);
        let keep = |l: &Library| old.get(&l.name).filter(|o| o.source == l.source && only.is_some_and(|n| n != l.name)).cloned();
        let pinned: Vec<Locked> = libraries.values().filter(|l| !is_own(&l.name)).map(|l| keep(l).unwrap_or_else(|| locked(l))).collect();
        debug_assert!(pinned.iter().all(|l| sources.contains_key(&l.name)));
        let state = |l: &Locked| (l.version.clone(), l.hash.clone());
        let mut updates: Vec<Update> =
            pinned.iter().map(|l| Update { name: l.name.clone(), before: old.get(&l.name).map(state), after: Some(state(l)) }).collect();
        let gone = old.libraries.iter().filter(|o| !libraries.contains_key(&o.name));
        updates.extend(gone.map(|o| Update { name: o.name.clone(), before: Some(state(o)), after: None }));
        let lock = Lock { libraries: pinned, weights: old.weights.clone() };
        Ok((lock, updates, libraries))
    }

    fn resolve(&self, pin: &Pin) -> Found {
        let mut found = Found::default();
        if let Some(own) = &self.own {
            self.add_own(own, &mut found);
        }
        // The project's own entries first: they decide where a library comes from that others want too.
        let direct = self.entries.iter().map(|(name, entry)| Wanted { name: name.clone(), entry: entry.clone(), file: self.file.clone(), by: None });
        let mut queue: VecDeque<Wanted> = direct.collect();
        while let Some(wanted) = queue.pop_front() {
            match self.take(&wanted, pin, &mut found) {
                Ok(more) => queue.extend(more),
                Err(e) => found.wrong.push((wanted.name, e)),
            }
        }
        if found.wrong.is_empty()
            && let Some((name, circle)) = circle(&found.libraries)
        {
            let e = Error::data(&self.file, format!("the libraries use each other in a circle: {}", circle.join(" -> ")));
            found.wrong.push((name, e.help("move what both need into a library of its own")));
        }
        found
    }

    /// The library whose folder this is, with all that it asks for: what its tests import.
    fn add_own(&self, own: &LibraryFile, found: &mut Found) {
        let source = Source::Path(".".into());
        let library = Library {
            name: own.name.clone(),
            version: own.version.clone(),
            description: own.description.clone(),
            root: self.root.clone(),
            source: source.to_string(),
            commit: None,
            hash: String::new(),
            rights: Rights { base: self.root.clone(), asks: own.permissions.clone(), grants: own.permissions.clone() },
            uses: own.libraries.keys().chain(self.entries.keys()).cloned().collect(),
        };
        found.sources.insert(own.name.clone(), (source, None));
        found.libraries.insert(own.name.clone(), library);
    }

    /// Takes a library in, and gives the ones that it names.
    fn take(&self, wanted: &Wanted, pin: &Pin, found: &mut Found) -> Result<Vec<Wanted>> {
        let name = &wanted.name;
        let source = self.source(wanted)?;
        if let Some((first, by)) = found.sources.get(name) {
            if *first != source && by.is_some() {
                let user = |by: &Option<String>| by.as_ref().map_or("the project".to_owned(), |b| format!("`{b}`"));
                let second = wanted.by.as_ref().map(|(b, _)| b.clone());
                let message = format!("`{name}` is wanted twice: {} takes it from {first}, {} from {source}", user(by), user(&second));
                return Err(Error::data(&wanted.file, message).help(format!("say in lathe.toml which one all of them get: `lathe add {name} ..`")));
            }
            return found.libraries.get(name).map_or(Ok(()), |library| fits(wanted, library)).map(|()| Vec::new());
        }
        found.sources.insert(name.clone(), (source.clone(), wanted.by.as_ref().map(|(b, _)| b.clone())));
        let (library, file) = self.read(wanted, &source, pin)?;
        fits(wanted, &library)?;
        let manifest = library.root.join(LIBRARY_TOML);
        let more =
            file.libraries.into_iter().map(|(n, entry)| Wanted { name: n, entry, file: manifest.clone(), by: Some((name.clone(), source.clone())) });
        let more = more.collect();
        found.libraries.insert(name.clone(), library);
        Ok(more)
    }

    /// Where a library comes from, in terms of the project.
    fn source(&self, wanted: &Wanted) -> Result<Source> {
        let entry = &wanted.entry;
        if let (Some(url), Some(rev)) = (&entry.git, &entry.rev) {
            if let Some((by, Source::Git { url: from, .. })) = &wanted.by
                && git::is_here(url)
                && !git::is_here(from)
            {
                let message = format!("`{by}` was fetched from `{from}` and takes `{}` from a repository on this disk, `{url}`", wanted.name);
                return Err(
                    Error::data(&wanted.file, message).help(format!("if that is meant, name it yourself: `lathe add {} --git ..`", wanted.name))
                );
            }
            let folder = inside(&entry.folder.clone().unwrap_or_default());
            let folder = folder.ok_or_else(|| Error::data(&wanted.file, format!("the `folder` of `{}` must lie in its repository", wanted.name)))?;
            return Ok(Source::Git { url: url.clone(), rev: rev.clone(), folder });
        }
        let path = entry.path.clone().unwrap_or_default();
        match &wanted.by {
            None => Ok(Source::Path(tidy(&path))),
            Some((_, Source::Path(base))) => Ok(Source::Path(tidy(&base.join(path)))),
            Some((by, Source::Git { url, rev, folder })) => {
                let within = inside(&folder.join(path)).ok_or_else(|| {
                    Error::data(&wanted.file, format!("`{by}` takes `{}` from outside of its repository", wanted.name))
                        .help("name it with `git` and `rev`")
                })?;
                Ok(Source::Git { url: url.clone(), rev: rev.clone(), folder: within })
            }
        }
    }

    /// Reads a library and compares it with the lock.
    fn read(&self, wanted: &Wanted, source: &Source, pin: &Pin) -> Result<(Library, LibraryFile)> {
        let name = wanted.name.as_str();
        let locked = match pin {
            Pin::Locked(lock) => Some(self.locked(name, source, lock)?),
            Pin::Anew { old, only } => old.get(name).filter(|l| l.source == source.to_string() && only.is_some_and(|n| n != name)),
        };
        let (mut root, commit) = self.folder(wanted, source, locked)?;
        let mut hash = digest(&root)?;
        if let (Source::Git { url, folder, .. }, Some(commit), Pin::Anew { old, .. }, None) = (source, &commit, pin, locked)
            && old.get(name).is_some_and(|o| o.commit.as_ref() == Some(commit) && o.hash != hash)
        {
            // The same commit has another content: the cache was tampered with.
            git::forget(url, commit)?;
            git::fetch(url, commit)?;
            root = git::folder(url, commit)?.join(folder);
            hash = digest(&root)?;
        }
        let file = manifest::read_library(&root.join(LIBRARY_TOML))?;
        if file.name != name {
            let message = format!("`{name}` is called `{}` in its own recipe.toml", file.name);
            return Err(Error::data(&wanted.file, message).help(format!(
                "write `{} = ..` here, or change the name in `{}`",
                file.name,
                root.join(LIBRARY_TOML).display()
            )));
        }
        if let (Pin::Locked(_), Some(l)) = (pin, locked)
            && l.hash != hash
        {
            let is = format!("the library `{name}` in `{}` has changed: {LOCK} has {}, the folder {}", root.display(), short(&l.hash), short(&hash));
            match source {
                // Whoever works on it sees it as it is; a run records what it used.
                Source::Path(_) => said::once(&root, &hash, &format!("note: {is}; it is used as it is now, and `lathe update {name}` pins it")),
                Source::Git { .. } => {
                    let help = format!("what was fetched should never change; `lathe update {name}` fetches it again");
                    return Err(Error::data(self.lock(), is).help(help));
                }
            }
        }
        // Only the project's own file grants anything.
        let grants =
            if wanted.by.is_none() { Wants { read: wanted.entry.read.clone(), write: wanted.entry.write.clone() } } else { Wants::default() };
        let library = Library {
            name: name.to_owned(),
            version: file.version.clone(),
            description: file.description.clone(),
            root,
            source: source.to_string(),
            commit,
            hash,
            rights: Rights { base: self.root.clone(), asks: file.permissions.clone(), grants },
            uses: file.libraries.keys().cloned().collect(),
        };
        Ok((library, file))
    }

    fn locked<'a>(&self, name: &str, source: &Source, lock: &'a Lock) -> Result<&'a Locked> {
        let mend = format!("`lathe update {name}` looks at it and writes it down");
        let locked = lock.get(name).ok_or_else(|| Error::data(self.lock(), format!("the library `{name}` is not in it")).help(mend.clone()))?;
        if locked.source != source.to_string() {
            let message = format!("the library `{name}` comes from {} by this file, and from {source} by {}", locked.source, self.file.display());
            return Err(Error::data(self.lock(), message).help(mend));
        }
        Ok(locked)
    }

    /// The library's folder on this disk, and its commit.
    fn folder(&self, wanted: &Wanted, source: &Source, locked: Option<&Locked>) -> Result<(PathBuf, Option<String>)> {
        let name = &wanted.name;
        let (root, commit) = match source {
            Source::Path(path) => (self.root.join(path), None),
            Source::Git { url, rev, folder } => {
                let commit = git::fetch(url, locked.and_then(|l| l.commit.as_deref()).unwrap_or(rev))
                    .map_err(|e| e.context(format!("the library `{name}`")))?;
                (git::folder(url, &commit)?.join(folder), Some(commit))
            }
        };
        if !root.is_dir() {
            let message = format!("the library `{name}` is missing: there is no folder `{}`", root.display());
            return Err(Error::data(&wanted.file, message).help("correct its entry, or put the folder there"));
        }
        if !root.join(LIBRARY_TOML).is_file() {
            let message = format!("`{name}`: the folder `{}` is no library, it has no {LIBRARY_TOML}", root.display());
            return Err(Error::data(&wanted.file, message).help("a recipe.toml has at least `name`, `version` and `lathe`"));
        }
        let real = |path: &Path| path.canonicalize().map_err(|e| Error::io("open", path, e));
        let found = real(&root)?;
        if let (Source::Git { url, .. }, Some(commit)) = (source, &commit)
            && !found.starts_with(real(&git::folder(url, commit)?)?)
        {
            let message = format!("the folder of `{name}` is a link that leads out of its repository, to `{}`", found.display());
            return Err(Error::data(&root, message));
        }
        Ok((found, commit))
    }
}

/// A hash as people compare it: its first twelve digits.
pub fn short(hash: &str) -> &str {
    hash.get(.."sha256:".len() + 12).unwrap_or(hash)
}

/// Makes sure that a library has a version that will do.
fn fits(wanted: &Wanted, library: &Library) -> Result<()> {
    match wanted.entry.version.as_ref().filter(|v| !v.matches(&library.version)) {
        None => Ok(()),
        Some(version) => {
            let user = wanted.by.as_ref().map_or("the project".to_owned(), |(b, _)| format!("`{b}`"));
            let message = format!("{user} needs `{}` `{version}`, and the one from {} is {}", library.name, library.source, library.version);
            Err(Error::data(&wanted.file, message).help("take another version of one of them"))
        }
    }
}

/// A relative path without `.`, and `..` only where it leads out.
fn tidy(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if out.file_name().is_some() => {
                out.pop();
            }
            _ => out.push(part),
        }
    }
    if out.as_os_str().is_empty() { ".".into() } else { out }
}

/// A path that stays below its start; empty for the start itself.
fn inside(path: &Path) -> Option<PathBuf> {
    let tidied = tidy(path);
    let below = tidied.components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir));
    below.then(|| if tidied == Path::new(".") { PathBuf::new() } else { tidied })
}

/// The first circle among the libraries, with a name in it.
fn circle(libraries: &BTreeMap<String, Library>) -> Option<(String, Vec<String>)> {
    fn follow<'a>(at: &'a str, all: &'a BTreeMap<String, Library>, stack: &mut Vec<&'a str>, done: &mut Vec<&'a str>) -> Option<Vec<String>> {
        if let Some(start) = stack.iter().position(|s| *s == at) {
            return Some(stack[start..].iter().chain([&at]).map(|s| (*s).to_owned()).collect());
        }
        if done.contains(&at) {
            return None;
        }
        stack.push(at);
        let found = all.get(at).and_then(|l| l.uses.iter().find_map(|next| follow(next, all, stack, done)));
        stack.pop();
        done.push(at);
        found
    }
    let mut done = Vec::new();
    libraries.keys().find_map(|name| follow(name, libraries, &mut Vec::new(), &mut done)).map(|c| (c[0].clone(), c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_tidied_by_their_text() {
        for (path, want) in
            [("../lab/../noise", "../noise"), ("./a/./b/..", "a"), ("..", ".."), ("a/..", "."), ("../../x", "../../x"), ("/a/../b", "/b")]
        {
            assert_eq!(tidy(Path::new(path)), Path::new(want), "{path}");
        }
        assert_eq!(inside(Path::new("a/../b")), Some("b".into()));
        assert_eq!(inside(Path::new("")), Some("".into()));
        assert_eq!(inside(Path::new("a/../../b")), None);
        assert_eq!(inside(Path::new("/etc")), None);
    }
}
