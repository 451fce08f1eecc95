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
        ("fn params() { #{a: arg(5, \"\", #{chioces: [1, 2]})} } fn main(c) { 1 }", "unknown option `chioces`, did you mean `choices`?"),
    ] {
        let e = loaded(text).1.unwrap_err();
        assert!(e.to_string().contains(want), "{text}: {e}");
    }
    for (text, want) in [
        ("fn params() { #{} }", "`params` without `fn main(cfg)`"),
        ("fn main(a, b) { 1 }", "`main` has 2 parameters"),
        ("fn params(x) { #{} } fn main(c) { 1 }", "`params` has 1 parameters"),
    ] {
        let e = engine().load_text("s.rhai", text).unwrap_err();
        assert!(e.to_string().contains(want), "{text}: {e}");
    }
    assert_eq!(loaded("fn main() { 1 }").1.unwrap().iter().count(), 0);
}
