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
    /// What it was given to begin with.
    pub options: Value,
}

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
            options: params.get("initializationOptions").cloned().unwrap_or_default(),
        }
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
