//! What the server shows of saved and of unsaved texts.

use super::Served;
use crate::support::process::{LATHE, lathe, parts};
use serde_json::{Value, json};
use std::process::Command;

/// What `lathe check --json` finds in a file, as diagnostics have it.
fn checked(file: &str) -> Vec<Value> {
    let (_, out, err) = parts(lathe(&std::env::temp_dir(), &["check", "--json", file]).output().unwrap());
    let list: Vec<Value> = serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}{err}"));
    let short = |f: &Value| {
        let message =
            f["help"].as_str().map_or(f["message"].as_str().unwrap().to_owned(), |h| format!("{}\nhelp: {h}", f["message"].as_str().unwrap()));
        let severity = if f["severity"] == "warning" { 2 } else { 1 };
        // Without a place it is shown at the beginning.
        let at = |key: &str| f[key].as_u64().map_or(0, |n| n - 1);
        json!([at("line"), at("column"), at("end"), f["code"], severity, message])
    };
    list.iter().map(short).collect()
}

fn shown(list: &[Value]) -> Vec<Value> {
    let short = |d: &Value| {
        let range = &d["range"];
        json!([range["start"]["line"], range["start"]["character"], range["end"]["character"], d["code"], d["severity"], d["message"]])
    };
    list.iter().map(short).collect()
}

fn sorted(mut list: Vec<Value>) -> Vec<String> {
    list.sort_by_key(Value::to_string);
    list.iter().map(Value::to_string).collect()
}

/// Scripts with something wrong, each of another kind.
const WRONG: [&str; 9] = [
    "fn main(cfg) {\n    let x = torch::zeors([2]);\n    x.summ()\n}\n",
    "fn main(cfg) { let value = 1; valeu + valu }\n",
    "import \"std/flwo\" as flow;\nimport \"./gone\" as gone;\nfn main(cfg) { gone::f() }\n",
    "fn main(cfg) {\n    F::conv2d(1, 2, (), #{ strid: 2 });\n    let r = 3/2;\n    r\n}\n",
    "fn params() { #{ depth: arg(6, \"how deep\") } }\nfn main(cfg) { cfg.dept }\n",
    "fn params() { #{ depth: arg(6) + } }\nfn main(cfg) { 1 }\n",
    "const N = [1, 2][7];\nfn main(cfg) { N }\n",
    "fn f(x) { x }\nlet y = 1;\nfn main(a, b) { f() }\n",
    "fn main(cfg) { \"open\n",
];

#[test]
fn saved_scripts_have_the_faults_of_check() {
    let mut c = Served::new(&["utf-8"]);
    for (i, text) in WRONG.iter().enumerate() {
        let name = format!("wrong{i}.rhai");
        c.write(&name, text);
        let found = c.open(&name, text);
        let wanted = checked(c.path(&name).to_str().unwrap());
        assert!(!wanted.is_empty(), "{text}");
        assert_eq!(sorted(shown(&found)), sorted(wanted), "{text}");
    }
}

#[test]
fn nothing_of_a_script_runs_before_it_is_saved() {
    let mut c = Served::new(&["utf-16"]);
    let good = "fn main(cfg) { 1 }\n";
    c.write("main.rhai", good);
    assert_eq!(c.open("main.rhai", good), Vec::<Value>::new());
    // Evaluating it fails, and only that tells.
    let text = "import \"./part\" as part;\nconst N = [1, 2][7];\nfn params() { throw \"it ran\" }\nfn main(cfg) { part::M + global::N }\n";
    c.write("part.rhai", "export const M = 1;\n");
    let open = c.open("part.rhai", "export const M = [][3];\n");
    assert_eq!(open, Vec::<Value>::new());
    assert_eq!(c.change("main.rhai", 2, json!([{ "text": text }])), Vec::<Value>::new());
    // What is unsaved counts for those that import it.
    let found = c.change("part.rhai", 2, json!([{ "text": "export const OTHER = 1;\n" }]));
    assert_eq!(found, Vec::<Value>::new());
    let found = c.diagnostics("main.rhai", 2);
    assert!(found.iter().any(|d| d["message"].as_str().unwrap().contains("exports no constant `M`")), "{found:?}");
    let found = c.change("part.rhai", 3, json!([{ "text": "export const M = 1;\n" }]));
    assert_eq!(found, Vec::<Value>::new());
    c.kept.clear();
    c.write("main.rhai", text);
    for name in ["part.rhai", "main.rhai"] {
        let uri = c.uri(name);
        c.tell("textDocument/didSave", json!({ "textDocument": { "uri": uri } }));
    }
    // Until it is checked again, what was found before is told with each check of another script.
    let found = loop {
        let found = c.diagnostics("main.rhai", 2);
        if !found.is_empty() && !found.iter().any(|d| d["message"].as_str().unwrap().contains("exports no constant")) {
            break found;
        }
    };
    assert_eq!(sorted(shown(&found)), sorted(checked(c.path("main.rhai").to_str().unwrap())));
}

#[test]
fn modules_that_did_not_change_are_still_checked_against_what_did() {
    // `of` leans on a key of a map in `main`; without it, `of` is wrong.
    let part = "fn of(x) { x.weigh(1) }\n";
    let with = "import \"./part\" as part;\nfn main(cfg) { part::of(#{ weigh: |n| n }) }\n";
    let without = "import \"./part\" as part;\nfn main(cfg) { part::of(#{ other: |n| n }) }\n";
    let mut c = Served::new(&["utf-8"]);
    c.write("part.rhai", part);
    c.open("main.rhai", with);
    let mut version = 1;
    for _ in 0..3 {
        version += 1;
        assert_eq!(c.change("main.rhai", version, json!([{ "text": without }])), Vec::<Value>::new());
        c.settle();
        let uri = c.uri("part.rhai");
        let last = c.kept.iter().rfind(|m| m["params"]["uri"] == json!(uri)).expect("the module has a fault").clone();
        assert!(last["params"]["diagnostics"][0]["message"].as_str().unwrap().contains("no type has a method `weigh`"), "{last}");
        version += 1;
        assert_eq!(c.change("main.rhai", version, json!([{ "text": with }])), Vec::<Value>::new());
        c.settle();
        let last = c.kept.iter().rfind(|m| m["params"]["uri"] == json!(uri)).expect("the fault is taken away").clone();
        assert_eq!(last["params"]["diagnostics"], json!([]));
        c.kept.clear();
    }
    // Of two files of one name and text, each has its own.
    c.write("a/twin.rhai", "fn f() { gone() }\n");
    c.write("b/twin.rhai", "fn f() { gone() }\n");
    let text = "import \"./twin\" as twin;\nfn main(cfg) { twin::f() }\n";
    for folder in ["a", "b"] {
        c.kept.clear();
        c.open(&format!("{folder}/main.rhai"), text);
        c.settle();
        let uri = c.uri(&format!("{folder}/twin.rhai"));
        let about = |m: &&Value| m["params"]["uri"] == json!(uri) && m["params"]["diagnostics"].as_array().is_some_and(|d| d.len() == 1);
        assert!(c.kept.iter().any(|m| about(&m)), "{folder}: {:?}", c.kept);
    }
}

#[test]
fn help_says_how_it_is_started() {
    for (verb, words) in [("lsp", ["stdin and stdout", "docs/editor.md"]), ("fmt", ["--check", "lathe fmt -"])] {
        let (code, out, _) = parts(Command::new(LATHE).args([verb, "--help"]).output().unwrap());
        assert!(code == 0 && words.iter().all(|w| out.contains(w)), "{out}");
    }
}
