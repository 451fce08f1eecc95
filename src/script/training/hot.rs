//! Hot reload: edited scripts and settings take effect between two steps, whole or not at all.
//!
//! A save (with a watch) or SIGHUP asks for a reload; the next boundary between two steps builds a new generation, checks it, reads
//! the settings, records the edit in the run folder, and swaps. Whatever goes wrong on the way leaves the last good version running,
//! is shown once, and marks every log line until it is mended.

pub(crate) mod fallen;
pub(crate) mod together;

use super::boundary::Boundary;
use super::live::{Choose, Live, Plan};
use super::replay::Replay;
use super::run::{Run, WeakRun};
use super::watch::{Watch, WatchMode};
use crate::dist;
use crate::error::{Error, ErrorKind, Result};
use crate::files;
use crate::interrupt;
use crate::script::lang::exception::into_script;
use crate::script::lang::host::Host;
use crate::script::settings::params::{Config, Params};
use crate::script::units::at::At;
use crate::script::units::changes::{Reloaded, UnitChange};
use crate::script::units::program::Program;
use crate::script::units::standing::Waiting;
use crate::script::units::swap::Prepared;
use crate::train::edits::{Kind, NewEdit, SettingChange};
use crate::train::{Failure, FitOptions, Retry, log, rng};
use rhai::{Dynamic, EvalAltResult, Position};
use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How long an error waits for the rest of a save: files are often written in several goes.
const GRACE: Duration = Duration::from_millis(150);
/// Between two looks at Ctrl-C, SIGHUP and attached prompts while a failed step waits for a save.
const WAIT: Duration = Duration::from_millis(10);
/// How often files that are being written are read again when a reload was asked for, and how long apart.
const TRIES: usize = 30;
const TRY: Duration = Duration::from_millis(30);
/// How many things that wait for a restart a reload names.
const SHOWN: usize = 8;

/// What takes part in hot reload.
#[derive(Default)]
pub struct HotOptions {
    /// Whether saves are noticed; without it only SIGHUP and [`Hot::reload`] reload.
    pub watch: Option<WatchMode>,
    /// Whether errors are shown in colors.
    pub color: bool,
    /// The settings as they were chosen, and the configuration files among them.
    pub settings: Option<(Choose, Params, Config, Vec<PathBuf>)>,
    /// Edits come from a recorded run instead of the disk.
    pub replay: Option<Replay>,
}

/// The state of hot reload in one engine.
pub struct Hot {
    watch: Option<Watch>,
    color: bool,
    live: RefCell<Option<Live>>,
    replay: Option<Replay>,
    /// What of the newest texts waits for a restart.
    waiting: RefCell<Vec<Waiting>>,
    /// The error that was shown last, and the place that log lines name.
    failure: RefCell<Option<(String, String)>>,
    /// An error that is not shown yet.
    held: RefCell<Option<(Instant, Error)>>,
    /// Changes of settings that the fit loop has not seen yet.
    options: RefCell<Vec<SettingChange>>,
    /// Fits and calls of hot functions under way.
    busy: Cell<u32>,
    /// Fits among them.
    fits: Cell<u32>,
    /// Whether the script marks the boundaries itself.
    marked: Cell<bool>,
    /// Whether no step has run since the last swap.
    fresh: Cell<bool>,
    /// Whether a failed step waits for a save.
    waits: Cell<bool>,
    /// Whether it is to be tried again because somebody at an attached prompt said so.
    again: Cell<bool>,
    /// The run opened last, for loops of the script's own.
    open: RefCell<Option<WeakRun>>,
    /// Whether a save or SIGHUP waits for all ranks to take it in.
    wanted: Cell<bool>,
    /// Whether SIGHUP was among it.
    asked: Cell<bool>,
    /// Whether it was said that nobody takes it in.
    is_told: Cell<bool>,
    /// Whether all of several ranks try a step again that fails on one.
    retries_together: Cell<bool>,
}

/// What an attempt came to.
enum Tried {
    /// New texts or settings are in effect.
    Swapped(Reloaded),
    /// What is on disk is what runs.
    Same,
    /// A file was written meanwhile.
    Unsettled,
}

/// What is on disk, checked.
enum Read {
    /// A file was written meanwhile.
    Unsettled,
    /// What runs already; settings may have been noted.
    Same(Plan),
    /// Something else.
    New(Prepared, Plan),
}

/// A fit or a call of a hot function under way.
pub(crate) struct Busy {
    hot: Rc<Hot>,
    is_fit: bool,
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.hot.busy.set(self.hot.busy.get() - 1);
        self.hot.fits.set(self.hot.fits.get() - u32::from(self.is_fit));
    }
}

impl Hot {
    /// Lets the scripts of an engine reload, from its next run on.
    pub(crate) fn install(host: &Host, program: &Program, options: HotOptions) -> Rc<Hot> {
        let HotOptions { watch, color, settings, replay } = options;
        let live = settings.map(|(choose, params, config, files)| Live::new(choose, params, config, files));
        let mut files = program.files();
        files.extend(live.iter().flat_map(|l| l.files.clone()));
        let watch = watch.map(|mode| Watch::start(mode, files));
        if let Some(why) = watch.as_ref().and_then(|w| w.polls.as_ref()) {
            log::say(&format!("watching by looking at the files now and then: {why}"));
        }
        let hot = Hot {
            watch,
            color,
            live: RefCell::new(live),
            replay,
            waiting: RefCell::default(),
            failure: RefCell::default(),
            held: RefCell::default(),
            options: RefCell::default(),
            busy: Cell::new(0),
            fits: Cell::new(0),
            marked: Cell::new(false),
            fresh: Cell::new(false),
            waits: Cell::new(false),
            again: Cell::new(false),
            open: RefCell::default(),
            wanted: Cell::new(false),
            asked: Cell::new(false),
            is_told: Cell::new(false),
            retries_together: Cell::new(false),
        };
        host.put(hot)
    }

    /// Where edits come from instead of the disk.
    pub fn replay(&self) -> Option<&Replay> {
        self.replay.as_ref()
    }

    /// Where the text on disk is not the code that runs, as far as is known: `train.rhai:14`.
    pub fn stale(&self) -> Option<String> {
        let waits = || self.waiting.borrow().first().map(|w| format!("{}:{}", short(&w.shown), w.line));
        self.failure.borrow().as_ref().map(|(_, place)| place.clone()).or_else(waits)
    }

    /// Whether a failed step waits to be tried again.
    pub(crate) fn waits(&self) -> bool {
        self.waits.get()
    }

    /// Has a failed step that waits tried again, with whatever runs now.
    pub(crate) fn try_again(&self) {
        self.again.set(self.waits.get());
    }

    /// Why what is on disk was not taken in, as far as is known.
    pub(crate) fn refused(&self) -> Option<String> {
        let held = self.held.borrow().as_ref().map(|(_, e)| e.render(false));
        held.or_else(|| self.failure.borrow().as_ref().map(|(plain, _)| plain.clone()))
    }

    pub(crate) fn opened(&self, run: &Run) {
        *self.open.borrow_mut() = Some(run.downgrade());
    }

    pub(crate) fn busy(self: &Rc<Self>, is_fit: bool) -> Busy {
        self.busy.set(self.busy.get() + 1);
        self.fits.set(self.fits.get() + u32::from(is_fit));
        Busy { hot: self.clone(), is_fit }
    }

    // ---- boundaries

    /// The boundary between two steps of a fit.
    ///
    /// # Errors
    /// An interrupt at the end of a replay; what a replay cannot do again. An edit that cannot be taken in is none.
    pub(crate) fn between(&self, at: &Boundary) -> Result<()> {
        // A fit inside a step of another fit is a part of that step.
        if self.fits.get() > 1 { Ok(()) } else { self.boundary(at) }
    }

    /// The boundary that a script marks itself.
    ///
    /// # Errors
    /// As [`Hot::between`].
    pub(crate) fn mark(&self, program: &Rc<Program>, rhai: &rhai::Engine) -> Result<()> {
        self.marked.set(true);
        if self.busy.get() > 0 {
            return Ok(());
        }
        let run = self.open_run();
        self.boundary(&Boundary { program, rhai, run: run.as_ref() })
    }

    /// Calls a function by `call`; the moment before an outermost call is a boundary, unless the script marks those itself.
    ///
    /// # Errors
    /// What the function threw.
    pub(crate) fn call(
        self: &Rc<Self>,
        program: &Rc<Program>,
        rhai: &rhai::Engine,
        unit: &str,
        mut args: Vec<Dynamic>,
        call: &dyn Fn(Vec<Dynamic>) -> Result<Dynamic, Box<EvalAltResult>>,
    ) -> Result<Dynamic, Box<EvalAltResult>> {
        if self.busy.get() > 0 {
            return call(args);
        }
        let here = |e: Error| into_script(e, None, Position::NONE);
        let run = self.open_run();
        let at = Boundary { program, rhai, run: run.as_ref() };
        if !self.marked.get() {
            self.boundary(&at).map_err(here)?;
        }
        let _busy = self.busy(false);
        // Scripts may throw to end their loop: only what a new version throws at once is taken for a mistake.
        let random = if self.fresh.get() && (self.watch.is_some() || self.replay.is_some()) { Some(rng::save().map_err(here)?) } else { None };
        loop {
            let tag = program.current().units.get(unit).map(|u| u.tag.clone()).unwrap_or_default();
            let thrown = match call(if random.is_some() { args.clone() } else { std::mem::take(&mut args) }) {
                Ok(value) => {
                    self.fresh.set(false);
                    return Ok(value);
                }
                Err(thrown) => thrown,
            };
            let Some(random) = &random else { return Err(thrown) };
            let error = program.explain(&tag, &thrown);
            if error.is_interrupt() {
                return Err(thrown);
            }
            rng::restore(random).map_err(here)?;
            match self.failed(&at, &Failure { error: &error, what: "step", has_changed_state: false }).map_err(here)? {
                Retry::Again => {}
                Retry::Stop => return Err(thrown),
            }
        }
    }

    fn open_run(&self) -> Option<Run> {
        self.open.borrow().as_ref()?.upgrade()
    }

    fn boundary(&self, at: &Boundary) -> Result<()> {
        if let Some(run) = at.run {
            run.run().arrive();
            catch_up(at, run);
        }
        if let Some(replay) = &self.replay {
            return replay
                .boundary(at, &|prepared, settings| self.put(at, prepared, settings).map(|(reloaded, _)| self.say_waiting(at, &reloaded.waiting)));
        }
        if let Some(d) = dist::at_work() {
            return self.together(at, d);
        }
        let asked = interrupt::take_reload();
        if asked || self.watch.as_ref().is_some_and(Watch::rang) {
            self.attempt(at, asked);
        } else if self.held.borrow().as_ref().is_some_and(|(since, _)| since.elapsed() >= GRACE) {
            self.report(at);
        }
        Ok(())
    }

    /// Reloads now, between two steps. `None` when what is on disk is what runs already.
    ///
    /// # Errors
    /// What is wrong with the texts on disk.
    pub(crate) fn reload(&self, at: &Boundary) -> Result<Option<Reloaded>> {
        for _ in 0..TRIES {
            match self.swap(at)? {
                Tried::Unsettled => std::thread::sleep(TRY),
                Tried::Same => return Ok(None),
                Tried::Swapped(reloaded) => return Ok(Some(reloaded)),
            }
        }
        Err(Error::run("the scripts are still being written").help("reload again when they are saved"))
    }

    /// Tries to take in what is on disk; whether that mends a step that failed: other texts, or a save of those that run. A save of another script beside
    /// them does not. An error is kept back for a moment unless `now`.
    fn attempt(&self, at: &Boundary, now: bool) -> bool {
        let tried = if now { self.reload(at).map(|new| new.map_or(Tried::Same, Tried::Swapped)) } else { self.swap(at) };
        match tried {
            Ok(Tried::Unsettled) => false,
            Ok(tried) => self.was_saved() || now || matches!(tried, Tried::Swapped(_)),
            Err(e) => {
                *self.held.borrow_mut() = Some((Instant::now(), e));
                if now {
                    self.report(at);
                }
                false
            }
        }
    }

    /// Whether a file of the program was saved since the last time this was asked.
    fn was_saved(&self) -> bool {
        self.watch.as_ref().is_some_and(Watch::saved)
    }

    /// Shows the error that was kept back, once, and marks the log lines.
    fn report(&self, at: &Boundary) {
        let Some((_, error)) = self.held.borrow_mut().take() else { return };
        let (plain, place) = (error.render(false), place_of(&error));
        if let Some(run) = at.run {
            run.run().set_stale(Some(place.clone()));
        }
        let before = self.failure.replace(Some((plain.clone(), place)));
        if before.is_some_and(|(said, _)| said == plain) {
            return;
        }
        self.show(at, &error);
        let how = if self.watch.is_some() { "the next save is tried again" } else { "send SIGHUP again when it is mended" };
        at.say(&format!("not reloaded: the last good version goes on; {how}"));
    }

    fn show(&self, at: &Boundary, error: &Error) {
        match at.run {
            Some(run) => run.run().show(error, self.color),
            None => log::show(error, self.color),
        }
    }

    // ---- swaps

    fn swap(&self, at: &Boundary) -> Result<Tried> {
        Ok(match self.read(at)? {
            Read::Unsettled => Tried::Unsettled,
            Read::Same(plan) => {
                self.same(at, plan);
                Tried::Same
            }
            Read::New(prepared, plan) => {
                let (reloaded, recorded) = self.put(at, prepared, &plan.apply)?;
                self.took(at, &reloaded, plan, recorded.as_deref());
                Tried::Swapped(reloaded)
            }
        })
    }

    /// Reads what is on disk, and checks it.
    fn read(&self, at: &Boundary) -> Result<Read> {
        let before = self.config_texts();
        // What constants and settings draw at random changes nothing in the training.
        let (prepared, plan) = rng::apart(|| {
            let prepared = at.program.prepare(at.rhai)?;
            let plan = match &*self.live.borrow() {
                Some(live) => live.plan(at.program.trying(&prepared, || Params::read(at.program, at.rhai))?)?,
                None => Plan::default(),
            };
            Ok((prepared, plan))
        })?;
        if !prepared.is_settled() || self.config_texts() != before {
            return Ok(Read::Unsettled);
        }
        *self.held.borrow_mut() = None;
        Ok(if prepared.changed.is_empty() && plan.apply.is_empty() { Read::Same(plan) } else { Read::New(prepared, plan) })
    }

    /// What is on disk is what runs.
    fn same(&self, at: &Boundary, plan: Plan) {
        if self.clear(at) {
            at.say("the scripts on disk are those that run again");
        }
        self.accept(at, plan);
    }

    /// What is on disk runs now.
    fn took(&self, at: &Boundary, reloaded: &Reloaded, plan: Plan, recorded: Option<&Path>) {
        self.clear(at);
        at.say(&message(at, reloaded, &plan.apply, recorded));
        self.say_waiting(at, &reloaded.waiting);
        self.accept(at, plan);
    }

    fn accept(&self, at: &Boundary, plan: Plan) {
        let notes = self.live.borrow_mut().as_mut().map(|live| live.accept(plan)).unwrap_or_default();
        notes.iter().for_each(|note| at.say(note));
    }

    /// Records an edit and puts it into effect. Returns the folder of edits it was recorded in.
    ///
    /// # Errors
    /// When it cannot be recorded: nothing has changed then.
    fn put(&self, at: &Boundary, prepared: Prepared, settings: &[SettingChange]) -> Result<(Reloaded, Option<PathBuf>)> {
        let waiting = at.program.would_wait(at.rhai, &prepared);
        let mut recorded = None;
        if let Some(run) = at.run {
            let functions = prepared.changed.iter().map(|c| (c.unit.clone(), c.functions.clone())).collect();
            let at_restart = waiting.iter().map(ToString::to_string).collect();
            let edit =
                NewEdit { sources: Some(prepared.recorded()), functions, settings: settings.to_vec(), at_restart, ..NewEdit::new(Kind::Reload) };
            let edit = run.run().record_edit(edit)?;
            recorded = edit.and_then(|e| e.folder(run.run().dir()).parent().map(Path::to_owned));
            for change in settings {
                if !run.change_setting(change) {
                    at.say(&format!("`run.cfg.{}` was set by the script and stays as it is", change.name));
                }
            }
        }
        self.options.borrow_mut().extend_from_slice(settings);
        let reloaded = at.program.commit(prepared, waiting);
        if let Some(run) = at.run {
            run.set_seen(reloaded.generation);
        }
        if let Some(watch) = &self.watch {
            let mut files = at.program.files();
            files.extend(self.live.borrow().iter().flat_map(|l| l.files.clone()));
            watch.set_files(files);
        }
        self.fresh.set(true);
        Ok((reloaded, recorded))
    }

    /// Says what of the newest texts waits for a restart, and has not been said to.
    fn say_waiting(&self, at: &Boundary, waiting: &[Waiting]) {
        let said = self.waiting.replace(waiting.to_vec());
        let is_known = |w: &Waiting| said.iter().any(|s| s.shown == w.shown && s.what == w.what && s.why == w.why);
        let new: Vec<&Waiting> = waiting.iter().filter(|w| !is_known(w)).collect();
        for w in new.iter().take(SHOWN) {
            at.say(&format!("  {w}"));
        }
        if new.len() > SHOWN {
            at.say(&format!("  and {} more", new.len() - SHOWN));
        }
        if waiting.is_empty() && !said.is_empty() {
            at.say("nothing waits for a restart any more: all of the scripts on disk is what runs");
        }
        if let Some(run) = at.run {
            run.run().set_stale(self.stale());
        }
    }

    /// Forgets the last error; whether there was one.
    fn clear(&self, at: &Boundary) -> bool {
        let was = self.failure.borrow_mut().take().is_some();
        if let Some(run) = at.run {
            run.run().set_stale(self.stale());
        }
        was
    }

    fn config_texts(&self) -> Vec<Option<Vec<u8>>> {
        self.live.borrow().iter().flat_map(|l| &l.files).map(|f| files::read(f).ok()).collect()
    }

    // ---- what the fit loop asks

    /// Whether a step that fails may be tried again, or at least is new.
    pub(crate) fn may_retry(&self) -> bool {
        self.watch.is_some() || self.replay.is_some() || self.fresh.get() || self.retries_together.get()
    }

    /// A step went well.
    pub(crate) fn step_done(&self) {
        self.fresh.set(false);
    }

    /// Before a log line: whether the scripts on disk are those that run. A watch knows; without one, the files tell.
    pub(crate) fn look(&self, at: &Boundary) {
        let Some(run) = at.run.filter(|r| r.run().is_owner()) else { return };
        let on_disk = || {
            let (shown, line) = at.program.stale_place()?;
            Some(format!("{}:{line}", short(&shown)))
        };
        let unwatched = self.watch.is_none() && self.replay.is_none();
        run.run().set_stale(self.stale().or_else(|| if unwatched { on_disk() } else { None }));
    }

    /// Takes settings that changed over into the options of a fit: those that had the setting's value.
    pub(crate) fn change_options(&self, options: &mut FitOptions) {
        for change in self.options.borrow_mut().drain(..) {
            let (Some(old), Some(new)) = (change.old.as_u64(), change.new.as_u64()) else { continue };
            let option = match change.name.as_str() {
                "log_every" => &mut options.log_every,
                "save_every" | "checkpointing_steps" => &mut options.save_every,
                "sample_every" | "sampling_steps" => &mut options.sample_every,
                "steps" | "max_train_steps" => &mut options.steps,
                _ => continue,
            };
            if *option == old {
                *option = new;
            }
        }
    }

    /// A step failed: with a watch the next save is waited for, in a replay the next edit is taken.
    ///
    /// # Errors
    /// An interrupt while it waits.
    pub(crate) fn failed(&self, at: &Boundary, failure: &Failure) -> Result<Retry> {
        if let Some(run) = at.run {
            run.run().arrive();
        }
        if let Some(replay) = &self.replay {
            return replay
                .failed(at, &|prepared, settings| self.put(at, prepared, settings).map(|(reloaded, _)| self.say_waiting(at, &reloaded.waiting)));
        }
        let Some(watch) = &self.watch else { return Ok(Retry::Stop) };
        self.show(at, failure.error);
        if failure.has_changed_state {
            at.say(&format!(
                "`{}` had changed weights or an optimizer before it failed: when it is tried again, it goes on from there",
                failure.what
            ));
        }
        at.say(&format!("`{}` is tried again at the next save, with the same batch and random numbers; Ctrl-C stops", failure.what));
        self.waits.set(true);
        let retry = self.wait(at, watch);
        self.waits.set(false);
        retry
    }

    /// Waits for a save that mends a failed step, and answers attached prompts meanwhile.
    fn wait(&self, at: &Boundary, watch: &Watch) -> Result<Retry> {
        self.again.set(false);
        loop {
            if interrupt::pending() {
                return Err(interrupt::stopped());
            }
            if let Some(run) = at.run {
                run.answer(&At { rhai: at.rhai, program: at.program, host: at.program.host() }, true)?;
            }
            if self.again.take() {
                return Ok(Retry::Again);
            }
            let asked = interrupt::take_reload();
            if watch.wait(WAIT) || asked {
                if self.attempt(at, asked) {
                    return Ok(Retry::Again);
                }
            } else if self.held.borrow().as_ref().is_some_and(|(since, _)| since.elapsed() >= GRACE) {
                self.report(at);
            }
        }
    }
}

/// Records what was reloaded while another run was at work.
fn catch_up(at: &Boundary, run: &Run) {
    let current = at.program.current();
    if run.seen() == current.number {
        return;
    }
    run.set_seen(current.number);
    let edit = NewEdit { sources: Some(current.recorded()), ..NewEdit::new(Kind::Reload) };
    if let Err(e) = run.run().record_edit(edit) {
        run.run().warn(&format!("{e}; `lathe replay` cannot train this run again"));
    }
}

/// Where an error is, as log lines name it: `train.rhai:14`.
fn place_of(error: &Error) -> String {
    let file = |path: &Path| path.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into_owned());
    match error.kind() {
        ErrorKind::Script(d) => match d.labels.first() {
            Some(label) => format!("{}:{}", short(&label.file), label.line),
            None => "scripts".into(),
        },
        ErrorKind::Io { path, .. } | ErrorKind::Data { path, .. } => file(path),
        // A value in a configuration file has its place in front.
        _ => error.contexts().last().map_or_else(|| "settings".into(), |c| short(c)),
    }
}

/// A script's name without the folders it was found in.
fn short(shown: &str) -> String {
    if shown.starts_with("std/") { shown.to_owned() } else { shown.rsplit('/').next().unwrap_or(shown).to_owned() }
}

/// `reloaded train.rhai in 6 ms at step 1 262 (2 functions changed); recorded in exps/try1/edits/`.
fn message(at: &Boundary, reloaded: &Reloaded, settings: &[SettingChange], recorded: Option<&Path>) -> String {
    let scripts: Vec<String> = reloaded.changed.iter().map(|c| short(&c.shown)).collect();
    let functions: usize = reloaded.changed.iter().map(functions_of).sum();
    let settings = settings.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let step = at.run.map_or(String::new(), |r| format!(" at step {}", crate::progress::grouped(r.run().step(), ' ')));
    let recorded = recorded.map_or(String::new(), |p| format!("; recorded in {}/", p.display()));
    if scripts.is_empty() {
        return format!("changed {settings}{step}{recorded}");
    }
    let scripts = if scripts.len() > 3 { format!("{} scripts", scripts.len()) } else { scripts.join(", ") };
    let changed = functions;
    let functions = match functions {
        0 => "no function changed".to_owned(),
        1 => "1 function changed".to_owned(),
        n => format!("{n} functions changed"),
    };
    let waiting = reloaded.changed.iter().flat_map(|c| c.functions.iter().map(move |f| (c, f))).filter(|(c, f)| waits(reloaded, c, f)).count();
    let (what, waiting) = match waiting {
        0 => ("reloaded", String::new()),
        n if n == changed && settings.is_empty() => ("read", ", in effect only after a restart".to_owned()),
        n => ("reloaded", format!(", {n} in effect only after a restart")),
    };
    let settings = if settings.is_empty() { settings } else { format!("; {settings}") };
    format!("{what} {scripts} in {:.0} ms{step} ({functions}{waiting}{settings}){recorded}", (reloaded.seconds * 1e3).max(1.0))
}

/// Whether a changed function is not in effect at all.
fn waits(reloaded: &Reloaded, change: &UnitChange, function: &str) -> bool {
    let last = function.rsplit(": ").next().unwrap_or(function);
    let name = last.split('(').next().unwrap_or(last);
    reloaded.waiting.iter().any(|w| w.shown == change.shown && !w.is_partly && w.what.trim_matches('`') == name)
}

fn functions_of(change: &UnitChange) -> usize {
    change.functions.len()
}
