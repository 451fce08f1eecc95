//! Reloads leave nothing behind in the process's memory.

use crate::support::{alone, resident};
use lathe::script::rhai::Dynamic;
use lathe::script::{Engine, EngineOptions};

/// `LATHE_RELOADS=10000 cargo test --test it reloads_leave` makes as many as a year of edits.
#[test]
fn reloads_leave_nothing_behind() {
    alone(|| {
        let reloads: i64 = std::env::var("LATHE_RELOADS").map_or(500, |n| n.parse().unwrap());
        let function = |i| format!("fn f{i}(x) {{ let m = #{{a: x, b: [x, {i}]}}; for k in 0..3 {{ m.a += k; }} m.b.map(|v| v + m.a) }}\n");
        let filler: String = (0..40).map(function).collect();
        let main = |n: i64| {
            format!(
                "import \"./a\" as a;\nconst N = {n};\n{filler}fn params() {{ #{{lr: arg({n}, \"x\")}} }}\nfn step(x) {{ a::f(x, |y| y + global::N) }}\nfn main(cfg) {{ }}\n"
            )
        };
        let dir = tempfile::tempdir().unwrap();
        let write = |text: &str| std::fs::write(dir.path().join("main.rhai"), text).unwrap();
        std::fs::write(dir.path().join("a.rhai"), "fn f(x, g) { g.call(x) }").unwrap();
        write(&main(0));
        let engine = Engine::new(EngineOptions::default());
        engine.load(dir.path().join("main.rhai")).unwrap();
        let mut warm = 0;
        for n in 1..=reloads {
            if n % 10 == 0 {
                // A broken save leaves nothing either.
                write(&format!("{}fn broken(", main(n)));
                engine.reload().unwrap_err();
            }
            write(&main(n));
            engine.reload().unwrap();
            assert_eq!(engine.call("step", vec![Dynamic::from(1_i64)]).unwrap().as_int(), Ok(n + 1));
            if n == reloads / 5 {
                warm = resident("self");
            }
        }
        let grown = resident("self").saturating_sub(warm);
        println!("{reloads} reloads: {:.1} MB more after the first fifth", grown as f64 / 1e6);
        assert!(grown < 5 << 20, "{grown} bytes more");
    });
}
