//! A run in the hands of a script: the open run folder, with the settings and the objects that the script gave it.

use crate::dist;
use crate::error::{Error, Result};
use crate::script::lang::value::{from_json, to_json};
use crate::script::units::at::At;
use crate::train;
use crate::train::edits::SettingChange;
use rhai::{Dynamic, Map};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};

/// An open run as scripts hold it: with the objects that they gave it.
#[derive(Clone)]
pub struct Run(Rc<Inner>);
crate::script_handle!(Run, "a run");

struct Inner {
    run: train::OpenRun,
    /// The generation of scripts that the run has recorded.
    seen: Cell<u64>,
    cfg: RefCell<Map>,
    objects: RefCell<BTreeMap<String, Dynamic>>,
    guests: Option<Box<dyn Guests>>,
}

/// Names that `run.name` already means.
pub(crate) const OWN: &[&str] = &["name", "dir", "step", "cfg", "seconds"];

/// Whoever takes part in a run between its steps: the prompts that are attached to it.
pub(crate) trait Guests {
    /// Answers what waits. `now`: no step with a batch is near.
    ///
    /// # Errors
    /// `E0802` where a line is evaluated by several ranks, and one is gone.
    fn between(&self, at: At, run: &Run, now: bool) -> Result<()>;

    /// Who is there, for the other ranks.
    fn who(&self) -> dist::Guests;

    /// The steps end: forgets what is held of the run.
    fn end(&self);

    /// Keeps the batch of the step that begins.
    fn keep_batch(&self, batch: &Dynamic);

    /// Keeps the batch of the step that ends, for whoever came meanwhile; `always`: for whoever comes.
    fn keep_late_batch(&self, always: bool, batch: &dyn Fn() -> Dynamic);
}

impl Run {
    /// Takes an open run in hand. `generation` is that of the scripts that it has recorded.
    pub(crate) fn new(run: train::OpenRun, generation: u64, cfg: Map, guests: Option<Box<dyn Guests>>) -> Self {
        Run(Rc::new(Inner { run, seen: Cell::new(generation), cfg: RefCell::new(cfg), objects: RefCell::default(), guests }))
    }

    /// The run itself.
    pub fn run(&self) -> &train::OpenRun {
        &self.0.run
    }

    /// The run without keeping it open.
    pub(crate) fn downgrade(&self) -> WeakRun {
        WeakRun(Rc::downgrade(&self.0))
    }

    /// The generation of scripts that the run has recorded.
    pub(crate) fn seen(&self) -> u64 {
        self.0.seen.get()
    }

    pub(crate) fn set_seen(&self, generation: u64) {
        self.0.seen.set(generation);
    }

    /// Takes a changed setting over into `cfg`; false where the script has given it another value itself.
    pub(crate) fn change_setting(&self, change: &SettingChange) -> bool {
        fn set(map: &mut Map, name: &str, change: &SettingChange) -> bool {
            if let Some((group, rest)) = name.split_once('.') {
                let inner = map.entry(group.into()).or_insert_with(|| Map::new().into());
                return inner.write_lock::<Map>().is_some_and(|mut inner| set(&mut inner, rest, change));
            }
            if to_json(map.get(name).unwrap_or(&Dynamic::UNIT)) != change.old {
                return false;
            }
            map.insert(name.into(), from_json(&change.new));
            true
        }
        set(&mut self.0.cfg.borrow_mut(), &change.name, change)
    }

    /// Answers the prompts that are attached to it: between two steps. `now`: no step with a batch is near, so that nothing is gained by
    /// waiting for one.
    ///
    /// # Errors
    /// `E0802` where several ranks evaluate a line, and one is gone.
    pub(crate) fn answer(&self, at: &At, now: bool) -> Result<()> {
        self.0.guests.as_ref().map_or(Ok(()), |guests| guests.between(*at, self, now))
    }

    /// Who is attached to it, for the other ranks.
    pub(crate) fn guests(&self) -> dist::Guests {
        self.0.guests.as_ref().map_or(dist::Guests::None, |guests| guests.who())
    }

    /// Forgets what prompts hold of it, when its steps end.
    pub(crate) fn detach(&self) {
        if let Some(guests) = &self.0.guests {
            guests.end();
        }
    }

    /// Keeps the batch of the step that begins for whoever is attached.
    pub(crate) fn keep_batch(&self, batch: &Dynamic) {
        if let Some(guests) = &self.0.guests {
            guests.keep_batch(batch);
        }
    }

    /// Keeps the batch of the step that ends for whoever came meanwhile; `always`, because the step failed and waits: for whoever comes.
    pub(crate) fn keep_late_batch(&self, always: bool, batch: impl Fn() -> Dynamic) {
        if let Some(guests) = &self.0.guests {
            guests.keep_late_batch(always, &batch);
        }
    }

    /// Its settings as scripts see them.
    pub(crate) fn settings(&self) -> Map {
        self.0.cfg.borrow().clone()
    }

    /// What was given to it, by name.
    pub fn objects(&self) -> Vec<(String, Dynamic)> {
        self.0.objects.borrow().iter().map(|(name, object)| (name.clone(), object.clone())).collect()
    }

    /// Gives it other settings.
    pub(crate) fn set_settings(&self, cfg: Map) {
        *self.0.cfg.borrow_mut() = cfg;
    }

    /// What was given to it under a name.
    pub(crate) fn object(&self, name: &str) -> Option<Dynamic> {
        self.0.objects.borrow().get(name).cloned()
    }

    /// Gives a name back what it had before.
    pub(crate) fn put_back(&self, name: &str, before: Option<Dynamic>) {
        let mut objects = self.0.objects.borrow_mut();
        match before {
            Some(object) => objects.insert(name.to_owned(), object),
            None => objects.remove(name),
        };
    }

    /// Keeps an object under a name.
    ///
    /// # Errors
    /// `E0202` for a name that means something else already.
    pub(crate) fn put(&self, name: &str, object: Dynamic) -> Result<()> {
        if OWN.contains(&name) {
            return Err(Error::value("run", format!("`run.{name}` means something else already")).help("choose another name"));
        }
        self.0.objects.borrow_mut().insert(name.to_owned(), object);
        Ok(())
    }
}

/// A run that something else keeps open.
#[derive(Clone)]
pub(crate) struct WeakRun(Weak<Inner>);

impl WeakRun {
    /// The run, while it is open.
    pub(crate) fn upgrade(&self) -> Option<Run> {
        self.0.upgrade().map(Run)
    }
}
