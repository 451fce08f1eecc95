//! docs/agents.md: every line of it runs, and the documents are what the page says.

use crate::support::process::{LATHE, Place};
use crate::support::root;
use serde_json::Value;
use std::path::Path;
use std::process::Command;

fn page() -> String {
    std::fs::read_to_string(root().join("docs/agents.md")).unwrap()
}

fn block<'a>(page: &'a str, kind: &str) -> &'a str {
    page.split(&format!("```{kind}\n")).nth(1).and_then(|s| s.split("```").next()).unwrap_or_else(|| panic!("the page has a block of {kind}"))
}

/// The names that the page's table has for a verb.
fn promised(page: &str, verb: &str) -> Vec<String> {
    let row = page.lines().find(|l| l.starts_with(&format!("| `{verb}"))).unwrap_or_else(|| panic!("a row for {verb}"));
    row.split('|').nth(2).unwrap().split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Every key in a document.
fn keys(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::Array(list) => list.iter().for_each(|v| keys(v, out)),
        Value::Object(map) => map.iter().for_each(|(k, v)| {
            out.push(k.clone());
            keys(v, out);
        }),
        _ => {}
    }
}

#[test]
fn every_line_of_the_page_runs() {
    let page = page();
    let place = Place::new(&[("line.rhai", block(&page, "rhai"))]);
    let mut script = String::from("set -eu\ntrap 'kill $! 2>/dev/null || true' EXIT\n");
    let lines: Vec<&str> = block(&page, "sh").lines().collect();
    for line in &lines {
        script.push_str(&format!("{line}\necho '--- end'\n"));
    }
    let path = std::env::join_paths([Path::new(LATHE).parent().unwrap(), Path::new("/usr/bin"), Path::new("/bin")]).unwrap();
    let mut command = Command::new("sh");
    command.current_dir(place.folder()).args(["-c", &script]).env("PATH", path).env("OMP_NUM_THREADS", "1").env_remove("LATHE_STDLIB");
    let out = command.output().unwrap();
    let (said, err) = (String::from_utf8(out.stdout).unwrap(), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success(), "{said}{err}");
    let parts: Vec<&str> = said.split("--- end\n").collect();
    assert_eq!(parts.len(), lines.len() + 1, "{said}{err}");
    let of = |start: &str| parts[lines.iter().position(|l| l.starts_with(start)).unwrap_or_else(|| panic!("a line with {start}"))];
    let json = |start: &str| -> Value { serde_json::from_str(of(start)).unwrap_or_else(|e| panic!("{start}: {e}: {}", of(start))) };

    assert_eq!(json("lathe check"), serde_json::json!([]));
    assert_eq!(json("lathe doc")["items"][0]["id"], "nn::linear");
    let mut values = of("lathe attach exps/slow -e 'run.step'").lines();
    assert!(values.next().unwrap().parse::<u64>().is_ok(), "{said}");
    assert_eq!(values.next(), Some(r#"{"shape":[1,1]}"#), "{said}");
    let runs = json("lathe runs");
    assert_eq!((&runs[0]["name"], &runs[0]["state"]), (&"slow".into(), &"running".into()), "{runs}");
    let compared = json("lathe compare");
    assert_eq!(compared["runs"][1]["step"], 200, "{compared}");
    let lr = compared["settings"].as_array().unwrap().iter().find(|s| s["name"] == "lr").unwrap();
    assert_eq!((&lr["values"], &compared["runs"][0]["edits"]), (&serde_json::json!([0.0001, 0.1]), &1.into()), "{compared}");
    assert_eq!(json("lathe diff")["runs"][1]["state"], "finished");
    assert_eq!(json("lathe inspect")["kind"], "checkpoint");
    // What the documents hold is what the page promises: each key, and nothing beside.
    for verb in ["compare", "diff", "doc", "doctor"] {
        let (mut has, mut wanted) = (Vec::new(), promised(&page, verb));
        if verb == "diff" {
            wanted.extend(promised(&page, "compare"));
        }
        keys(&json(&format!("lathe {verb}")), &mut has);
        let unknown: Vec<&String> = has.iter().filter(|k| !wanted.contains(k)).collect();
        assert!(unknown.is_empty(), "{verb}: the page lacks {unknown:?}");
    }
}

#[test]
fn an_error_is_a_document_too() {
    let place = Place::new(&[("wrong.rhai", "fn main(cfg) { gone() }\n")]);
    for (args, code, exit) in [
        (&["check", "--json", "none.rhai"][..], "E0301", 1),
        (&["runs", "--json", "none"], "E0301", 1),
        (&["compare", "--json", "a", "b"], "E0301", 1),
        (&["diff", "--json", "a", "b"], "E0301", 1),
        (&["inspect", "--json", "none"], "E0301", 1),
        (&["push", "--json", "none", "hf://a/b"], "E0301", 1),
        (&["doc", "--json", "no_such_thing"], "E0101", 2),
        (&["doc", "--json", "--search", "nosuchwordsxx"], "E0101", 2),
        (&["recipes", "--json"], "E0101", 2),
        (&["test", "--json", "--filter", "nothing"], "E0101", 2),
        (&["runs", "--json", "--no-such-flag"], "E0101", 2),
        (&["compare", "--json", "one"], "E0101", 2),
        (&["compare", "--json", "run"], "E0101", 2),
        (&["doc", "run::nothing", "--json"], "E0101", 2),
    ] {
        let (status, out, err) = place.lathe(args);
        let Ok(said) = serde_json::from_str::<Value>(&out) else { panic!("{args:?}: no document: {out}{err}") };
        if args[0] == "test" {
            assert_eq!((status, &said), (exit, &serde_json::json!([])), "{args:?}");
            continue;
        }
        let error = &said["error"];
        assert_eq!((status, error["code"].as_str(), error["exit"].as_i64()), (exit, Some(code), Some(exit.into())), "{args:?}: {out}");
        assert!(error["message"].as_str().is_some_and(|m| !m.is_empty()) && err.starts_with("error"), "{args:?}: {out}{err}");
        let names: Vec<&String> = error.as_object().unwrap().keys().collect();
        assert_eq!(names, ["code", "message", "help", "exit", "file", "line", "column", "end", "also"]);
    }
    // A report of faults is a result.
    let (status, out, _) = place.lathe(&["check", "--json", "wrong.rhai"]);
    let faults: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((status, faults[0]["line"].as_u64(), faults[0]["code"].as_str()), (1, Some(1), Some("E0503")));
}

#[test]
fn the_documentation_for_programs_is_all_of_it() {
    let place = Place::new(&[]);
    let (code, out, err) = place.lathe(&["doc", "--json"]);
    assert_eq!(code, 0, "{err}");
    let all: Value = serde_json::from_str(&out).unwrap();
    let (pages, items) = (all["pages"].as_array().unwrap(), all["items"].as_array().unwrap());
    assert!(pages.iter().any(|p| p["name"] == "std/flow" && p["kind"] == "module") && items.len() > 500);
    let conv = items.iter().find(|i| i["id"] == "F::conv2d").unwrap();
    assert_eq!((&conv["kind"], &conv["params"][0]["name"]), (&"function".into(), &"x".into()), "{conv}");
    assert!(conv["options"].as_array().unwrap().iter().any(|o| o["name"] == "stride") && conv["doc"].as_str().unwrap().contains("[B, C"), "{conv}");
    let (_, out, _) = place.lathe(&["doc", "--json", "optimizer"]);
    let page: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((page["pages"].as_array().unwrap().len(), &page["pages"][0]["kind"]), (1, &"type".into()));
}
