//! The socket of a run: lines from prompts in other processes, for the training thread to answer between two steps.
//!
//! Only threads of this module touch the socket. The training thread looks at one atomic number, takes whole lines out of a queue
//! and hands whole lines back, so that no client can hold it up: one that does not read is cut off, one that sends too much as well.

use crate::error::{Error, Result};
use crate::files;
use std::collections::{HashMap, VecDeque};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

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
/// How long a client may take.
#[derive(Debug, Clone, Copy)]
struct Patience {
    /// To read an answer.
    write: Duration,
    /// To say its first line, or the rest of one that it has begun.
    line: Duration,
    /// Until one that says nothing makes room for another where all places are taken.
    silent: Duration,
}

const PATIENCE: Patience = Patience { write: Duration::from_secs(5), line: Duration::from_secs(10), silent: Duration::from_secs(60) };
/// Between two looks at how long it has taken.
const LOOK: Duration = Duration::from_millis(250);

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
    places: Mutex<HashMap<u64, Place>>,
    gone: Mutex<Vec<u64>>,
}

/// A client that is there.
struct Place {
    stream: UnixStream,
    /// Its lines that wait or are being answered.
    waiting: Arc<AtomicUsize>,
    /// Whether it has said a line.
    is_heard: bool,
    /// When it said its last one, or came.
    since: Instant,
}

impl Place {
    /// How long it has said nothing although nothing of it waits.
    fn silence(&self) -> Duration {
        if self.waiting.load(Ordering::SeqCst) == 0 { self.since.elapsed() } else { Duration::ZERO }
    }
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
        Self::with_patience(dir, PATIENCE)
    }

    /// The same with other times that a client may take.
    fn with_patience(dir: &Path, patience: Patience) -> Result<Self> {
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
        let accept = move || accept(&listener, &theirs, patience);
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
        for place in open(&self.shared.places).values() {
            let _ = place.stream.shutdown(std::net::Shutdown::Read);
        }
        if let Some(thread) = self.thread.take().filter(|t| t.is_finished()) {
            let _ = thread.join();
        }
    }
}

fn accept(listener: &UnixListener, shared: &Arc<Shared>, patience: Patience) {
    for (client, stream) in (1..).zip(listener.incoming()) {
        if shared.closed.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else {
            // Too many open files, for one: they may become fewer.
            std::thread::sleep(Duration::from_millis(100));
            continue;
        };
        if !is_same_user(&stream) {
            continue;
        }
        let _ = stream.set_write_timeout(Some(patience.write));
        let _ = stream.set_read_timeout(Some(LOOK.min(patience.line)));
        if shared.clients.load(Ordering::SeqCst) >= MAX_CLIENTS && !make_room(shared, patience) {
            refuse(stream);
            continue;
        }
        let (Ok(writer), Ok(kept)) = (stream.try_clone(), stream.try_clone()) else { continue };
        let waiting = Arc::new(AtomicUsize::new(0));
        let place = Place { stream: kept, waiting: waiting.clone(), is_heard: false, since: Instant::now() };
        open(&shared.places).insert(client, place);
        shared.clients.fetch_add(1, Ordering::SeqCst);
        let (send, receive) = channel();
        let theirs = shared.clone();
        let reader = std::thread::Builder::new().name("attach-read".into()).spawn(move || {
            read_lines(client, stream, &theirs, &send, &waiting, patience);
            // One that made room has left its place already.
            if open(&theirs.places).remove(&client).is_some() {
                theirs.clients.fetch_sub(1, Ordering::SeqCst);
            }
            open(&theirs.gone).push(client);
            theirs.events.fetch_add(1, Ordering::SeqCst);
        });
        let writer = std::thread::Builder::new().name("attach-write".into()).spawn(move || write_lines(writer, &receive));
        if reader.is_err() || writer.is_err() {
            crate::train::log::write("attach: no thread can be started for a client\n");
            if let Some(place) = open(&shared.places).remove(&client) {
                let _ = place.stream.shutdown(std::net::Shutdown::Both);
                shared.clients.fetch_sub(1, Ordering::SeqCst);
            }
        }
    }
}

/// Lets the client go that has been silent for longest: one that never said a line, or one that has said none for long. False where none
/// has.
fn make_room(shared: &Shared, patience: Patience) -> bool {
    let mut places = open(&shared.places);
    let longest = places.iter().max_by_key(|(_, p)| (!p.is_heard, p.silence())).map(|(client, p)| (*client, p.is_heard, p.silence()));
    let Some((client, is_heard, silence)) = longest else { return false };
    // One that came just now is about to say something.
    if silence < if is_heard { patience.silent } else { patience.line / 10 } {
        return false;
    }
    let Some(place) = places.remove(&client) else { return false };
    let _ = (&place.stream).write_all(answer_to_all("another prompt needed the place of this one, which said nothing for long").as_bytes());
    let _ = place.stream.shutdown(std::net::Shutdown::Both);
    shared.clients.fetch_sub(1, Ordering::SeqCst);
    true
}

/// Tells a client that there is no place for it.
fn refuse(mut stream: UnixStream) {
    // It may not read.
    let _ = stream.set_write_timeout(Some(Duration::from_millis(100)));
    let _ = stream.write_all(answer_to_all(&format!("{MAX_CLIENTS} prompts are attached to this run already")).as_bytes());
}

/// A line that answers no request in particular: its number is 0.
fn answer_to_all(why: &str) -> String {
    format!("{}\n", serde_json::json!({ "id": 0, "prompt": "> ", "got": { "error": why } }))
}

fn is_same_user(stream: &UnixStream) -> bool {
    rustix::net::sockopt::socket_peercred(stream).is_ok_and(|who| who.uid == rustix::process::geteuid())
}

fn read_lines(client: u64, mut stream: UnixStream, shared: &Shared, reply: &Sender<String>, waiting: &Arc<AtomicUsize>, patience: Patience) {
    // Since when it owes a line: its first, or the rest of one.
    let mut owes = Some(Instant::now());
    let mut open_flags: Vec<Arc<AtomicBool>> = Vec::new();
    let (mut buffer, mut chunk) = (Vec::new(), [0; 4096]);
    'read: loop {
        if owes.is_some_and(|since| since.elapsed() > patience.line) {
            break;
        }
        let n = match stream.read(&mut chunk) {
            Ok(0) => break,
            Ok(n) => n,
            Err(e) if matches!(e.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock | ErrorKind::TimedOut) => continue,
            Err(_) => break,
        };
        buffer.extend_from_slice(&chunk[..n]);
        while let Some(end) = buffer.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = buffer.drain(..=end).collect();
            let Ok(line) = String::from_utf8(line) else { break 'read };
            let line = line.trim_end();
            owes = None;
            if let Some(place) = open(&shared.places).get_mut(&client) {
                (place.is_heard, place.since) = (true, Instant::now());
            }
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
        if !buffer.is_empty() {
            owes.get_or_insert_with(Instant::now);
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

    fn wait(what: &str, mut f: impl FnMut() -> bool) {
        let start = Instant::now();
        while !f() {
            assert!(start.elapsed() < Duration::from_secs(5), "{what} did not come");
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
        let server = Server::with_patience(dir.path(), Patience { write: Duration::from_millis(50), ..PATIENCE }).unwrap();
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

    /// A client that says a line and has its answer.
    fn served(server: &Server, dir: &Path) -> UnixStream {
        let mut client = connect(dir).unwrap();
        client.write_all(b"1\n").unwrap();
        let mut got = Vec::new();
        wait("its line", || {
            got.extend(server.take());
            !got.is_empty()
        });
        got.into_iter().for_each(|r| r.reply("one".into()));
        let mut line = String::new();
        BufReader::new(client.try_clone().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "one\n");
        client
    }

    #[test]
    fn clients_that_say_nothing_or_half_a_line_do_not_lock_others_out() {
        let dir = tempfile::tempdir().unwrap();
        let short = Duration::from_millis(300);
        let server = Server::with_patience(dir.path(), Patience { write: short, line: short, silent: Duration::from_secs(60) }).unwrap();
        // Nothing, half a line, and half a line drop by drop: each is let go by itself.
        let _mute = connect(dir.path()).unwrap();
        let mut half = connect(dir.path()).unwrap();
        half.write_all(b"half").unwrap();
        let mut drops = connect(dir.path()).unwrap();
        let mut left = 0;
        wait("their end", || {
            let _ = drops.write_all(b"x");
            left += server.take_gone().len();
            left == 3
        });
        // All places are taken by such ones: the next who says something gets one.
        let _silent: Vec<UnixStream> = (0..MAX_CLIENTS).map(|_| connect(dir.path()).unwrap()).collect();
        std::thread::sleep(short / 5);
        drop(served(&server, dir.path()));
    }

    #[test]
    fn a_prompt_that_is_long_silent_makes_room_and_one_that_is_not_stays() {
        let dir = tempfile::tempdir().unwrap();
        let patience = Patience { silent: Duration::from_millis(600), ..PATIENCE };
        let server = Server::with_patience(dir.path(), patience).unwrap();
        let start = Instant::now();
        let all: Vec<UnixStream> = (0..MAX_CLIENTS).map(|_| served(&server, dir.path())).collect();
        let mut told = String::new();
        let mut refused = BufReader::new(connect(dir.path()).unwrap());
        refused.read_line(&mut told).unwrap();
        if start.elapsed() < patience.silent {
            assert!(told.contains("8 prompts are attached to this run already"), "{told}");
        }
        std::thread::sleep(patience.silent);
        drop(served(&server, dir.path()));
        // The one that had been silent for longest left, and was told.
        let mut first = String::new();
        BufReader::new(all[0].try_clone().unwrap()).read_line(&mut first).unwrap();
        assert!(first.contains("another prompt needed the place"), "{first}");
    }
}
