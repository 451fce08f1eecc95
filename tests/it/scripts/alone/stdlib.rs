//! The standard library's own tests: every `fn test_*()` of `stdlib/tests/*.rhai`, run by the engine.

use crate::support::{alone, root};
use lathe::script::{Engine, EngineOptions, on_big_stack};
use std::path::PathBuf;

fn folder() -> PathBuf {
    root().join("stdlib")
}

/// The names of the modules in `stdlib/tests`, which holds nothing else.
fn files() -> Vec<String> {
    let entries = std::fs::read_dir(folder().join("tests")).unwrap().map(|e| e.unwrap().path());
    let name = |path: PathBuf| {
        assert!(
            path.is_file() && path.extension().is_some_and(|e| e == "rhai"),
            "{} would not be run: stdlib/tests holds files NAME.rhai alone",
            path.display()
        );
        path.file_stem().unwrap().to_str().unwrap().to_owned()
    };
    let mut names: Vec<String> = entries.map(name).collect();
    names.sort();
    names
}

/// The functions named `test_*` without parameters.
fn tests(text: &str) -> Vec<&str> {
    text.lines().filter_map(|l| l.strip_prefix("fn ")?.split_once("()").map(|(name, _)| name)).filter(|n| n.starts_with("test_")).collect()
}

fn engine() -> Engine {
    Engine::new(EngineOptions { stdlib: Some(folder()), ..EngineOptions::default() })
}

// In two processes, since these take longer than all others that run alone; many of them seed the process's random generator.

#[test]
fn every_test_of_the_standard_library_passes_the_first_half() {
    alone(|| half_passes(0));
}

#[test]
fn every_test_of_the_standard_library_passes_the_second_half() {
    alone(|| half_passes(1));
}

/// Every second file, from that of number `first` on: in one script, so that what several of them import is read once.
fn half_passes(first: usize) {
    let (count, failures) = on_big_stack(move || {
        let (mut script, mut names) = (String::new(), Vec::new());
        for file in files().into_iter().skip(first).step_by(2) {
            let text = std::fs::read_to_string(folder().join("tests").join(format!("{file}.rhai"))).unwrap();
            let tests = tests(&text);
            assert!(!tests.is_empty(), "stdlib/tests/{file}.rhai has no test");
            assert_eq!(tests.len(), text.matches("fn test_").count(), "stdlib/tests/{file}.rhai has tests that would not be run");
            script += &format!("import \"std/tests/{file}\" as {file};\n");
            names.extend(tests.iter().map(|test| format!("{file}::{test}")));
        }
        // Those that draw without a seed of their own draw the same in any order.
        script.extend(names.iter().enumerate().map(|(i, name)| format!("fn run_{i}() {{ torch::manual_seed(0); {name}(); }}\n")));
        let engine = engine();
        engine.load_text("tests", &script).map_err(|e| panic!("{}", e.render(false))).unwrap();
        let fails = |(i, name): (usize, &String)| Some(format!("{name}\n{}", engine.call(&format!("run_{i}"), vec![]).err()?.render(false)));
        (names.len(), names.iter().enumerate().filter_map(fails).collect::<Vec<_>>())
    })
    .unwrap();
    assert!(failures.is_empty(), "{} of {count} tests fail:\n\n{}", failures.len(), failures.join("\n\n"));
    assert!(count > 100, "only {count} tests were found in stdlib/tests");
}

/// A file of tests bears its module's name: a module that is renamed takes its tests along.
#[test]
fn every_file_of_tests_belongs_to_a_module() {
    for file in files() {
        let places = [folder(), folder().join("nets")];
        assert!(places.iter().any(|p| p.join(format!("{file}.rhai")).is_file()), "stdlib/tests/{file}.rhai tests no module of that name");
    }
}

#[test]
fn tests_are_found_by_name_and_can_fail() {
    assert_eq!(tests("fn test_a() {\nfn helper() {\nfn test_b(x) {\nfn test_c() { 1 }\n//fn test_d() {"), ["test_a", "test_c"]);
    let message = on_big_stack(|| {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("tests")).unwrap();
        std::fs::write(folder.path().join("tests/x.rhai"), "fn test_a() { assert_eq(1 + 1, 3); }").unwrap();
        let engine = Engine::new(EngineOptions { stdlib: Some(folder.path().into()), ..EngineOptions::default() });
        engine.eval("import \"std/tests/x\" as t;\nt::test_a();").unwrap_err().render(false)
    })
    .unwrap();
    assert!(message.contains("`2` is not `3`") && message.contains("std/tests/x:1"), "{message}");
}
