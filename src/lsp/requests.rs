//! The requests: what the client asks, and what it is answered.

use super::host::Texts;
use super::project::Project;
use super::wire::Wire;
use super::{colors, completion, definition, diagnostics, folding, hints, hover, live, rename, signature, symbols};
use crate::script::text::format;
use crate::script::text::script::Script;
use gen_lsp_types::{
    CodeActionParams, CompletionItem, Hover, Position, ReferenceContext, SemanticTokens, TextDocumentIdentifier, TextDocumentPositionParams,
    TextEdit, Uri, WorkspaceEdit,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

/// Why a request has no answer.
pub struct Refused {
    /// The protocol's number.
    pub code: i32,
    /// In words.
    pub message: String,
}

/// The protocol's numbers.
pub mod codes {
    /// JSON that is none.
    pub const PARSE: i32 = -32700;
    /// What cannot be asked now.
    pub const INVALID_REQUEST: i32 = -32600;
    /// What is not known.
    pub const METHOD_NOT_FOUND: i32 = -32601;
    /// What was not understood.
    pub const INVALID_PARAMS: i32 = -32602;
    /// A fault of the server.
    pub const INTERNAL: i32 = -32603;
    /// Asked before `initialize`.
    pub const NOT_INITIALIZED: i32 = -32002;
    /// The client does not want the answer any more.
    pub const CANCELLED: i32 = -32800;
    /// The request cannot be done, for the reason given.
    pub const FAILED: i32 = -32803;
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfText {
    text_document: TextDocumentIdentifier,
    range: Option<gen_lsp_types::Range>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Renaming {
    new_name: String,
}

#[derive(Deserialize)]
struct Query {
    query: String,
}

#[derive(Deserialize)]
struct Context {
    context: ReferenceContext,
}

fn read<T: DeserializeOwned>(params: &Value) -> Result<T, Refused> {
    T::deserialize(params).map_err(|e| Refused { code: codes::INVALID_PARAMS, message: e.to_string() })
}

fn shown<T: serde::Serialize>(value: T) -> Result<Value, Refused> {
    serde_json::to_value(value).map_err(|e| Refused { code: codes::INTERNAL, message: e.to_string() })
}

fn failed(message: String) -> Refused {
    Refused { code: codes::FAILED, message }
}

/// Answers from one state of the texts.
pub struct Answers<'a> {
    /// The texts and the host.
    pub project: &'a Project,
    /// How the client counts.
    pub wire: &'a Wire<'a>,
}

impl Answers<'_> {
    fn text(&self, uri: &Uri) -> Result<(PathBuf, Arc<Script>), Refused> {
        let path = super::uri::path(&uri.0);
        let script = self.project.store.script(&path).ok_or_else(|| failed(format!("`{}` is not open", uri.0)))?;
        Ok((path, script))
    }

    fn place(&self, params: &Value) -> Result<(PathBuf, Arc<Script>, usize), Refused> {
        let at: TextDocumentPositionParams = read(params)?;
        let (path, script) = self.text(&at.text_document.uri)?;
        let offset = self.wire.offset(&script, Position { line: at.position.line, character: at.position.character });
        Ok((path, script, offset))
    }

    fn part(&self, params: &Value) -> Result<(PathBuf, Arc<Script>, Range<usize>), Refused> {
        let of: OfText = read(params)?;
        let (path, script) = self.text(&of.text_document.uri)?;
        let part = of.range.map_or(0..script.source.len(), |r| self.wire.bytes(&script, r));
        Ok((path, script, part))
    }

    /// The answer to a request.
    ///
    /// # Errors
    /// Why there is none.
    pub fn answer(&self, method: &str, params: &Value) -> Result<Value, Refused> {
        let (project, wire) = (self.project, self.wire);
        match method {
            "textDocument/completion" => {
                let (path, script, offset) = self.place(params)?;
                shown(completion::completions(project, &path, &script, offset))
            }
            "completionItem/resolve" => shown(completion::resolved(project, read::<CompletionItem>(params)?)),
            "textDocument/hover" => {
                let (path, script, offset) = self.place(params)?;
                let found = hover::hover(project, &path, &script, offset);
                shown(found.map(|(text, at)| Hover { contents: super::wire::markdown(text).into(), range: Some(wire.range(&script, at)) }))
            }
            "textDocument/signatureHelp" => {
                let (path, script, offset) = self.place(params)?;
                shown(signature::help(project, &path, &script, offset))
            }
            "textDocument/definition" => {
                let (path, script, offset) = self.place(params)?;
                shown(definition::definition(project, &path, &script, offset).map(|(p, s, r)| wire.location(&p, &s, r)))
            }
            "textDocument/references" => {
                let context: Context = read(params)?;
                self.references(params, context.context.include_declaration)
            }
            "textDocument/documentHighlight" => self.highlights(params),
            "textDocument/prepareRename" => {
                let (path, script, offset) = self.place(params)?;
                let (at, name) = rename::prepare(project, &path, &script, offset).map_err(failed)?;
                Ok(json!({ "range": wire.range(&script, at), "placeholder": name }))
            }
            "textDocument/rename" => self.rename(params),
            "textDocument/documentSymbol" => {
                let (_, script, _) = self.part(params)?;
                shown(symbols::of_text(&script, wire))
            }
            "workspace/symbol" => shown(symbols::of_all(project, &read::<Query>(params)?.query, wire)),
            "textDocument/foldingRange" => {
                let (_, script, _) = self.part(params)?;
                shown(folding::ranges(&script))
            }
            "textDocument/semanticTokens/full" | "textDocument/semanticTokens/range" => {
                let (_, script, part) = self.part(params)?;
                shown(SemanticTokens { result_id: None, data: colors::tokens(project, &script, part, wire.columns) })
            }
            "textDocument/inlayHint" => {
                let (path, script, part) = self.part(params)?;
                let mut all = hints::hints(project, &path, &script, part.clone(), wire);
                if let Some(live) = project.live(&path) {
                    all.extend(live::hints(&script, &live, &part, wire));
                }
                shown(all)
            }
            "textDocument/formatting" | "textDocument/rangeFormatting" => self.layout(params),
            "textDocument/codeAction" => {
                let given: CodeActionParams = read(params)?;
                let (path, _) = self.text(&given.text_document.uri)?;
                shown(diagnostics::actions(&path, given.context.diagnostics, wire))
            }
            _ => Err(Refused { code: codes::METHOD_NOT_FOUND, message: format!("`{method}` is not known here") }),
        }
    }

    fn spots(&self, params: &Value) -> Result<(PathBuf, Vec<definition::Spot>), Refused> {
        let (path, script, offset) = self.place(params)?;
        let found = match self.project.meaning(&path, &script, offset) {
            Some(super::meaning::Meaning::Decl(file, decl)) => definition::references(self.project, &file, decl),
            _ => Vec::new(),
        };
        Ok((path, found))
    }

    fn references(&self, params: &Value, with_declaration: bool) -> Result<Value, Refused> {
        let (_, found) = self.spots(params)?;
        let is_declaration = |(_, s, r): &definition::Spot| s.names.decls.iter().any(|d| d.name == *r);
        let kept = found.iter().filter(|spot| with_declaration || !is_declaration(spot));
        shown(kept.map(|(p, s, r)| self.wire.location(p, s, r.clone())).collect::<Vec<_>>())
    }

    fn highlights(&self, params: &Value) -> Result<Value, Refused> {
        let (path, found) = self.spots(params)?;
        let own = found.iter().filter(|(p, ..)| *p == path);
        Ok(own.map(|(_, s, r)| json!({ "range": self.wire.range(s, r.clone()) })).collect())
    }

    fn rename(&self, params: &Value) -> Result<Value, Refused> {
        let (path, script, offset) = self.place(params)?;
        let new: Renaming = read(params)?;
        let spots = rename::rename(self.project, &path, &script, offset, &new.new_name).map_err(failed)?;
        let mut changes: HashMap<Uri, Vec<TextEdit>> = HashMap::new();
        for (file, script, range) in spots {
            let edit = TextEdit { range: self.wire.range(&script, range), new_text: new.new_name.clone() };
            changes.entry(self.wire.uri(&file)).or_default().push(edit);
        }
        shown(WorkspaceEdit { changes: Some(changes), ..WorkspaceEdit::default() })
    }

    fn layout(&self, params: &Value) -> Result<Value, Refused> {
        let (_, script, part) = self.part(params)?;
        let refused = |e: format::Refused| failed(format!("line {}: {}", e.at.line + 1, e.message));
        let edits = format::edits(&script.source).map_err(refused)?;
        let touched = edits.into_iter().filter(|(r, _)| r.start <= part.end && r.end >= part.start);
        shown(touched.map(|(r, new_text)| TextEdit { range: self.wire.range(&script, r), new_text }).collect::<Vec<_>>())
    }
}
