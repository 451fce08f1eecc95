//! The edits of a run: where it is among them, and their record.

use super::OpenRun;
use crate::error::{Error, Result};
use crate::files;
use crate::train::edits::{Edit, Kind, Lineage, NewEdit, Start};
use crate::train::sources::Sources;
use crate::train::{checkpoint, edits, metrics, settings};

impl OpenRun {
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
    pub(super) fn settle(&self, number: u64) -> Result<()> {
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
}
