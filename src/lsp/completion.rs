//! What could stand at the cursor.

use super::config::{is_config, settings};
use super::host::{Entry, EntryKind, Owner, Texts};
use super::project::Project;
use super::types::Types;
use super::wire::markdown;
use crate::script::text::items::ItemKind;
use crate::script::text::lexer::KEYWORDS;
use crate::script::text::names::DeclKind;
use crate::script::text::script::Script;
use crate::script::text::site::{Site, site};
use crate::script::text::token::{Fault, Kind};
use gen_lsp_types::{CompletionItem, CompletionItemKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A completion without anything but a name.
fn item(label: impl Into<String>, kind: CompletionItemKind) -> CompletionItem {
    CompletionItem { label: label.into(), kind: Some(kind), ..CompletionItem::default() }
}

/// The possibilities at a byte of a text.
pub fn completions(project: &Project, path: &Path, script: &Arc<Script>, offset: usize) -> Vec<CompletionItem> {
    if script.comment_at(offset).is_some() {
        return Vec::new();
    }
    let at = script.code.partition_point(|t| t.start < offset);
    let Some(last) = at.checked_sub(1) else { return names(project, script, offset) };
    let token = script.code[last];
    let is_inside = token.end > offset;
    match token.kind {
        Kind::Text if is_inside => return in_text(project, path, script, last, offset),
        Kind::Fault(Fault::OpenText) if token.end >= offset => return in_text(project, path, script, last, offset),
        Kind::RawText | Kind::Char | Kind::Template | Kind::TemplateHead | Kind::TemplateMiddle | Kind::TemplateTail if is_inside => {
            return Vec::new();
        }
        Kind::Fault(Fault::OpenTemplate | Fault::OpenRaw) => return Vec::new(),
        Kind::Number if token.end >= offset => return Vec::new(),
        _ => {}
    }
    let is_word = matches!(token.kind, Kind::Word | Kind::Keyword | Kind::Bool | Kind::Underscore) && token.end >= offset;
    // What stands before the word that is being typed.
    let before = if is_word { last.checked_sub(1) } else { Some(last) };
    let Some(before) = before else { return names(project, script, offset) };
    match (script.kind(before), script.text(before)) {
        (Some(Kind::Dot), _) => members(project, path, script, before),
        (Some(Kind::Path), _) => in_module(project, path, script, before),
        (Some(Kind::Keyword), "fn" | "let" | "const" | "for" | "as") => Vec::new(),
        _ => {
            let found = site(script, offset).map(|s| options(project, path, script, &s, false)).unwrap_or_default();
            if found.is_empty() { names(project, script, offset) } else { found }
        }
    }
}

/// What a completion list leaves out: the comment of the host's function.
pub fn resolved(project: &Project, mut item: CompletionItem) -> CompletionItem {
    let entry = item.data.as_ref().and_then(|d| d.get("entry")).and_then(serde_json::Value::as_u64);
    if let Some(entry) = entry.and_then(|i| usize::try_from(i).ok()).and_then(|i| project.entries().get(i)) {
        item.documentation = Some(markdown(entry.doc.clone()).into());
    }
    item
}

fn of_entry(project: &Project, i: usize) -> CompletionItem {
    let entry: &Entry = &project.entries()[i];
    let kind = match (entry.kind, &entry.owner) {
        (EntryKind::Function, Owner::Type(_)) => CompletionItemKind::Method,
        (EntryKind::Function, _) => CompletionItemKind::Function,
        (EntryKind::Property, _) => CompletionItemKind::Property,
        (EntryKind::Constant, _) => CompletionItemKind::Constant,
    };
    CompletionItem { detail: Some(entry.signature.clone()), data: Some(serde_json::json!({ "entry": i })), ..item(&entry.name, kind) }
}

fn of_entries(project: &Project, is: impl Fn(&Entry) -> bool) -> Vec<CompletionItem> {
    let mut out: Vec<CompletionItem> = Vec::new();
    for (i, entry) in project.entries().iter().enumerate().filter(|(_, e)| is(e)) {
        // Methods of several types and functions of several signatures stand there once.
        if !out.iter().any(|o| o.label == entry.name) {
            out.push(of_entry(project, i));
        }
    }
    out
}

fn names(project: &Project, script: &Arc<Script>, offset: usize) -> Vec<CompletionItem> {
    let mut out = Vec::new();
    let in_function = script.items.iter().any(|i| matches!(i.kind, ItemKind::Function { .. }) && i.range.start < offset && offset <= i.range.end);
    for (_, decl) in script.names.visible(&script.source, offset) {
        let name = script.slice(decl.name.clone());
        let item_of = decl.item.and_then(|i| script.items.get(i));
        let found = match decl.kind {
            DeclKind::Function => {
                let made = item(name, CompletionItemKind::Function);
                let doc = item_of.map(|i| markdown(i.doc.clone()).into());
                CompletionItem { detail: item_of.map(|i| i.signature(script)), documentation: doc, ..made }
            }
            DeclKind::Module => item(name, CompletionItemKind::Module),
            // A function does not see the variables of the top level, and constants behind `global::`.
            _ if in_function && decl.top => continue,
            DeclKind::Constant => item(name, CompletionItemKind::Constant),
            _ => item(name, CompletionItemKind::Variable),
        };
        if !out.contains(&found) {
            out.push(found);
        }
    }
    out.extend(of_entries(project, |e| e.owner == Owner::Global));
    let mut spaces: Vec<&str> =
        project.entries().iter().filter_map(|e| if let Owner::Namespace(n) = &e.owner { Some(n.as_str()) } else { None }).collect();
    spaces.sort_unstable();
    spaces.dedup();
    out.extend(spaces.into_iter().map(|n| item(n, CompletionItemKind::Module)));
    if in_function && script.items.iter().any(|i| i.kind == ItemKind::Constant) {
        out.push(item("global", CompletionItemKind::Module));
    }
    out.extend(KEYWORDS.iter().chain(&["true", "false"]).map(|k| item(*k, CompletionItemKind::Keyword)));
    out
}

fn in_module(project: &Project, path: &Path, script: &Arc<Script>, colons: usize) -> Vec<CompletionItem> {
    let Some(name) = colons.checked_sub(1).map(|m| script.text(m)) else { return Vec::new() };
    if name == "global" {
        let constants = script.items.iter().filter(|i| i.kind == ItemKind::Constant);
        return constants.map(|i| item(i.name(script), CompletionItemKind::Constant)).collect();
    }
    let module = script.names.decls.iter().position(|d| d.kind == DeclKind::Module && script.slice(d.name.clone()) == name);
    let Some(module) = module else { return of_entries(project, |e| matches!(&e.owner, Owner::Namespace(n) if n == name)) };
    let Some((_, other)) = project.module(path, script, module).and_then(|f| project.store.script(&f).map(|s| (f, s))) else { return Vec::new() };
    let exported = other.items.iter().filter(|i| i.exported && !i.name.is_empty());
    let kind = |k: &ItemKind| if matches!(k, ItemKind::Function { .. }) { CompletionItemKind::Function } else { CompletionItemKind::Constant };
    exported
        .map(|i| {
            let made = item(i.name(&other), kind(&i.kind));
            CompletionItem { detail: Some(i.signature(&other)), documentation: Some(markdown(i.doc.clone()).into()), ..made }
        })
        .collect()
}

fn members(project: &Project, path: &Path, script: &Arc<Script>, dot: usize) -> Vec<CompletionItem> {
    if dot.checked_sub(1).is_some_and(|last| is_config(script, last)) {
        let found = settings(project, path, script);
        if !found.is_empty() {
            let made = |s: super::config::Setting| CompletionItem {
                detail: Some(format!("{} = {}", s.name, s.default)),
                documentation: Some(markdown(s.help).into()),
                ..item(s.name, CompletionItemKind::Field)
            };
            return found.into_iter().map(made).collect();
        }
    }
    let Some(known) = Types::new(project, path, script).before_dot(dot) else {
        return of_entries(project, |e| matches!(e.owner, Owner::Type(_)));
    };
    let mut out: Vec<CompletionItem> = known.keys.iter().map(|k| item(k, CompletionItemKind::Field)).collect();
    out.extend(of_entries(project, |e| matches!(&e.owner, Owner::Type(t) if *t == known.name)));
    out
}

/// The keys of the map of options in a call, or the texts that a key takes.
fn options(project: &Project, path: &Path, script: &Arc<Script>, site: &Site, in_quotes: bool) -> Vec<CompletionItem> {
    let Some(map) = &site.map else { return Vec::new() };
    let mut out: Vec<CompletionItem> = Vec::new();
    for entry in project.callees(path, script, site.name) {
        for option in &project.entries()[entry].options {
            match &map.value_of {
                Some(key) if *key == option.name => {
                    let shown = |c: &String| if in_quotes { c.clone() } else { format!("\"{c}\"") };
                    out.extend(option.choices.iter().map(|c| item(shown(c), CompletionItemKind::EnumMember)));
                }
                None if !map.keys.contains(&option.name) && !out.iter().any(|o| o.label == option.name) => {
                    let default = option.default.as_ref().map_or(String::new(), |d| format!(" = {d}"));
                    out.push(CompletionItem {
                        detail: Some(format!("{}: {}{default}", option.name, option.kind)),
                        documentation: Some(markdown(option.doc.clone()).into()),
                        insert_text: Some(format!("{}: ", option.name)),
                        ..item(&option.name, CompletionItemKind::Field)
                    });
                }
                _ => {}
            }
        }
    }
    out
}

/// In a string: modules, functions by name, choices, files.
fn in_text(project: &Project, path: &Path, script: &Arc<Script>, token: usize, offset: usize) -> Vec<CompletionItem> {
    let start = script.code[token].start;
    if token.checked_sub(1).is_some_and(|b| script.text(b) == "import") {
        return project.host.importable(path).into_iter().map(|m| item(m, CompletionItemKind::Module)).collect();
    }
    if project.is_function_name(script, token) {
        let functions = script.items.iter().filter(|i| matches!(i.kind, ItemKind::Function { .. }));
        return functions
            .map(|i| CompletionItem { detail: Some(i.signature(script)), ..item(i.name(script), CompletionItemKind::Function) })
            .collect();
    }
    if let Some(found) = site(script, start).map(|s| options(project, path, script, &s, true)).filter(|f| !f.is_empty()) {
        return found;
    }
    files(script.slice((start + 1).min(offset)..offset))
}

/// The files that a path goes on to; relative ones begin where the program was started.
fn files(typed: &str) -> Vec<CompletionItem> {
    let folder = match typed.rfind('/') {
        Some(0) => PathBuf::from("/"),
        Some(i) => PathBuf::from(&typed[..i]),
        None => PathBuf::from("."),
    };
    let hidden = typed.rsplit('/').next().is_some_and(|n| n.starts_with('.'));
    #[allow(clippy::disallowed_methods)] // What cannot be listed has nothing to offer.
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut out: Vec<CompletionItem> = entries
        .filter_map(|e| {
            let name = e.file_name().into_string().ok().filter(|n| hidden || !n.starts_with('.'))?;
            let is_folder = e.path().is_dir();
            let kind = if is_folder { CompletionItemKind::Folder } else { CompletionItemKind::File };
            Some(item(if is_folder { format!("{name}/") } else { name }, kind))
        })
        .collect();
    out.sort_by(|a, b| a.label.cmp(&b.label));
    out.truncate(1000);
    out
}
