//! What the server can do, and what the client asked for.

use super::colors::{MODIFIERS, TYPES};
use super::uri;
use crate::script::text::lines::Columns;
use serde_json::{Value, json};
use std::path::PathBuf;

/// What a client said of itself.
pub struct Client {
    /// In what it counts columns.
    pub columns: Columns,
    /// The folders that it has open.
    pub folders: Vec<PathBuf>,
    /// Its process.
    pub process: Option<u64>,
    /// Whether it watches files for the server.
    pub watches: bool,
    /// Whether it can be asked for its settings.
    pub configures: bool,
    /// Whether it can be told that inlay hints are others now.
    pub refreshes: bool,
    /// How it shows the texts in the answers to a request.
    texts: Vec<(&'static str, Texts)>,
    /// What it was given to begin with.
    pub options: Value,
}

/// What a client shows a text as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Texts {
    Markdown,
    /// A text that says that it is plain.
    Plain,
    /// It says nothing of texts: they are strings.
    Bare,
}

/// Where a client says how it shows the texts of an answer.
const FORMATS: [(&str, &str); 4] = [
    ("textDocument/hover", "/hover/contentFormat"),
    ("textDocument/completion", "/completion/completionItem/documentationFormat"),
    ("completionItem/resolve", "/completion/completionItem/documentationFormat"),
    ("textDocument/signatureHelp", "/signatureHelp/signatureInformation/documentationFormat"),
];

impl Client {
    /// Reads what came with `initialize`.
    pub fn new(params: &Value) -> Self {
        let encodings = params.pointer("/capabilities/general/positionEncodings").and_then(Value::as_array);
        let utf8 = encodings.is_some_and(|list| list.iter().any(|e| e == "utf-8"));
        let of_folder = |f: &Value| f.get("uri").and_then(Value::as_str).map(uri::path);
        let listed = params.get("workspaceFolders").and_then(Value::as_array);
        let mut folders: Vec<PathBuf> = listed.into_iter().flatten().filter_map(of_folder).collect();
        if folders.is_empty() {
            folders.extend(params.get("rootUri").and_then(Value::as_str).map(uri::path));
        }
        let can = |key: &str| params.pointer("/capabilities/workspace").and_then(|w| w.pointer(key)) == Some(&Value::Bool(true));
        Client {
            columns: if utf8 { Columns::Utf8 } else { Columns::Utf16 },
            folders,
            process: params.get("processId").and_then(Value::as_u64),
            watches: can("/didChangeWatchedFiles/dynamicRegistration"),
            configures: can("/configuration"),
            refreshes: can("/inlayHint/refreshSupport"),
            texts: FORMATS.iter().map(|(method, at)| (*method, texts(params, at))).collect(),
            options: params.get("initializationOptions").cloned().unwrap_or_default(),
        }
    }

    /// An answer with its texts as the client shows them: Markdown is readable as it is.
    pub fn shown(&self, method: &str, mut answer: Value) -> Value {
        match self.texts.iter().find(|(m, _)| *m == method) {
            None | Some((_, Texts::Markdown)) => {}
            // What is hovered over is Markdown as a bare string.
            Some((_, Texts::Bare)) if method != "textDocument/hover" => plain(&mut answer, true),
            Some(_) => plain(&mut answer, false),
        }
        answer
    }
}

fn texts(params: &Value, at: &str) -> Texts {
    match params.pointer("/capabilities/textDocument").and_then(|t| t.pointer(at)).and_then(Value::as_array) {
        Some(formats) if formats.iter().any(|f| f == "markdown") => Texts::Markdown,
        Some(formats) if !formats.is_empty() => Texts::Plain,
        _ => Texts::Bare,
    }
}

/// Has texts with Markdown say that they are plain, or be nothing but strings.
fn plain(value: &mut Value, is_bare: bool) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(|v| plain(v, is_bare)),
        Value::Object(map) if map.get("kind").is_some_and(|k| k == "markdown") && map.contains_key("value") => {
            if is_bare {
                *value = map["value"].take();
            } else {
                map["kind"] = "plaintext".into();
            }
        }
        Value::Object(map) => map.values_mut().for_each(|v| plain(v, is_bare)),
        _ => {}
    }
}

/// The answer to `initialize`.
pub fn answer(client: &Client, version: &str) -> Value {
    json!({
        "capabilities": {
            "positionEncoding": if client.columns == Columns::Utf8 { "utf-8" } else { "utf-16" },
            "textDocumentSync": { "openClose": true, "change": 2, "save": { "includeText": false } },
            "completionProvider": { "triggerCharacters": [".", ":", "\"", "/", "{"], "resolveProvider": true },
            "hoverProvider": true,
            "signatureHelpProvider": { "triggerCharacters": ["(", ","] },
            "definitionProvider": true,
            "referencesProvider": true,
            "documentHighlightProvider": true,
            "documentSymbolProvider": true,
            "workspaceSymbolProvider": true,
            "codeActionProvider": { "codeActionKinds": ["quickfix"] },
            "documentFormattingProvider": true,
            "documentRangeFormattingProvider": true,
            "renameProvider": { "prepareProvider": true },
            "foldingRangeProvider": true,
            "inlayHintProvider": true,
            "semanticTokensProvider": { "legend": { "tokenTypes": TYPES, "tokenModifiers": MODIFIERS }, "full": true, "range": true },
            "workspace": { "workspaceFolders": { "supported": true, "changeNotifications": true } },
        },
        "serverInfo": { "name": "lathe", "version": version },
    })
}

/// Asks the client to tell when scripts change on disk.
pub fn watch() -> Value {
    json!({ "registrations": [{
        "id": "scripts",
        "method": "workspace/didChangeWatchedFiles",
        "registerOptions": { "watchers": [{ "globPattern": "**/*.rhai" }] },
    }] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_goes_to_those_who_show_it() {
        let params = json!({ "capabilities": { "textDocument": {
            "hover": { "contentFormat": ["plaintext", "markdown"] },
            "completion": { "completionItem": { "documentationFormat": ["plaintext"] } },
        } } });
        let client = Client::new(&params);
        let answer = json!({ "contents": { "kind": "markdown", "value": "*a*" } });
        assert_eq!(client.shown("textDocument/hover", answer.clone()), answer);
        let items = json!([{ "kind": 3, "documentation": { "kind": "markdown", "value": "markdown" } }]);
        let plain = json!([{ "kind": 3, "documentation": { "kind": "plaintext", "value": "markdown" } }]);
        assert_eq!(client.shown("textDocument/completion", items.clone()), plain);
        assert_eq!(client.shown("textDocument/signatureHelp", items.clone()), json!([{ "kind": 3, "documentation": "markdown" }]));
        let silent = Client::new(&Value::Null);
        assert_eq!(silent.shown("textDocument/hover", answer), json!({ "contents": { "kind": "plaintext", "value": "*a*" } }));
        assert_eq!(client.shown("textDocument/foldingRange", items.clone()), items);
    }
}
