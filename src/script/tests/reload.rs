//! Reloads leave nothing behind, and recorded scripts run without their files.

use super::{Scripts, engine};
use crate::script::lang::source::Texts;
use rhai::{Dynamic, Map};
use std::path::Path;

#[test]
fn reloads_leave_no_texts_behind() {
    let scripts = Scripts::new(&[("main.rhai", "fn main() { }"), ("a.rhai", "fn f(x, g) { g.call(x) }")]);
    let engine = engine();
    engine.load(scripts.path("main.rhai")).unwrap();
    for n in 1..=20_i64 {
        scripts.write("main.rhai", "fn broken(");
        engine.reload().unwrap_err();
        scripts.write("main.rhai", &format!("import \"./a\" as a;\nconst N = {n};\nfn step(x) {{ a::f(x, |y| y + global::N) }}\nfn main() {{ }}"));
        engine.reload().unwrap();
        assert_eq!(engine.call("step", vec![Dynamic::from(1_i64)]).unwrap().as_int(), Ok(n + 1));
    }
    assert_eq!(engine.program().sources.len(), 2);
}

#[test]
fn a_text_stays_as_long_as_something_can_run_it() {
    let s = Texts::default();
    let one = s.add("a", "a.rhai", &"1".into());
    let _two = s.add("a", "a.rhai", &"2".into());
    s.sweep();
    assert_eq!(&*s.get("a").unwrap().text, "1");
    drop(one);
    s.sweep();
    assert!(s.get("a").is_none());
    assert_eq!(s.len(), 1, "the newest stays");
}

#[test]
fn recorded_scripts_run_without_their_files() {
    let scripts = Scripts::new(&[
        ("main.rhai", "import \"./sub/a\" as a;\nimport \"std/flow\" as flow;\nfn main() { a::f(3) }"),
        ("sub/a.rhai", "import \"./b\" as b;\nfn f(x) { b::g(x) + 1 }"),
        ("sub/b.rhai", "fn g(x) { x * 10 }"),
    ]);
    let first = engine();
    first.load(scripts.path("main.rhai")).unwrap();
    let recorded = first.recorded();
    assert_eq!(recorded.units.iter().map(|u| u.id.as_str()).collect::<Vec<_>>(), ["main.rhai", "std/flow.rhai", "sub/a.rhai", "sub/b.rhai"]);
    std::fs::remove_dir_all(scripts.folder()).unwrap();
    let second = engine();
    second.load_recorded(recorded.clone(), Path::new(".")).unwrap();
    assert_eq!(second.run(Map::new()).unwrap().as_int(), Ok(31));
    assert_eq!(second.recorded(), recorded);
    let mut lacks = recorded;
    lacks.units.pop();
    let e = second.load_recorded(lacks, Path::new(".")).unwrap_err();
    assert!(e.to_string().contains("the record of the run lacks `./b`"), "{e}");
}
