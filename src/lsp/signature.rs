//! The parameters of the call that is being typed.

use super::host::Owner;
use super::host::Texts;
use super::meaning::Meaning;
use super::project::Project;
use super::wire::markdown;
use crate::script::text::items::ItemKind;
use crate::script::text::script::Script;
use crate::script::text::site::site;
use gen_lsp_types::{ActiveParameter, ParameterInformation, SignatureHelp, SignatureInformation};
use std::path::Path;
use std::sync::Arc;

fn parameter(label: String, said: String) -> ParameterInformation {
    ParameterInformation { label: label.into(), documentation: (!said.is_empty()).then(|| said.into()) }
}

/// The signatures of what is called around a byte, and which parameter is being given.
pub fn help(project: &Project, path: &Path, script: &Arc<Script>, offset: usize) -> Option<SignatureHelp> {
    let site = site(script, offset)?;
    let name = script.code.get(site.name)?.start;
    let active = u32::try_from(site.argument).ok();
    let mut signatures: Vec<SignatureInformation> = Vec::new();
    let mut fitting = None;
    match project.meaning(path, script, name)? {
        Meaning::Entries(found) => {
            for entry in found.into_iter().map(|i| &project.entries()[i]) {
                let named = entry.params.iter().map(|p| parameter(format!("{}{}", p.name, if p.optional { "?" } else { "" }), p.kind.clone()));
                let parameters: Vec<ParameterInformation> = named.collect();
                if fitting.is_none() && site.argument < parameters.len().max(1) {
                    fitting = u32::try_from(signatures.len()).ok();
                }
                // Of a method the value before the dot is no parameter.
                let is_method = matches!(entry.owner, Owner::Type(_));
                let summary = entry.doc.split("\n\n").find(|p| !p.starts_with("- ")).unwrap_or_default();
                let doc = if is_method && summary.is_empty() { String::new() } else { summary.to_owned() };
                signatures.push(SignatureInformation {
                    label: entry.signature.clone(),
                    documentation: Some(markdown(doc).into()),
                    parameters: Some(parameters),
                    active_parameter: None,
                });
            }
        }
        Meaning::Decl(file, decl) => {
            let other = project.store.script(&file)?;
            let wanted = other.slice(other.names.decls.get(decl)?.name.clone()).to_owned();
            for item in other.items.iter().filter(|i| i.name(&other) == wanted) {
                let ItemKind::Function { params, .. } = &item.kind else { continue };
                if fitting.is_none() && site.argument < params.len().max(1) {
                    fitting = u32::try_from(signatures.len()).ok();
                }
                signatures.push(SignatureInformation {
                    label: item.signature(&other),
                    documentation: Some(markdown(item.doc.clone()).into()),
                    parameters: Some(params.iter().map(|p| parameter(other.slice(p.clone()).to_owned(), String::new())).collect()),
                    active_parameter: None,
                });
            }
        }
        _ => return None,
    }
    (!signatures.is_empty()).then(|| SignatureHelp {
        signatures,
        active_signature: Some(fitting.unwrap_or(0)),
        active_parameter: active.map(ActiveParameter::Int),
    })
}
