//! The settings that `cfg` holds: what `params()` makes of `name: arg(..)`, in itself and in the functions that it calls. No code runs.

use super::host::Texts;
use super::project::Project;
use crate::script::text::items::ItemKind;
use crate::script::text::names::{At, DeclKind, UseKind};
use crate::script::text::script::Script;
use crate::script::text::site::arguments;
use crate::script::text::token::{Bracket, Kind};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its name.
    pub name: String,
    /// Its default, as it is written.
    pub default: String,
    /// What is said of it.
    pub help: String,
    /// The file that declares it.
    pub path: PathBuf,
    /// Where its name stands there.
    pub at: Range<usize>,
}

/// The settings of the programs that a script belongs to: its own, or those of the open scripts that import it.
pub fn settings(project: &Project, path: &Path, script: &Arc<Script>) -> Vec<Setting> {
    let mut reader = Reader { project, seen: Vec::new(), found: Vec::new() };
    if reader.has_params(path, script) {
        return reader.found;
    }
    for other in project.store.all_open() {
        if let Some(script) = project.store.script(&other).filter(|_| other != path && project.closure(&other).iter().any(|p| p == path)) {
            reader.has_params(&other, &script);
        }
    }
    reader.found
}

/// Whether a `.` behind token `last` asks for a setting: `cfg.`, `run.cfg.`
pub fn is_config(script: &Script, last: usize) -> bool {
    if script.kind(last) != Some(Kind::Word) {
        return false;
    }
    if script.text(last) == "cfg" {
        return true;
    }
    let Some(At::Use(u)) = script.code.get(last).and_then(|t| script.names.at(t.start)) else { return false };
    let decl = u.decl.and_then(|d| script.names.decls.get(d)).filter(|_| u.kind == UseKind::Variable);
    // The first parameter of `main`, whatever it is called.
    decl.filter(|d| d.kind == DeclKind::Parameter).is_some_and(|d| {
        let main = script.items.iter().find(|i| script.slice(i.name.clone()) == "main");
        main.is_some_and(|m| matches!(&m.kind, ItemKind::Function { params, .. } if params.first() == Some(&d.name)))
    })
}

struct Reader<'a> {
    project: &'a Project,
    seen: Vec<(PathBuf, usize, Vec<String>)>,
    found: Vec<Setting>,
}

impl Reader<'_> {
    fn has_params(&mut self, path: &Path, script: &Arc<Script>) -> bool {
        let Some(decl) = script.names.functions("params").first() else { return false };
        self.function(path, script, *decl, &[]);
        true
    }

    /// Reads the body of a function that was called with these texts; anything else that was given is empty.
    fn function(&mut self, path: &Path, script: &Arc<Script>, decl: usize, given: &[String]) {
        let key = (path.to_owned(), decl, given.to_vec());
        if self.seen.contains(&key) || self.seen.len() > 500 {
            return;
        }
        self.seen.push(key);
        let item = script.names.decls.get(decl).and_then(|d| d.item).and_then(|i| script.items.get(i));
        let Some(ItemKind::Function { params, body, .. }) = item.map(|i| &i.kind) else { return };
        for i in body.clone() {
            let is_arg = script.text(i) == "arg" && script.kind(i + 1) == Some(Kind::Open(Bracket::Paren));
            if is_arg {
                self.setting(path, script, i, params, given);
            } else if matches!(script.kind(i), Some(Kind::Word)) && script.kind(i + 1) == Some(Kind::Open(Bracket::Paren)) {
                self.call(path, script, i);
            }
        }
    }

    /// `name: arg(default, "help")`, or `group[name] = arg(..)` with a name that was given.
    fn setting(&mut self, path: &Path, script: &Arc<Script>, arg: usize, params: &[Range<usize>], given: &[String]) {
        let Some(before) = arg.checked_sub(1) else { return };
        let (name, at) = match script.kind(before) {
            Some(Kind::Colon) => {
                let Some(token) = before.checked_sub(1) else { return };
                (script.text(token).trim_matches('"').to_owned(), script.code[token].range())
            }
            Some(Kind::Assign) if script.text(before.wrapping_sub(1)) == "]" => {
                let token = before.wrapping_sub(2);
                let written = script.text(token);
                let param = params.iter().position(|p| script.slice(p.clone()) == written);
                let name = param.and_then(|p| given.get(p)).cloned().unwrap_or_else(|| written.trim_matches('"').to_owned());
                if param.is_some() && name == written {
                    return;
                }
                (name, script.code[token].range())
            }
            _ => return,
        };
        if name.is_empty() || self.found.iter().any(|s| s.name == name) {
            return;
        }
        let args = arguments(script, arg + 1);
        let text = |n: usize| {
            let range = args.get(n).filter(|r| r.start < r.end)?;
            Some(script.slice(script.code[range.start].start..script.code[range.end - 1].end).to_owned())
        };
        let help = text(1).unwrap_or_default().trim_matches(['"', '`']).to_owned();
        self.found.push(Setting { name, default: text(0).unwrap_or_default(), help, path: path.to_owned(), at });
    }

    fn call(&mut self, path: &Path, script: &Arc<Script>, name: usize) {
        let given: Vec<String> = arguments(script, name + 1)
            .iter()
            .map(|r| {
                if r.len() == 1 && script.kind(r.start) == Some(Kind::Text) {
                    script.text(r.start).trim_matches('"').to_owned()
                } else {
                    String::new()
                }
            })
            .collect();
        let Some(At::Use(u)) = script.names.at(script.code[name].start) else { return };
        match (u.kind, u.decl) {
            (UseKind::Call, Some(decl)) => self.function(path, script, decl, &given),
            (UseKind::Member(true), Some(module)) => {
                let found = self.project.module(path, script, module);
                if let Some((file, (other, decl))) = found.and_then(|f| self.project.member(&f, script.text(name)).map(|m| (f, m))) {
                    self.function(&file, &other, decl, &given);
                }
            }
            _ => {}
        }
    }
}
