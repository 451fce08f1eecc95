//! What a name means over all files: a function of the host, a module, a declaration in one.

use super::host::{EntryKind, Owner};
use super::project::Project;
use super::types::Types;
use crate::script::text::names::{At, Use, UseKind};
use crate::script::text::script::Script;
use crate::script::text::site::{map_at, site};
use crate::script::text::token::Kind;
use std::path::{Path, PathBuf};

/// What a name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning {
    /// A declaration of a file, by its number.
    Decl(PathBuf, usize),
    /// Functions of the host, by number.
    Entries(Vec<usize>),
    /// A namespace of the host.
    Namespace(String),
    /// A whole file, behind the name of a module or in an import.
    File(PathBuf),
    /// A key of a host's map of options: the function's number, and the key's.
    Option(usize, usize),
}

impl Project {
    /// What stands at a byte of a text.
    pub fn meaning(&self, path: &Path, script: &Script, offset: usize) -> Option<Meaning> {
        if script.comment_at(offset).is_some() {
            return None;
        }
        match script.names.at(offset) {
            Some(At::Decl(i, _)) => Some(Meaning::Decl(path.to_owned(), i)),
            Some(At::Use(u)) => self.meaning_of_use(path, script, u),
            None => self.meaning_of_text(path, script, offset),
        }
    }

    fn meaning_of_use(&self, path: &Path, script: &Script, u: &Use) -> Option<Meaning> {
        let name = script.slice(u.at.clone());
        let entries = |found: Vec<usize>| (!found.is_empty()).then_some(Meaning::Entries(found));
        match u.kind {
            UseKind::Variable | UseKind::Call => match u.decl {
                Some(d) => Some(Meaning::Decl(path.to_owned(), d)),
                None => entries(self.owned(&Owner::Global, name)),
            },
            UseKind::Module => match u.decl {
                Some(d) => Some(Meaning::Decl(path.to_owned(), d)),
                None => self.is_namespace(name).then(|| Meaning::Namespace(name.to_owned())),
            },
            UseKind::Member(_) => match u.decl {
                Some(d) => {
                    let file = self.module(path, script, d)?;
                    let (_, found) = self.member(&file, name)?;
                    Some(Meaning::Decl(file, found))
                }
                None => {
                    let space = u.token.checked_sub(2).map(|m| script.text(m).to_owned())?;
                    entries(self.owned(&Owner::Namespace(space), name))
                }
            },
            UseKind::Property(_) => entries(self.methods(path, script, u.token, name)),
            UseKind::Key => {
                let site = site(script, u.at.start)?;
                site.map.as_ref()?;
                self.callees(path, script, site.name).into_iter().find_map(|e| {
                    let key = self.entries()[e].options.iter().position(|o| o.name == name)?;
                    Some(Meaning::Option(e, key))
                })
            }
        }
    }

    /// Methods and properties of that name: of the type before the dot where it is known, else of every type.
    fn methods(&self, path: &Path, script: &Script, token: usize, name: &str) -> Vec<usize> {
        let known = token.checked_sub(1).and_then(|dot| Types::new(self, path, script).before_dot(dot));
        if let Some(t) = known.as_ref().filter(|t| !t.name.is_empty()) {
            return self.owned(&Owner::Type(t.name.clone()), name);
        }
        self.named(name).iter().copied().filter(|i| matches!(self.entries()[*i].owner, Owner::Type(_))).collect()
    }

    /// The host's functions that the word at `token` may call.
    pub fn callees(&self, path: &Path, script: &Script, token: usize) -> Vec<usize> {
        let Some(t) = script.code.get(token) else { return Vec::new() };
        let Some(At::Use(u)) = script.names.at(t.start) else { return Vec::new() };
        match self.meaning_of_use(path, script, u) {
            Some(Meaning::Entries(found)) => found.into_iter().filter(|i| self.entries()[*i].kind == EntryKind::Function).collect(),
            _ => Vec::new(),
        }
    }

    /// A text that names a module or a function.
    fn meaning_of_text(&self, path: &Path, script: &Script, offset: usize) -> Option<Meaning> {
        let i = script.token_at(offset).filter(|i| script.kind(*i) == Some(Kind::Text))?;
        let inside = script.text(i).trim_matches('"');
        if i.checked_sub(1).is_some_and(|b| script.text(b) == "import") {
            return self.import(path, inside).map(Meaning::File);
        }
        let decl = *script.names.functions(inside).first()?;
        self.is_function_name(script, i).then(|| Meaning::Decl(path.to_owned(), decl))
    }

    /// Whether the text at token `i` names a function of the script.
    pub fn is_function_name(&self, script: &Script, i: usize) -> bool {
        let Some(token) = script.code.get(i) else { return false };
        match site(script, token.start) {
            Some(s) => {
                let key = s.map.as_ref().map(|m| m.value_of.clone().unwrap_or_default());
                self.host.names_function(&s.callee, s.argument, key.as_deref())
            }
            // A map of options may stand in a variable first.
            None => map_at(script, token.start).and_then(|m| m.value_of).is_some_and(|key| self.host.names_function("", 0, Some(&key))),
        }
    }
}
