//! The names of parameters in front of arguments that do not tell them: numbers, `true`, `()`, texts.

use super::host::Owner;
use super::host::Texts;
use super::meaning::Meaning;
use super::project::Project;
use super::wire::{Wire, position};
use crate::script::text::items::ItemKind;
use crate::script::text::names::UseKind;
use crate::script::text::script::Script;
use crate::script::text::site::arguments;
use crate::script::text::token::{Bracket, Kind};
use gen_lsp_types::{InlayHint, InlayHintKind};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// The hints in a part of a text.
pub fn hints(project: &Project, path: &Path, script: &Arc<Script>, part: Range<usize>, wire: &Wire) -> Vec<InlayHint> {
    let mut out = Vec::new();
    for u in script.names.uses.iter().filter(|u| part.start <= u.at.start && u.at.start <= part.end) {
        let is_call = matches!(u.kind, UseKind::Call | UseKind::Member(true) | UseKind::Property(true));
        let open = u.token + 1;
        if !is_call || script.kind(open) != Some(Kind::Open(Bracket::Paren)) {
            continue;
        }
        let given = arguments(script, open);
        let is_bare = |r: &Range<usize>| {
            let text = script.text(r.start);
            match r.len() {
                1 => matches!(script.kind(r.start), Some(Kind::Number | Kind::Bool)) && text.len() < 24,
                2 => script.kind(r.start) == Some(Kind::Open(Bracket::Paren)),
                _ => false,
            }
        };
        // One argument is told by the function's name.
        if given.len() < 2 || !given.iter().any(is_bare) {
            continue;
        }
        let names = parameters(project, path, script, u.at.start, given.len());
        for (range, name) in given.iter().zip(names).filter(|(r, _)| is_bare(r)) {
            out.push(InlayHint {
                position: position(script.place(script.code[range.start].start, wire.columns)),
                label: format!("{name}:").into(),
                kind: Some(InlayHintKind::Parameter),
                text_edits: None,
                tooltip: None,
                padding_left: None,
                padding_right: Some(true),
                data: None,
            });
        }
    }
    out
}

/// The names of the parameters of what is called, if there is one answer.
fn parameters(project: &Project, path: &Path, script: &Arc<Script>, offset: usize, given: usize) -> Vec<String> {
    match project.meaning(path, script, offset) {
        Some(Meaning::Entries(found)) => {
            let fits = |e: &&super::host::Entry| e.params.len() >= given;
            let mut all = found.iter().map(|i| &project.entries()[*i]).filter(fits);
            let Some(first) = all.next() else { return Vec::new() };
            let is_same = |e: &super::host::Entry| e.params.iter().map(|p| &p.name).eq(first.params.iter().map(|p| &p.name));
            let is_method = matches!(first.owner, Owner::Type(_));
            if all.all(is_same) || !is_method { first.params.iter().map(|p| p.name.clone()).collect() } else { Vec::new() }
        }
        Some(Meaning::Decl(file, decl)) => {
            let Some(other) = project.store.script(&file) else { return Vec::new() };
            let item = other.names.decls.get(decl).and_then(|d| d.item).and_then(|i| other.items.get(i));
            match item.map(|i| &i.kind) {
                Some(ItemKind::Function { params, .. }) => params.iter().map(|p| other.slice(p.clone()).to_owned()).collect(),
                _ => Vec::new(),
            }
        }
        _ => Vec::new(),
    }
}
