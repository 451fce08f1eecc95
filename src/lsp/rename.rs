//! Gives a declaration another name, in every file that names it.

use super::definition::{Spot, references};
use super::host::Texts;
use super::meaning::Meaning;
use super::project::Project;
use crate::script::text::lexer::{KEYWORDS, lex};
use crate::script::text::names::{At, DeclKind};
use crate::script::text::script::Script;
use crate::script::text::token::Kind;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Names that the language keeps for itself, besides keywords.
const TAKEN: &[&str] = &[
    "this",
    "global",
    "Fn",
    "call",
    "curry",
    "print",
    "debug",
    "type_of",
    "eval",
    "is_def_fn",
    "is_def_var",
    "is_shared",
    "true",
    "false",
    "static",
    "shared",
    "goto",
    "match",
    "case",
    "new",
    "with",
    "use",
    "module",
    "package",
    "public",
    "protected",
    "super",
    "spawn",
    "thread",
    "go",
    "sync",
    "async",
    "await",
    "yield",
    "default",
    "void",
    "null",
    "nil",
    "exit",
    "each",
    "then",
    "unless",
    "continue",
];

/// What would get another name: the place at the cursor, and the declaration.
fn target(project: &Project, path: &Path, script: &Arc<Script>, offset: usize) -> Result<(Range<usize>, PathBuf, usize), String> {
    let at = match script.names.at(offset) {
        Some(At::Decl(_, d)) => d.name.clone(),
        Some(At::Use(u)) => u.at.clone(),
        None => match script.token_at(offset).filter(|i| script.kind(*i) == Some(Kind::Text)) {
            Some(i) => script.code[i].start + 1..script.code[i].end - 1,
            None => return Err("there is no name here".into()),
        },
    };
    let name = script.slice(at.clone());
    match project.meaning(path, script, offset) {
        Some(Meaning::Decl(file, decl)) if project.host.is_own(&file) => Ok((at, file, decl)),
        Some(Meaning::Decl(file, _)) => Err(format!("`{name}` is declared in `{}`, which is not part of this project", file.display())),
        Some(Meaning::Entries(_) | Meaning::Namespace(_)) => Err(format!("`{name}` belongs to the program, not to a script")),
        Some(Meaning::Option(..)) => Err(format!("`{name}` is an option of a function of the program")),
        Some(Meaning::File(_)) => Err("a module has the name of its file: rename that".into()),
        None => Err(format!("what `{name}` stands for is not known")),
    }
}

/// Whether the name at a byte can be changed: its place, and the name.
///
/// # Errors
/// Why it cannot.
pub fn prepare(project: &Project, path: &Path, script: &Arc<Script>, offset: usize) -> Result<(Range<usize>, String), String> {
    let (at, _, _) = target(project, path, script, offset)?;
    let name = script.slice(at.clone()).to_owned();
    Ok((at, name))
}

/// Every place that gets the new name.
///
/// # Errors
/// A name that cannot be one or means something already, and a declaration that is not the project's.
pub fn rename(project: &Project, path: &Path, script: &Arc<Script>, offset: usize, new: &str) -> Result<Vec<Spot>, String> {
    let (at, file, decl) = target(project, path, script, offset)?;
    let old = script.slice(at).to_owned();
    let tokens = lex(new);
    let is_name = tokens.len() == 1 && tokens[0].kind == Kind::Word && tokens[0].range() == (0..new.len());
    if !is_name || TAKEN.contains(&new) || KEYWORDS.contains(&new) {
        return Err(format!("`{new}` cannot be a name"));
    }
    let spots = references(project, &file, decl);
    if let Some((other, ..)) = spots.iter().find(|(p, ..)| !project.host.is_own(p)) {
        return Err(format!("`{old}` is used in `{}`, which is not part of this project", other.display()));
    }
    let Some(own) = project.store.script(&file) else { return Err(format!("`{}` cannot be read", file.display())) };
    clash(&own, decl, new, &file, &spots)?;
    Ok(spots)
}

/// A name that would come to mean something else, told by reading the changed text.
fn clash(script: &Script, decl: usize, new: &str, file: &Path, spots: &[Spot]) -> Result<(), String> {
    let taken = || format!("`{new}` means something else already where it would stand");
    let Some(d) = script.names.decls.get(decl) else { return Ok(()) };
    let is_function = d.kind == DeclKind::Function;
    if is_function && !script.names.functions(new).is_empty() {
        return Err(taken());
    }
    let mut text = script.source.to_string();
    let mut places: Vec<&Range<usize>> = spots.iter().filter(|(p, ..)| p == file).map(|(_, _, r)| r).collect();
    places.sort_by_key(|r| std::cmp::Reverse(r.start));
    for range in places {
        text.replace_range(range.clone(), new);
    }
    let changed = Script::new(text);
    let shape = |s: &Script| -> Vec<(usize, Option<usize>)> { s.names.uses.iter().map(|u| (u.token, u.decl)).collect() };
    if shape(script) == shape(&changed) { Ok(()) } else { Err(taken()) }
}
