//! Clients that do not keep to the protocol, and clients that go.

use super::client::Client;
use lathe::lsp::Ended;
use serde_json::{Value, json};
use std::time::Duration;

#[test]
fn bad_clients_are_told_so() {
    let mut c = Client::raw();
    let (code, message) = c.refused("textDocument/hover", json!({}));
    assert_eq!(code, -32002, "{message}");
    c.bytes(b"Content-Length: 9\r\n\r\n{garbage}");
    assert_eq!(c.next()["error"]["code"], -32700);
    c.bytes(b"GET / HTTP/1.1\r\n\r\n");
    assert_eq!(c.next()["error"]["code"], -32700);
    c.bytes(b"Content-Length: 99999999999999\r\n\r\n");
    assert_eq!(c.next()["error"]["code"], -32700);
    c.bytes(b"Content-Length: 2\r\n\r\n{}");
    assert_eq!(c.next()["error"]["code"], -32700);
    c.ask("initialize", json!({ "capabilities": {} }));
    assert_eq!(c.refused("initialize", json!({ "capabilities": {} })).0, -32600);
    assert_eq!(c.refused("textDocument/nonsense", json!({})).0, -32601);
    assert_eq!(c.refused("textDocument/hover", json!({ "a": 1 })).0, -32602);
    assert_eq!(
        c.refused("textDocument/hover", json!({ "textDocument": { "uri": "file:///nowhere" }, "position": { "line": 0, "character": 0 } })).0,
        -32803
    );
    c.tell("textDocument/didOpen", json!({ "wrong": true }));
    let m = c.next();
    assert!(m["params"]["message"].as_str().unwrap().contains("not understood"), "{m}");
    // A position far behind everything.
    c.open("a.rhai", "fn f() { 1 }");
    let far = json!({ "textDocument": { "uri": c.uri("a.rhai") }, "position": { "line": 4_000_000_000u32, "character": 4_000_000_000u32 } });
    for method in ["hover", "completion", "definition", "signatureHelp"] {
        c.ask(&format!("textDocument/{method}"), far.clone());
    }
    c.ask("shutdown", Value::Null);
    assert_eq!(c.refused("textDocument/hover", json!({})).0, -32600);
    c.tell("exit", Value::Null);
    assert_eq!(c.ends(Duration::from_secs(2)), Ended::Asked);
}

#[test]
fn the_server_ends_with_its_client() {
    let mut c = Client::new(&[]);
    assert_eq!(c.encoding, "utf-16");
    c.open("a.rhai", "fn f() { 1 }");
    drop(c.stdin.take());
    assert_eq!(c.ends(Duration::from_secs(1)), Ended::Alone);
    let mut c = Client::new(&[]);
    c.tell("exit", Value::Null);
    assert_eq!(c.ends(Duration::from_secs(1)), Ended::Alone);
    // A client whose process is gone, although something still holds its end of the pipe: no process has this number.
    let mut c = Client::raw();
    c.ask("initialize", json!({ "processId": u32::MAX, "capabilities": {} }));
    assert_eq!(c.ends(Duration::from_secs(2)), Ended::Alone);
}
