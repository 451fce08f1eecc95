//! Where the time of steps goes: `lathe run --profile`. Steps are measured line by line, then some more are recorded by libtorch's profiler, which
//! slows them down.

mod ledger;
mod report;

use crate::error::{Error, Result};
use crate::files;
use crate::plain::shown;
use crate::script::lang::source::id_of;
use crate::script::lang::witness::{Called, Seen, Witness};
use crate::script::units::program::Program;
use crate::torch::bridge::{Profiler, Range};
use crate::torch::{self, Device};
use crate::train::{OpenRun, Watcher};
use ledger::{Ledger, MAIN, REST};
use report::Measured;
use rhai::Dynamic;
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::{Rc, Weak};

/// Steps of a process that are not measured: what is made once is made in them.
const WARM_UP: u64 = 3;
/// A trace of more steps is larger than what shows it likes.
const MOST_TRACED: u64 = 3;
const LINES: &str = "lines.txt";
const TRACE: &str = "trace.json";

/// What is being measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The whole of `main`, until a fit begins.
    Main,
    /// Steps that are not measured.
    WarmUp,
    /// Lines.
    Lines,
    /// libtorch's operators.
    Trace,
    /// Nothing any more.
    Done,
}

/// A profile in the making.
pub struct Profile {
    program: Rc<Program>,
    script: PathBuf,
    /// Steps that are measured.
    wanted: u64,
    me: Weak<Profile>,
    state: RefCell<State>,
}

/// The profile among the host's values.
pub struct Profiled(pub Rc<Profile>);

struct State {
    phase: Phase,
    called: Option<Called>,
    ledger: Ledger,
    profiler: Option<Profiler>,
    ranges: Vec<Option<Range>>,
    /// Steps that began in this process.
    begun: u64,
    /// The first step that was measured, and how many were.
    first: u64,
    measured: u64,
    traced: u64,
    /// The run's folder, once there is one.
    folder: Option<PathBuf>,
}

impl Profile {
    /// Begins with `main`, or with the steps of the first fit that it comes to, of which `steps` are measured.
    pub(crate) fn begin(program: &Rc<Program>, script: &Path, steps: u64) -> Rc<Self> {
        let profile = Rc::new_cyclic(|me| Profile {
            program: program.clone(),
            script: script.to_owned(),
            wanted: steps,
            me: me.clone(),
            state: RefCell::new(State {
                phase: Phase::Main,
                called: None,
                ledger: Ledger::default(),
                profiler: None,
                ranges: Vec::new(),
                begun: 0,
                first: 0,
                measured: 0,
                traced: 0,
                folder: None,
            }),
        });
        profile.state.borrow_mut().ledger.enter(MAIN);
        profile.look(true);
        profile
    }

    /// Looks at calls from now on, or no more.
    fn look(&self, on: bool) {
        let called = self.me.upgrade().filter(|_| on).map(|me| Called::new(me));
        // What was there before goes when nothing is borrowed.
        let before = std::mem::replace(&mut self.state.borrow_mut().called, called);
        drop(before);
    }

    /// Ends it: writes what was measured and not written yet, and says where it is.
    pub fn end(&self) {
        self.look(false);
        let phase = std::mem::replace(&mut self.state.borrow_mut().phase, Phase::Done);
        let said = match phase {
            Phase::Main => {
                self.state.borrow_mut().ledger.leave();
                let stem = self.script.file_stem().map_or_else(|| "script".into(), |s| s.to_string_lossy().into_owned());
                self.state.borrow_mut().folder = Some(PathBuf::from(format!("{stem}.profile")));
                self.write_lines().map(|path| format!("profile of the whole script: {path}"))
            }
            Phase::Lines if self.state.borrow().measured > 0 => self.write_lines().map(|path| format!("profile: {path}")),
            Phase::WarmUp | Phase::Lines => {
                let begun = self.state.borrow().begun;
                Ok(format!("warning: no profile: this process did {begun} steps, and the first {WARM_UP} are not measured"))
            }
            Phase::Trace => self.write_trace().map(|path| format!("trace: {path}")),
            Phase::Done => return,
        };
        crate::space::say(&said.unwrap_or_else(|e| format!("warning: the profile could not be written: {e}")));
    }

    fn folder(&self) -> Result<PathBuf> {
        let folder = self.state.borrow().folder.clone().unwrap_or_default();
        files::create_dir(&folder)?;
        Ok(folder)
    }

    fn write_lines(&self) -> Result<String> {
        let path = self.folder()?.join(LINES);
        let state = self.state.borrow();
        let measured = (state.measured > 0).then(|| Measured { first: state.first, steps: state.measured });
        let text = report::text(&self.script, measured, &state.ledger, &self.program.sources);
        files::write(&path, text)?;
        Ok(shown(&path.display().to_string()))
    }

    fn write_trace(&self) -> Result<String> {
        let mut state = self.state.borrow_mut();
        let State { ranges, profiler, .. } = &mut *state;
        while ranges.pop().is_some() {}
        let Some(profiler) = profiler.take() else { return Ok("nothing was recorded".into()) };
        drop(state);
        let path = self.folder()?.join(TRACE);
        let (file, temporary) = files::temporary(&path)?;
        profiler.end(temporary.path())?;
        drop(file);
        // libkineto puts a file of its own there.
        files::open(temporary.path())?.sync_all().map_err(|e| Error::io("write", &path, e))?;
        temporary.persist()?;
        Ok(shown(&path.display().to_string()))
    }

    /// Goes on to the trace, or says why there is none.
    fn lines_are_done(&self, run: &OpenRun) {
        self.look(false);
        self.state.borrow_mut().phase = Phase::Trace;
        match self.write_lines() {
            Ok(path) => run.say(&format!("  profile of {} steps: {path}", self.state.borrow().measured)),
            Err(e) => run.warn(&format!("the profile could not be written: {e}")),
        }
    }

    fn trace_is_done(&self, run: &OpenRun) {
        self.look(false);
        self.state.borrow_mut().phase = Phase::Done;
        match self.write_trace() {
            Ok(path) => run.say(&format!("  trace of {} more: {path}, for ui.perfetto.dev or chrome://tracing", self.state.borrow().traced)),
            Err(e) => run.warn(&format!("the trace could not be written: {e}")),
        }
    }

    fn start_trace(&self, run: &OpenRun) {
        match Profiler::begin(is_gpu()) {
            Ok(profiler) => self.state.borrow_mut().profiler = Some(profiler),
            Err(e) => {
                self.state.borrow_mut().phase = Phase::Done;
                return run.warn(&format!("libtorch's profiler cannot record: {e}"));
            }
        }
        self.look(true);
    }

    /// `train.rhai:14 conv2d`.
    fn name(&self, seen: &Seen) -> String {
        let tag = seen.tag.unwrap_or_default();
        let file = self.program.sources.get(tag).map_or_else(|| id_of(tag).to_owned(), |s| s.shown);
        format!("{file}:{} {}", seen.at.line().unwrap_or(0), seen.written())
    }
}

fn is_gpu() -> bool {
    matches!(torch::default_device(), Device::Cuda(_))
}

/// Waits for a GPU, so that what it does counts for the call that wanted it.
fn settle() {
    if is_gpu() {
        torch::synchronize(torch::default_device());
    }
}

impl Witness for Profile {
    fn before(&self, seen: &Seen, _: &mut dyn Iterator<Item = &Dynamic>) {
        let mut state = self.state.borrow_mut();
        match state.phase {
            Phase::Main | Phase::Lines => state.ledger.call(seen.tag.unwrap_or_default(), seen.at.line().unwrap_or(0), seen.is_native),
            Phase::Trace => state.ranges.push(Range::begin(&self.name(seen))),
            Phase::WarmUp | Phase::Done => {}
        }
    }

    fn after(&self, seen: &Seen, _: Option<&Dynamic>) -> Result<()> {
        let phase = self.state.borrow().phase;
        if seen.is_native && matches!(phase, Phase::Main | Phase::Lines) {
            settle();
        }
        let mut state = self.state.borrow_mut();
        match phase {
            Phase::Main | Phase::Lines => state.ledger.returned(),
            Phase::Trace => drop(state.ranges.pop()),
            Phase::WarmUp | Phase::Done => {}
        }
        Ok(())
    }
}

impl Watcher for Profile {
    fn begins(&self, run: &OpenRun) {
        let phase = self.state.borrow().phase;
        if phase == Phase::Main {
            self.look(false);
            let mut state = self.state.borrow_mut();
            (state.phase, state.ledger) = (Phase::WarmUp, Ledger::default());
            state.folder = Some(run.dir().join("profile"));
        }
        let begun = {
            let mut state = self.state.borrow_mut();
            state.begun += 1;
            state.begun
        };
        if self.state.borrow().phase == Phase::WarmUp && begun > WARM_UP {
            let mut state = self.state.borrow_mut();
            (state.phase, state.first) = (Phase::Lines, run.step() + 1);
            drop(state);
            self.look(true);
        }
        if phase == Phase::Trace && self.state.borrow().profiler.is_none() {
            self.start_trace(run);
        }
        self.enters(REST);
    }

    fn ends(&self, run: &OpenRun) {
        self.leaves();
        let mut state = self.state.borrow_mut();
        let is_last = match state.phase {
            Phase::Lines => {
                state.measured += 1;
                state.measured == self.wanted
            }
            Phase::Trace => {
                state.traced += 1;
                state.traced == self.wanted.min(MOST_TRACED)
            }
            _ => false,
        };
        let phase = state.phase;
        drop(state);
        match phase {
            Phase::Lines if is_last => self.lines_are_done(run),
            Phase::Trace if is_last => self.trace_is_done(run),
            _ => {}
        }
    }

    fn enters(&self, part: &'static str) {
        let mut state = self.state.borrow_mut();
        match state.phase {
            Phase::Lines => state.ledger.enter(part),
            Phase::Trace => state.ranges.push(Range::begin(part)),
            _ => {}
        }
    }

    fn leaves(&self) {
        let phase = self.state.borrow().phase;
        match phase {
            Phase::Lines => {
                settle();
                self.state.borrow_mut().ledger.leave();
            }
            Phase::Trace => drop(self.state.borrow_mut().ranges.pop()),
            _ => {}
        }
    }
}
