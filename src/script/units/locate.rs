//! Where an import leads: `"std/flow"`, `"lab/augment"`, `"./helper"`, and nothing else.

use super::libraries::{Libraries, Library, Project, is_name};
use super::roots::Roots;
use crate::error::did_you_mean;
use crate::script::lang::import::{EXTENSION, Found, Refusal, module_name, plain, read, refuse};
use include_dir::{Dir, include_dir};
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

static EMBEDDED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/stdlib");

/// What stands before the id of a module of the script's own that would else look like a library's.
const LOCAL: &str = "@/";

/// Finds modules: the standard library on disk or in the binary, libraries, and the folder of the entry script.
#[derive(Debug, Clone, Default)]
pub(crate) struct Locator {
    /// The folder of the entry script, canonical, and as the user wrote it.
    local: Option<(PathBuf, PathBuf)>,
    /// A standard library on disk, which goes before the embedded one.
    stdlib: Option<PathBuf>,
    /// Where the project is looked for.
    starts: Vec<PathBuf>,
    /// The project's libraries, once an import asked for one. What each may do stays as it was then, whatever becomes of the project's files.
    libraries: RefCell<Option<Rc<Libraries>>>,
    /// Whether the program runs: a library that is new from then on may do nothing beyond its own folder.
    runs: Cell<bool>,
    /// The embedding program's own modules.
    roots: Roots,
}

impl Locator {
    /// For an entry script in a file, or for one that has none (a REPL line, a test).
    pub(crate) fn new(entry: Option<&Path>, stdlib: Option<&Path>) -> Self {
        let written = entry.map(|e| match e.parent() {
            Some(p) if !p.as_os_str().is_empty() => p.to_owned(),
            _ => PathBuf::from("."),
        });
        let local = written.and_then(|w| w.canonicalize().ok().map(|c| (c, w)));
        let stdlib = stdlib.map(Path::to_owned).or_else(|| disk_stdlib(local.as_ref().map(|(c, _)| c.as_path())));
        let starts = local.iter().map(|(c, _)| c.clone()).chain(std::env::current_dir()).collect();
        Locator {
            local,
            stdlib: stdlib.and_then(|s| s.canonicalize().ok()),
            starts,
            libraries: RefCell::default(),
            runs: Cell::default(),
            roots: Roots::default(),
        }
    }

    /// The same with the project around a folder.
    pub(crate) fn in_project(self, folder: &Path) -> Self {
        Locator { starts: vec![folder.to_owned()], ..self }
    }

    /// The same with modules of the embedding program.
    pub(crate) fn with_roots(self, roots: &Roots) -> Self {
        Locator { roots: roots.clone(), ..self }
    }

    /// The standard library on disk, if there is one.
    pub(crate) fn stdlib(&self) -> Option<&Path> {
        self.stdlib.as_deref()
    }

    /// The script behind the import `text` in the unit `importer`.
    ///
    /// # Errors
    /// A diagnostic without a place: what is wrong with the import.
    pub(crate) fn find(&self, text: &str, importer: &str, importer_path: Option<&Path>) -> Result<Found, Refusal> {
        if let Some(name) = text.strip_prefix("std/") {
            return self.find_std(text, name);
        }
        if let Some(found) = self.roots.find(text, importer) {
            return found;
        }
        let Some(name) = text.strip_prefix("./") else {
            if let Some((library, name)) = text.split_once('/').filter(|(l, _)| is_name(l)) {
                return self.find_in_library(text, library, name, importer);
            }
            let help = "an import is `\"std/NAME\"` (standard library), `\"LIBRARY/NAME\"` (library) or `\"./NAME\"` (beside this file)";
            return Err(refuse(format!("`{text}` is not an import path"), help.to_owned()));
        };
        if let Some(library) = self.library_of(importer) {
            let inner = importer.split_once('/').map_or("", |(_, inner)| inner);
            let folder = inner.rsplit_once('/').map_or(String::new(), |(f, _)| format!("{f}/"));
            return module_of(text, &library, &format!("{folder}{name}"));
        }
        if let Some(within) = importer.strip_prefix("std/") {
            let folder = within.rsplit_once('/').map_or(String::new(), |(f, _)| format!("{f}/"));
            return self.find_std(text, &format!("{folder}{name}"));
        }
        self.find_beside(text, name, importer_path)
    }

    /// Says that the program runs now.
    pub(crate) fn set_runs(&self) {
        self.runs.set(true);
    }

    /// Whether it looks beside a script, or where a prompt is.
    pub(crate) fn is_placed(&self) -> bool {
        self.local.is_some()
    }

    /// The libraries that imports asked for, with those beside them.
    pub(crate) fn libraries(&self) -> Option<Rc<Libraries>> {
        self.libraries.borrow().clone()
    }

    /// The library that a unit belongs to. The project is looked at when it is not known yet; one in which something is wrong has
    /// no libraries.
    pub(crate) fn library_of(&self, unit: &str) -> Option<Arc<Library>> {
        let name = unit.split_once('/')?.0;
        if !is_name(name) || name == "std" || self.roots.own(unit) {
            return None;
        }
        if self.libraries.borrow().is_none() && self.look().is_err() {
            // An import of a library says what is wrong.
            *self.libraries.borrow_mut() = Some(Rc::default());
        }
        self.libraries()?.get(name).cloned()
    }

    /// Reads the project's files; `false` without a project.
    fn look(&self) -> crate::error::Result<bool> {
        let project = Project::find(self.starts.iter().map(PathBuf::as_path))?;
        let libraries = project.as_ref().map(Project::libraries).transpose()?.unwrap_or_default();
        let known = self.libraries.take().unwrap_or_default();
        *self.libraries.borrow_mut() = Some(Rc::new(libraries.beside(&known, self.runs.get())));
        Ok(project.is_some())
    }

    fn find_in_library(&self, text: &str, name: &str, module: &str, importer: &str) -> Result<Found, Refusal> {
        let known = || self.libraries().and_then(|l| l.get(name).cloned());
        let mut is_project = true;
        if known().is_none() {
            // Not asked for before, or added since.
            is_project = self.look().map_err(|e| refuse(e.to_string(), e.help_text().map(str::to_owned)))?;
        }
        if importer.starts_with("std/") {
            return Err(refuse(format!("`{text}`: the standard library uses no library"), None));
        }
        if let Some(user) = self.library_of(importer).filter(|user| user.name != name && !user.uses.contains(name)) {
            let file = user.root.join(super::libraries::LIBRARY_TOML);
            let help = format!("add `{name}` to the `[recipes]` of `{}`; in a program that runs, it counts after a restart", file.display());
            return Err(refuse(format!("the library `{}` does not say that it uses `{name}`", user.name), help));
        }
        let Some(library) = known() else {
            let add = format!("`lathe add {name} --path FOLDER` (or `--git URL --rev REV`) names it");
            if !is_project {
                return Err(refuse(format!("`{text}` is in a library, but there is no lathe.toml that says where `{name}` is"), add));
            }
            let names: Vec<String> = self.libraries().map(|l| l.iter().map(|l| l.name.clone()).collect()).unwrap_or_default();
            let near = did_you_mean(name, names.iter().map(String::as_str).chain(["std"]));
            return Err(refuse(format!("lathe.toml names no library `{name}`{near}"), add));
        };
        module_of(text, &library, module)
    }

    fn find_std(&self, text: &str, name: &str) -> Result<Found, Refusal> {
        plain(text, name)?;
        let (id, shown) = (format!("std/{name}.{EXTENSION}"), format!("std/{name}"));
        if let Some(root) = &self.stdlib {
            let path = root.join(format!("{name}.{EXTENSION}"));
            if path.exists() {
                return read(text, id, shown, &path, root);
            }
        }
        if let Some(file) = EMBEDDED.get_file(format!("{name}.{EXTENSION}")) {
            let content = file.contents_utf8().ok_or_else(|| refuse(format!("the embedded `{text}` is not UTF-8"), None))?;
            return Ok(Found { id, shown, path: None, text: content.into() });
        }
        let names = self.std_names();
        let near = did_you_mean(name, names.iter().map(String::as_str));
        let list = names.iter().map(|n| format!("std/{n}")).collect::<Vec<_>>().join(", ");
        Err(refuse(format!("the standard library has no module `{text}`{near}"), (!list.is_empty()).then(|| format!("it has {list}"))))
    }

    /// The names of all modules in the standard library, but for its tests.
    pub(crate) fn std_names(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        let mut folders = vec![&EMBEDDED];
        while let Some(dir) = folders.pop() {
            folders.extend(dir.dirs());
            names.extend(dir.files().filter_map(|f| module_name(f.path())));
        }
        if let Some(root) = &self.stdlib {
            let files = walkdir::WalkDir::new(root).into_iter().flatten();
            names.extend(files.filter_map(|f| module_name(f.path().strip_prefix(root).ok()?)));
        }
        names.retain(|n| !n.starts_with("tests/"));
        names
    }

    /// The modules of the standard library: `std/flow` and its text.
    ///
    /// # Errors
    /// A diagnostic for a file that cannot be read.
    pub(crate) fn std_modules(&self) -> Result<Vec<(String, Arc<str>)>, Refusal> {
        let names = self.std_names();
        names
            .iter()
            .filter(|n| !n.starts_with("tests/"))
            .map(|name| self.find_std(&format!("std/{name}"), name))
            .map(|found| found.map(|f| (f.shown, f.text)))
            .collect()
    }

    fn find_beside(&self, text: &str, name: &str, importer: Option<&Path>) -> Result<Found, Refusal> {
        plain(text, name)?;
        let Some(((root, written), importer)) = self.local.as_ref().zip(importer) else {
            return Err(refuse(format!("`{text}` has no file beside it: this script is not in a file"), None));
        };
        let folder = importer.parent().unwrap_or(root);
        let path = folder.join(format!("{name}.{EXTENSION}"));
        if !path.exists() {
            let beside: Vec<String> = crate::files::open_dir(folder)
                .into_iter()
                .flatten()
                .flatten()
                .filter_map(|e| module_name(Path::new(&e.file_name())))
                .map(|n| format!("./{n}"))
                .collect();
            let near = did_you_mean(text, beside.iter().map(String::as_str));
            return Err(refuse(format!("there is no `{}`{near}", path.display()), None));
        }
        let real = path.canonicalize().map_err(|e| refuse(format!("cannot read `{}`: {e}", path.display()), None))?;
        let Ok(relative) = real.strip_prefix(root) else {
            return Err(refuse(format!("`{text}` leads to `{}`, outside the script's folder", real.display()), None));
        };
        let relative_text = relative.components().map(|c| c.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/");
        let shown = if written == Path::new(".") { relative_text.clone() } else { written.join(relative).display().to_string() };
        // A folder that happens to be called `std`, or like a library, must not pass for it.
        let is_taken = relative_text.starts_with("std/") || relative_text.starts_with(LOCAL) || self.library_of(&relative_text).is_some();
        let id = if is_taken || self.roots.own(&relative_text) { format!("{LOCAL}{relative_text}") } else { relative_text };
        read(text, id, shown, &real, root)
    }
}

/// A module of a library.
fn module_of(text: &str, library: &Library, name: &str) -> Result<Found, Refusal> {
    plain(text, name)?;
    // The library's hash does not cover hidden files.
    if name.split('/').any(|part| part.starts_with('.')) {
        return Err(refuse(format!("`{text}`: hidden files of a library cannot be imported"), None));
    }
    let path = library.root.join(format!("{name}.{EXTENSION}"));
    if !path.exists() {
        let files = walkdir::WalkDir::new(&library.root).into_iter().flatten();
        let mut names: Vec<String> = files.filter_map(|f| module_name(f.path().strip_prefix(&library.root).ok()?)).collect();
        names.retain(|n| !n.starts_with("tests/"));
        names.sort();
        let near = did_you_mean(name, names.iter().map(String::as_str));
        let list = names.iter().map(|n| format!("{}/{n}", library.name)).collect::<Vec<_>>().join(", ");
        let message = format!("the library `{}` has no module `{name}`{near}", library.name);
        return Err(refuse(message, (!list.is_empty()).then(|| format!("it has {list}"))));
    }
    read(text, format!("{}/{name}.{EXTENSION}", library.name), format!("{}/{name}", library.name), &path, &library.root)
}

/// The `stdlib/` on disk that a script in the working directory would use; `None` when it is the one built in.
pub fn stdlib_folder() -> Option<PathBuf> {
    disk_stdlib(None).and_then(|p| p.canonicalize().ok())
}

/// Name and text of the standard library's tests, as they are in the binary.
pub fn embedded_tests() -> Vec<(String, &'static str)> {
    let files = EMBEDDED.get_dir("tests").into_iter().flat_map(|d| d.files());
    files.filter_map(|f| Some((format!("std/{}.{EXTENSION}", module_name(f.path())?), f.contents_utf8()?))).collect()
}

/// `stdlib/` on disk: `LATHE_STDLIB`, or beside or above the script or the working directory.
fn disk_stdlib(script: Option<&Path>) -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("LATHE_STDLIB").filter(|v| !v.is_empty()) {
        return Some(path.into());
    }
    let here = std::env::current_dir().ok();
    let starts = script.into_iter().chain(here.as_deref());
    starts.flat_map(Path::ancestors).map(|a| a.join("stdlib")).find(|s| s.is_dir())
}
