//! Lines evaluated in a running job.

use super::{Backend, wants_color};
use crate::error::{Error, Result};
use crate::plain::shown;
use crate::script::prompt::answer::{Answer, Ask, Mode};
use crate::script::prompt::attached::{Call, Got, Reply, Want};
use crate::script::prompt::complete::{Completions, complete, hint};
use crate::script::{Engine, EngineOptions, Session};
use crate::train::attach;
use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// How long a completion may take before names that need no run are offered instead.
const PATIENCE: Duration = Duration::from_millis(300);
/// After this long it is said that the run is still in its step.
const SAY_WAITING: Duration = Duration::from_secs(2);

/// A prompt on a running job.
pub struct Remote {
    stream: UnixStream,
    replies: Receiver<Reply>,
    count: u64,
    limit: Duration,
    timeout: Option<Duration>,
    prompt: String,
    gone: bool,
    /// Whether the run had begun with what it was asked last.
    begun: bool,
    name: String,
    /// Names that need no run, for hints while a step runs.
    offline: Option<(Engine, Session)>,
}

impl Remote {
    /// Attaches to the run in the folder `dir`. `limit` is how long one line may hold the run up, `timeout` how long is waited for the run
    /// to begin with it, when not for ever.
    ///
    /// # Errors
    /// `E0601` when no process works on it.
    pub fn connect(dir: &Path, limit: Duration, timeout: Option<Duration>) -> Result<Self> {
        let stream = attach::connect(dir)?;
        let reader = stream.try_clone().map_err(|e| Error::io("read", dir, e))?;
        let (send, replies) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(reader).lines().map_while(std::result::Result::ok) {
                let Ok(reply) = serde_json::from_str::<Reply>(&line) else { continue };
                if send.send(reply).is_err() {
                    return;
                }
            }
        });
        let name = dir.canonicalize().ok().and_then(|d| Some(shown(&d.file_name()?.to_string_lossy()))).unwrap_or_default();
        Ok(Remote { stream, replies, count: 0, limit, timeout, prompt: format!("{name}> "), gone: false, begun: false, name, offline: None })
    }

    /// Lets the run tell its step for the first prompt, if it comes to the end of one soon.
    ///
    /// # Errors
    /// `E0601` when it has ended.
    pub fn greet(&mut self) -> Result<()> {
        self.call(Want::Complete { line: String::new(), pos: 0 }, Some(PATIENCE)).map(drop)
    }

    /// Whether the run had begun with what it was asked last.
    pub fn has_begun(&self) -> bool {
        self.begun
    }

    /// Asks a question about the prompt there: the answer, or why there is none.
    ///
    /// # Errors
    /// `E0601` when the run has ended; `E0901` when the user no longer waits.
    pub fn question(&mut self, ask: &Ask) -> Result<std::result::Result<String, String>> {
        match self.call(Want::Ask(ask.clone()), None)? {
            Some(Got::Text(text)) => Ok(Ok(text)),
            Some(Got::Error(e)) => Ok(Err(e)),
            _ => Err(Error::run("the run gave no answer")),
        }
    }

    fn send(&mut self, line: &str) -> Result<()> {
        let sent = self.stream.write_all(format!("{line}\n").as_bytes());
        sent.map_err(|_| self.ended())
    }

    fn ended(&mut self) -> Error {
        self.gone = true;
        Error::run(format!("the run `{}` has ended", self.name)).help("`lathe runs` tells how")
    }

    /// Sends a request and waits for its reply, as long as `patience`; Ctrl-C asks the run to stop it.
    fn call(&mut self, want: Want, patience: Option<Duration>) -> Result<Option<Got>> {
        self.count += 1;
        let id = self.count;
        let call = serde_json::to_string(&Call { id, want }).map_err(|e| Error::run(e.to_string()))?;
        if call.len() > attach::MAX_LINE {
            return Err(Error::usage("the line is longer than 1 MB").help("put it into a script and import that"));
        }
        self.send(&call)?;
        let start = Instant::now();
        self.begun = false;
        let (mut is_cancelled, mut is_said) = (false, patience.is_some() || !std::io::stderr().is_terminal());
        loop {
            match self.replies.recv_timeout(Duration::from_millis(50)) {
                Ok(reply) => {
                    if let (0, Got::Error(why)) = (reply.id, &reply.got) {
                        self.gone = true;
                        return Err(Error::run(shown(why)).help("`lathe runs` lists the runs; prompts that nobody needs any more can be left"));
                    }
                    self.prompt = shown(&reply.prompt);
                    // Replies to completions that were not waited for come late.
                    match reply.got {
                        _ if reply.id != id => {}
                        // From now on the run itself sees to the limit.
                        Got::Begun => (self.begun, is_said) = (true, true),
                        got => return Ok(Some(got)),
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return Err(self.ended()),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if patience.is_some_and(|p| start.elapsed() > p) {
                return Ok(None);
            }
            if let Some(timeout) = self.timeout.filter(|t| !self.begun && patience.is_none() && start.elapsed() > *t) {
                self.send(attach::CANCEL)?;
                return Err(self.unanswered(timeout));
            }
            if crate::interrupt::pending() {
                if is_cancelled && patience.is_none() && start.elapsed() > SAY_WAITING {
                    return Err(Error::interrupted());
                }
                if !is_cancelled {
                    self.send(attach::CANCEL)?;
                    is_cancelled = true;
                }
            }
            if !is_said && start.elapsed() > SAY_WAITING {
                is_said = true;
                eprintln!("waiting for the run to come to the end of a step; Ctrl-C gives up");
            }
        }
    }

    fn unanswered(&self, timeout: Duration) -> Error {
        let message = format!("the run `{}` came to no end of a step within {} s: nothing was evaluated", self.name, timeout.as_secs());
        Error::run(message).help("`--timeout SECONDS` waits longer, `--timeout 0` without an end; `lathe runs` tells what the run does")
    }

    fn offline(&mut self) -> Option<&(Engine, Session)> {
        if self.offline.is_none() {
            let engine = Engine::new(EngineOptions::default());
            let session = engine.session("offline").ok()?;
            self.offline = Some((engine, session));
        }
        self.offline.as_ref()
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        // The thread that reads holds the stream as well: without this the run would not hear that nobody is there any more.
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }
}

impl Backend for Remote {
    fn prompt(&self) -> String {
        self.prompt.clone()
    }

    fn eval(&mut self, text: &str, mode: Mode) -> Answer {
        let color = wants_color();
        let want = Want::Eval { text: text.to_owned(), mode, color, seconds: self.limit.as_secs() };
        match self.call(want, None) {
            Ok(Some(Got::Answer(answer))) => answer,
            Ok(Some(Got::Error(e))) => Answer { error: Some(e), ..Answer::default() },
            Ok(_) => Answer { error: Some("the run gave no answer".into()), ..Answer::default() },
            Err(e) => Answer::failed(&e, color),
        }
    }

    fn ask(&mut self, ask: &Ask) -> Result<String> {
        self.question(ask)?.map_err(|e| {
            eprintln!("{}", e.trim_end());
            Error::shown()
        })
    }

    fn complete(&mut self, line: &str, pos: usize) -> Completions {
        let want = Want::Complete { line: line.to_owned(), pos };
        match self.call(want, Some(PATIENCE)) {
            Ok(Some(Got::Completions(found))) => found,
            _ => self.offline().map(|(engine, session)| complete(engine.at(), session, line, pos)).unwrap_or_default(),
        }
    }

    fn hint(&mut self, line: &str, pos: usize) -> Option<String> {
        self.offline().and_then(|(engine, session)| hint(engine.at(), session, line, pos))
    }

    fn is_gone(&self) -> bool {
        self.gone
    }
}
