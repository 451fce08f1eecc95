//! Prompts of other processes, answered between two steps of a run on its live objects.

mod together;

use super::answer::{Answer, Ask, Mode};
use super::complete::{Completions, complete};
use super::evaluation::Limit;
use super::marks::{changes, marks};
use super::overwritten::Overwritten;
use super::post_mortem;
use super::session::Session;
use crate::dist;
use crate::error::Result;
use crate::script::bind::with_caller;
use crate::script::training::boundary::Boundary;
use crate::script::training::hot::Hot;
use crate::script::training::run::{Guests, Run};
use crate::script::training::shapes::{Shape, Shapes};
use crate::script::training::steps::FailedStep;
use crate::script::units::at::At;
use crate::train::attach::{Request, Server};
use crate::train::{NewEdit, log, rng};
use rhai::Dynamic;
use serde::{Deserialize, Serialize};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// The longest that lines may hold the training up, whatever a client asks for.
const MAX_LIMIT: Duration = Duration::from_secs(3600);

/// What a client wants.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Want {
    /// A line evaluated, in so many seconds.
    Eval {
        /// The line.
        text: String,
        /// How its value is shown.
        mode: Mode,
        /// Whether the client's terminal shows colors.
        color: bool,
        /// The longest it may take.
        seconds: u64,
    },
    /// A question about the prompt.
    Ask(Ask),
    /// What the calls of the next step return.
    Shapes,
    /// What the word at a place could become.
    Complete {
        /// The line.
        line: String,
        /// Bytes before the cursor.
        pos: usize,
    },
}

/// A request with its number, which the reply has too.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Call {
    /// The client's count.
    pub id: u64,
    /// What it wants.
    pub want: Want,
}

/// What it gets.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Got {
    /// Before the answer of a line: it is being evaluated.
    Begun,
    /// For a line.
    Answer(Answer),
    /// For a question.
    Text(String),
    /// For one that has no answer.
    Error(String),
    /// For a word.
    Completions(Completions),
    /// What the calls of one step returned.
    Shapes(Vec<Shape>),
}

/// A reply with the number of its request and the prompt from now on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Reply {
    /// The request's.
    pub id: u64,
    /// `try1:1 301> `
    pub prompt: String,
    /// What it gets.
    pub got: Got,
}

/// The prompts that are attached to one run.
pub(crate) struct Attached {
    /// Where they are heard; of several ranks the first alone has it.
    server: Option<Server>,
    sessions: RefCell<HashMap<u64, Session>>,
    batch: RefCell<Option<Dynamic>>,
    /// Whether a first request was left for the next step, which has a batch.
    is_deferred: Cell<bool>,
    is_busy: Cell<bool>,
    overwritten: Overwritten,
    /// What all ranks are to do at the next boundary.
    waiting: RefCell<Vec<Asked>>,
    /// Clients that have left, for all ranks.
    gone: RefCell<Vec<u64>>,
    /// Whether all ranks have heard that somebody is there.
    is_heard: Cell<bool>,
    /// The calls of the step at hand, and who wants to know of them.
    shapes: RefCell<Option<(Shapes, Vec<Asked>)>>,
}

/// A request that was read.
struct Asked {
    request: Request,
    id: u64,
    want: Want,
}

/// What a line came to, and what it changed.
struct Evaluated {
    answer: Answer,
    changes: Vec<String>,
    before: BTreeMap<String, String>,
    after: BTreeMap<String, String>,
}

impl Attached {
    /// Listens in the run's folder, or follows the rank that does; where that cannot be, says so, and the run does without.
    pub(crate) fn start(run: &crate::train::OpenRun) -> Option<Self> {
        let server = if run.is_owner() { Server::start(run.dir()).map(Some) } else { Ok(None) };
        match server {
            Ok(server) => Some(Attached {
                server,
                sessions: RefCell::default(),
                batch: RefCell::default(),
                is_deferred: Cell::new(false),
                is_busy: Cell::new(false),
                overwritten: Overwritten::default(),
                waiting: RefCell::default(),
                gone: RefCell::default(),
                is_heard: Cell::new(false),
                shapes: RefCell::default(),
            }),
            Err(e) => {
                log::say(&format!("warning: nobody can attach to this run: {e}"));
                None
            }
        }
    }

    /// The server, where there is something to do.
    fn events(&self) -> Option<&Server> {
        self.server.as_ref().filter(|s| s.has_events())
    }

    /// Whether the batch of a step is wanted: of several ranks all know the same.
    fn is_attached(&self) -> bool {
        if dist::size() > 1 { self.is_heard.get() } else { self.server.as_ref().is_some_and(Server::is_attached) }
    }

    fn answer(&self, at: At, run: &Run, request: Request) {
        if let Some(asked) = read(at, run, request) {
            self.answer_read(at, run, asked);
        }
    }

    fn answer_read(&self, at: At, run: &Run, asked: Asked) {
        if matches!(asked.want, Want::Shapes) && dist::at_work().is_none() {
            let mut shapes = self.shapes.borrow_mut();
            shapes.get_or_insert_with(|| (Shapes::begin(), Vec::new())).1.push(asked);
            return;
        }
        let Asked { request, id, want } = asked;
        if matches!(want, Want::Eval { .. }) {
            request.tell(line(id, prompt(at, run), Got::Begun));
        }
        let got = self.got(at, run, &request, want);
        request.reply(line(id, prompt(at, run), got));
    }

    /// Calls `f` with the prompt of a client, which sees the run.
    fn with<T>(&self, at: At, run: &Run, client: u64, f: impl FnOnce(&mut Session) -> T) -> T {
        let mut sessions = self.sessions.borrow_mut();
        let session = sessions.entry(client).or_insert_with(|| {
            let mut session = Session::new(at, &format!("attached-{client}"));
            if let Some(unit) = at.program.entry_unit()
                && let Err(e) = session.see(at, &unit.id)
            {
                log::say(&format!("attach: {e}"));
            }
            session
        });
        for (name, object) in run.objects() {
            session.set(&name, object);
        }
        session.set("run", Dynamic::from(run.clone()));
        if let Some(batch) = self.batch.borrow().as_ref() {
            session.set("batch", batch.clone());
        }
        f(session)
    }

    fn forget(&self, at: At, client: u64) {
        if let Some(session) = self.sessions.borrow_mut().remove(&client) {
            at.program.forget(session.id());
        }
    }

    fn got(&self, at: At, run: &Run, request: &Request, want: Want) -> Got {
        let told = |text: Result<String>| text.map_or_else(|e| Got::Error(e.render(false)), Got::Text);
        self.with(at, run, request.client, |session| match want {
            Want::Complete { line, pos } => Got::Completions(complete(at, session, &line, pos)),
            Want::Ask(Ask::Debug) if at.host.get::<FailedStep>().is_some() => told(post_mortem::step(at, session, run)),
            Want::Ask(Ask::Reload) if at.host.get::<Hot>().is_some() => reload(at, run),
            Want::Ask(ask) => told(session.ask(at, &ask)),
            Want::Shapes => Got::Error("shapes are told by runs of one process: several ranks work on this one".into()),
            Want::Eval { text, mode, color, seconds } => {
                let (before, time) = (marks(run), Duration::from_secs(seconds).min(MAX_LIMIT));
                let how = How { mode, color, time, seconds };
                let done = evaluated(at, run, session, &text, how, request.cancelled.clone(), before);
                let recorded = if done.changes.is_empty() { None } else { Some(record(run, &text, &done.changes)) };
                Got::Answer(self.noted(at, run, done, recorded.into_iter().collect()))
            }
        })
    }

    /// Tells what the calls of the step that is over returned, to who asked before it.
    fn tell_shapes(&self, at: At, run: &Run) {
        let Some((shapes, asked)) = self.shapes.take() else { return };
        let found = shapes.end(at.program);
        for Asked { request, id, .. } in asked {
            request.reply(line(id, prompt(at, run), Got::Shapes(found.clone())));
        }
    }

    /// An answer with what else is to be said.
    fn noted(&self, at: At, run: &Run, done: Evaluated, recorded: Vec<String>) -> Answer {
        let lost = self.overwritten.typed(at.program, run, &done.before, &done.after);
        let notes: Vec<String> = self.overwritten.take_notes().into_iter().chain(recorded).chain(lost).collect();
        Answer { note: (!notes.is_empty()).then(|| notes.join("\n")), ..done.answer }
    }
}

/// How a line is evaluated.
#[derive(Clone, Copy)]
struct How {
    mode: Mode,
    color: bool,
    /// The longest it may take, and as the client said it.
    time: Duration,
    seconds: u64,
}

/// Reads a request; one that cannot be read is answered.
fn read(at: At, run: &Run, request: Request) -> Option<Asked> {
    match serde_json::from_str::<Call>(&request.line) {
        Ok(Call { id, want }) => Some(Asked { request, id, want }),
        Err(e) => {
            request.reply(line(0, prompt(at, run), Got::Error(format!("the request cannot be read: {e}"))));
            None
        }
    }
}

/// Evaluates a line at a prompt on the run's live objects, of which `before` are the marks.
fn evaluated(
    at: At,
    run: &Run,
    session: &mut Session,
    text: &str,
    how: How,
    cancelled: Arc<AtomicBool>,
    before: BTreeMap<String, String>,
) -> Evaluated {
    let How { mode, color, time, seconds } = how;
    let limit = Limit { cancelled: Some(cancelled), deadline: Some(Instant::now() + time), on_interrupt: true };
    let mut answer = Answer::default();
    // What is drawn at random here changes nothing in the training.
    let apart = rng::apart(|| {
        answer = session.answer(at, text, mode, color, limit, true);
        Ok(())
    });
    if answer.interrupted && answer.seconds + 0.05 >= time.as_secs_f64() {
        answer.error = Some(format!("stopped after {seconds} s: the training waits (`lathe attach --limit` allows more)"));
        answer.interrupted = false;
    }
    let after = marks(run);
    if let Err(e) = apart {
        answer.error.get_or_insert_with(|| e.render(color));
    }
    Evaluated { answer, changes: changes(&before, &after), before, after }
}

impl Guests for Attached {
    /// Keeps the batch of a step that begins for whoever is attached.
    fn keep_batch(&self, batch: &Dynamic) {
        *self.batch.borrow_mut() = self.is_attached().then(|| batch.clone());
    }

    /// Keeps the batch of a step that ends, if somebody came in the middle of it; or `always`.
    fn keep_late_batch(&self, always: bool, batch: &dyn Fn() -> Dynamic) {
        let mut kept = self.batch.borrow_mut();
        if kept.is_none() && (always || self.is_attached()) {
            *kept = Some(batch());
        }
    }

    /// Forgets the prompts' variables: among them is the run, which would otherwise keep itself alive, with its socket and lock.
    fn end(&self) {
        self.sessions.borrow_mut().clear();
        for Asked { request, id, .. } in self.shapes.take().into_iter().flat_map(|(_, asked)| asked) {
            request.reply(line(id, "> ".into(), Got::Error("the steps of the run have ended".into())));
        }
        self.waiting.take();
        self.batch.take();
        self.overwritten.clear();
    }

    fn who(&self) -> dist::Guests {
        match &self.server {
            _ if !self.waiting.borrow().is_empty() || !self.gone.borrow().is_empty() => dist::Guests::Wait,
            Some(server) if server.is_attached() => dist::Guests::There,
            _ => dist::Guests::None,
        }
    }

    /// Answers what waits. Costs one atomic read where nothing does. `now`: also before there is a batch.
    fn between(&self, at: At, run: &Run, now: bool) -> Result<()> {
        if dist::at_work().is_some() {
            return self.between_ranks(at, run, now);
        }
        self.overwritten.look(at.program, run);
        self.tell_shapes(at, run);
        let Some(server) = self.events().filter(|_| !self.is_busy.get()) else { return Ok(()) };
        // The first line of a prompt that came between two steps: the batch is there after the next one.
        if !now && self.batch.borrow().is_none() && !self.is_deferred.replace(true) {
            return Ok(());
        }
        self.is_busy.set(true);
        for client in server.take_gone() {
            self.forget(at, client);
        }
        for request in server.take() {
            self.answer(at, run, request);
        }
        self.let_go();
        if !server.is_attached() {
            // Of a step that failed and waits, for whoever comes next.
            if !now {
                self.batch.take();
            }
            self.is_deferred.set(false);
        }
        self.is_busy.set(false);
        Ok(())
    }
}

impl Attached {
    /// As `end` says; a loop of a script's own has no end that could be seen.
    fn let_go(&self) {
        for session in self.sessions.borrow_mut().values_mut() {
            session.set("run", Dynamic::UNIT);
        }
    }
}

/// `try1:1 301> `, and what is the matter with the run.
fn prompt(at: At, run: &Run) -> String {
    let hot = at.host.get::<Hot>();
    let stale = hot.as_ref().and_then(|h| h.stale()).map_or(String::new(), |place| format!(" [stale: {place}]"));
    let waits = if hot.is_some_and(|h| h.waits()) { " [waits for a save]" } else { "" };
    format!("{}:{}{stale}{waits}> ", run.run().name(), crate::progress::grouped(run.run().step(), ' '))
}

/// A reply as it is sent.
fn line(id: u64, prompt: String, got: Got) -> String {
    let reply = Reply { id, prompt, got };
    serde_json::to_string(&reply).unwrap_or_else(|e| format!("{{\"id\":{id},\"prompt\":\"> \",\"got\":{{\"error\":\"{e}\"}}}}"))
}

/// Takes in what is on disk, as a save under `--watch` does: recorded, or told why not.
fn reload(at: At, run: &Run) -> Got {
    let Some(hot) = at.host.get::<Hot>() else { return Got::Text("this program reloads by itself".into()) };
    match hot.reload(&Boundary { program: at.program, rhai: at.rhai, run: Some(run) }) {
        Ok(done) => {
            let again = if hot.waits() { "; the failed step is tried again" } else { "" };
            hot.try_again();
            Got::Text(match done {
                Some(done) => format!("reloaded in {:.0} ms: {} scripts changed{again}", 1e3 * done.seconds, done.changed.len()),
                None => format!("nothing differs from what runs{again}"),
            })
        }
        Err(e) => Got::Error(e.render(false)),
    }
}

/// Repeats lines that were typed at an attached prompt, for a replay: one prompt for all of them, on the live objects of the run.
pub fn typed_again() -> crate::script::training::replay::Typed {
    let prompt: RefCell<Option<Session>> = RefCell::default();
    Box::new(move |run, text| {
        with_caller(|cx| {
            let program = cx.program()?;
            let at = At { rhai: cx.native().engine(), program: &program, host: cx.host() };
            let mut prompt = prompt.borrow_mut();
            let session = prompt.get_or_insert_with(|| Session::new(at, "replayed"));
            if let Some(unit) = program.entry_unit() {
                session.see(at, &unit.id)?;
            }
            run.objects().into_iter().for_each(|(name, object)| session.set(&name, object));
            session.set("run", Dynamic::from(run.clone()));
            let mut outcome = None;
            rng::apart(|| {
                outcome = Some(session.eval(at, text, Limit::default()));
                Ok(())
            })?;
            session.set("run", Dynamic::UNIT);
            match outcome.and_then(|o| o.error) {
                Some(e) => Err(e.context(format!("repeating `{text}`, which was typed at the prompt"))),
                None => Ok(()),
            }
        })
    })
}

/// Writes down what a line changed, and tells it.
fn record(run: &Run, text: &str, changes: &[String]) -> String {
    run.run().say(&format!("  edit typed at step {}: {} ({})", run.run().step(), text.trim(), changes.join(", ")));
    match run.run().record_edit(NewEdit::typed(text, changes.to_vec())) {
        Ok(Some(edit)) => format!("recorded as edit {}: {}", edit.number, changes.join(", ")),
        Ok(None) => format!("changed: {}", changes.join(", ")),
        Err(e) => format!("warning: this change of the run could not be recorded: {e}"),
    }
}
