//! A run: its folder, what it tracks, its step and clock, and where its numbers and pictures go.

mod edited;
mod ended;
mod open;
mod resume;
mod said;
mod save;

use super::allowed::Allowed;
use super::checkpoint::{self, Checkpoint};
use super::console::Console;
use super::edits::{Lineage, Start};
use super::events::Events;
use super::keep::{self, Keep};
use super::log;
use super::metrics::{self, Window};
use super::sources::Sources;
use super::status::{self, Phase, Status};
use super::tracked::{Saved, Tracked};
use crate::dist;
use crate::error::{Error, Result, did_you_mean};
use crate::files::{self, Held};
use crate::origin::Made;
use crate::torch::Tensor;
use indexmap::IndexMap;
use serde_json::{Map, Value};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::{Rc, Weak};
use std::sync::Mutex;
use std::time::Instant;

use open::NewConfig;

pub use ended::{ended, ending};

/// How a run is opened.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The folder of runs.
    pub output_dir: PathBuf,
    /// The run's own folder in it.
    pub name: String,
    /// Seeds all random generators before anything else is made.
    pub seed: i64,
    /// All settings.
    pub config: Map<String, Value>,
    /// Where each setting came from, for comments in `config.toml`.
    pub origins: HashMap<String, String>,
    /// The command line.
    pub command: Vec<String>,
    /// The script, for the table of runs.
    pub script: String,
    /// Every script used.
    pub sources: Sources,
    /// The settings that the started script got, where those are not `config`.
    pub settings: Option<Map<String, Value>>,
    /// How often the scripts were reloaded in this process.
    pub reloads: u64,
    /// What may differ when it goes on, even of what decides what the numbers mean.
    pub allowed: Allowed,
    /// What a recorded run was made from that is repeated; empty where none is.
    pub expected: Made,
    /// Which checkpoints stay.
    pub keep: Keep,
    /// Go on from the checkpoint of this step, not from the newest one.
    pub resume_step: Option<u64>,
}

/// The name under which `fit` tracks its loader; the only one that may come after `resume`.
pub(super) const LOADER: &str = "loader";

/// The folders of the open runs of this process.
static OPEN: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

thread_local! {
    /// The run that this thread opened last.
    static LAST: RefCell<Option<(PathBuf, Weak<Inner>)>> = const { RefCell::new(None) };
}

/// A shared handle to an open run. The folder is locked until the last handle is dropped.
#[derive(Clone)]
pub struct OpenRun(Rc<Inner>);

struct Inner {
    dir: PathBuf,
    name: String,
    config: Map<String, Value>,
    seed: i64,
    allowed: Allowed,
    expected: Made,
    /// What it is made from.
    made_from: RefCell<Made>,
    /// What of that is another content than it was, for the record.
    replaced: RefCell<Vec<String>>,
    keep: Cell<Keep>,
    is_prune_said: Cell<bool>,
    resume_step: Option<u64>,
    /// The step that the run was last made to go back to.
    back_to: Cell<Option<u64>>,
    tracked: RefCell<IndexMap<String, Rc<dyn Tracked>>>,
    step: Cell<u64>,
    in_step: Cell<bool>,
    is_training: Cell<bool>,
    /// What all ranks heard after the last step.
    heard: Cell<dist::Word>,
    /// Whether the script was told to stop.
    stops: Cell<bool>,
    /// Scripts, settings and edits in effect.
    lineage: RefCell<Lineage>,
    /// How this process began to work on it.
    start: Start,
    /// The last step that was arrived at, and how often before.
    arrived: Cell<Option<(u64, u64)>>,
    /// Where the text on disk is not the code that runs: `train.rhai:14`.
    stale: RefCell<Option<String>>,
    /// Seconds of training before this process.
    base: Cell<f64>,
    /// When this process began to train; unset until the run is resumed.
    since: Cell<Option<Instant>>,
    saved_at: Cell<Option<u64>>,
    /// What the run went on from, until the next checkpoint: for a loader that is tracked only now.
    restored: RefCell<Option<Checkpoint>>,
    owed: RefCell<Option<Saved>>,
    window: RefCell<Window>,
    metrics: RefCell<Option<metrics::Log>>,
    events: RefCell<Option<Events>>,
    /// What was logged before it was known at which step the run goes on.
    early: RefCell<Vec<Vec<(String, f64)>>>,
    /// The settings of a run that goes on, written down when it is known that it can.
    new_config: RefCell<Option<NewConfig>>,
    status: RefCell<Status>,
    console: RefCell<Option<Console>>,
    /// Step and clock of the last line that a loop of the script's own logged.
    logged: Cell<Option<(u64, f64)>>,
    _log: log::Attached,
    /// Of the process that owns the folder. A rank that follows another writes nothing but its own log.
    lock: Option<status::Lock>,
    /// By what right its folder is written.
    _held: Held,
}

impl OpenRun {
    /// Whether this process writes its folder: of several ranks the first.
    pub fn is_owner(&self) -> bool {
        self.0.lock.is_some()
    }

    /// Its folder.
    pub fn dir(&self) -> &Path {
        &self.0.dir
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Its settings.
    pub fn config(&self) -> &Map<String, Value> {
        &self.0.config
    }

    /// The 0-based step: inside a step the one being done, outside how many are done.
    pub fn step(&self) -> u64 {
        self.0.step.get()
    }

    /// Sets how many steps are done: for loops of one's own.
    pub fn set_step(&self, step: u64) {
        self.0.step.set(step);
    }

    /// Seconds of training so far, over all restarts, without the time in between.
    pub fn seconds(&self) -> f64 {
        self.0.base.get() + self.0.since.get().map_or(0.0, |t| t.elapsed().as_secs_f64())
    }

    /// The number of the last edit in effect; 0 while the run is as it began.
    pub fn edit(&self) -> u64 {
        self.0.lineage.borrow().number
    }

    /// The scripts in effect.
    pub fn sources(&self) -> Sources {
        self.0.lineage.borrow().sources.clone()
    }

    /// Which checkpoints stay from now on.
    pub fn set_keep(&self, keep: Keep) {
        self.0.keep.set(keep);
    }

    /// Lets the checkpoint of the present step stay under `name`, in the place of the one that had it: neither `keep_last` nor `keep_every`
    /// removes it. It need not be written yet.
    ///
    /// # Errors
    /// `E0301` when the system refuses.
    pub fn keep_as(&self, name: &str) -> Result<()> {
        if self.is_owner() { keep::pin(&self.checkpoints(), name, self.step()) } else { Ok(()) }
    }

    /// Says what it is made from, by the settings that name it: `data_dir`, `vae_ckpt`. Checkpoints keep it, and a run goes on only with the same, unless
    /// another was allowed.
    ///
    /// # Errors
    /// `E0202` when the run already goes on from a checkpoint.
    pub fn set_made_from(&self, made_from: Made) -> Result<()> {
        if self.0.since.get().is_some() {
            return Err(Error::value("made_from", "comes too late: the run has begun").help("say it before `fit`, `resume` or `save`"));
        }
        self.0.made_from.borrow_mut().extend(made_from);
        Ok(())
    }

    /// What may differ from what it was begun with.
    pub fn allowed(&self) -> &Allowed {
        &self.0.allowed
    }

    // ---- what it tracks

    /// Registers an object that checkpoints hold, under a name of letters, digits, `_` and `-`.
    ///
    /// # Errors
    /// `E0202` for a name that is taken or no file name, or when the run already goes on from a checkpoint.
    pub fn track(&self, name: &str, object: Rc<dyn Tracked>) -> Result<()> {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if name.is_empty() || name.starts_with(['_', '-']) || !name.chars().all(fits) || name.len() > 100 {
            return Err(
                Error::value("track", format!("`{name}` is no name for a tracked object")).help("letters, digits, `_` and `-`, a letter first")
            );
        }
        if self.0.tracked.borrow().contains_key(name) {
            return Err(Error::value("track", format!("`{name}` is tracked already")));
        }
        if self.0.since.get().is_some() && (name != LOADER || self.step() > 0) {
            match &*self.0.restored.borrow() {
                Some(c) if name == LOADER => self.put_back(c, name, &*object)?,
                _ => {
                    return Err(Error::value("track", format!("`{name}` comes too late: the run has begun"))
                        .help("track everything before `fit`, `resume` or `save`"));
                }
            }
        }
        self.0.tracked.borrow_mut().insert(name.to_owned(), object);
        Ok(())
    }

    /// Whether an object of that name is tracked.
    pub fn tracks(&self, name: &str) -> bool {
        self.0.tracked.borrow().contains_key(name)
    }

    /// The object `name` for a message about another one.
    pub fn nearest(&self, name: &str) -> String {
        did_you_mean(name, self.0.tracked.borrow().keys().map(String::as_str))
    }

    /// How often each tensor that a checkpoint would hold was changed in place: equal when nothing happened to any of them.
    pub(in crate::train) fn versions(&self) -> Result<Vec<i64>> {
        let mut versions = Vec::new();
        for object in self.0.tracked.borrow().values() {
            versions.extend(object.versions()?);
        }
        Ok(versions)
    }

    /// The tensors that a checkpoint would hold.
    pub(in crate::train) fn tensors(&self) -> Result<Vec<Tensor>> {
        let mut all = Vec::new();
        for object in self.0.tracked.borrow().values() {
            all.extend(object.save()?.tensors.into_values());
        }
        Ok(all)
    }

    /// Runs `f` and puts everything that is tracked back as it was.
    ///
    /// # Errors
    /// What `f` returns; `E0201` when there is no memory for a copy of all of it.
    pub fn unchanged<T>(&self, f: impl FnOnce() -> Result<T>) -> Result<T> {
        let tracked: Vec<_> = self.0.tracked.borrow().values().cloned().collect();
        let copied = |object: &Rc<dyn Tracked>| {
            let saved = object.save()?;
            let tensors = saved.tensors.into_iter().map(|(name, t)| Ok((name, t.copy()?))).collect::<Result<_>>()?;
            Ok(Saved { tensors, meta: saved.meta })
        };
        let before: Vec<Saved> = tracked.iter().map(copied).collect::<Result<_>>()?;
        let result = f();
        for (object, saved) in tracked.iter().zip(&before) {
            object.restore(saved)?;
        }
        result
    }

    /// Says that its steps are being done, until the answer is dropped.
    ///
    /// # Errors
    /// `E0601` when they are already.
    pub(in crate::train) fn begin_training(&self) -> Result<Training> {
        if self.0.is_training.replace(true) {
            return Err(Error::run(format!("the run `{}` is being trained already: `fit` was called inside of its own steps", self.name()))
                .help("end the step first, or train another run: `train::run(cfg + #{ exp_name: \"other\" })`"));
        }
        Ok(Training(self.clone()))
    }

    /// Whether `fit` does its steps.
    pub fn is_training(&self) -> bool {
        self.0.is_training.get()
    }

    /// What all ranks heard last, before the boundary that comes: whether edits wait, or somebody at a prompt.
    pub fn heard(&self) -> dist::Word {
        self.0.heard.get()
    }

    /// Notes what all ranks heard.
    pub fn set_heard(&self, word: dist::Word) {
        self.0.heard.set(word);
    }

    /// What is tracked, by name.
    pub(in crate::train) fn tracked(&self) -> Vec<(String, Rc<dyn Tracked>)> {
        self.0.tracked.borrow().iter().map(|(name, object)| (name.clone(), object.clone())).collect()
    }

    pub(in crate::train) fn set_in_step(&self, on: bool) {
        self.0.in_step.set(on);
    }

    // ---- what it is doing

    pub(in crate::train) fn update_status(&self, change: impl FnOnce(&mut Status)) -> Result<()> {
        let mut status = self.0.status.borrow_mut();
        // Before it goes on, the table shows how far it had come.
        if self.0.since.get().is_some() {
            status.step = self.step();
            status.seconds = self.seconds();
        }
        status.updated = files::unix_time();
        change(&mut status);
        if self.is_owner() { status.write(self.dir()) } else { Ok(()) }
    }

    /// Whether Ctrl-C or SIGTERM asked to stop; what asks then stops by itself. Of several ranks all hear it, and all must ask.
    ///
    /// # Errors
    /// `E0802` when another rank is gone.
    pub fn stopping(&self) -> Result<bool> {
        let stops = match dist::at_work() {
            Some(d) => d.say(dist::Word { stop: crate::interrupt::pending(), ..dist::Word::default() })?.hear()?.stop,
            None => crate::interrupt::pending(),
        };
        self.0.stops.set(stops);
        Ok(stops)
    }

    /// Marks the run as finished, in the table of runs, or as stopped where [`OpenRun::stopping`] said so last. Steps that no checkpoint
    /// holds are saved.
    ///
    /// # Errors
    /// `E0301` when the system refuses.
    pub fn finish(&self) -> Result<()> {
        let inner = &*self.0;
        let has_state = self.step() > 0 || !inner.tracked.borrow().is_empty();
        // Where the run was never resumed, checkpoints of an earlier start are not of these steps.
        let is_own = || Ok(inner.since.get().is_some() || checkpoint::list(&self.checkpoints())?.is_empty());
        if has_state && !inner.in_step.get() && !self.is_saved() && is_own()? {
            self.save()?;
        }
        let state = if inner.stops.get() { Phase::Stopped } else { Phase::Finished };
        self.update_status(|s| s.state = state)
    }

    /// Marks the run as stopped or failed, in the table of runs.
    pub(in crate::train) fn end_with(&self, e: &Error) {
        let (state, error) = if e.is_asked() { (Phase::Stopped, None) } else { (Phase::Failed, Some(e.to_string())) };
        // The error itself is on its way to the user and matters more than this note.
        let _ = self.update_status(|s| (s.state, s.error) = (state, error));
    }
}

/// The steps of a run, while they are being done.
pub(in crate::train) struct Training(OpenRun);

impl Drop for Training {
    fn drop(&mut self) {
        self.0.0.is_training.set(false);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Ok(mut open) = OPEN.lock() {
            open.retain(|dir| *dir != self.dir);
        }
        let status = self.status.get_mut();
        if status.state == Phase::Running && self.lock.is_some() {
            status.state = Phase::Stopped;
            // Nobody is left to tell.
            let _ = status.write(&self.dir);
        }
    }
}
