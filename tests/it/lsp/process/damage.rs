//! Texts and clients that are not as they should be.

use super::Served;
use crate::support::Dice;
use crate::support::process::until;
use lathe::script::text::lexer::lex;
use serde_json::{Value, json};

/// A script with one of each of the language's forms, sound as it is.
const SOUND: &str = "//! All forms.\nimport \"std/flow\" as flow;\n\nconst N = 3;\n\nfn params() { #{ depth: arg(6, \"how deep\"), name: arg(\"é🙂\", \"a name\") } }\n\n/// Doc.\nfn main(cfg) {\n    let t = torch::zeros([2, global::N]);\n    let f = |x, k| x * k + 1.5e-3;\n    for (v, i) in [1, 2, 3] {\n        if v > 1 && !(i == 2) { t = t + f.call(v, i); } else { continue; }\n    }\n    let m = #{ a: t[.., 1:2], \"b\": `${cfg.depth:>4} and ${cfg.name}` };\n    try { throw \"x\"; } catch (e) { print(e); }\n    switch cfg.depth { 1 | 2 => m.a, _ => helper(m.a) /* c */ @ t }\n}\n\nfn helper(x) { x.sum(-1) }\n";

/// The faults that a text has when it is opened anew.
fn fresh(c: &mut Served, text: &str) -> Vec<Value> {
    let uri = c.uri("main.rhai");
    c.tell("textDocument/didClose", json!({ "textDocument": { "uri": uri } }));
    c.kept.clear();
    c.open("main.rhai", text)
}

#[test]
fn every_token_deleted_once() {
    let mut c = Served::new(&["utf-16"]);
    assert_eq!(c.open("main.rhai", SOUND), Vec::<Value>::new());
    let (mut version, mut faulty) = (1, 0);
    for token in lex(SOUND) {
        let mut broken = SOUND.to_owned();
        broken.replace_range(token.range(), "");
        version += 1;
        faulty += usize::from(!c.change("main.rhai", version, json!([{ "text": broken }])).is_empty());
        let at = c.at("main.rhai", &SOUND[..token.start], "");
        for method in ["completion", "hover", "signatureHelp", "definition"] {
            c.ask(&format!("textDocument/{method}"), at.clone());
        }
    }
    assert!(faulty > 150, "{faulty} texts with faults");
    assert_eq!(c.change("main.rhai", version + 1, json!([{ "text": SOUND }])), Vec::<Value>::new());
}

#[test]
fn a_thousand_edits_without_a_stale_fault() {
    let mut c = Served::new(&["utf-16"]);
    let mut text: Vec<char> = SOUND.chars().collect();
    c.open("main.rhai", SOUND);
    let (mut dice, mut version) = (Dice(7), 1);
    let pieces = ["{", "}", "(", "\"", "`", "/*", "\n", "fn ", "|", "::", "🙂", "é", ".", "#{", "let x = ", "x", " ", "\u{feff}"];
    for i in 0..1000 {
        let mut pick = |n: usize| usize::try_from(dice.roll(n as u64)).unwrap();
        let start = pick(text.len() + 1);
        let end = (start + pick(4)).min(text.len());
        let place = |text: &[char], at: usize| {
            let column = text[..at].iter().rev().take_while(|c| **c != '\n').map(|c| c.len_utf16()).sum::<usize>();
            json!({ "line": text[..at].iter().filter(|c| **c == '\n').count(), "character": column })
        };
        let range = json!({ "start": place(&text, start), "end": place(&text, end) });
        let new = pieces[pick(pieces.len())];
        text.splice(start..end, new.chars());
        version += 1;
        let found = c.change("main.rhai", version, json!([{ "range": range, "text": new }]));
        if i % 20 == 19 {
            let whole: String = text.iter().collect();
            assert_eq!(found, fresh(&mut c, &whole), "{whole}");
            version = 1;
        }
        if i % 40 == 39 {
            text = SOUND.chars().collect();
            version += 1;
            assert_eq!(c.change("main.rhai", version, json!([{ "text": SOUND }])), Vec::<Value>::new());
        }
    }
}

#[test]
fn line_ends_byte_order_marks_and_emoji() {
    let wrong = "fn main(cfg) {\n    let e = \"🙂\"; torch::zeors([1]);\n    e\n}\n";
    for (name, text) in [("lf", wrong.to_owned()), ("crlf", wrong.replace('\n', "\r\n"))] {
        for encoding in ["utf-8", "utf-16"] {
            let mut c = Served::new(&[encoding]);
            let found = c.open(&format!("{name}.rhai"), &text);
            assert_eq!(found.len(), 1, "{name}: {found:?}");
            let column = if encoding == "utf-8" { 20 } else { 18 };
            assert_eq!(found[0]["range"]["start"], json!({ "line": 1, "character": column }), "{name}, {encoding}");
            let uri = c.uri(&format!("{name}.rhai"));
            let actions = c.ask(
                "textDocument/codeAction",
                json!({ "textDocument": { "uri": uri }, "range": found[0]["range"], "context": { "diagnostics": found } }),
            );
            let edit = &actions[0]["edit"]["changes"][&uri][0];
            let mended = c.change(&format!("{name}.rhai"), 2, json!([{ "range": edit["range"], "text": edit["newText"] }]));
            assert_eq!(mended, Vec::<Value>::new(), "{name}, {encoding}: {edit}");
        }
    }
    // The language takes no byte order mark: it is shown where it stands, and what is behind it once it is gone.
    let mut c = Served::new(&["utf-16"]);
    let found = c.open("bom.rhai", &format!("\u{feff}{wrong}"));
    let (start, end) = (json!({ "line": 0, "character": 0 }), json!({ "line": 0, "character": 1 }));
    assert_eq!((found.len(), &found[0]["range"]["start"]), (1, &start), "{found:?}");
    let found = c.change("bom.rhai", 2, json!([{ "range": { "start": start, "end": end }, "text": "" }]));
    assert_eq!((found.len(), &found[0]["range"]["start"]), (1, &json!({ "line": 1, "character": 18 })), "{found:?}");
}

#[test]
fn sixty_five_thousand_lines() {
    // Functions of a usual length: the parser of the language looks through all of them for each name.
    let mut long = String::new();
    for i in 0..65_536 / 64 {
        long.push_str(&format!("fn f{i}(a, b) {{\n{}    f{i}(a, b)\n}}\n", "    a += b;\n".repeat(61)));
    }
    assert_eq!(long.lines().count(), 65_536);
    let mut c = Served::new(&["utf-8"]);
    assert_eq!(c.open("long.rhai", &long), Vec::<Value>::new());
    let at = json!({ "line": 65_533, "character": 4 });
    let found = c.change("long.rhai", 2, json!([{ "range": { "start": at, "end": at }, "text": "gone(); " }]));
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0]["range"]["start"], at);
}

#[test]
fn clients_that_are_none() {
    let mut c = Served::raw();
    assert_eq!(c.refused("textDocument/hover", json!({})).0, -32002);
    c.bytes(b"Content-Length: 9\r\n\r\n{garbage}");
    assert_eq!(c.next()["error"]["code"], -32700);
    c.bytes(b"Content-Length: -7\r\n\r\n\xff\xfe\0\0 what is this\r\n\r\n");
    assert_eq!(c.next()["error"]["code"], -32700);
    // It still serves, and ends within a second when its client is gone.
    let mut c = Served { client: c.client.greeted(&["utf-8"]), server: c.server };
    assert_eq!(c.open("main.rhai", SOUND), Vec::<Value>::new());
    drop(c.stdin.take());
    until("the server to end", 1, || c.server.try_wait().unwrap().is_some());
    assert_eq!(c.server.wait().unwrap().code(), Some(1));
    let mut c = Served::new(&[]);
    c.ask("shutdown", Value::Null);
    c.tell("exit", Value::Null);
    until("the server to end", 1, || c.server.try_wait().unwrap().is_some());
    assert_eq!(c.server.wait().unwrap().code(), Some(0));
}
