//! Preprocessing that is killed, and that runs out of room.

use crate::data::contents;
use crate::support::process::until;
use crate::support::{avatars, name, text};
use lathe::data::{PreprocessOptions, preprocess};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Not a test: what the child processes of the following tests run.
#[test]
#[ignore = "run by other tests in a process of its own"]
fn child() {
    let (Some(src), Some(dst)) = (std::env::var_os("CHILD_SRC"), std::env::var_os("CHILD_DST")) else { return };
    let result = preprocess(
        PathBuf::from(src),
        PathBuf::from(dst),
        &PreprocessOptions { shard_size: 64, max_images: Some(1536), workers: 2, resolution: 96, quiet: true, ..Default::default() },
    );
    if let Err(e) = result {
        eprintln!("{}", e.render(false));
        std::process::exit(e.exit_code());
    }
}

/// The name of the test above.
const CHILD: &str = "data::process::preprocess::child";

fn child_command(dst: &Path) -> Command {
    let mut c = Command::new(std::env::current_exe().unwrap());
    c.args(["--exact", CHILD, "--ignored", "--nocapture"]).env("CHILD_SRC", avatars()).env("CHILD_DST", dst);
    c.stdout(Stdio::null());
    c
}

/// Kills the child three times, each time while it is at work, and lets it finish. `None` when it was done before the third.
fn finish_in_spite_of_three_kills(dst: &Path) -> Option<()> {
    for kills in 0..3 {
        let before = shards(dst);
        let mut child = child_command(dst).stderr(Stdio::null()).spawn().unwrap();
        // Killed when another shard has appeared, so at an arbitrary point of one after it.
        until("a shard", 120, || shards(dst) > before || child.try_wait().unwrap().is_some());
        std::thread::sleep(Duration::from_millis(5 * kills));
        child.kill().unwrap();
        let status = child.wait().unwrap();
        if status.success() {
            return None;
        }
        assert_eq!(status.signal(), Some(9), "the child ended by itself: {status}");
    }
    assert!(child_command(dst).stderr(Stdio::null()).status().unwrap().success());
    Some(())
}

#[test]
fn killed_and_started_again_gives_the_bytes_of_an_uninterrupted_run() {
    let whole = tempfile::tempdir().unwrap();
    assert!(child_command(whole.path()).stderr(Stdio::null()).status().unwrap().success());
    // On a busy machine the child can be done before this process has looked three times; that run shows nothing.
    let killed = (0..20)
        .find_map(|_| {
            let dst = tempfile::tempdir().unwrap();
            finish_in_spite_of_three_kills(dst.path()).map(|()| dst)
        })
        .expect("the child was too fast to be killed");
    assert_eq!(contents_names(whole.path()), contents_names(killed.path()));
    assert!(contents(whole.path()) == contents(killed.path()));
}

pub(super) fn shards(folder: &Path) -> usize {
    contents_names(folder).iter().filter(|n| n.starts_with("images-")).count()
}

fn contents_names(folder: &Path) -> Vec<String> {
    // A file of the child's may be gone again by now.
    let mut names: Vec<String> = std::fs::read_dir(folder).unwrap().filter_map(|e| Some(name(&e.ok()?.path()))).collect();
    names.sort();
    names
}

/// A file system of 4 MB at `at`, if this machine allows it.
fn small_disk(at: &Path) -> bool {
    Command::new("mount").args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"]).arg(at).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
}

#[test]
fn a_full_disk_is_one_clear_error_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    if small_disk(dir.path()) {
        let out = child_command(&dir.path().join("out")).stderr(Stdio::piped()).output().unwrap();
        let said = text(&out.stderr);
        let left: Vec<String> = contents_names(&dir.path().join("out"));
        let partial = std::fs::read_to_string(dir.path().join("out/dataset.partial.json")).unwrap();
        assert!(Command::new("umount").arg(dir.path()).status().unwrap().success());
        assert_eq!(out.status.code(), Some(1), "{said}");
        assert!(said.contains("cannot write") && said.contains("No space left on device") && said.contains("continues there"), "{said}");
        assert!(left.contains(&"images-00000.safetensors".to_owned()) && partial.contains("images-00000.safetensors"), "{left:?}");
        assert!(left.iter().all(|n| !n.starts_with('.')), "{left:?}");
    } else {
        println!("no tmpfs can be mounted here; a limit on the file size stands in for the full disk");
        let exe = std::env::current_exe().unwrap();
        let script = format!("trap '' XFSZ; ulimit -f 1000; exec {} --exact {CHILD} --ignored --nocapture", exe.display());
        let out = Command::new("sh").args(["-c", &script]).env("CHILD_SRC", avatars()).env("CHILD_DST", dir.path()).output().unwrap();
        let said = text(&out.stderr);
        assert_eq!(out.status.code(), Some(1), "{said}");
        assert!(said.contains("cannot write"), "{said}");
        assert!(contents_names(dir.path()).iter().all(|n| !n.starts_with('.') && !n.ends_with(".safetensors")));
    }
}
