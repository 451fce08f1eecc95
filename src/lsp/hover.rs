//! What is said of the name at the cursor.

use super::config::{is_config, settings};
use super::host::{Entry, OptionKey, Texts};
use super::meaning::Meaning;
use super::project::Project;
use crate::script::text::items::{Item, ItemKind, plain};
use crate::script::text::names::{At, DeclKind, UseKind};
use crate::script::text::script::Script;
use crate::script::text::token::Kind;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// More functions of one name are not shown.
const MOST: usize = 6;

/// Markdown about what stands at a byte, and where that stands.
pub fn hover(project: &Project, path: &Path, script: &Arc<Script>, offset: usize) -> Option<(String, Range<usize>)> {
    let at = match script.names.at(offset) {
        Some(At::Decl(_, d)) => d.name.clone(),
        Some(At::Use(u)) => u.at.clone(),
        None => script.token_at(offset).map(|i| script.code[i].range())?,
    };
    if let Some(text) = of_setting(project, path, script, offset) {
        return Some((text, at));
    }
    let text = match project.meaning(path, script, offset)? {
        Meaning::Entries(found) => found.iter().take(MOST).map(|i| of_entry(&project.entries()[*i])).collect::<Vec<_>>().join("\n\n---\n\n"),
        Meaning::Option(entry, key) => of_option(&project.entries()[entry], &project.entries()[entry].options[key]),
        Meaning::Namespace(name) => format!("{}\n\n{}", code(&format!("{name}::")), project.host.about(&name).unwrap_or_default()),
        Meaning::File(file) => of_module(&file, &*project.store.script(&file)?),
        Meaning::Decl(file, decl) => of_decl(project, &file, decl)?,
    };
    Some((text.trim_end().to_owned(), at))
}

fn code(text: &str) -> String {
    format!("```rhai\n{text}\n```")
}

fn of_entry(entry: &Entry) -> String {
    let mut parts = vec![code(&entry.signature), entry.doc.clone()];
    parts.retain(|p| !p.is_empty());
    parts.join("\n\n")
}

fn of_option(entry: &Entry, option: &OptionKey) -> String {
    let default = option.default.as_ref().map_or(String::new(), |d| format!(" = {d}"));
    let choices = if option.choices.is_empty() { String::new() } else { format!("\n\nOne of `{}`.", option.choices.join("`, `")) };
    format!("{}\n\n{}{choices}\n\nAn option of `{}`.", code(&format!("{}: {}{default}", option.name, option.kind)), option.doc, entry.signature)
}

fn of_setting(project: &Project, path: &Path, script: &Arc<Script>, offset: usize) -> Option<String> {
    let Some(At::Use(u)) = script.names.at(offset) else { return None };
    let last = u.token.checked_sub(2).filter(|_| matches!(u.kind, UseKind::Property(false)))?;
    if !is_config(script, last) {
        return None;
    }
    let name = script.slice(u.at.clone());
    let setting = settings(project, path, script).into_iter().find(|s| s.name == name)?;
    Some(format!("{}\n\n{}\n\nA setting: `--{}`.", code(&format!("{name} = {}", setting.default)), setting.help, name.replace('_', "-")))
}

/// A module: what is said of the whole, and its functions.
fn of_module(file: &Path, script: &Script) -> String {
    let about: Vec<String> = script.comments.iter().filter(|c| c.kind == Kind::TextComment).map(|c| plain(c.text(&script.source))).collect();
    let functions = script.items.iter().filter(|i| i.exported && matches!(i.kind, ItemKind::Function { .. }));
    let list: Vec<String> = functions.map(|i| format!("- `{}`", i.signature(script))).collect();
    format!("{}\n\n{}\n\n{}", code(&file.display().to_string()), about.join("\n"), list.join("\n"))
}

fn of_decl(project: &Project, file: &Path, decl: usize) -> Option<String> {
    let script = project.store.script(file)?;
    let d = script.names.decls.get(decl)?;
    let item: Option<&Item> = d.item.and_then(|i| script.items.get(i));
    let name = script.slice(d.name.clone());
    let line = || script.lines.text(&script.source, script.lines.line(d.name.start)).trim().to_owned();
    Some(match (d.kind, item) {
        (DeclKind::Module, _) => {
            let found = project.module(file, &script, decl)?;
            of_module(&found, &*project.store.script(&found)?)
        }
        (DeclKind::Function, Some(item)) => format!("{}\n\n{}", code(&format!("fn {}", item.signature(&script))), item.doc),
        (DeclKind::Parameter | DeclKind::ClosureParameter, _) => code(&format!("{name} // parameter")),
        (DeclKind::Loop | DeclKind::Caught, _) => code(&line()),
        (_, item) => format!("{}\n\n{}", code(&line()), item.map_or("", |i| &i.doc)),
    })
}
