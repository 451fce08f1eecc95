//! What the tests of several themes share: where things are, what a run leaves behind, `lathe` as a process, and a process of its own for
//! a test that cannot share one.

use serde_json::Value;
use std::path::{Path, PathBuf};

/// The repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The real pictures of the repository: 3,000 avatars in four folders, with attributes.
pub fn avatars() -> PathBuf {
    root().join("tests/data/avatars64")
}

/// Copies `n` avatars of a class, from the `skip`th on, into a new folder.
pub fn pictures(to: PathBuf, class: &str, skip: usize, n: usize) -> PathBuf {
    std::fs::create_dir_all(&to).unwrap();
    for f in files(&avatars().join(class)).iter().skip(skip).take(n) {
        std::fs::copy(f, to.join(f.file_name().unwrap())).unwrap();
    }
    to
}

/// Flags of an autoencoder that takes a moment to train.
pub const TINY_VAE: &[&str] =
    &["--vae-config.ch", "8", "--vae-config.ch-mult", "[1, 2]", "--vae-config.num-res-blocks", "1", "--vae-config.norm-groups", "4"];

/// Flags of a denoiser that does.
pub const TINY_SIT: &[&str] = &["--model-config.depth", "1", "--model-config.hidden", "16", "--model-config.heads", "2", "--model-config.patch", "4"];

/// What lies in a folder, in the order of the names.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    all.sort();
    all
}

/// A path as text.
pub fn path(p: &Path) -> &str {
    p.to_str().unwrap()
}

/// The last part of a path.
pub fn name(path: &Path) -> String {
    text(path.file_name().unwrap().as_encoded_bytes())
}

/// Bytes as text.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// SHA-256 in hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// Resident memory in bytes of a process: `self`, or its number.
pub fn resident(process: &str) -> u64 {
    let statm = std::fs::read_to_string(format!("/proc/{process}/statm")).unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

/// The whole lines that a run logged so far, without their times; none where there is no log yet.
pub fn metrics(run: &Path) -> Vec<Value> {
    let log = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap_or_default();
    let line = |l: &str| {
        let mut v: Value = serde_json::from_str(l).unwrap();
        assert!(v.as_object_mut().unwrap().remove("time").is_some(), "a line without its time: {l}");
        v
    };
    log.split_inclusive('\n').filter(|l| l.ends_with('\n')).map(line).collect()
}

/// The steps of a run's whole checkpoints.
pub fn saved(run: &Path) -> Vec<u64> {
    let Ok(entries) = std::fs::read_dir(run.join("checkpoints")) else { return Vec::new() };
    let mut steps: Vec<u64> = entries.filter_map(|e| e.unwrap().file_name().to_str().unwrap().parse().ok()).collect();
    steps.sort_unstable();
    steps
}

/// Numbers that look random and are the same in every test run.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// Said to the processes that [`alone`] starts, and by `make quick` to the one in which it runs all such tests one after the other.
const ALONE: &str = "LATHE_TEST_ALONE";

/// Runs a test of a folder `alone` in a process of its own: the random generator, the interrupt flag and the memory are the process's, and
/// the other tests beside it use them too.
pub fn alone(test: fn()) {
    if std::env::var_os(ALONE).is_some() {
        // The test before this one may have asked to stop.
        lathe::interrupt::clear();
        return test();
    }
    // The harness names each test's thread after the test.
    let thread = std::thread::current();
    let name = thread.name().unwrap();
    let mut again = std::process::Command::new(std::env::current_exe().unwrap());
    let out = again.args(["--exact", name, "--nocapture"]).env(ALONE, "1").output().unwrap();
    let said = text(&out.stdout);
    println!("{said}{}", text(&out.stderr));
    assert!(out.status.success() && said.contains("1 passed"), "{name}, in a process of its own: {}", out.status);
}

/// For tests that start processes: those of the folders `process`.
pub mod process {
    use super::{root, text};
    use crate::terminal::Terminal;
    use std::collections::BTreeMap;
    use std::path::{Path, PathBuf};
    use std::process::{Child, Command, Output, Stdio};
    use std::sync::Mutex;
    use std::time::{Duration, Instant};

    /// The `lathe` binary under test.
    pub const LATHE: &str = env!("CARGO_BIN_EXE_lathe");

    /// `lathe` in a folder, on one thread of the processor, with the standard library that is built in.
    pub fn lathe(folder: &Path, args: &[&str]) -> Command {
        let mut c = Command::new(LATHE);
        c.current_dir(folder).args(args).env("OMP_NUM_THREADS", "1").env_remove("LATHE_STDLIB");
        c.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        c
    }

    /// `lathe run scripts/SCRIPT.rhai` in the project, on the CPU.
    pub fn script(script: &str, flags: &[&str]) -> Command {
        let mut c = lathe(root(), &["run", &format!("scripts/{script}.rhai"), "--device", "cpu", "--threads", "1"]);
        c.args(flags);
        c
    }

    /// The folder that has packages of PyPI, `name==version` with spaces between them, which are installed once; or why there is none.
    pub fn python(packages: &str, modules: &str) -> Result<PathBuf, String> {
        static KNOWN: Mutex<BTreeMap<String, Result<PathBuf, String>>> = Mutex::new(BTreeMap::new());
        // Held while they are installed: tests beside this one want them too.
        let mut known = KNOWN.lock().unwrap();
        known.entry(packages.to_owned()).or_insert_with(|| install(packages, modules)).clone()
    }

    fn install(packages: &str, modules: &str) -> Result<PathBuf, String> {
        let folder = root().join("target/python").join(packages.replace(' ', "+"));
        let is_there = || {
            let out = Command::new("python3").args(["-c", &format!("import {modules}")]).env("PYTHONPATH", &folder).output();
            out.is_ok_and(|o| o.status.success())
        };
        if !is_there() {
            let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"];
            let out = Command::new("python3").args(pip).arg(&folder).args(packages.split(' ')).output().map_err(|e| format!("python3: {e}"))?;
            if !out.status.success() || !is_there() {
                return Err(format!("{packages} cannot be installed: {}", text(&out.stderr)));
            }
        }
        Ok(folder)
    }

    /// A command on a pseudo-terminal of its own: its input and output are that.
    pub fn on_terminal(command: Command) -> Terminal {
        Terminal::new(command)
    }

    /// All that a process said.
    pub fn said(out: &Output) -> String {
        format!("{}{}", text(&out.stdout), text(&out.stderr))
    }

    /// Exit code, stdout and stderr.
    pub fn parts(out: Output) -> (i32, String, String) {
        (out.status.code().unwrap_or(-1), text(&out.stdout), text(&out.stderr))
    }

    /// What a command says, which must succeed.
    pub fn ok(command: &mut Command) -> String {
        let out = command.output().unwrap();
        assert!(out.status.success(), "{command:?}: {}\n{}", out.status, said(&out));
        said(&out)
    }

    /// What a command says that must be refused with these words: one message, exit code 1 or 2, no panic.
    pub fn refused(command: &mut Command, words: &[&str]) -> String {
        let out = command.output().unwrap();
        let all = said(&out);
        assert!(matches!(out.status.code(), Some(1 | 2)), "{command:?}: {}\n{all}", out.status);
        assert!(!all.contains("panicked"), "{all}");
        assert_eq!(text(&out.stderr).lines().filter(|l| l.starts_with("error")).count(), 1, "one message:\n{all}");
        for word in words {
            assert!(all.contains(word), "no `{word}` in\n{all}");
        }
        all
    }

    /// Waits until `done` says so.
    pub fn until(what: &str, seconds: u64, mut done: impl FnMut() -> bool) {
        let start = Instant::now();
        while !done() {
            assert!(start.elapsed() < Duration::from_secs(seconds), "waited {seconds} s for {what}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Sends `-INT`, `-TERM`, `-HUP` or `-KILL`.
    pub fn signal(child: &Child, name: &str) {
        assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
    }

    /// A folder with files, gone when dropped.
    pub struct Place(tempfile::TempDir);

    impl Place {
        pub fn new(files: &[(&str, &str)]) -> Self {
            let place = Place(tempfile::tempdir().unwrap());
            files.iter().for_each(|(name, text)| place.write(name, text));
            place
        }

        pub fn folder(&self) -> &Path {
            self.0.path()
        }

        pub fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        /// A path in it as text.
        pub fn at(&self, name: &str) -> String {
            self.path(name).display().to_string()
        }

        pub fn write(&self, name: &str, text: &str) {
            std::fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
            std::fs::write(self.path(name), text).unwrap();
        }

        pub fn read(&self, name: &str) -> String {
            std::fs::read_to_string(self.path(name)).unwrap()
        }

        /// `lathe` in it.
        pub fn command(&self, args: &[&str]) -> Command {
            lathe(self.folder(), args)
        }

        /// Exit code, stdout and stderr of `lathe` in it.
        pub fn lathe(&self, args: &[&str]) -> (i32, String, String) {
            parts(self.command(args).output().unwrap())
        }
    }
}
