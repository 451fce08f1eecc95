//! What scripts are told: options as in Python, formats in templates, doubtful divisions, caught errors, errors in callbacks.

use super::{Scripts, engine};
use crate::script::EngineOptions;
use std::cell::RefCell;
use std::rc::Rc;

fn value(text: &str) -> String {
    engine().eval(text).unwrap_or_else(|e| panic!("{text}: {}", e.render(false))).to_string()
}

fn error(text: &str) -> String {
    engine().eval(text).unwrap_err().render(false)
}

/// What a script prints.
fn printed(text: &str) -> String {
    let out = Rc::new(RefCell::new(String::new()));
    let print = {
        let out = out.clone();
        Rc::new(move |line: &str| *out.borrow_mut() += &format!("{line}\n"))
    };
    let engine = crate::script::Engine::new(EngineOptions { print: Some(print), ..EngineOptions::default() });
    drop(engine.eval(text).unwrap_or_else(|e| panic!("{text}: {}", e.render(false))));
    out.take()
}

#[test]
fn options_as_in_python_are_told_with_the_line_to_type() {
    for (text, line) in [
        ("let x = torch::ones([2, 2]);\nlet m = x.mean(dim = 1);", "write `let m = x.mean(#{dim: 1});`"),
        ("let x = torch::ones([2, 2]);\nlet m = x.mean(dim=1, keepdim=True);", "write `let m = x.mean(#{dim: 1, keepdim: true});`"),
        ("let x = torch::ones([2, 2]); let dim = 0;\nlet m = x.sum(dim = 1);", "write `let m = x.sum(#{dim: 1});`"),
    ] {
        let text = error(text);
        assert!(text.contains(line) && text.contains("is Python's way of giving an option") && text.contains("script:2:"), "{text}");
    }
}

#[test]
fn formats_in_templates() {
    let cases = [
        ("`${x:.3}`", "3.142"),
        ("`${x:e}`", "3.14159e0"),
        ("`${n:,}`", "1,234,567"),
        ("`${x:8.2}|`", "    3.14|"),
        ("`${x * 2:.1} and ${n + 1:,}`", "6.3 and 1,234,568"),
        ("`${x:.3e}`", "3.142e0"),
        ("`${x:<8.2}|`", "3.14    |"),
        ("`${\"ab\":>4}|`", "  ab|"),
        ("`${x:.1%}`", "314.2%"),
        ("`${torch::tensor([2.5]):.2}`", "2.50"),
        ("`${[0.5, 0.25]:.2}`", "[0.50, 0.25]"),
        ("`${#{a: 1.5}.a:.2} ${`${x:.1}`}`", "1.50 3.1"),
        ("[1, 2].map(|v| `${v:.1}`).to_string()", "[\"1.0\", \"2.0\"]"),
        ("`${x}:.3`", "3.14159:.3"),
    ];
    for (text, want) in cases {
        assert_eq!(value(&format!("let x = 3.14159; let n = 1234567; {text}")), want, "{text}");
    }
    for (text, word) in [
        ("let x = 1.0;\n`${x:q}`", "`:q` is no format"),
        ("let x = \"a\";\n`${x:.3f}`", "this format is for a number, got string"),
        ("let x = torch::ones([2]);\n`${x:.3}`", "a format is for one number, got a tensor of shape [2]"),
    ] {
        let text = error(text);
        assert!(text.contains(word) && text.contains("script:2:"), "{text}");
    }
}

#[test]
fn a_division_of_two_int_literals_warns_once() {
    let scripts = Scripts::new(&[("main.rhai", "fn main() {\n    let third = 1/3;\n    let half = 4/2;\n    third + 1.0/3 + 7 / 2 + half\n}\n")]);
    let engine = engine();
    let faults = engine.faults(scripts.path("main.rhai")).unwrap();
    let said: Vec<(usize, String, bool)> = faults.iter().map(|d| (d.labels[0].line, d.message.clone(), d.is_warning)).collect();
    let want = [(2, "`1/3` divides two ints: it is 0"), (4, "`7/2` divides two ints: it is 3")];
    assert_eq!(said, want.map(|(line, text)| (line, text.to_owned(), true)));
    assert_eq!(faults[0].help.as_deref(), Some("write `1.0/3` for 0.3333"));
    assert!(faults[0].render(false).starts_with("warning["), "{}", faults[0].render(false));
    // It runs all the same, and the same place is said once.
    assert!(engine.load(scripts.path("main.rhai")).is_ok());
    assert!(engine.faults(scripts.path("main.rhai")).unwrap().is_empty());
}

#[test]
fn operators_on_the_extremes_of_an_int_are_values_or_errors_of_the_script() {
    let extremes = ["0x8000000000000000", "9223372036854775807", "-1", "0", "1"];
    let engine = engine();
    let mut lines = String::new();
    for op in ["+", "-", "*", "/", "%", "**", "<<", ">>"] {
        for (a, b) in extremes.iter().flat_map(|a| extremes.iter().map(move |b| (a, b))) {
            lines += &format!("    let x = {a} {op} ({b});\n");
            for script in [format!("let x = {a} {op} ({b}); x"), format!("let a = {a}; let b = {b}; a {op} b")] {
                let said = engine.eval(&script).err().map(|e| e.to_string());
                assert!(!said.as_ref().is_some_and(|text| text.contains("internal error")), "{script}: {said:?}");
            }
        }
    }
    // What warns of divisions reads them as well.
    let scripts = Scripts::new(&[("main.rhai", &format!("fn main() {{\n{lines}}}\n"))]);
    let faults = engine.faults(scripts.path("main.rhai")).unwrap();
    assert!(
        faults.iter().all(|d| !d.message.contains("internal error")) && faults.iter().any(|d| d.message.contains("divides two ints")),
        "{faults:?}"
    );
}

#[test]
fn a_caught_error_prints_as_it_reads_uncaught() {
    let bodies = [
        "let a = [1]; a[5]",
        "let m = #{}; m.x.y",
        "torch::ones([2]).view([3])",
        "let x = 3; x.shape",
        "throw \"no such thing\"",
        "let f = |a| a; f.call(1, 2, 3)",
        "1 + #{}",
        "const K = 1; let x = \"a\"; x - 1",
    ];
    for body in bodies {
        let uncaught = error(body);
        let first = uncaught.lines().next().unwrap().split_once("]: ").unwrap().1.to_owned();
        assert_eq!(printed(&format!("try {{ {body} }} catch (e) {{ print(e); }}")).trim_end(), first, "{body}");
        assert_eq!(printed(&format!("fn f() {{ {body} }} try {{ f() }} catch (e) {{ print(`${{e}}`); }}")).trim_end(), first, "{body}");
    }
    // Other maps print as maps.
    assert_eq!(printed("print(#{a: \"x\", b: [1, 2.0]});"), "#{\"a\": \"x\", \"b\": [1, 2.0]}\n");
    assert_eq!(printed("print(`${#{error: 3, message: 4}}`);"), "#{\"error\": 3, \"message\": 4}\n");
}

#[test]
fn an_error_in_a_callback_of_the_language_is_not_swallowed() {
    let calls = [
        "[3, 1, 2].sort(|a, b| throw \"from inside\")",
        "[3, 1, 2].sort_by(|a, b| throw \"from inside\")",
        "[3, 1, 2].dedup(|a, b| throw \"from inside\")",
        "[3, 1, 2].map(|a| throw \"from inside\")",
        "[3, 1, 2].filter(|a| throw \"from inside\")",
        "[3, 1, 2].reduce(|a, b| throw \"from inside\")",
        "[3, 1, 2].for_each(|a| throw \"from inside\")",
        "[3, 1, 2].all(|a| throw \"from inside\")",
        "[3, 1, 2].find(|a| throw \"from inside\")",
        "[3, 1, 2].retain(|a| throw \"from inside\")",
        "#{a: 1}.filter(|k, v| throw \"from inside\")",
    ];
    for call in calls {
        let text = error(&format!("let a = 1;\n{call}"));
        assert!(text.contains("from inside") && text.contains("script:2:"), "{call}: {text}");
    }
    assert!(error("[3, 1].sort(|a, b| \"x\")").contains("expected a number or a bool"), "{}", error("[3, 1].sort(|a, b| \"x\")"));
    assert_eq!(value("let a = [3, 1, 2]; a.sort(|x, y| y - x); a.to_string()"), "[3, 2, 1]");
    assert_eq!(value("let a = [3, 1, 2]; a.sort(|x, y| x < y); a.to_string()"), "[1, 2, 3]");
    assert_eq!(value("let a = [0.5, 0.25]; a.sort(|x, y| x - y); a.to_string()"), "[0.25, 0.5]");
    assert_eq!(value("let a = [3, 1, 2]; try { a.sort(|x, y| throw 1); } catch { } a.to_string()"), "[3, 1, 2]");
    assert_eq!(value("let a = [1, 1, 2, 1]; a.dedup(|x, y| x == y); a.to_string()"), "[1, 2, 1]");
}

#[test]
fn names_of_one_letter_are_near_to_themselves_alone() {
    let text = error("let x = 1;\nlet w = 2;\nlet y = q + 1;");
    assert!(text.contains("unknown variable `q`") && !text.contains("did you mean"), "{text}");
    let text = error("let X = 1;\nlet y = x + 1;");
    assert!(text.contains("did you mean `X`?"), "{text}");
    let text = error("let z1 = 1;\nlet y = z + 1;");
    assert!(text.contains("did you mean `z1`?"), "{text}");
    let text = error("let y = f::relu(torch::ones([1]));");
    assert!(text.contains("did you mean `F`?"), "{text}");
}

#[test]
fn a_check_tells_all_faults_in_the_order_of_the_text() {
    let text = "import \"std/flwo\" as flow;\nfn params() { #{learning_rate: arg(1e-4, \"rate\"), steps: 10} }\nfn late() { zzz(1) }\nfn other(helper) { helper }\nfn main(cfg) {\n    let a = cfg.lerning_rate;\n    let b = torch::ones([2]).sun();\n    let c = helper(3);\n    let d = undefined_thing;\n    let e = 1/3;\n    cfg.stepz\n}\n";
    let scripts = Scripts::new(&[("main.rhai", text)]);
    let lines = || {
        let faults = engine().faults(scripts.path("main.rhai")).unwrap();
        faults.iter().map(|d| format!("{} {}", d.labels.first().map_or(0, |l| l.line), d.message)).collect::<Vec<_>>()
    };
    let first = lines();
    for (line, word) in [
        (1, "flwo"),
        (3, "zzz"),
        (6, "lerning_rate"),
        (7, "sun"),
        (8, "unknown function `helper`"),
        (9, "undefined_thing"),
        (10, "1/3"),
        (11, "stepz"),
    ] {
        assert!(first.iter().any(|f| f.starts_with(&format!("{line} ")) && f.contains(word)), "{line} {word}: {first:#?}");
    }
    assert!(first.iter().all(|f| !f.contains("is a variable")), "{first:#?}");
    let order: Vec<usize> = first.iter().map(|f| f.split(' ').next().unwrap().parse().unwrap()).collect();
    assert!(order.is_sorted(), "{first:#?}");
    for _ in 0..5 {
        assert_eq!(lines(), first);
    }
    // One that is a variable of this function, or of one around the closure, is told.
    let scripts = Scripts::new(&[("main.rhai", "fn main() {\n    let rate = |x| x;\n    [1].map(|v| rate(v));\n    rate(1)\n}\n")]);
    let faults = engine().faults(scripts.path("main.rhai")).unwrap();
    let said: Vec<&str> = faults.iter().map(|d| d.message.as_str()).collect();
    assert_eq!(said, ["`rate` is a variable, not a function"; 2]);
}

#[test]
fn show_without_a_run_writes_to_a_temporary_folder_and_says_where() {
    use crate::script::prompt::answer::Mode;
    use crate::script::prompt::evaluation::Limit;
    let engine = engine();
    let mut session = engine.session("t").unwrap();
    let mut shown = |text: &str| {
        let answer = session.answer(engine.at(), text, Mode::Plain, false, Limit::default(), true);
        assert_eq!(answer.error, None);
        answer.pictures[0].clone()
    };
    let first = shown("show(torch::rand([3, 8, 8]))");
    let second = shown("show(torch::rand([3, 8, 8]))");
    let folder = first.parent().unwrap();
    assert!(folder.starts_with(std::env::temp_dir()) && folder.to_string_lossy().contains("lathe-show-"), "{first:?}");
    assert!(first.is_file() && second.is_file() && first != second && second.parent() == Some(folder), "{second:?}");
    std::fs::remove_dir_all(folder).unwrap();
}
