//! What users see when something is wrong: whole texts, and messages by the line.

use super::{Scripts, engine, rendered};
use crate::api;
use crate::error::{Error, ErrorKind, Result};
use crate::torch::{DType, Device, Tensor};
use rhai::{Dynamic, FnPtr, Map};

api! {
    global;
    /// A tensor of ones.
    fn ones_of(a: i64, b: i64) -> Tensor { Tensor::ones(&[a, b], DType::Float, Device::Cpu) }
    /// Their matrix product.
    fn product(a: Tensor, b: Tensor) -> Tensor { a.matmul(&b) }
    /// Calls `f`.
    fn apply[cx](f: FnPtr, x: Dynamic) -> Dynamic { cx.call(&f, vec![x]) }
    /// Calls `f`, and again when it throws.
    fn twice[cx](f: FnPtr) -> Dynamic { cx.call(&f, vec![]).or_else(|_| cx.call(&f, vec![])) }
    /// Calls `f` and says what it was doing.
    fn explained[cx](f: FnPtr) -> Dynamic { cx.call(&f, vec![]).map_err(|e| e.context("while explaining")) }
    /// Calls `f`, ignores what it throws, and fails with an error of its own.
    fn unrelated[cx](f: FnPtr) -> Dynamic {
        let _ = cx.call(&f, vec![]);
        Err(Error::value("unrelated", "another thing").help("do the other thing"))
    }
}

fn run(main: &str, modules: &[(&str, &str)]) -> (Result<Dynamic>, Scripts) {
    let scripts = Scripts::new(modules);
    scripts.write("main.rhai", main);
    let mut engine = engine();
    engine.register(functions());
    let result = engine.load(scripts.path("main.rhai")).and_then(|()| engine.run(Map::new()));
    (result, scripts)
}

/// The error as users see it.
fn text(main: &str, modules: &[(&str, &str)]) -> String {
    let (result, scripts) = run(main, modules);
    rendered(&result.unwrap_err(), &scripts)
}

fn value(main: &str) -> String {
    run(main, &[]).0.unwrap().to_string()
}

#[test]
fn a_variable_that_a_closure_takes_for_a_function_is_told() {
    let main = "fn rate() { 0.5 }\nfn main() {\n    let rate = 3;\n    [1, 2].map(|x| x * rate)\n}\n";
    let want = "\
error[E0503]: in this closure `rate` is the function of line 1, not the variable `rate` around it
 --> main.rhai:4:24
  |
4 |     [1, 2].map(|x| x * rate)
  |                        ^^^^
  |
  = help: give the variable another name: a closure takes functions of the file first";
    assert_eq!(text(main, &[]), want, "\n{}", text(main, &[]));
    let is_told = |body: &str| {
        let (result, _) = run(&format!("fn rate(a) {{ a }}\nfn main() {{\n    {body}\n}}\nfn late() {{ 7 }}\n"), &[]);
        result.is_err_and(|e| e.to_string().contains("is the function of line 1"))
    };
    for (body, told) in [
        ("let f = |rate| || rate + 1; f.call(2).call()", true),
        ("for rate in 0..2 { [1].map(|x| x + rate) }", true),
        ("let rate = 1; [1].map(|x| [x].map(|y| y + rate))", true),
        ("try { throw 1 } catch (rate) { [1].map(|x| x + rate) }", true),
        // The function is meant: no variable of that name is around.
        ("[1].map(|x| rate(x))", false),
        ("[1].map(|x| { let f = rate; f.call(x) })", false),
        // Its own parameter or variable, and a function that stands below.
        ("let rate = 1; [1].map(|rate| rate + 1)", false),
        ("let rate = 1; [1].map(|x| { let rate = 2; x + rate })", false),
        ("let late = 1; [1].map(|x| x + late)", false),
        ("let rate = 1; rate + 1", false),
    ] {
        assert_eq!(is_told(body), told, "{body}");
    }
}

#[test]
fn a_shape_mismatch_in_a_module_shows_its_line_and_the_chain() {
    let layers = "// Layers.\nfn project(x) {\n    let w = ones_of(4, 5);\n    product(x, w)\n}\nfn block(x) {\n    project(x)\n}\n";
    let main = "import \"./layers\" as layers;\n\nfn main() {\n    let x = ones_of(2, 3);\n    layers::block(x)\n}\n";
    let got = text(main, &[("layers.rhai", layers)]);
    let want = "\
error[E0201]: matmul: mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5) (got [2, 3] f32, [4, 5] f32)
 --> layers.rhai:4:5
  |
4 |     product(x, w)
  |     ^^^^^^^
  |
 ::: layers.rhai:7:5
  |
7 |     project(x)
  |     ------- `project` called here
  |
 ::: main.rhai:5:5
  |
5 |     layers::block(x)
  |     ------------- `block` called here";
    assert_eq!(got, want, "\n{got}");
}

#[test]
fn errors_cross_native_code_with_their_places() {
    let got = text("fn main() {\n    apply(|x| inner(x), 1)\n}\nfn inner(x) {\n    throw `bad ${x}`;\n}\n", &[]);
    assert!(got.starts_with("error[E0501]: bad 1\n --> main.rhai:5:5"), "{got}");
    assert!(got.contains("`inner` called here") && got.contains("closure called here"), "{got}");
    let got = text("fn main() {\n    explained(|| { throw \"deep\"; })\n}\n", &[]);
    assert!(got.starts_with("error[E0501]: while explaining: deep\n --> main.rhai:2:20"), "{got}");
    assert!(got.contains("explained(||"), "{got}");
}

#[test]
fn an_error_is_never_mistaken_for_an_earlier_one() {
    let got = text("fn main() {\n    unrelated(|| { throw 111 + 222; })\n}\n", &[]).replace("111 + 222", "");
    assert!(got.starts_with("error[E0202]: unrelated: another thing\n --> main.rhai:2:5"), "{got}");
    assert!(got.contains("help: do the other thing") && !got.contains("333"), "{got}");
    // The same after an error that Rust swallowed, many times over.
    let main = "fn main() { let n = 0; for i in 0..100 { try { unrelated(|| { throw i; }) } catch (e) { if e.message == \"unrelated: another thing\" { n += 1; } } } n }";
    assert_eq!(value(main), "100");
    assert_eq!(value("fn main() { let n = 0; let f = || { n += 1; if n == 1 { throw \"once\"; } n }; twice(f) }"), "2");
}

#[test]
fn a_thrown_value_comes_through_native_code_as_it_was() {
    assert_eq!(value("fn main() { try { apply(|x| { throw #{code: x}; }, 7) } catch (e) { return e.code; } }"), "7");
    assert_eq!(value("fn main() { try { apply(|x| apply(|y| { throw y + 1; }, x), 7) } catch (e) { return e; } }"), "8");
}

#[test]
fn a_caught_error_tells_its_code_message_and_help() {
    let main = "fn main() { try { product(ones_of(2, 3), 4) } catch (e) { return [e.code, e.message, e.help, `${e}`]; } }";
    let want = "[\"E0202\", \"product: argument `b` must be a tensor, got int `4`\", \"\", \"product: argument `b` must be a tensor, got int `4`\"]";
    assert_eq!(value(main), want);
    let got = text("fn main() {\n    try {\n        product(1, 2)\n    } catch (e) {\n        throw e;\n    }\n}\n", &[]);
    assert!(got.contains("main.rhai:3:9") && got.contains("thrown again here"), "{got}");
}

#[test]
fn interrupts_cannot_be_caught() {
    // The flag belongs to the process, so this test pretends: a native that was interrupted.
    let mut engine = engine();
    engine.register(interrupted::functions());
    let e = engine.eval("let n = 0; try { stop_now() } catch (e) { n = 1; } n").unwrap_err();
    assert!(e.is_interrupt(), "{e}");
    assert_eq!(e.exit_code(), 130);
}

mod interrupted {
    use crate::api;
    use crate::error::Error;
    api! {
        global;
        /// As if Ctrl-C had been pressed.
        fn stop_now() -> () { Err(Error::interrupted()) }
    }
}

/// A script's line, and what its message must hold.
const MESSAGES: &[(&str, &str)] = &[
    ("let m = #{learning_rate: 1}; m.learning_rat", "the map has no key `learning_rat`"),
    ("let y = [1, 2]; y[5]", "array index 5 out of bounds: only 2 elements in array"),
    ("1 / 0", "division by zero: 1 / 0"),
    ("let y = 1; y + total", "unknown variable `total`"),
    ("let count = 1; coutn", "unknown variable `coutn`, did you mean `count`?"),
    ("nope(1)", "unknown function `nope`"),
    ("prodct(1, 2)", "unknown function `prodct`, did you mean `product`?"),
    ("product(1)", "`product` takes 2 arguments, but is called with 1"),
    ("let f = |x| x; f(1)", "`f` is a variable, not a function"),
    ("let f = |x| x; f.call(1, 2)", "a closure was called with 2 arguments, but takes another number of them"),
    ("let x = [1]; x.pusch(1)", "no type has a method `pusch`, did you mean `push`?"),
    ("let x = 1; x.push(1)", "`push` cannot be called with (int, int)"),
    ("\"a\" - 1", "`-` does not work between string and int"),
    ("let x = ones_of(1, 1); x.shap", "a value of type tensor has no property `shap`, did you mean `shape`?"),
    ("for i in 5 {}", "expecting an iterable value"),
    ("FF::linear(1, 2)", "unknown module or namespace `FF`"),
    ("F::linaer(1, 2)", "`F` has no function `linaer`, did you mean `linear`?"),
    ("let n = 5; for i in n {}", "`for` needs something to go through"),
    ("const K = 1; K = 2", "`K` is a constant and cannot be assigned"),
    ("let go = 1;", "`go` is a reserved word"),
    ("eval(\"1\")", "`eval`"),
    ("let x = 5\nlet y = 6", "expecting `;` to terminate this statement"),
    ("throw", "the script threw an error without a message"),
    ("throw #{message: \"too bad\"}", "too bad"),
    ("assert(1 > 2, \"order\")", "assert: order"),
    ("assert_eq([1, 2], [1, 3])", "assert_eq: `[1, 2]` is not `[1, 3]`"),
    ("assert_close([1.0, 2.0], [1.0, 2.5])", "2 is not close to 2.5 at [1] (difference 5.000e-1); 1 of 2 differ by more than"),
    ("assert_close(0.0 / 0.0, 1.0)", "NaN is not close to 1"),
    ("hot(\"stepp\")", "has no function `stepp`"),
];

#[test]
fn messages_are_in_our_words_and_point_at_the_place() {
    let mut wrong = Vec::new();
    for (code, want) in MESSAGES {
        let (result, _scripts) = run(&format!("fn helper() {{ 1 }}\n{code}"), &[]);
        match result {
            Ok(v) => wrong.push(format!("{code}: no error but {v}")),
            Err(e) => {
                let places = if let ErrorKind::Script(d) = e.kind() { d.labels.len() } else { 0 };
                if !e.to_string().contains(want) || places == 0 {
                    wrong.push(format!("{code}: wanted `{want}` and a place, got\n{}", e.render(false)));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn every_fault_is_reported() {
    let main = "import \"./none\" as none;\nimport \"./m\" as m;\nfn main() {\n    aa + bb;\n    nope(1);\n    m::f(1, 2);\n    m::g();\n    m::h();\n    helper();\n    [1].pusch(2)\n}\nfn helper(x) { x.cb(1); x.value }\n";
    let (result, _scripts) = run(main, &[("m.rhai", "fn f(x) { unknown_there(x) }\nprivate fn h() {}\nfn opts() { #{cb: |x| x} }")]);
    let Err(e) = result else { panic!("no error") };
    let ErrorKind::Script(d) = e.kind() else { panic!("{e}") };
    let mut all: Vec<String> =
        std::iter::once(&**d).chain(&d.also).map(|d| format!("{}:{} {}", d.labels[0].line, d.labels[0].column, d.message)).collect();
    all.sort();
    let heads = [
        "1:11 unknown function `unknown_there`",
        "1:8 there is no",
        "4:10 unknown variable `bb`",
        "4:5 unknown variable `aa`",
        "5:5 unknown function `nope`",
        "6:5 `m::f` takes 1 argument, but is called with 2",
        "7:5 `",
        "8:5 `h` is private",
        "9:5 `helper` takes 1 argument",
        "10:9 no type has a method `pusch`",
    ];
    let mut want: Vec<&str> = heads.to_vec();
    want.sort_unstable();
    assert_eq!(all.len(), want.len(), "{all:#?}");
    for (got, head) in all.iter().zip(want) {
        assert!(got.starts_with(head), "{got} should start with {head}");
    }
}
