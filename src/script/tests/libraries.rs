//! Libraries: imports, what is refused, and what a library may do.

use super::Scripts;
use crate::error::Error;
use crate::script::units::libraries::{Entry, Project};
use crate::script::{Engine, EngineOptions, Permissions};
use rhai::{Dynamic, Map};

/// The recipe.toml of a library, with more lines.
fn recipe(name: &str, more: &str) -> String {
    format!("name = \"{name}\"\nversion = \"1.2.3\"\nlathe = \">=0.1\"\n{more}")
}

/// A project that uses `lab`, which uses `noise`.
fn place() -> Scripts {
    let s = Scripts::new(&[
        ("project/lathe.toml", "[recipes]\nlab = { path = \"../lab\" }\n"),
        ("project/data/a.txt", "data"),
        ("project/main.rhai", "import \"lab/augment\" as augment;\nfn main(cfg) { augment::twice(4) }"),
        (
            "lab/augment.rhai",
            "import \"./deep/helper\" as h;\nimport \"noise/gauss\" as gauss;\nimport \"std/flow\" as flow;\nfn twice(x) { h::twice(x) + gauss::zero() }",
        ),
        ("lab/deep/helper.rhai", "import \"./other\" as o;\nfn twice(x) { o::id(x) * 2 }"),
        ("lab/deep/other.rhai", "fn id(x) { x }"),
        ("lab/own.txt", "own"),
        ("noise/gauss.rhai", "fn zero() { 0 }"),
    ]);
    s.write("lab/recipe.toml", &recipe("lab", "description = \"augmentations\"\n[recipes]\nnoise = { path = \"../noise\", version = \"^1\" }\n"));
    s.write("noise/recipe.toml", &recipe("noise", ""));
    update(&s).unwrap();
    s
}

fn project(s: &Scripts) -> Project {
    Project::open(&s.path("project")).unwrap()
}

fn update(s: &Scripts) -> Result<(), Error> {
    Project::open(&s.path("project"))?.update(None).map(|_| ())
}

fn run(s: &Scripts) -> Result<Dynamic, Error> {
    run_with(s, None)
}

fn run_with(s: &Scripts, permissions: Option<Permissions>) -> Result<Dynamic, Error> {
    let engine = Engine::new(EngineOptions { permissions, ..EngineOptions::default() });
    engine.load(s.path("project/main.rhai"))?;
    let cfg: Map = [("p", "project"), ("lab", "lab")].into_iter().map(|(k, f)| (k.into(), s.path(f).display().to_string().into())).collect();
    engine.run(cfg)
}

/// The message and the help of what must fail.
fn fails(s: &Scripts, wanted: &[&str]) {
    let e = run(s).expect_err(wanted[0]);
    let text = e.render(false);
    for want in wanted {
        assert!(text.contains(want), "`{want}` is not in: {text}");
    }
}

#[test]
fn libraries_are_imported_with_what_they_use() {
    let s = place();
    assert_eq!(run(&s).unwrap().to_string(), "8");
    let engine = Engine::new(EngineOptions::default());
    engine.load(s.path("project/main.rhai")).unwrap();
    let ids: Vec<String> = engine.sources().into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids, ["main.rhai", "lab/augment.rhai", "lab/deep/helper.rhai", "lab/deep/other.rhai", "noise/gauss.rhai", "std/flow.rhai"]);
    // A reload takes the edited text of a library, as of any module.
    s.write("lab/deep/helper.rhai", "import \"./other\" as o;\nfn twice(x) { o::id(x) * 20 }");
    assert!(engine.is_stale());
    assert_eq!(engine.reload().unwrap().changed.iter().map(|c| c.unit.as_str()).collect::<Vec<_>>(), ["lab/deep/helper.rhai"]);
    assert_eq!(engine.run(Map::new()).unwrap().to_string(), "80");
    // The next program start takes it as it is as well; the lock is what `lathe update` makes of it.
    assert_eq!(run(&s).unwrap().to_string(), "80");
    update(&s).unwrap();
    assert_eq!(run(&s).unwrap().to_string(), "80");
}

#[test]
fn the_lock_is_the_same_for_the_same_libraries() {
    let s = place();
    let read = || std::fs::read_to_string(s.path("project/lathe.lock")).unwrap();
    let first = read();
    assert!(first.find("name = \"lab\"").unwrap() < first.find("name = \"noise\"").unwrap(), "{first}");
    assert!(
        first.contains("source = \"path+../lab\"") && first.contains("source = \"path+../noise\"") && first.contains("version = \"1.2.3\""),
        "{first}"
    );
    assert!(!first.contains(&s.folder().display().to_string()), "no path of this machine: {first}");
    update(&s).unwrap();
    assert_eq!(read(), first);
    std::fs::remove_file(s.path("project/lathe.lock")).unwrap();
    fails(&s, &["lathe.lock`: the library `lab` is not in it", "`lathe update lab`"]);
    update(&s).unwrap();
    assert_eq!(read(), first);
    let left: Vec<_> = std::fs::read_dir(s.path("project")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    assert!(left.iter().all(|n| !n.ends_with(".part")), "{left:?}");
    s.write("project/lathe.lock", "[[recipe]]\nname = 3\n");
    fails(&s, &["lathe.lock`: line 2:", "`lathe update` writes it anew"]);
    update(&s).unwrap();
    assert_eq!(read(), first);
}

#[test]
fn what_is_wrong_with_a_library_is_said_with_file_and_remedy() {
    let change = |file: &str, text: &str, wanted: &[&str]| {
        let s = place();
        s.write(file, text);
        let text = update(&s).and_then(|()| run(&s).map(|_| ())).expect_err(wanted[0]).render(false);
        for want in wanted {
            assert!(text.contains(want), "`{want}` is not in: {text}");
        }
    };
    let lathe = "project/lathe.toml";
    change(
        lathe,
        "[recipes]\nlab = { path = \"../none\" }\n",
        &["lathe.toml`: the library `lab` is missing: there is no folder", "../none", "correct its entry"],
    );
    change(lathe, "[recipes]\nlab = { path = \"data\" }\n", &["is no library, it has no recipe.toml"]);
    change(lathe, "[recipes]\nlab = { path = \"../noise\" }\n", &["`lab` is called `noise` in its own recipe.toml", "write `noise = ..`"]);
    change(lathe, "[recipes]\nstd = { path = \"../lab\" }\n", &["cannot be called `std`"]);
    change(lathe, "[recipes]\nLab = { path = \"../lab\" }\n", &["`Lab` is no name for a library"]);
    change(lathe, "[recipes]\nlab = { }\n", &["`lab` has neither `path` nor `git`"]);
    change(lathe, "[recipes]\nlab = { git = \"file:///x\" }\n", &["`lab` has no `rev`"]);
    change(lathe, "[recipes]\nlab = { path = \"../lab\", git = \"file:///x\" }\n", &["both `path` and `git`"]);
    change(lathe, "[recipes]\nlab = { pth = \"../lab\" }\n", &["lathe.toml`: line 2:", "unknown field `pth`", "`path`"]);
    change(lathe, "[recipes]\nlab = { path = \"../lab\" }\nlab = { path = \"../noise\" }\n", &["line 3:", "duplicate key"]);
    change(lathe, "[recipe]\n", &["line 1:", "unknown field `recipe`"]);
    let lab = |more: &str| recipe("lab", more);
    change(
        "lab/recipe.toml",
        &lab("[recipes]\nnoise = { path = \"../noise\", version = \"^2\" }\n"),
        &["`lab` needs `noise` `^2`", "is 1.2.3", "recipe.toml`"],
    );
    change("lab/recipe.toml", &lab("[recipes]\nnoise = { path = \"../noise\", read = [\"data\"] }\n"), &["a library cannot grant permissions"]);
    change("lab/recipe.toml", "name = \"lab\"\nversion = \"1.2.3\"\nlathe = \">=7\"\n", &["`lab` 1.2.3 needs lathe `>=7`", "this is lathe 0."]);
    change("lab/recipe.toml", "name = \"lab\"\nversion = \"1.2\"\nlathe = \"*\"\n", &["recipe.toml`: line 2:"]);
    change("lab/recipe.toml", "name = \"lab\"\nversion = \"1.2.3\"\n", &["missing field `lathe`"]);
    change("lab/recipe.toml", &lab(""), &["the library `lab` does not say that it uses `noise`", "add `noise` to the `[recipes]`"]);
    change("noise/recipe.toml", &recipe("noise", "[recipes]\nlab = { path = \"../lab\" }\n"), &["use each other in a circle: lab -> noise -> lab"]);
    change("lab/augment.rhai", "fn once(x) { x }", &["`lab/augment` has no function `twice`"]);
    change(
        "project/main.rhai",
        "import \"lab/augmnt\" as a;\nfn main() {}",
        &["the library `lab` has no module `augmnt`, did you mean `augment`?", "it has lab/augment"],
    );
    change("project/main.rhai", "import \"lob/x\" as a;\nfn main() {}", &["lathe.toml names no library `lob`, did you mean `lab`?", "lathe add lob"]);
    change("project/main.rhai", "import \"lab/../main\" as a;\nfn main() {}", &["may not leave its folder"]);
    change("project/main.rhai", "import \"lab/.hidden\" as a;\nfn main() {}", &["hidden files of a library cannot be imported"]);
    let s = place();
    std::os::unix::fs::symlink("/etc/passwd", s.path("lab/data.txt")).unwrap();
    fails(&s, &["lab/data.txt`: this is a link"]);
    // Outside of a project there are none.
    let s = Scripts::new(&[("main.rhai", "import \"lab/x\" as a;\nfn main() {}")]);
    let text = s.run("main.rhai").unwrap_err().render(false);
    assert!(text.contains("there is no lathe.toml that says where `lab` is") && text.contains("lathe add lab --path FOLDER"), "{text}");
}

#[test]
fn one_library_wanted_from_two_places_is_a_conflict_until_the_project_decides() {
    let s = place();
    s.write("aug/recipe.toml", &recipe("aug", "[recipes]\nnoise = { path = \"../noise2\" }\n"));
    s.write("aug/x.rhai", "import \"noise/gauss\" as gauss;\nfn f() { gauss::zero() }");
    s.write("noise2/recipe.toml", &recipe("noise", ""));
    s.write("noise2/gauss.rhai", "fn zero() { 100 }");
    let two = "[recipes]\nlab = { path = \"../lab\" }\naug = { path = \"../aug\" }\n";
    s.write("project/lathe.toml", two);
    let text = update(&s).unwrap_err().render(false);
    assert!(text.contains("`noise` is wanted twice: `aug` takes it from path+../noise2, `lab` from path+../noise"), "{text}");
    assert!(text.contains("`lathe add noise ..`"), "{text}");
    s.write("project/lathe.toml", &format!("{two}noise = {{ path = \"../noise2\" }}\n"));
    update(&s).unwrap();
    assert_eq!(run(&s).unwrap().to_string(), "108", "both get the project's");
}

#[test]
fn a_folder_called_like_a_library_is_not_the_library() {
    let s = place();
    s.write("project/lab/augment.rhai", "fn twice(x) { -x }");
    s.write(
        "project/main.rhai",
        "import \"./lab/augment\" as mine;\nimport \"lab/augment\" as theirs;\nfn main(cfg) { [mine::twice(4), theirs::twice(4)] }",
    );
    assert_eq!(run(&s).unwrap().to_string(), "[-4, 8]");
    // Nor does it have less rights than the script.
    s.write("project/lab/augment.rhai", "fn twice(x) { io::load(x) }");
    s.write("project/main.rhai", "import \"./lab/augment\" as mine;\nfn main(cfg) { mine::twice(cfg.p + \"/data/a.txt\") }");
    assert_eq!(run_with(&s, Some(rights(&s))).unwrap().to_string(), "data");
}

#[test]
fn circles_through_libraries_are_found() {
    let s = place();
    s.write("lab/augment.rhai", "import \"lab/back\" as b;\nfn twice(x) { b::f(x) }");
    s.write("lab/back.rhai", "import \"./augment\" as a;\nfn f(x) { a::twice(x) }");
    update(&s).unwrap();
    fails(&s, &["the imports go in a circle: lab/augment.rhai -> lab/back.rhai -> lab/augment.rhai", "lab/back:1:8"]);
}

#[test]
fn adding_writes_both_files_or_none() {
    let s = place();
    s.write("aug/recipe.toml", &recipe("aug", ""));
    let read = |name: &str| std::fs::read_to_string(s.path("project").join(name)).unwrap();
    let before = (read("lathe.toml"), read("lathe.lock"));
    let path = |p: &str| Entry { path: Some(p.into()), ..Entry::default() };
    for (name, entry, want) in [
        ("aug", path("../none"), "is missing"),
        ("agu", path("../aug"), "is called `aug`"),
        ("lab", path("../aug"), "has a library `lab` already, from ../lab"),
        ("std", path("../aug"), "cannot be called `std`"),
    ] {
        let e = project(&s).add(name, &entry).expect_err(want);
        assert!(e.to_string().contains(want), "{want}: {e}");
        assert_eq!((read("lathe.toml"), read("lathe.lock")), before, "{want}");
    }
    project(&s).add("aug", &path("../aug")).unwrap();
    assert_eq!(read("lathe.toml"), "[recipes]\nlab = { path = \"../lab\" }\naug = { path = \"../aug\" }\n");
    assert!(read("lathe.lock").contains("name = \"aug\""));
    // Again, with a grant.
    let granted = Entry { read: vec!["data".into()], ..path("../aug") };
    project(&s).add("aug", &granted).unwrap();
    assert_eq!(read("lathe.toml"), "[recipes]\nlab = { path = \"../lab\" }\naug = { path = \"../aug\", read = [\"data\"] }\n");
    // A layout that a line cannot be put into.
    s.write("project/lathe.toml", "recipes.lab = { path = \"../lab\" }\n");
    let e = project(&s).add("aug", &path("../aug")).unwrap_err().render(false);
    assert!(e.contains("cannot be changed safely") && e.contains("aug = { path = \"../aug\" }"), "{e}");
}

fn rights(s: &Scripts) -> Permissions {
    let mut p = Permissions::for_script(&s.path("project/main.rhai"));
    p.allow_write(&s.path("project/out"));
    p
}

/// What `lab` does, called by the script with the project's folder and its own.
fn library_does(s: &Scripts, code: &str) -> Result<String, Error> {
    s.write("lab/augment.rhai", &format!("import \"std/weights\" as weights;\n{code}"));
    s.write("project/main.rhai", "import \"lab/augment\" as lab;\nfn main(cfg) { lab::f(cfg.p, cfg.lab) }");
    update(s)?;
    run_with(s, Some(rights(s))).map(|v| v.to_string())
}

#[test]
fn a_library_has_its_own_folder_and_what_is_asked_and_granted() {
    let s = place();
    std::fs::create_dir_all(s.path("project/out")).unwrap();
    s.write("lab/.hidden.txt", "not covered by the hash");
    let denied = [
        "fn f(p, lab) { io::load(\"/etc/passwd\") }",
        "fn f(p, lab) { io::load(p + \"/data/a.txt\") }",
        "fn f(p, lab) { io::load(lab + \"/../project/data/a.txt\") }",
        "fn f(p, lab) { io::load(lab + \"/.hidden.txt\") }",
        "fn f(p, lab) { io::save(p + \"/out/x.txt\", \"1\") }",
        "fn f(p, lab) { io::save(lab + \"/x.txt\", \"1\") }",
        "fn f(p, lab) { io::save(\"/tmp/lathe-escape.txt\", \"1\") }",
        "fn f(p, lab) { train::run(#{output_dir: p + \"/out\", exp_name: \"x\"}) }",
        // Through the standard library, a closure, and a function called by name.
        "fn f(p, lab) { weights::load(nn::linear(1, 1), p + \"/out\", \"net\") }",
        "fn f(p, lab) { let g = |x| io::load(x); g.call(p + \"/data/a.txt\") }",
        "fn f(p, lab) { [p + \"/data/a.txt\"].map(|x| io::load(x)) }",
        "fn f(p, lab) { let g = hot(\"peek\"); g.call(p + \"/data/a.txt\") }\nfn peek(x) { io::load(x) }",
        "fn f(p, lab) { train::fit(train::run(#{output_dir: io::temp_dir(), exp_name: \"x\"}), (), |run, b| #{ loss: io::load(p + \"/data/a.txt\").len() }, #{steps: 1}) }",
    ];
    for code in denied {
        let e = library_does(&s, code).expect_err(code);
        let text = e.render(false);
        assert!(e.code() == "E0701" && text.contains("the library `lab` needs"), "{code}: {text}");
        assert!(text.contains("its recipe.toml does not ask for it") && text.contains("lathe.toml does not grant it"), "{code}: {text}");
    }
    // A program of libtorch's own is beyond all this.
    std::fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/encoders/clip_jit.pt"), s.path("lab/x.pt")).unwrap();
    let e = library_does(&s, "fn f(p, lab) { models::encoder(`torchscript:${lab}/x.pt`) }").unwrap_err();
    assert!(e.code() == "E0701" && e.to_string().contains("may not run a TorchScript program"), "{e}");
    assert!(!std::path::Path::new("/tmp/lathe-escape.txt").exists());
    for (code, want) in [
        ("fn f(p, lab) { io::load(lab + \"/own.txt\") }", "own"),
        ("fn f(p, lab) { let d = io::temp_dir(); io::save(d + \"/x.txt\", \"t\"); io::load(d + \"/x.txt\") }", "t"),
    ] {
        assert_eq!(library_does(&s, code).unwrap(), want, "{code}");
    }
    // A constant of a library is computed while it is loaded, and is held to the same.
    s.write(
        "lab/augment.rhai",
        "import \"std/weights\" as weights;\nconst X = weights::load(nn::linear(1, 1), \"/etc\", \"x\");\nfn f(p, lab) { 1 }",
    );
    update(&s).unwrap();
    let text = run_with(&s, Some(rights(&s))).unwrap_err().render(false);
    assert!(text.contains("the library `lab` needs read access to `/etc`"), "{text}");
}

#[test]
fn a_grant_needs_to_be_asked_for_and_a_request_to_be_granted() {
    let s = place();
    std::fs::create_dir_all(s.path("project/out")).unwrap();
    let load = "fn f(p, lab) { io::load(p + \"/data/a.txt\") }";
    let save = "fn f(p, lab) { io::save(p + \"/out/x.txt\", \"1\"); io::load(p + \"/out/x.txt\") }";
    let table = [
        // asked, granted, what, the result or what the message says
        ("", "", load, Err("does not ask")),
        ("read = [\"data\"]", "", load, Err("lathe.toml does not grant it (`read")),
        ("", ", read = [\"data\"]", load, Err("its recipe.toml does not ask for it (`[permissions] read")),
        ("read = [\"data\"]", ", read = [\"data\"]", load, Ok("data")),
        ("read = [\"*\"]", ", read = [\".\"]", load, Ok("data")),
        ("read = [\".\"]", ", read = [\"other\"]", load, Err("does not grant")),
        ("write = [\"data\"]", ", write = [\"data\"]", load, Ok("data")),
        ("read = [\"*\"]", ", read = [\"*\"]", save, Err("needs write access")),
        ("write = [\"out\"]", ", write = [\"*\"]", save, Ok("1")),
        // No library gets more than the script has.
        (
            "write = [\"*\"]",
            ", write = [\"*\"]",
            "fn f(p, lab) { io::save(p + \"/data/x.txt\", \"1\") }",
            Err("the script itself may not (run again with `--allow-write"),
        ),
        (
            "read = [\"/\"]",
            ", read = [\"/\"]",
            "fn f(p, lab) { io::load(\"/etc/passwd\") }",
            Err("the script itself may not (run again with `--allow-read /etc/passwd`)"),
        ),
    ];
    for (asks, grants, code, want) in table {
        s.write("lab/recipe.toml", &recipe("lab", &format!("[permissions]\n{asks}\n")));
        s.write("project/lathe.toml", &format!("[recipes]\nlab = {{ path = \"../lab\"{grants} }}\n"));
        match (library_does(&s, code), want) {
            (Ok(got), Ok(want)) => assert_eq!(got, want, "{asks} {grants}"),
            (Err(e), Err(want)) => assert!(e.code() == "E0701" && e.to_string().contains(want), "{asks} {grants}: {e}"),
            (got, _) => panic!("{asks} {grants} {code}: {got:?}"),
        }
    }
}

#[test]
fn a_closure_keeps_the_rights_of_whoever_made_it() {
    let s = place();
    let run_main = |lab: &str, main: &str| {
        s.write("lab/augment.rhai", lab);
        s.write(
            "project/main.rhai",
            &format!("import \"lab/augment\" as lab;\nimport \"std/weights\" as weights;\nfn main(cfg) {{ {main} }}\nfn read(x) {{ io::load(x) }}"),
        );
        update(&s).unwrap();
        run_with(&s, Some(rights(&s))).map(|v| v.to_string())
    };
    // The script's own, called in the library: the script's rights, also through a function of its own.
    let apply = "fn apply(f, x) { f.call(x) }";
    assert_eq!(run_main(apply, "lab::apply(|x| io::load(x), cfg.p + \"/data/a.txt\")").unwrap(), "data");
    assert_eq!(run_main(apply, "lab::apply(|x| read(x), cfg.p + \"/data/a.txt\")").unwrap(), "data");
    assert_eq!(run_main(apply, "lab::apply(Fn(\"read\"), cfg.p + \"/data/a.txt\")").unwrap(), "data");
    assert_eq!(run_main(apply, "lab::apply(hot(\"read\"), cfg.p + \"/data/a.txt\")").unwrap(), "data");
    // The library's, called by the script: the library's rights, wherever it was put.
    for (lab, main) in [
        ("fn make() { |x| io::load(x) }", "lab::make().call(cfg.p + \"/data/a.txt\")"),
        ("fn make() { #{ f: [|x| io::load(x)] } }", "let m = lab::make(); m.f[0].call(cfg.p + \"/data/a.txt\")"),
        ("fn make() { Fn(\"inner\") }\nfn inner(x) { io::load(x) }", "lab::make().call(cfg.p + \"/data/a.txt\")"),
        ("fn make() { |x| [|y| io::load(y)][0].call(x) }", "lab::make().call(cfg.p + \"/data/a.txt\")"),
        (
            "fn group(x) { let g = nn::group(); g.features = |m, y| io::load(x); g }",
            "lab::group(cfg.p + \"/data/a.txt\").features(torch::zeros([1]))",
        ),
    ] {
        let e = run_main(lab, main).expect_err(lab);
        assert!(e.code() == "E0701" && e.to_string().contains("the library `lab`"), "{lab}: {e}");
    }
    // After a call that failed, the script has its own rights again.
    let main = "try { lab::f(cfg.p + \"/data/a.txt\"); } catch (e) { print(e.code); } io::load(cfg.p + \"/data/a.txt\")";
    assert_eq!(run_main("fn f(x) { io::load(x) }", main).unwrap(), "data");
    // The script reads what lies in a library.
    assert_eq!(run_main("fn f(x) { x }", "io::load(lab::f(cfg.lab) + \"/own.txt\")").unwrap(), "own");
}

#[test]
fn the_standard_library_is_one() {
    let root = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/stdlib"));
    let table: toml::Table = toml::from_str(&std::fs::read_to_string(root.join("recipe.toml")).unwrap()).unwrap();
    let text = |key: &str| table[key].as_str().unwrap().to_owned();
    assert_eq!((text("name"), text("version")), ("std".into(), env!("CARGO_PKG_VERSION").to_owned()));
    assert!(semver::VersionReq::parse(&text("lathe")).unwrap().matches(&semver::Version::parse(env!("CARGO_PKG_VERSION")).unwrap()));
    Project::open(root).unwrap();
}
