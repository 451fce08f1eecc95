//! Libraries, `lathe test` and permissions as users meet them: the real command, real files, a real git repository.

use crate::support::process::parts;
use crate::support::{name, process};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Folders of projects and libraries, with a cache of their own.
struct Place(process::Place);

impl Deref for Place {
    type Target = process::Place;

    fn deref(&self) -> &process::Place {
        &self.0
    }
}

impl Place {
    fn new(files: &[(&str, &str)]) -> Self {
        Place(process::Place::new(files))
    }

    /// Exit code, stdout and stderr of `lathe` in a folder.
    fn lathe(&self, folder: &str, args: &[&str]) -> (i32, String, String) {
        let mut c = process::lathe(&self.path(folder), args);
        c.env("LATHE_CACHE", self.path("cache"));
        ["LATHE_ALLOW_READ", "LATHE_ALLOW_WRITE", "LATHE_WEIGHTS"].iter().for_each(|v| {
            c.env_remove(v);
        });
        parts(c.output().unwrap())
    }

    fn git(&self, folder: &str, args: &[&str]) -> String {
        let mut c = Command::new("git");
        c.args(["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "init.defaultBranch=main", "-c", "commit.gpgsign=false"]);
        let out = c.args(args).current_dir(self.path(folder)).output().unwrap();
        assert!(out.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap().trim().to_owned()
    }

    /// Makes a repository of a folder and gives its commit.
    fn commit(&self, folder: &str) -> String {
        self.git(folder, &["init", "--quiet"]);
        self.git(folder, &["add", "-A"]);
        self.git(folder, &["commit", "--quiet", "-m", "one"]);
        self.git(folder, &["rev-parse", "HEAD"])
    }
}

fn recipe(name: &str, version: &str) -> String {
    format!("name = \"{name}\"\nversion = \"{version}\"\nlathe = \">=0.1\"\ndescription = \"tries\"\n")
}

const USER: &str = "import \"lab/augment\" as augment;\nfn main(cfg) { print(augment::twice(4)); }";

/// A library in a git repository, and a project that does not use it yet.
fn with_repository() -> (Place, String, String) {
    let p = Place::new(&[("project/main.rhai", USER), ("lab/augment.rhai", "fn twice(x) { 2 * x }"), ("lab/recipe.toml", &recipe("lab", "1.0.0"))]);
    let commit = p.commit("lab");
    p.git("lab", &["tag", "v1"]);
    let url = format!("file://{}", p.at("lab"));
    (p, url, commit)
}

fn all(text: &str, wanted: &[&str]) {
    wanted.iter().for_each(|w| assert!(text.contains(w), "`{w}` is not in: {text}"));
}

#[test]
fn a_library_from_git_is_fetched_once_and_works_offline() {
    let (p, url, commit) = with_repository();
    let (code, out, err) = p.lathe("project", &["run", "main.rhai"]);
    assert!(code == 1 && out.is_empty(), "{out}{err}");
    all(&err, &["E0504", "there is no lathe.toml that says where `lab` is", "lathe add lab --path FOLDER", "main.rhai:1:8"]);
    let (code, _, err) = p.lathe("project", &["add", "lab", "--git", &url, "--rev", "v1"]);
    assert_eq!(code, 0, "{err}");
    all(&err, &["fetching file://", "added `lab` 1.0.0 to", "import \"lab/MODULE\""]);
    let lock = p.read("project/lathe.lock");
    all(&lock, &[&commit, "?rev=v1\"", "hash = \"sha256:", "version = \"1.0.0\""]);
    assert_eq!(p.read("project/lathe.toml"), format!("[recipes]\nlab = {{ git = \"{url}\", rev = \"v1\" }}\n"));
    assert!(!find(&p.path("cache"), ".git") && !find(&p.path("cache"), ".fetch-"), "only the files are kept");
    let (code, out, err) = p.lathe("project", &["run", "main.rhai"]);
    assert_eq!((code, out.as_str(), err.as_str()), (0, "8\n", ""));
    // Offline, in a fresh clone of the project.
    std::fs::rename(p.path("lab"), p.path("gone")).unwrap();
    p.write("clone/main.rhai", USER);
    ["lathe.toml", "lathe.lock"].iter().for_each(|f| p.write(&format!("clone/{f}"), &p.read(&format!("project/{f}"))));
    assert_eq!(p.lathe("clone", &["run", "main.rhai"]), (0, "8\n".into(), String::new()));
    let (code, _, err) = p.lathe("project", &["update"]);
    assert_eq!(code, 1, "{err}");
    all(&err, &["fetching `file://", "git failed", "is the address right"]);
    assert_eq!(p.read("project/lathe.lock"), lock, "a failed update changes nothing");
    // An empty cache is filled again from the lock's commit, when the repository is there.
    std::fs::remove_dir_all(p.path("cache")).unwrap();
    assert_eq!(p.lathe("clone", &["run", "main.rhai"]).0, 1);
    std::fs::rename(p.path("gone"), p.path("lab")).unwrap();
    let (code, out, err) = p.lathe("clone", &["run", "main.rhai"]);
    assert_eq!((code, out.as_str()), (0, "8\n"), "{err}");
    all(&err, &["fetching file://", &commit]);
}

#[test]
fn doc_lists_the_modules_of_libraries() {
    let augment = "//! Turns pictures.\n\n/// Twice as much.\n///\n/// # Example\n/// ```rhai\n/// 1\n/// ```\nfn twice(x) { 2 * x }\nprivate fn hidden() { 0 }";
    let p = Place::new(&[
        ("project/main.rhai", USER),
        ("lab/augment.rhai", augment),
        ("lab/deep/more.rhai", "//! Deeper.\nfn thrice(x) { 3 * x }"),
        ("lab/tests/t.rhai", "fn test_it() { }"),
        ("lab/recipe.toml", &recipe("lab", "1.0.0")),
    ]);
    assert!(!p.lathe("project", &["doc"]).1.contains("Libraries"));
    assert_eq!(p.lathe("project", &["add", "lab", "--path", "../lab"]).0, 0);
    let (code, out, err) = p.lathe("project", &["doc"]);
    assert!(code == 0 && err.is_empty() && !out.contains("lab/tests"), "{out}{err}");
    all(&out, &["Libraries", "\n  lab/augment ", "Turns pictures.", "\n  lab/deep/more "]);
    let (code, out, err) = p.lathe("project", &["doc", "lab/augment"]);
    assert!(code == 0 && !out.contains("hidden"), "{out}{err}");
    all(&out, &["lab/augment", "augment::twice(x)", "Twice as much."]);
    all(&p.lathe("project", &["doc", "augment::twice"]).1, &["augment::twice(x)"]);
    all(&p.lathe("project", &["doc", "lab"]).1, &["lab 1.0.0", "tries", "lab/augment", "lab/deep/more"]);
    let (code, _, err) = p.lathe("project", &["doc", "lab/augmnt"]);
    assert!(code == 2 && err.contains("did you mean `lab/augment`?"), "{err}");
    // What is wrong with a library hides nothing else.
    p.write("lab/augment.rhai", "fn (");
    let (code, out, err) = p.lathe("project", &["doc", "tensor.matmul"]);
    assert!(code == 0 && out.starts_with("tensor.matmul(other)") && err.contains("warning: the documentation of `lab`"), "{out}{err}");
}

#[test]
fn a_moved_branch_is_taken_by_update_only_and_a_changed_cache_is_found() {
    let (p, url, first) = with_repository();
    assert_eq!(p.lathe("project", &["add", "lab", "--git", &url, "--rev", "main"]).0, 0);
    p.write("lab/augment.rhai", "fn twice(x) { 20 * x }");
    p.write("lab/recipe.toml", &recipe("lab", "1.1.0"));
    let second = p.commit("lab");
    assert_ne!(first, second);
    assert_eq!(p.lathe("project", &["run", "main.rhai"]).1, "8\n", "the lock holds");
    let (code, _, err) = p.lathe("project", &["update", "lab"]);
    assert_eq!(code, 0, "{err}");
    all(&err, &["lab: 1.0.0 sha256:", "-> 1.1.0 sha256:"]);
    assert_eq!(p.lathe("project", &["run", "main.rhai"]).1, "80\n");
    assert!(p.lathe("project", &["update"]).2.contains("unchanged"));
    // Someone edits what was fetched.
    let file = walk(&p.path("cache")).into_iter().find(|f| f.ends_with(format!("{second}/augment.rhai"))).unwrap();
    std::fs::write(&file, "fn twice(x) { 666 }").unwrap();
    let (code, out, err) = p.lathe("project", &["run", "main.rhai"]);
    assert!(code == 1 && out.is_empty(), "{out}");
    all(&err, &["the library `lab`", "has changed: lathe.lock has sha256:", ", the folder sha256:", "`lathe update lab` fetches it again"]);
    assert_eq!(p.lathe("project", &["update", "lab"]).0, 0);
    assert_eq!(p.lathe("project", &["run", "main.rhai"]).1, "80\n");
    let (code, _, err) = p.lathe("project", &["update", "lob"]);
    assert!(code == 2 && err.contains("did you mean `lab`?"), "{err}");
    // Revisions that are none, and addresses that would run a program.
    for (git, rev, want) in [
        (url.as_str(), "v9", "has no commit, tag or branch `v9`"),
        (url.as_str(), "--all", "is no address or revision"),
        ("ext::touch /tmp/lathe-ran", "main", "git failed"),
        ("file:///no/such/repository", "main", "git failed"),
    ] {
        let (code, _, err) = p.lathe("lab", &["add", "aug", &format!("--git={git}"), &format!("--rev={rev}")]);
        assert!(code != 0 && err.contains(want), "{git} {rev}: {err}");
    }
    assert!(!Path::new("/tmp/lathe-ran").exists());
}

#[test]
fn libraries_in_a_folder_of_a_repository_use_each_other() {
    let p = Place::new(&[
        ("project/main.rhai", USER),
        ("both/lab/augment.rhai", "import \"noise/gauss\" as g;\nfn twice(x) { 2 * x + g::one() }"),
        ("both/lab/recipe.toml", &(recipe("lab", "1.0.0") + "[recipes]\nnoise = { path = \"../noise\" }\n")),
        ("both/noise/gauss.rhai", "fn one() { 1 }"),
        ("both/noise/recipe.toml", &recipe("noise", "0.1.0")),
    ]);
    p.commit("both");
    let url = format!("file://{}", p.at("both"));
    let (code, _, err) = p.lathe("project", &["add", "lab", "--git", &url, "--rev", "main", "--folder", "lab"]);
    assert_eq!(code, 0, "{err}");
    assert_eq!(p.lathe("project", &["run", "main.rhai"]).1, "9\n");
    all(&p.read("project/lathe.lock"), &["name = \"noise\"", "?rev=main&folder=noise\""]);
    // A library may not take another from outside of its repository.
    p.write("both/lab/recipe.toml", &(recipe("lab", "1.0.0") + "[recipes]\nnoise = { path = \"../../noise\" }\n"));
    p.commit("both");
    let (code, _, err) = p.lathe("project", &["update"]);
    assert!(code == 1 && err.contains("takes `noise` from outside of its repository"), "{err}");
}

#[test]
fn the_table_shows_what_is_used_and_what_is_wrong() {
    let p = Place::new(&[
        ("project/main.rhai", USER),
        ("lab/augment.rhai", "fn twice(x) { 2 * x }"),
        ("lab/recipe.toml", &(recipe("lab", "1.0.0") + "[permissions]\nread = [\"data\"]\n")),
        ("aug/recipe.toml", &recipe("aug", "0.2.0")),
    ]);
    let (code, _, err) = p.lathe("project", &["recipes"]);
    assert!(code == 2 && err.contains("there is no lathe.toml here or above"), "{err}");
    let (code, _, err) = p.lathe("project", &["add", "lab", "--path", "../lab"]);
    assert_eq!(code, 0, "{err}");
    all(&err, &["it asks to read data; granted: nothing", "`read = [..]`"]);
    // From a folder below, relative to where one is.
    p.write("project/sub/x.txt", "");
    assert_eq!(p.lathe("project/sub", &["add", "aug", "--path", "../../aug", "--allow-read", "data"]).0, 0);
    let want = "\
name  version  from         asks       granted    what
aug   0.2.0    path+../aug  -          read data  tries
lab   1.0.0    path+../lab  read data  -          tries
";
    assert_eq!(p.lathe("project/sub", &["recipes"]), (0, want.to_owned(), String::new()));
    let rows: serde_json::Value = serde_json::from_str(&p.lathe("project", &["recipes", "--json"]).1).unwrap();
    assert_eq!((&rows[1]["name"], &rows[1]["state"], &rows[1]["asks"]), (&"lab".into(), &"ok".into(), &"read data".into()));
    // Whoever works on a library in a folder sees it as it is, and is told once that the lock has another one.
    p.write("lab/more.rhai", "fn f() {}");
    let (code, out, err) = p.lathe("project", &["recipes"]);
    assert_eq!((code, out.as_str()), (0, want));
    all(&err, &["note: the library `lab`", "has changed: lathe.lock has sha256:", "is used as it is now, and `lathe update lab` pins it"]);
    assert_eq!(err.matches("has changed").count(), 1, "{err}");
    p.write("project/main.rhai", "import \"lab/more\" as m;\nfn main() { print(m::f()); }");
    let (code, _, err) = p.lathe("project", &["run", "main.rhai"]);
    assert!(code == 0 && err.matches("has changed").count() == 1, "{err}");
    // One that is gone is still an error.
    std::fs::rename(p.path("lab"), p.path("moved")).unwrap();
    let (code, out, err) = p.lathe("project", &["recipes"]);
    assert_eq!(code, 1);
    all(&out, &["aug   0.2.0", "something is wrong with it"]);
    all(&err, &["the library `lab` is missing"]);
    let (code, out, _) = p.lathe("project", &["recipes", "--json"]);
    let rows: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &rows[1]["state"]), (1, &"wrong".into()));
}

#[test]
fn remove_is_the_other_way_of_add() {
    let p = Place::new(&[("lab/recipe.toml", &recipe("lab", "1.0.0")), ("aug/recipe.toml", &recipe("aug", "0.2.0")), ("project/x.txt", "")]);
    for name in ["lab", "aug"] {
        assert_eq!(p.lathe("project", &["add", name, "--path", &format!("../{name}")]).0, 0);
    }
    let (code, _, err) = p.lathe("project", &["remove", "labb"]);
    assert_eq!(code, 2);
    all(&err, &["names no library `labb`, did you mean `lab`?"]);
    // Its folder may be gone already.
    std::fs::remove_dir_all(p.path("lab")).unwrap();
    let (code, _, err) = p.lathe("project", &["remove", "lab"]);
    assert_eq!(code, 0, "{err}");
    all(&err, &["removed `lab` from"]);
    assert_eq!(p.read("project/lathe.toml"), "[recipes]\naug = { path = \"../aug\" }\n");
    assert!(!p.read("project/lathe.lock").contains("\"lab\""), "{}", p.read("project/lathe.lock"));
    let (code, out, err) = p.lathe("project", &["recipes"]);
    assert!(code == 0 && out.contains("aug   0.2.0") && !out.contains("lab "), "{out}{err}");
}

#[test]
fn tests_run_with_a_line_each() {
    let p = Place::new(&[
        ("project/lathe.toml", "[recipes]\nlab = { path = \"../lab\" }\n"),
        ("project/a.rhai", "fn main() { 1 }\nfn test_one() { assert_eq(1 + 1, 2); }\nfn test_with(x) { throw \"not a test\"; }\nfn helper() { 1 }"),
        (
            "project/sub/b.rhai",
            "fn test_good() { print(\"quiet\"); }\nfn test_bad() {\n    print(\"said before\");\n    assert_eq(1 + 1, 3);\n}\nfn test_last() { assert(io::exists(io::temp_dir())); }",
        ),
        ("project/c.rhai", "fn no_test() { 1 }"),
        ("lab/recipe.toml", &recipe("lab", "1.0.0")),
        ("lab/augment.rhai", "fn twice(x) { 2 * x }"),
        (
            "lab/tests/augment.rhai",
            "import \"lab/augment\" as augment;\nfn test_twice() { assert_eq(augment::twice(2), 4); }\nfn test_stays_inside() {\n    let code = \"\";\n    try { io::save(\"x.txt\", \"1\"); } catch (e) { code = e.code; }\n    assert_eq(code, \"E0701\");\n}",
        ),
    ]);
    assert_eq!(p.lathe("project", &["update"]).0, 0);
    let strip = |text: &str| text.lines().map(|l| l.rsplit_once("  ").map_or(l, |(l, _)| l).to_owned() + "\n").collect::<String>();
    let (code, out, err) = p.lathe("project", &["test"]);
    assert_eq!(code, 1, "{err}");
    let want = "ok    a.rhai::test_one\nok    sub/b.rhai::test_good\nFAIL  sub/b.rhai::test_bad\nok    sub/b.rhai::test_last\n";
    assert_eq!(strip(&out), want);
    let shown = "
sub/b.rhai::test_bad
  | said before
error[E0202]: assert_eq: `2` is not `3`
 --> sub/b.rhai:4:5
  |
4 |     assert_eq(1 + 1, 3);
  |     ^^^^^^^^^
error[E0505]: 3 passed, 1 failed
";
    assert_eq!(err, shown);
    let (code, out, err) = p.lathe("project", &["test", "--filter", "b.rhai::test_good"]);
    assert_eq!((code, strip(&out).as_str()), (0, "ok    sub/b.rhai::test_good\n"), "{err}");
    assert!(err.starts_with("1 passed, 0 failed, 3 left out in "), "{err}");
    let (code, _, err) = p.lathe("project", &["test", "--filter", "nope"]);
    assert!(code == 2 && err.contains("none of the 4 tests is called so"), "{err}");
    let (code, _, err) = p.lathe("project", &["test", "c.rhai"]);
    assert!(code == 2 && err.contains("there is no test here"), "{err}");
    let (code, _, err) = p.lathe("project", &["test", "none.rhai"]);
    assert!(code == 1 && err.contains("none.rhai"), "{err}");
    // A library by its name from the project, and from its own folder.
    let (code, out, err) = p.lathe("project", &["test", "lab"]);
    assert!(code == 0 && out.contains("tests/augment.rhai::test_twice") && err.starts_with("2 passed, 0 failed in "), "{out}{err}");
    let (code, out, err) = p.lathe("lab", &["test"]);
    assert_eq!((code, strip(&out).as_str()), (0, "ok    tests/augment.rhai::test_twice\nok    tests/augment.rhai::test_stays_inside\n"), "{err}");
    let (code, out, _) = p.lathe("project", &["test", "--json", "sub"]);
    let rows: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, rows.as_array().unwrap().len()), (1, 3));
    assert_eq!((&rows[0]["test"], &rows[0]["ok"], &rows[0]["output"]), (&"test_good".into(), &true.into(), &"quiet\n".into()));
    let error = &rows[1]["error"];
    assert_eq!((&error["code"], &error["file"], &error["line"], &error["column"]), (&"E0202".into(), &"sub/b.rhai".into(), &4.into(), &5.into()));
    // A script that does not load is a failure, and the others still run.
    p.write("project/a.rhai", "fn test_one() { nope() }");
    let (code, out, err) = p.lathe("project", &["test"]);
    assert!(code == 1 && strip(&out).starts_with("FAIL  a.rhai (does not load)\nok    sub/b.rhai::test_good\n"), "{out}");
    all(&err, &["unknown function `nope`", "2 passed, 2 failed"]);
}

#[test]
fn the_same_random_numbers_for_each_test() {
    let p = Place::new(&[(
        "t.rhai",
        "fn test_a() { print(torch::rand([1]).item()); throw 1; }\nfn test_b() { print(torch::rand([1]).item()); throw 1; }",
    )]);
    let (_, out, _) = p.lathe(".", &["test", "--json"]);
    let rows: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(rows[0]["output"], rows[1]["output"]);
    assert!(rows[0]["output"].as_str().unwrap().starts_with("0."));
}

/// Prints what it read; writes below `output_dir` and to a fixed place.
const READER: &str = "
fn params() { #{ input: \"\", output_dir: \"out/run\", also: \"\" } }
fn main(cfg) {
    if cfg.input != \"\" { print(io::load(cfg.input)); }
    if cfg.also != \"\" { print(io::load(\"/\" + cfg.also)); }
    let run = train::run(#{ output_dir: cfg.output_dir, exp_name: \"a\" });
    io::save(run.dir + \"/x.json\", #{ a: 1 });
    print(\"written\");
}
";

#[test]
fn flags_say_what_a_script_may_read_and_write() {
    let p = Place::new(&[
        ("project/s.rhai", READER),
        ("outside/a.txt", "one"),
        ("project/in/b.txt", "two"),
        ("project/link.rhai", "io::save(\"link/x.txt\", \"1\");"),
    ]);
    let outside = p.at("outside/a.txt");
    let run = |args: &[&str]| p.lathe("project", &[&["run", "s.rhai", "--device", "cpu"], args].concat());
    // Below the project without flags.
    assert_eq!(run(&["--input", "in/b.txt"]).1, "two\nwritten\n");
    assert!(p.path("project/out/run/a/x.json").is_file());
    // What a flag or a configuration file names.
    assert_eq!(run(&["--input", &outside]).1, "one\nwritten\n");
    p.write("project/c.toml", &format!("input = \"{outside}\"\noutput_dir = \"{}\"\n", p.at("target")));
    let (code, out, err) = run(&["--config", "c.toml"]);
    assert_eq!((code, out.as_str()), (0, "one\nwritten\n"), "{err}");
    assert!(p.path("target/a/x.json").is_file());
    // What it puts together itself is refused, until a flag allows it.
    let hidden = outside.trim_start_matches('/');
    let (code, out, err) = run(&["--also", hidden]);
    assert_eq!((code, out.as_str()), (1, ""));
    all(&err, &["error[E0701]: needs read access to `", "run again with `--allow-read ", "s.rhai:5:"]);
    let flag = err.split("`--allow-read ").nth(1).unwrap().split('`').next().unwrap();
    assert_eq!(run(&["--also", hidden, "--allow-read", flag]).1, "one\nwritten\n", "what the message says works");
    let before: Vec<&str> = vec!["run", "--allow-read", flag, "s.rhai", "--also", hidden];
    assert_eq!(p.lathe("project", &before).1, "one\nwritten\n", "before the script's name too");
    // A link that leads out of the project, for writing.
    std::os::unix::fs::symlink(p.path("outside"), p.path("project/link")).unwrap();
    let (code, _, err) = p.lathe("project", &["run", "link.rhai"]);
    assert_eq!(code, 1);
    all(&err, &["needs write access to `", "outside/x.txt` (`link/x.txt`)", "--allow-write "]);
    assert!(!p.path("outside/x.txt").exists());
    assert_eq!(p.lathe("project", &["run", "link.rhai", "--allow-write", "../outside"]).0, 0);
    assert!(p.path("outside/x.txt").exists());
    // The default output folder, when it is a link that leads out.
    std::fs::remove_dir_all(p.path("project/out")).unwrap();
    std::os::unix::fs::symlink(p.path("outside"), p.path("project/out")).unwrap();
    let (code, _, err) = run(&[]);
    assert!(code == 1 && err.contains("needs write access to"), "{err}");
    assert_eq!(run(&["--output-dir", "out"]).1, "written\n", "named by a flag it is meant");
    let (code, out, _) = p.lathe("project", &["run", "s.rhai", "--help"]);
    assert_eq!(code, 0);
    all(&out, &["--allow-read PATH", "--allow-write PATH"]);
}

#[test]
fn variables_allow_for_every_run() {
    let p = Place::new(&[
        ("project/s.rhai", "io::save(\"../shared/x.txt\", io::load(\"../data/a.txt\"));"),
        ("data/a.txt", "one"),
        ("shared/keep.txt", ""),
    ]);
    let run = |read: &str, write: &str| {
        let mut c = process::lathe(&p.path("project"), &["run", "s.rhai"]);
        c.env("LATHE_ALLOW_READ", read).env("LATHE_ALLOW_WRITE", write).output().unwrap().status.code()
    };
    assert_eq!(run("", ""), Some(1));
    assert_eq!(run(&p.at("data"), ""), Some(1));
    assert_eq!(run(&format!("/none:{}", p.at("data")), &p.at("shared")), Some(0));
    assert_eq!(p.read("shared/x.txt"), "one");
}

#[test]
fn a_check_and_a_help_run_nothing_that_writes() {
    let script = "fn params() { io::save(\"exps/x.txt\", \"1\"); #{ a: 1 } }\nfn main(cfg) { }";
    let p = Place::new(&[("s.rhai", script), ("exps/keep.txt", "")]);
    for args in [&["check", "s.rhai"][..], &["run", "s.rhai", "--help"]] {
        let (code, _, err) = p.lathe(".", args);
        assert!(code == 1 && err.contains("needs write access"), "{args:?}: {err}");
    }
    assert!(!p.path("exps/x.txt").exists());
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    walkdir::WalkDir::new(folder).into_iter().flatten().map(walkdir::DirEntry::into_path).collect()
}

fn find(folder: &Path, part: &str) -> bool {
    walk(folder).iter().any(|p| p.file_name().is_some() && name(p).starts_with(part))
}
