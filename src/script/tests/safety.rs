//! What no script may do: end the process, hang it beyond Ctrl-C, or read outside its folder.

use super::{Scripts, engine};
use crate::api;
use crate::error::Result;
use crate::script::{Engine, EngineOptions, on_big_stack};
use rhai::{Dynamic, FnPtr, Map};

api! {
    global;
    /// Calls `f` with `x`.
    fn through_host[cx](f: FnPtr, x: Dynamic) -> Dynamic { cx.call(&f, vec![x]) }
    /// Calls the script's function by name.
    fn by_name[cx](name: String, x: Dynamic) -> Dynamic { cx.call_named(&name, vec![x]) }
    /// A native with a fault.
    fn faulty() -> i64 { let list: Vec<i64> = Vec::new(); Ok(list[3]) }
}

fn eval_here(code: &str) -> Result<String> {
    let mut engine = engine();
    engine.register(functions());
    engine.register_fn("faulty_closure", || -> i64 { panic!("closure panic") });
    engine.eval(code).map(|v| v.to_string())
}

/// On the thread that `lathe run` uses.
fn eval(code: &str) -> Result<String> {
    on_big_stack(|| eval_here(code))?
}

#[test]
fn recursion_without_an_end_is_an_error_on_any_stack() {
    let cases = [
        "fn f(n) { f(n + 1) } f(0)",
        "fn f(n) { let x = [1, #{a: f(n + 1)}]; x[1].a } f(0)",
        "fn f(n) { if n >= 0 { 1 + f(n + 1) } else { 0 } } f(0)",
        "fn f(n) { through_host(|x| f(x + 1), n) } f(0)",
        "fn f(n) { through_host(Fn(\"f\"), n + 1) } f(0)",
        "fn f(n) { by_name(\"f\", n + 1) } f(0)",
        "fn f(n) { [n].map(|x| f(x + 1)) } f(0)",
        "fn f(n) { hot(\"f\").call(n + 1) } f(0)",
    ];
    for code in cases {
        for (stack, result) in [("256 MB", eval(code)), ("the test's", eval_here(code))] {
            let e = result.expect_err(code);
            assert!(e.to_string().contains("nested"), "{code} on {stack}: {e}");
            assert!(!e.is_interrupt());
        }
    }
    let modules = Scripts::new(&[
        ("m.rhai", "fn back(f, n) { f.call(n) }"),
        ("main.rhai", "import \"./m\" as m;\nfn f(n) { m::back(|x| f(x + 1), n) }\nfn main() { f(0) }"),
    ]);
    let e = on_big_stack(|| modules.run("main.rhai").map(|_| ())).unwrap().unwrap_err();
    assert!(e.to_string().contains("nested too deeply"), "{e}");
}

#[test]
fn deep_recursion_that_ends_works() {
    assert_eq!(eval("fn f(n) { if n == 0 { 0 } else { 1 + f(n - 1) } } f(900)").unwrap(), "900");
    assert_eq!(eval("fn f(n) { if n == 0 { 0 } else { 1 + through_host(|x| f(x), n - 1) } } f(50)").unwrap(), "50");
}

#[test]
fn deep_texts_are_parse_errors() {
    let nested = |open: &str, close: &str| format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
    for code in [
        nested("(", ")"),
        nested("[", "]"),
        nested("#{a:", "}"),
        nested("{", "}"),
        nested("!", ""),
        nested("-", ""),
        "1 + ".repeat(100_000) + "1",
        format!("x{}", ".a".repeat(100_000)),
        nested("|x| ", ""),
    ] {
        let e = eval(&code).expect_err("too deep");
        assert!(e.code() == "E0502", "{}: {e}", &code[..20]);
    }
}

#[test]
fn endless_nesting_of_values_is_an_error() {
    for code in ["let a = []; loop { a = [a]; }", "let a = #{}; loop { a = #{x: a}; }"] {
        let (done, waiting) = std::sync::mpsc::channel();
        let watch = std::thread::spawn(move || waiting.recv_timeout(std::time::Duration::from_millis(500)).is_ok());
        // Nobody waits for a million levels: enough that the first tenth of a second ends no process. Then it is stopped from outside.
        let e = on_big_stack(|| {
            let mut engine = Engine::new(EngineOptions::default());
            let start = std::time::Instant::now();
            engine.rhai_mut().on_progress(move |_| (start.elapsed().as_millis() > 100).then(|| "interrupted".into()));
            engine.eval(code).map(|_| ())
        });
        done.send(()).unwrap();
        assert!(watch.join().unwrap());
        assert!(e.unwrap().is_err());
    }
}

#[test]
fn big_values_are_errors() {
    for code in ["let s = \"ab\"; loop { s += s; }", "let a = []; a.pad(100000000, 1); a.len()", "let a = \"\"; a.pad(1000000000, \"x\"); a.len()"] {
        let e = eval(code).expect_err(code);
        assert!(e.to_string().contains("over the limit"), "{code}: {e}");
    }
    assert_eq!(eval("let a = []; for i in 0..20000 { a.push(i); } a.len()").unwrap(), "20000");
}

#[test]
fn panics_are_errors_with_a_place() {
    let e = eval("let x = 1;\nfaulty()").unwrap_err();
    assert!(e.to_string().starts_with("internal error: index out of bounds"), "{e}");
    assert!(e.render(false).contains("script:2:1"), "{}", e.render(false));
    let e = eval("let x = #{a: 1}; x.a = 2; faulty_closure()").unwrap_err();
    assert!(e.to_string().contains("closure panic"), "{e}");
    // The engine goes on.
    let mut engine = engine();
    engine.register(functions());
    assert!(engine.eval("faulty()").is_err());
    assert_eq!(engine.eval("40 + 2").unwrap().as_int().unwrap(), 42);
    assert!(engine.eval("try { faulty() } catch (e) { e.code == \"E0902\" }").is_ok());
}

#[test]
fn imports_stay_in_their_folder() {
    let scripts = Scripts::new(&[("base/sub/inner.rhai", "fn f() { 1 }"), ("secret.rhai", "fn f() { 42 }"), ("base/.hidden.rhai", "fn f() { 1 }")]);
    std::os::unix::fs::symlink(scripts.path("secret.rhai"), scripts.path("base/link.rhai")).unwrap();
    std::os::unix::fs::symlink(scripts.folder(), scripts.path("base/up")).unwrap();
    let absolute = scripts.path("secret").display().to_string();
    let refused = [
        ("../secret", "is not an import path"),
        ("./../secret", "may not leave its folder"),
        ("./sub/../../secret", "may not leave its folder"),
        (absolute.as_str(), "is not an import path"),
        ("secret", "is not an import path"),
        ("./link", "outside the script's folder"),
        ("./up/secret", "outside the script's folder"),
        ("std/../secret", "may not leave its folder"),
        ("std//etc/passwd", "may not leave its folder"),
        ("std/", "may not leave its folder"),
        ("./", "may not leave its folder"),
        ("./sub/inner.rhai", "goes without `.rhai`"),
        ("./missing", "there is no"),
        ("std/missing", "the standard library has no module"),
        ("lab/any", "lathe.toml"),
        ("./a\\b", "may not leave its folder"),
    ];
    for (import, want) in refused {
        scripts.write("base/main.rhai", &format!("import \"{}\" as m;\nfn main() {{ m::f() }}", import.replace('\\', "\\\\")));
        let e = scripts.run("base/main.rhai").expect_err(import);
        assert!(e.to_string().contains(want), "{import}: {e}");
        assert!(e.render(false).contains("main.rhai:1:8"), "{}", e.render(false));
    }
    scripts.write("base/main.rhai", "import \"./sub/inner\" as m;\nfn main() { m::f() }");
    assert_eq!(scripts.run("base/main.rhai").unwrap().as_int().unwrap(), 1);
    scripts.write("base/main.rhai", "fn main() { let p = \"./sub/inner\"; import p as m; m::f() }");
    assert!(scripts.run("base/main.rhai").unwrap_err().to_string().contains("must be known before the script runs"));
    // An import inside a function is one of the unit's imports.
    scripts.write("base/main.rhai", "fn main() { import \"./sub/inner\" as m; m::f() }");
    assert_eq!(scripts.run("base/main.rhai").unwrap().as_int().unwrap(), 1);
}

#[test]
fn circles_of_imports_are_found() {
    let scripts = Scripts::new(&[
        ("a.rhai", "import \"./b\" as b;\nfn f() { b::f() }"),
        ("b.rhai", "import \"./a\" as a;\nfn f() { a::f() }"),
        ("main.rhai", "import \"./a\" as a;\nfn main() { a::f() }"),
        ("own.rhai", "import \"./own\" as own;\nfn main() { 1 }"),
    ]);
    let e = scripts.run("main.rhai").unwrap_err();
    assert!(e.to_string().contains("a.rhai -> b.rhai -> a.rhai"), "{e}");
    let e = scripts.run("own.rhai").unwrap_err();
    assert!(e.to_string().contains("own.rhai -> own.rhai"), "{e}");
}

#[test]
fn modules_hold_declarations_only() {
    let scripts = Scripts::new(&[
        ("main.rhai", "import \"./m\" as m;\nlet x = 1;\nfn main() { 1 }"),
        ("m.rhai", "const K = 1;\nprint(\"loading\");\nlet x = 2;\nfn f() { x }"),
    ]);
    let e = scripts.run("main.rhai").unwrap_err();
    let text = e.render(false);
    for want in
        ["a statement at the top level of a module", "a `let` at the top level of a module", "a `let` at the top level of a script with `fn main`"]
    {
        assert!(text.contains(want), "{want}: {text}");
    }
}

#[test]
fn odd_texts_are_errors_or_fine() {
    for code in [
        "",
        "\u{feff}1",
        "// only a comment",
        "\0",
        "fn",
        "fn main",
        "'",
        "\"",
        "`${",
        "#{",
        "\u{1F600}",
        "let \u{e4} = 1;",
        "/* open",
        "import",
        "import \"\" as x;",
        "\r\n\r\n1\r\n",
    ] {
        let scripts = Scripts::new(&[("main.rhai", code)]);
        if let Err(e) = scripts.run("main.rhai") {
            assert!(!e.render(false).contains("internal"), "{code:?}: {}", e.render(false));
        }
    }
    let scripts = Scripts::new(&[]);
    std::fs::write(scripts.path("main.rhai"), [0xff, 0xfe, 0x00]).unwrap();
    assert_eq!(scripts.run("main.rhai").unwrap_err().code(), "E0301");
    assert_eq!(scripts.run("none.rhai").unwrap_err().code(), "E0301");
    assert!(engine().run(Map::new()).is_err());
}
