//! What the server needs to know of the program that it belongs to: its functions, its modules, and what is wrong with a script.

use super::live::Settings;
use crate::error::Replacement;
use crate::script::text::script::Script;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where a function is found in a script.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Owner {
    /// `name(..)` everywhere.
    Global,
    /// `space::name(..)`.
    Namespace(String),
    /// `value.name(..)` on values of that type.
    Type(String),
}

/// How it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// `f(..)`, `ns::f(..)`, `x.f(..)`.
    Function,
    /// `x.name`.
    Property,
    /// `ns::NAME`.
    Constant,
}

/// A parameter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// What it must be: `a tensor`.
    pub kind: String,
    /// Whether it may be left out.
    pub optional: bool,
}

/// A key of a map of options.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OptionKey {
    /// The key.
    pub name: String,
    /// What its value must be: `a number`.
    pub kind: String,
    /// What it is when it is not given, as a script writes it.
    pub default: Option<String>,
    /// The texts that it takes, where these are few.
    pub choices: Vec<String>,
    /// What is said of it.
    pub doc: String,
}

/// Something that scripts can call or read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name: `conv2d`.
    pub name: String,
    /// Where it is found.
    pub owner: Owner,
    /// How it is written.
    pub kind: EntryKind,
    /// `F::conv2d(x, weight, bias?, options?)`.
    pub signature: String,
    /// What it takes, without the value before the dot.
    pub params: Vec<Parameter>,
    /// What the map that is its last argument may hold.
    pub options: Vec<OptionKey>,
    /// The type of what it returns, as [`Owner::Type`] calls it; empty where that is not known.
    pub returns: String,
    /// What is said of it: Markdown.
    pub doc: String,
}

/// A module that an import leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// Its file. A module without one is put into a file of a cache by the host, so that editors can open it.
    pub path: PathBuf,
    /// Whether it belongs to the user: only such modules are edited.
    pub own: bool,
}

/// A place in a text as people count: line and column from 1, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Spot {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
    /// How many characters, on the same line.
    pub width: usize,
}

/// Something wrong with a script, or hardly ever meant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Fault {
    /// The file in which it is.
    pub path: PathBuf,
    /// Where; `None` for the whole file.
    pub spot: Option<Spot>,
    /// Whether it is allowed.
    pub is_warning: bool,
    /// Its code: `E0503`.
    pub code: String,
    /// What is wrong.
    pub message: String,
    /// What to type instead, in words.
    pub help: Option<String>,
    /// What to put in the place of which word.
    pub replacement: Option<Replacement>,
}

/// A metric's last value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    /// Its name.
    pub name: String,
    /// As it is shown.
    pub value: String,
    /// How many steps were done then.
    pub step: u64,
}

/// What a call returned in a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Returned {
    /// The call's line, from 1.
    pub line: usize,
    /// Its column, in characters, from 1.
    pub column: usize,
    /// The function.
    pub call: String,
    /// `[4, 3] f32 cpu`
    pub shown: String,
}

/// What a run that is running tells of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    /// The run's name.
    pub run: String,
    /// How many older runs of the script run as well.
    pub others: usize,
    /// The script as the run has it.
    pub text: Arc<str>,
    /// The last values of its metrics.
    pub metrics: Vec<Logged>,
    /// What calls returned, the last one last; nothing where that is not known yet.
    pub shapes: Vec<Returned>,
}

/// The texts as they count now.
pub trait Texts {
    /// The text of a file as the editor has it; `None` for one that is not open.
    fn text(&self, path: &Path) -> Option<Arc<str>>;

    /// The files that are open.
    fn open(&self) -> Vec<PathBuf>;

    /// A text read whole: the editor's, else the one on disk. It is kept, so that asking twice costs nothing.
    fn script(&self, path: &Path) -> Option<Arc<Script>>;
}

/// The program that the server belongs to.
pub trait Host {
    /// Everything that scripts can call or read. Asked for once.
    fn entries(&self) -> Vec<Entry>;

    /// What is said of a namespace: Markdown.
    fn about(&self, _namespace: &str) -> Option<String> {
        None
    }

    /// The module behind `import "written"` in the script `from`.
    fn module(&self, from: &Path, written: &str) -> Option<Module>;

    /// What a script can import, as an import writes it.
    fn importable(&self, from: &Path) -> Vec<String>;

    /// Whether a file belongs to the user: names declared in others are not changed.
    fn is_own(&self, path: &Path) -> bool;

    /// What is wrong with a script and what it imports. Runs no code of scripts while `is_saved` is false. Of files that are open, `texts` has the
    /// text that counts.
    fn faults(&self, script: &Path, texts: &dyn Texts, is_saved: bool) -> Vec<Fault>;

    /// Whether a text given to a function, under a key where it is in a map, is the name of a function of the script.
    fn names_function(&self, callee: &str, argument: usize, key: Option<&str>) -> bool {
        let name = callee.rsplit([':', '.']).next().unwrap_or(callee);
        match key {
            Some(key) => key.starts_with("on_"),
            None => matches!((name, argument), ("Fn" | "hot" | "is_def_fn", 0) | ("fit", 2)),
        }
    }

    /// What the newest running run of a script tells of it; `None` where none runs. `folders` are open in the editor.
    fn live(&self, _script: &Path, _folders: &[PathBuf], _settings: &Settings) -> Option<Live> {
        None
    }

    /// A number that is another one once [`Host::live`] tells something else of one of these scripts.
    fn live_state(&self, _scripts: &[PathBuf], _folders: &[PathBuf], _settings: &Settings) -> u64 {
        0
    }

    /// The scripts below a folder, for references and symbols.
    fn scripts(&self, folder: &Path) -> Vec<PathBuf>;
}
