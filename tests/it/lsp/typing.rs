//! What an editor asks for while someone types, and what it shows of a text.

use super::client::{Client, HELPER, MAIN, applied};
use serde_json::json;

#[test]
fn what_could_be_typed() {
    let mut c = Client::new(&["utf-8"]);
    c.write("helper.rhai", HELPER);
    c.open("main.rhai", "");
    let head = "import \"./helper\" as helper;\nconst N = 1;\nfn params() { #{ depth: arg(6, \"\") } + helper::group(\"rate\") }\nfn main(cfg) {\n    let t = torch::zeros([1]);\n";
    let mut version = 1;
    let mut typed = |c: &mut Client, text: &str| {
        version += 1;
        c.typed("main.rhai", version, &format!("{head}    {text}\n}}\nfn after(z) {{ z }}\n"))
    };
    let has = |list: &[String], names: &[&str]| names.iter().all(|n| list.iter().any(|l| l == n));
    let list = typed(&mut c, "he‸");
    assert!(
        has(&list, &["helper", "t", "cfg", "torch", "F", "print", "after", "let", "global"]) && !has(&list, &["z"]) && !has(&list, &["N"]),
        "{list:?}"
    );
    assert_eq!(typed(&mut c, "helper::‸"), ["double", "RATE", "group"]);
    assert_eq!(typed(&mut c, "torch::z‸ + 1"), ["zeros"]);
    assert_eq!(typed(&mut c, "global::‸"), ["N"]);
    assert_eq!(typed(&mut c, "t.‸"), ["shape", "sum", "narrow"]);
    assert_eq!(typed(&mut c, "(t * 2.0).sum().‸"), ["shape", "sum", "narrow"]);
    assert_eq!(typed(&mut c, "train::run(cfg).‸"), ["track"]);
    assert_eq!(typed(&mut c, "let o = #{ a: 1, b: #{ c: 2 } };\n    o.‸"), ["a", "b"]);
    assert!(has(&typed(&mut c, "unknown().‸"), &["shape", "track"]));
    assert_eq!(typed(&mut c, "cfg.‸"), ["depth", "rate"]);
    assert_eq!(typed(&mut c, "train::run(cfg).cfg.de‸"), ["depth", "rate"]);
    assert_eq!(typed(&mut c, "F::conv2d(t, t, (), #{ ‸ })"), ["stride", "padding"]);
    assert_eq!(typed(&mut c, "F::conv2d(t, t, (), #{ stride: 1, p‸ })"), ["padding"]);
    assert_eq!(typed(&mut c, "F::conv2d(t, t, (), #{ padding: ‸"), ["\"same\"", "\"valid\""]);
    assert_eq!(typed(&mut c, "F::conv2d(t, t, (), #{ padding: \"s‸\" })"), ["same", "valid"]);
    assert!(has(&typed(&mut c, "train::fit(run, [], \"‸\")"), &["main", "after"]));
    assert!(has(&typed(&mut c, "import \"std/‸\" as x;"), &["std/losses", "./helper"]));
    assert!(typed(&mut c, "// he‸").is_empty());
    assert!(typed(&mut c, "let x‸").is_empty());
    assert!(typed(&mut c, "`he‸llo`").is_empty());
    assert!(has(&typed(&mut c, "`${he‸}`"), &["helper", "t"]));
    assert!(has(&typed(&mut c, "xs.map(|q| q + ‸)"), &["q", "t"]));
    let item = c.ask("completionItem/resolve", json!({ "label": "conv2d", "data": { "entry": 0 } }));
    assert!(item["documentation"]["value"].as_str().unwrap().contains("A convolution"));
    let _ = c.labels("main.rhai", &format!("{head}    xs.map(|q| q + )\n"), "q + ");
}

#[test]
fn signatures_symbols_folds_colors_hints_and_layout() {
    let mut c = Client::new(&["utf-8"]);
    c.write("helper.rhai", HELPER);
    c.open("main.rhai", MAIN);
    let help = c.ask("textDocument/signatureHelp", c.at("main.rhai", MAIN, "t.narrow(0, "));
    assert_eq!((help["activeParameter"].as_i64(), help["signatures"][0]["label"].as_str()), (Some(1), Some("tensor.narrow(dim, start, length)")));
    let help = c.ask("textDocument/signatureHelp", c.at("main.rhai", MAIN, "helper::double("));
    assert_eq!(help["signatures"][0]["label"], "double(x)");
    let help = c.ask("textDocument/signatureHelp", c.at("main.rhai", MAIN, "#{ stride: "));
    assert_eq!(help["activeParameter"], 3);

    let of = json!({ "textDocument": { "uri": c.uri("main.rhai") } });
    let symbols = c.ask("textDocument/documentSymbol", of.clone());
    let names: Vec<&str> = symbols.as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["helper", "losses", "params", "main", "step", "step_size", "sample"]);
    let found = c.ask("workspace/symbol", json!({ "query": "dbl" }));
    assert_eq!(found[0]["name"], "double");

    let folds = c.ask("textDocument/foldingRange", of.clone());
    assert!(folds.as_array().unwrap().iter().any(|f| f["startLine"] == 6 && f["endLine"] == 12), "{folds}");
    assert!(folds.as_array().unwrap().iter().any(|f| f["startLine"] == 1 && f["endLine"] == 2 && f["kind"] == "imports"), "{folds}");

    let data = c.ask("textDocument/semanticTokens/full", of.clone())["data"].clone();
    let numbers: Vec<u64> = data.as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect();
    let lines: Vec<&str> = MAIN.lines().collect();
    let (mut line, mut column, mut seen) = (0, 0, Vec::new());
    for token in numbers.chunks(5) {
        line += token[0] as usize;
        column = if token[0] == 0 { column + token[1] as usize } else { token[1] as usize };
        seen.push((lines[line].get(column..column + token[2] as usize).expect("a token within its line"), token[3]));
    }
    for wanted in [
        ("//! A program.", 8),
        ("import", 9),
        ("helper", 0),
        ("double", 1),
        ("\"🙂é\"", 6),
        ("narrow", 2),
        ("cfg", 4),
        ("depth", 3),
        ("run", 5),
        ("2", 7),
    ] {
        assert!(seen.contains(&wanted), "{wanted:?} in {seen:?}");
    }

    let hints = c.ask("textDocument/inlayHint", json!({ "textDocument": { "uri": c.uri("main.rhai") }, "range": { "start": { "line": 0, "character": 0 }, "end": { "line": 99, "character": 0 } } }));
    let labels: Vec<&str> = hints.as_array().unwrap().iter().map(|h| h["label"].as_str().unwrap()).collect();
    assert_eq!(labels, ["default:", "dim:", "start:", "length:", "bias:"]);

    let ugly = MAIN.replace("    ", "  ").replace(", ", ",").replace(" = ", "=");
    c.change("main.rhai", 2, json!([{ "text": ugly }]));
    let edits =
        c.ask("textDocument/formatting", json!({ "textDocument": { "uri": c.uri("main.rhai") }, "options": { "tabSize": 4, "insertSpaces": true } }));
    assert_eq!(applied(&ugly, &edits, true), MAIN);
    c.change("main.rhai", 3, json!([{ "text": "fn f( {" }]));
    let (code, message) = c.refused("textDocument/formatting", json!({ "textDocument": { "uri": c.uri("main.rhai") }, "options": {} }));
    assert!(code == -32803 && message.contains("not closed"), "{message}");
}
