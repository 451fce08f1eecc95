//! A client that follows a test, and the texts that most tests open.

use super::bare::Bare;
use lathe::lsp::{Ended, serve};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A client and its server.
pub struct Client {
    server: Option<JoinHandle<Ended>>,
    pub stdin: Option<Box<dyn Write>>,
    incoming: Receiver<Value>,
    pub kept: Vec<Value>,
    id: i64,
    folder: tempfile::TempDir,
    pub encoding: String,
}

impl Client {
    /// A server that nobody has said anything to.
    pub fn raw() -> Client {
        let (input, stdin) = std::io::pipe().unwrap();
        let (out, output) = std::io::pipe().unwrap();
        let stdlib = crate::support::root().join("stdlib");
        let server = std::thread::spawn(move || serve(input, output, Box::new(Bare { stdlib }), "0").unwrap());
        Client { server: Some(server), ..Client::over(stdin, out) }
    }

    /// A client of the server at the other ends.
    pub fn over(stdin: impl Write + 'static, out: impl Read + Send + 'static) -> Client {
        let mut out = BufReader::new(out);
        let (sender, incoming) = channel();
        std::thread::spawn(move || {
            loop {
                let mut length = 0;
                loop {
                    let mut line = String::new();
                    if out.read_line(&mut line).unwrap_or(0) == 0 {
                        return;
                    }
                    if line == "\r\n" {
                        break;
                    }
                    length = line.trim().rsplit(' ').next().unwrap().parse().unwrap();
                }
                let mut body = vec![0; length];
                out.read_exact(&mut body).unwrap();
                if sender.send(serde_json::from_slice(&body).unwrap()).is_err() {
                    return;
                }
            }
        });
        Client {
            server: None,
            stdin: Some(Box::new(stdin)),
            incoming,
            kept: Vec::new(),
            id: 0,
            folder: tempfile::tempdir().unwrap(),
            encoding: String::new(),
        }
    }

    pub fn new(encodings: &[&str]) -> Client {
        Client::raw().greeted(encodings)
    }

    /// The same after what an editor says first.
    pub fn greeted(mut self, encodings: &[&str]) -> Client {
        let formats = json!({ "documentationFormat": ["markdown"] });
        let texts = json!({
            "hover": { "contentFormat": ["markdown"] }, "completion": { "completionItem": formats }, "signatureHelp": { "signatureInformation": formats },
        });
        let capabilities = json!({ "general": { "positionEncodings": encodings }, "textDocument": texts });
        let params = json!({ "rootUri": self.uri(""), "capabilities": capabilities });
        let answer = self.ask("initialize", params);
        self.encoding = answer["capabilities"]["positionEncoding"].as_str().unwrap().to_owned();
        self.tell("initialized", json!({}));
        self
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(bytes).unwrap();
        stdin.flush().unwrap();
    }

    pub fn send(&mut self, message: Value) {
        let text = message.to_string();
        self.bytes(format!("Content-Length: {}\r\n\r\n{text}", text.len()).as_bytes());
    }

    pub fn tell(&mut self, method: &str, params: Value) {
        self.send(json!({ "jsonrpc": "2.0", "method": method, "params": params }));
    }

    pub fn next(&mut self) -> Value {
        self.incoming.recv_timeout(Duration::from_secs(20)).expect("an answer")
    }

    pub fn response(&mut self, method: &str, params: Value) -> Value {
        self.id += 1;
        self.send(json!({ "jsonrpc": "2.0", "id": self.id, "method": method, "params": params }));
        loop {
            let m = self.next();
            if m["id"] == json!(self.id) && m.get("method").is_none() {
                return m;
            }
            self.kept.push(m);
        }
    }

    pub fn ask(&mut self, method: &str, params: Value) -> Value {
        let m = self.response(method, params);
        assert!(m.get("error").is_none(), "{method}: {m}");
        m["result"].clone()
    }

    pub fn refused(&mut self, method: &str, params: Value) -> (i64, String) {
        let m = self.response(method, params);
        (m["error"]["code"].as_i64().unwrap_or_else(|| panic!("{m}")), m["error"]["message"].as_str().unwrap().to_owned())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join(name)
    }

    pub fn uri(&self, name: &str) -> String {
        format!("file://{}", self.path(name).display()).trim_end_matches('/').to_owned()
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        std::fs::write(self.path(name), text).unwrap();
    }

    pub fn open(&mut self, name: &str, text: &str) -> Vec<Value> {
        let uri = self.uri(name);
        self.tell("textDocument/didOpen", json!({ "textDocument": { "uri": uri, "languageId": "rhai", "version": 1, "text": text } }));
        self.diagnostics(name, 1)
    }

    /// The diagnostics of that version of a text.
    pub fn diagnostics(&mut self, name: &str, version: i64) -> Vec<Value> {
        let uri = self.uri(name);
        let is = |m: &Value| {
            m["method"] == "textDocument/publishDiagnostics" && m["params"]["uri"] == json!(uri) && m["params"]["version"] == json!(version)
        };
        if let Some(i) = self.kept.iter().position(is) {
            return self.kept.remove(i)["params"]["diagnostics"].as_array().unwrap().clone();
        }
        loop {
            let m = self.next();
            if is(&m) {
                return m["params"]["diagnostics"].as_array().unwrap().clone();
            }
            self.kept.push(m);
        }
    }

    /// Waits until everything that was told has been looked at; what came meanwhile is kept.
    pub fn settle(&mut self) {
        // Checks wait until no message does: between two requests there is room for them.
        for _ in 0..3 {
            std::thread::sleep(Duration::from_millis(100));
            self.ask("workspace/symbol", json!({ "query": "no such symbol" }));
        }
    }

    pub fn change(&mut self, name: &str, version: i64, changes: Value) -> Vec<Value> {
        let uri = self.uri(name);
        self.tell("textDocument/didChange", json!({ "textDocument": { "uri": uri, "version": version }, "contentChanges": changes }));
        self.diagnostics(name, version)
    }

    /// A request about the place behind `before` (its last occurrence) in a text.
    pub fn at(&self, name: &str, text: &str, before: &str) -> Value {
        let end = text.rfind(before).unwrap_or_else(|| panic!("no {before:?}")) + before.len();
        let start = text[..end].rfind('\n').map_or(0, |i| i + 1);
        let column = if self.encoding == "utf-8" { end - start } else { text[start..end].encode_utf16().count() };
        json!({ "textDocument": { "uri": self.uri(name) }, "position": { "line": text[..end].matches('\n').count(), "character": column } })
    }

    pub fn labels(&mut self, name: &str, text: &str, before: &str) -> Vec<String> {
        let list = self.ask("textDocument/completion", self.at(name, text, before));
        list.as_array().unwrap().iter().map(|i| i["label"].as_str().unwrap().to_owned()).collect()
    }

    /// Completions at the end of `text`, of which the editor is told first.
    pub fn typed(&mut self, name: &str, version: i64, text: &str) -> Vec<String> {
        let cut = text.replace('‸', "");
        self.change(name, version, json!([{ "text": cut }]));
        let before = text.split('‸').next().unwrap().to_owned();
        let mut at = self.at(name, &before, "");
        at["position"] = {
            let start = before.rfind('\n').map_or(0, |i| i + 1);
            json!({ "line": before.matches('\n').count(), "character": before[start..].len() })
        };
        let list = self.ask("textDocument/completion", at);
        list.as_array().unwrap().iter().map(|i| i["label"].as_str().unwrap().to_owned()).collect()
    }

    pub fn ends(&mut self, within: Duration) -> Ended {
        let begin = Instant::now();
        while begin.elapsed() < within {
            if self.server.as_ref().unwrap().is_finished() {
                return self.server.take().unwrap().join().unwrap();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the server still runs");
    }
}

/// A text after edits of the protocol's.
pub fn applied(text: &str, edits: &Value, utf8: bool) -> String {
    let offset = |p: &Value| {
        let line = p["line"].as_u64().unwrap() as usize;
        let start = text.split_inclusive('\n').take(line).map(str::len).sum::<usize>();
        let mut column = p["character"].as_u64().unwrap() as usize;
        let mut at = start;
        for c in text[start..].chars() {
            let width = if utf8 { c.len_utf8() } else { c.len_utf16() };
            if column < width {
                break;
            }
            (column, at) = (column - width, at + c.len_utf8());
        }
        at
    };
    let mut list: Vec<(usize, usize, String)> = edits
        .as_array()
        .unwrap()
        .iter()
        .map(|e| (offset(&e["range"]["start"]), offset(&e["range"]["end"]), e["newText"].as_str().unwrap().into()))
        .collect();
    list.sort();
    let mut out = text.to_owned();
    for (a, b, new) in list.into_iter().rev() {
        out.replace_range(a..b, &new);
    }
    out
}

/// A module.
pub const HELPER: &str = "//! Helps.\n\n/// Doubles it.\nfn double(x) { x * 2 }\nprivate fn hidden() { 1 }\nexport const RATE = 0.5;\nfn group(name) { let g = #{}; g[name] = arg(1.0, \"of it\"); g }\n";
/// A script that imports it.
pub const MAIN: &str = "//! A program.\nimport \"./helper\" as helper;\nimport \"std/losses\" as losses;\n\nfn params() { #{ depth: arg(6, \"how deep\") } + helper::group(\"learning_rate\") }\n\nfn main(cfg) {\n    let run = train::run(cfg);\n    let e = \"🙂é\"; let t = torch::zeros([2, 3]);\n    t.narrow(0, 1, 2);\n    F::conv2d(t, t, (), #{ stride: 2 });\n    train::fit(run, [], \"step\", #{ on_sample: \"sample\" });\n    helper::double(cfg.depth)\n}\n\n/// One step.\nfn step(run, batch) { #{ loss: helper::double(batch) + step_size() } }\nfn step_size() { 1 }\nfn sample(run, batch) { step(run, batch) }\n";
