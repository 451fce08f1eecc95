//! The server's loop: one message after the other, and a check of what changed when none waits.

use super::capabilities::{Client, answer, watch};
use super::diagnostics::Diagnostics;
use super::host::Host;
use super::live::Settings;
use super::project::Project;
use super::requests::{Answers, Refused, codes};
use super::store::Change;
use super::transport::{self, Incoming};
use super::uri;
use super::wire::{Wire, place};
use gen_lsp_types::{
    DidChangeTextDocumentParams, DidCloseTextDocumentParams, DidOpenTextDocumentParams, DidSaveTextDocumentParams, TextDocumentContentChangeEvent,
};
use lsp_server::{Message, Notification, Request, RequestId, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::io::{BufReader, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// How often the server looks whether the client's process still lives.
const WATCH: Duration = Duration::from_millis(500);
/// How often it looks whether running runs tell something else, and the client draws hints anew.
const REFRESH: Duration = Duration::from_secs(1);
/// The request for the client's settings.
const SETTINGS: &str = "settings";

/// How the server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The client said so, in the protocol's order: exit code 0.
    Asked,
    /// The client went away, or said `exit` without `shutdown`: exit code 1.
    Alone,
}

#[derive(PartialEq)]
enum Phase {
    New,
    Running,
    ShutDown,
}

/// Serves one client until it goes. Reads from `input` on a thread of its own; everything else, the host among it, stays on this one.
///
/// # Errors
/// A thread that cannot be started.
pub fn serve(input: impl Read + Send + 'static, output: impl Write, host: Box<dyn Host>, version: &str) -> std::io::Result<Ended> {
    let (sender, receiver) = channel();
    std::thread::Builder::new().name("lsp-reader".into()).spawn(move || {
        let mut input = BufReader::new(input);
        while let Some(incoming) = transport::read(&mut input) {
            if sender.send(incoming).is_err() {
                return;
            }
        }
    })?;
    let mut server = Server {
        output,
        receiver,
        inbox: VecDeque::new(),
        project: Project::new(host),
        diagnostics: Diagnostics::default(),
        client: Client::new(&Value::Null),
        phase: Phase::New,
        version: version.to_owned(),
        refreshed: Instant::now(),
        live: 0,
        requests: 0,
    };
    // A client that no longer reads has gone.
    Ok(server.run().unwrap_or(Ended::Alone))
}

struct Server<W> {
    output: W,
    receiver: Receiver<Incoming>,
    inbox: VecDeque<Incoming>,
    project: Project,
    diagnostics: Diagnostics,
    client: Client,
    phase: Phase,
    version: String,
    /// When it was last looked at what running runs tell, and what that was.
    refreshed: Instant,
    live: u64,
    /// Requests to the client so far.
    requests: u64,
}

impl<W: Write> Server<W> {
    fn run(&mut self) -> std::io::Result<Ended> {
        loop {
            self.look_at_runs()?;
            self.inbox.extend(self.receiver.try_iter());
            let next = match self.inbox.pop_front() {
                Some(next) => next,
                None if self.diagnostics.is_waiting() => {
                    self.check()?;
                    continue;
                }
                None => match self.receiver.recv_timeout(WATCH) {
                    Ok(next) => next,
                    Err(RecvTimeoutError::Disconnected) => return Ok(Ended::Alone),
                    Err(RecvTimeoutError::Timeout) if self.client.process.is_some_and(is_gone) => return Ok(Ended::Alone),
                    Err(RecvTimeoutError::Timeout) => continue,
                },
            };
            match next {
                Incoming::Garbage(message) => {
                    self.send(&json!({ "jsonrpc": "2.0", "id": null, "error": { "code": codes::PARSE, "message": message } }))?
                }
                Incoming::Message(Message::Request(request)) => self.request(request)?,
                Incoming::Message(Message::Notification(n)) if n.method == "exit" => {
                    return Ok(if self.phase == Phase::ShutDown { Ended::Asked } else { Ended::Alone });
                }
                Incoming::Message(Message::Notification(notification)) => self.notification(notification)?,
                Incoming::Message(Message::Response(response)) => self.answered(response)?,
            }
        }
    }

    /// Has the client draw hints anew once running runs tell something else.
    fn look_at_runs(&mut self) -> std::io::Result<()> {
        if self.phase != Phase::Running || !self.client.refreshes || self.refreshed.elapsed() < REFRESH {
            return Ok(());
        }
        let now = self.project.live_state();
        // What takes long must not bring two of them close together.
        self.refreshed = Instant::now();
        if std::mem::replace(&mut self.live, now) == now {
            return Ok(());
        }
        self.requests += 1;
        self.send(&json!({ "jsonrpc": "2.0", "id": format!("refresh-{}", self.requests), "method": "workspace/inlayHint/refresh" }))
    }

    /// Takes the client's settings.
    fn answered(&mut self, response: Response) -> std::io::Result<()> {
        if response.id != RequestId::from(SETTINGS.to_owned()) {
            return Ok(());
        }
        let given = response.response_result.ok().and_then(|r| r.get(0).cloned()).unwrap_or_default();
        if given.is_null() { Ok(()) } else { self.set(&given) }
    }

    /// Sets what the client wants; what cannot be understood is shown to it.
    fn set(&mut self, given: &Value) -> std::io::Result<()> {
        match Settings::read(given) {
            Ok(settings) => {
                self.project.settings = settings;
                Ok(())
            }
            Err(e) => self.send(&json!({ "jsonrpc": "2.0", "method": "window/showMessage", "params": { "type": 2, "message": e } })),
        }
    }

    fn ask_settings(&mut self) -> std::io::Result<()> {
        let params = json!({ "items": [{ "section": "lathe" }] });
        self.send(&json!({ "jsonrpc": "2.0", "id": SETTINGS, "method": "workspace/configuration", "params": params }))
    }

    fn send(&mut self, body: &Value) -> std::io::Result<()> {
        transport::write(&mut self.output, body)
    }

    fn respond(&mut self, id: &RequestId, result: Result<Value, Refused>) -> std::io::Result<()> {
        let body = match result {
            Ok(value) => json!({ "jsonrpc": "2.0", "id": id, "result": value }),
            Err(e) => json!({ "jsonrpc": "2.0", "id": id, "error": { "code": e.code, "message": e.message } }),
        };
        self.send(&body)
    }

    fn request(&mut self, request: Request) -> std::io::Result<()> {
        let refused = |code: i32, message: &str| Err(Refused { code, message: message.into() });
        let is_cancelled = self.is_cancelled(&request.id);
        let result = match (&self.phase, request.method.as_str()) {
            (Phase::New, "initialize") => {
                self.client = Client::new(&request.params);
                self.project.folders.clone_from(&self.client.folders);
                self.phase = Phase::Running;
                Ok(answer(&self.client, &self.version))
            }
            (Phase::New, _) => refused(codes::NOT_INITIALIZED, "the first request is `initialize`"),
            (Phase::ShutDown, _) => refused(codes::INVALID_REQUEST, "the server has been shut down"),
            (Phase::Running, "initialize") => refused(codes::INVALID_REQUEST, "`initialize` comes once"),
            (Phase::Running, "shutdown") => {
                self.phase = Phase::ShutDown;
                Ok(Value::Null)
            }
            (Phase::Running, _) if is_cancelled => refused(codes::CANCELLED, "cancelled"),
            (Phase::Running, method) => self.answer(method, &request.params).map(|answer| self.client.shown(method, answer)),
        };
        self.respond(&request.id, result)
    }

    /// Whether the client took the request back before it was looked at.
    fn is_cancelled(&mut self, id: &RequestId) -> bool {
        self.inbox.extend(self.receiver.try_iter());
        let Ok(id) = serde_json::to_value(id) else { return false };
        let is_it = |n: &Notification| n.method == "$/cancelRequest" && n.params.get("id") == Some(&id);
        self.inbox.iter().any(|m| matches!(m, Incoming::Message(Message::Notification(n)) if is_it(n)))
    }

    fn answer(&self, method: &str, params: &Value) -> Result<Value, Refused> {
        let project = &self.project;
        let opened = |p: &Path| project.store.opened(p).map(|o| o.uri.clone());
        let wire = Wire { columns: self.client.columns, opened: &opened };
        // One answer that fails must not end the others: the editor's texts would be lost to the server.
        catch_unwind(AssertUnwindSafe(|| Answers { project, wire: &wire }.answer(method, params))).unwrap_or_else(|_| {
            Err(Refused { code: codes::INTERNAL, message: format!("`{method}` failed: a fault of lathe's, please report it with this script") })
        })
    }

    fn check(&mut self) -> std::io::Result<()> {
        let project = &self.project;
        let opened = |p: &Path| project.store.opened(p).map(|o| o.uri.clone());
        let wire = Wire { columns: self.client.columns, opened: &opened };
        let found = self.diagnostics.check_next(project, &wire);
        self.publish(found)
    }

    fn publish(&mut self, found: Vec<gen_lsp_types::PublishDiagnosticsParams>) -> std::io::Result<()> {
        for params in found {
            self.send(&json!({ "jsonrpc": "2.0", "method": "textDocument/publishDiagnostics", "params": params }))?;
        }
        Ok(())
    }

    /// Takes note of what a client tells. What cannot be understood is shown to it.
    fn notification(&mut self, notification: Notification) -> std::io::Result<()> {
        if self.phase != Phase::Running {
            return Ok(());
        }
        let method = notification.method.clone();
        match self.told(&method, notification.params) {
            Ok(done) => done,
            Err(e) => {
                let params = json!({ "type": 1, "message": format!("`{method}` was not understood: {e}") });
                self.send(&json!({ "jsonrpc": "2.0", "method": "window/logMessage", "params": params }))
            }
        }
    }

    fn told(&mut self, method: &str, params: Value) -> Result<std::io::Result<()>, serde_json::Error> {
        match method {
            "initialized" => return Ok(self.begin()),
            "workspace/didChangeConfiguration" => {
                let given = params.pointer("/settings/lathe").cloned();
                return Ok(match given {
                    Some(given) if !given.is_null() => self.set(&given),
                    _ if self.client.configures => self.ask_settings(),
                    _ => Ok(()),
                });
            }
            "textDocument/didOpen" => {
                let text = DidOpenTextDocumentParams::deserialize(params)?.text_document;
                let path = uri::path(&text.uri.0);
                self.project.store.open(path.clone(), text.uri.0, text.version, text.text);
                self.diagnostics.changed(&self.project, &path);
            }
            "textDocument/didChange" => self.changed(DidChangeTextDocumentParams::deserialize(params)?),
            "textDocument/didSave" => {
                let path = uri::path(&DidSaveTextDocumentParams::deserialize(params)?.text_document.uri.0);
                self.project.store.saved(&path);
                self.project.files_changed();
                self.diagnostics.changed(&self.project, &path);
            }
            "textDocument/didClose" => {
                let path = uri::path(&DidCloseTextDocumentParams::deserialize(params)?.text_document.uri.0);
                return Ok(self.closed(&path));
            }
            "workspace/didChangeWatchedFiles" => {
                self.project.files_changed();
                self.diagnostics.all_changed(&self.project);
            }
            "workspace/didChangeWorkspaceFolders" => {
                let paths = |key: &str| -> Vec<PathBuf> {
                    let list = params.pointer(key).and_then(Value::as_array);
                    list.into_iter().flatten().filter_map(|f| f.get("uri").and_then(Value::as_str)).map(uri::path).collect()
                };
                let (added, removed) = (paths("/event/added"), paths("/event/removed"));
                self.project.folders.retain(|f| !removed.contains(f));
                self.project.folders.extend(added);
            }
            _ => {}
        }
        Ok(Ok(()))
    }

    /// What is said to a client that is ready.
    fn begin(&mut self) -> std::io::Result<()> {
        if self.client.watches {
            self.send(&json!({ "jsonrpc": "2.0", "id": "watch", "method": "client/registerCapability", "params": watch() }))?;
        }
        let options = std::mem::take(&mut self.client.options);
        if !options.is_null() {
            self.set(&options)?;
        }
        if self.client.configures { self.ask_settings() } else { Ok(()) }
    }

    fn changed(&mut self, params: DidChangeTextDocumentParams) {
        let document = params.text_document;
        let path = uri::path(&document.text_document_identifier.uri.0);
        let changes = params.content_changes.into_iter().map(|c| match c {
            TextDocumentContentChangeEvent::TextDocumentContentChangePartial(c) => {
                Change { range: Some((place(c.range.start), place(c.range.end))), text: c.text }
            }
            TextDocumentContentChangeEvent::TextDocumentContentChangeWholeDocument(c) => Change { range: None, text: c.text },
        });
        if self.project.store.change(&path, document.version, changes.collect(), self.client.columns) {
            self.diagnostics.changed(&self.project, &path);
        }
    }

    fn closed(&mut self, path: &Path) -> std::io::Result<()> {
        self.project.store.close(path);
        let project = &self.project;
        let opened = |p: &Path| project.store.opened(p).map(|o| o.uri.clone());
        let wire = Wire { columns: self.client.columns, opened: &opened };
        let found = self.diagnostics.closed(project, &wire, path);
        // Others that import it see the text on disk again.
        self.diagnostics.changed(&self.project, path);
        self.publish(found)
    }
}

/// Whether the client's process is gone. Where processes cannot be looked at, the end of the input tells.
fn is_gone(process: u64) -> bool {
    Path::new("/proc/self").exists() && !Path::new(&format!("/proc/{process}")).exists()
}
