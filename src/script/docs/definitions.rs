//! `.d.rhai` files: our signatures in the form that editor tools for Rhai read (rhai's own `Definitions` writes the same form, but knows
//! neither our argument names nor our types).

use super::item::{Item, Kind, Page, PageKind, option_table};
use super::reference::Reference;
use std::fmt::Write;

/// One file for each namespace, one for global functions and methods, one for each module: name and text.
pub fn definitions(reference: &Reference) -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut global = String::from("module static;\n");
    for page in reference.pages() {
        match page.kind {
            PageKind::Global | PageKind::Type | PageKind::Model => page.items.iter().for_each(|i| declare(&mut global, page, i)),
            PageKind::Namespace => {
                let mut text = format!("module {};\n", page.name);
                page.items.iter().for_each(|i| declare(&mut text, page, i));
                files.push((format!("{}.d.rhai", page.name), text));
            }
            PageKind::Module | PageKind::Library => {
                let mut text = format!("module \"{}\";\n", page.name);
                page.items.iter().for_each(|i| declare(&mut text, page, i));
                files.push((format!("{}.d.rhai", page.name), text));
            }
        }
    }
    files.push(("lathe.d.rhai".into(), global));
    files
}

fn declare(out: &mut String, page: &Page, item: &Item) {
    out.push('\n');
    let mut parts = vec![item.doc.markdown(), option_table(&item.options)];
    parts.retain(|p| !p.is_empty());
    for line in parts.join("\n\n").lines() {
        let _ = writeln!(out, "{}", format!("/// {line}").trim_end());
    }
    let this = if page.kind == PageKind::Model { "module" } else { page.name.as_str() };
    let receiver = |name: &str| format!("{name}: {}", type_name(this));
    let is_method = matches!(page.kind, PageKind::Type | PageKind::Model);
    let returns = type_of(&item.returns);
    // A parameter that may be left out makes a second declaration: the form has no optional ones.
    let required = item.params.iter().filter(|p| !p.optional).count();
    for n in required..=item.params.len() {
        let own = &item.params[..n];
        let mut named: Vec<String> = own.iter().map(|p| format!("{}: {}", p.name, type_of(&p.kind))).collect();
        let types: Vec<String> = std::iter::once(type_name(this)).chain(own.iter().map(|p| type_of(&p.kind))).collect();
        let line = match item.kind {
            Kind::Constant => format!("const {}: ?;", item.name),
            Kind::Property if own.is_empty() => format!("fn get {}({}) -> {returns};", item.name, receiver("this_value")),
            Kind::Property => format!("fn set {}({}, {});", item.name, receiver("this_value"), named.join(", ")),
            Kind::Operator if item.name == "[]" => format!("fn index$get$({}, {}) -> {returns};", receiver("this_value"), named.join(", ")),
            Kind::Operator if item.name == "[]=" => format!("fn index$set$({}, {});", receiver("this_value"), named.join(", ")),
            Kind::Operator => format!("op {}({}) -> {returns};", item.name, types.join(", ")),
            Kind::Function | Kind::Method => {
                if is_method {
                    named.insert(0, receiver("this_value"));
                }
                format!("fn {}({}) -> {returns};", item.name, named.join(", "))
            }
        };
        let _ = writeln!(out, "{line}");
    }
}

/// `Tensor` for the page `tensor`.
fn type_name(page: &str) -> String {
    match page {
        "int" | "float" => page.into(),
        _ => page.chars().next().map_or(String::new(), |c| c.to_uppercase().collect::<String>() + &page[c.len_utf8()..]),
    }
}

/// The type behind the words of a signature; `?` is any.
fn type_of(words: &str) -> String {
    match words {
        "()" | "an empty value" => "()".into(),
        "an int" => "int".into(),
        "a number" | "a float" => "float".into(),
        "a bool" => "bool".into(),
        "a string" => "String".into(),
        "a map" | "a map of options" => "Map".into(),
        "a function" => "FnPtr".into(),
        "a tensor" => "Tensor".into(),
        "a module" => "Module".into(),
        _ if words.starts_with("an array") => "Array".into(),
        _ => "?".into(),
    }
}
