//! `breakpoint()`: a prompt in the frame of a running script.

use super::{Backend, Repl, wants_color};
use crate::error::Result;
use crate::script::prompt::answer::{Answer, Ask, Mode};
use crate::script::prompt::breakpoint::OnBreakpoint;
use crate::script::prompt::complete::{Completions, complete, hint};
use crate::script::prompt::evaluation::Limit;
use crate::script::{At, Engine, Session};
use std::cell::RefCell;
use std::io::IsTerminal;
use std::rc::Rc;

scoped_tls_hkt::scoped_thread_local!(
    /// The engine that the innermost frame runs on: the editor keeps its backends longer than a frame may live.
    static ENGINE: for<'a> &'a At<'a>
);

/// Lets `breakpoint()` open a prompt on this terminal, where there is one.
pub fn on_breakpoint(engine: &Engine) {
    if !(std::io::stdin().is_terminal() && std::io::stdout().is_terminal()) {
        return;
    }
    engine.host().put(OnBreakpoint(Rc::new(|place, at, session| {
        let taken = std::mem::replace(session, Session::new(at, "frame"));
        let frame = Rc::new(RefCell::new(Frame { place: place.to_owned(), session: taken }));
        crate::progress::beside(|| ENGINE.set(&at, || open(&frame)));
        std::mem::swap(session, &mut frame.borrow_mut().session);
    })));
}

struct Frame {
    place: String,
    session: Session,
}

fn open(frame: &Rc<RefCell<Frame>>) {
    {
        let frame = frame.borrow();
        let names: Vec<&str> = frame.session.names().collect();
        println!("breakpoint in {}: {}", frame.place, if names.is_empty() { "no variables".into() } else { names.join(", ") });
        println!("`:vars` lists the variables; what is assigned stays; Ctrl-D or :quit goes on");
    }
    if let Err(e) = Repl::shared(frame.clone()).run() {
        eprintln!("{}", e.render(wants_color()));
    }
}

impl Backend for Frame {
    fn prompt(&self) -> String {
        format!("{}> ", self.place)
    }

    fn eval(&mut self, text: &str, mode: Mode) -> Answer {
        let limit = Limit { on_interrupt: true, ..Limit::default() };
        ENGINE.with(|at| self.session.answer(*at, text, mode, wants_color(), limit, false))
    }

    fn ask(&mut self, ask: &Ask) -> Result<String> {
        ENGINE.with(|at| self.session.ask(*at, ask))
    }

    fn complete(&mut self, line: &str, pos: usize) -> Completions {
        ENGINE.with(|at| complete(*at, &self.session, line, pos))
    }

    fn hint(&mut self, line: &str, pos: usize) -> Option<String> {
        ENGINE.with(|at| hint(*at, &self.session, line, pos))
    }
}
