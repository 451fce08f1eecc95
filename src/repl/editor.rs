//! The line editor: history, completion, hints, lines that go on.

use super::Backend;
use crate::error::{Error, Result};
use crate::script::prompt::lines::LineParser;
use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::{Hint, Hinter};
use rustyline::history::FileHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{
    Cmd, CompletionType, ConditionalEventHandler, Config, Context, Event, EventContext, EventHandler, Helper, KeyCode, KeyEvent, Modifiers,
    RepeatCount,
};
use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::path::PathBuf;
use std::rc::Rc;

/// How many lines the history keeps.
const HISTORY: usize = 10_000;

/// What was read.
pub enum Read {
    /// A whole line.
    Line(String),
    /// Ctrl-C.
    Interrupt {
        /// Whether there was nothing to throw away.
        was_empty: bool,
    },
    /// Ctrl-D.
    End,
}

type Terminal = rustyline::Editor<Assistant, FileHistory>;

thread_local! {
    /// The one editor of the process: rustyline refuses a second one, as a `breakpoint()` in a function called at a prompt would make.
    static TERMINAL: RefCell<Option<(Terminal, Option<PathBuf>)>> = const { RefCell::new(None) };
}

/// The terminal in front of one backend.
pub struct Editor(Assistant);

#[derive(Clone)]
struct Assistant(Rc<Inner>);

struct Inner {
    backend: Rc<RefCell<dyn Backend>>,
    parser: LineParser,
    color: bool,
    /// Whether the line that is being edited has text.
    has_text: Cell<bool>,
}

/// A signature behind the cursor, which is not inserted.
pub struct Signature(String);

impl Hint for Signature {
    fn display(&self) -> &str {
        &self.0
    }

    fn completion(&self) -> Option<&str> {
        None
    }
}

impl Helper for Assistant {}

impl Completer for Assistant {
    type Candidate = Pair;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let found = self.0.backend.borrow_mut().complete(line, pos);
        let pairs = found.candidates.into_iter().map(|c| Pair { display: c.shown, replacement: c.text });
        Ok((found.start, pairs.collect()))
    }
}

impl Hinter for Assistant {
    type Hint = Signature;

    fn hint(&self, line: &str, pos: usize, _: &Context<'_>) -> Option<Signature> {
        self.0.has_text.set(!line.is_empty());
        self.0.backend.borrow_mut().hint(line, pos).map(Signature)
    }
}

impl Highlighter for Assistant {
    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, _: bool) -> Cow<'b, str> {
        match self.0.color {
            true if prompt.contains("[stale") => Cow::Owned(format!("\x1b[1;33m{prompt}\x1b[0m")),
            true => Cow::Owned(format!("\x1b[1;32m{prompt}\x1b[0m")),
            false => Cow::Borrowed(prompt),
        }
    }

    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        if self.0.color { Cow::Owned(format!("\x1b[2m{hint}\x1b[0m")) } else { Cow::Borrowed(hint) }
    }
}

impl Validator for Assistant {
    fn validate(&self, cx: &mut ValidationContext) -> rustyline::Result<ValidationResult> {
        let text = cx.input();
        // An empty line ends what cannot be ended otherwise: its error says what is missing.
        let is_done = text.starts_with(':') || text.ends_with('\n') || !self.0.parser.needs_more(text);
        Ok(if is_done { ValidationResult::Valid(None) } else { ValidationResult::Incomplete })
    }
}

/// Up and Down go through the lines that begin like this one; in a text of several lines they move the cursor.
struct Search(bool);

impl ConditionalEventHandler for Search {
    fn handle(&self, _: &Event, _: RepeatCount, _: bool, cx: &EventContext) -> Option<Cmd> {
        if cx.line().is_empty() || cx.line().contains('\n') {
            return None;
        }
        Some(if self.0 { Cmd::HistorySearchBackward } else { Cmd::HistorySearchForward })
    }
}

fn failed(e: ReadlineError) -> Error {
    match e {
        ReadlineError::Io(e) => Error::io("read", "the terminal", e),
        e => Error::io("read", "the terminal", std::io::Error::other(e.to_string())),
    }
}

/// Where the history lies: `LATHE_HISTORY`, or the user's folder for such things. An empty `LATHE_HISTORY` keeps none.
fn history_path() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("LATHE_HISTORY") {
        return Some(PathBuf::from(path)).filter(|p| !p.as_os_str().is_empty());
    }
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|p| p.is_absolute());
    let state = state.or_else(|| std::env::var_os("HOME").map(|h| PathBuf::from(h).join(".local/state")))?;
    Some(state.join("lathe/history"))
}

fn open() -> Result<(Terminal, Option<PathBuf>)> {
    let config = Config::builder()
        .completion_type(CompletionType::List)
        .max_history_size(HISTORY)
        .and_then(|c| c.history_ignore_dups(true))
        .map_err(failed)?
        .history_ignore_space(true)
        .bracketed_paste(true)
        .indent_size(2)
        .tab_stop(4)
        .build();
    // With its feature `signal-hook` rustyline leaves SIGINT alone, which what runs between two lines needs.
    let mut inner = Terminal::with_config(config).map_err(failed)?;
    inner.bind_sequence(KeyEvent(KeyCode::Enter, Modifiers::ALT), EventHandler::Simple(Cmd::Newline));
    inner.bind_sequence(KeyEvent(KeyCode::Up, Modifiers::NONE), EventHandler::Conditional(Box::new(Search(true))));
    inner.bind_sequence(KeyEvent(KeyCode::Down, Modifiers::NONE), EventHandler::Conditional(Box::new(Search(false))));
    let history = history_path();
    if let Some(path) = &history {
        if let Some(folder) = path.parent() {
            // Without a folder there is no history, which the first line's error tells.
            let _ = crate::files::create_dir(folder);
        }
        if path.exists() {
            inner.load_history(path).map_err(|e| failed(e).context(format!("the history `{}`", path.display())))?;
        }
    }
    Ok((inner, history))
}

impl Editor {
    /// An editor whose completions and hints come from `backend`.
    ///
    /// # Errors
    /// `E0301` when the terminal refuses.
    pub fn new(backend: Rc<RefCell<dyn Backend>>, color: bool) -> Result<Self> {
        TERMINAL.with_borrow_mut(|t| {
            if t.is_none() {
                *t = Some(open()?);
            }
            Ok(())
        })?;
        Ok(Editor(Assistant(Rc::new(Inner { backend, parser: LineParser::default(), color, has_text: Cell::new(false) }))))
    }

    /// Reads a line.
    ///
    /// # Errors
    /// `E0301` when the terminal refuses.
    pub fn read(&mut self, prompt: &str) -> Result<Read> {
        self.0.0.has_text.set(false);
        let Some((mut terminal, mut history)) = TERMINAL.take() else { return Ok(Read::End) };
        terminal.set_helper(Some(self.0.clone()));
        let read = match terminal.readline(prompt) {
            Ok(line) => {
                if !line.trim().is_empty() && terminal.add_history_entry(line.as_str()).unwrap_or(false) {
                    keep(&mut terminal, &mut history);
                }
                Ok(Read::Line(line))
            }
            Err(ReadlineError::Interrupted) => Ok(Read::Interrupt { was_empty: !self.0.0.has_text.get() }),
            Err(ReadlineError::Eof) => Ok(Read::End),
            Err(e) => Err(failed(e)),
        };
        terminal.set_helper(None);
        TERMINAL.set(Some((terminal, history)));
        read
    }
}

/// Writes the newest line down at once, so that a killed process loses none.
fn keep(terminal: &mut Terminal, history: &mut Option<PathBuf>) {
    let Some(path) = history else { return };
    if let Err(e) = terminal.append_history(path) {
        eprintln!("the history cannot be kept: {e}");
        *history = None;
    }
}
