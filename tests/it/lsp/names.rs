//! What stands under the cursor: explained, found, given another name.

use super::client::{Client, HELPER, MAIN, applied};
use serde_json::{Value, json};

#[test]
fn names_are_explained_found_and_changed() {
    for encoding in ["utf-8", "utf-16"] {
        let mut c = Client::new(&[encoding]);
        assert_eq!(c.encoding, encoding);
        c.write("helper.rhai", HELPER);
        c.write("main.rhai", MAIN);
        assert_eq!(c.open("main.rhai", MAIN), Vec::<Value>::new());
        let hover = |c: &mut Client, before: &str| {
            c.ask("textDocument/hover", c.at("main.rhai", MAIN, before))["contents"]["value"].as_str().unwrap_or_default().to_owned()
        };
        assert!(hover(&mut c, "F::conv2").contains("[B, C, H, W]"));
        assert!(hover(&mut c, "{ strid").contains("What stride does"));
        assert!(hover(&mut c, "t.narro").contains("tensor.narrow"));
        assert!(hover(&mut c, "= torch::zer").contains("torch::zeros"));
        assert!(hover(&mut c, "let t = torc").contains("All of torch"));
        assert!(hover(&mut c, "helper::doub").contains("Doubles it."));
        assert!(hover(&mut c, "cfg.dep").contains("how deep"));
        assert!(hover(&mut c, "\"std/los").contains("losses.rhai"));
        assert!(hover(&mut c, "\"ste").contains("One step."));

        let definition = |c: &mut Client, before: &str| {
            let d = c.ask("textDocument/definition", c.at("main.rhai", MAIN, before));
            (d["uri"].as_str().unwrap_or_default().rsplit('/').next().unwrap().to_owned(), d["range"]["start"]["line"].as_u64())
        };
        assert_eq!(definition(&mut c, "helper::doub"), ("helper.rhai".into(), Some(3)));
        assert_eq!(definition(&mut c, "\"std/los"), ("losses.rhai".into(), Some(0)));
        assert_eq!(definition(&mut c, "\"ste"), ("main.rhai".into(), Some(16)));
        assert_eq!(definition(&mut c, "cfg.dep"), ("main.rhai".into(), Some(4)));
        assert_eq!(definition(&mut c, "(t, "), ("main.rhai".into(), Some(8)));

        let mut at = c.at("main.rhai", MAIN, "helper::doub");
        at["context"] = json!({ "includeDeclaration": true });
        assert_eq!(c.ask("textDocument/references", at).as_array().unwrap().len(), 3);

        // The emoji stands before the variable on its line.
        let mut at = c.at("main.rhai", MAIN, "conv2d(t");
        at["newName"] = json!("weight");
        let edit = c.ask("textDocument/rename", at);
        let text = applied(MAIN, &edit["changes"][c.uri("main.rhai")], encoding == "utf-8");
        assert_eq!(text, MAIN.replace("let t =", "let weight =").replace(" t.narrow", " weight.narrow").replace("(t, t,", "(weight, weight,"));
    }
}

#[test]
fn functions_are_renamed_in_texts_and_in_other_files() {
    let mut c = Client::new(&["utf-8"]);
    c.write("helper.rhai", HELPER);
    c.write("main.rhai", MAIN);
    c.open("main.rhai", MAIN);
    let rename = |c: &mut Client, before: &str, new: &str| {
        let mut at = c.at("main.rhai", MAIN, before);
        at["newName"] = json!(new);
        c.response("textDocument/rename", at)
    };
    let edit = rename(&mut c, "{ ste", "train_step");
    let text = applied(MAIN, &edit["result"]["changes"][c.uri("main.rhai")], true);
    assert_eq!(text, MAIN.replace("\"step\"", "\"train_step\"").replace("fn step(", "fn train_step(").replace("{ step(", "{ train_step("));
    let edit = rename(&mut c, "\"sampl", "draw");
    assert!(applied(MAIN, &edit["result"]["changes"][c.uri("main.rhai")], true).contains("on_sample: \"draw\""));
    // In the file that declares it, and in the others.
    let edit = rename(&mut c, "helper::doub", "twice");
    assert_eq!(edit["result"]["changes"][c.uri("main.rhai")].as_array().unwrap().len(), 2);
    assert_eq!(applied(HELPER, &edit["result"]["changes"][c.uri("helper.rhai")], true), HELPER.replace("fn double", "fn twice"));
    for (before, new, word) in [
        ("helper::doub", "1x", "cannot be a name"),
        ("helper::doub", "let", "cannot be a name"),
        ("{ ste", "sample", "means something else"),
        ("conv2d(t", "run", "means something else"),
        ("F::conv2", "x", "belongs to the program"),
        ("t.narro", "x", "belongs to the program"),
        ("\"std/los", "x", "name of its file"),
    ] {
        let e = rename(&mut c, before, new);
        assert!(e["error"]["message"].as_str().unwrap_or_default().contains(word), "{before}: {e}");
    }
    let (code, message) = c.refused("textDocument/prepareRename", c.at("main.rhai", MAIN, "#{ los"));
    assert_eq!(code, -32803, "{message}");
}
