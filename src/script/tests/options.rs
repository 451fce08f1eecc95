//! Options of registered functions: how a call reads them, and what the lint, the prompt and the documentation tell of them.

use super::{Scripts, engine};
use crate::error::ErrorKind;
use crate::script::Session;
use crate::script::api;
use crate::script::docs::Item;
use crate::script::lang::options::{Named, OptionSet};
use crate::script::prompt::complete::complete;
use crate::{api, choices, options};
use rhai::Map;

/// How much is said.
#[derive(Clone, Copy)]
enum Level {
    Low,
    High,
}
choices! { Level { Low = "low", High = "high" } }

/// Options as a lower level declares them.
struct Sizes {
    width: i64,
    batch: usize,
    rate: f64,
}
impl Default for Sizes {
    fn default() -> Self {
        Sizes { width: 4, batch: 32, rate: 1e-4 }
    }
}
options! {
    Sizes {
        /// how wide
        width as "wide": [1..=64],
        /// how many
        batch,
        /// how fast
        rate,
    }
}

api! {
    global;
    /// All forms of options.
    fn tell(x: i64, more: Named<i64>;
        /// how loud
        level: Level = Level::Low,
        /// from none to all
        part: f64[0.0..=1.0] = 0.5,
        /// which word
        word: String["yes", "no"] = "yes".into(),
        /// may be missing
        name: Option<String>,
        sizes: Sizes,
        /// must be there
        out: i64,
    ) -> String {
        let level = if matches!(level, Level::Low) { "low" } else { "high" };
        Ok(format!("{x} {:?} {level} {part} {word} {name:?} {} {} {} {out}", more.0, sizes.width, sizes.batch, sizes.rate))
    }
    /// A map with any keys.
    fn open(values: Map) -> i64 { Ok(values.len() as i64) }
    /// A map with any keys, or options.
    fn either(values: Option<Map>;
        /// how deep
        depth: i64 = 1,
    ) -> i64 { Ok(values.map_or(0, |v| v.len() as i64) + depth) }
}

/// What loading and running a script gives: its value, or the messages with their places.
fn outcome(main: &str, modules: &[(&str, &str)]) -> Vec<String> {
    let scripts = Scripts::new(modules);
    scripts.write("main.rhai", main);
    let mut engine = engine();
    engine.register(functions());
    match engine.load(scripts.path("main.rhai")).and_then(|()| engine.run(Map::new())) {
        Ok(v) => vec![v.to_string()],
        Err(e) => match e.kind() {
            ErrorKind::Script(d) => {
                std::iter::once(&**d).chain(&d.also).map(|d| format!("{}:{} {}", d.labels[0].line, d.labels[0].column, d.message)).collect()
            }
            _ => vec![e.to_string()],
        },
    }
}

fn one(body: &str) -> String {
    outcome(&format!("fn main() {{\n    {body}\n}}\n"), &[]).join(" | ")
}

#[test]
fn options_have_their_defaults_and_types() {
    assert_eq!(one("tell(1, #{out: 7})"), "1 None low 0.5 yes None 4 32 0.0001 7");
    assert_eq!(
        one("tell(1, 2, #{out: 7, level: \"high\", part: 1, word: \"no\", name: \"n\", wide: 8, batch: 3, rate: 2})"),
        "1 Some(2) high 1 no Some(\"n\") 8 3 2 7"
    );
    // `()` is as good as nothing, and an argument may be given by its name.
    assert_eq!(one("tell(1, #{out: 7, more: 3, level: (), part: (), batch: ()})"), "1 Some(3) low 0.5 yes None 4 32 0.0001 7");
}

#[test]
fn a_call_says_what_is_wrong_with_its_options() {
    // Through a variable, so that only the call itself can tell.
    let said = |map: &str| one(&format!("let m = {map}; tell(1, m)")).split_once(' ').map(|(_, m)| m.to_owned()).unwrap();
    assert_eq!(said("#{out: 1, lvel: \"low\"}"), "tell: unknown option `lvel`, did you mean `level`?");
    assert_eq!(said("#{out: 1, rate: \"x\"}"), "tell: option `rate` must be a number, got string `x`");
    assert_eq!(said("#{out: 1, level: \"hihg\"}"), "tell: option `level` must be one of `low`, `high`, got string `hihg`, did you mean `high`?");
    assert_eq!(said("#{out: 1, level: 3}"), "tell: option `level` must be a string, got int `3`");
    assert_eq!(said("#{out: 1, part: 1.5}"), "tell: option `part` must be from 0 to 1, got float `1.5`");
    assert_eq!(said("#{out: 1, word: \"maybe\"}"), "tell: option `word` must be one of `yes`, `no`, got string `maybe`");
    assert_eq!(said("#{out: 1, wide: 0}"), "tell: option `wide` must be from 1 to 64, got int `0`");
    assert_eq!(said("#{out: 1, batch: -1}"), "tell: option `batch` must be an int of at least 0, got int `-1`");
    assert_eq!(said("#{}"), "tell: option `out` is required: an int");
    assert_eq!(one("let m = #{out: 1, more: 3}; tell(1, 2, m)"), "2:33 tell: `more` is given in its place and by name");
    assert_eq!(one("let m = 5; tell(1, 2, m)"), "2:16 tell: argument `options` must be a map of options, got int `5`");
}

#[test]
fn the_lint_reads_literal_maps() {
    // Behind `return`, so that only the lint can tell.
    let told = |call: &str| one(&format!("return 0; {call}"));
    for (call, want) in [
        ("tell(1, #{out: 1, lvel: \"low\"})", "2:33 tell: unknown option `lvel`, did you mean `level`?"),
        ("tell(1, #{out: 1, rate: \"x\"})", "2:39 tell: option `rate` must be a number, got string `x`"),
        ("tell(1, #{out: 1, part: 1.5})", "2:39 tell: option `part` must be from 0 to 1, got float `1.5`"),
        ("tell(1, #{out: 1, level: \"loud\"})", "2:40 tell: option `level` must be one of `low`, `high`, got string `loud`"),
        (
            "tell(1, #{wide: 65, bach: 1})",
            "2:31 tell: option `wide` must be from 1 to 64, got int `65` | 2:35 tell: unknown option `bach`, did you mean `batch`?",
        ),
        ("F::conv2d(1, 2, #{strid: 2})", "2:33 conv2d: unknown option `strid`, did you mean `stride`?"),
        ("F::conv2d(1, 2, #{stride: [1, 2, 3]})", "2:41 conv2d: option `stride` must be an int or [y, x], got array"),
        ("let x = torch::ones([2]); x.sum(#{keepdm: true}).exp()", "2:49 sum: unknown option `keepdm`, did you mean `keepdim`?"),
        ("let x = torch::ones([2]); x.exp().sum(0, #{keepdim: 1}).exp()", "2:67 sum: option `keepdim` must be a bool, got int `1`"),
        (
            "[1].map(|x| F::gelu(x, #{approximate: \"tan\"}))",
            "2:53 gelu: option `approximate` must be one of `none`, `tanh`, got string `tan`, did you mean `tanh`?",
        ),
        // A value that is not literal, a variable, `()`.
        ("let s = \"x\"; tell(1, #{out: 1, rate: s, batch: [s], level: `${s}`})", "0"),
        ("let m = #{lvel: 1}; tell(1, m)", "0"),
        ("tell(1, #{out: 1, rate: (), level: ()})", "0"),
        // Maps with any keys, or that may be.
        ("open(#{lvel: 1}); torch::op(\"add\", [1, 2], #{lvel: 1}); either(#{lvel: 1})", "0"),
        ("either((), #{depht: 1})", "2:28 either: unknown option `depht`, did you mean `depth`?"),
        ("let a = [#{b: 1}]; a.push(#{lvel: 1}); a.contains(#{lvel: 1})", "0"),
        // A function that the script stored itself may be meant.
        ("let m = #{sum: |o| o}; m.sum(#{lvel: 1})", "0"),
        // Of methods of one name, one of which takes it.
        ("let m = nn::linear(1, 1); m.load(#{weight: 1}, #{strict: false})", "0"),
    ] {
        assert_eq!(told(call), want, "{call}");
    }
}

#[test]
fn an_import_hides_a_namespace() {
    let module = [("m.rhai", "fn conv2d(x, w, options) { options.len() }")];
    assert_eq!(outcome("import \"./m\" as F;\nfn main() { F::conv2d(1, 2, #{strid: 2}) }\n", &module), ["1"]);
    assert_eq!(outcome("fn tell(x, options) { options.len() }\nfn main() { tell(1, #{lvel: 2}) }\n", &[]), ["1"]);
}

#[test]
fn the_documentation_has_a_table() {
    let all = functions();
    let tell = Item::of(all.iter().find(|f| f.name == "tell").unwrap());
    assert_eq!(tell.signature, "tell(x, more?, options?)");
    for row in [
        "| option | type | default | |",
        "| `more` | an int |  | the argument of this name |",
        "| `level` | a string | `\"low\"` | how loud; `low`, `high` |",
        "| `part` | a number | `0.5` | from none to all; from 0 to 1 |",
        "| `word` | a string | `\"yes\"` | which word; `yes`, `no` |",
        "| `name` | a string |  | may be missing |",
        "| `wide` | an int | `4` | how wide; from 1 to 64 |",
        "| `rate` | a number | `1e-4` | how fast |",
        "| `out` | an int | required | must be there |",
    ] {
        assert!(tell.markdown().lines().any(|l| l == row), "{row}\n{}", tell.markdown());
    }
    assert_eq!(Sizes::specs().iter().map(|s| s.name).collect::<Vec<_>>(), ["wide", "batch", "rate"]);
}

#[test]
fn the_prompt_completes_keys_and_their_texts() {
    let engine = engine();
    let session = Session::new(engine.at(), "prompt");
    let texts = |line: &str| {
        let found = complete(engine.at(), &session, line, line.len());
        found.candidates.iter().map(|c| format!("{}{}", &line[..found.start], c.text)).collect::<Vec<_>>()
    };
    assert_eq!(texts("F::conv2d(x, w, #{st"), ["F::conv2d(x, w, #{stride: "]);
    assert_eq!(texts("F::gelu(x, #{"), ["F::gelu(x, #{approximate: "]);
    // What is there already is not offered again.
    assert_eq!(
        texts("torch::ones([2], #{dtype: \"f16\", "),
        ["torch::ones([2], #{dtype: \"f16\", device: ", "torch::ones([2], #{dtype: \"f16\", requires_grad: "]
    );
    assert_eq!(texts("F::gelu(x, #{approximate: "), ["F::gelu(x, #{approximate: \"none\"", "F::gelu(x, #{approximate: \"tanh\""]);
    assert_eq!(texts("F::gelu(x, #{approximate: \"ta"), ["F::gelu(x, #{approximate: \"tanh"]);
    assert_eq!(texts("x.topk(1, #{la"), ["x.topk(1, #{largest: "]);
    // Elsewhere names are completed as ever.
    assert!(texts("F::gelu(torch::one").contains(&"F::gelu(torch::ones(".to_owned()));
}

#[test]
fn every_option_is_described() {
    let mut count = 0;
    for f in api::all() {
        let options = f.options();
        let mut names: Vec<&str> = options.iter().map(|o| o.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), options.len(), "{}: an option is there twice", f.signature());
        for o in options {
            count += 1;
            assert!(o.doc.len() >= 4 && !o.doc.ends_with('.'), "{}: option `{}` says `{}`", f.signature(), o.name, o.doc);
            assert_ne!(o.doc, o.name, "{}", f.signature());
        }
    }
    assert!(count > 200, "the options were found: {count}");
}
