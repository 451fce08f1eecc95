//! Diagnostics: they come, go, and never stay.

use super::client::{Client, HELPER, MAIN, applied};
use serde_json::{Value, json};

#[test]
fn faults_come_and_go_over_files_that_are_not_saved() {
    let mut c = Client::new(&["utf-16"]);
    c.write("helper.rhai", HELPER);
    let text = "import \"./helper\" as helper;\nfn f(🙂) { 1 }\nfn g(value) { \"é🙂\" + valeu }\n";
    let found = c.open("main.rhai", &text.replace("🙂) { 1 }", "x) { 1 }"));
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0]["range"], json!({ "start": { "line": 2, "character": 22 }, "end": { "line": 2, "character": 27 } }));
    let actions = c.ask(
        "textDocument/codeAction",
        json!({ "textDocument": { "uri": c.uri("main.rhai") }, "range": found[0]["range"], "context": { "diagnostics": found } }),
    );
    let edit = &actions[0]["edit"]["changes"][c.uri("main.rhai")];
    assert_eq!(edit, &json!([{ "range": found[0]["range"], "newText": "value" }]));
    let fixed = c.change("main.rhai", 2, json!([{ "range": edit[0]["range"], "text": "value" }]));
    assert_eq!(fixed, Vec::<Value>::new());

    // An open module counts as it is in the editor; what it breaks is shown, and goes when it is mended.
    let found = c.open("helper.rhai", HELPER);
    assert_eq!(found, Vec::<Value>::new());
    let found = c.change(
        "helper.rhai",
        2,
        json!([{ "range": { "start": { "line": 3, "character": 14 }, "end": { "line": 3, "character": 14 } }, "text": " (" }]),
    );
    assert!(found.iter().any(|d| d["message"].as_str().unwrap().contains("not closed")), "{found:?}");
    let found = c.change("helper.rhai", 3, json!([{ "text": HELPER }]));
    assert_eq!(found, Vec::<Value>::new());
    // A module that is not there, then is.
    let found = c.change("main.rhai", 3, json!([{ "text": "import \"./later\" as later;\n" }]));
    assert_eq!(found.len(), 1);
    c.write("later.rhai", "fn f() { 1 }\n");
    let uri = c.uri("later.rhai");
    c.kept.clear();
    c.tell("workspace/didChangeWatchedFiles", json!({ "changes": [{ "uri": uri, "type": 1 }] }));
    assert_eq!(c.diagnostics("main.rhai", 3), Vec::<Value>::new());
    // Closed with faults: they are taken away.
    c.change("main.rhai", 4, json!([{ "text": "fn f( {" }]));
    c.kept.clear();
    let uri = c.uri("main.rhai");
    c.tell("textDocument/didClose", json!({ "textDocument": { "uri": uri } }));
    loop {
        let m = c.next();
        // What was found before may be told once more.
        if m["params"]["uri"] == json!(uri) && m["params"]["diagnostics"] == json!([]) {
            break;
        }
    }
}

#[test]
fn damage_by_a_thousand_random_edits_leaves_nothing_behind() {
    let mut c = Client::new(&["utf-16"]);
    c.write("helper.rhai", HELPER);
    c.write("main.rhai", MAIN);
    let mut text = MAIN.to_owned();
    c.open("main.rhai", &text);
    let mut seed = 11u64;
    let mut below = |n: usize| {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((seed >> 33) as usize) % n.max(1)
    };
    let pieces = ["{", "}", "(", "\"", "`", "/*", "\n", "\r\n", "fn ", "|", "::", "🙂", "é", ".", "#{", "let x = "];
    let mut version = 1;
    for i in 0..1000 {
        let lines: Vec<&str> = text.split('\n').collect();
        let line = below(lines.len());
        let units = lines[line].trim_end_matches('\r').encode_utf16().count();
        let (a, b) = (below(units + 1), below(units + 1));
        let new = pieces[below(pieces.len())];
        let edit =
            json!({ "range": { "start": { "line": line, "character": a.min(b) }, "end": { "line": line, "character": a.max(b) } }, "newText": new });
        // In the middle of a pair of surrogates is no place for an editor.
        let is_whole = |n: usize| String::from_utf16(&lines[line].encode_utf16().take(n).collect::<Vec<_>>()).is_ok();
        if !is_whole(a) || !is_whole(b) {
            continue;
        }
        text = applied(&text, &json!([edit]), false);
        version += 1;
        c.change("main.rhai", version, json!([{ "range": edit["range"], "text": new }]));
        if i % 5 == 0 {
            let at = json!({ "textDocument": { "uri": c.uri("main.rhai") }, "position": { "line": line, "character": a.min(b) }, "newName": "neu", "context": { "includeDeclaration": true }, "options": {} });
            for method in [
                "completion",
                "hover",
                "signatureHelp",
                "definition",
                "references",
                "rename",
                "prepareRename",
                "documentHighlight",
                "formatting",
                "foldingRange",
                "documentSymbol",
                "semanticTokens/full",
                "inlayHint",
            ] {
                let m = c.response(&format!("textDocument/{method}"), at.clone());
                assert!(m["error"]["code"].as_i64().is_none_or(|code| code == -32803), "{method}: {m}");
            }
        }
        if i % 100 == 99 {
            // Mended: nothing stays.
            version += 1;
            let found = c.change("main.rhai", version, json!([{ "text": MAIN }]));
            assert_eq!(found, Vec::<Value>::new());
            text = MAIN.to_owned();
        }
    }
}
