//! The prompt: lines in, values out. [`Backend`] is where they are evaluated: this process, or a running job.
#![expect(clippy::disallowed_macros, reason = "the terminal is the prompt's")]

mod editor;
mod frame;
mod lines;
mod local;
mod remote;

pub use frame::on_breakpoint;
pub use local::Local;
pub use remote::Remote;

use crate::error::{Error, Result};
use crate::script::prompt::answer::{Answer, Ask, Mode};
use crate::script::prompt::complete::{COMMANDS, Completions};
use crate::script::prompt::lines::LineParser;
use std::cell::RefCell;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::rc::Rc;

/// Answers that took longer say so.
const SLOW: f64 = 1.0;

/// Where a prompt's lines are evaluated.
pub trait Backend {
    /// What stands before the cursor.
    fn prompt(&self) -> String;

    /// Evaluates a line.
    fn eval(&mut self, text: &str, mode: Mode) -> Answer;

    /// Answers a question about the prompt.
    ///
    /// # Errors
    /// When there is nothing to be said.
    fn ask(&mut self, ask: &Ask) -> Result<String>;

    /// What the word before `pos` could become.
    fn complete(&mut self, line: &str, pos: usize) -> Completions;

    /// What is shown behind the cursor.
    fn hint(&mut self, line: &str, pos: usize) -> Option<String>;

    /// What has happened since the last line: said before the next one.
    fn news(&mut self) -> Option<String> {
        None
    }

    /// Whether the other side is gone.
    fn is_gone(&self) -> bool {
        false
    }
}

/// What to do after a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Go,
    Failed,
    Quit,
}

/// Whether stdout shows colors: a terminal, and `NO_COLOR` is not set.
pub fn wants_color() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}

/// A prompt's front: the terminal or a pipe.
pub struct Repl {
    backend: Rc<RefCell<dyn Backend>>,
    parser: LineParser,
    color: bool,
}

impl Repl {
    /// A prompt in front of `backend`.
    pub fn new(backend: impl Backend + 'static) -> Self {
        Repl::shared(Rc::new(RefCell::new(backend)))
    }

    /// A prompt in front of a backend that others hold too.
    pub fn shared(backend: Rc<RefCell<dyn Backend>>) -> Self {
        Repl { backend, parser: LineParser::default(), color: wants_color() }
    }

    /// Whether lines come from a terminal.
    pub fn is_terminal(&self) -> bool {
        std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
    }

    /// Reads lines until the end: with an editor on a terminal, plainly from a pipe.
    ///
    /// # Errors
    /// `E0501` from a pipe, when a line failed: what follows is not run then.
    pub fn run(&mut self) -> Result<()> {
        if self.is_terminal() {
            return self.interact();
        }
        let text = std::io::read_to_string(std::io::stdin()).map_err(|e| Error::io("read", "stdin", e))?;
        self.run_text(&text)
    }

    /// Runs a text statement by statement, as if it were typed.
    ///
    /// # Errors
    /// `E0501` when a line failed; what follows it was not run.
    pub fn run_text(&mut self, text: &str) -> Result<()> {
        for line in lines::split(&self.parser, text) {
            match self.line(&line) {
                Next::Go => {}
                Next::Quit => break,
                Next::Failed => return Err(Error::shown()),
            }
        }
        Ok(())
    }

    fn interact(&mut self) -> Result<()> {
        let mut editor = editor::Editor::new(self.backend.clone(), self.color)?;
        crate::interrupt::at_prompt(true);
        let result = self.interact_with(&mut editor);
        crate::interrupt::at_prompt(false);
        crate::interrupt::clear();
        result
    }

    fn interact_with(&mut self, editor: &mut editor::Editor) -> Result<()> {
        let mut leaving = false;
        loop {
            if let Some(news) = self.backend.borrow_mut().news() {
                println!("{news}");
            }
            if self.backend.borrow().is_gone() {
                return Ok(());
            }
            let prompt = self.backend.borrow().prompt();
            match editor.read(&prompt)? {
                editor::Read::Line(text) => {
                    leaving = false;
                    let pasted = lines::without_prompts(&self.parser, &prompt, &text);
                    for line in pasted {
                        if self.line(&line) == Next::Quit {
                            return Ok(());
                        }
                    }
                }
                editor::Read::Interrupt { was_empty: false } => leaving = false,
                editor::Read::Interrupt { was_empty: true } if !leaving => {
                    leaving = true;
                    println!("Ctrl-C again, Ctrl-D or :quit leaves");
                }
                editor::Read::Interrupt { .. } | editor::Read::End => return Ok(()),
            }
        }
    }

    fn line(&mut self, text: &str) -> Next {
        let text = text.trim();
        if text.is_empty() {
            return Next::Go;
        }
        if let Some(command) = text.strip_prefix(':') {
            let (name, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
            return self.command(name, rest.trim());
        }
        self.eval(text, Mode::Plain)
    }

    fn eval(&mut self, text: &str, mode: Mode) -> Next {
        crate::interrupt::clear();
        let answer = self.backend.borrow_mut().eval(text, mode);
        crate::interrupt::clear();
        let mut out = std::io::stdout().lock();
        let mut say = |text: &str| {
            // Whoever read our output has gone: there is nothing left to say to.
            let _ = writeln!(out, "{text}").and_then(|()| out.flush());
        };
        if !answer.printed.is_empty() {
            say(answer.printed.trim_end_matches('\n'));
        }
        for path in &answer.pictures {
            crate::progress::picture(path);
            say(&path.display().to_string());
        }
        if let Some(shown) = &answer.shown {
            say(shown);
        }
        if let Some(note) = &answer.note {
            say(note);
        }
        if mode == Mode::Timed || answer.seconds > SLOW {
            say(&format!("took {}", crate::progress::seconds(answer.seconds)));
        }
        drop(out);
        match &answer.error {
            None => Next::Go,
            Some(_) if answer.interrupted => {
                eprintln!("stopped");
                Next::Failed
            }
            Some(e) => {
                eprintln!("{e}");
                Next::Failed
            }
        }
    }

    fn command(&mut self, name: &str, rest: &str) -> Next {
        let result = match name {
            "quit" | "q" | "exit" => return Next::Quit,
            "help" | "h" | "?" => Ok(help()),
            "p" | "time" if rest.is_empty() => Err(Error::usage(format!("`:{name}` needs an expression"))),
            "p" => return self.eval(rest, Mode::Raw),
            "time" => return self.eval(rest, Mode::Timed),
            "doc" => self.ask(Ask::Doc(rest.to_owned())),
            "src" => self.ask(Ask::Source(rest.to_owned())),
            "vars" => self.ask(Ask::Variables),
            "mem" => self.ask(Ask::Memory),
            "debug" => self.ask(Ask::Debug),
            "reload" => self.ask(Ask::Reload),
            "save" => self.save(rest),
            "load" => return self.load(Path::new(rest)),
            "edit" => match edit(rest) {
                Ok(path) => return self.load(&path.0),
                Err(e) => Err(e),
            },
            _ => {
                let known = COMMANDS.iter().map(|(c, ..)| &c[1..]);
                let near = crate::error::did_you_mean(name, known);
                Err(Error::usage(format!("there is no command `:{name}`{}", near.replacen('`', "`:", 1))).help("`:help` lists them"))
            }
        };
        match result {
            Ok(text) => {
                if !text.is_empty() {
                    println!("{}", text.trim_end());
                }
                Next::Go
            }
            Err(e) => {
                eprintln!("{}", e.render(self.color));
                Next::Failed
            }
        }
    }

    fn ask(&mut self, ask: Ask) -> Result<String> {
        self.backend.borrow_mut().ask(&ask)
    }

    fn save(&mut self, path: &str) -> Result<String> {
        if path.is_empty() {
            return Err(Error::usage("`:save` needs a file name"));
        }
        let text = self.ask(Ask::Text)?;
        let path = Path::new(path);
        crate::files::write(path, text.as_bytes())?;
        Ok(format!("{}: {} lines", path.display(), text.lines().count()))
    }

    fn load(&mut self, path: &Path) -> Next {
        match crate::files::read_text(path) {
            Ok(text) => {
                for line in lines::split(&self.parser, &text) {
                    match self.line(&line) {
                        Next::Go => {}
                        other => return other,
                    }
                }
                Next::Go
            }
            Err(e) => {
                eprintln!("{}", e.render(self.color));
                Next::Failed
            }
        }
    }
}

/// A file of lines, removed with this where it was made for them.
struct Edited(std::path::PathBuf, #[expect(dead_code, reason = "the file lasts as long as this")] Option<tempfile::NamedTempFile>);

/// Lets the user write lines in `$EDITOR`.
fn edit(file: &str) -> Result<Edited> {
    let editor = std::env::var("VISUAL").or_else(|_| std::env::var("EDITOR")).ok().filter(|e| !e.trim().is_empty());
    let editor = editor.ok_or_else(|| Error::usage("no editor is named").help("set EDITOR, for example `export EDITOR=vi`"))?;
    let temp = match file {
        "" => Some(tempfile::Builder::new().prefix("lathe-").suffix(".rhai").tempfile().map_err(|e| Error::io("create", std::env::temp_dir(), e))?),
        _ => None,
    };
    let path = temp.as_ref().map_or_else(|| Path::new(file).to_owned(), |t| t.path().to_owned());
    let mut words = editor.split_whitespace();
    let program = words.next().unwrap_or("vi");
    let status = std::process::Command::new(program).args(words).arg(&path).status().map_err(|e| Error::io("run", program, e))?;
    if !status.success() {
        return Err(Error::usage(format!("`{editor}` ended with {status}: nothing was run")));
    }
    Ok(Edited(path, temp))
}

fn help() -> String {
    let rows = COMMANDS.iter().map(|(name, args, what)| format!("  {:14} {what}", format!("{name} {args}")));
    let keys = "\n  `_` is the last value, `it[-2]` the one before, `_err` the last error; a line that ends with `;` shows nothing.\n  \
                Tab completes, Ctrl-R searches the history, Up goes through lines that begin alike, Alt-Enter makes a new line,\n  \
                Ctrl-C stops what runs and keeps the variables.";
    rows.collect::<Vec<_>>().join("\n") + "\n" + keys
}
