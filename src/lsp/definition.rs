//! Where a name is declared, and where it is used.

use super::config::{is_config, settings};
use super::host::Texts;
use super::meaning::Meaning;
use super::project::Project;
use crate::script::text::names::{At, DeclKind, UseKind};
use crate::script::text::script::Script;
use crate::script::text::token::Kind;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A part of a file.
pub type Spot = (PathBuf, Arc<Script>, Range<usize>);

/// Where the name at a byte is declared: the module's file for a module.
pub fn definition(project: &Project, path: &Path, script: &Arc<Script>, offset: usize) -> Option<Spot> {
    if let Some(At::Use(u)) = script.names.at(offset)
        && u.kind == UseKind::Property(false)
        && u.token.checked_sub(2).is_some_and(|last| is_config(script, last))
    {
        let name = script.slice(u.at.clone());
        let setting = settings(project, path, script).into_iter().find(|s| s.name == name)?;
        return Some((setting.path.clone(), project.store.script(&setting.path)?, setting.at));
    }
    let (file, decl) = match project.meaning(path, script, offset)? {
        Meaning::File(file) => {
            let script = project.store.script(&file)?;
            return Some((file, script, 0..0));
        }
        Meaning::Decl(file, decl) => (file, decl),
        _ => return None,
    };
    let other = project.store.script(&file)?;
    let d = other.names.decls.get(decl)?;
    if d.kind == DeclKind::Module {
        let found = project.module(&file, &other, decl)?;
        return project.store.script(&found).map(|s| (found, s, 0..0));
    }
    let name = d.name.clone();
    Some((file, other, name))
}

/// Every place where a declaration is named, its own first; over files for what others can see.
pub fn references(project: &Project, file: &Path, decl: usize) -> Vec<Spot> {
    let Some(script) = project.store.script(file) else { return Vec::new() };
    let Some(d) = script.names.decls.get(decl) else { return Vec::new() };
    let name = script.slice(d.name.clone()).to_owned();
    // Functions of one name with other numbers of parameters are one here: a text names them all.
    let same: Vec<usize> = if d.kind == DeclKind::Function { script.names.functions(&name).to_vec() } else { vec![decl] };
    let own = |range: Range<usize>| (file.to_owned(), script.clone(), range);
    let mut out: Vec<Spot> = same.iter().filter_map(|i| script.names.decls.get(*i)).map(|d| own(d.name.clone())).collect();
    let uses = same.iter().flat_map(|i| script.names.uses_of(*i));
    out.extend(uses.map(|u| own(u.at.clone())));
    if d.kind == DeclKind::Function {
        out.extend(texts(project, &script, &name).into_iter().map(own));
    }
    if d.top && d.kind != DeclKind::Module {
        for other in project.all_scripts().into_iter().filter(|p| p != file) {
            let Some(found) = project.store.script(&other) else { continue };
            // Most files do not name it at all.
            if !found.source.contains(&name) {
                continue;
            }
            let is_ours = |u: &&crate::script::text::names::Use| {
                matches!(u.kind, UseKind::Member(_))
                    && found.slice(u.at.clone()) == name
                    && u.decl.and_then(|m| project.module(&other, &found, m)).is_some_and(|f| f == file)
            };
            out.extend(found.names.uses.iter().filter(is_ours).map(|u| (other.clone(), found.clone(), u.at.clone())));
        }
    }
    out.sort_by(|a, b| (a.0 != file, &a.0, a.2.start).cmp(&(b.0 != file, &b.0, b.2.start)));
    out.dedup_by(|a, b| a.0 == b.0 && a.2 == b.2);
    out
}

/// The texts that name a function, without their quotes.
fn texts(project: &Project, script: &Script, name: &str) -> Vec<Range<usize>> {
    let is = |i: &usize| script.kind(*i) == Some(Kind::Text) && script.text(*i).trim_matches('"') == name && project.is_function_name(script, *i);
    (0..script.code.len()).filter(is).map(|i| script.code[i].start + 1..script.code[i].end - 1).collect()
}
