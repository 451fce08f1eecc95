//! Runtimes in a program: what each adds, its limits, and that they do not disturb each other.

use super::Scripts;
use crate::script::lang::value::Handle;
use crate::script::{Limits, Runtime};
use rhai::{Dynamic, FnPtr};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// A type of the program's own.
#[derive(Clone)]
struct Lens(i64);
crate::script_handle!(Lens, "a lens");

/// A function that a script left with the program.
struct Kept(FnPtr);

crate::api! {
    namespace "lab";
    /// A lens.
    fn lens(power: i64) -> Lens { Ok(Lens(power)) }
    /// Counts in the program.
    fn count[cx]() -> i64 {
        let n = cx.host().get_or_default::<Cell<i64>>();
        n.set(n.get() + 1);
        Ok(n.get())
    }
    /// Keeps a function.
    fn keep[cx](f: FnPtr) -> () { cx.host().put(Kept(f)); Ok(()) }
}
crate::api! {
    fn lens_methods; methods Lens;
    /// Its power.
    fn power as "get$power"(lens: Lens) -> i64 { Ok(lens.0) }
}

fn lab() -> crate::script::Builder {
    Runtime::builder().functions(functions()).functions(lens_methods())
}

#[test]
fn a_program_adds_functions_types_values_and_modules() {
    let folder =
        Scripts::new(&[("blur.rhai", "import \"./deep/more\" as more;\nfn twice(x) { more::two() * x }"), ("deep/more.rhai", "fn two() { 2 }")]);
    let runtime = lab()
        .function("thrice", |x: i64| 3 * x)
        .value(Cell::new(10_i64))
        .modules("rig", folder.folder())
        .module("notes/a", "import \"./b\" as b;\nfn all() { b::K }")
        .module("notes/b", "export const K = 5;")
        .build()
        .unwrap();
    let code = "import \"rig/blur\" as blur; import \"notes/a\" as a; [lab::lens(4).power, thrice(2), lab::count(), blur::twice(3), a::all()]";
    assert_eq!(runtime.eval(code).unwrap().to_string(), "[4, 6, 11, 6, 5]");
    assert_eq!(runtime.host().get::<Cell<i64>>().unwrap().get(), 11);
    assert_eq!(<Lens as Handle>::NAME, "a lens");
    for (code, want) in [
        ("import \"rig/blurr\" as b;", "there is no module `rig/blurr`, did you mean `rig/blur`?"),
        ("import \"rig/../x\" as b;", "an import may not leave its folder"),
        ("import \"notes/c\" as b;", "there is no module `notes/c`, did you mean `notes/a`?"),
        ("import \"other/c\" as b;", "is in a library, but there is no lathe.toml"),
    ] {
        let e = runtime.eval(code).unwrap_err();
        assert!(e.to_string().contains(want), "{code}: {e}");
    }
    assert!(Runtime::builder().modules("std", folder.folder()).build().is_err());
    assert!(Runtime::builder().modules("rig", "/no/such/folder").build().is_err());
    assert!(Runtime::builder().module("plain", "").build().is_err());
    assert!(Runtime::builder().device("cuda:99").build().is_err());
}

#[test]
fn what_scripts_say_goes_to_the_programs_sinks() {
    let heard: Rc<RefCell<Vec<String>>> = Rc::default();
    let (a, b, c) = (heard.clone(), heard.clone(), heard.clone());
    let runtime = Runtime::builder()
        .print(move |text| a.borrow_mut().push(format!("print {text}")))
        .log(move |line| b.borrow_mut().push(format!("log {}", line.trim().split("  ").next().unwrap_or_default())))
        .metrics(move |step, values| c.borrow_mut().push(format!("metrics {step} {values:?}")))
        .build()
        .unwrap();
    let code = "let run = train::run(#{output_dir: io::temp_dir(), exp_name: \"try1\", seed: 1});
print(\"begins\");
train::fit(run, (), |run, batch| #{loss: 0.5}, #{steps: 2, log_every: 2, save_every: 0});
debug(7);";
    let _ = runtime.eval(code).unwrap();
    let heard = heard.borrow();
    for want in ["print begins", "log try1", "metrics 2 [(\"loss\", 0.5)]", "log script:4:1: 7"] {
        assert!(heard.iter().any(|h| h == want), "{want}: {heard:?}");
    }
}

#[test]
fn settings_are_given_as_on_the_command_line() {
    let runtime = Runtime::builder().build().unwrap();
    runtime.load_text("s.rhai", "fn params() { #{steps: 10, lr: 0.1} }\nfn main(cfg) { cfg.steps * cfg.lr }").unwrap();
    assert_eq!(runtime.run(&[("steps", "4"), ("lr", "0.5")]).unwrap().as_float(), Ok(2.0));
    let e = runtime.run(&[("stpes", "4")]).unwrap_err();
    assert!(e.to_string().contains("did you mean `--steps`?"), "{e}");
}

#[test]
fn limits_end_a_script_and_no_catch_holds_them_up() {
    let limits = Limits { operations: Some(10_000), ..Limits::default() };
    let runtime = Runtime::builder().limits(limits).build().unwrap();
    for code in [
        "loop { }",
        "loop { try { loop { } } catch (e) { } }",
        // Callbacks count as well: rhai alone begins anew in each.
        "let a = []; a.pad(100, 0); loop { a.map(|x| x + 1); }",
        "fn f() { loop { } } let g = hot(\"f\"); g.call();",
    ] {
        let e = runtime.eval(code).unwrap_err();
        assert_eq!((e.code(), e.to_string().contains("more than 10000 operations")), ("E0505", true), "{code}: {e}");
    }
    // Each call from the program begins anew.
    for _ in 0..3 {
        let _ = runtime.eval("for i in 0..1000 { }").unwrap();
    }

    let runtime = Runtime::builder().limits(Limits { time: Some(Duration::from_millis(100)), ..Limits::default() }).build().unwrap();
    let start = Instant::now();
    let e = runtime.eval("loop { }").unwrap_err();
    assert_eq!(e.code(), "E0505", "{e}");
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());

    let runtime = Runtime::builder()
        .limits(Limits { call_depth: Some(20), string_bytes: Some(1000), elements: Some(100), ..Limits::default() })
        .build()
        .unwrap();
    for (code, want) in [
        ("fn f(n) { if n == 0 { 0 } else { f(n - 1) } } f(50)", "nested too deeply"),
        ("let s = \"ab\"; for i in 0..20 { s += s; }", "over the limit"),
        ("let a = []; for i in 0..200 { a.push(i); }", "over the limit"),
    ] {
        let e = runtime.eval(code).unwrap_err();
        assert!(e.to_string().contains(want), "{code}: {e}");
    }
    let _ = runtime.eval("fn f(n) { if n == 0 { 0 } else { f(n - 1) } } f(5)").unwrap();
}

#[test]
fn permissions_are_the_programs() {
    use crate::script::Permissions;
    let folder = Scripts::new(&[("in/a.txt", "1"), ("b.txt", "2")]);
    let mut allowed = Permissions::none();
    allowed.allow_read(&folder.path("in"));
    let (strict, open) = (Runtime::builder().permissions(allowed).build().unwrap(), Runtime::builder().build().unwrap());
    let load = |name: &str| format!("io::load(\"{}\")", folder.path(name).display());
    assert_eq!(strict.eval(&load("in/a.txt")).unwrap().to_string(), "1");
    assert_eq!(strict.eval(&load("b.txt")).unwrap_err().code(), "E0701");
    assert_eq!(open.eval(&load("b.txt")).unwrap().to_string(), "2");
}

#[test]
fn a_script_is_stopped_from_another_thread() {
    let runtime = Runtime::builder().build().unwrap();
    let other = Runtime::builder().build().unwrap();
    let stop = runtime.stop();
    let watcher = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        stop.stop();
    });
    let e = runtime.eval("loop { }").unwrap_err();
    assert_eq!(e.code(), "E0901");
    watcher.join().unwrap();
    // The other one on the same thread was not asked.
    let _ = other.eval("for i in 0..1000 { }").unwrap();
    assert!(runtime.eval("for i in 0..1000 { }").is_err());
    runtime.stop().clear();
    let _ = runtime.eval("for i in 0..1000 { }").unwrap();
}

#[test]
fn a_held_generation_stays_what_it_was() {
    let scripts = Scripts::new(&[("main.rhai", "import \"./m\" as m;\nfn step(x) { m::f(x) + 1 }\nfn main() { }"), ("m.rhai", "fn f(x) { x * 10 }")]);
    let runtime = Runtime::builder().build().unwrap();
    runtime.load(scripts.path("main.rhai")).unwrap();
    let old = runtime.hold();
    let x = || vec![Dynamic::from(2_i64)];
    scripts.write("main.rhai", "import \"./m\" as m;\nfn step(x) { m::f(x) + 2 }\nfn main() { }");
    scripts.write("m.rhai", "fn f(x) { x * 100 }");
    assert!(runtime.is_stale());
    let reloaded = runtime.reload().unwrap();
    assert_eq!((old.number(), reloaded.generation, reloaded.changed.len()), (1, 2, 2));
    // Script and module are of one generation, each time.
    assert_eq!(old.call("step", x()).unwrap().as_int(), Ok(21));
    assert_eq!(runtime.call("step", x()).unwrap().as_int(), Ok(202));
    scripts.write("m.rhai", "fn f(x) { nope(x) }");
    assert!(runtime.reload().is_err());
    assert_eq!(runtime.call("step", x()).unwrap().as_int(), Ok(202));
}

#[test]
fn a_function_that_a_script_leaves_is_called_later_and_only_at_home() {
    let (a, b) = (lab().build().unwrap(), lab().build().unwrap());
    a.load_text("a.rhai", "fn helper(x) { x + 1 }\nfn main() { lab::keep(|x| helper(x) * 2); }").unwrap();
    let _ = a.run(&[]).unwrap();
    let kept = a.host().get::<Kept>().unwrap();
    assert_eq!(a.call_fn(&kept.0, vec![Dynamic::from(4_i64)]).unwrap().as_int(), Ok(10));
    let e = b.call_fn(&kept.0, vec![Dynamic::from(4_i64)]).unwrap_err();
    assert!(e.to_string().contains("belongs to another runtime"), "{e}");
}

#[test]
fn runtimes_on_one_thread_do_not_disturb_each_other() {
    let said: Rc<RefCell<String>> = Rc::default();
    let sink = |name: &'static str| {
        let said = said.clone();
        move |text: &str| said.borrow_mut().push_str(&format!("{name}{text} "))
    };
    let a = lab().print(sink("a")).build().unwrap();
    let b = lab().function("only_b", || 1_i64).print(sink("b")).build().unwrap();
    for (runtime, k) in [(&a, 1), (&b, 2)] {
        runtime
            .load_text("same.rhai", &format!("const K = {k};\nfn helper() {{ global::K }}\nfn main() {{ print(helper()); lab::count() }}"))
            .unwrap();
    }
    let n = |r: &Runtime| r.run(&[]).unwrap().as_int().unwrap();
    assert_eq!((n(&a), n(&b), n(&a), n(&b), n(&a)), (1, 1, 2, 2, 3));
    assert_eq!(*said.borrow(), "a1 b2 a1 b2 a1 ");
    assert!(a.eval("only_b()").is_err());
    let _ = b.eval("only_b()").unwrap();

    // Each run's prints are in its own log, whichever was opened last.
    let dirs = tempfile::tempdir().unwrap();
    let open = |r: &Runtime, name: &str| {
        let code = format!(
            "let run = train::run(#{{output_dir: \"{}\", exp_name: \"{name}\"}}); lab::keep(|x| print(`${{run.name}} ${{x}}`));",
            dirs.path().display()
        );
        let _ = r.eval(&code).unwrap();
    };
    open(&a, "one");
    open(&b, "two");
    for (r, x) in [(&a, 1_i64), (&b, 2), (&a, 3)] {
        let f = r.host().get::<Kept>().unwrap();
        let _ = r.call_fn(&f.0, vec![x.into()]).unwrap();
    }
    let log = |name: &str| std::fs::read_to_string(dirs.path().join(name).join("log.txt")).unwrap();
    assert_eq!((log("one").as_str(), log("two").as_str()), ("one 1\none 3\n", "two 2\n"));
}

#[test]
fn a_runtime_may_run_inside_a_function_of_another() {
    struct Inner(Runtime);
    crate::api! {
        namespace "nest";
        /// Runs the inner runtime.
        fn run[cx](x: i64) -> Dynamic {
            let inner = cx.host().get::<Inner>().expect("put there below");
            inner.0.call("step", vec![x.into()])
        }
    }
    let inner = Runtime::builder().build().unwrap();
    inner.load_text("inner.rhai", "fn step(x) {\n    if x > 1 { throw \"too much\"; }\n    x\n}\nfn main() { }").unwrap();
    let outer = Runtime::builder().functions(functions()).value(Inner(inner)).build().unwrap();
    assert_eq!(outer.eval("nest::run(1)").unwrap().as_int(), Ok(1));
    // The inner script's error shows its own line, then the outer's call.
    let e = outer.eval("let x = 2;\nnest::run(x)").unwrap_err().render(false);
    assert!(e.contains("inner.rhai:2:16") && e.contains("script:2:1") && e.contains("too much"), "{e}");
    assert_eq!(outer.eval("let m = \"\"; try { nest::run(2) } catch (e) { m = e.message; } m").unwrap().to_string(), "too much");
}

#[test]
fn runtimes_on_two_threads_work_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let work = |k: i64| {
        let dir = folder.path().display().to_string();
        move || {
            let said: Rc<RefCell<Vec<String>>> = Rc::default();
            let sink = said.clone();
            let runtime = lab().print(move |t| sink.borrow_mut().push(t.to_owned())).build().unwrap();
            let code = format!(
                "let run = train::run(#{{output_dir: \"{dir}\", exp_name: \"r{k}\"}});
                 let w = torch::full([4, 4], {k}.0);
                 for i in 0..200 {{ lab::count(); let y = (w @ w).sum().item(); if y != {k}.0 * {k} * 64 {{ throw `${{y}}`; }} if i % 50 == 0 {{ print(`{k} ${{i}}`); }} }}
                 lab::count()"
            );
            let n = runtime.eval(&code).unwrap().as_int().unwrap();
            let said = said.borrow().clone();
            (n, said)
        }
    };
    let results = std::thread::scope(|scope| {
        let threads: Vec<_> = (1..=2).map(|k| scope.spawn(work(k))).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect::<Vec<_>>()
    });
    for (k, (n, said)) in results.iter().enumerate() {
        let k = k + 1;
        let want: Vec<String> = [0, 50, 100, 150].iter().map(|i| format!("{k} {i}")).collect();
        assert_eq!((*n, said), (201, &want));
        let log = std::fs::read_to_string(folder.path().join(format!("r{k}/log.txt"))).unwrap();
        assert_eq!(log, want.join("\n") + "\n");
    }
}

#[test]
fn functions_typed_at_a_prompt_have_everything_that_the_program_added() {
    use crate::script::prompt::evaluation::Limit;
    let runtime = lab().function("seven", || 7_i64).build().unwrap();
    runtime.load_text("s.rhai", "fn twice(x) { 2 * x }\nfn main(cfg) { }").unwrap();
    let engine = runtime.engine();
    let mut session = engine.session("prompt").unwrap();
    let mut value = |text: &str| {
        let outcome = session.eval(engine.at(), text, Limit::default());
        outcome.error.map_or_else(|| outcome.value.to_string(), |e| e.to_string())
    };
    assert_eq!(value("let x = 3; let l = lab::lens(5); twice(x)"), "6");
    // A function sees the variables as they are now, its own parameters first.
    value("fn all(y) { x + y + seven() + l.power + twice(x) + lab::count() }");
    assert_eq!(value("all(1)"), "23");
    value("let x = 10;");
    assert_eq!(value("all(1)"), "45");
    assert_eq!(value("fn own(x) { x } own(4)"), "4");
    assert_eq!(value("[1, 2].map(|y| all(y))[1] - all(0)"), "1");
    assert_eq!(value("fn none() { missing } none()"), "unknown variable `missing`");
    // What its functions keep for later runs in the program's own engine.
    value("lab::keep(|| seven() + x);");
    let kept = runtime.host().get::<Kept>().unwrap();
    assert_eq!(runtime.call_fn(&kept.0, vec![]).unwrap().as_int(), Ok(17));
}

#[test]
fn an_engine_that_goes_takes_everything_along() {
    let scripts = Scripts::new(&[
        ("part.rhai", "fn twice(x) { x * 2 }\n"),
        ("main.rhai", "import \"./part\" as part;\nfn main() { let kept = |x| part::twice(x); kept.call(2) }\n"),
    ]);
    let (folder, program) = {
        let engine = super::engine();
        let value = engine.load(scripts.path("main.rhai")).and_then(|()| engine.run(rhai::Map::new())).unwrap();
        assert_eq!(value.as_int().unwrap(), 4);
        let folder = engine.eval("let dir = io::temp_dir(); io::save(dir + \"/x.npy\", torch::ones([2])); dir").unwrap().to_string();
        assert!(std::path::Path::new(&folder).join("x.npy").is_file());
        (folder, Rc::downgrade(&engine.host().get::<crate::script::units::program::Program>().unwrap()))
    };
    assert!(!std::path::Path::new(&folder).exists(), "{folder} is still there");
    assert!(program.upgrade().is_none(), "the program holds itself");
}
