//! The `lathe` command as users meet it: exit codes, stdout and stderr, help.

use crate::support::process::{LATHE, Place, signal};
use std::io::{BufRead, BufReader, Read};

const TRAIN: &str = "//! Trains nothing.
//!
//! lathe run train.rhai --steps 3

fn params() {
    #{
        vae: arg(\"f16d32\", \"the VAE\", #{choices: [\"f8d4\", \"f16d32\"]}),
        learning_rate: arg(1e-4, \"step size\", #{min: 0.0, live: true}),
        steps: 1000,
        shuffle: true,
        verbose: false,
        mapper: #{depth: 2},
        ch_mult: [1, 2, 4],
        weights: (),
        seed: 0,
    }
}
fn main(cfg) {
    print(`${cfg.vae} ${cfg.learning_rate} ${cfg.steps} ${cfg.shuffle} ${cfg.verbose} ${cfg.mapper.depth} ${cfg.ch_mult} ${cfg.device} ${cfg.dtype}`);
}
";

#[test]
fn flags_are_typed_by_their_defaults() {
    let s = Place::new(&[("train.rhai", TRAIN), ("c.toml", "steps = 7\n[mapper]\ndepth = 5\n")]);
    let run = |flags: &[&str]| s.lathe(&[&["run", "train.rhai", "--device", "cpu"], flags].concat());
    let (code, out, err) = run(&[]);
    assert_eq!((code, out.as_str()), (0, "f16d32 0.0001 1000 true false 2 [1, 2, 4] cpu f32\n"), "{err}");
    let (code, out, err) =
        run(&["--learning-rate=1", "--steps", "3", "--no-shuffle", "--verbose", "--mapper.depth", "9", "--ch-mult", "1", "2", "--dtype", "bf16"]);
    assert_eq!((code, out.as_str()), (0, "f16d32 1.0 3 false true 9 [1, 2] cpu bf16\n"), "{err}");
    // Dash and underscore are the same, the last one counts, flags go before the file.
    let (code, out, err) = run(&["--learning_rate", "2", "--config", "c.toml", "--steps", "4", "--steps", "5", "--shuffle", "false"]);
    assert_eq!((code, out.as_str()), (0, "f16d32 2.0 5 false false 5 [1, 2, 4] cpu f32\n"), "{err}");
}

#[test]
fn wrong_flags_are_usage_errors() {
    let s = Place::new(&[("train.rhai", TRAIN)]);
    let (code, out, err) = s.lathe(&["run", "train.rhai", "--learing-rate", "1"]);
    assert!(code == 2 && out.is_empty() && err.contains("did you mean `--learning-rate`?"), "{code} {err}");
    let (code, _, err) = s.lathe(&["run", "train.rhai", "--dtype", "f99"]);
    assert!(code == 2 && err.contains("unknown dtype `f99`"), "{code} {err}");
    // A script that does not read the dtype computes in no other.
    let (unread, renamed) = (TRAIN.replace(" ${cfg.dtype}", ""), TRAIN.replace("cfg", "c").replace("fn main(c)", "fn main( c )"));
    let s2 = Place::new(&[("unread.rhai", unread.as_str()), ("renamed.rhai", renamed.as_str())]);
    let (code, out, err) = s2.lathe(&["run", "unread.rhai", "--dtype", "f64"]);
    assert!(
        code == 2 && out.is_empty() && err.contains("--dtype f64: unread.rhai does not read `cfg.dtype`") && err.contains("--mixed-precision"),
        "{err}"
    );
    assert_eq!(s2.lathe(&["run", "unread.rhai", "--dtype", "f32"]).0, 0);
    let (code, out, err) = s2.lathe(&["run", "renamed.rhai", "--dtype", "f64"]);
    assert!(code == 0 && out.ends_with(" f64\n"), "{out} {err}");
    let (code, _, err) = s.lathe(&["run", "train.rhai", "--device", "cuda:99"]);
    assert!(code == 1 && err.contains("device `cuda:99` is not available"), "{code} {err}");
    let (code, _, err) = s.lathe(&["walk"]);
    assert!(code == 2 && err.contains("walk"), "{code} {err}");
}

#[test]
fn operators_without_checks_are_opened_by_a_flag() {
    let s = Place::new(&[(
        "op.rhai",
        "//! Calls an operator that is not for scripts.\nfn main(cfg) { print(torch::op(\"resize_\", [torch::zeros([2]), [4]]).numel()); }\n",
    )]);
    let (code, _, err) = s.lathe(&["run", "op.rhai"]);
    assert!(
        code == 1 && err.contains("`resize_` is not for scripts") && err.contains("--allow-unsafe-ops") && err.contains("op.rhai:2"),
        "{code} {err}"
    );
    let (code, out, err) = s.lathe(&["run", "op.rhai", "--allow-unsafe-ops"]);
    assert_eq!((code, out.as_str()), (0, "4\n"), "{err}");
}

#[test]
fn help_lists_the_scripts_settings() {
    let s = Place::new(&[("train.rhai", TRAIN)]);
    let (code, out, err) = s.lathe(&["run", "train.rhai", "--help"]);
    assert_eq!(code, 0, "{err}");
    let want = "usage: lathe run train.rhai [FLAGS]

Trains nothing.

lathe run train.rhai --steps 3

settings [default]:
  --vae TEXT         the VAE; one of f8d4, f16d32 [f16d32]
  --learning-rate X  step size; at least 0; live [1e-4]
  --steps N          [1000]
  --no-shuffle       [true]
  --verbose          [false]
  --mapper.depth N   [2]
  --ch-mult A,B,..   [1,2,4]
  --weights VALUE
  --seed N           [0]
  --device TEXT      auto, cpu, cuda or cuda:N [auto]
  --dtype TEXT       f32, bf16 or f16 [f32]

  --config FILE.toml   values for settings, or a recipe's name; flags go before the file
  --print-config       show every value with where it comes from, and stop
  --threads N          how many CPU threads to use
  --max-memory SIZE    how much memory it may use: 8G, 0.9 of the machine (the default), none
  --allow-read PATH    a file or folder that the script may read besides its project
  --allow-write PATH   a file or folder that it may write besides its run folder and outputs
  --allow-torchscript  lets it run TorchScript programs that it can read and cannot write; =PATH the one in that file
  --allow-unsafe-ops   opens operators to `torch::op` that do not check their arguments
  --watch              take saved edits of the scripts in between two steps; --watch=poll looks at the files instead
  --profile[=STEPS]    measure where the time of STEPS steps goes (10), line by line, in `profile/` of the run
  --find-nan           end with the first line whose result or gradient is not finite; slow
  --log-level LEVEL    off, error, warn, info, debug or trace
  --help               this text
";
    assert_eq!(out, want, "\n{out}");
    for args in [&["--help"][..], &["run", "--help"], &["check", "--help"], &["--version"]] {
        let (code, out, _) = s.lathe(args);
        assert!(code == 0 && !out.is_empty(), "{args:?}");
    }
}

#[test]
fn the_config_is_shown_with_its_origins() {
    let s = Place::new(&[("train.rhai", TRAIN), ("c.toml", "\nsteps = 7\n")]);
    let (code, out, err) = s.lathe(&["run", "train.rhai", "--print-config", "--config", "c.toml", "--mapper.depth", "3", "--device", "cpu"]);
    assert_eq!(code, 0, "{err}");
    let want = "vae = \"f16d32\"        # default
learning_rate = 1e-4  # default
steps = 7             # c.toml:2
shuffle = true        # default
verbose = false       # default
mapper.depth = 3      # --mapper.depth
ch_mult = [1, 2, 4]   # default
# weights = ()        # default
seed = 0              # default
device = \"cpu\"        # --device
dtype = \"f32\"         # default
";
    assert_eq!(out, want, "\n{out}");
    // What is printed can be given back.
    std::fs::write(s.path("again.toml"), &out).unwrap();
    let (code, again, err) = s.lathe(&["run", "train.rhai", "--print-config", "--config", "again.toml"]);
    assert_eq!(code, 0, "{err}");
    let values = |text: &str| text.lines().map(|l| l.split("  #").next().unwrap().trim().to_owned()).collect::<Vec<_>>();
    assert_eq!(values(&again)[..10], values(&out)[..10]);
}

#[test]
fn exit_codes_tell_what_happened() {
    let s = Place::new(&[
        ("ok.rhai", "print(\"data\"); debug(\"talk\");"),
        ("throws.rhai", "fn main() {\n    throw \"no\";\n}"),
        ("broken.rhai", "fn main( {"),
        ("endless.rhai", "fn main() { print(\"begun\"); try { loop { } } catch (e) { print(\"caught\"); } }"),
    ]);
    let (code, out, err) = s.lathe(&["run", "ok.rhai"]);
    assert_eq!((code, out.as_str()), (0, "data\n"), "{err}");
    assert!(err.contains("talk"));
    let (code, out, err) = s.lathe(&["run", "throws.rhai"]);
    assert_eq!((code, out.as_str(), err.as_str()), (1, "", "error[E0501]: no\n --> throws.rhai:2:5\n  |\n2 |     throw \"no\";\n  |     ^^^^^\n"));
    assert_eq!(s.lathe(&["run", "broken.rhai"]).0, 1);
    assert_eq!(s.lathe(&["run", "none.rhai"]).0, 1);

    let mut child = s.command(&["run", "endless.rhai"]).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut begun = String::new();
    out.read_line(&mut begun).unwrap();
    assert_eq!(begun, "begun\n");
    signal(&child, "-INT");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "", "nothing is caught, nothing goes on");
}

#[test]
fn a_closed_stdout_ends_the_script_quietly() {
    let s = Place::new(&[("loop.rhai", "loop { print(\"line\"); }")]);
    let script = format!("{LATHE} run {} | head -1", s.at("loop.rhai"));
    let out = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&out.stdout), "line\n");
    assert!(!String::from_utf8_lossy(&out.stderr).contains("panic"));
}

#[test]
fn check_reports_every_fault_once() {
    let s = Place::new(&[
        ("a.rhai", "import \"./m\" as m;\nfn main() { m::f(1) }"),
        ("b.rhai", "import \"./m\" as m;\nfn main() { nope(); }"),
        ("m.rhai", "fn f(x) { unknown_one(x) + unknown_two(x) }"),
        ("fine.rhai", "print(1);"),
        ("set.rhai", "fn params() { #{a: arg(3, \"\", #{choices: [1]})} }\nfn main(cfg) { }"),
    ]);
    let (code, out, err) = s.lathe(&["check"]);
    assert_eq!((code, out.as_str()), (1, ""));
    for (want, n) in [
        ("unknown function `unknown_one`", 1),
        ("unknown function `unknown_two`", 1),
        ("unknown function `nope`", 1),
        ("the default of `a`", 1),
        ("checked 5 scripts: 4 errors", 1),
    ] {
        assert_eq!(err.matches(want).count(), n, "{want}: {err}");
    }
    let (code, _, err) = s.lathe(&["check", "fine.rhai"]);
    assert!(code == 0 && err.contains("checked 1 script: all well"), "{err}");
    assert_eq!(s.lathe(&["check", "none"]).0, 1);
    assert_eq!(Place::new(&[]).lathe(&["check"]).0, 2);
}

#[test]
fn check_names_an_unknown_option_with_its_place() {
    let s = Place::new(&[("a.rhai", "fn main() {\n    let x = torch::ones([1, 1, 4, 4]);\n    F::conv2d(x, x, #{strid: 2})\n}")]);
    let (code, _, err) = s.lathe(&["check"]);
    assert_eq!(code, 1, "{err}");
    for want in ["conv2d: unknown option `strid`, did you mean `stride`?", "a.rhai:3:23", "its options: stride, padding, dilation, groups"] {
        assert!(err.contains(want), "{want}: {err}");
    }
}

#[test]
fn check_tells_programs_where_a_fault_is() {
    let s = Place::new(&[
        ("a.rhai", "fn main() {\n    torch::zero([2]);\n}"),
        ("set.rhai", "fn params() { #{lr: 0.1, a: arg(3, \"\", #{choices: [1]})} }\nfn main(cfg) { }"),
        ("use.rhai", "fn params() { #{lr: 0.1} }\nfn main(cfg) { cfg.lrr }"),
        ("endless.rhai", "fn params() { loop { } }\nfn main(cfg) { }"),
        ("says.rhai", "fn params() { print(\"from params\"); #{a: 1} }\nfn main(cfg) { }"),
        ("broken.rhai", "fn main( {"),
        ("types.d.rhai", "module static;"),
    ]);
    let (code, out, err) = s.lathe(&["check", "--json"]);
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("checked 6 scripts: 5 errors") && err.contains("from params"), "{err}");
    let list: serde_json::Value = serde_json::from_str(&out).unwrap();
    let of = |file: &str| list.as_array().unwrap().iter().find(|f| f["file"] == file).unwrap_or_else(|| panic!("{file}: {out}")).clone();
    let fields: Vec<String> = of("a.rhai").as_object().unwrap().keys().cloned().collect();
    assert_eq!(fields, ["file", "line", "column", "end", "severity", "code", "message", "help", "replacement"]);
    let place = |f: &serde_json::Value| (f["line"].as_u64(), f["column"].as_u64(), f["end"].as_u64());
    let a = of("a.rhai");
    assert_eq!((place(&a), a["severity"].as_str(), a["code"].as_str()), ((Some(2), Some(5), Some(16)), Some("error"), Some("E0503")));
    assert_eq!(a["message"], "`torch` has no function `zero`, did you mean `zeros`?");
    assert_eq!((&a["replacement"]["old"], &a["replacement"]["new"]), (&"zero".into(), &"zeros".into()));
    assert!(of("broken.rhai")["replacement"].is_null());
    let set = of("set.rhai");
    assert_eq!((place(&set), set["help"].as_str()), ((Some(1), Some(29), Some(32)), Some("one of 1")));
    assert!(set["message"].as_str().unwrap().starts_with("the default of `a`: `a` cannot be `3`"), "{out}");
    assert_eq!(of("use.rhai")["message"], "the script has no setting `lrr`, did you mean `lr`?");
    assert_eq!(of("endless.rhai")["code"], "E0505");
    assert_eq!(of("broken.rhai")["code"], "E0502");
    let fine = Place::new(&[("fine.rhai", "print(1);")]);
    assert_eq!(fine.lathe(&["check", "--json"]), (0, "[]\n".to_owned(), String::new()));
    // A script that cannot be read has no line.
    let (code, out, _) = fine.lathe(&["check", "--json", "fine.rhai", "none.rhai"]);
    let said: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &said["error"]["code"], &said["error"]["line"]), (1, &"E0301".into(), &serde_json::Value::Null));
}

#[test]
fn check_looks_where_scripts_usually_are() {
    let s = Place::new(&[("elsewhere.rhai", "fn main() { nope(); }")]);
    std::fs::create_dir(s.path("scripts")).unwrap();
    std::fs::write(s.path("scripts/a.rhai"), "print(1);").unwrap();
    let (code, _, err) = s.lathe(&["check"]);
    assert!(code == 0 && err.contains("checked 1 script: all well"), "{err}");
    assert_eq!(s.lathe(&["check", "."]).0, 1);
}

#[test]
fn doc_shows_what_scripts_can_call() {
    let s = Place::new(&[]);
    let (code, out, err) = s.lathe(&["doc", "tensor.matmul"]);
    assert_eq!(code, 0, "{err}");
    let want = "tensor.matmul(other)

- `other`: a tensor
- returns a tensor

Matrix product, as `x @ other`.

Shapes

- `[.., n, k]`, `[.., k, m]` -> `[.., n, m]`

Errors

`E0201` when the inner sizes differ.

Example

    assert_eq(torch::ones([2, 3]).matmul(torch::ones([3, 4])).shape, [2, 4]);
";
    assert_eq!(out, want, "\n{out}");
    let (code, out, _) = s.lathe(&["doc"]);
    assert!(code == 0 && ["torch", "tensor", "std/flow"].iter().all(|n| out.contains(&format!("\n  {n} "))), "{out}");
    let (code, out, _) = s.lathe(&["doc", "std/flow"]);
    assert!(code == 0 && out.contains("flow::score(path, x_t, v, t)"), "{out}");
    let (code, out, _) = s.lathe(&["doc", "--search", "cosine"]);
    assert!(code == 0 && out.contains("F::cosine_similarity("), "{out}");
    assert!(!out.contains('\u{1b}'), "no color into a pipe");
    let (code, out, err) = s.lathe(&["doc", "tensor.matmull"]);
    assert!(code == 2 && out.is_empty() && err.contains("did you mean `tensor.matmul`?"), "{err}");
    assert_eq!(s.lathe(&["doc", "--search", "qqqqqqqq"]).0, 2);
}

#[test]
fn doc_writes_pages_and_definitions() {
    let s = Place::new(&[]);
    std::fs::create_dir(s.path("scripts")).unwrap();
    std::fs::write(s.path("scripts/train.rhai"), TRAIN).unwrap();
    let (code, _, err) = s.lathe(&["doc", "--write", "pages"]);
    assert_eq!(code, 0, "{err}");
    let text = |name: &str| s.read(name);
    assert!(text("pages/README.md").contains("[torch::](torch.md)") && text("pages/tensor.md").contains("\n## matmul\n"));
    assert!(text("pages/scripts/train.md").contains("| `--learning-rate X` | `1e-4` | step size; at least 0; live |"));
    // A page that is no longer made goes, a file of the user's stays.
    std::fs::rename(s.path("pages/torch.md"), s.path("pages/gone.md")).unwrap();
    std::fs::write(s.path("pages/own.md"), "mine").unwrap();
    let (code, _, err) = s.lathe(&["doc", "--write", "pages"]);
    assert!(code == 0 && err.contains("removed 1"), "{err}");
    assert!(!s.path("pages/gone.md").exists() && s.path("pages/torch.md").exists() && text("pages/own.md") == "mine");

    let (code, _, err) = s.lathe(&["doc", "--definitions", "types"]);
    assert_eq!(code, 0, "{err}");
    assert!(text("types/torch.d.rhai").contains("fn zeros(shape: Array) -> Tensor;") && text("types/std/flow.d.rhai").contains("fn score("));
    std::fs::write(s.path("file"), "x").unwrap();
    let (code, _, err) = s.lathe(&["doc", "--write", "file/pages"]);
    assert!(code == 1 && err.contains("E0301"), "{err}");
}
