//! Which TorchScript programs a script may run.

use super::Scripts;
use crate::error::Result;
use crate::script::settings::params::{Arg, Origin, Params};
use crate::script::{Engine, EngineOptions, Permissions};
use rhai::{Dynamic, Map};
use std::path::Path;

const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/encoders/map.pt");

/// A project with a program in it, one in its folder of outputs, and one outside.
fn place() -> Scripts {
    let s = Scripts::new(&[("project/lathe.toml", ""), ("project/out/keep.txt", "1"), ("outside/keep.txt", "1")]);
    for to in ["project/own.pt", "project/out/made.pt", "outside/far.pt"] {
        std::fs::copy(PROGRAM, s.path(to)).unwrap();
    }
    s
}

fn rights(s: &Scripts) -> Permissions {
    let mut p = Permissions::for_script(&s.path("project/main.rhai"));
    p.allow_write(&s.path("project/out"));
    p
}

/// Runs the program of that name from a script.
fn run(s: &Scripts, permissions: Option<Permissions>, program: &str, before: &str) -> Result<Dynamic> {
    s.write(
        "project/main.rhai",
        &format!("fn main(cfg) {{\n    {before}\n    models::encoder(`torchscript:${{cfg.p}}/{program}`, #{{ resolution: 16 }}).dim\n}}"),
    );
    let engine = Engine::new(EngineOptions { permissions, ..EngineOptions::default() });
    engine.load(s.path("project/main.rhai"))?;
    let cfg: Map = [("p".into(), s.folder().display().to_string().into())].into_iter().collect();
    engine.run(cfg)
}

#[track_caller]
fn refused(got: Result<Dynamic>, want: &str) {
    let e = got.unwrap_err();
    assert!(e.code() == "E0701" && e.to_string().contains(want), "wanted `{want}`: {e}");
}

#[test]
fn a_program_runs_where_the_user_says_so() {
    let s = place();
    let e = run(&s, Some(rights(&s)), "project/own.pt", "").unwrap_err().to_string();
    let own = s.path("project/own.pt").canonicalize().unwrap();
    assert!(e.contains(&format!("run again with `--allow-torchscript={}`", own.display())), "{e}");
    let mut all = rights(&s);
    all.allow_torchscript();
    assert_eq!(run(&s, Some(all.clone()), "project/own.pt", "").unwrap().to_string(), "6");
    let mut one = rights(&s);
    one.allow_program(&s.path("project/own.pt"));
    assert_eq!(run(&s, Some(one.clone()), "project/own.pt", "").unwrap().to_string(), "6");
    // The right to run is no right to read.
    refused(run(&s, Some(all), "outside/far.pt", ""), "needs read access");
    one.allow_program(&s.path("outside/far.pt"));
    refused(run(&s, Some(one), "outside/far.pt", ""), "needs read access");
    // A host program that asks for nothing is asked for nothing.
    assert_eq!(run(&s, None, "outside/far.pt", "").unwrap().to_string(), "6");
}

#[test]
fn a_setting_that_names_a_program_allows_it() {
    let s = place();
    let named = |origin: Origin, text: String| {
        let mut params = Params::default();
        params.declare("enc_type", Arg::plain("none".into()));
        let mut config = params.defaults();
        config.fill("enc_type", text.into(), origin);
        let mut p = rights(&s);
        p.allow_settings(&config);
        p
    };
    let flag = || Origin::Flag("--enc-type".into());
    let path = |name: &str| format!("torchscript:{}", s.path(name).display());
    for program in ["project/own.pt", "project/out/made.pt", "outside/far.pt"] {
        assert_eq!(run(&s, Some(named(flag(), path(program))), program, "").unwrap().to_string(), "6", "{program}");
        refused(run(&s, Some(named(flag(), path("project/none.pt"))), program, ""), "needs");
    }
    // Its folder is no name for it, and what a run recorded or a script chose is none of the user's.
    refused(run(&s, Some(named(flag(), s.path("project").display().to_string())), "project/own.pt", ""), "needs the right to run");
    refused(run(&s, Some(named(Origin::Lathe, path("project/own.pt"))), "project/own.pt", ""), "needs the right to run");
    refused(run(&s, Some(named(Origin::Default, path("project/own.pt"))), "project/own.pt", ""), "needs the right to run");
}

#[test]
fn a_script_runs_no_program_that_it_may_have_written() {
    let s = place();
    let mut all = rights(&s);
    all.allow_torchscript();
    refused(run(&s, Some(all.clone()), "project/out/made.pt", ""), "lies where the script may write");
    // By another name: a link, a second name of the same file, a way around.
    std::os::unix::fs::symlink(s.path("project/out/made.pt"), s.path("project/link.pt")).unwrap();
    refused(run(&s, Some(all.clone()), "project/link.pt", ""), "lies where the script may write");
    refused(run(&s, Some(all.clone()), "project/out/../out/made.pt", ""), "lies where the script may write");
    std::fs::hard_link(s.path("project/out/made.pt"), s.path("project/hard.pt")).unwrap();
    refused(run(&s, Some(all.clone()), "project/hard.pt", ""), "the file has another name");
    // What lay there when it was named may be run, and not what was put in its place since.
    let mut named = all.clone();
    named.allow_program(&s.path("project/out/made.pt"));
    assert_eq!(run(&s, Some(named.clone()), "project/out/made.pt", "").unwrap().to_string(), "6");
    let put = "io::save(cfg.p + \"/project/out/made.pt\", #{ a: torch::zeros([1]) });";
    refused(run(&s, Some(named.clone()), "project/out/made.pt", put), "has changed since it was named");
    let mut early = all.clone();
    early.allow_program(&s.path("project/out/later.pt"));
    std::fs::copy(PROGRAM, s.path("project/out/later.pt")).unwrap();
    refused(run(&s, Some(early), "project/out/later.pt", ""), "has changed since it was named");
    // Temporary folders are the script's own.
    s.write("project/main.rhai", "fn main(cfg) { models::encoder(`torchscript:${io::temp_dir()}/x.pt`, #{}) }");
    let engine = Engine::new(EngineOptions { permissions: Some(all), ..EngineOptions::default() });
    engine.load(s.path("project/main.rhai")).unwrap();
    refused(engine.run(Map::new()), "lies where the script may write");
    assert!(Path::new(PROGRAM).is_file());
}
