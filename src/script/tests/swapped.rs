//! Between the check of a path and its opening somebody else puts a link in its place: what is opened is what was allowed.

use super::Scripts;
use crate::script::{Engine, EngineOptions, Permissions};
use rhai::{Dynamic, Map};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Tries of each kind; `LATHE_FLIPS` says how many. Fewer in the debug build, which runs after each edit.
fn tries() -> i64 {
    std::env::var("LATHE_FLIPS").ok().and_then(|n| n.parse().ok()).unwrap_or(if cfg!(debug_assertions) { 100 } else { 2_000 })
}

/// A project with a folder to write, beside one that it may not touch. Each `x` in it has a twin `x.twin` that leads outside, or is one.
fn place() -> Scripts {
    let s = Scripts::new(&[
        ("project/lathe.toml", ""),
        ("project/out/keep.txt", ""),
        ("project/in/a.txt", "inside"),
        ("outside/a.txt", "secret"),
        ("outside/w/keep.txt", ""),
        ("project/folder/a.txt", "inside"),
        ("project/out/folder/keep.txt", ""),
        ("project/file.txt", "inside"),
    ]);
    // A folder and a file that become links, and links that lead elsewhere.
    symlink(s.path("outside"), s.path("project/folder.twin")).unwrap();
    symlink(s.path("outside/a.txt"), s.path("project/file.txt.twin")).unwrap();
    symlink("in", s.path("project/link")).unwrap();
    symlink("../outside", s.path("project/link.twin")).unwrap();
    symlink(s.path("outside/w"), s.path("project/out/folder.twin")).unwrap();
    symlink("keep.txt", s.path("project/out/file")).unwrap();
    symlink(s.path("outside/w/keep.txt"), s.path("project/out/file.twin")).unwrap();
    s
}

/// Runs the body of a loop as often as there are tries, while another thread exchanges these with their twins; on a busy machine, where few tries
/// may meet but one of the twins, until it gave all that is wanted. What it gave, with how often.
fn flipped(s: &Scripts, what: &[&str], body: &str, wanted: &[&str]) -> Map {
    // A run is a hundred files, each of which is a try.
    let n = if body.contains("train::run") { tries() / 10 } else { tries() };
    let pairs: Vec<(PathBuf, PathBuf)> = what.iter().map(|w| (s.path(w), s.path(&format!("{w}.twin")))).collect();
    let (stop, flips) = (AtomicBool::new(false), AtomicUsize::new(0));
    let script = format!(
        "fn one(cfg, i) {{ {body} }}\nfn main(cfg) {{\n    let got = #{{}};\n    for i in 0..{n} {{\n        let k = \"\";\n        \
         try {{ k = `${{one(cfg, i)}}`; }} catch (e) {{ k = e.code; }}\n        got[k] = if k in got {{ got[k] + 1 }} else {{ 1 }};\n    }}\n    got\n}}"
    );
    s.write("project/main.rhai", &script);
    let mut permissions = Permissions::for_script(&s.path("project/main.rhai"));
    permissions.allow_write(&s.path("project/out"));
    let engine = Engine::new(EngineOptions { permissions: Some(permissions), ..EngineOptions::default() });
    engine.load(s.path("project/main.rhai")).unwrap();
    let cfg: Map = [("p".into(), Dynamic::from(s.path("project").display().to_string()))].into_iter().collect();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                for (a, b) in &pairs {
                    renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE).unwrap();
                    // A rest now and then, each time on the other twin, lets what takes several steps come through.
                    if flips.fetch_add(1, Ordering::Relaxed) % 7 == 0 {
                        std::thread::sleep(std::time::Duration::from_millis(2));
                    }
                }
            }
        });
        let mut all = Map::new();
        for _ in 0..1000 {
            let got = engine.run(cfg.clone());
            stop.store(got.is_err(), Ordering::Relaxed);
            for (k, n) in got.unwrap().cast::<Map>() {
                let before = all.get(&k).map_or(0, |n| n.as_int().unwrap());
                all.insert(k, (before + n.as_int().unwrap()).into());
            }
            if flips.load(Ordering::Relaxed) > 100 && wanted.iter().all(|k| all.contains_key(*k)) {
                break;
            }
        }
        stop.store(true, Ordering::Relaxed);
        assert!(flips.load(Ordering::Relaxed) > 100, "they were exchanged");
        all
    })
}

/// Everything outside, with its content.
fn outside(s: &Scripts) -> Vec<(PathBuf, String)> {
    let all = walkdir::WalkDir::new(s.path("outside")).sort_by_file_name().into_iter().map(|e| e.unwrap());
    all.filter(|e| e.file_type().is_file()).map(|e| (e.path().to_owned(), std::fs::read_to_string(e.path()).unwrap())).collect()
}

#[test]
fn what_is_swapped_for_a_link_after_its_check_is_not_read() {
    let s = place();
    for (what, path) in [("project/folder", "folder/a.txt"), ("project/file.txt", "file.txt"), ("project/link", "link/a.txt")] {
        let got = flipped(&s, &[what], &format!("io::load(`${{cfg.p}}/{path}`)"), &["inside", "E0701"]);
        assert!(!got.contains_key("secret"), "{path}: {got:?}");
        assert!(got.contains_key("inside") && got.contains_key("E0701"), "{path}: {got:?}");
        assert!(got.keys().all(|k| ["inside", "E0701", "E0301"].contains(&k.as_str())), "{path}: {got:?}");
    }
}

#[test]
fn what_is_swapped_for_a_link_after_its_check_is_not_written() {
    let s = place();
    let before = outside(&s);
    let bodies = [
        ("project/out/folder", "io::save(`${cfg.p}/out/folder/${i % 20}.txt`, \"x\"); 1"),
        ("project/out/folder", "io::make_dir(`${cfg.p}/out/folder/d${i}/e`); 1"),
        ("project/out/file", "io::save(`${cfg.p}/out/file.txt`, \"x\"); io::save(`${cfg.p}/out/file`+ \".json\", 1); 1"),
        ("project/out/folder", "let w = io::npz_writer(`${cfg.p}/out/folder/x.npz`); w.add(\"a\", torch::zeros([1])); w.finish(); 1"),
        ("project/out/folder", "let r = train::run(#{output_dir: `${cfg.p}/out/folder`, exp_name: `r${i % 3}`}); r.log(#{a: 1}); r.resume(); 1"),
    ];
    for (what, body) in bodies {
        // A run opens many files: while its folder never stays what it is, it may never get through.
        let wanted: &[&str] = if body.contains("train::run") { &[] } else { &["1"] };
        let got = flipped(&s, &[what], body, wanted);
        assert!(wanted.iter().all(|k| got.contains_key(*k)), "{body}: {got:?}");
        assert!(got.keys().all(|k| ["1", "E0701", "E0301", "E0302", "E0601"].contains(&k.as_str())), "{body}: {got:?}");
        assert_eq!(outside(&s), before, "{body}: {got:?}");
        let folders = walkdir::WalkDir::new(s.path("outside")).into_iter().filter(|e| e.as_ref().unwrap().file_type().is_dir()).count();
        assert_eq!(folders, 2, "{body}: no folder outside");
    }
}

/// Whoever holds a set or a run for long opens files in later calls.
#[test]
fn what_is_opened_later_is_held_to_the_check_as_well() {
    let s = place();
    let avatar = walkdir::WalkDir::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/avatars64")).into_iter().flatten();
    let avatar = avatar.map(walkdir::DirEntry::into_path).find(|p| p.extension().is_some_and(|e| e == "png")).unwrap();
    std::fs::create_dir_all(s.path("project/set")).unwrap();
    std::fs::create_dir_all(s.path("outside/set")).unwrap();
    for name in ["a.png", "b.png"] {
        std::fs::copy(&avatar, s.path("project/set").join(name)).unwrap();
        std::fs::copy(&avatar, s.path("outside/set").join(name)).unwrap();
    }
    s.write(
        "project/main.rhai",
        "fn main(cfg) { #{ set: data::pictures(cfg.p + \"/set\"), run: train::run(#{output_dir: cfg.p + \"/out\", exp_name: \"r\"}) } }\n\
         fn later(m, what) { try { if what == 0 { m.set.read(0, 2); } else { m.run.resume(); m.run.log(#{a: 1}); m.run.image(\"x\", torch::zeros([3, 4, 4])); } } catch (e) { return e.code; } \"ok\" }",
    );
    let mut permissions = Permissions::for_script(&s.path("project/main.rhai"));
    permissions.allow_write(&s.path("project/out"));
    let engine = Engine::new(EngineOptions { permissions: Some(permissions), ..EngineOptions::default() });
    engine.load(s.path("project/main.rhai")).unwrap();
    let cfg: Map = [("p".into(), Dynamic::from(s.path("project").display().to_string()))].into_iter().collect();
    let made = engine.run(cfg).unwrap();
    let later = |what: i64| engine.call("later", vec![made.clone(), what.into()]).unwrap().to_string();
    assert_eq!(later(0), "ok");
    std::fs::rename(s.path("project/set"), s.path("project/aside")).unwrap();
    symlink(s.path("outside/set"), s.path("project/set")).unwrap();
    assert_eq!(later(0), "E0701");
    std::fs::rename(s.path("project/out/r"), s.path("project/out/aside")).unwrap();
    std::fs::create_dir(s.path("outside/r")).unwrap();
    symlink(s.path("outside/r"), s.path("project/out/r")).unwrap();
    assert_eq!(later(1), "E0701");
    assert_eq!(std::fs::read_dir(s.path("outside/r")).unwrap().count(), 0, "nothing of the run is outside");
}
