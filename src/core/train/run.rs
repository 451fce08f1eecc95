//! A run: its folder, what it tracks, its step and clock, and where its numbers and pictures go.

use super::allowed::Allowed;
use super::checkpoint::{self, Checkpoint, Head, Part};
use super::console::Console;
use super::edits::{self, Edit, Kind, Lineage, NewEdit, Start};
use super::events::Events;
use super::keep::{self, Keep};
use super::metrics::{self, Metrics, Window};
use super::settings;
use super::sources::Sources;
use super::status::{self, Phase, Status};
use super::tracked::{Saved, Tracked};
use super::{env, images, log, rewind, rng};
use crate::dist::{self, Alone};
use crate::error::{Diagnostic, Error, Result, did_you_mean};
use crate::files::{self, Held};
use crate::origin::{self, Made};
use crate::torch::{Tensor, bridge::manual_seed};
use indexmap::IndexMap;
use serde_json::{Map, Value};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::{Rc, Weak};
use std::sync::Mutex;
use std::time::Instant;

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
    /// Opens or creates a run folder, locks it, writes down how it was started, and seeds the generators. An existing run goes on:
    /// settings that differ are shown, and refused where the numbers in its checkpoints would mean something else.
    ///
    /// # Errors
    /// `E0101` for a name that is no folder name or for settings that do not fit the run, `E0601` when another process works on it,
    /// `E0301` when the system refuses.
    pub fn open(o: Options) -> Result<OpenRun> {
        super::name::check(&o.name)?;
        agree(&o)?;
        match dist::alone("train::run", || Self::own(o.clone()))? {
            Alone::Done(run) => Ok(run),
            Alone::Waited => Self::follow(o),
        }
    }

    /// The run in the process that owns its folder.
    fn own(o: Options) -> Result<OpenRun> {
        let dir = o.output_dir.join(&o.name);
        files::create_dir(&dir)?;
        let lock = status::lock(&dir)?;
        let checkpoints = dir.join("checkpoints");
        checkpoint::recover(&checkpoints)?;
        let log = log::attach(&dir.join("log.txt"))?;
        let new_config = accept_settings(&dir, &o)?;
        settings::add_command(&dir, &o.command)?;
        env::write(&dir)?;
        edits::recover(&dir)?;
        Self::assemble(o, dir, log, Some(lock), new_config)
    }

    /// The run in a rank beside the one that owns its folder.
    fn follow(o: Options) -> Result<OpenRun> {
        let dir = o.output_dir.join(&o.name);
        let logs = dir.join("logs");
        files::create_dir(&logs)?;
        let log = log::attach(&logs.join(format!("rank-{}.txt", dist::rank())))?;
        Self::assemble(o, dir, log, None, None)
    }

    fn assemble(o: Options, dir: PathBuf, log: log::Attached, lock: Option<status::Lock>, new_config: Option<NewConfig>) -> Result<OpenRun> {
        let checkpoints = dir.join("checkpoints");
        let start = Start {
            config: o.config.clone(),
            settings: o.settings,
            threads: crate::torch::num_threads(),
            ranks: dist::size(),
            dist: dist::at_work().map(|d| d.options.recorded()).unwrap_or_default(),
            folder: std::env::current_dir().unwrap_or_default(),
            reloads_before: o.reloads,
            made_from: Made::new(),
        };
        if lock.is_some() && (checkpoint::list(&checkpoints)?.is_empty() || !edits::is_recorded(&dir)) {
            edits::begin(&dir, &o.sources, &start)?;
        }
        let lineage = Lineage { number: 0, sources: o.sources, config: o.config.clone(), waits: false };
        let now = files::unix_time();
        let status = Status {
            state: Phase::Running,
            script: o.script,
            pid: std::process::id(),
            started: now,
            updated: now,
            step: 0,
            steps: None,
            loss: None,
            rate: None,
            seconds: 0.0,
            ranks: dist::size(),
            error: None,
        };
        // Until it is known where the run goes on, the table shows what it did before.
        let status = match Status::read(&dir) {
            Ok(old) => Status { step: old.step, steps: old.steps, loss: old.loss, seconds: old.seconds, ..status },
            Err(_) => status,
        };
        if lock.is_some() {
            status.write(&dir)?;
        }
        manual_seed(o.seed)?;
        let run = OpenRun(Rc::new(Inner {
            dir,
            name: o.name,
            config: o.config,
            seed: o.seed,
            allowed: o.allowed,
            expected: o.expected,
            made_from: RefCell::default(),
            replaced: RefCell::default(),
            keep: Cell::new(o.keep),
            is_prune_said: Cell::default(),
            resume_step: o.resume_step,
            back_to: Cell::default(),
            tracked: RefCell::default(),
            step: Cell::new(0),
            in_step: Cell::new(false),
            is_training: Cell::new(false),
            heard: Cell::default(),
            stops: Cell::new(false),
            lineage: RefCell::new(lineage),
            start,
            arrived: Cell::new(None),
            stale: RefCell::default(),
            base: Cell::new(0.0),
            since: Cell::new(None),
            saved_at: Cell::new(None),
            restored: RefCell::default(),
            owed: RefCell::default(),
            window: RefCell::default(),
            metrics: RefCell::default(),
            events: RefCell::default(),
            early: RefCell::default(),
            new_config: RefCell::new(new_config),
            status: RefCell::new(status),
            console: RefCell::default(),
            logged: Cell::default(),
            _log: log,
            lock,
            _held: Held::here(),
        }));
        if run.is_owner() {
            if let Ok(mut open) = OPEN.lock() {
                open.push(run.dir().to_owned());
            }
            LAST.set(Some((run.dir().to_owned(), Rc::downgrade(&run.0))));
        }
        Ok(run)
    }

    // ---- what it is

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
    pub(super) fn versions(&self) -> Result<Vec<i64>> {
        let mut versions = Vec::new();
        for object in self.0.tracked.borrow().values() {
            versions.extend(object.versions()?);
        }
        Ok(versions)
    }

    /// The tensors that a checkpoint would hold.
    pub(super) fn tensors(&self) -> Result<Vec<Tensor>> {
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

    // ---- what it says

    /// Says a line to the user and in `log.txt`.
    pub fn say(&self, line: &str) {
        // A message of several lines is not a line of the log.
        let line = if line.contains('\n') { line.to_owned() } else { format!("{line}{}", self.stale_mark()) };
        let line = line.as_str();
        match &*self.0.console.borrow() {
            Some(console) => console.say(line),
            None => crate::space::say(line),
        }
        log::write(&format!("{line}\n"));
    }

    /// Shows an error to the user, and in `log.txt`, although the run goes on.
    pub fn show(&self, error: &Error, color: bool) {
        match &*self.0.console.borrow() {
            Some(console) => console.say(&error.render(color)),
            None => crate::progress::line(&error.render(color)),
        }
        log::write(&format!("{}\n", error.render(false)));
    }

    /// Warns the user, also in `log.txt`.
    pub fn warn(&self, line: &str) {
        self.say(&format!("warning: {line}"));
    }

    pub(super) fn console(&self) -> &RefCell<Option<Console>> {
        &self.0.console
    }

    /// The step under which something is logged: steps done, counting the one being done.
    fn log_step(&self) -> u64 {
        self.step() + u64::from(self.0.in_step.get())
    }

    /// Logs values at once: a line in `metrics.jsonl` and scalars for TensorBoard. Reads every tensor.
    ///
    /// # Errors
    /// `E0202` naming a metric that is not one number, `E0301` when the system refuses.
    pub fn log(&self, values: &Metrics) -> Result<()> {
        let values: Vec<(String, f64)> = metrics::read_all(values)?.into_iter().collect();
        if self.0.since.get().is_none() {
            self.0.early.borrow_mut().push(values);
            return Ok(());
        }
        self.write(&values)?;
        // `fit` tells the table of runs itself.
        if self.0.console.borrow().is_none() { self.tell_loss(&values) } else { Ok(()) }
    }

    /// Tells the table of runs what a loop of the script's own logged, and how fast it is.
    fn tell_loss(&self, values: &[(String, f64)]) -> Result<()> {
        let now = (self.step(), self.seconds());
        let before = self.0.logged.replace(Some(now));
        let rate = before.filter(|b| now.0 > b.0 && now.1 > b.1).map(|b| (now.0 - b.0) as f64 / (now.1 - b.1));
        let loss = values.iter().find(|(name, _)| name == "loss").map(|(_, x)| *x);
        self.update_status(|s| (s.loss, s.rate) = (loss.or(s.loss), rate.or(s.rate)))
    }

    pub(super) fn write(&self, values: &[(String, f64)]) -> Result<()> {
        let step = self.log_step();
        if let Some(log) = &mut *self.0.metrics.borrow_mut() {
            log.append(step, self.seconds(), values)?;
        }
        if let Some(events) = &mut *self.0.events.borrow_mut() {
            events.scalars(step, values)?;
        }
        crate::space::metrics(step, values);
        Ok(())
    }

    /// Adds numbers to the TensorBoard file alone.
    pub(super) fn write_events(&self, values: &[(String, f64)]) -> Result<()> {
        match &mut *self.0.events.borrow_mut() {
            Some(events) => events.scalars(self.log_step(), values),
            None => Ok(()),
        }
    }

    /// Saves a grid of pictures as `samples/step-0000500-NAME.png` and for TensorBoard; returns the path.
    /// `[B, C, H, W]`, `[C, H, W]` or `[H, W]`: u8, or float in [-1, 1].
    ///
    /// # Errors
    /// `E0202` for a tensor that is no picture or a name that is no file name, `E0301` when the system refuses.
    pub fn image(&self, name: &str, x: &Tensor) -> Result<PathBuf> {
        if name.is_empty() || name.starts_with('.') || name.contains(['/', '\\', '\0']) || name.len() > 100 {
            return Err(Error::value("image", format!("`{name}` is no file name")));
        }
        let png = images::grid(x)?;
        let folder = self.dir().join("samples");
        let path = folder.join(format!("step-{:07}-{name}.png", self.log_step()));
        if !self.is_owner() {
            return Ok(path);
        }
        files::create_dir(&folder)?;
        files::write(&path, &png.bytes)?;
        if let Some(events) = &mut *self.0.events.borrow_mut() {
            events.image(self.log_step(), name, png.width, png.height, &png.bytes)?;
        }
        Ok(path)
    }

    // ---- edits

    /// Says that the run is between two steps, where edits take effect. Returns how often it has been there with as many steps done: more
    /// than once when a step is tried again, or when a loop of the script's own does not count steps.
    pub fn arrive(&self) -> u64 {
        let visit = match self.0.arrived.get() {
            Some((step, visit)) if step == self.step() => visit + 1,
            _ => 0,
        };
        self.0.arrived.set(Some((self.step(), visit)));
        visit
    }

    /// How often it was at this boundary before, with as many steps done: see [`OpenRun::arrive`].
    pub fn visit(&self) -> u64 {
        self.0.arrived.get().map_or(0, |(step, visit)| if step == self.step() { visit } else { 0 })
    }

    /// Records an edit that takes effect now, between two steps: a folder in `edits/`, whole or not at all, and a line in
    /// `metrics.jsonl` (but not for a run that only goes on for longer, or logs more often). `None` when nothing differs from what is recorded already, or when the run has not begun: what it begins with
    /// is no edit.
    ///
    /// # Errors
    /// `E0601` inside a step, `E0301` when the system refuses, as with a full disk: nothing is recorded then.
    pub fn record_edit(&self, new: NewEdit) -> Result<Option<Edit>> {
        if self.0.in_step.get() {
            return Err(Error::run("an edit takes effect between two steps, not inside one"));
        }
        let mut line = self.0.lineage.borrow_mut();
        let sources = new.sources.unwrap_or_else(|| line.sources.clone());
        let waited = new.kind == Kind::Resume && line.waits;
        let is_same =
            line.sources.differences(&sources).is_empty() && new.settings.is_empty() && new.text.is_none() && new.effects.is_empty() && !waited;
        if self.0.since.get().is_none() {
            new.settings.iter().for_each(|s| settings::set(&mut line.config, &s.name, s.new.clone()));
            line.sources = sources;
            if self.is_owner() && checkpoint::list(&self.checkpoints())?.is_empty() {
                edits::begin(self.dir(), &line.sources, &Start { config: line.config.clone(), ..self.0.start.clone() })?;
            }
            return Ok(None);
        }
        if is_same {
            return Ok(None);
        }
        let edit = Edit {
            number: 0,
            kind: new.kind,
            step: self.step(),
            visit: self.visit(),
            time: self.seconds(),
            at: files::iso_time(files::unix_time()),
            hash: String::new(),
            changed: Vec::new(),
            settings: new.settings,
            text: new.text,
            effects: new.effects,
            at_restart: new.at_restart,
            start: new.start,
        };
        let edit = line.record(self.is_owner().then(|| self.dir()), edit, sources, &new.functions)?;
        drop(line);
        // Training longer, or logging more often, changes no number.
        let is_quiet = edit.kind == Kind::Resume
            && !waited
            && edit.changed.is_empty()
            && edit.effects.is_empty()
            && edit.settings.iter().all(|s| settings::is_free(&s.name));
        if !is_quiet {
            self.write(&[(metrics::EDIT.to_owned(), edit.number as f64)])?;
        }
        Ok(Some(edit))
    }

    /// Puts the edits that the checkpoint does not have aside; what differs from those it has is an edit of its own.
    fn settle(&self, number: u64) -> Result<()> {
        // It follows: what rank 0 put aside and recorded is as it was told.
        let undone = if self.is_owner() { edits::supersede(self.dir(), number)? } else { 0 };
        let recorded = edits::lineage(self.dir(), number).unwrap_or_else(|e| {
            self.warn(&format!("{e}; `lathe replay` cannot train this run again"));
            Lineage { number, sources: Sources::default(), config: self.0.lineage.borrow().config.clone(), waits: false }
        });
        let now = self.0.lineage.replace(recorded);
        if undone > 0 {
            let plural = if undone == 1 { "edit is" } else { "edits are" };
            self.say(&format!("  {}  {undone} {plural} newer than the checkpoint and now in edits/superseded/", self.name()));
        }
        let waited = self.0.lineage.borrow().waits;
        let changed = settings::differences(&self.0.lineage.borrow().config, &now.config);
        let start = Start { made_from: self.0.made_from.borrow().clone(), ..self.0.start.clone() };
        let effects = self.0.replaced.take();
        let new = NewEdit { sources: Some(now.sources), settings: changed, start: Some(start), effects, ..NewEdit::new(Kind::Resume) };
        match self.record_edit(new)? {
            Some(edit) => {
                let scripts = edit.changed.iter().map(|c| c.script.clone());
                let mut what: Vec<String> =
                    scripts.chain(edit.settings.iter().map(ToString::to_string)).chain(edit.effects.iter().cloned()).collect();
                if waited {
                    what.push("what waited for a restart is in effect now".into());
                }
                let path = edit.folder(self.dir());
                self.say(&format!("  {}  goes on with edits: {}; recorded in {}/", self.name(), what.join(", "), path.display()));
            }
            None if number > 0 => self.say(&format!("  {}  goes on with the scripts as edited, as of edit {number}", self.name())),
            None => {}
        }
        Ok(())
    }

    /// Says where the text on disk is not the code that runs; every log line repeats it until it is mended.
    pub fn set_stale(&self, place: Option<String>) {
        *self.0.stale.borrow_mut() = place;
    }

    /// ` [stale: train.rhai:14]` while the text on disk is not the code that runs, nothing otherwise.
    pub fn stale_mark(&self) -> String {
        self.0.stale.borrow().as_ref().map_or(String::new(), |place| format!("  [stale: {place}]"))
    }

    // ---- checkpoints

    fn checkpoints(&self) -> PathBuf {
        self.dir().join("checkpoints")
    }

    /// Goes on from the newest whole checkpoint, if there is one, or from that of the step that was asked for, and returns the number of
    /// steps done. Everything that is tracked is put back, and the random generators, the clock and the log. A second call changes nothing.
    ///
    /// # Errors
    /// `E0101` when there is no checkpoint of the step that was asked for,
    /// `E0401` with the difference when the checkpoint belongs to other objects, `E0302` when every checkpoint is damaged.
    pub fn resume(&self) -> Result<u64> {
        let inner = &*self.0;
        if inner.since.get().is_some() {
            return Ok(self.step());
        }
        let found = self.found()?;
        self.compare_origins(found.as_ref())?;
        if let Some(c) = &found {
            self.restore(c)?;
            if let Some(step) = inner.resume_step {
                self.go_back(step)?;
            }
            self.say(&format!("  {}  goes on at step {}", self.name(), crate::progress::grouped(self.step(), ' ')));
        }
        let edits = found.as_ref().map_or(0, |c| c.head().generation);
        if self.is_owner() {
            *inner.metrics.borrow_mut() = Some(metrics::Log::open(&self.dir().join("metrics.jsonl"), found.is_some().then(|| self.step()), edits)?);
            *inner.events.borrow_mut() = Some(Events::create(self.dir(), found.is_some().then(|| self.step()))?);
        }
        inner.since.set(Some(Instant::now()));
        if let Some(new) = inner.new_config.take() {
            new.write(self.dir())?;
        }
        let resumed = found.is_some();
        if resumed {
            self.settle(edits)?;
        }
        *inner.restored.borrow_mut() = found;
        self.begin_together(resumed)?;
        // A resumed run has these lines from its first start.
        let early = std::mem::take(&mut *inner.early.borrow_mut());
        if !resumed {
            early.iter().try_for_each(|values| self.write(values))?;
        }
        Ok(self.step())
    }

    /// The checkpoint from which it goes on. Of several ranks the first says which: what others see of a shared disk may be older.
    fn found(&self) -> Result<Option<Checkpoint>> {
        let look = || match self.0.resume_step {
            None => checkpoint::latest(&self.checkpoints(), &mut |w| self.warn(&w)),
            Some(step) => self.found_at(step).map(Some),
        };
        let Some(d) = dist::at_work() else { return look() };
        let found = match dist::alone("resume", look)? {
            Alone::Done(found) => found,
            Alone::Waited => None,
        };
        let step = found.as_ref().map_or(String::new(), |c| c.head().step.to_string());
        let step = String::from_utf8_lossy(&d.said_by(0, step.as_bytes())?).into_owned();
        if self.is_owner() || step.is_empty() {
            return Ok(found);
        }
        let path = self.checkpoints().join(checkpoint::folder_name(step.parse().unwrap_or(0)));
        let open = Checkpoint::open(&path).map(Some);
        open.map_err(|e| {
            Error::disagree(format!("rank 0 goes on from `{}`, which rank {} cannot read: {e}", path.display(), d.world.rank))
                .help("all ranks need the same --output-dir, on a disk that they share")
        })
    }

    /// Makes sure that all ranks begin with the same, and gives each its own random numbers where it is to have them.
    fn begin_together(&self, resumed: bool) -> Result<()> {
        let Some(d) = dist::at_work() else { return Ok(()) };
        let mut lines = String::new();
        for (name, object) in self.0.tracked.borrow().iter() {
            let saved = object.shared().map_or_else(|| object.save(), |s| s.common())?;
            lines.push_str(&format!("{name} {}\n", crate::nn::digest_state(&saved.tensors)?));
        }
        d.same("weights", lines.as_bytes(), |a, b| {
            let names = |t: &[u8]| String::from_utf8_lossy(t).lines().map(str::to_owned).collect::<Vec<_>>();
            let differ: Vec<String> =
                names(a).iter().zip(names(b)).filter(|(a, b)| *a != b).filter_map(|(a, _)| a.split(' ').next().map(|n| format!("`{n}`"))).collect();
            format!(" {}", differ.join(", "))
        })?;
        if !resumed && d.options.rng == dist::Rng::Rank {
            rng::of_rank(d.world.rank, self.0.seed, self.step())?;
        }
        Ok(())
    }

    /// The checkpoint from which it goes on when it was asked to go on from `step`.
    fn found_at(&self, step: u64) -> Result<Checkpoint> {
        Ok(match rewind::find(self.dir(), step, &mut |w| self.warn(&w))? {
            rewind::Found::There(c) => c,
            rewind::Found::Later(c) => {
                let first = crate::progress::grouped(step, ' ');
                self.say(&format!(
                    "  {}  went back to step {first} before, and goes on with what it has trained since; to go back again, move the later folders out of {}/",
                    self.name(),
                    self.checkpoints().display()
                ));
                c
            }
        })
    }

    /// Puts what came after the step aside, now that the checkpoint of the step is in place.
    fn go_back(&self, step: u64) -> Result<()> {
        self.0.back_to.set(Some(step));
        if self.step() > step {
            return Ok(());
        }
        if self.is_owner()
            && let Some((n, folder)) = rewind::put_aside(self.dir(), step)?
        {
            let what = if n == 1 { "1 later checkpoint is".to_owned() } else { format!("{n} later checkpoints are") };
            self.say(&format!("  {}  goes back to step {}: {what} now in {}/", self.name(), crate::progress::grouped(step, ' '), folder.display()));
        }
        Ok(())
    }

    /// Refuses to go on with another content than the checkpoint's, or to repeat a recorded run with another than it had.
    fn compare_origins(&self, found: Option<&Checkpoint>) -> Result<()> {
        let now = self.0.made_from.borrow();
        let other = origin::differences(&self.0.expected, &now);
        if !other.is_empty() {
            return Err(Error::run(format!("the recorded run was made from something else than what is there now:{}", origin::listed(&other)))
                .help("it can be repeated only with what it had: put that back where it was"));
        }
        let Some(c) = found else {
            return if now.is_empty() || !self.is_owner() { Ok(()) } else { edits::add_made_from(self.dir(), &now) };
        };
        let then = &c.head().made_from;
        if then.is_empty() && !now.is_empty() {
            origin::say_unknown(&format!("`{}`", c.path().display()), "what its run was made from");
        }
        let (allowed, refused): (Vec<_>, Vec<_>) = origin::differences(then, &now).into_iter().partition(|d| self.0.allowed.has(&d.role));
        if !refused.is_empty() {
            let mut names: Vec<&str> = refused.iter().map(|d| d.role.split('.').next().unwrap_or_default()).collect();
            names.dedup();
            return Err(Error::usage(format!("the run `{}` was made from something else:{}", self.name(), origin::listed(&refused))).help(format!(
                "choose another --exp-name, or let the run go on with it: `--allow-change {}`, which is recorded as an edit",
                names.join(",")
            )));
        }
        if !allowed.is_empty() {
            self.warn(&format!("`{}` goes on with other content:{}", self.name(), origin::listed(&allowed)));
        }
        self.0.replaced.borrow_mut().extend(allowed.into_iter().map(|d| d.text));
        Ok(())
    }

    /// Puts the state `name` of a checkpoint back into an object, as far as it may differ.
    fn put_back(&self, c: &Checkpoint, name: &str, object: &dyn Tracked) -> Result<()> {
        if let Some(note) = c.restore_changed(name, object, self.0.allowed.loader())? {
            self.say(&format!("  {}  {note}", self.name()));
        }
        Ok(())
    }

    fn restore(&self, c: &Checkpoint) -> Result<()> {
        let tracked = self.0.tracked.borrow();
        let held = c.parts();
        let quote = |names: Vec<&str>| names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ");
        let missing: Vec<&str> = tracked.keys().map(String::as_str).filter(|n| !c.has(n)).collect();
        let unexpected: Vec<&str> = held.iter().map(|(n, _)| *n).filter(|n| !tracked.contains_key(*n) && *n != LOADER).collect();
        let mut parts = Vec::new();
        if !missing.is_empty() {
            parts.push(format!("it lacks {}", quote(missing)));
        }
        if !unexpected.is_empty() {
            parts.push(format!("it holds {}, which this script does not track", quote(unexpected)));
        }
        if !parts.is_empty() {
            let message = format!("the checkpoint `{}` belongs to another set of objects: {}", c.path().display(), parts.join("; "));
            if !self.0.allowed.force {
                return Err(Error::weights(message).help(format!("{FORCE}; what is missing then keeps its first values")));
            }
            self.warn(&message);
        }
        for (name, object) in tracked.iter().filter(|(n, _)| c.has(n)) {
            self.put_back(c, name, &**object)?;
        }
        self.0.window.borrow_mut().restore(&c.read("_window")?)?;
        if c.has("_before") {
            *self.0.owed.borrow_mut() = Some(c.read("_before")?);
        }
        self.restore_generators(c)?;
        self.0.step.set(c.head().step);
        self.0.base.set(c.head().seconds);
        self.0.back_to.set(c.head().back_to);
        self.0.saved_at.set(Some(c.head().step));
        Ok(())
    }

    /// The random generators: those of all ranks are the same, unless each draws its own.
    fn restore_generators(&self, c: &Checkpoint) -> Result<()> {
        let own = dist::at_work().filter(|d| d.options.rng == dist::Rng::Rank && d.world.rank > 0).map(|d| d.world.rank);
        match own {
            Some(rank) if c.has(&format!("_rng.{rank}")) => rng::restore(&c.read(&format!("_rng.{rank}"))?),
            Some(rank) => {
                self.say(&format!("  {}  the checkpoint has no generators of rank {rank}, which begins with new ones", self.name()));
                rng::of_rank(rank, self.0.seed, c.head().step)
            }
            None => rng::restore(&c.read("_rng")?),
        }
    }

    /// What the loader was before the step whose sample callback an interrupt cut off.
    pub(super) fn take_owed(&self) -> Option<Saved> {
        self.0.owed.borrow_mut().take()
    }

    /// Writes a checkpoint of the steps done.
    ///
    /// # Errors
    /// `E0601` inside a step, which is not done yet; `E0301` when the system refuses, as with a full disk: older checkpoints stay.
    pub fn save(&self) -> Result<PathBuf> {
        if self.0.in_step.get() {
            return Err(
                Error::run("a checkpoint inside a step would hold half of it").help("use the option `save_every` of `fit`, or save in `on_sample`")
            );
        }
        self.resume()?;
        self.save_owing(None)
    }

    /// The values since the last log line: of several ranks their means, as all of them are put back.
    fn window_of_all(&self) -> Result<Window> {
        let own = self.0.window.borrow().clone();
        let Some(d) = dist::at_work() else { return Ok(own) };
        let others = d.gather(&own.to_bytes()?)?.iter().map(|t| Window::from_bytes(t)).collect::<Result<Vec<_>>>()?;
        Ok(own.mean_of(&others))
    }

    pub(super) fn save_owing(&self, before: Option<Saved>) -> Result<PathBuf> {
        let inner = &*self.0;
        let mut parts = Vec::new();
        for (name, object) in inner.tracked.borrow().iter() {
            let saved = object.shared().map_or_else(|| object.save(), |s| s.whole()).map_err(|e| e.context(format!("saving `{name}`")))?;
            parts.push(Part { name: name.clone(), kind: object.kind().to_owned(), saved });
        }
        let own = |name: &str, saved| Part { name: name.to_owned(), kind: "run".to_owned(), saved };
        parts.push(own("_rng", rng::save()?));
        let others = rng::of_others()?;
        parts.extend(others.into_iter().map(|(rank, saved)| own(&format!("_rng.{rank}"), saved)));
        parts.push(own("_window", self.window_of_all()?.save()?));
        let owed = before.as_ref().map(|_| "sample".to_owned()).into_iter().collect();
        parts.extend(before.map(|saved| own("_before", saved)));
        if let Some(log) = &*inner.metrics.borrow() {
            log.sync()?;
        }
        let made_from = inner.made_from.borrow().clone();
        let head = Head { step: self.step(), seconds: self.seconds(), generation: self.edit(), owed, back_to: inner.back_to.get(), made_from };
        let path = match dist::alone("save", || checkpoint::write(&self.checkpoints(), head, &parts))? {
            Alone::Done(path) => path,
            Alone::Waited => self.checkpoints().join(checkpoint::folder_name(self.step())),
        };
        inner.saved_at.set(Some(self.step()));
        inner.restored.take();
        if self.is_owner() && keep::prune(&self.checkpoints(), inner.keep.get())? > 0 && !inner.is_prune_said.replace(true) {
            self.say(&format!("  {}  keeps {} of its checkpoints from now on; others are removed", self.name(), inner.keep.get()));
        }
        self.update_status(|_| ())?;
        Ok(path)
    }

    /// Whether the newest checkpoint is of this very step.
    pub(super) fn is_saved(&self) -> bool {
        self.0.saved_at.get() == Some(self.step())
    }

    /// The newest checkpoint.
    pub(super) fn saved_path(&self) -> Option<PathBuf> {
        self.saved_step().map(|step| self.checkpoints().join(checkpoint::folder_name(step)))
    }

    /// The step of the newest checkpoint.
    pub(super) fn saved_step(&self) -> Option<u64> {
        self.0.saved_at.get()
    }

    pub(super) fn window(&self) -> &RefCell<Window> {
        &self.0.window
    }

    /// Says that its steps are being done, until the answer is dropped.
    ///
    /// # Errors
    /// `E0601` when they are already.
    pub(super) fn begin_training(&self) -> Result<Training> {
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
    pub(super) fn tracked(&self) -> Vec<(String, Rc<dyn Tracked>)> {
        self.0.tracked.borrow().iter().map(|(name, object)| (name.clone(), object.clone())).collect()
    }

    pub(super) fn set_in_step(&self, on: bool) {
        self.0.in_step.set(on);
    }

    // ---- what it is doing

    pub(super) fn update_status(&self, change: impl FnOnce(&mut Status)) -> Result<()> {
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
    pub(super) fn end_with(&self, e: &Error) {
        let (state, error) = if e.is_asked() { (Phase::Stopped, None) } else { (Phase::Failed, Some(e.to_string())) };
        // The error itself is on its way to the user and matters more than this note.
        let _ = self.update_status(|s| (s.state, s.error) = (state, error));
    }
}

/// The steps of a run, while they are being done.
pub(super) struct Training(OpenRun);

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

/// Takes note of how the script ended that this thread has run. When it failed beside its steps, as in its set-up, the run that it opened
/// last gets the reason: in the table of runs, and in `log.txt`.
pub fn ended(error: Option<&Error>) {
    let Some((dir, run)) = LAST.take() else { return };
    let Some(error) = error.filter(|e| !e.is_asked()) else { return };
    // Something may hold the run still: the error itself, for example.
    let mut state = match run.upgrade() {
        Some(inner) => inner.status.borrow().clone(),
        None => match Status::read(&dir) {
            Ok(status) if status.pid == std::process::id() => status,
            _ => return,
        },
    };
    if matches!(state.state, Phase::Running | Phase::Stopped) {
        (state.state, state.error) = (Phase::Failed, Some(error.to_string()));
        // The error itself is on its way to the user and matters more than this note.
        let _ = state.write(&dir);
        if let Some(inner) = run.upgrade() {
            *inner.status.borrow_mut() = state.clone();
        }
    }
    if state.state == Phase::Failed && !error.is_shown() {
        log::add(&dir.join("log.txt"), &format!("{}\n", error.render(false)));
    }
}

/// Says on stderr and in the folders of the open runs why the process ends at once. It waits for nothing: other threads may hold anything.
pub fn ending(why: &str) {
    let message = format!("{why}; it grew on after everything was asked to stop, so the process ends");
    let error = Error::over_memory(Diagnostic::plain("E0203", message)).help(crate::memory::HELP);
    let text = format!("{}\n", error.render(false));
    let _ = rustix::io::write(rustix::stdio::stderr(), text.as_bytes());
    let Ok(open) = OPEN.try_lock() else { return };
    for dir in open.iter() {
        log::add(&dir.join("log.txt"), &text);
        if let Ok(status) = Status::read(dir) {
            // Nobody is left to tell.
            let _ = Status { state: Phase::Failed, error: Some(error.to_string()), ..status }.write(dir);
        }
    }
}

/// Refuses ranks that would train different things.
fn agree(o: &Options) -> Result<()> {
    let Some(d) = dist::at_work() else { return Ok(()) };
    let text = |config: &Map<String, Value>| serde_json::to_vec(config).map_err(|e| Error::run(e.to_string()));
    d.same("settings", &text(&o.config)?, |a, b| {
        let read = |t: &[u8]| serde_json::from_slice::<Map<String, Value>>(t).unwrap_or_default();
        settings::differences(&read(a), &read(b)).iter().map(|c| format!("\n  {c}")).collect()
    })?;
    let flags = |t: &[u8]| format!(" {}", String::from_utf8_lossy(t));
    d.same("flags", format!("{:?}", d.options.recorded()).as_bytes(), |a, b| format!("{} and{}", flags(a), flags(b)))?;
    let lines: String = o.sources.units.iter().map(|u| format!("{} {}\n", u.id, super::sources::sha256(u.text.as_bytes()))).collect();
    d.same("scripts", lines.as_bytes(), |a, b| {
        let set = |t: &[u8]| String::from_utf8_lossy(t).lines().map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
        let differ: std::collections::BTreeSet<String> =
            set(a).symmetric_difference(&set(b)).filter_map(|l| l.split(' ').next().map(str::to_owned)).collect();
        format!(" {}", differ.into_iter().collect::<Vec<_>>().join(", "))
    })
}

/// What to do to go on although something differs.
const FORCE: &str = "choose another --exp-name, or go on all the same: `--force`, or `--allow-change NAME` for one setting; of a script of your own, \
                     `train::run` has the option `#{resume: \"force\"}`";

/// Settings that `config.toml` does not hold yet.
struct NewConfig {
    text: String,
    /// Whether they differ from those in `config.toml`, which is then kept under another name.
    differs: bool,
}

impl NewConfig {
    fn write(&self, dir: &Path) -> Result<()> {
        let path = dir.join("config.toml");
        if self.differs {
            let kept = files::free((1..).map(|n| dir.join(format!("config.{n}.toml"))))?;
            files::write(&kept, files::read(&path)?)?;
        }
        files::write(&path, self.text.as_bytes())
    }
}

/// Compares the settings with those of an existing run. Those of a new one are written down at once.
fn accept_settings(dir: &Path, o: &Options) -> Result<Option<NewConfig>> {
    let path = dir.join("config.toml");
    let text = settings::to_toml(&o.config, &|key| o.origins.get(key).cloned())?;
    let mut new = NewConfig { text, differs: false };
    if !path.exists() || checkpoint::list(&dir.join("checkpoints"))?.is_empty() {
        new.write(dir)?;
        return Ok(None);
    }
    let mut old = settings::read_toml(&path)?;
    // What was edited while it ran is known already.
    for s in edits::list(dir)?.into_iter().flat_map(|e| e.settings) {
        settings::set(&mut old, &s.name, s.new);
    }
    let changes = settings::changes(&old, &o.config);
    let show = |fixed: bool| changes.iter().filter(|c| c.is_fixed() == fixed).map(|c| format!("  {c}")).collect::<Vec<_>>().join("\n");
    if changes.iter().any(|c| c.is_fixed() && !o.allowed.has(&c.key)) {
        return Err(Error::usage(format!("the run `{}` was started with other settings:\n{}", o.name, show(true))).help(FORCE));
    }
    if !changes.is_empty() {
        let all = [show(true), show(false)].into_iter().filter(|s| !s.is_empty()).collect::<Vec<_>>().join("\n");
        log::say(&format!("warning: `{}` goes on with other settings:\n{all}", o.name));
        new.differs = true;
    }
    Ok(Some(new))
}
