//! What a text declares at its top level, and what all texts do.

use super::host::Texts;
use super::project::Project;
use super::wire::Wire;
use crate::script::text::items::{Item, ItemKind};
use crate::script::text::script::Script;
use gen_lsp_types::{BaseSymbolInformation, DocumentSymbol, SymbolKind, WorkspaceSymbol, WorkspaceSymbolLocation};

/// More are not listed.
const MOST: usize = 1000;

fn kind(item: &Item) -> SymbolKind {
    match item.kind {
        ItemKind::Import { .. } => SymbolKind::Module,
        ItemKind::Function { .. } => SymbolKind::Function,
        ItemKind::Constant => SymbolKind::Constant,
        ItemKind::Variable => SymbolKind::Variable,
    }
}

/// The outline of a text.
pub fn of_text(script: &Script, wire: &Wire) -> Vec<DocumentSymbol> {
    let named = script.items.iter().filter(|i| !i.name.is_empty());
    named
        .map(|i| {
            let detail = match &i.kind {
                ItemKind::Import { path, .. } => Some(path.clone()),
                ItemKind::Function { .. } => i.signature(script).split_once('(').map(|(_, params)| format!("({params}")),
                _ => None,
            };
            let (range, selection_range) = (wire.range(script, i.range.clone()), wire.range(script, i.name.clone()));
            #[allow(deprecated)] // The field is part of the type.
            DocumentSymbol {
                name: i.name(script).to_owned(),
                detail,
                kind: kind(i),
                tags: None,
                deprecated: None,
                range,
                selection_range,
                children: None,
            }
        })
        .collect()
}

/// Functions and constants of all scripts whose name holds the letters of `query` in their order.
pub fn of_all(project: &Project, query: &str, wire: &Wire) -> Vec<WorkspaceSymbol> {
    let mut out = Vec::new();
    for path in project.all_scripts() {
        let Some(script) = project.store.script(&path) else { continue };
        for item in script.items.iter().filter(|i| !i.name.is_empty() && !matches!(i.kind, ItemKind::Import { .. })) {
            let name = item.name(&script);
            if fits(name, query) {
                let container_name = path.file_stem().map(|s| s.to_string_lossy().into_owned());
                let base = BaseSymbolInformation { name: name.to_owned(), kind: kind(item), tags: None, container_name };
                let location = WorkspaceSymbolLocation::Location(wire.location(&path, &script, item.name.clone()));
                out.push(WorkspaceSymbol { location, data: None, base_symbol_information: base });
            }
            if out.len() == MOST {
                return out;
            }
        }
    }
    out
}

fn fits(name: &str, query: &str) -> bool {
    let mut letters = name.chars().flat_map(char::to_lowercase);
    query.chars().flat_map(char::to_lowercase).all(|q| letters.any(|l| l == q))
}
