//! `lathe doc --json`: the documentation as programs read it.

use crate::script::docs::{Item, Kind, Page, PageKind};
use crate::script::lang::given::OptionSpec;
use serde_json::{Value, json};

/// Pages without what stands on them, and things with all that is said of them.
pub(super) fn document<'a>(pages: impl IntoIterator<Item = &'a Page>, items: impl IntoIterator<Item = &'a Item>) -> Value {
    let pages: Vec<Value> = pages.into_iter().map(page).collect();
    let items: Vec<Value> = items.into_iter().map(item).collect();
    json!({ "pages": pages, "items": items })
}

fn page(page: &Page) -> Value {
    let kind = match page.kind {
        PageKind::Global => "global",
        PageKind::Namespace => "namespace",
        PageKind::Type => "type",
        PageKind::Model => "model",
        PageKind::Module => "module",
        PageKind::Library => "library",
    };
    json!({ "name": page.name, "kind": kind, "about": page.about, "items": page.items.iter().map(|i| &i.id).collect::<Vec<_>>() })
}

fn item(item: &Item) -> Value {
    let kind = match item.kind {
        Kind::Constant => "constant",
        Kind::Property => "property",
        Kind::Function => "function",
        Kind::Method => "method",
        Kind::Operator => "operator",
    };
    let params: Vec<Value> = item.params.iter().map(|p| json!({ "name": p.name, "kind": known(&p.kind), "optional": p.optional })).collect();
    json!({
        "id": item.id, "name": item.name, "kind": kind, "signature": item.signature, "params": params,
        "options": item.options.iter().map(option).collect::<Vec<_>>(), "returns": known(&item.returns),
        "summary": item.doc.summary, "doc": item.doc.markdown(), "examples": item.doc.examples(),
    })
}

fn option(option: &OptionSpec) -> Value {
    json!({
        "name": option.name, "kind": option.kind, "default": option.default, "required": option.required,
        "choices": option.limits.choices(), "doc": option.doc,
    })
}

/// Null for what is not known.
fn known(kind: &str) -> Option<&str> {
    Some(kind).filter(|k| !k.is_empty())
}
