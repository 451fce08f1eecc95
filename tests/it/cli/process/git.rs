//! Git repositories of strangers: as the source of a library, and as the folder that a script runs in. Nothing of theirs runs, nothing asks, nothing hangs.

use crate::support::process::{self, Place, said, signal};
use crate::support::text;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A project, a library in a repository, and a program that leaves a mark where it runs.
struct Repos(Place);

impl Repos {
    fn new() -> Self {
        let p = Place::new(&[
            ("project/lathe.toml", ""),
            ("lab/recipe.toml", "name = \"lab\"\nversion = \"1.0.0\"\nlathe = \">=0.1\"\n"),
            ("lab/m.rhai", "fn one() { 1 }"),
        ]);
        let r = Repos(p);
        r.0.write("mark.sh", &format!("#!/bin/sh\ntouch {}\ncat\n", r.0.at("RAN")));
        std::fs::set_permissions(r.0.path("mark.sh"), std::fs::Permissions::from_mode(0o755)).unwrap();
        r.commit("lab");
        r
    }

    fn git(&self, folder: &str, args: &[&str]) -> String {
        let mut c = Command::new("git");
        c.args(["-c", "user.email=a@b", "-c", "user.name=a", "-c", "init.defaultBranch=main", "-C"]).arg(self.0.path(folder)).args(args);
        let out = c.env("GIT_CONFIG_GLOBAL", "/dev/null").output().unwrap();
        assert!(out.status.success(), "git {args:?}: {}", said(&out));
        text(&out.stdout).trim().to_owned()
    }

    fn commit(&self, folder: &str) -> String {
        if !self.0.path(folder).join(".git").exists() {
            self.git(folder, &["init", "--quiet"]);
        }
        self.git(folder, &["add", "-A"]);
        self.git(folder, &["commit", "--quiet", "-m", "x"]);
        self.git(folder, &["rev-parse", "HEAD"])
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut c = process::lathe(&self.0.path("project"), args);
        c.env("LATHE_CACHE", self.0.path("cache"));
        c
    }

    /// What a command does; it must end soon, and nothing may have run.
    fn done(&self, c: &mut Command) -> Output {
        let start = Instant::now();
        let out = c.output().unwrap();
        assert!(start.elapsed() < Duration::from_secs(60), "{c:?} took {:?}", start.elapsed());
        assert!(!said(&out).contains("panicked"), "{c:?}: {}", said(&out));
        assert!(!self.0.path("RAN").exists(), "{c:?}: a program of the repository ran: {}", said(&out));
        out
    }

    fn url(&self, folder: &str) -> String {
        format!("file://{}", self.0.at(folder))
    }

    fn add(&self, url: &str, rev: &str, more: &[&str]) -> Output {
        let (url, rev) = (format!("--git={url}"), format!("--rev={rev}"));
        self.done(self.command(&["add", "lab", &url, &rev]).args(more))
    }
}

#[test]
fn transports_that_run_programs_and_revisions_that_are_options_are_refused() {
    let r = Repos::new();
    let mark = r.0.at("mark.sh");
    let url = r.url("lab");
    let urls = [
        format!("ext::{mark}"),
        format!("ext::sh -c {mark}"),
        "fd::17/x".into(),
        format!("-oProxyCommand={mark}"),
        format!("--upload-pack={mark}"),
        format!("ssh://-oProxyCommand={mark}/x"),
        format!("x@-oProxyCommand={mark}:y"),
        "file:///no/such/repository".into(),
        "\u{1b}[2Jx".into(),
        "".into(),
    ];
    for url in &urls {
        let out = r.add(url, "main", &[]);
        assert!(matches!(out.status.code(), Some(1 | 2)) && !said(&out).contains('\u{1b}'), "{url}: {}", said(&out));
    }
    for rev in [&format!("--upload-pack={mark}"), "-h", "--exec=x", "", "../../x", "main^{/x", "no\u{7}such", "a..b"] {
        let out = r.add(&url, rev, &[]);
        assert!(matches!(out.status.code(), Some(1 | 2)) && !said(&out).contains('\u{7}'), "{rev}: {}", said(&out));
    }
    // The same in the files that a stranger's project brings along.
    for (i, url) in urls.iter().enumerate() {
        let value = toml::Value::from(url.as_str());
        r.0.write("project/lathe.toml", &format!("[recipes]\nlab = {{ git = {value}, rev = \"main\" }}\n"));
        let lock = format!(
            "[[recipe]]\nname = \"lab\"\nversion = \"1.0.0\"\nsource = {}\ncommit = \"--upload-pack=x\"\nhash = \"sha256:0\"\n",
            toml::Value::from(format!("git+{url}?rev=main"))
        );
        r.0.write("project/lathe.lock", &lock);
        r.0.write("project/x.rhai", "import \"lab/m\" as m;\nfn main() { m::one() }");
        // Each of them reads the same files by the same function.
        let args = [&["update"][..], &["run", "x.rhai"], &["recipes"]][i % 3];
        let out = r.done(&mut r.command(args));
        assert!(matches!(out.status.code(), Some(1 | 2)), "{url} {args:?}: {}", said(&out));
    }
}

#[test]
fn a_branch_called_like_a_commit_and_a_tag_that_moves_change_nothing() {
    let r = Repos::new();
    let first = r.git("lab", &["rev-parse", "HEAD"]);
    r.git("lab", &["tag", "v1"]);
    r.0.write("lab/m.rhai", "fn one() { 2 }");
    let second = r.commit("lab");
    // Whoever pins the first commit gets that, though a branch of its name leads to the second.
    r.git("lab", &["update-ref", &format!("refs/heads/{first}"), &second]);
    let out = r.add(&r.url("lab"), &first, &[]);
    assert!(out.status.success(), "{}", said(&out));
    assert!(r.0.read("project/lathe.lock").contains(&first) && !r.0.read("project/lathe.lock").contains(&second));
    r.0.write("project/x.rhai", "import \"lab/m\" as m;\nfn main() { print(m::one()); }");
    let run = || text(&r.done(&mut r.command(&["run", "x.rhai"])).stdout);
    assert_eq!(run(), "1\n");
    // A tag that was moved since: the lock has the commit, also on a machine that has nothing yet.
    let out = r.add(&r.url("lab"), "v1", &[]);
    assert!(out.status.success(), "{}", said(&out));
    r.git("lab", &["tag", "-f", "v1", &second]);
    std::fs::remove_dir_all(r.0.path("cache")).unwrap();
    assert_eq!(run(), "1\n");
    let out = r.done(&mut r.command(&["update"]));
    assert!(out.status.success() && run() == "2\n", "`lathe update` looks anew: {}", said(&out));
}

#[test]
fn a_fetched_repository_runs_nothing_and_leads_nowhere() {
    let r = Repos::new();
    let mark = r.0.at("mark.sh");
    // Filters of the user's that the repository asks for, hooks of templates, submodules.
    r.0.write("lab/.gitattributes", "*.rhai filter=mine text eol=crlf\n");
    r.0.write("lab/.gitmodules", &format!("[submodule \"s\"]\n\tpath = s\n\turl = ext::{mark}\n\tupdate = !{mark}\n"));
    r.commit("lab");
    let global = format!(
        "[filter \"mine\"]\n\tsmudge = {mark}\n\tclean = {mark}\n\trequired = true\n[core]\n\tfsmonitor = {mark}\n\taskPass = {mark}\n[submodule]\n\trecurse = true\n[init]\n\ttemplateDir = {}\n[protocol]\n\tallow = always\n",
        r.0.at("template")
    );
    r.0.write("gitconfig", &global);
    r.0.write("template/hooks/post-checkout", &format!("#!/bin/sh\n{mark}\n"));
    std::fs::set_permissions(r.0.path("template/hooks/post-checkout"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut c = r.command(&["add", "lab", "--git", &r.url("lab"), "--rev", "main"]);
    // What a hook of another repository would leave in the environment.
    let elsewhere = r.0.at("elsewhere");
    c.env("GIT_CONFIG_GLOBAL", r.0.path("gitconfig")).env("GIT_DIR", &elsewhere).env("GIT_WORK_TREE", &elsewhere).env("GIT_INDEX_FILE", &elsewhere);
    c.env("GIT_OBJECT_DIRECTORY", &elsewhere)
        .env("GIT_COMMON_DIR", &elsewhere)
        .env("GIT_CONFIG_PARAMETERS", "'core.worktree=/'")
        .env("GIT_TRACE", &elsewhere);
    let out = r.done(&mut c);
    assert!(out.status.success(), "{}", said(&out));
    assert!(!r.0.path("elsewhere").exists());
    let module = walkdir::WalkDir::new(r.0.path("cache")).into_iter().flatten().find(|e| e.file_name() == "m.rhai").unwrap();
    assert_eq!(std::fs::read_to_string(module.path()).unwrap(), "fn one() { 1 }", "as the commit has it");
    // A folder of the repository that is a link out of it.
    let private = Place::new(&[("recipe.toml", "name = \"lab\"\nversion = \"1.0.0\"\nlathe = \">=0.1\"\n"), ("key.txt", "secret")]);
    symlink(private.folder(), r.0.path("lab/sub")).unwrap();
    r.commit("lab");
    r.0.write("project/lathe.toml", "");
    let out = r.add(&r.url("lab"), "main", &["--folder", "sub"]);
    assert!(out.status.code() == Some(1) && said(&out).contains("is a link that leads out of its repository"), "{}", said(&out));
    let out = r.add(&r.url("lab"), "main", &["--folder", "../x"]);
    assert!(out.status.code() != Some(0), "{}", said(&out));
}

#[test]
fn nobody_is_asked_for_a_password_and_a_server_that_is_silent_can_be_left() {
    let r = Repos::new();
    let asks = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = asks.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in asks.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 401 no\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    });
    let mut c = r.command(&["add", "lab", "--git", &format!("http://127.0.0.1:{port}/x.git"), "--rev", "main"]);
    c.env("GIT_ASKPASS", r.0.path("mark.sh")).env("SSH_ASKPASS", r.0.path("mark.sh")).env("SSH_ASKPASS_REQUIRE", "force").env("DISPLAY", ":0");
    c.env_remove("GIT_TERMINAL_PROMPT");
    let out = r.done(&mut c);
    assert!(out.status.code() == Some(1) && said(&out).contains("git failed"), "{}", said(&out));

    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("git://127.0.0.1:{}/x", silent.local_addr().unwrap().port());
    let mut child = r.command(&["add", "lab", "--git", &url, "--rev", "main"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let (_held, _) = silent.accept().unwrap();
    signal(&child, "-TERM");
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        assert!(start.elapsed() < Duration::from_secs(20), "it goes on waiting");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let left =
        walkdir::WalkDir::new(r.0.path("cache")).into_iter().flatten().filter(|e| e.file_name().to_string_lossy().starts_with(".fetch-")).count();
    assert_eq!(left, 0, "nothing half-fetched is left");
}

/// `env.json` names the commit of the folder that a script runs in. That folder may be a stranger's, with its `.git`.
#[test]
fn a_run_in_a_strangers_repository_runs_nothing_of_its_configuration() {
    let r = Repos::new();
    let mark = r.0.at("mark.sh");
    r.0.write("project/x.rhai", "fn main() { let r = train::run(#{output_dir: \"exps\", exp_name: \"a\"}); r.resume(); }");
    r.0.write("project/.gitattributes", "*.rhai filter=mine diff=mine\n*.toml filter=a=b\n");
    r.0.write("project/.gitignore", "exps\n");
    let commit = r.commit("project");
    let settings = [
        ("filter.mine.clean", mark.as_str()),
        ("filter.mine.process", &mark),
        ("filter.mine.required", "true"),
        ("filter.a=b.clean", &mark),
        ("diff.mine.textconv", &mark),
        ("core.fsmonitor", &mark),
        ("core.hooksPath", &r.0.at("hooks")),
        ("core.sshCommand", &mark),
        ("core.pager", &mark),
        ("extensions.partialClone", "origin"),
        ("remote.origin.promisor", "true"),
        ("remote.origin.url", &format!("ext::{mark}")),
        ("protocol.ext.allow", "always"),
        ("core.repositoryFormatVersion", "1"),
    ];
    for (key, value) in settings {
        r.git("project", &["config", key, value]);
    }
    for hook in ["post-index-change", "fsmonitor-watchman"] {
        r.0.write(&format!("hooks/{hook}"), &r.0.read("mark.sh"));
        std::fs::set_permissions(r.0.path(&format!("hooks/{hook}")), std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    // Touched, so that git looks into the files; and an object that is missing.
    for file in ["x.rhai", "lathe.toml"] {
        let text = r.0.read(&format!("project/{file}"));
        std::thread::sleep(Duration::from_millis(20));
        r.0.write(&format!("project/{file}"), &text);
    }
    let mut c = r.command(&["run", "x.rhai"]);
    let out = r.done(&mut c);
    assert!(out.status.success(), "{}", said(&out));
    let env = || serde_json::from_str::<serde_json::Value>(&r.0.read("project/exps/a/env.json")).unwrap();
    assert_eq!(env()["commit"], commit.as_str(), "what git says is still known: {}", env());
    let tree = r.git("project", &["rev-parse", "HEAD^{tree}"]);
    std::fs::remove_file(r.0.path(&format!("project/.git/objects/{}/{}", &tree[..2], &tree[2..]))).unwrap();
    let out = r.done(&mut r.command(&["run", "x.rhai"]));
    assert!(out.status.success(), "{}", said(&out));
    assert_eq!(env()["commit"], serde_json::Value::Null);
}
