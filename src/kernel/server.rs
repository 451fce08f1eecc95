//! The kernel's loop: one request after the other, on the thread of the engine.

use super::about::information;
use super::cells::Cells;
use super::connection::Connection;
use super::control::{Event, Shared};
use super::history::History;
use super::iopub::IoPub;
use super::message::{Message, Signer};
use super::zmtp::{self, Address, Heard, Kind, Peer};
use crate::error::{Error, Result};
use crate::interrupt;
use crate::script::Engine;
use serde_json::{Map, Value, json};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

/// How long is waited, before it is told that a cell failed, for those that were sent with it.
const MOMENT: Duration = Duration::from_millis(20);
/// How often is looked whether whoever started the kernel still lives.
const WATCH: Duration = Duration::from_millis(500);

/// Serves clients on the sockets of `connection` until one of them ends the kernel, or whoever started it has gone.
///
/// # Errors
/// `E0301` when a socket cannot be had.
pub fn serve(connection: &Connection, engine: Rc<Engine>) -> Result<()> {
    let no_key = || Error::usage("the connection has no key");
    let signer = Arc::new(Signer::new(&connection.key).ok_or_else(no_key)?);
    let iopub = IoPub::start(signer.clone()).map_err(|e| Error::io("start", "a thread", e))?;
    let shared = Arc::new(Shared { signer, iopub: iopub.clone(), is_busy: AtomicBool::new(false), is_ending: AtomicBool::new(false) });
    let (events, receiver) = channel();
    let mut bound = Vec::new();
    let result = listen(connection, &shared, &events, &mut bound).and_then(|()| {
        let cells = Cells::new(engine, iopub)?;
        watch(shared.clone(), events.clone());
        let (history, behind) = (History::default(), VecDeque::new());
        Server { shared: shared.clone(), events: receiver, cells, history, count: 0, behind }.run();
        shared.iopub.drain();
        Ok(())
    });
    bound.iter().for_each(|address| address.forget());
    result
}

/// Listens on all sockets; `bound` are those that could be had, whether all could or not.
fn listen<'a>(connection: &'a Connection, shared: &Arc<Shared>, events: &Sender<Event>, bound: &mut Vec<&'a Address>) -> Result<()> {
    let mut open = |address: &'a Address, kind, hear: Box<dyn Fn(Heard) + Send + Sync>| {
        zmtp::serve(address, kind, hear)?;
        bound.push(address);
        Ok(())
    };
    open(&connection.heartbeat, Kind::Echo, Box::new(|_| {}))?;
    let iopub = shared.iopub.clone();
    open(&connection.iopub, Kind::Publisher, Box::new(move |heard| iopub.hear(heard)))?;
    // No function of the language asks the user, so nobody is asked here.
    open(&connection.stdin, Kind::Router, Box::new(|_| {}))?;
    let (own, sender) = (shared.clone(), events.clone());
    open(&connection.control, Kind::Router, Box::new(move |heard| own.control(heard, &sender)))?;
    let (own, sender) = (shared.clone(), events.clone());
    let shell = move |heard| {
        if let Heard::Message(peer, parts) = heard
            && let Some(message) = own.read("shell", parts)
        {
            // The loop may have ended.
            let _ = sender.send(Event::Shell(peer, message));
        }
    };
    open(&connection.shell, Kind::Router, Box::new(shell))
}

/// Ends the kernel when whoever started it has gone without a word, where Jupyter asks for that by `JPY_PARENT_PID`.
fn watch(shared: Arc<Shared>, events: Sender<Event>) {
    if std::env::var_os("JPY_PARENT_PID").is_none() {
        return;
    }
    let parent = rustix::process::getppid();
    let look = move || loop {
        std::thread::sleep(WATCH);
        if rustix::process::getppid() != parent {
            return shared.end(&events);
        }
    };
    if let Err(e) = std::thread::Builder::new().name("kernel-watch".into()).spawn(look) {
        tracing::warn!("the kernel will not end by itself when Jupyter does: {e}");
    }
}

struct Server {
    shared: Arc<Shared>,
    events: Receiver<Event>,
    cells: Cells,
    history: History,
    count: u64,
    /// What came behind a cell that failed, before anybody could know that it did.
    behind: VecDeque<(Peer, Message)>,
}

impl Server {
    fn run(&mut self) {
        self.shared.iopub.tell("status", &json!({ "execution_state": "starting" }));
        while !self.shared.is_ending.load(Ordering::SeqCst) {
            match self.behind.pop_front() {
                Some((peer, asked)) if asked.kind == "execute_request" => {
                    self.with_status(&asked, |s| s.shared.reply(&peer, &asked, "execute_reply", &json!({ "status": "aborted" })));
                }
                Some((peer, asked)) => self.handle(&peer, &asked),
                None => match self.events.recv() {
                    Ok(Event::Shell(peer, asked)) => self.handle(&peer, &asked),
                    Ok(Event::End) | Err(_) => return,
                },
            }
        }
    }

    /// Takes what has come behind a cell that failed, or comes in a moment: of a "run all", the rest.
    fn gather(&mut self) {
        let start = Instant::now();
        while let Ok(Event::Shell(peer, asked)) = self.events.recv_timeout(MOMENT.saturating_sub(start.elapsed())) {
            self.behind.push_back((peer, asked));
        }
    }

    fn with_status<T>(&mut self, asked: &Message, f: impl FnOnce(&mut Server) -> T) -> T {
        self.shared.iopub.answer_to(&asked.header);
        self.shared.iopub.tell("status", &json!({ "execution_state": "busy" }));
        let value = f(self);
        self.shared.iopub.tell("status", &json!({ "execution_state": "idle" }));
        value
    }

    /// Answers a request.
    fn handle(&mut self, peer: &Peer, asked: &Message) {
        // A signal that came while nothing ran means nothing that comes after it.
        interrupt::clear();
        self.with_status(asked, |s| {
            let (kind, content) = match asked.kind.as_str() {
                "execute_request" => return s.execute(peer, asked),
                "kernel_info_request" => ("kernel_info_reply", information()),
                "complete_request" => ("complete_reply", s.cells.complete(asked)),
                "inspect_request" => ("inspect_reply", s.cells.inspect(asked)),
                "is_complete_request" => ("is_complete_reply", s.cells.is_complete(asked)),
                "history_request" => ("history_reply", s.history.answer(asked)),
                "comm_info_request" => ("comm_info_reply", json!({ "status": "ok", "comms": {} })),
                "comm_open" => {
                    // Widgets have nothing on this side.
                    s.shared.iopub.tell("comm_close", &json!({ "comm_id": asked.text("comm_id"), "data": {} }));
                    return;
                }
                "comm_msg" | "comm_close" => return,
                "shutdown_request" => {
                    s.shared.is_ending.store(true, Ordering::SeqCst);
                    ("shutdown_reply", json!({ "status": "ok", "restart": asked.is("restart", false) }))
                }
                other => {
                    tracing::warn!("`{other}` is not known to this kernel");
                    return;
                }
            };
            s.shared.reply(peer, asked, kind, &content);
        });
    }

    fn execute(&mut self, peer: &Peer, asked: &Message) {
        let (code, is_silent) = (asked.text("code"), asked.is("silent", false));
        let is_kept = !is_silent && asked.is("store_history", true);
        if is_kept {
            self.count += 1;
            self.history.add(self.count, code);
        }
        if !is_silent {
            self.shared.iopub.tell("execute_input", &json!({ "code": code, "execution_count": self.count }));
        }
        // Only from here on a request to stop means this cell; one that came too late for the last means none.
        interrupt::clear();
        self.shared.is_busy.store(true, Ordering::SeqCst);
        let result = self.cells.run(code, self.count, is_silent).map(|value| (value, self.expressions(asked)));
        self.shared.is_busy.store(false, Ordering::SeqCst);
        interrupt::clear();
        if result.is_err() && asked.is("stop_on_error", true) {
            self.gather();
        }
        let mut content = match &result {
            Ok((value, expressions)) => {
                if let Some(data) = value.as_ref().filter(|_| !is_silent) {
                    if is_kept {
                        self.history.came_to(data["text/plain"].as_str().unwrap_or_default());
                    }
                    self.shared.iopub.tell("execute_result", &json!({ "execution_count": self.count, "data": data, "metadata": {} }));
                }
                json!({ "status": "ok", "payload": [], "user_expressions": expressions })
            }
            Err(failure) => {
                if !is_silent {
                    self.shared.iopub.tell("error", &failure.content());
                }
                failure.reply()
            }
        };
        content["execution_count"] = self.count.into();
        self.shared.reply(peer, asked, "execute_reply", &content);
    }

    /// What the request wants evaluated after its cell.
    fn expressions(&mut self, asked: &Message) -> Value {
        let wanted = asked.content.get("user_expressions").and_then(Value::as_object);
        let mut found = Map::new();
        for (name, text) in wanted.into_iter().flatten() {
            let answer = match self.cells.expression(text.as_str().unwrap_or_default()) {
                Ok(data) => json!({ "status": "ok", "data": data, "metadata": {} }),
                Err(failure) => failure.reply(),
            };
            found.insert(name.clone(), answer);
        }
        found.into()
    }
}
