//! `lathe run SCRIPT --nproc N`: N processes of this program on one machine, and this one, which looks after them.
//!
//! # Signals
//! The processes stay in this one's process group. In groups of their own they would be in the background: rank 0 could not read the
//! terminal, and Ctrl-Z and `fg` would stop and continue this process alone. So Ctrl-C reaches all of them without us, and so does what a
//! batch system sends to every process of a job (`scancel`, `timeout`), while `kill PID` reaches this process alone. Nothing tells the two
//! apart, and a second SIGINT or SIGTERM makes a rank end at once, without a checkpoint. Therefore SIGINT and SIGTERM are not handed on as
//! they are: the ranks are asked to stop by SIGUSR1, which [`end_with_parent`] makes a request that may come any number of times. A second
//! SIGINT or SIGTERM kills all.

use crate::dist;
use crate::dist::launch::{self, LAUNCHED, NPROC};
use crate::error::{Error, Result};
use crate::{interrupt, plain};
use rustix::process::{Pid, Signal, getppid, kill_process, set_parent_process_death_signal};
use signal_hook::consts::{SIGHUP, SIGINT, SIGKILL, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;
use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// More processes than any machine has devices for.
const MOST: usize = 1024;
/// Between two looks at the processes and at the signals that came.
const TICK: Duration = Duration::from_millis(50);
/// After one rank failed the others have so long to end by themselves: they find out, say which rank is lost, and save.
const GRACE: Duration = Duration::from_secs(10);
/// And so long after SIGTERM.
const MERCY: Duration = Duration::from_secs(5);
/// How long the last lines of a rank are waited for. What it started itself may hold its stderr open for ever.
const LAST_LINES: Duration = Duration::from_secs(1);
/// A longer line of a rank is told in pieces.
const LONGEST_LINE: u64 = 64 << 10;
/// The exit code of what was interrupted: [`Error::exit_code`] of `E0901`.
const INTERRUPTED: i32 = 130;
/// The exit code of a rank that SIGTERM reached itself, at a time when there was nothing to save.
const TERMINATED: i32 = 128 + SIGTERM;
/// The variable with this process's number: see [`end_with_parent`].
const PARENT: &str = "LATHE_PARENT";
/// What a torchrun around this process says of a job of its own.
const FOREIGN: [&str; 3] = ["TORCHELASTIC_USE_AGENT_STORE", "TORCHELASTIC_RESTART_COUNT", "TORCHELASTIC_ERROR_FILE"];

/// Starts `n` processes with the arguments of this one, waits until all have ended, and returns the exit code: that of the first rank that
/// failed, `128 + signal` for one that a signal ended, 130 when the job was interrupted.
///
/// # Errors
/// `E0101` for a number that cannot be, or within another launcher; `E0301` when a process cannot be started.
pub(super) fn run(n: usize) -> Result<i32> {
    if !(1..=MOST).contains(&n) {
        return Err(Error::usage(format!("`--nproc` must be a number from 1 to {MOST}, got {n}")).help("as many as the machine has GPUs"));
    }
    if let Some(world) = launch::world(&|name| std::env::var(name).ok())? {
        let message = format!("`--nproc {n}`: {} has started this process already, as rank {} of {}", world.launcher, world.rank, world.size);
        return Err(Error::usage(message).help("leave `--nproc` out, or unset RANK and WORLD_SIZE where no launcher is at work"));
    }
    // Before the processes are there: no signal is missed, and none ends this one without them.
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(|e| Error::io("open", "signals", e))?;
    let mut ranks = Ranks::start(n)?;
    watch(&mut ranks, &mut signals)
}

/// To be called by every process before anything else, on its main thread: a process that [`run`] started is killed when this one dies in
/// whatever way, and takes SIGUSR1 for a request to stop. Others are left as they are.
///
/// The system ties it to the thread that asks for it, so that must be one that lives as long as the process.
///
/// # Errors
/// `E0301` when the system refuses.
pub(super) fn end_with_parent() -> Result<()> {
    if std::env::var(LAUNCHED).ok().as_deref() != Some(NPROC) {
        return Ok(());
    }
    let io = |e: std::io::Error| Error::io("open", "signals", e);
    // SIGKILL: a rank that hangs would survive a milder one. Checkpoints appear whole or not at all, so the last one stays.
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|e| io(e.into()))?;
    // It may have died before: then this process has another parent by now.
    let parent = std::env::var(PARENT).ok().and_then(|p| p.parse::<i32>().ok());
    if parent.is_some_and(|p| p != Pid::as_raw(getppid())) {
        std::process::exit(128 + SIGKILL);
    }
    let mut signals = Signals::new([SIGUSR1]).map_err(io)?;
    let says = std::env::var("RANK").is_ok_and(|rank| rank == "0");
    let listen = move || {
        for _ in signals.forever() {
            if dist::current().is_none() {
                // It has not met the others, which may take minutes inside of C++ code: there is nothing to save and nothing to wait for.
                signal_hook::low_level::exit(INTERRUPTED);
            }
            // Once for all ranks; and where Ctrl-C reached this process as well, it has said so.
            if says && !interrupt::pending() {
                tell("\nstopping after this step; once more to stop at once\n");
            }
            interrupt::request();
        }
    };
    std::thread::Builder::new().name("stop".into()).spawn(listen).map(|_| ()).map_err(|e| Error::io("create", "a thread", e))
}

/// The arguments without `--nproc N` and `--nproc=N`, before the script's name or after it.
fn without_nproc(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let (mut args, mut kept) = (args.into_iter(), Vec::new());
    while let Some(arg) = args.next() {
        if !is_flag(&arg, "--nproc") {
            kept.push(arg);
        } else if arg.to_str() == Some("--nproc") {
            // Its value.
            args.next();
        }
    }
    kept
}

/// Whether an argument is that flag, with its value behind `=` or in the next one.
fn is_flag(arg: &OsStr, name: &str) -> bool {
    arg.to_str().and_then(|a| a.strip_prefix(name)).is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
}

/// How many threads each process gets for libtorch's operators; `None` where the user says it, and for one process, which needs no share.
fn threads(n: usize, cores: usize, is_told: bool) -> Option<usize> {
    (n > 1 && !is_told).then(|| (cores / n).max(1))
}

/// A port of this machine that nobody uses. Somebody may take it before rank 0 does, which then says so.
fn free_port() -> Result<u16> {
    let bound = std::net::TcpListener::bind(("127.0.0.1", 0)).and_then(|l| l.local_addr());
    bound.map(|a| a.port()).map_err(|e| Error::io("open", "a port of 127.0.0.1", e))
}

/// Writes to stderr. A terminal that is gone is no reason to leave the processes alone.
fn tell(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// A line of a rank as it is told; `None` for an empty one.
fn line_of(number: usize, line: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(line);
    let text = text.trim_end();
    (!text.is_empty()).then(|| format!("[rank {number}] {}\n", plain::text(text)))
}

/// Tells what a rank writes to stderr, until it closes it. A thread of its own: a rank whose lines nobody takes would stand still.
fn relay(number: usize, from: ChildStderr) -> Result<JoinHandle<()>> {
    let lines = move || {
        let (mut from, mut line) = (BufReader::new(from), Vec::new());
        while from.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
            if let Some(text) = line_of(number, &line) {
                tell(&text);
            }
            line.clear();
        }
    };
    std::thread::Builder::new().name(format!("rank {number}")).spawn(lines).map_err(|e| Error::io("create", "a thread", e))
}

/// One of the processes.
struct Rank {
    child: Child,
    /// Who tells its lines; rank 0 has the terminal itself.
    relay: Option<JoinHandle<()>>,
    /// It has ended, and its number may be another process's.
    is_over: bool,
}

/// The processes, by rank. When they are dropped none is left.
struct Ranks(Vec<Rank>);

impl Ranks {
    fn start(n: usize) -> Result<Ranks> {
        let program = std::env::current_exe().map_err(|e| Error::io("find", "the program of this process", e))?;
        let args = without_nproc(std::env::args_os().skip(1));
        let is_told = std::env::var_os("OMP_NUM_THREADS").is_some_and(|v| !v.is_empty()) || args.iter().any(|a| is_flag(a, "--threads"));
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let mut shared = vec![
            ("WORLD_SIZE", n.to_string()),
            ("LOCAL_WORLD_SIZE", n.to_string()),
            ("MASTER_ADDR", "127.0.0.1".to_owned()),
            ("MASTER_PORT", free_port()?.to_string()),
            (LAUNCHED, NPROC.to_owned()),
            (PARENT, std::process::id().to_string()),
        ];
        shared.extend(threads(n, cores, is_told).map(|n| ("OMP_NUM_THREADS", n.to_string())));
        let mut ranks = Ranks(Vec::with_capacity(n));
        for number in 0..n {
            let mut command = Command::new(&program);
            for name in FOREIGN {
                command.env_remove(name);
            }
            command.args(&args).envs(shared.iter().map(|(name, value)| (name, value)));
            command.env("RANK", number.to_string()).env("LOCAL_RANK", number.to_string());
            if number > 0 {
                // Results are printed by rank 0, and one process alone can read the terminal.
                command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
            }
            let mut child = command.spawn().map_err(|e| Error::io("start", &program, e))?;
            let stderr = child.stderr.take();
            // First of all: from here on it does not outlive an error.
            ranks.0.push(Rank { child, relay: None, is_over: false });
            if let (Some(stderr), Some(rank)) = (stderr, ranks.0.last_mut()) {
                rank.relay = Some(relay(number, stderr)?);
            }
        }
        Ok(ranks)
    }

    /// Sends a signal to the first `n` ranks, as far as they have not ended.
    fn send(&self, n: usize, signal: Signal) {
        for rank in self.0.iter().take(n).filter(|r| !r.is_over) {
            // One that has just ended is no failure; its number stays its own until it is waited for.
            let _ = kill_process(Pid::from_child(&rank.child), signal);
        }
    }

    fn send_all(&self, signal: Signal) {
        self.send(self.0.len(), signal);
    }

    /// Which ranks have ended since the last look, and how.
    fn ended(&mut self) -> Result<Vec<(usize, ExitStatus)>> {
        let mut all = Vec::new();
        for (number, rank) in self.0.iter_mut().enumerate().filter(|(_, r)| !r.is_over) {
            if let Some(status) = rank.child.try_wait().map_err(|e| Error::io("wait for", format!("rank {number}"), e))? {
                rank.is_over = true;
                all.push((number, status));
            }
        }
        Ok(all)
    }

    fn are_over(&self) -> bool {
        self.0.iter().all(|r| r.is_over)
    }
}

impl Drop for Ranks {
    fn drop(&mut self) {
        self.send_all(Signal::KILL);
        for rank in self.0.iter_mut().filter(|r| !r.is_over) {
            // Nothing is to be done about one that cannot be waited for.
            let _ = rank.child.wait();
        }
        let until = Instant::now() + LAST_LINES;
        for relay in self.0.iter().filter_map(|r| r.relay.as_ref()) {
            while !relay.is_finished() && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
}

/// How a rank ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// Done.
    Well,
    /// It was asked to stop, or a signal that is meant so came before it could listen.
    Interrupted,
    /// With this exit code, and how it is told.
    Failed(i32, String),
}

/// `is_asked`: the ranks have been asked to stop.
fn end_of(status: ExitStatus, is_asked: bool) -> End {
    match (status.code(), status.signal()) {
        (Some(0), _) => End::Well,
        (Some(INTERRUPTED), _) => End::Interrupted,
        (Some(TERMINATED), _) if is_asked => End::Interrupted,
        (Some(code), _) => End::Failed(code, format!("ended with exit code {code}")),
        (None, Some(SIGINT | SIGTERM | SIGUSR1)) if is_asked => End::Interrupted,
        (None, Some(signal)) => End::Failed(128 + signal, format!("was ended by signal {signal}")),
        (None, None) => End::Failed(1, "ended in an unknown way".to_owned()),
    }
}

/// What those get that live on so long after another rank failed.
fn due(since: Duration) -> Option<Signal> {
    match since {
        s if s >= GRACE + MERCY => Some(Signal::KILL),
        s if s >= GRACE => Some(Signal::TERM),
        _ => None,
    }
}

/// Waits until all have ended. An interrupted rank does not hurry the others, who may be writing the checkpoint for it.
fn watch(ranks: &mut Ranks, signals: &mut Signals) -> Result<i32> {
    let (mut is_asked, mut is_interrupted) = (false, false);
    let mut failed: Option<(i32, Instant)> = None;
    let mut sent = None;
    loop {
        for signal in signals.pending() {
            if signal == SIGHUP {
                // Rank 0 alone watches the scripts. Where the terminal was closed the system told everybody, and each decides for itself.
                ranks.send(1, Signal::HUP);
            } else if is_asked {
                // Dropping them kills them.
                return Ok(128 + signal);
            } else {
                is_asked = true;
                ranks.send_all(Signal::USR1);
            }
        }
        for (number, status) in ranks.ended()? {
            match end_of(status, is_asked) {
                End::Well => {}
                End::Interrupted => is_interrupted = true,
                End::Failed(code, how) => {
                    // The first is the cause. A signal of somebody else's is told of each; what we have sent ourselves is not.
                    if failed.is_none() || (status.signal().is_some() && sent.is_none()) {
                        tell(&format!("error: rank {number} {how}\n"));
                    }
                    failed.get_or_insert((code, Instant::now()));
                }
            }
        }
        if ranks.are_over() {
            return Ok(failed.map_or(if is_interrupted { INTERRUPTED } else { 0 }, |(code, _)| code));
        }
        let next = failed.and_then(|(_, at)| due(at.elapsed()));
        if let Some(signal) = next.filter(|_| next != sent) {
            ranks.send_all(signal);
            sent = next;
        }
        std::thread::sleep(TICK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(args: &[&str]) -> Vec<OsString> {
        without_nproc(args.iter().map(OsString::from))
    }

    #[test]
    fn nproc_is_taken_out_before_and_after_the_script() {
        let want = ["run", "s.rhai", "--lr", "1"].map(OsString::from);
        for args in [
            &["run", "--nproc", "4", "s.rhai", "--lr", "1"][..],
            &["run", "--nproc=4", "s.rhai", "--lr", "1"],
            &["run", "s.rhai", "--nproc", "4", "--lr", "1"],
            &["run", "s.rhai", "--lr", "1", "--nproc=4"],
            &["run", "s.rhai", "--lr", "1", "--nproc", "4"],
            &["run", "--nproc", "2", "s.rhai", "--nproc=4", "--lr", "1"],
            &["run", "s.rhai", "--lr", "1", "--nproc"],
            &["run", "s.rhai", "--lr", "1"],
        ] {
            assert_eq!(left(args), want, "{args:?}");
        }
        assert_eq!(left(&["--nproc-x", "1", "nproc", "--no-nproc"]).len(), 4, "others stay");
    }

    #[test]
    fn arguments_that_are_no_text_stay() {
        use std::os::unix::ffi::OsStringExt;
        let odd = OsString::from_vec(vec![b's', 0xff]);
        assert_eq!(without_nproc([odd.clone(), "--nproc".into(), "2".into()]), [odd]);
    }

    #[test]
    fn threads_are_shared_unless_the_user_says_it() {
        assert_eq!(threads(4, 16, false), Some(4));
        assert_eq!(threads(3, 16, false), Some(5));
        assert_eq!(threads(8, 2, false), Some(1));
        assert_eq!((threads(4, 16, true), threads(1, 16, false)), (None, None));
        assert!(["--threads", "--threads=2"].iter().all(|a| is_flag(OsStr::new(a), "--threads")));
        assert!(["--threadsx", "threads", "-threads=1"].iter().all(|a| !is_flag(OsStr::new(a), "--threads")));
    }

    #[test]
    fn ends() {
        // As waitpid gives them: the exit code above the lowest byte, or the signal in it.
        let (exit, signal) = (|code: i32| ExitStatus::from_raw(code << 8), ExitStatus::from_raw);
        assert_eq!(end_of(exit(0), false), End::Well);
        assert_eq!(end_of(exit(130), false), End::Interrupted, "one rank was interrupted, and with it all");
        assert_eq!(end_of(exit(143), true), End::Interrupted);
        assert_eq!(end_of(exit(143), false), End::Failed(143, "ended with exit code 143".into()));
        assert_eq!(end_of(exit(75), true), End::Failed(75, "ended with exit code 75".into()));
        assert_eq!(end_of(signal(SIGKILL), true), End::Failed(137, "was ended by signal 9".into()));
        assert_eq!(end_of(signal(SIGTERM), false), End::Failed(143, "was ended by signal 15".into()));
        assert!([SIGINT, SIGTERM, SIGUSR1].iter().all(|s| end_of(signal(*s), true) == End::Interrupted));
    }

    #[test]
    fn those_who_live_on_are_ended_by_and_by() {
        let after = |seconds| due(Duration::from_secs(seconds));
        assert!(after(0).is_none() && after(9).is_none());
        assert!(after(10) == Some(Signal::TERM) && after(14) == Some(Signal::TERM));
        assert!(after(15) == Some(Signal::KILL) && after(600) == Some(Signal::KILL));
    }

    #[test]
    fn lines_have_their_rank_and_steer_nothing() {
        assert_eq!(line_of(3, b"error: x\n").as_deref(), Some("[rank 3] error: x\n"));
        assert_eq!(line_of(11, b"  no end").as_deref(), Some("[rank 11]   no end\n"));
        assert_eq!(line_of(1, b"a\x1b[2Jb\xff\r\n").as_deref(), Some("[rank 1] a\\u{1b}[2Jb\u{fffd}\n"));
        assert!(line_of(1, b"\n").is_none() && line_of(1, b" \r\n").is_none());
    }

    #[test]
    fn a_free_port_can_be_used() {
        let port = free_port().unwrap();
        assert!(port > 1023);
        std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    }
}
