//! Cells, evaluated as lines of a prompt on an engine of the kernel's own.

use super::attached::Attached;
use super::bars::Bars;
use super::failure::Failure;
use super::iopub::{IoPub, Stream};
use crate::error::{Error, Result, did_you_mean};
use crate::script::prompt::answer::{Ask, Mode};
use crate::script::prompt::complete::COMMANDS;
use crate::script::prompt::evaluation::{self, Limit, Output, Sink};
use crate::script::prompt::lines::{LineParser, Typed};
use crate::script::prompt::rich::Rich;
use crate::script::{Engine, Session};
use crate::space::{self, LineSink, Space};
use serde_json::{Value, json};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

/// A command with its arguments and what it does.
type Command = (&'static str, &'static str, &'static str);

/// Commands of a prompt that need a terminal, or files of lines: a notebook has its own.
const OF_PROMPTS: [&str; 4] = [":save", ":load", ":edit", ":quit"];

/// What a cell has besides.
const OWN: [Command; 2] = [
    (":attach", "RUN", "the following cells run in that job, between two of its steps"),
    (":detach", "", "cells run in the notebook's kernel again"),
];

/// The commands of a cell.
pub(super) fn commands() -> impl Iterator<Item = Command> {
    COMMANDS.iter().copied().filter(|(name, ..)| !OF_PROMPTS.contains(name)).chain(OWN)
}

/// Where cells are evaluated.
pub(super) struct Cells {
    pub(super) engine: Rc<Engine>,
    pub(super) session: Session,
    pub(super) parser: LineParser,
    iopub: Arc<IoPub>,
    sink: Sink,
    space: Rc<Space>,
    /// What is wrong with the scripts on disk, as it was said last.
    stale: Option<String>,
    pub(super) attached: Option<Attached>,
}

impl Cells {
    /// Cells on an engine.
    ///
    /// # Errors
    /// When the engine's script cannot be seen from a prompt.
    pub(super) fn new(engine: Rc<Engine>, iopub: Arc<IoPub>) -> Result<Cells> {
        let session = engine.session("cell")?;
        let (out, err, progress) = (iopub.clone(), iopub.clone(), iopub.clone());
        let sink: Sink = Rc::new(move |output| match output {
            Output::Text(text) => out.write(Stream::Out, &format!("{text}\n")),
            Output::Picture(path) => display(&out, path),
        });
        let say: LineSink = Box::new(move |line| err.write(Stream::Err, &format!("{line}\n")));
        let bars = Bars::default();
        let space = Rc::new(Space::new(Some(say), None).with_bars(Box::new(move |bar| bars.tell(&progress, bar))));
        Ok(Cells { engine, session, parser: LineParser::default(), iopub, sink, space, stale: None, attached: None })
    }

    /// Evaluates a cell and gives its last value, as text and richer where there is more to see.
    pub(super) fn run(&mut self, code: &str, number: u64, is_silent: bool) -> Result<Option<Value>, Failure> {
        self.take_saved();
        let mut last = None;
        for Typed { first, text } in self.lines(code) {
            last = match text.trim_start().strip_prefix(':') {
                Some(command) => self.command(command, is_silent)?,
                None => {
                    if self.attached.is_none() {
                        self.session.part(&format!("cell {number}"), code, first);
                    }
                    self.evaluate(&text, Mode::Rich, is_silent)?
                }
            };
        }
        Ok(last)
    }

    /// Evaluates what is no cell, and tells nothing.
    pub(super) fn expression(&mut self, text: &str) -> Result<Value, Failure> {
        let value = self.evaluate(text, Mode::Rich, true)?;
        Ok(value.unwrap_or_else(|| json!({ "text/plain": "()" })))
    }

    /// A cell as what is evaluated at once: all of it where it can be read, so that what is wrong at its end stops it at its start.
    fn lines(&self, code: &str) -> Vec<Typed> {
        let has_command = code.lines().any(|l| l.starts_with(':'));
        if !has_command && self.parser.is_whole(code) { vec![Typed { first: 0, text: code.to_owned() }] } else { self.parser.split(code) }
    }

    /// Evaluates a line, here or in the job that is attached to, and gives its value.
    fn evaluate(&mut self, text: &str, mode: Mode, is_silent: bool) -> Result<Option<Value>, Failure> {
        let answer = match &mut self.attached {
            None => {
                let sink: Sink = if is_silent { Rc::new(|_| {}) } else { self.sink.clone() };
                let (session, at) = (&mut self.session, self.engine.at());
                // What trains ends after its step, which is saved then.
                space::within(&self.space, || evaluation::told(sink, || session.answer(at, text, mode, true, Limit::default(), false)))
            }
            Some(there) => {
                let answer = there.eval(text, mode)?;
                if !is_silent {
                    self.iopub.write(Stream::Out, &format!("{}\n{}", there.place(), answer.printed));
                    answer.pictures.iter().for_each(|path| display(&self.iopub, path));
                }
                answer
            }
        };
        if let Some(note) = &answer.note {
            self.say(Stream::Err, note, is_silent);
        }
        if mode == Mode::Timed && answer.error.is_none() {
            self.say(Stream::Out, &format!("took {}", crate::progress::seconds(answer.seconds)), is_silent);
        }
        match (answer.error, answer.shown) {
            (Some(_), _) if answer.interrupted => Err(Failure::stopped()),
            (Some(e), _) => Err(Failure::of(&e)),
            (None, shown) => Ok(shown.map(|text| {
                let mut data = json!({ "text/plain": text });
                if let Some(Rich { kind, data: rich }) = answer.rich {
                    data[kind] = rich.into();
                }
                data
            })),
        }
    }

    fn ask(&mut self, ask: &Ask) -> Result<String, Failure> {
        match &mut self.attached {
            None => Ok(self.session.ask(self.engine.at(), ask)?),
            Some(there) => there.ask(ask),
        }
    }

    fn command(&mut self, command: &str, is_silent: bool) -> Result<Option<Value>, Failure> {
        let (name, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
        let rest = rest.trim();
        let ask = match name {
            "p" | "time" if rest.is_empty() => return Err(Error::usage(format!("`:{name}` needs an expression")).into()),
            "p" => return self.evaluate(rest, Mode::Raw, is_silent),
            "time" => return self.evaluate(rest, Mode::Timed, is_silent),
            "attach" => {
                let there = Attached::to(rest)?;
                let text = format!("attached to {}: cells run there, between two steps, until `:detach`", there.run());
                self.attached = Some(there);
                self.say(Stream::Out, &text, is_silent);
                return Ok(None);
            }
            "detach" => {
                let there = self.attached.take().ok_or_else(|| Error::usage("cells run in the notebook's kernel already"))?;
                self.say(Stream::Out, &format!("detached from {}: cells run in the notebook's kernel again", there.run()), is_silent);
                return Ok(None);
            }
            "help" => {
                let rows = commands().map(|(name, args, what)| format!("  {:14} {what}", format!("{name} {args}")));
                self.say(Stream::Out, &rows.collect::<Vec<_>>().join("\n"), is_silent);
                return Ok(None);
            }
            "doc" => Ask::Doc(rest.to_owned()),
            "src" => Ask::Source(rest.to_owned()),
            "vars" => Ask::Variables,
            "mem" => Ask::Memory,
            "debug" => Ask::Debug,
            "reload" => Ask::Reload,
            _ if OF_PROMPTS.iter().any(|c| &c[1..] == name) => {
                let e = Error::usage(format!("`:{name}` is a command of `lathe repl`; a notebook has its own"));
                return Err(e.help("`:help` lists what a cell has").into());
            }
            _ => {
                let near = did_you_mean(name, commands().map(|(c, ..)| &c[1..]));
                let e = Error::usage(format!("there is no command `:{name}`{}", near.replacen('`', "`:", 1)));
                return Err(e.help("`:help` lists them").into());
            }
        };
        let text = self.ask(&ask)?;
        self.say(Stream::Out, text.trim_end(), is_silent);
        Ok(None)
    }

    fn say(&self, stream: Stream, text: &str, is_silent: bool) {
        if !is_silent && !text.is_empty() {
            self.iopub.write(stream, &format!("{text}\n"));
        }
    }

    /// Takes scripts in that were saved since the last cell. What is wrong with them is said once; the last good version stays.
    fn take_saved(&mut self) {
        if !self.engine.is_stale() {
            self.stale = None;
            return;
        }
        match self.session.reload(self.engine.at()) {
            Ok(text) => {
                self.stale = None;
                self.say(Stream::Err, &text, false);
            }
            Err(e) => {
                let text = e.render(false);
                if self.stale.as_ref() != Some(&text) {
                    self.say(Stream::Err, &format!("{text}\nthe last good version stays until this is mended"), false);
                }
                self.stale = Some(text);
            }
        }
    }
}

/// Shows a file that `show` wrote, with its path beside it.
fn display(iopub: &IoPub, path: &Path) {
    match Rich::of_file(path) {
        Ok(Rich { kind, data }) => {
            let data = json!({ kind: data, "text/plain": path.display().to_string() });
            iopub.tell("display_data", &json!({ "data": data, "metadata": {}, "transient": {} }));
        }
        Err(e) => iopub.write(Stream::Err, &format!("{}\n", e.render(false))),
    }
}
