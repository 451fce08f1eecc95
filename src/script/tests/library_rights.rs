//! Hot reload and records give a library no more rights than it had when the program began, whatever is edited meanwhile.

use super::Scripts;
use crate::script::units::libraries::Project;
use crate::script::{Engine, EngineOptions, Permissions};
use rhai::{Dynamic, Map};

const RECIPE: &str = "name = \"lab\"\nversion = \"1.0.0\"\nlathe = \">=0.1\"\n";
const ASKS: &str = "[permissions]\nread = [\"*\"]\nwrite = [\"*\"]\n";
const MAIN: &str = "import \"lab/aug\" as aug;\nfn tried(f, x) { try { return f.call(x); } catch (e) { return e.code; } }\n";

/// A project with a library that asks for nothing, and one that no file names yet.
fn place() -> Scripts {
    let s = Scripts::new(&[
        ("project/lathe.toml", "[recipes]\nlab = { path = \"../lab\" }\n"),
        ("project/data/a.txt", "data"),
        ("lab/recipe.toml", RECIPE),
        ("lab/aug.rhai", "fn get(p) { io::load(p) }\nfn make() { |p| io::load(p) }"),
        ("late/own.txt", "own"),
        ("late/get.rhai", "fn get(p) { io::load(p) }"),
    ]);
    s.write("late/recipe.toml", &format!("{}{ASKS}", RECIPE.replace("lab", "late")));
    s.write("project/main.rhai", &format!("{MAIN}fn main(cfg) {{ #{{f: aug::make(), got: tried(|x| aug::get(x), cfg.p)}} }}"));
    update(&s);
    s
}

fn update(s: &Scripts) {
    Project::open(&s.path("project")).unwrap().update(None).unwrap();
}

fn started(s: &Scripts) -> Engine {
    let engine = Engine::new(EngineOptions { permissions: Some(Permissions::for_script(&s.path("project/main.rhai"))), ..EngineOptions::default() });
    engine.load(s.path("project/main.rhai")).unwrap();
    engine
}

/// What `main` gives, with what an earlier run of it made as `cfg.f`.
fn run(s: &Scripts, engine: &Engine, f: Option<Dynamic>) -> Map {
    let text = |name: &str| Dynamic::from(s.path(name).display().to_string());
    let mut cfg: Map = [("p".into(), text("project/data/a.txt")), ("own".into(), text("late/own.txt"))].into_iter().collect();
    cfg.insert("f".into(), f.unwrap_or(Dynamic::UNIT));
    engine.run(cfg).unwrap().cast::<Map>()
}

fn shown(m: &Map, key: &str) -> String {
    m[key].to_string()
}

/// What the library gets when the script calls it, and through a function of its own that the script has kept.
fn edited(s: &Scripts, engine: &Engine, f: &Dynamic, more: &str) -> (String, String, Map) {
    let main = format!(
        "{MAIN}{more}fn main(cfg) {{ #{{kept: if cfg.f == () {{ () }} else {{ tried(cfg.f, cfg.p) }}, got: tried(|x| aug::get(x), cfg.p), late: late(cfg)}} }}"
    );
    s.write("project/main.rhai", &main);
    engine.reload().unwrap();
    let m = run(s, engine, Some(f.clone()));
    (shown(&m, "got"), shown(&m, "kept"), m)
}

#[test]
fn an_edit_while_it_runs_gives_a_library_no_more_rights() {
    let refused = || "E0701".to_owned();
    let s = place();
    let engine = started(&s);
    let first = run(&s, &engine, None);
    assert_eq!(shown(&first, "got"), "E0701");
    let f = first["f"].clone();
    // It asks for everything, is granted everything, edits itself, and brings another one along.
    s.write("lab/recipe.toml", &format!("{RECIPE}{ASKS}"));
    s.write("lab/aug.rhai", "fn get(p) { let g = |x| io::load(x); g.call(p) }\nfn make() { |p| io::load(p + \"\") }");
    s.write("project/lathe.toml", "[recipes]\nlab = { path = \"../lab\", read = [\"*\"] }\nlate = { path = \"../late\", read = [\"*\"] }\n");
    update(&s);
    let late = "import \"late/get\" as l;\nfn late(cfg) { [tried(|x| l::get(x), cfg.p), tried(|x| l::get(x), cfg.own)] }\n";
    let (got, kept, m) = edited(&s, &engine, &f, late);
    assert_eq!((got, kept), (refused(), refused()), "the rights are those of the start");
    assert_eq!(shown(&m, "late"), "[\"E0701\", \"own\"]", "one that is new reads its own folder");
    // Begun anew, what lathe.toml grants counts.
    let m = run(&s, &started(&s), Some(Dynamic::UNIT));
    assert_eq!((shown(&m, "got"), shown(&m, "late")), ("data".into(), "[\"data\", \"own\"]".into()));
}

#[test]
fn a_library_that_is_taken_out_or_moved_while_it_runs_stays_a_library() {
    let late = "import \"late/get\" as l;\nfn late(cfg) { () }\n";
    let files = [
        // Gone; in the folder of the project itself; unreadable.
        ("project/lathe.toml", "[recipes]\nlate = { path = \"../late\" }\n"),
        ("project/lathe.toml", "[recipes]\nlab = { path = \".\" }\nlate = { path = \"../late\" }\n"),
        ("project/lathe.toml", "[recipes"),
        ("project/lathe.lock", "nonsense"),
    ];
    for (file, text) in files {
        let s = place();
        let engine = started(&s);
        let f = run(&s, &engine, None)["f"].clone();
        s.write("project/recipe.toml", &RECIPE.replace("lab", "other"));
        s.write(file, text);
        let _ = Project::open(&s.path("project")).and_then(|p| p.update(None));
        s.write("project/main.rhai", &format!("{MAIN}{late}fn main(cfg) {{ #{{kept: tried(cfg.f, cfg.p), got: tried(|x| aug::get(x), cfg.p)}} }}"));
        // Refused or not, what runs then has no more rights than before.
        let _ = engine.reload();
        let m = run(&s, &engine, Some(f));
        assert_eq!(shown(&m, "got"), "E0701", "{text}");
        assert!(!m.contains_key("kept") || shown(&m, "kept") == "E0701", "{text}");
    }
}

#[test]
fn a_recorded_library_has_no_rights_where_no_project_names_it() {
    let s = place();
    s.write("lab/recipe.toml", &format!("{RECIPE}{ASKS}"));
    s.write("lab/deep.rhai", "fn get(p) { io::load(p) }");
    s.write("lab/aug.rhai", "import \"./deep\" as d;\nfn get(p) { d::get(p) }\nfn make() { |p| d::get(p) }");
    s.write("project/lathe.toml", "[recipes]\nlab = { path = \"../lab\", read = [\"data\"] }\n");
    update(&s);
    let recorded = started(&s).recorded();
    let again = |folder: &str| {
        let permissions = Permissions::for_script(&s.path("project/main.rhai"));
        let engine = Engine::new(EngineOptions { permissions: Some(permissions), ..EngineOptions::default() });
        engine.load_recorded(recorded.clone(), &s.path(folder)).unwrap();
        run(&s, &engine, None)
    };
    assert_eq!(shown(&again("project"), "got"), "data", "as the project grants it");
    std::fs::create_dir_all(s.path("elsewhere")).unwrap();
    assert_eq!(shown(&again("elsewhere"), "got"), "E0701");
    s.write("project/lathe.toml", "[recipes]\n");
    assert_eq!(shown(&again("project"), "got"), "E0701", "it was taken out since");
}

#[test]
fn a_library_that_may_write_everything_changes_no_script_and_no_record() {
    let s = place();
    s.write("lab/recipe.toml", &format!("{RECIPE}{ASKS}"));
    s.write("lab/aug.rhai", "fn put(p) { io::save(p, \"\"); \"written\" }\nfn note(p) { io::save(p, 1); \"written\" }");
    s.write("project/lathe.toml", "[recipes]\nlab = { path = \"../lab\", write = [\"*\"] }\n");
    update(&s);
    let body = "let run = train::run(#{output_dir: cfg.p + \"/exps\", exp_name: \"a\"});\n    let got = #{};\n    \
                for p in cfg.texts { got[p] = tried(|x| aug::put(x), p); }\n    for p in cfg.values { got[p] = tried(|x| aug::note(x), p); }\n    got";
    s.write("project/main.rhai", &format!("{MAIN}fn main(cfg) {{\n    {body}\n}}"));
    let mut permissions = Permissions::for_script(&s.path("project/main.rhai"));
    ["project", "lab", "late"].iter().for_each(|f| permissions.allow_write(&s.path(f)));
    let engine = Engine::new(EngineOptions { permissions: Some(permissions), ..EngineOptions::default() });
    engine.load(s.path("project/main.rhai")).unwrap();
    let paths = |list: &[&str]| Dynamic::from(list.iter().map(|p| Dynamic::from(s.path(p).display().to_string())).collect::<rhai::Array>());
    let scripts = ["lab/aug.rhai.txt", "lab/x.txt"];
    let values = ["project/exps/a/sources/sources.json", "project/exps/a/start.json", "project/exps/a/edits/1/edit.json", "project/exps/start.json"];
    let cfg: Map =
        [("p".into(), Dynamic::from(s.path("project").display().to_string())), ("texts".into(), paths(&scripts)), ("values".into(), paths(&values))]
            .into_iter()
            .collect();
    let got = engine.run(cfg).unwrap().cast::<Map>();
    let of = |p: &str| shown(&got, &s.path(p).display().to_string());
    for p in &values[..3] {
        assert_eq!(of(p), "E0701", "{p}: what a replay would run");
    }
    assert_eq!((of(values[3]).as_str(), of(scripts[1]).as_str()), ("written", "written"), "names alone bar nothing outside of a run");
    assert!(s.path("project/exps/a/start.json").is_file() && s.path("project/exps/a/sources/main.rhai").is_file(), "the run itself writes them");
    for p in ["lab/aug.rhai", "lab/recipe.toml", "late/get.rhai", "project/lathe.toml", "project/lathe.lock", "project/main.rhai"] {
        let before = std::fs::read(s.path(p)).unwrap();
        let name = s.path(p).display().to_string();
        s.write("project/main.rhai", &format!("{MAIN}fn main(cfg) {{ #{{got: tried(|x| aug::put(x), cfg.p)}} }}"));
        let before = if p.ends_with("main.rhai") { std::fs::read(s.path(p)).unwrap() } else { before };
        engine.reload().unwrap();
        let m = engine.run([("p".into(), Dynamic::from(name))].into_iter().collect()).unwrap().cast::<Map>();
        assert_ne!(shown(&m, "got"), "written", "{p}");
        assert_eq!(std::fs::read(s.path(p)).unwrap(), before, "{p}");
    }
}

#[test]
fn unsafe_operators_are_opened_to_the_script_alone() {
    let s = place();
    s.write(
        "lab/aug.rhai",
        "fn op(x) { torch::op(\"resize_\", [x, [4]]) }\nfn make() { |x| torch::op(\"resize_\", [x, [4]]) }\nfn through(f, x) { f.call(x) }",
    );
    let own = "fn own(x) { torch::op(\"resize_\", [x, [4]]) }\nfn code(f) { try { return f.call(torch::zeros([2])).numel(); } catch (e) { return e.code; } }\n";
    let main = "fn main(cfg) { #{own: code(|x| own(x)), lent: code(|x| aug::through(own, x)), lib: code(|x| aug::op(x)), made: code(aug::make())} }";
    s.write("project/main.rhai", &format!("import \"lab/aug\" as aug;\n{own}{main}"));
    update(&s);
    let tried = |unsafe_ops: bool| {
        let mut permissions = Permissions::for_script(&s.path("project/main.rhai"));
        if unsafe_ops {
            permissions.allow_unsafe_ops();
        }
        let engine = Engine::new(EngineOptions { permissions: Some(permissions), ..EngineOptions::default() });
        engine.load(s.path("project/main.rhai")).unwrap();
        let m = run(&s, &engine, None);
        ["own", "lent", "lib", "made"].map(|key| shown(&m, key))
    };
    assert_eq!(tried(false), ["E0202"; 4], "nobody, unless the user says so");
    assert_eq!(tried(true), ["4", "4", "E0202", "E0202"], "the script, never a library");
}
