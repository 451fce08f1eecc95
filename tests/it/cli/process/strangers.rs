//! A run's folder from somebody else, with files that say anything: nothing hangs, nothing panics, nothing outside of it is touched or run, and nothing
//! that it says steers the terminal. `LATHE_TAMPERED` says how many pairs of a damage and a command are tried.

use crate::support::process::{LATHE, Place, ok, refused, said};
use crate::support::{Dice, text};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

const TRAIN: &str = "
fn params() { #{ output_dir: \"exps\", exp_name: \"a\", seed: 3, steps: 3 } }
fn main(cfg) {
    let run = train::run(cfg);
    let net = nn::linear(2, 1);
    run.track(\"net\", net);
    train::fit(run, (), \"step\", #{steps: cfg.steps, log_every: 1, save_every: 1});
}
fn step(run, batch) {
    let loss = run.net.forward(torch::randn([4, 2])).square().mean();
    #{loss: loss}
}
";

/// A project with two runs, of which `exps/a` has one edit, and something beside it that is nobody's business.
fn place() -> Place {
    let p = Place::new(&[("project/train.rhai", TRAIN), ("project/lathe.toml", ""), ("outside/keep.txt", "keep")]);
    for name in ["a", "b"] {
        ok(p.command(&["run", "train.rhai", "--device", "cpu", "--threads", "1", "--exp-name", name]).current_dir(p.path("project")));
    }
    p.write("project/train.rhai", &TRAIN.replace("#{loss: loss}", "#{loss: loss, more: 1}"));
    ok(p.command(&["run", "train.rhai", "--device", "cpu", "--threads", "1", "--exp-name", "a", "--steps", "4"]).current_dir(p.path("project")));
    p
}

/// What a command does, which must end soon.
fn within(p: &Place, seconds: u64, args: &[&str]) -> Output {
    let mut c = Command::new(LATHE);
    c.current_dir(p.path("project")).args(args).env("OMP_NUM_THREADS", "1").env_remove("LATHE_STDLIB");
    let mut child = c.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > Duration::from_secs(seconds) {
            child.kill().unwrap();
            panic!("{args:?} hangs: {}", said(&child.wait_with_output().unwrap()));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.wait_with_output().unwrap()
}

/// The commands that people look at somebody's run with.
const COMMANDS: &[&[&str]] = &[
    &["runs", "exps"],
    &["runs", "--json", "exps"],
    &["inspect", "exps/a"],
    &["diff", "exps/a", "exps/b"],
    &["compare", "exps/a", "exps/b"],
    &["compare", "exps/b", "exps/a", "--html", "page.html"],
    &["replay", "exps/a", "--exp-name", "again"],
    &["repl", "--load", "exps/a", "-e", "ckpt.step"],
    &["attach", "exps/a", "-e", "1", "--timeout", "1"],
    &["runs", "exps", "--prune", "--yes"],
];

/// What a run's folder says of itself.
const FILES: &[&str] = &[
    "run.json",
    "start.json",
    "env.json",
    "config.toml",
    "metrics.jsonl",
    "sources/sources.json",
    "sources/train.rhai",
    "edits/EDIT/edit.json",
    "edits/EDIT/sources/sources.json",
    "checkpoints/0000004/state.json",
    "checkpoints/0000004/net.safetensors",
    ".lock",
    "attach.sock",
];

/// What is done to a path.
type Change = Box<dyn Fn(&Path)>;

/// What becomes of it: the name of the damage, and what it does to a path.
fn damages() -> Vec<(&'static str, Change)> {
    fn text(to: impl Into<Vec<u8>>) -> Change {
        let to = to.into();
        Box::new(move |path| std::fs::write(path, &to).unwrap())
    }
    /// Every number of a JSON file becomes another, and every text of it.
    fn replaced(number: &'static str, words: &'static str) -> Change {
        Box::new(move |path| {
            let old = String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned();
            let mut value: serde_json::Value = serde_json::from_str(&old).unwrap_or_default();
            fn walk(v: &mut serde_json::Value, number: &serde_json::Value, words: &str) {
                match v {
                    serde_json::Value::Number(_) => *v = number.clone(),
                    serde_json::Value::String(s) if !words.is_empty() => *s = words.to_owned(),
                    serde_json::Value::Array(a) => a.iter_mut().for_each(|v| walk(v, number, words)),
                    serde_json::Value::Object(m) => m.values_mut().for_each(|v| walk(v, number, words)),
                    _ => {}
                }
            }
            walk(&mut value, &serde_json::from_str(number).unwrap(), words);
            std::fs::write(path, value.to_string()).unwrap();
        })
    }
    vec![
        ("empty", text("")),
        ("another type", text("[]")),
        ("nothing in it", text("{}")),
        ("bytes", text([0xff, 0xfe, 0, 0x1b, b'[', b'2', b'J'])),
        ("deep", text("[".repeat(200_000))),
        ("deep objects", text("{\"a\":".repeat(100_000))),
        ("a long line", text("a".repeat(30 << 20))),
        ("huge numbers", replaced("18446744073709551615", "")),
        ("negative numbers", replaced("-9223372036854775808", "")),
        ("infinite numbers", replaced("1e308", "")),
        ("paths out", replaced("1", "../../../outside/keep.txt")),
        ("absolute paths", replaced("1", "/etc/passwd")),
        ("escapes", replaced("1", "\u{1b}[2J\u{1b}]0;x\u{7}\u{9b}31m\u{202e}<script>alert(1)</script>\n\r")),
        (
            "a pipe",
            Box::new(|path| {
                let _ = std::fs::remove_file(path);
                assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
            }),
        ),
        (
            "an endless device",
            Box::new(|path| {
                let _ = std::fs::remove_file(path);
                symlink("/dev/zero", path).unwrap();
            }),
        ),
        (
            "a link out",
            Box::new(|path| {
                let _ = std::fs::remove_file(path);
                let outside = path.ancestors().find(|a| a.ends_with("project")).unwrap().parent().unwrap().join("outside/keep.txt");
                symlink(outside, path).unwrap();
            }),
        ),
        (
            "a folder",
            Box::new(|path| {
                let _ = std::fs::remove_file(path);
                std::fs::create_dir(path).unwrap();
            }),
        ),
        ("gone", Box::new(|path| drop(std::fs::remove_file(path)))),
        (
            "a gigabyte",
            Box::new(|path| {
                let file = std::fs::OpenOptions::new().create(true).write(true).truncate(false).open(path).unwrap();
                file.set_len(1 << 30).unwrap();
            }),
        ),
    ]
}

#[test]
fn a_tampered_run_hangs_nothing_and_touches_nothing() {
    let tried: u64 = std::env::var("LATHE_TAMPERED").ok().and_then(|n| n.parse().ok()).unwrap_or(12);
    let first = place();
    let whole = first.path("project/exps");
    let edit = std::fs::read_dir(whole.join("a/edits")).unwrap().next().unwrap().unwrap().file_name().into_string().unwrap();
    let all = damages();
    let kept = saved_copy(&first);
    let mut dice = Dice(std::env::var("LATHE_SEED").ok().and_then(|n| n.parse().ok()).unwrap_or(11));
    let pairs = (FILES.len() * all.len() * COMMANDS.len()) as u64;
    let (mut refusals, mut seen) = (0, std::collections::BTreeSet::new());
    for n in 0..tried.min(pairs) {
        // All of them in their order where all are asked for, else some of each.
        let at = if tried >= pairs { n } else { dice.roll(pairs) } as usize;
        let (file, damage, command) = (FILES[at % FILES.len()], at / FILES.len() % all.len(), COMMANDS[at / FILES.len() / all.len()]);
        let (name, change) = &all[damage];
        for run in ["a", "again", "b"] {
            let _ = std::fs::remove_dir_all(whole.join(run));
        }
        for run in ["a", "b"] {
            let copied = Command::new("cp").arg("-a").arg(kept.join(run)).arg(&whole).status().unwrap();
            assert!(copied.success());
        }
        let path = whole.join("a").join(file.replace("EDIT", &edit));
        change(&path);
        let what = format!("{file}: {name}: lathe {}", command.join(" "));
        let out = within(&first, 60, command);
        let all = said(&out);
        assert!(matches!(out.status.code(), Some(0..=2)), "{what}: {}\n{all}", out.status);
        assert!(!all.contains("panicked"), "{what}:\n{all}");
        let steers = |c: char| (c.is_control() && c != '\n' && c != '\t') || c == '\u{202e}';
        assert!(!all.contains(steers), "{what}: steers the terminal:\n{all:?}");
        assert_eq!(first.read("outside/keep.txt"), "keep", "{what}");
        if let Ok(page) = std::fs::read_to_string(first.path("project/page.html")) {
            assert!(!page.contains("<script>alert"), "{what}");
            std::fs::remove_file(first.path("project/page.html")).unwrap();
        }
        refusals += usize::from(out.status.code() != Some(0));
        seen.insert(file);
    }
    println!("{} of {pairs} tried, {refusals} refused, {} files", tried.min(pairs), seen.len());
}

/// The two runs as they were, kept once.
fn saved_copy(p: &Place) -> std::path::PathBuf {
    let kept = p.path("kept");
    if !kept.exists() {
        std::fs::create_dir(&kept).unwrap();
        for run in ["a", "b"] {
            assert!(Command::new("cp").arg("-a").arg(p.path("project/exps").join(run)).arg(&kept).status().unwrap().success());
        }
    }
    kept
}

#[test]
fn links_in_a_strangers_run_are_not_written_through() {
    let p = place();
    let keep = p.path("outside/keep.txt");
    let run = p.path("project/exps/c");
    std::fs::create_dir_all(&run).unwrap();
    std::fs::copy(p.path("project/exps/a/run.json"), run.join("run.json")).unwrap();
    p.write("project/exps/c/run.json", &p.read("project/exps/a/run.json").replace("finished", "running"));
    symlink(&keep, run.join(".lock")).unwrap();
    // The lock of a run that is to be removed, and that goes on.
    let _ = within(&p, 30, &["runs", "exps", "--prune", "--yes"]);
    assert_eq!(p.read("outside/keep.txt"), "keep");
    let run_it = |more: &[&str]| within(&p, 60, &[&["run", "train.rhai", "--device", "cpu", "--threads", "1", "--exp-name", "c"], more].concat());
    for name in [".lock", ".tmp-run.json", "log.txt", "command.txt", "metrics.jsonl", "env.json", "config.toml", "checkpoints", "samples"] {
        let _ = std::fs::remove_dir_all(&run);
        std::fs::create_dir_all(&run).unwrap();
        let to = if ["checkpoints", "samples"].contains(&name) { p.path("outside") } else { keep.clone() };
        symlink(&to, run.join(name)).unwrap();
        let out = run_it(&[]);
        assert!(matches!(out.status.code(), Some(0 | 1)), "{name}: {}", said(&out));
        assert_eq!(p.read("outside/keep.txt"), "keep", "{name}");
        assert_eq!(std::fs::read_dir(p.path("outside")).unwrap().count(), 1, "{name}");
        // Where the outputs are allowed, the lock and the note of the state are files of their own all the same.
        let out = run_it(&["--allow-write", "../outside"]);
        if [".lock", ".tmp-run.json"].contains(&name) {
            assert_eq!(p.read("outside/keep.txt"), "keep", "{name}: {}", said(&out));
        }
        std::fs::remove_dir_all(p.path("outside")).unwrap();
        p.write("outside/keep.txt", "keep");
    }
    // Where a replay would go by itself there lies a link.
    std::fs::create_dir(p.path("outside/there")).unwrap();
    symlink(p.path("outside/there"), p.path("project/exps/a-replay")).unwrap();
    let mut replay = p.command(&["replay", "exps/a"]);
    refused(replay.current_dir(p.path("project")), &["a-replay`, where the new run would go, is a link", "--exp-name NAME"]);
    assert_eq!(std::fs::read_dir(p.path("outside/there")).unwrap().count(), 0);
}

#[test]
fn a_socket_that_is_not_the_runs_is_not_talked_to() {
    let p = place();
    let elsewhere = p.path("outside/s");
    let listener = std::os::unix::net::UnixListener::bind(&elsewhere).unwrap();
    listener.set_nonblocking(true).unwrap();
    symlink(&elsewhere, p.path("project/exps/a/attach.sock")).unwrap();
    let out = within(&p, 20, &["attach", "exps/a", "-e", "1", "--timeout", "1"]);
    assert_eq!(out.status.code(), Some(1));
    assert!(text(&out.stderr).contains("attach.sock` is a link: what listens there is not known to be this run"), "{}", text(&out.stderr));
    assert!(listener.accept().is_err(), "nobody has connected");
    assert!(Command::new("mkfifo").arg(p.path("project/pipe")).status().unwrap().success());
    let out = within(&p, 20, &["attach", "pipe", "-e", "1"]);
    assert!(out.status.code() == Some(2) && text(&out.stderr).contains("`pipe` is no folder"), "{}", said(&out));
}

#[test]
fn what_a_strangers_run_says_cannot_steer_the_terminal() {
    let p = place();
    let evil = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{202e}";
    let escaped = serde_json::Value::from(evil).to_string();
    let old = p.read("project/exps/a/run.json");
    let new = old.replace("\"train.rhai\"", &escaped).replace("\"finished\"", "\"failed\"");
    p.write("project/exps/a/run.json", &new.replacen("\"pid\"", &format!("\"error\": {escaped}, \"pid\""), 1));
    std::fs::rename(p.path("project/exps/b"), p.path(&format!("project/exps/b{evil}"))).unwrap();
    for args in
        [&["runs", "exps"][..], &["runs", "--json", "exps"], &["compare", "exps/a", &format!("exps/b{evil}")], &["inspect", &format!("exps/b{evil}")]]
    {
        let out = within(&p, 30, args);
        let all = said(&out);
        assert!(
            out.status.success() && (all.contains("\\u001b") || all.contains("\\u{1b}")) && !all.contains(['\u{1b}', '\u{7}', '\u{202e}']),
            "{args:?}: {all:?}"
        );
    }
    let table: serde_json::Value = serde_json::from_slice(&within(&p, 30, &["runs", "--json", "exps"]).stdout).unwrap();
    assert!(table.as_array().unwrap().iter().any(|r| r["script"] == evil), "programs get what it says");
    // The page of a comparison, with names of metrics, settings and runs that are markup.
    let tag = "<script>alert(1)</script>";
    let mut log = p.read("project/exps/a/metrics.jsonl");
    log.push_str(&format!("{{\"step\": 4, \"time\": 1, \"{tag}\": 1.0, \"a\\\"><b{tag}\": 2}}\n"));
    p.write("project/exps/a/metrics.jsonl", &log);
    let mut start: serde_json::Value = serde_json::from_str(&p.read("project/exps/a/start.json")).unwrap();
    start["config"][tag] = tag.into();
    p.write("project/exps/a/start.json", &start.to_string());
    std::fs::rename(p.path(&format!("project/exps/b{evil}")), p.path("project/exps/b<script>alert(1)<b>")).unwrap();
    let out = within(&p, 60, &["compare", "exps/a", "exps/b<script>alert(1)<b>", "--html", "page.html"]);
    assert!(out.status.success(), "{}", said(&out));
    let page = p.read("project/page.html");
    assert!(page.contains("&lt;script&gt;alert") && !page.contains("<script>alert"), "escaped");
    let out = within(&p, 30, &["attach", &format!("none{evil}"), "-e", "1"]);
    assert!(!said(&out).contains('\u{1b}'), "{:?}", said(&out));
}

#[test]
fn a_strangers_run_names_no_script_and_no_project_of_its_own() {
    let p = place();
    // A run of the day before that says that its script lies elsewhere, and brings a project with libraries along.
    p.write("outside/evil.rhai", "const X = io::save(\"ran.txt\", \"1\");\nfn main() { }");
    let old = p.read("project/exps/a/run.json");
    p.write("project/exps/a/run.json", &old.replace("\"train.rhai\"", "\"../../../../outside/evil.rhai\""));
    p.write("project/exps/a/lathe.toml", "[recipes]\nevil = { git = \"file:///none\", rev = \"main\" }\n");
    let start: serde_json::Value = serde_json::from_str(&p.read("project/exps/a/start.json")).unwrap();
    let mut moved = start.clone();
    moved["folder"] = p.at("project/exps/a").into();
    p.write("project/exps/a/start.json", &moved.to_string());
    for args in [&["repl", "--load", "exps/a", "-e", "ckpt.step"][..], &["replay", "exps/a"]] {
        let all = said(&within(&p, 60, args));
        assert!(!all.contains("fetching"), "{all}");
        assert!(!p.path("project/ran.txt").exists() && !p.path("project/exps/a/ran.txt").exists());
    }
    // Threads that no machine has.
    let mut many = start;
    many["threads"] = 1_000_000_000_u64.into();
    p.write("project/exps/a/start.json", &many.to_string());
    let mut c = p.command(&["replay", "exps/a", "--exp-name", "many"]);
    refused(c.current_dir(p.path("project")), &["start.json`: says that it used 1000000000 threads", "`--threads N`"]);
}
