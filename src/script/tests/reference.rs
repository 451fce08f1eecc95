//! docs/reference is what the doc comments say now, and names find what they mean.

use crate::script::docs::{Found, Reference, ScriptPage, definitions, pages, recipe_page, recipes, script_texts};
use crate::script::{Engine, EngineOptions};
use std::collections::BTreeMap;
use std::path::Path;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn loaded() -> (Engine, Reference) {
    let engine = Engine::new(EngineOptions { stdlib: Some(repository().join("stdlib")), ..EngineOptions::default() });
    let reference = engine.reference().unwrap();
    (engine, reference)
}

#[test]
fn the_pages_in_the_repository_are_up_to_date() {
    let (engine, reference) = loaded();
    let texts = script_texts(&repository().join("scripts")).unwrap();
    let scripts = texts.iter().map(|(path, text)| {
        engine.load(path).unwrap();
        let shown = path.strip_prefix(repository()).unwrap().display().to_string();
        ScriptPage { path: shown, text, params: engine.params().unwrap() }
    });
    let scripts: Vec<ScriptPage> = scripts.collect();
    assert!(scripts.len() >= 5, "the scripts were found");
    let wanted: BTreeMap<String, String> = pages(&reference, &scripts).into_iter().collect();
    let folder = repository().join("docs/reference");
    let files = walkdir::WalkDir::new(&folder).into_iter().flatten().filter(|e| e.file_type().is_file());
    let found: BTreeMap<String, String> =
        files.map(|e| (e.path().strip_prefix(&folder).unwrap().display().to_string(), std::fs::read_to_string(e.path()).unwrap())).collect();
    let wrong: Vec<&String> = wanted.keys().chain(found.keys()).filter(|name| wanted.get(*name) != found.get(*name)).collect();
    assert!(wrong.is_empty(), "docs/reference is out of date: run `lathe doc --write docs/reference`. These pages differ: {wrong:?}");
}

#[test]
fn the_page_of_recipes_is_up_to_date() {
    let folder = repository().join("scripts/recipes");
    let readme = std::fs::read_to_string(folder.join("README.md")).unwrap();
    let recipes = recipes(&folder).unwrap();
    let found = std::fs::read_to_string(repository().join("docs/guide/recipes.md")).unwrap();
    assert_eq!(found, recipe_page(&readme, &recipes), "run `lathe doc --recipes docs/guide/recipes.md`");
    for r in &recipes {
        // Each says whose it is, what it does, whence, how and to what end, and can be tried.
        let script = repository().join(format!("scripts/{}.rhai", r.script));
        assert!(script.is_file(), "{}: there is no script `{}`", r.name, r.script);
        let section = found.split("\n### ").find(|s| s.starts_with(&format!("{}\n", r.name))).unwrap();
        for part in ["- Source: ", "- Run: ", "- Expect: ", &format!("\n{} ", r.script), &format!("--config {}", r.name)] {
            assert!(section.contains(part), "{}: its head lacks `{part}`", r.name);
        }
    }
}

#[test]
fn names_find_what_they_mean() {
    let (_, reference) = loaded();
    let ids = |name: &str| match reference.find(name) {
        Ok(Found::Page(p, others)) => format!("page {} {:?}", p.name, others.iter().map(|i| i.id.as_str()).collect::<Vec<_>>()),
        Ok(Found::Items(items)) => items.iter().map(|i| i.id.as_str()).collect::<Vec<_>>().join(" "),
        Err(e) => e.to_string(),
    };
    for (name, want) in [
        ("torch::op", "torch::op"),
        ("torch.op", "torch::op"),
        ("tensor.matmul", "tensor.matmul"),
        ("Tensor::matmul", "tensor.matmul"),
        ("matmul", "tensor.matmul"),
        ("MATMUL", "tensor.matmul"),
        ("assert_eq()", "assert_eq"),
        ("std/flow", "page std/flow []"),
        ("flow", "page std/flow []"),
        ("std/flow::score", "std/flow::score"),
        ("flow::score", "std/flow::score"),
        ("Tensor", "page tensor []"),
        ("torch", "page torch []"),
        ("@", "tensor @"),
        ("tensor []", "tensor []"),
        ("run.step", "run.step run.step"),
        ("tensor.matmull", "nothing is called `tensor.matmull`, did you mean `tensor.matmul`?"),
        ("layernorm", "nothing is called `layernorm`, did you mean `layer_norm`?"),
        ("std/flwo", "nothing is called `std/flwo`, did you mean `std/flow`?"),
        ("qqqqqqqqq", "nothing is called `qqqqqqqqq`"),
    ] {
        assert_eq!(ids(name), want, "{name}");
    }
}

#[test]
fn words_are_searched_in_names_and_texts() {
    let (_, reference) = loaded();
    let found: Vec<&str> = reference.search("cosine").iter().map(|i| i.id.as_str()).collect();
    assert_eq!(found[0], "std/repa::cosine");
    for want in ["F::cosine_similarity", "tensor.cos", "nn::sincos_2d"] {
        assert!(found.contains(&want), "{want}: {found:?}");
    }
    assert!(reference.search("cosine similarity").len() < found.len());
    assert!(reference.search("qqqqqqqqq").is_empty());
}

#[test]
fn definitions_declare_everything() {
    let (_, reference) = loaded();
    let files: BTreeMap<String, String> = definitions(&reference).into_iter().collect();
    assert!(files["torch.d.rhai"].starts_with("module torch;\n"));
    assert!(files["std/flow.d.rhai"].starts_with("module \"std/flow\";\n"));
    let global = &files["lathe.d.rhai"];
    assert!(global.starts_with("module static;\n"));
    for line in [
        "fn matmul(this_value: Tensor, other: Tensor) -> Tensor;",
        "op @(Tensor, Tensor) -> Tensor;",
        "fn get shape(this_value: Tensor) -> Array;",
        "fn assert(condition: bool) -> ();",
        "fn assert(condition: bool, message: String) -> ();",
    ] {
        assert!(global.lines().any(|l| l == line), "{line}");
    }
    assert!(files["torch.d.rhai"].lines().any(|l| l == "fn zeros(shape: Array) -> Tensor;"));
    // Every declaration ends, and every other line is a comment or the head.
    for (name, text) in &files {
        let odd: Vec<&str> = text.lines().filter(|l| !l.is_empty() && !l.starts_with("///") && !l.ends_with(';')).collect();
        assert!(odd.is_empty(), "{name}: {odd:?}");
    }
}
