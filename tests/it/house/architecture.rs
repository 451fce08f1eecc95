//! The arrows of docs/architecture.md: a part uses only what lies below it, inside `script/` as well, and folders never use each other in a
//! circle; `tch` is named in `torch/` and `rhai` in `script/`; and what the compiler cannot vouch for is in the bridge alone.

use super::modules::Modules;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// Parts by level; a part may use its own level's own part and everything below.
const LEVELS: &[(&str, u32)] = &[
    ("cli", 12),
    ("kernel", 11),
    ("repl", 10),
    ("lsp", 10),
    ("script", 9),
    ("train", 8),
    ("eval", 8),
    ("models", 7),
    ("data", 7),
    ("nn", 6),
    ("dist", 5),
    ("torch", 4),
    ("origin", 4),
    ("memory", 3),
    ("git", 3),
    ("fetch", 3),
    ("files", 2),
    ("error", 1),
    ("interrupt", 2),
    ("progress", 2),
    ("plain", 0),
    ("space", 1),
];

/// The folders of `src/script` by level, in the same way.
const SCRIPT_LEVELS: &[(&str, u32)] = &[
    ("runtime", 7),
    ("engine", 6),
    ("api", 5),
    ("prompt", 4),
    ("docs", 3),
    ("guard", 3),
    ("training", 3),
    ("bind", 2),
    ("settings", 2),
    ("units", 1),
    ("lang", 0),
    ("text", 0),
];

fn level(part: &str) -> Option<u32> {
    LEVELS.iter().find(|(name, _)| *name == part).map(|(_, l)| *l)
}

fn rust_files(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("src is readable") {
        let path = entry.expect("src is readable").path();
        if path.is_dir() {
            rust_files(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

/// The part of a file: its first folder below src or src/core, or its own name.
fn part(path: &Path) -> String {
    let relative = path.strip_prefix(concat!(env!("CARGO_MANIFEST_DIR"), "/src")).expect("below src");
    let relative = relative.strip_prefix("core").unwrap_or(relative);
    relative.iter().next().expect("not empty").to_string_lossy().trim_end_matches(".rs").to_owned()
}

/// Every `crate::part` that a text names outside comments.
fn used_parts(text: &str) -> Vec<(usize, String)> {
    let mut out = Vec::new();
    for (i, line) in text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        for tail in code.split("crate::").skip(1) {
            if let Some(list) = tail.strip_prefix('{') {
                out.extend(list.split(',').map(|p| (i + 1, ident(p.trim()))));
            } else {
                out.push((i + 1, ident(tail)));
            }
        }
    }
    out
}

fn ident(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

#[test]
fn arrows_go_down_only() {
    let mut files = Vec::new();
    rust_files(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")), &mut files);
    assert!(files.len() > 20, "the walk found the sources");
    let mut wrong = Vec::new();
    for file in &files {
        let own = part(file);
        if ["lib", "main", "build"].contains(&own.as_str()) {
            continue;
        }
        let own_level = level(&own).unwrap_or_else(|| panic!("{} is in no known part", file.display()));
        let text = std::fs::read_to_string(file).expect("readable");
        for (line, used) in used_parts(&text) {
            // Macros exported at the crate's root, such as `api!`, have no part.
            let Some(used_level) = level(&used) else { continue };
            if used != own && used_level >= own_level {
                wrong.push(format!("{}:{line}: {own} uses {used}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "arrows that point up:\n{}", wrong.join("\n"));
}

/// Read once for all tests.
fn sources() -> &'static Modules {
    static SOURCES: LazyLock<Modules> = LazyLock::new(|| {
        let modules = Modules::read(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")));
        assert!(modules.names().count() > 200 && modules.arrows().len() > 500, "the walk found the sources and what they use");
        modules
    });
    &SOURCES
}

/// Arrows between the folders of a part that do not point down: `crate::script::lang::value -> crate::script::bind::cx`.
fn upward(modules: &Modules, part: &str, levels: &[(&str, u32)]) -> Vec<String> {
    let folder = |module: &str| module.strip_prefix(part)?.strip_prefix("::")?.split("::").next().map(str::to_owned);
    let level = |name: &str| levels.iter().find(|(n, _)| *n == name).map(|(_, l)| *l);
    let mut wrong = Vec::new();
    for (from, to) in modules.arrows() {
        let Some(own) = folder(from).filter(|f| f != "tests") else { continue };
        let Some(used) = folder(to) else { continue };
        let (Some(a), Some(b)) = (level(&own), level(&used)) else { panic!("{from} or {to} is in no known folder of {part}") };
        if own != used && b >= a {
            wrong.push(format!("{from} -> {to}"));
        }
    }
    wrong
}

#[test]
fn inside_script_arrows_go_down_only() {
    let wrong = upward(sources(), "crate::script", SCRIPT_LEVELS);
    assert!(wrong.is_empty(), "arrows that point up:\n{}", wrong.join("\n"));
}

#[test]
fn no_module_of_script_uses_itself_in_a_circle() {
    let circles: Vec<String> =
        sources().circles().iter().filter(|c| c.iter().any(|m| m.starts_with("crate::script::"))).map(|c| c.join(" <-> ")).collect();
    assert!(circles.is_empty(), "circles of imports:\n{}", circles.join("\n"));
}

#[test]
fn folders_do_not_use_each_other_in_a_circle() {
    let modules = sources();
    let circles: Vec<String> = modules.circles_between_folders().iter().map(|c| c.join(" <-> ")).collect();
    assert!(circles.is_empty(), "circles of imports:\n{}", circles.join("\n"));
}

/// A tree with these files, each a path below `src` and its text.
fn planted(files: &[(&str, &str)]) -> (tempfile::TempDir, Modules) {
    let dir = tempfile::tempdir().expect("a folder");
    for (path, text) in files {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().expect("below")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }
    let modules = Modules::read(dir.path());
    (dir, modules)
}

#[test]
fn a_planted_circle_is_found() {
    let files = [
        ("lib.rs", "pub mod script;"),
        ("script/mod.rs", "pub mod lang;\npub mod units;\npub use units::unit::Unit;"),
        ("script/lang/mod.rs", "pub mod value;"),
        ("script/units/mod.rs", "pub mod unit;\npub mod call;"),
        // Through what the part offers, in the middle of an expression, and after a comment that only names it.
        ("script/lang/value.rs", "// crate::script::units::call is not used here.\nfn f() { let _ = crate::script::Unit::new(); }"),
        ("script/units/unit.rs", "use super::call::{self, Call as C};\npub struct Unit;"),
        ("script/units/call.rs", "use crate::{\n    script::lang::value::Value,\n};"),
    ];
    let (_dir, modules) = planted(&files);
    let circle = ["crate::script::lang::value", "crate::script::units::call", "crate::script::units::unit"];
    assert_eq!(modules.circles(), [circle]);
    assert_eq!(modules.circles_between_folders(), [circle]);
    let up = upward(&modules, "crate::script", SCRIPT_LEVELS);
    assert_eq!(up, ["crate::script::lang::value -> crate::script::units::unit"]);
}

#[test]
fn a_planted_upward_arrow_is_found_and_a_downward_one_is_not() {
    let files = [
        ("lib.rs", "mod script;"),
        ("script/mod.rs", "mod bind;\nmod prompt;"),
        ("script/bind/mod.rs", "use super::prompt::session::Session;\n#[cfg(test)]\nmod tests { use crate::script::api; }"),
        ("script/prompt/mod.rs", "pub mod session;\npub(super) use crate::script::bind::Cx;"),
        ("script/prompt/session.rs", "pub struct Session;\nconst TEXT: &str = \"use crate::script::api::all;\";"),
    ];
    let (_dir, modules) = planted(&files);
    assert_eq!(upward(&modules, "crate::script", SCRIPT_LEVELS), ["crate::script::bind -> crate::script::prompt::session"]);
}

#[test]
fn unsafe_is_in_the_bridge_alone() {
    let mut files = Vec::new();
    for folder in ["src", "tests", "benches"] {
        rust_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut files);
    }
    files.push(Path::new(env!("CARGO_MANIFEST_DIR")).join("build.rs"));
    let bridge = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/core/torch/bridge");
    let (mut wrong, mut seen, mut unexplained) = (Vec::new(), 0, Vec::new());
    for file in &files {
        let text = std::fs::read_to_string(file).expect("readable");
        let lines: Vec<&str> = text.lines().collect();
        for (i, line) in lines.iter().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if !["{", "fn ", "impl ", "extern "].iter().any(|next| code.contains(&format!("{} {next}", UNSAFE))) {
                continue;
            }
            if !file.starts_with(&bridge) {
                wrong.push(format!("{}:{}", file.display(), i + 1));
            }
            seen += 1;
            let is_block = code.contains(&format!("{UNSAFE} {{"));
            // The reason stands above, perhaps above the statement that the block is a part of.
            if is_block && !lines[i.saturating_sub(6)..i].iter().any(|l| l.contains("SAFETY:")) {
                unexplained.push(format!("{}:{}", file.display(), i + 1));
            }
        }
    }
    assert!(seen > 5, "the bridge was looked at");
    assert!(wrong.is_empty(), "outside of the bridge to libtorch:\n{}", wrong.join("\n"));
    assert!(unexplained.is_empty(), "without a `SAFETY:` above:\n{}", unexplained.join("\n"));
}

/// In two parts, so that this file is not among those that have it.
const UNSAFE: &str = concat!("un", "safe");

#[test]
fn tch_and_rhai_have_one_home_each() {
    let mut files = Vec::new();
    rust_files(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")), &mut files);
    let mut wrong = Vec::new();
    for file in &files {
        let own = part(file);
        // A unit test may compare with tch's own operators.
        if file.ends_with("tests.rs") {
            continue;
        }
        let text = std::fs::read_to_string(file).expect("readable");
        for (i, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            for (name, home) in [("tch::", "torch"), ("torch_sys::", "torch"), ("rhai::", "script")] {
                let named = code.match_indices(name).any(|(at, _)| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':'));
                if named && own != home {
                    wrong.push(format!("{}:{}: `{name}` outside {home}/", file.display(), i + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A researcher reads a training script in ten minutes: what is the same in several of them, or a detail, is in the standard library.
#[test]
fn training_scripts_are_read_in_one_sitting() {
    for (name, most) in [("train_sendvae", 130), ("train_ldm", 120), ("train_repae", 120)] {
        let path = format!("{}/scripts/{name}.rhai", env!("CARGO_MANIFEST_DIR"));
        let lines = std::fs::read_to_string(&path).expect("readable").lines().count();
        assert!(lines <= most, "{path} has {lines} lines, {most} are allowed: move a part to stdlib/");
    }
}
