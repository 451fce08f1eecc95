//! The socket of a run: lines from prompts in other processes, for the training thread to answer between two steps.
//!
//! Only threads of this module touch the socket. The training thread looks at one atomic number, takes whole lines out of a queue
//! and hands whole lines back, so that no client can hold it up: one that does not read is cut off, one that sends too much as well.

use crate::error::{Error, Result};
use crate::files;
use std::collections::{HashMap, VecDeque};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// The socket in a run folder.
pub const SOCKET: &str = "attach.sock";
/// Ends the evaluation of the client that sends it.
pub const CANCEL: &str = "cancel";
/// The longest line.
pub const MAX_LINE: usize = 1 << 20;
/// Clients at a time.
const MAX_CLIENTS: usize = 8;
/// Lines of one client that may wait.
const MAX_WAITING: usize = 16;
/// How long a client may take to read an answer.
const WRITE_TIME: Duration = Duration::from_secs(5);

/// A line from a client.
pub struct Request {
    /// Which client.
    pub client: u64,
    /// The line.
    pub line: String,
    /// Set when the client no longer wants the answer: it cancelled, or is gone.
    pub cancelled: Arc<AtomicBool>,
    reply: Sender<String>,
    waiting: Arc<AtomicUsize>,
}

impl Request {
    /// Hands a line over that comes before the answer; returns at once.
    pub fn tell(&self, line: String) {
        let _ = self.reply.send(line);
    }

    /// Hands the answer over; returns at once.
    pub fn reply(self, line: String) {
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        // A client that is gone needs no answer.
        let _ = self.reply.send(line);
    }
}

#[derive(Default)]
struct Shared {
    /// Lines in the queue and clients that left: what the training thread looks at.
    events: AtomicUsize,
    clients: AtomicUsize,
    closed: AtomicBool,
    queue: Mutex<VecDeque<Request>>,
    streams: Mutex<HashMap<u64, UnixStream>>,
    gone: Mutex<Vec<u64>>,
}

fn open<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The listening socket of a run. It disappears with this.
pub struct Server {
    shared: Arc<Shared>,
    path: PathBuf,
    /// The socket's number in the file system: what another process put there since is not removed.
    inode: u64,
    thread: Option<JoinHandle<()>>,
}

/// A path that is short enough for a socket's address, which has 108 bytes: through the open folder.
fn short(folder: &std::fs::File, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/{name}", folder.as_raw_fd()))
}

impl Server {
    /// Listens in the run folder `dir`, for the same user only. A socket that a killed process left is replaced.
    ///
    /// # Errors
    /// `E0301` when the system refuses, as on a file system without sockets.
    pub fn start(dir: &Path) -> Result<Self> {
        Self::with_write_time(dir, WRITE_TIME)
    }

    /// The same with another time that a client may take to read its answer.
    fn with_write_time(dir: &Path, write_time: Duration) -> Result<Self> {
        let path = dir.join(SOCKET);
        let io = |e| Error::io("listen on", &path, e);
        // Bound where nobody else can reach it, and moved when its rights are right.
        let private = tempfile::Builder::new().prefix(".tmp-attach-").tempdir_in(dir).map_err(io)?;
        let folder = files::open(private.path())?;
        let listener = UnixListener::bind(short(&folder, SOCKET)).map_err(io)?;
        let bound = private.path().join(SOCKET);
        #[expect(clippy::disallowed_methods, reason = "a socket, for its owner alone")]
        std::fs::set_permissions(&bound, std::fs::Permissions::from_mode(0o600)).map_err(io)?;
        files::rename(&bound, &path)?;
        let inode = path.symlink_metadata().map_err(io)?.ino();
        let shared = Arc::new(Shared::default());
        let theirs = shared.clone();
        let accept = move || accept(&listener, &theirs, write_time);
        let thread = std::thread::Builder::new().name("attach".into()).spawn(accept).map_err(io)?;
        Ok(Server { shared, path, inode, thread: Some(thread) })
    }

    /// Whether there is anything to do: one atomic read.
    pub fn has_events(&self) -> bool {
        self.shared.events.load(Ordering::Relaxed) > 0
    }

    /// Whether anybody is there.
    pub fn is_attached(&self) -> bool {
        self.shared.clients.load(Ordering::Relaxed) > 0
    }

    /// The lines that wait now.
    pub fn take(&self) -> Vec<Request> {
        let all: Vec<Request> = open(&self.shared.queue).drain(..).collect();
        self.shared.events.fetch_sub(all.len(), Ordering::SeqCst);
        all
    }

    /// Clients that left since the last call.
    pub fn take_gone(&self) -> Vec<u64> {
        let all = std::mem::take(&mut *open(&self.shared.gone));
        self.shared.events.fetch_sub(all.len(), Ordering::SeqCst);
        all
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::SeqCst);
        // Answers that were handed over just now are on their way; a client that hangs is not waited for.
        for _ in 0..20 {
            if open(&self.shared.queue).is_empty() {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        // Wakes the accepting thread.
        if let Some(Ok(folder)) = self.path.parent().map(files::open) {
            let _ = UnixStream::connect(short(&folder, SOCKET));
        }
        if self.path.symlink_metadata().is_ok_and(|m| m.ino() == self.inode) {
            // What cannot be removed is replaced by the next process.
            let _ = files::remove(&self.path);
        }
        for stream in open(&self.shared.streams).values() {
            let _ = stream.shutdown(std::net::Shutdown::Read);
        }
        if let Some(thread) = self.thread.take().filter(|t| t.is_finished()) {
            let _ = thread.join();
        }
    }
}

fn accept(listener: &UnixListener, shared: &Arc<Shared>, write_time: Duration) {
    for (client, stream) in (1..).zip(listener.incoming()) {
        if shared.closed.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else {
            // Too many open files, for one: they may become fewer.
            std::thread::sleep(Duration::from_millis(100));
            continue;
        };
        if !is_same_user(&stream) || shared.clients.load(Ordering::SeqCst) >= MAX_CLIENTS {
            continue;
        }
        let _ = stream.set_write_timeout(Some(write_time));
        let (Ok(writer), Ok(kept)) = (stream.try_clone(), stream.try_clone()) else { continue };
        open(&shared.streams).insert(client, kept);
        shared.clients.fetch_add(1, Ordering::SeqCst);
        let (send, receive) = channel();
        let theirs = shared.clone();
        let reader = std::thread::Builder::new().name("attach-read".into()).spawn(move || {
            read_lines(client, stream, &theirs, &send);
            open(&theirs.streams).remove(&client);
            open(&theirs.gone).push(client);
            theirs.events.fetch_add(1, Ordering::SeqCst);
            theirs.clients.fetch_sub(1, Ordering::SeqCst);
        });
        let writer = std::thread::Builder::new().name("attach-write".into()).spawn(move || write_lines(writer, &receive));
        if reader.is_err() || writer.is_err() {
            crate::train::log::write("attach: no thread can be started for a client\n");
        }
    }
}

fn is_same_user(stream: &UnixStream) -> bool {
    rustix::net::sockopt::socket_peercred(stream).is_ok_and(|who| who.uid == rustix::process::geteuid())
}

fn read_lines(client: u64, mut stream: UnixStream, shared: &Shared, reply: &Sender<String>) {
    let waiting = Arc::new(AtomicUsize::new(0));
    let mut open_flags: Vec<Arc<AtomicBool>> = Vec::new();
    let (mut buffer, mut chunk) = (Vec::new(), [0; 4096]);
    'read: loop {
        let n = match stream.read(&mut chunk) {
            Ok(0) => break,
            Ok(n) => n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        buffer.extend_from_slice(&chunk[..n]);
        while let Some(end) = buffer.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = buffer.drain(..=end).collect();
            let Ok(line) = String::from_utf8(line) else { break 'read };
            let line = line.trim_end();
            open_flags.retain(|f| Arc::strong_count(f) > 1);
            if line == CANCEL {
                open_flags.iter().for_each(|f| f.store(true, Ordering::SeqCst));
                continue;
            }
            if waiting.fetch_add(1, Ordering::SeqCst) >= MAX_WAITING {
                break 'read;
            }
            let cancelled = Arc::new(AtomicBool::new(false));
            open_flags.push(cancelled.clone());
            let request = Request { client, line: line.to_owned(), cancelled, reply: reply.clone(), waiting: waiting.clone() };
            open(&shared.queue).push_back(request);
            shared.events.fetch_add(1, Ordering::SeqCst);
        }
        if buffer.len() > MAX_LINE {
            break;
        }
    }
    open_flags.iter().for_each(|f| f.store(true, Ordering::SeqCst));
    // What is still in the queue of a client that is gone is for nobody.
    let mut queue = open(&shared.queue);
    let before = queue.len();
    queue.retain(|r| r.client != client);
    shared.events.fetch_sub(before - queue.len(), Ordering::SeqCst);
}

fn write_lines(mut stream: UnixStream, lines: &Receiver<String>) {
    for mut line in lines {
        line.push('\n');
        if stream.write_all(line.as_bytes()).is_err() {
            break;
        }
    }
    let _ = stream.shutdown(std::net::Shutdown::Both);
}

const GIVE: &str = "give a run's folder, such as `exps/try1`; `lathe runs` lists them";

/// Connects to the run in the folder `dir`.
///
/// # Errors
/// `E0601` when no process listens there, `E0301` when the system refuses.
pub fn connect(dir: &Path) -> Result<UnixStream> {
    if dir.metadata().is_ok_and(|m| !m.is_dir()) {
        return Err(Error::usage(format!("`{}` is no folder", dir.display())).help(GIVE));
    }
    let folder = files::open(dir).map_err(|e| e.help(GIVE))?;
    let socket = dir.join(SOCKET);
    if socket.is_symlink() {
        let message = format!("`{}` is a link: what listens there is not known to be this run", socket.display());
        return Err(Error::run(message));
    }
    let help = format!("`lathe runs` lists the runs; `lathe repl --load {}` opens its newest checkpoint", dir.display());
    let stream = UnixStream::connect(short(&folder, SOCKET)).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused => {
            Error::run(format!("no process works on the run `{}`", dir.display())).help(help)
        }
        _ => Error::io("open", &socket, e),
    })?;
    // What is typed may be private, and what comes back is shown.
    if !is_same_user(&stream) {
        return Err(Error::run(format!("another user's process listens at `{}`", socket.display())).help("only jobs of one's own can be attached to"));
    }
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::time::Instant;

    fn wait(what: &str, mut f: impl FnMut() -> bool) {
        let start = Instant::now();
        while !f() {
            assert!(start.elapsed() < WRITE_TIME, "{what} did not come");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    #[test]
    fn lines_go_there_and_back_and_the_socket_is_private() {
        let dir = tempfile::tempdir().unwrap();
        // Longer than a socket's address may be; and a stale socket lies there.
        let deep = dir.path().join("a".repeat(120)).join("b".repeat(60));
        std::fs::create_dir_all(&deep).unwrap();
        std::fs::write(deep.join(SOCKET), "stale").unwrap();
        let server = Server::start(&deep).unwrap();
        assert_eq!(std::fs::metadata(deep.join(SOCKET)).unwrap().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(&deep).unwrap().count(), 1, "nothing else is left");
        assert!(!server.has_events());
        let mut client = connect(&deep).unwrap();
        client.write_all(b"one\ntwo\n").unwrap();
        let mut got = Vec::new();
        wait("two lines", || {
            got.extend(server.take());
            got.len() == 2
        });
        assert!(server.is_attached());
        got.into_iter().for_each(|r| {
            let line = format!("re {}", r.line);
            r.reply(line);
        });
        let mut lines = BufReader::new(client.try_clone().unwrap()).lines();
        assert_eq!((lines.next().unwrap().unwrap(), lines.next().unwrap().unwrap()), ("re one".to_owned(), "re two".to_owned()));
        drop(server);
        assert!(!deep.join(SOCKET).exists());
        assert_eq!(connect(&deep).unwrap_err().code(), "E0601");
    }

    #[test]
    fn clients_that_leave_flood_or_hang_are_let_go() {
        let dir = tempfile::tempdir().unwrap();
        // A partial write and the next one may each take the whole of it.
        let server = Server::with_write_time(dir.path(), Duration::from_millis(50)).unwrap();
        // Leaves while its line is being answered.
        let mut client = connect(dir.path()).unwrap();
        client.write_all(b"long\n").unwrap();
        let mut got = Vec::new();
        wait("a line", || {
            got.extend(server.take());
            !got.is_empty()
        });
        assert!(!got[0].cancelled.load(Ordering::SeqCst));
        client.write_all(b"cancel\n").unwrap();
        wait("the cancellation", || got[0].cancelled.load(Ordering::SeqCst));
        drop(client);
        wait("its end", || server.take_gone() == [1]);
        got.into_iter().for_each(|r| r.reply("late".into()));
        // Sends without an end: lines, or one line.
        for text in ["x\n".repeat(10_000), "x".repeat(3 * MAX_LINE)] {
            let mut client = connect(dir.path()).unwrap();
            // The server closes it; the rest cannot be written.
            let _ = client.write_all(text.as_bytes());
            wait("its end", || !server.take_gone().is_empty());
            assert!(server.take().is_empty(), "what it sent is for nobody");
        }
        wait("nobody", || !server.is_attached() && !server.has_events());
        // Does not read: replies return at once all the same.
        let mut client = connect(dir.path()).unwrap();
        client.write_all(b"x\nx\nx\n").unwrap();
        let mut got = Vec::new();
        wait("three lines", || {
            got.extend(server.take());
            got.len() == 3
        });
        let start = Instant::now();
        got.into_iter().for_each(|r| r.reply("y".repeat(4 << 20)));
        assert!(start.elapsed() < Duration::from_secs(1));
        wait("its end", || !server.take_gone().is_empty());
    }
}
