//! Settings: types, limits, files, order.

use super::{Scripts, engine};
use crate::error::Result;
use crate::script::{Config, Engine, Origin, Params};

const SCRIPT: &str = "fn params() {
    #{
        vae: arg(\"f16d32\", \"the VAE\", #{choices: [\"f8d4\", \"f16d32\"]}),
        learning_rate: arg(1e-4, \"step size\", #{min: 0.0, max: 1.0, live: true}),
        steps: 1000,
        shuffle: true,
        mapper: #{hidden: arg(512, \"width\"), depth: 2},
        ch_mult: [1, 2, 4],
        betas: [0.9, 0.999],
        weights: (),
        extra: #{},
        batch: arg(8),
    }
}
fn main(cfg) { cfg }";

fn loaded(text: &str) -> (Engine, Result<Params>) {
    let engine = engine();
    engine.load_text("s.rhai", text).unwrap();
    let params = engine.params();
    (engine, params)
}

fn set(params: &Params, name: &str, text: &str) -> Result<String> {
    let mut config = params.defaults();
    params.set_text(&mut config, name, text, Origin::Flag("--x".into()))?;
    Ok(config.get(name).map_or("group".into(), |v| format!("{v:?}")))
}

#[test]
fn settings_keep_the_scripts_order() {
    let params = loaded(SCRIPT).1.unwrap();
    let names: Vec<String> = params.iter().map(|s| s.name).collect();
    assert_eq!(names, ["vae", "learning_rate", "steps", "shuffle", "mapper.hidden", "mapper.depth", "ch_mult", "betas", "weights", "extra", "batch"]);
    assert!(params.get("learning-rate").unwrap().live);
}

/// A folder with an entry script `s.rhai`, and what its settings are.
fn from_files(files: &[(&str, &str)]) -> (Scripts, Result<Params>) {
    let scripts = Scripts::new(files);
    let engine = engine();
    let params = engine.load(scripts.path("s.rhai")).and_then(|()| engine.params());
    (scripts, params)
}

const GROUPS: &str = "fn run(name) { #{ output_dir: arg(\"exps\", \"\"), exp_name: arg(name, \"\") } }
fn log() { #{ zz: arg(1, \"\"), log_every: arg(50, \"\", #{ min: 1 }) } }
fn wrong() {
    #{ steps: arg(0, \"\", #{ min: 1 }) }
}";

#[test]
fn settings_come_in_the_order_in_which_they_are_made() {
    let script = "import \"./groups\" as groups;
fn params() {
    #{ plain: 1, first: arg(1, \"\"), behind: 2 } + groups::run(\"x\") + #{ a: 3, deep: #{ b: arg(1, \"\"), c: 2 }, d: arg(4, \"\") } + groups::log() + last()
}
fn last() { #{ seed: arg(0, \"\") } }
fn main(cfg) { cfg }";
    let names = |params: &Params| params.iter().map(|s| s.name).collect::<Vec<_>>();
    let (_scripts, params) = from_files(&[("s.rhai", script), ("groups.rhai", GROUPS)]);
    let want = ["plain", "first", "behind", "output_dir", "exp_name", "a", "deep.b", "deep.c", "d", "zz", "log_every", "seed"];
    assert_eq!(names(&params.unwrap()), want);
    // Called in another order they are listed in that.
    let script = "import \"./groups\" as g;\nfn params() { let late = g::log(); g::run(\"x\") + late }\nfn main(cfg) { cfg }";
    let (_scripts, params) = from_files(&[("s.rhai", script), ("groups.rhai", GROUPS)]);
    assert_eq!(names(&params.unwrap()), ["zz", "log_every", "output_dir", "exp_name"]);
}

#[test]
fn a_wrong_default_is_shown_where_it_is_made() {
    let script = "import \"./groups\" as groups;\nfn params() { groups::wrong() }\nfn main(cfg) { cfg }";
    let (scripts, params) = from_files(&[("s.rhai", script), ("groups.rhai", GROUPS)]);
    let text = super::rendered(&params.unwrap_err(), &scripts);
    assert!(text.contains("the default of `steps`: `steps` must be at least 1, got 0") && text.contains("--> groups.rhai:4:15"), "{text}");
}

#[test]
fn a_file_may_say_which_script_it_is_for() {
    let params = loaded(SCRIPT).1.unwrap();
    let config = from_file(&params, "# A recipe.\nscript = \"s\"\nsteps = 3\n").unwrap();
    assert_eq!((config.get("steps").unwrap().as_int(), config.get("script").is_none()), (Ok(3), true));
    // An edited copy of the script under another name has its settings.
    let config = from_file(&params, "script = \"original\"\nsteps = 3\n").unwrap();
    assert_eq!(config.get("steps").unwrap().as_int(), Ok(3));
    let e = from_file(&params, "\nscript = \"other\"\nsteps = 3\ntheirs = 1\n").unwrap_err();
    assert!(e.to_string().contains("c.toml:2: this file is for the script `other`, not for `s`") && e.exit_code() == 2, "{e}");
    // A script may have a setting of that name.
    let params = loaded("fn params() { #{ script: \"a\" } } fn main(cfg) { cfg }").1.unwrap();
    assert_eq!(from_file(&params, "script = \"other\"").unwrap().get("script").unwrap().to_string(), "other");
}

#[test]
fn texts_take_the_defaults_type() {
    let params = loaded(SCRIPT).1.unwrap();
    let cases = [
        ("steps", "5", "5"),
        ("steps", "1e5", "100000"),
        ("steps", "100_000", "100000"),
        ("learning-rate", "1", "1.0"),
        ("learning_rate", "3e-4", "0.0003"),
        ("shuffle", "false", "false"),
        ("mapper.depth", "7", "7"),
        ("mapper.hidden", "8", "8"),
        ("ch-mult", "1,2", "[1, 2]"),
        ("ch-mult", "[4, 5]", "[4, 5]"),
        ("betas", "1,0.5", "[1.0, 0.5]"),
        ("betas", "[1, 0.5]", "[1.0, 0.5]"),
        ("weights", "a/b.pt", "\"a/b.pt\""),
        ("weights", "3", "3"),
        ("weights", "none", "()"),
        ("vae", "f8d4", "\"f8d4\""),
        ("batch", "16", "16"),
        ("extra", "{\"a\": 1}", "#{\"a\": 1}"),
    ];
    for (name, text, want) in cases {
        assert_eq!(set(&params, name, text).unwrap(), want, "--{name} {text}");
    }
    let mut config = params.defaults();
    params.set_text(&mut config, "mapper", "{\"depth\": 9}", Origin::Default).unwrap();
    assert_eq!(config.get("mapper.depth").unwrap().as_int().unwrap(), 9);
}

#[test]
fn what_does_not_fit_is_a_usage_error() {
    let params = loaded(SCRIPT).1.unwrap();
    let cases = [
        ("steps", "many", "`--steps` must be an int, got `many`"),
        ("steps", "1.5", "`--steps` must be an int"),
        ("learning_rate", "fast", "must be a number"),
        ("learning_rate", "-1", "must be at least 0, got -1"),
        ("learning_rate", "2", "must be at most 1, got 2"),
        ("learning_rate", "nan", "must be at least 0, got NaN"),
        ("shuffle", "maybe", "must be true or false"),
        ("ch_mult", "1,b", "must be a list"),
        ("vae", "f8d5", "`vae` cannot be `f8d5`, did you mean `f8d4`?"),
        ("learing_rate", "1", "unknown setting `--learing-rate`, did you mean `--learning-rate`?"),
        ("mapper.dept", "1", "did you mean `--mapper.depth`?"),
        ("mapper", "3", "is a group of settings"),
        ("zzz", "1", "unknown setting `--zzz`"),
    ];
    for (name, text, want) in cases {
        let e = set(&params, name, text).unwrap_err();
        assert!(e.to_string().contains(want), "--{name} {text}: {e}");
        assert_eq!(e.exit_code(), 2);
    }
}

#[test]
fn a_number_beyond_64_bits_in_a_file_is_refused_with_its_line() {
    let params = loaded(SCRIPT).1.unwrap();
    for toml in ["# settings\nsteps = 99999999999999999999\n", "# settings\nbetas = [1, 99999999999999999999]\n"] {
        let e = from_file(&params, toml).unwrap_err();
        assert!(e.to_string().contains("c.toml:2: 99999999999999999999 is no number of 64 bits"), "{e}");
    }
}

fn from_file(params: &Params, toml: &str) -> Result<Config> {
    let folder = Scripts::new(&[("c.toml", toml)]);
    let mut config = params.defaults();
    params.set_file(&mut config, &folder.path("c.toml"))?;
    Ok(config)
}

#[test]
fn files_set_values_with_their_lines() {
    let params = loaded(SCRIPT).1.unwrap();
    let config = from_file(&params, "# settings\nlearning-rate = 1\nsteps = 0x10\nbetas = [1, 2.5]\n\n[mapper]\ndepth = 3\n").unwrap();
    let origins: Vec<(String, usize)> =
        config.iter().filter_map(|c| if let Origin::File(_, line) = c.origin { Some((c.name, line)) } else { None }).collect();
    assert_eq!(origins, [("learning_rate".into(), 2), ("steps".into(), 3), ("mapper.depth".into(), 7), ("betas".into(), 4)]);
    assert_eq!(config.get("steps").unwrap().as_int().unwrap(), 16);
    assert_eq!(config.get("learning_rate").unwrap().as_float().unwrap(), 1.0);
    for (toml, want) in [
        ("step = 3", "c.toml:1: unknown setting `--step`, did you mean `--steps`?"),
        ("\nsteps = \"x\"", "c.toml:2: `steps` must be an int, got string `x`"),
        ("a = [", "line 1: "),
    ] {
        let e = from_file(&params, toml).unwrap_err();
        assert!(e.to_string().contains(want), "{toml}: {e}");
    }
}

#[test]
fn the_map_is_nested_and_toml_reads_back() {
    let (_engine, params) = loaded(SCRIPT);
    let params = params.unwrap();
    let config = params.defaults();
    let toml = config.to_toml();
    let again = from_file(&params, &toml).unwrap();
    assert_eq!(format!("{:?}", again.map()), format!("{:?}", config.map()), "{toml}");
    assert!(format!("{:?}", config.map()["mapper"]).contains("\"depth\": 2"));
}

#[test]
fn wrong_declarations_are_reported() {
    for (text, want) in [
        ("fn params() { 3 } fn main(c) { 1 }", "must return a map"),
        ("fn params() { #{f: |x| x} } fn main(c) { 1 }", "`f` must be a plain value"),
        ("fn params() { #{a: arg(5, \"\", #{choices: [1, 2]})} } fn main(c) { 1 }", "the default of `a`: `a` cannot be `5`"),
    ] {
        let e = loaded(text).1.unwrap_err();
        assert!(e.to_string().contains(want), "{text}: {e}");
    }
    for (text, want) in [
        ("fn params() { #{} }", "`params` without `fn main(cfg)`"),
        ("fn params() { #{a: arg(5, \"\", #{chioces: [1, 2]})} } fn main(c) { 1 }", "unknown option `chioces`, did you mean `choices`?"),
        ("fn main(a, b) { 1 }", "`main` has 2 parameters"),
        ("fn params(x) { #{} } fn main(c) { 1 }", "`params` has 1 parameters"),
    ] {
        let e = engine().load_text("s.rhai", text).unwrap_err();
        assert!(e.to_string().contains(want), "{text}: {e}");
    }
    assert_eq!(loaded("fn main() { 1 }").1.unwrap().iter().count(), 0);
}
