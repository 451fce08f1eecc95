//! The reference as the language server wants it.

use crate::lsp::host::{Entry, EntryKind, OptionKey, Owner, Parameter};
use crate::script::docs::{Item, Kind, Page, PageKind, Reference};

/// Every function, method, property and constant that scripts can use without an import.
pub(super) fn entries(reference: &Reference) -> Vec<Entry> {
    let pages = reference.pages().iter().filter(|p| !matches!(p.kind, PageKind::Module | PageKind::Library));
    pages.flat_map(|p| p.items.iter().filter_map(|i| entry(p, i))).collect()
}

fn entry(page: &Page, item: &Item) -> Option<Entry> {
    let owner = match page.kind {
        PageKind::Global => Owner::Global,
        PageKind::Namespace => Owner::Namespace(page.name.clone()),
        _ => Owner::Type(page.name.clone()),
    };
    let kind = match item.kind {
        Kind::Function | Kind::Method => EntryKind::Function,
        Kind::Property => EntryKind::Property,
        Kind::Constant => EntryKind::Constant,
        Kind::Operator => return None,
    };
    let parameter = |p: &crate::script::docs::Parameter| Parameter { name: p.name.clone(), kind: p.kind.clone(), optional: p.optional };
    let option = |o: &crate::script::lang::given::OptionSpec| OptionKey {
        name: o.name.to_owned(),
        kind: o.kind.to_owned(),
        default: o.default.clone(),
        choices: o.limits.choices().iter().map(|c| (*c).to_owned()).collect(),
        doc: o.doc.clone(),
    };
    Some(Entry {
        name: item.name.clone(),
        owner,
        kind,
        signature: item.signature.clone(),
        params: item.params.iter().map(parameter).collect(),
        options: item.options.iter().map(option).collect(),
        returns: type_of(&item.returns),
        doc: item.markdown(),
    })
}

/// `a tensor` is the type `tensor`; of several kinds none is known.
fn type_of(said: &str) -> String {
    let word = said.strip_prefix("a ").or_else(|| said.strip_prefix("an ")).unwrap_or(said);
    let is_one = !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    if is_one && word != "value" { word.to_owned() } else { String::new() }
}
