//! Reloads leave nothing behind, and recorded scripts run without their files.

use super::{Scripts, engine};
use crate::script::source::Sources;
use rhai::{Dynamic, Map};

/// Resident memory of this process in bytes.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

/// `LATHE_RELOADS=10000 cargo test --lib reloads_leave` makes as many as a year of edits.
#[test]
fn reloads_leave_nothing_behind() {
    let reloads: i64 = std::env::var("LATHE_RELOADS").map_or(500, |n| n.parse().unwrap());
    let filler: String =
        (0..40).map(|i| format!("fn f{i}(x) {{ let m = #{{a: x, b: [x, {i}]}}; for k in 0..3 {{ m.a += k; }} m.b.map(|v| v + m.a) }}\n")).collect();
    let main = |n: i64| {
        format!(
            "import \"./a\" as a;\nconst N = {n};\n{filler}fn params() {{ #{{lr: arg({n}, \"x\")}} }}\nfn step(x) {{ a::f(x, |y| y + global::N) }}\nfn main(cfg) {{ }}\n"
        )
    };
    let scripts = Scripts::new(&[("main.rhai", &main(0)), ("a.rhai", "fn f(x, g) { g.call(x) }")]);
    let engine = engine();
    engine.load(scripts.path("main.rhai")).unwrap();
    engine.program().require("main.rhai", "step", 1).unwrap();
    let mut warm = 0;
    for n in 1..=reloads {
        if n % 10 == 0 {
            // A broken save leaves nothing either.
            scripts.write("main.rhai", &format!("{}fn broken(", main(n)));
            engine.reload().unwrap_err();
        }
        scripts.write("main.rhai", &main(n));
        engine.reload().unwrap();
        assert_eq!(engine.call("step", vec![Dynamic::from(1_i64)]).unwrap().as_int(), Ok(n + 1));
        if n == reloads / 5 {
            warm = resident();
        }
    }
    let grown = resident().saturating_sub(warm);
    println!("{reloads} reloads: {:.1} MB more after the first fifth", grown as f64 / 1e6);
    assert!(engine.program().sources.len() <= 4, "{} texts are held", engine.program().sources.len());
    assert!(grown < 5 << 20, "{grown} bytes more");
}

#[test]
fn a_text_stays_as_long_as_something_can_run_it() {
    let s = Sources::default();
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
    second.load_recorded(recorded.clone()).unwrap();
    assert_eq!(second.run(Map::new()).unwrap().as_int(), Ok(31));
    assert_eq!(second.recorded(), recorded);
    let mut lacks = recorded;
    lacks.units.pop();
    let e = second.load_recorded(lacks).unwrap_err();
    assert!(e.to_string().contains("the record of the run lacks `./b`"), "{e}");
}
