//! Prompts of other processes, answered between two steps of a run on its live objects.

use super::answer::{Answer, Ask, Mode};
use super::complete::{Completions, complete};
use super::evaluation::Limit;
use super::marks::{changes, marks};
use super::overwritten::Overwritten;
use super::post_mortem;
use super::session::Session;
use crate::script::bind::with_caller;
use crate::script::training::boundary::Boundary;
use crate::script::training::hot::Hot;
use crate::script::training::run::{Guests, Run};
use crate::script::training::steps::FailedStep;
use crate::script::units::at::At;
use crate::train::attach::{Request, Server};
use crate::train::{NewEdit, log, rng};
use rhai::Dynamic;
use serde::{Deserialize, Serialize};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
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
    server: Server,
    sessions: RefCell<HashMap<u64, Session>>,
    batch: RefCell<Option<Dynamic>>,
    /// Whether a first request was left for the next step, which has a batch.
    is_deferred: Cell<bool>,
    is_busy: Cell<bool>,
    overwritten: Overwritten,
}

impl Attached {
    /// Listens in the run's folder; where that cannot be, says so, and the run does without.
    pub(crate) fn start(run: &crate::train::OpenRun) -> Option<Self> {
        match Server::start(run.dir()) {
            Ok(server) => Some(Attached {
                server,
                sessions: RefCell::default(),
                batch: RefCell::default(),
                is_deferred: Cell::new(false),
                is_busy: Cell::new(false),
                overwritten: Overwritten::default(),
            }),
            Err(e) => {
                log::say(&format!("warning: nobody can attach to this run: {e}"));
                None
            }
        }
    }

    fn answer(&self, at: At, run: &Run, request: Request) {
        let (id, got) = match serde_json::from_str::<Call>(&request.line) {
            Ok(call) => {
                if matches!(call.want, Want::Eval { .. }) {
                    request.tell(line(call.id, prompt(at, run), Got::Begun));
                }
                (call.id, self.got(at, run, &request, call.want))
            }
            Err(e) => (0, Got::Error(format!("the request cannot be read: {e}"))),
        };
        request.reply(line(id, prompt(at, run), got));
    }

    fn got(&self, at: At, run: &Run, request: &Request, want: Want) -> Got {
        let mut sessions = self.sessions.borrow_mut();
        let session = sessions.entry(request.client).or_insert_with(|| {
            let mut session = Session::new(at, &format!("attached-{}", request.client));
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
        match want {
            Want::Complete { line, pos } => Got::Completions(complete(at, session, &line, pos)),
            Want::Ask(Ask::Debug) if at.host.get::<FailedStep>().is_some() => match post_mortem::step(at, session, run) {
                Ok(text) => Got::Text(text),
                Err(e) => Got::Error(e.render(false)),
            },
            Want::Ask(Ask::Reload) if at.host.get::<Hot>().is_some() => reload(at, run),
            Want::Ask(ask) => match session.ask(at, &ask) {
                Ok(text) => Got::Text(text),
                Err(e) => Got::Error(e.render(false)),
            },
            Want::Eval { text, mode, color, seconds } => {
                let time = Duration::from_secs(seconds).min(MAX_LIMIT);
                let limit = Limit { cancelled: Some(request.cancelled.clone()), deadline: Some(Instant::now() + time), on_interrupt: true };
                let before = marks(run);
                let mut answer = Answer::default();
                // What is drawn at random here changes nothing in the training.
                let apart = rng::apart(|| {
                    answer = session.answer(at, &text, mode, color, limit, true);
                    Ok(())
                });
                if answer.interrupted && answer.seconds + 0.05 >= time.as_secs_f64() {
                    answer.error = Some(format!("stopped after {seconds} s: the training waits (`lathe attach --limit` allows more)"));
                    answer.interrupted = false;
                }
                let after = marks(run);
                let changes = changes(&before, &after);
                let recorded = if changes.is_empty() { None } else { Some(record(run, &text, &changes)) };
                let lost = self.overwritten.typed(at.program, run, &before, &after);
                let notes: Vec<String> = self.overwritten.take_notes().into_iter().chain(recorded).chain(lost).collect();
                answer.note = (!notes.is_empty()).then(|| notes.join("\n"));
                if let Err(e) = apart {
                    answer.error.get_or_insert_with(|| e.render(color));
                }
                Got::Answer(answer)
            }
        }
    }
}

impl Guests for Attached {
    /// Keeps the batch of a step that begins for whoever is attached.
    fn keep_batch(&self, batch: &Dynamic) {
        *self.batch.borrow_mut() = self.server.is_attached().then(|| batch.clone());
    }

    /// Keeps the batch of a step that ends, if somebody came in the middle of it; or `always`.
    fn keep_late_batch(&self, always: bool, batch: &dyn Fn() -> Dynamic) {
        let mut kept = self.batch.borrow_mut();
        if kept.is_none() && (always || self.server.is_attached()) {
            *kept = Some(batch());
        }
    }

    /// Forgets the prompts' variables: among them is the run, which would otherwise keep itself alive, with its socket and lock.
    fn end(&self) {
        self.sessions.borrow_mut().clear();
        self.batch.take();
        self.overwritten.clear();
    }

    /// Answers what waits. Costs one atomic read where nothing does. `now`: also before there is a batch.
    fn between(&self, at: At, run: &Run, now: bool) {
        self.overwritten.look(at.program, run);
        if !self.server.has_events() || self.is_busy.get() {
            return;
        }
        // The first line of a prompt that came between two steps: the batch is there after the next one.
        if !now && self.batch.borrow().is_none() && !self.is_deferred.replace(true) {
            return;
        }
        self.is_busy.set(true);
        for client in self.server.take_gone() {
            if let Some(session) = self.sessions.borrow_mut().remove(&client) {
                at.program.forget(session.id());
            }
        }
        for request in self.server.take() {
            self.answer(at, run, request);
        }
        for session in self.sessions.borrow_mut().values_mut() {
            // As `end` says; a loop of a script's own has no end that could be seen.
            session.set("run", Dynamic::UNIT);
        }
        if !self.server.is_attached() {
            // Of a step that failed and waits, for whoever comes next.
            if !now {
                self.batch.take();
            }
            self.is_deferred.set(false);
        }
        self.is_busy.set(false);
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
