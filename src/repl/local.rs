//! Lines evaluated in this process.

use super::{Backend, wants_color};
use crate::error::Result;
use crate::script::prompt::answer::{Answer, Ask, Mode};
use crate::script::prompt::complete::{Completions, complete, hint};
use crate::script::prompt::evaluation::Limit;
use crate::script::{Engine, Session};
use std::rc::Rc;

/// A prompt on an engine of its own.
pub struct Local {
    engine: Rc<Engine>,
    session: Session,
    /// What is wrong with the scripts on disk, as it was said last.
    stale: Option<String>,
}

impl Local {
    /// A prompt that sees the functions of the engine's script.
    ///
    /// # Errors
    /// When the script's imports cannot be loaded for it.
    pub fn new(engine: Rc<Engine>) -> Result<Self> {
        let session = engine.session("repl")?;
        Ok(Local { engine, session, stale: None })
    }

    /// The prompt's state.
    pub fn session(&mut self) -> &mut Session {
        &mut self.session
    }

    /// Takes scripts in that were saved since. What is wrong with them is said once; the last good version stays.
    fn take_saved(&mut self) -> Option<String> {
        if !self.engine.is_stale() {
            self.stale = None;
            return None;
        }
        match self.session.reload(self.engine.at()) {
            Ok(text) => {
                self.stale = None;
                Some(text)
            }
            Err(e) => {
                let text = e.render(wants_color());
                let is_new = self.stale.as_ref() != Some(&text);
                self.stale = Some(text.clone());
                is_new.then(|| format!("{text}\nthe last good version stays until this is mended"))
            }
        }
    }
}

impl Backend for Local {
    fn prompt(&self) -> String {
        if self.stale.is_some() { "lathe [stale]> ".into() } else { "lathe> ".into() }
    }

    fn eval(&mut self, text: &str, mode: Mode) -> Answer {
        // A file may have been saved while the line was written.
        if let Some(news) = self.take_saved() {
            println!("{news}");
        }
        // Ctrl-C ends any line; where the line trains, after the step, which is saved then.
        let limit = Limit::default();
        self.session.answer(self.engine.at(), text, mode, wants_color(), limit, false)
    }

    fn ask(&mut self, ask: &Ask) -> Result<String> {
        self.session.ask(self.engine.at(), ask)
    }

    fn complete(&mut self, line: &str, pos: usize) -> Completions {
        complete(self.engine.at(), &self.session, line, pos)
    }

    fn hint(&mut self, line: &str, pos: usize) -> Option<String> {
        hint(self.engine.at(), &self.session, line, pos)
    }

    fn news(&mut self) -> Option<String> {
        self.take_saved()
    }
}

impl Local {
    /// Gives the prompt a checkpoint as `ckpt`, and the settings of its run as `cfg`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn open(&mut self, path: &str) -> Result<()> {
        let path = serde_json::Value::from(path);
        for line in [format!("let ckpt = train::checkpoint({path});"), "let cfg = ckpt.config;".to_owned()] {
            let outcome = self.session.eval(self.engine.at(), &line, Limit::default());
            outcome.error.map_or(Ok(()), Err)?;
        }
        Ok(())
    }
}
