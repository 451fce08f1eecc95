//! Units do not see each other's functions, whatever their names: the table that rhai's own modules fail.

use super::{Scripts, engine};
use rhai::{Dynamic, Map};

const B: &str = "export const XK = 70; const K = 7;
private fn helper(x) { x + 1000 }
fn useh(x) { helper(x) }
fn k() { global::K }
fn act(x) { relu(x) }
fn opts(m) { m.cb.call(1) }
fn fail(x) {
  boom(x)
}";

const A: &str = r#"import "./b" as b; const K = 3;
fn helper(x) { x + 1 }
fn useh(x) { helper(x) }
fn both(x) { [helper(x), b::useh(x), global::K, b::k()] }
fn callit(f, x) { f.call(x) }
fn loopit(f, x) { let s = 0; for i in 0..4 { s = f.call(x); } s }
fn hostit(f, x) { host_apply(f, x) }
fn mk(k) { |x| x * k + helper(0) }
fn mapit(a, f) { a.map(f) }
fn nop(x) { x }
fn mutm(m) { m.x = 99; m.x }
fn fnarray() { [|x| x + helper(0)] }
fn keep(f) { host_keep(f); }
fn inmost(v) { while type_of(v) == "array" { v = v[0]; } v }
fn throwit(k) { throw |x| helper(x) + k }
fn caller(n) { |f, x| f.call(x) + n }
"#;

const MAIN: &str = r#"import "./a" as a; import "./b" as b; const K = 40;
fn helper(x) { x + 5 }
fn mine(x) { x * 100 }
fn relu(x) { 777 }
fn only_in_main() { 1 }
"#;

/// What `main` evaluates, and what it must give; an `Err` is a part of the message.
const CASES: &[(&str, &str, Result<&str, &str>)] = &[
    (
        "no function is mistaken for another",
        "let t = []; for i in 0..3 { t.push(helper(1)); t.push(a::useh(1)); t.push(b::useh(1)); } t",
        Ok("[6, 2, 1001, 6, 2, 1001, 6, 2, 1001]"),
    ),
    ("nested modules", "a::both(1)", Ok("[2, 1001, 3, 7]")),
    ("a native is not hijacked", "b::act(-5)", Ok("0")),
    ("a named function", "a::callit(Fn(\"mine\"), 1)", Ok("100")),
    ("a named function that exists on both sides", "a::callit(Fn(\"helper\"), 1)", Ok("6")),
    ("a bare reference", "a::callit(helper, 1)", Ok("6")),
    ("a closure calls its own helper", "a::callit(|x| helper(x), 1)", Ok("6")),
    ("a closure captures", "let z = 7; a::callit(|x| x + z, 1)", Ok("8")),
    ("a closure in a loop", "a::loopit(|x| helper(x), 1)", Ok("6")),
    ("through the host", "a::hostit(|x| helper(x), 1)", Ok("6")),
    ("a returned closure", "let f = a::mk(10); f.call(1)", Ok("11")),
    ("a returned closure through the host", "let f = a::mk(10); host_apply(f, 1)", Ok("11")),
    ("a returned closure in an array", "a::fnarray()[0].call(1)", Ok("2")),
    ("a callback of an array method", "a::mapit([1, 2], |x| helper(x))", Ok("[6, 7]")),
    ("a callback among options", "b::opts(#{cb: |x| helper(x)})", Ok("6")),
    ("a closure deep in a value", "let v = |x| helper(x); for i in 0..60 { v = [v]; } a::inmost(v).call(1)", Ok("6")),
    ("a closure deep in a value of a module", "let v = a::mk(10); for i in 0..60 { v = [v]; } a::inmost(v).call(1)", Ok("11")),
    ("a thrown closure", "let f = (); try { a::throwit(10) } catch (e) { f = e; } f.call(1)", Ok("12")),
    ("a closure thrown through a module", "let f = (); try { a::callit(|x| throw |y| helper(y) + x, 10) } catch (e) { f = e; } f.call(1)", Ok("16")),
    ("a closure given to a returned one", "a::caller(10).call(|x| helper(x), 1)", Ok("16")),
    ("a closure that a callback of a module gives", "let f = a::callit(|k| |x| helper(x) + k, 10); f.call(1)", Ok("16")),
    ("an error in a comparator", "let v = [3, 1, 2]; v.sort(|a, b| throw \"not so\"); v", Err("not so")),
    ("a closure reads its constant", "a::callit(|x| x + global::K, 1)", Ok("41")),
    ("a closure uses its import", "a::callit(|x| b::useh(x), 1)", Ok("1001")),
    ("kept by the host, called later", "a::keep(|x| helper(x)); host_kept(1)", Ok("6")),
    ("an exported constant", "b::XK", Ok("70")),
    ("an exported constant as an argument", "a::nop(b::XK)", Ok("70")),
    ("a map argument is a copy", "let m = #{x: 1}; [a::mutm(m), m.x]", Ok("[99, 1]")),
    ("a constant that is not exported", "b::K", Err("exports no constant `K`")),
    ("a private function", "b::helper(1)", Err("`helper` is private")),
];

#[test]
fn units_are_isolated() {
    let scripts = Scripts::new(&[("a.rhai", A), ("b.rhai", B)]);
    let mut wrong = Vec::new();
    for (what, code, want) in CASES {
        scripts.write("main.rhai", &format!("{MAIN}fn main() {{ {code} }}"));
        let mut engine = engine();
        engine.register_fn("relu", |x: i64| x.max(0));
        engine.register_fn("boom", |_: i64| -> Result<i64, Box<rhai::EvalAltResult>> { Err("boom".into()) });
        engine.register(host::functions());
        let got = engine.load(scripts.path("main.rhai")).and_then(|()| engine.run(Map::new()));
        let ok = match (&got, want) {
            (Ok(v), Ok(w)) => v.to_string() == *w,
            (Err(e), Err(w)) => e.to_string().contains(w),
            _ => false,
        };
        if !ok {
            wrong.push(format!("{what}: wanted {want:?}, got {}", got.map_or_else(|e| e.render(false), |v| v.to_string())));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_module_does_not_see_its_importers_functions() {
    let scripts = Scripts::new(&[
        ("a.rhai", "fn leak() { only_in_main() }"),
        ("main.rhai", "import \"./a\" as a;\nfn only_in_main() { 1 }\nfn main() { a::leak() }"),
    ]);
    let e = scripts.run("main.rhai").unwrap_err();
    assert!(e.to_string().contains("unknown function `only_in_main`"), "{e}");
}

mod host {
    //! What a host program may do with a callback.
    use crate::api;
    use rhai::{Dynamic, FnPtr};

    /// A callback that a native stored.
    #[derive(Clone)]
    struct Kept(FnPtr);

    api! {
        global;
        /// Calls `f` with `x`.
        fn host_apply[cx](f: FnPtr, x: Dynamic) -> Dynamic { cx.call(&f, vec![x]) }
        /// Keeps `f`.
        fn host_keep[cx](f: FnPtr) -> () { cx.host().put(Kept(f)); Ok(()) }
        /// Calls what was kept.
        fn host_kept[cx](x: Dynamic) -> Dynamic { cx.call(&cx.host().get::<Kept>().unwrap().0, vec![x]) }
    }
}

#[test]
fn a_running_loop_sees_the_reloaded_module() {
    let scripts = Scripts::new(&[
        ("a.rhai", "fn version() { 1 }"),
        ("main.rhai", "import \"./a\" as a;\nfn main() { let t = []; for i in 0..4 { if i == 2 { edit(); } t.push(a::version()); } t }"),
    ]);
    let path = scripts.path("a.rhai");
    let mut engine = engine();
    engine.register(edit::functions());
    engine.host().put(edit::Edit { path, text: "fn version() { 2 }".into() });
    engine.load(scripts.path("main.rhai")).unwrap();
    assert_eq!(engine.run(Map::new()).unwrap().to_string(), "[1, 1, 2, 2]");
}

#[test]
fn a_hot_function_is_always_the_newest() {
    let main = |k: i64| {
        format!(
            "const K = {k};\nfn step(b) {{ b + global::K }}\nfn main() {{ let f = hot(\"step\"); let t = []; for i in 0..4 {{ if i == 2 {{ edit(); }} t.push(f.call(i)); }} t }}"
        )
    };
    let scripts = Scripts::new(&[("main.rhai", &main(100))]);
    let mut engine = engine();
    engine.register(edit::functions());
    engine.host().put(edit::Edit { path: scripts.path("main.rhai"), text: main(200) });
    engine.load(scripts.path("main.rhai")).unwrap();
    assert_eq!(engine.run(Map::new()).unwrap().to_string(), "[100, 101, 202, 203]");
}

#[test]
fn calls_by_name_find_the_newest_version() {
    let scripts = Scripts::new(&[
        ("main.rhai", "import \"./a\" as a;\nfn step(x) { a::f(x) }\nfn main() { [call_step(1), call_step(1)] }"),
        ("a.rhai", "fn f(x) { x + 1 }"),
    ]);
    let mut engine = engine();
    engine.register(edit::functions());
    engine.host().put(edit::Edit { path: scripts.path("main.rhai"), text: "fn step(x) { x * 50 }\nfn main() { }".into() });
    engine.load(scripts.path("main.rhai")).unwrap();
    assert_eq!(engine.run(Map::new()).unwrap().to_string(), "[2, 50]");
}

#[test]
fn a_script_without_main_reloads_its_functions() {
    let scripts = Scripts::new(&[
        ("main.rhai", "import \"./a\" as a;\nlet n = 3;\nconst K = 5;\nfn step(x) { a::f(x) + global::K }\nlet t = [call_step(n), call_step(n)];\nt"),
        ("a.rhai", "fn f(x) { x + 1 }"),
    ]);
    let mut engine = engine();
    engine.register(edit::functions());
    engine.host().put(edit::Edit {
        path: scripts.path("main.rhai"),
        text: "import \"./a\" as a;\nconst K = 7;\nfn step(x) { a::f(x) * global::K }\n1".into(),
    });
    engine.load(scripts.path("main.rhai")).unwrap();
    assert_eq!(engine.run(Map::new()).unwrap().to_string(), "[9, 28]");
}

#[test]
fn a_faulty_edit_leaves_the_old_version() {
    let scripts = Scripts::new(&[("main.rhai", "fn step(x) { x }\nfn main() { 1 }")]);
    let engine = engine();
    engine.load(scripts.path("main.rhai")).unwrap();
    engine.program().require("main.rhai", "step", 1).unwrap();
    for (text, message) in [
        ("fn step(x) { x + }\nfn main() { 1 }", "unexpected"),
        ("fn step(x) { foo(x) }\nfn main() { 1 }", "unknown function `foo`"),
        ("fn step(x, y) { x }\nfn main() { 1 }", "`step` in"),
        ("fn stop(x) { x }\nfn main() { 1 }", "has no function `step`"),
    ] {
        scripts.write("main.rhai", text);
        let e = engine.reload().unwrap_err();
        assert!(e.to_string().contains(message), "{text}: {e}");
        assert_eq!(engine.call("step", vec![Dynamic::from(7_i64)]).unwrap().as_int().unwrap(), 7);
        assert!(engine.program().is_stale());
    }
    scripts.write("main.rhai", "fn step(x) { x * 2 }\nfn main() { 1 }\nfn more() { 1 }");
    let r = engine.reload().unwrap();
    assert_eq!(r.changed.len(), 1);
    assert_eq!(r.changed[0].functions, ["step(x)", "more()"]);
    assert_eq!(engine.call("step", vec![Dynamic::from(7_i64)]).unwrap().as_int().unwrap(), 14);
}

mod edit {
    //! A native that edits a script while it runs.
    use crate::api;
    use rhai::Dynamic;

    pub struct Edit {
        pub path: std::path::PathBuf,
        pub text: String,
    }

    fn apply(cx: &crate::script::Cx) -> crate::error::Result<()> {
        let edit = cx.host().get::<Edit>().unwrap();
        std::fs::write(&edit.path, &edit.text).unwrap();
        cx.reload().map(|_| ())
    }

    api! {
        global;
        /// Writes the new text and reloads.
        fn edit[cx]() -> () { apply(cx) }
        /// Calls `step` by name; edits afterwards.
        fn call_step[cx](x: i64) -> Dynamic {
            cx.require("step", 1)?;
            let y = cx.call_named("step", vec![x.into()])?;
            apply(cx)?;
            Ok(y)
        }
    }
}
