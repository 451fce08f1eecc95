//! The same pictures in every container, made by the tools that people make them with.

use crate::data::packed::{fixture, message, options, tree};
use crate::data::{contents, process::preprocess::shards};
use crate::support::process::{lathe, ok, refused, until};
use lathe::data::{PreprocessOptions, preprocess};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Runs a tool in a folder.
fn tool(folder: &Path, program: &str, args: &[&str]) {
    let out = Command::new(program).args(args).current_dir(folder).output().unwrap();
    assert!(out.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&out.stderr));
}

/// The shards that a source gives, by name.
fn made(src: &Path) -> BTreeMap<String, Vec<u8>> {
    let dst = tempfile::tempdir().unwrap();
    preprocess(src, dst.path(), &PreprocessOptions { shard_size: 3, ..options() }).unwrap_or_else(|e| panic!("{}: {}", src.display(), message(e)));
    contents(dst.path())
}

#[test]
fn every_container_gives_the_bytes_of_the_tree() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    tree(&at("tree"), 2);
    tool(dir.path(), "tar", &["cf", "whole.tar", "tree"]);
    tool(dir.path(), "tar", &["cf", "inside.tar", "-C", "tree", "."]);
    tool(dir.path(), "tar", &["--format=posix", "-czf", "posix.tar.gz", "tree"]);
    // Another order in the archive is no other order of pictures.
    tool(dir.path(), "tar", &["cf", "order.tar", "--sort=inode", "-C", "tree", "undercut", "spiky", "sideComed", "bun"]);
    tool(dir.path(), "zip", &["-qr", "whole.zip", "tree"]);
    tool(&at("tree"), "zip", &["-qr0", "../stored.zip", "."]);
    let whole = made(&at("tree"));
    assert!(whole.len() > 4);
    for name in ["whole.tar", "inside.tar", "posix.tar.gz", "order.tar", "whole.zip", "stored.zip"] {
        assert!(made(&at(name)) == whole, "{name}: all files, dataset.json too");
    }
    let pictures = |all: BTreeMap<String, Vec<u8>>| all.into_iter().filter(|(n, _)| n.starts_with("images-")).collect::<BTreeMap<_, _>>();
    let whole = pictures(whole);
    for name in ["shard-{000000..000001}.tar", "shard-*.tar", "json-000000.tar", "train-*.parquet"] {
        assert!(pictures(made(&fixture(name))) == whole, "{name}");
    }
    let folder = at("shards");
    std::fs::create_dir(&folder).unwrap();
    for name in ["shard-000000.tar", "shard-000001.tar"] {
        std::fs::copy(fixture(name), folder.join(name)).unwrap();
    }
    tool(&folder, "gzip", &["shard-000001.tar"]);
    std::fs::write(folder.join("README.md"), "shards").unwrap();
    assert!(pictures(made(&folder)) == whole, "a folder of shards, one gzipped");
}

#[test]
fn attributes_and_labels_in_an_archive_count_as_in_a_folder() {
    let dir = tempfile::tempdir().unwrap();
    let src = dir.path().join("tree");
    let names = tree(&src, 2);
    let rows: String = names.iter().enumerate().map(|(i, n)| format!("{n},{}\n", i % 3)).collect();
    std::fs::write(src.join("attributes.csv"), format!("file,third\n{rows}")).unwrap();
    let labels = serde_json::json!({"labels": names.iter().enumerate().map(|(i, n)| (n, i % 2)).collect::<Vec<_>>()});
    std::fs::write(src.join("dataset.json"), labels.to_string()).unwrap();
    tool(dir.path(), "tar", &["cf", "a.tar", "tree"]);
    tool(dir.path(), "zip", &["-qr", "a.zip", "tree"]);
    let whole = made(&src);
    assert!(made(&dir.path().join("a.tar")) == whole && made(&dir.path().join("a.zip")) == whole);
}

#[test]
fn names_that_are_not_utf8_and_links_in_archives() {
    use std::os::unix::ffi::OsStrExt;
    let dir = tempfile::tempdir().unwrap();
    let src = dir.path().join("tree");
    let names = tree(&src, 1);
    let odd = PathBuf::from(std::ffi::OsStr::from_bytes(b"caf\xe9"));
    std::fs::rename(src.join("bun"), src.join(odd)).unwrap();
    let whole = made(&src);
    std::fs::hard_link(src.join(&names[1]), src.join("spiky/again.png")).unwrap();
    std::os::unix::fs::symlink("../sideComed", src.join("link")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", src.join("spiky/out.png")).unwrap();
    tool(dir.path(), "tar", &["cf", "a.tar", "tree"]);
    tool(dir.path(), "zip", &["-qry", "a.zip", "tree"]);
    for name in ["a.tar", "a.zip"] {
        let dst = tempfile::tempdir().unwrap();
        let d = preprocess(dir.path().join(name), dst.path(), &options()).unwrap().dataset;
        assert_eq!((d.count, d.classes.as_slice()), (5, &["caf\\xe9", "sideComed", "spiky", "undercut"].map(String::from)[..]), "{name}");
        let skipped: Vec<&str> = d.skipped.iter().map(|s| s.path.as_str()).collect();
        assert_eq!(skipped, ["link", "spiky/out.png"], "{name}");
        assert!(d.skipped.iter().all(|s| s.reason.contains("a link: those in archives are not followed")), "{name}");
    }
    std::fs::remove_file(src.join("spiky/again.png")).unwrap();
    std::fs::remove_file(src.join("spiky/out.png")).unwrap();
    std::fs::remove_file(src.join("link")).unwrap();
    tool(dir.path(), "tar", &["cf", "b.tar", "tree"]);
    assert!(made(&dir.path().join("b.tar")) == whole);
}

#[test]
fn what_real_tools_encrypt_or_compress_otherwise_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    tree(&dir.path().join("tree"), 1);
    tool(dir.path(), "zip", &["-qrP", "secret", "locked.zip", "tree"]);
    tool(dir.path(), "tar", &["cf", "a.tar", "tree"]);
    tool(dir.path(), "bzip2", &["-k", "a.tar"]);
    let said = |name: &str| message(preprocess(dir.path().join(name), dir.path().join("out"), &options()).unwrap_err());
    let e = said("locked.zip");
    assert!(e.contains("locked.zip") && e.contains("`tree/") && e.contains("is encrypted") && e.contains("without one"), "{e}");
    let e = said("a.tar.bz2");
    assert!(e.contains("bzip2 has compressed") && e.contains("`bzip2 -dk FILE`"), "{e}");
}

#[test]
fn more_shards_than_may_be_open_raise_the_limit_or_say_so() {
    let dir = tempfile::tempdir().unwrap();
    for i in 0..90 {
        std::fs::copy(fixture("shard-000001.tar"), dir.path().join(format!("s-{i:03}.tar"))).unwrap();
    }
    std::fs::write(dir.path().join("s.rhai"), "print(data::images(\"s-{000..089}.tar\", #{resolution: 16}).len);").unwrap();
    // A shell that lets its children have so many open files.
    let limited = |limit: &str| {
        let lathe = lathe(dir.path(), &["run", "s.rhai"]);
        let mut c = Command::new("sh");
        c.args(["-c", &format!("ulimit {limit} 80 && exec \"$@\""), "sh"]).arg(lathe.get_program()).args(lathe.get_args());
        c.envs(lathe.get_envs().filter_map(|(k, v)| Some((k, v?)))).current_dir(dir.path()).env_remove("LATHE_STDLIB");
        c
    };
    assert!(ok(&mut limited("-S -n")).lines().any(|l| l == "270"));
    refused(&mut limited("-n"), &["E0301", "90 files are to be open at once", "this system allows 80", "ulimit"]);
}

/// Not a test: what the child process of the following test runs.
#[test]
#[ignore = "run by another test in a process of its own"]
fn child() {
    let (Some(src), Some(dst)) = (std::env::var_os("CHILD_SRC"), std::env::var_os("CHILD_DST")) else { return };
    let o = PreprocessOptions { shard_size: 64, workers: 2, resolution: 96, quiet: true, ..Default::default() };
    preprocess(PathBuf::from(src), PathBuf::from(dst), &o).unwrap();
}

#[test]
fn killed_in_the_middle_of_an_archive_it_goes_on_at_the_same_place() {
    let dir = tempfile::tempdir().unwrap();
    tree(&dir.path().join("tree"), 300);
    tool(dir.path(), "tar", &["czf", "a.tar.gz", "tree"]);
    let src = dir.path().join("a.tar.gz");
    let child = |dst: &Path| {
        let mut c = Command::new(std::env::current_exe().unwrap());
        c.args(["--exact", "data::process::packed::child", "--ignored"]).env("CHILD_SRC", &src).env("CHILD_DST", dst);
        c.stdout(Stdio::null()).stderr(Stdio::null());
        c
    };
    let (whole, killed) = (dir.path().join("whole"), dir.path().join("killed"));
    assert!(child(&whole).status().unwrap().success());
    std::fs::create_dir(&killed).unwrap();
    for _ in 0..2 {
        let before = shards(&killed);
        let mut c = child(&killed).spawn().unwrap();
        until("a shard", 120, || shards(&killed) > before || c.try_wait().unwrap().is_some());
        c.kill().unwrap();
        c.wait().unwrap();
    }
    assert!(child(&killed).status().unwrap().success());
    assert!(contents(&whole) == contents(&killed));
}
