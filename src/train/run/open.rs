//! Opening a run: its folder, its settings beside those that are there, and that all ranks train the same.

use super::{Inner, LAST, OPEN, OpenRun, Options};
use crate::dist::Alone;
use crate::error::{Error, Result};
use crate::files::Held;
use crate::origin::Made;
use crate::torch::bridge::manual_seed;
use crate::train::edits::{Lineage, Start};
use crate::train::status::{Phase, Status};
use crate::train::{checkpoint, edits, env, log, settings, status};
use crate::{dist, files};
use serde_json::{Map, Value};
use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::rc::Rc;

impl OpenRun {
    /// Opens or creates a run folder, locks it, writes down how it was started, and seeds the generators. An existing run goes on:
    /// settings that differ are shown, and refused where the numbers in its checkpoints would mean something else.
    ///
    /// # Errors
    /// `E0101` for a name that is no folder name or for settings that do not fit the run, `E0601` when another process works on it,
    /// `E0301` when the system refuses.
    pub fn open(o: Options) -> Result<OpenRun> {
        crate::train::name::check(&o.name)?;
        agree(&o)?;
        match dist::alone("train::run", || Self::own(o.clone()))? {
            Alone::Done(run) => Ok(run),
            Alone::Waited => Self::follow(o),
        }
    }

    /// The run in the process that owns its folder.
    pub(super) fn own(o: Options) -> Result<OpenRun> {
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
    pub(super) fn follow(o: Options) -> Result<OpenRun> {
        let dir = o.output_dir.join(&o.name);
        let logs = dir.join("logs");
        files::create_dir(&logs)?;
        let log = log::attach(&logs.join(format!("rank-{}.txt", dist::rank())))?;
        Self::assemble(o, dir, log, None, None)
    }

    pub(super) fn assemble(
        o: Options,
        dir: PathBuf,
        log: log::Attached,
        lock: Option<status::Lock>,
        new_config: Option<NewConfig>,
    ) -> Result<OpenRun> {
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
    let lines: String = o.sources.units.iter().map(|u| format!("{} {}\n", u.id, crate::train::sources::sha256(u.text.as_bytes()))).collect();
    d.same("scripts", lines.as_bytes(), |a, b| {
        let set = |t: &[u8]| String::from_utf8_lossy(t).lines().map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
        let differ: std::collections::BTreeSet<String> =
            set(a).symmetric_difference(&set(b)).filter_map(|l| l.split(' ').next().map(str::to_owned)).collect();
        format!(" {}", differ.into_iter().collect::<Vec<_>>().join(", "))
    })
}

/// What to do to go on although something differs.
pub(super) const FORCE: &str = "choose another --exp-name, or go on all the same: `--force`, or `--allow-change NAME` for one setting; of a script of your own, \
                     `train::run` has the option `#{resume: \"force\"}`";

/// Settings that `config.toml` does not hold yet.
pub(in crate::train) struct NewConfig {
    text: String,
    /// Whether they differ from those in `config.toml`, which is then kept under another name.
    differs: bool,
}

impl NewConfig {
    pub(super) fn write(&self, dir: &Path) -> Result<()> {
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
