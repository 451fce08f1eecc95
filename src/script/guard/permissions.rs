//! What scripts may read and write.
//!
//! Every function through which a script reaches a file asks first, with [`Cx::readable`] or [`Cx::writable`]. A path is
//! resolved before the test: `..` and links count as the place that they lead to, also for a file that is not there yet. Where
//! a whole folder is read or written, the links in it are held to the same. A script itself cannot make links. Somebody else can, between
//! the question and the opening: so `crate::files` asks once more, for the place that it has open.
//!
//! An engine without [`Permissions`] asks nobody: that is the host program's choice. `lathe` always sets them.

use crate::data::{hdf5_key_list, is_hdf5};
use crate::error::{Error, ErrorKind, Result};
use crate::fetch::is_reference;
use crate::files::{self, Access, Rule, resolve};
use crate::script::bind::Cx;
use crate::script::guard::found::Found;
use crate::script::guard::programs::Programs;
use crate::script::lang::host::Host;
use crate::script::lang::principal::Principal;
use crate::script::settings::params::{Config, Origin};
use crate::script::units::libraries::Library;
use crate::script::units::program::Program;
use rhai::{Array, Dynamic, Map};
use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The places that a program may read and write, below each of which everything is allowed. A place that may be written may
/// be read.
#[derive(Debug, Clone, Default)]
pub struct Permissions {
    /// The project and the working directory: what a default may name.
    home: Vec<PathBuf>,
    read: Vec<PathBuf>,
    write: Vec<PathBuf>,
    /// Names of outputs: `out/x` stands for the folder and for `out/x.npz` beside it as well.
    outputs: Vec<PathBuf>,
    /// Names, without the extension, of files that settings name: `w/vae-latents-stats.pt` belongs to `w/vae.pt`.
    beside: Vec<PathBuf>,
    /// Whether `torch::op` reaches operators that do not check their arguments.
    unsafe_ops: bool,
    /// TorchScript programs that may be run.
    programs: Programs,
}

/// Words that name a place to write in the name of a setting: `output_dir`, `exp_path`, `save_to`.
const OUTPUT_WORDS: &[&str] = &["output", "outputs", "out", "exp", "exps", "run", "runs", "save", "export", "dst", "dest", "destination"];

/// What decides over a project may not be changed by a script, whatever is allowed otherwise.
const GUARDED: &[&str] = &["lathe.toml", "lathe.lock", "recipe.toml"];
/// The same in the folder of a run.
const RECORDS: &[&str] = &["sources.json", "start.json", "edit.json"];

impl Permissions {
    /// Nothing but temporary folders.
    pub fn none() -> Self {
        Self::default()
    }

    /// What `lathe run SCRIPT` allows before any flag: to read the project, the working directory, the folders of weights, and
    /// what `LATHE_ALLOW_READ` names; to write `exps` and what `LATHE_ALLOW_WRITE` names.
    ///
    /// The project is the nearest folder from the script upwards with a `lathe.toml` or `recipe.toml`, else the script's
    /// repository, else the script's folder. The user's home folder and `/` are never one by themselves.
    pub fn for_script(script: &Path) -> Self {
        let mut p = Self::default();
        let folder = script.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
        p.home.extend(narrow(project(&resolve(folder))));
        p.home.extend(narrow(resolve(Path::new("."))));
        p.read.clone_from(&p.home);
        p.read.extend(crate::fetch::weight_folders().iter().map(|f| resolve(f)));
        // Where `train::run` puts runs when no setting says otherwise; a link that leads elsewhere has to be allowed.
        p.allow_default_output("exps");
        let named = |var: &str| std::env::var_os(var).map(|v| std::env::split_paths(&v).filter(|p| !p.as_os_str().is_empty()).collect::<Vec<_>>());
        named("LATHE_ALLOW_READ").into_iter().flatten().for_each(|path| p.allow_read(&path));
        named("LATHE_ALLOW_WRITE").into_iter().flatten().for_each(|path| p.allow_write(&path));
        p
    }

    /// What a prompt allows: to read and write the working directory, besides what `script` may.
    pub fn interactive(script: Option<&Path>) -> Self {
        let mut p = Self::for_script(script.unwrap_or(Path::new("prompt")));
        p.allow_write(Path::new("."));
        p
    }

    /// The same without anything to write, for what happens before a script runs.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.read.append(&mut self.write);
        self.beside.extend(self.outputs.iter().cloned());
        self.read.append(&mut self.outputs);
        self
    }

    /// Allows reading a file, or a folder with all that is in it.
    pub fn allow_read(&mut self, path: &Path) {
        self.read.extend(with_companion(path));
    }

    /// Allows reading and writing a file, or a folder with all that is in it.
    pub fn allow_write(&mut self, path: &Path) {
        self.write.extend(with_companion(path));
    }

    /// Opens every operator of libtorch to `torch::op`, also those whose kernels do not check what they are given.
    pub fn allow_unsafe_ops(&mut self) {
        self.unsafe_ops = true;
    }

    /// Allows running the TorchScript programs that a script can read and cannot write.
    pub fn allow_torchscript(&mut self) {
        self.programs.allow();
    }

    /// Allows running the TorchScript program in that file, as it is now, also where a script can write it.
    pub fn allow_program(&mut self, path: &Path) {
        self.programs.name(path);
    }

    pub(super) fn programs(&self) -> &Programs {
        &self.programs
    }

    /// Allows what the settings of a run name.
    ///
    /// A string that was given by a flag or in a configuration file may be read as a path, or as several with commas between; with a file
    /// `vae.pt` those beside it that are called `vae-..` or `vae.`, with `images.h5` its list of keys `images_h5.json`; with a folder what the links directly in it lead to. A TorchScript program that is named so may be run. If the setting is called like an
    /// output (a word of its name is `output`, `out`, `exp`, `run`, `save`, `export`, `dst` or `dest`, and it is no `.._name`),
    /// it may be written too. The default of such a setting may be written when it lies below the project or the working
    /// directory and no part of it is hidden. What a run's folder says of itself allows nothing: it may be somebody else's.
    pub fn allow_settings(&mut self, config: &Config) {
        for chosen in config.iter() {
            let is_given = !matches!(chosen.origin, Origin::Default | Origin::Lathe);
            let is_output = is_output(&chosen.name);
            let mut texts = Vec::new();
            strings(&chosen.value, &mut texts);
            for text in texts.iter().filter(|t| !t.is_empty() && !is_reference(t)) {
                match (is_given, is_output) {
                    (true, output) => self.allow_given(text, output),
                    (false, true) => self.allow_default_output(text),
                    (false, false) => {}
                }
            }
        }
    }

    fn allow_given(&mut self, text: &str, output: bool) {
        // `torchscript:PATH` names a kind of file before the path; commas join several files.
        let parts = std::iter::once(text).chain(text.split_once(':').map(|(_, path)| path)).chain(text.split(','));
        for given in parts.filter(|p| !p.is_empty()).map(Path::new) {
            let path = resolve(given);
            if path.parent().is_none() {
                continue;
            }
            if output {
                self.outputs.extend(with_companion(given));
                continue;
            }
            // Folders of weights and of pictures often hold links to where the files really are; a run makes none.
            if !path.join(crate::train::status::FILE).is_file() {
                let inside = crate::files::open_dir(&path).into_iter().flatten().flatten().map(|e| e.path()).filter(|p| p.is_symlink());
                self.read.extend(inside.map(|p| resolve(&p)));
            }
            if let (Some(folder), Some(stem), true) = (given.parent(), given.file_stem(), given.extension().is_some()) {
                self.beside.push(resolve(if folder.as_os_str().is_empty() { Path::new(".") } else { folder }).join(stem));
            }
            self.read.extend(with_companion(given));
            self.programs.name(given);
        }
    }

    fn allow_default_output(&mut self, text: &str) {
        let path = Path::new(text);
        let is_plain = path.components().all(|c| match c {
            Component::Normal(name) => !name.to_string_lossy().starts_with('.'),
            Component::CurDir => true,
            _ => false,
        });
        let target = resolve(path);
        if is_plain && self.home.iter().any(|home| target != *home && target.starts_with(home)) {
            self.outputs.push(target);
        }
    }

    /// Whether the program may do it; `target` is resolved.
    pub(crate) fn allows(&self, access: Access, target: &Path) -> bool {
        !(access == Access::Write && is_guarded(target)) && self.reaches(access, target)
    }

    /// The same whatever the file is called.
    fn reaches(&self, access: Access, target: &Path) -> bool {
        let below = |roots: &[PathBuf]| roots.iter().any(|root| target.starts_with(root));
        let output = || self.outputs.iter().any(|name| target.starts_with(name) || is_beside(target, name, &['.']));
        let companion = || self.beside.iter().any(|name| is_beside(target, name, &['.', '-']));
        match access {
            Access::Write => below(&self.write) || output(),
            Access::Read => below(&self.read) || below(&self.write) || output() || companion(),
        }
    }
}

/// The place of a path, and of the one file that belongs to it under another name: `images_h5.json`, the keys of `images.h5`.
fn with_companion(path: &Path) -> impl Iterator<Item = PathBuf> {
    let list = is_hdf5(path).then(|| resolve(&hdf5_key_list(path)));
    std::iter::once(resolve(path)).chain(list)
}

/// Whether `target` is a file beside `name` that is called like it up to one of the separators.
fn is_beside(target: &Path, name: &Path, separators: &[char]) -> bool {
    let rest = |target: &Path| Some(target.file_name()?.to_str()?.strip_prefix(name.file_name()?.to_str()?)?.to_owned());
    target.parent() == name.parent() && rest(target).is_some_and(|rest| rest.len() > 1 && rest.starts_with(separators))
}

fn is_guarded(target: &Path) -> bool {
    let name = target.file_name().unwrap_or_default();
    // What a run recorded of its scripts is what `lathe replay` runs.
    let in_run = || target.ancestors().skip(1).take(4).any(|a| a.join(crate::train::status::FILE).is_file());
    if RECORDS.iter().any(|r| name == *r) && in_run() {
        return true;
    }
    GUARDED.iter().any(|g| name == *g) || target.extension().is_some_and(|e| e == "rhai") || target.iter().any(|part| part == ".git")
}

fn is_output(setting: &str) -> bool {
    let last = setting.rsplit('.').next().unwrap_or(setting);
    last.rsplit('_').next() != Some("name") && last.split('_').any(|word| OUTPUT_WORDS.contains(&word))
}

/// Every string in a setting's value.
fn strings(value: &Dynamic, out: &mut Vec<String>) {
    if let Some(list) = value.read_lock::<Array>() {
        list.iter().for_each(|v| strings(v, out));
    } else if let Some(map) = value.read_lock::<Map>() {
        map.values().for_each(|v| strings(v, out));
    } else if value.is_string() {
        out.push(value.to_string());
    }
}

/// The project around a folder.
fn project(folder: &Path) -> PathBuf {
    let marked = |names: &[&str]| folder.ancestors().find(|a| names.iter().any(|n| a.join(n).exists()));
    marked(&["lathe.toml", "recipe.toml"]).or_else(|| marked(&[".git"]).filter(|f| !is_home(f))).unwrap_or(folder).to_owned()
}

/// A folder, unless it holds everything that the user has.
fn narrow(folder: PathBuf) -> Option<PathBuf> {
    let is_marked = folder.join("lathe.toml").exists();
    (is_marked || !is_home(&folder)).then_some(folder)
}

fn is_home(folder: &Path) -> bool {
    folder.parent().is_none() || std::env::var_os("HOME").is_some_and(|home| !home.is_empty() && folder == resolve(Path::new(&home)))
}

/// Folders that the runtime made for scripts.
#[derive(Clone, Default)]
struct Made(Arc<Mutex<Vec<PathBuf>>>);

impl Made {
    fn all(&self) -> MutexGuard<'_, Vec<PathBuf>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cx<'_> {
    /// Makes sure that the calling script may read a path. What the call then opens there is held to it.
    ///
    /// # Errors
    /// `E0701` naming the path and what would allow it.
    pub fn readable(&self, path: impl AsRef<Path>) -> Result<()> {
        ask(self, Access::Read, path.as_ref())
    }

    /// Makes sure that the calling script may write a path. What the call then makes there is held to it.
    ///
    /// # Errors
    /// `E0701` naming the path and what would allow it.
    pub fn writable(&self, path: impl AsRef<Path>) -> Result<()> {
        ask(self, Access::Write, path.as_ref())
    }

    /// Makes sure that the calling script may read a folder and everything that its links lead to.
    ///
    /// # Errors
    /// `E0701` naming the path and what would allow it.
    pub fn readable_within(&self, folder: impl AsRef<Path>) -> Result<()> {
        ask_within(self, Access::Read, folder.as_ref())
    }

    /// Makes sure that the calling script may write a folder and everything that its links lead to.
    ///
    /// # Errors
    /// `E0701` naming the path and what would allow it.
    pub fn writable_within(&self, folder: impl AsRef<Path>) -> Result<()> {
        ask_within(self, Access::Write, folder.as_ref())
    }

    /// Makes sure that no library is behind the call, for what permissions do not reach.
    ///
    /// # Errors
    /// `E0701` naming the library.
    pub fn unrestricted(&self, what: &str) -> Result<()> {
        match (self.host().get::<Arc<Permissions>>(), who(self)) {
            (Some(_), Principal::Library(name)) => {
                let message = format!("the library `{name}` may not {what}: that has the rights of the whole process; do it in the script");
                Err(Error::new(ErrorKind::Permission { message }))
            }
            _ => Ok(()),
        }
    }

    /// Whether the calling script may call every operator of libtorch: the user has to say so, and no library may.
    pub fn has_unsafe_ops(&self) -> bool {
        self.host().get::<Arc<Permissions>>().is_some_and(|p| p.unsafe_ops) && matches!(who(self), Principal::Program)
    }

    /// Gives scripts a folder that the runtime made for them.
    pub fn give(&self, folder: &Path) {
        self.host().get_or_default::<Made>().all().push(resolve(folder));
    }
}

/// Who is behind a call.
pub(super) fn who(cx: &Cx) -> Principal {
    let Some(program) = cx.host().get::<Program>() else { return Principal::Program };
    program.acting.behind(cx.source().map(|unit| program.principal(unit)).unwrap_or_default())
}

/// Whether a path lies in a folder that the runtime made for scripts.
pub(super) fn lies_in_made(cx: &Cx, target: &Path) -> bool {
    cx.host().get::<Made>().is_some_and(|made| made.all().iter().any(|folder| target.starts_with(folder)))
}

/// Who asks, and by what rights: asked again for the place that is opened in the end.
struct Asking {
    permissions: Arc<Permissions>,
    made: Made,
    found: Found,
    libraries: Vec<Arc<Library>>,
    /// The library that asks; none for the program itself.
    library: Option<String>,
}

impl Asking {
    /// `None` where nobody is asked.
    fn of(cx: &Cx) -> Option<Asking> {
        let host: &Host = cx.host();
        let permissions = host.get::<Arc<Permissions>>()?;
        let library = match who(cx) {
            Principal::Program => None,
            Principal::Library(name) => Some(name.to_string()),
        };
        let libraries = host.get::<Program>().map(|p| p.libraries()).unwrap_or_default();
        Some(Asking {
            permissions: (*permissions).clone(),
            made: (*host.get_or_default::<Made>()).clone(),
            found: (*host.get_or_default::<Found>()).clone(),
            libraries,
            library,
        })
    }
}

impl Rule for Asking {
    fn allow(&self, access: Access, path: &Path, target: &Path, is_own: bool) -> Result<()> {
        if self.made.all().iter().any(|folder| target.starts_with(folder)) {
            return Ok(());
        }
        // Weights of a cache are everybody's to read, once they were asked for by name.
        if access == Access::Read && self.found.holds(target) {
            return Ok(());
        }
        // What a run writes down of its scripts is no script of the project.
        let allowed = if is_own { self.permissions.reaches(access, target) } else { self.permissions.allows(access, target) };
        let Some(name) = &self.library else {
            let in_library = || self.libraries.iter().any(|l| target.starts_with(&l.root));
            let may = allowed || (access == Access::Read && in_library());
            return if may { Ok(()) } else { Err(refused(access, path, target)) };
        };
        let Some(library) = self.libraries.iter().find(|l| l.name == *name) else { return Err(refused_to_unknown(name, access, path, target)) };
        if access == Access::Read && library.holds(target) {
            return Ok(());
        }
        let (asked, granted) = (library.asks(access, target), library.granted(access, target));
        if allowed && asked && granted { Ok(()) } else { Err(refused_to(library, access, path, target, [asked, granted, allowed])) }
    }
}

fn ask(cx: &Cx, access: Access, path: &Path) -> Result<()> {
    let Some(asking) = Asking::of(cx) else { return Ok(()) };
    let target = resolve(path);
    asking.allow(access, path, &target, false)?;
    files::pass::note(path, &target, Arc::new(asking));
    Ok(())
}

fn ask_within(cx: &Cx, access: Access, folder: &Path) -> Result<()> {
    ask(cx, access, folder)?;
    let Some(asking) = Asking::of(cx) else { return Ok(()) };
    let mut todo = vec![folder.to_owned()];
    let mut seen = BTreeSet::from([resolve(folder)]);
    let (mut first, mut beyond) = (None, BTreeSet::new());
    while let Some(next) = todo.pop() {
        // The folder itself may be a link, which was asked for.
        for entry in walkdir::WalkDir::new(resolve(&next)).min_depth(1).into_iter().flatten().filter(|e| e.path_is_symlink()) {
            crate::interrupt::check()?;
            // Through a link that leads nowhere nothing can be read; who lists the folder names it.
            if access == Access::Read && leads_nowhere(entry.path()) {
                continue;
            }
            let target = resolve(entry.path());
            if let Err(e) = asking.allow(access, entry.path(), &target, false) {
                first.get_or_insert(e);
                beyond.insert(target);
                continue;
            }
            if target.is_dir() && seen.insert(target) {
                todo.push(entry.into_path());
            }
        }
    }
    match first {
        None => Ok(()),
        Some(e) if beyond.len() == 1 => Err(e),
        Some(_) => Err(refused_beyond(&asking, access, folder, &beyond)),
    }
}

/// Whether a path is a link to something that is not there, or to itself.
fn leads_nowhere(path: &Path) -> bool {
    path.metadata().is_err_and(|e| e.kind() != std::io::ErrorKind::PermissionDenied)
}

/// Folders that hold all of these paths: few, but none so wide as a folder of `/`, or all that the user has.
fn holding(paths: &BTreeSet<PathBuf>) -> Vec<PathBuf> {
    const LEAST: usize = 3;
    let shared = |a: &Path, b: &Path| a.components().zip(b.components()).take_while(|(a, b)| a == b).map(|(a, _)| a).collect::<PathBuf>();
    let mut out: Vec<PathBuf> = Vec::new();
    for path in paths {
        // A folder is named itself, for a file the folder that it lies in.
        let own = if path.is_dir() { path } else { path.parent().unwrap_or(path) };
        // Sorted, so what belongs together follows each other.
        match out.last_mut() {
            Some(last) if shared(last, own).components().count() >= LEAST && !is_home(&shared(last, own)) => *last = shared(last, own),
            Some(last) if own.starts_with(&*last) => {}
            _ => out.push(own.to_owned()),
        }
    }
    out
}

/// The refusal of many links at once: the folders that they lead to.
fn refused_beyond(asking: &Asking, access: Access, folder: &Path, beyond: &BTreeSet<PathBuf>) -> Error {
    let (what, folders) = (access.word(), holding(beyond));
    if let [only] = &folders[..]
        && let Err(e) = asking.allow(access, only, &resolve(only), false)
    {
        return e.context(format!("{} links in `{}` lead out of it", beyond.len(), folder.display()));
    }
    let flags: Vec<String> = folders.iter().map(|f| format!("--allow-{what} {}", f.display())).collect();
    let message = format!("needs {what} access to where {} links in `{}` lead; run again with `{}`", beyond.len(), folder.display(), flags.join(" "));
    Error::new(ErrorKind::Permission { message })
}

/// The path as it was given, and where it leads when that is not plain to see.
fn shown(path: &Path, target: &Path) -> String {
    let plain = std::env::current_dir().unwrap_or_default().join(path);
    let is_plain = plain.components().eq(target.components());
    if is_plain { format!("`{}`", path.display()) } else { format!("`{}` (`{}`)", target.display(), path.display()) }
}

fn refused(access: Access, path: &Path, target: &Path) -> Error {
    let (what, place) = (access.word(), shown(path, target));
    let message = if access == Access::Write && is_guarded(target) {
        format!("{place} is never written by a script: it decides what scripts may do")
    } else {
        format!("needs {what} access to {place}; run again with `--allow-{what} {}`", target.display())
    };
    Error::new(ErrorKind::Permission { message })
}

fn refused_to_unknown(name: &str, access: Access, path: &Path, target: &Path) -> Error {
    let message = format!(
        "the library `{name}` needs {} access to {}, and no lathe.toml here names it: add it to the project, and run this in the project's folder",
        access.word(),
        shown(path, target)
    );
    Error::new(ErrorKind::Permission { message })
}

fn refused_to(library: &Library, access: Access, path: &Path, target: &Path, [asked, granted, allowed]: [bool; 3]) -> Error {
    let (what, name, at) = (access.word(), &library.name, library.rights.name_of(target));
    let mut remedies = Vec::new();
    if !asked {
        remedies.push(format!("its recipe.toml does not ask for it (`[permissions] {what} = [\"{at}\"]`)"));
    }
    if !granted {
        remedies.push(format!("lathe.toml does not grant it (`{what} = [\"{at}\"]` in the entry of `{name}`)"));
    }
    if !allowed {
        remedies.push(format!("the script itself may not (run again with `--allow-{what} {}`)", target.display()));
    }
    let message = format!("the library `{name}` needs {what} access to {}: {}", shown(path, target), remedies.join(" and "));
    Error::new(ErrorKind::Permission { message })
}
