//! Processes of the fuzz: each tries one thing, says before each call which one it is, and sums up at its end.

use crate::flags::Flags;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// No call of the fuzz takes so long, but one that does not end.
const PATIENCE: Duration = Duration::from_secs(20);
/// More resident memory than any call of the fuzz should take, in bytes.
const MEMORY: u64 = 6 << 30;

/// How calls ended.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Those that were begun.
    pub calls: u64,
    /// Those that returned.
    pub returned: u64,
    /// Those that took long, and ended when they were interrupted twice.
    pub slow: u64,
    /// What was wrong, where something was.
    pub faults: Vec<String>,
}

/// How a process ended.
enum End {
    Well,
    /// Interrupted in this call.
    Slow(u64),
    Fault(String),
}

/// Makes all calls of `name`: in one process, unless some take long, after which another goes on.
pub fn follow(flags: &Flags, name: &str) -> Outcome {
    let mut out = Outcome::default();
    let mut from = flags.from;
    loop {
        match one(flags, name, from, &mut out) {
            End::Well => break,
            End::Slow(case) => {
                out.slow += 1;
                from = case + 1;
                // What takes long again and again is known by now.
                if out.slow >= 3 {
                    break;
                }
            }
            End::Fault(what) => {
                out.faults.push(what);
                break;
            }
        }
    }
    out
}

fn one(flags: &Flags, name: &str, from: u64, out: &mut Outcome) -> End {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([
        &flags.family,
        "--worker",
        name,
        "--seed",
        &flags.seed.to_string(),
        "--calls",
        &flags.calls.to_string(),
        "--from",
        &from.to_string(),
    ]);
    if let Some(case) = flags.case {
        command.args(["--case", &case.to_string()]);
    }
    if flags.all {
        command.arg("--all");
    }
    command.env("OMP_NUM_THREADS", "1").env("MKL_NUM_THREADS", "1").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let id = child.id();
    let (send, lines) = channel();
    let stdout = child.stdout.take().unwrap();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let _ = send.send(line);
        }
    });
    let mut stderr = child.stderr.take().unwrap();
    let errors = std::thread::spawn(move || {
        let mut text = Vec::new();
        let _ = stderr.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    });
    let (mut case, mut finished, mut ended) = (0, false, None);
    let mut heard = Instant::now();
    loop {
        match lines.recv_timeout(Duration::from_millis(200)) {
            Ok(line) => {
                heard = Instant::now();
                match line.split_once(' ') {
                    Some(("call", n)) => {
                        case = n.parse().unwrap_or(0);
                        out.calls += 1;
                    }
                    Some(("fault", what)) => out.faults.push(what.to_owned()),
                    Some(("returned", n)) => out.returned += n.parse::<u64>().unwrap_or(0),
                    Some(("show", what)) => println!("{what}"),
                    _ => finished |= line == "end",
                }
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {}
        }
        if resident(id) > MEMORY {
            ended = Some(End::Fault(format!("takes more memory than was allowed (call {case})")));
            break;
        }
        if heard.elapsed() > PATIENCE {
            ended = Some(if interrupted(&mut child) {
                End::Slow(case)
            } else {
                End::Fault(format!("goes on when it is interrupted twice (call {case})"))
            });
            break;
        }
    }
    if ended.is_some() {
        let _ = child.kill();
    }
    let status = child.wait().unwrap();
    let errors = errors.join().unwrap_or_default();
    let last = errors.lines().rfind(|l| !l.trim().is_empty()).unwrap_or_default();
    if let Some(end) = ended {
        return end;
    }
    if let Some(signal) = status.signal() {
        let what = if last.starts_with("guarded memory") { last.to_owned() } else { format!("ended the process by {}", signal_name(signal)) };
        return End::Fault(format!("{what} (call {case})"));
    }
    if finished { End::Well } else { End::Fault(format!("ended the process with status {} (call {case}): {last}", status.code().unwrap_or(-1))) }
}

/// Ctrl-C, twice: whether the process ends.
fn interrupted(child: &mut std::process::Child) -> bool {
    let Some(id) = rustix::process::Pid::from_raw(child.id().cast_signed()) else { return false };
    for _ in 0..2 {
        let _ = rustix::process::kill_process(id, rustix::process::Signal::INT);
        for _ in 0..30 {
            if child.try_wait().is_ok_and(|s| s.is_some()) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    false
}

/// Resident memory of a process, in bytes; 0 where it is gone.
fn resident(id: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{id}/statm")).unwrap_or_default();
    text.split(' ').nth(1).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0) * 4096
}

fn signal_name(signal: i32) -> String {
    match signal {
        4 => "SIGILL".into(),
        6 => "SIGABRT".into(),
        7 => "SIGBUS".into(),
        8 => "SIGFPE".into(),
        9 => "SIGKILL".into(),
        11 => "SIGSEGV".into(),
        n => format!("signal {n}"),
    }
}

/// Runs `names` in several processes at once; `done` hears of each as it ends. Those that time did not suffice for are returned.
pub fn all(flags: &Flags, names: Vec<String>, done: impl Fn(&str, Outcome) + Sync) -> usize {
    let begun = Instant::now();
    let next = std::sync::atomic::AtomicUsize::new(0);
    let left = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|s| {
        for _ in 0..flags.jobs.max(1) {
            s.spawn(|| {
                loop {
                    let i = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    let Some(name) = names.get(i) else { break };
                    if flags.time.is_some_and(|t| begun.elapsed() > t) {
                        left.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        continue;
                    }
                    done(name, follow(flags, name));
                }
            });
        }
    });
    left.into_inner()
}
