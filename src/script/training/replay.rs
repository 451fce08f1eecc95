//! Training again from the record of a run: each edit takes effect where it did then.

use super::boundary::Boundary;
use super::run::Run;
use crate::error::{Error, Result};
use crate::origin::Made;
use crate::script::units::swap::Prepared;
use crate::train::edits::{Edit, Kind, NewEdit, SettingChange};
use crate::train::{Retry, rng};
use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};

/// Where a replay stopped on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReplayEnd {
    /// It did not: the script ended by itself.
    #[default]
    Script,
    /// Where the recorded run was started anew with other scripts or settings. A checkpoint is written; a new process goes on from it.
    Restart,
    /// At the last step that was recorded.
    Recorded,
}

/// Repeats what was typed at the prompt of a running job: the run and the text. What it draws at random must change nothing.
pub type Typed = Box<dyn Fn(&Run, &str) -> Result<()>>;

/// Records an edit in the new run and puts it into effect.
pub(super) type Put<'a> = dyn Fn(Prepared, &[SettingChange]) -> Result<()> + 'a;

/// The edits of a recorded run that are still to come.
pub struct Replay {
    dir: PathBuf,
    /// The recorded run's name, and the new one's.
    names: (String, String),
    output_dir: PathBuf,
    edits: Vec<Edit>,
    /// What the recorded run was made from.
    made_from: Made,
    next: Cell<usize>,
    until: Option<u64>,
    end: Cell<ReplayEnd>,
    typed: RefCell<Option<Typed>>,
}

impl Replay {
    /// Repeats the run in the folder `dir` as `output_dir`/`name`. `edits` are those to come; it ends with the step `until`.
    pub fn new(dir: &Path, output_dir: &Path, name: &str, edits: Vec<Edit>, until: Option<u64>) -> Self {
        let recorded = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Replay {
            dir: dir.to_owned(),
            names: (recorded, name.to_owned()),
            output_dir: output_dir.to_owned(),
            edits,
            made_from: Made::new(),
            next: Cell::new(0),
            until,
            end: Cell::default(),
            typed: RefCell::default(),
        }
    }

    /// Says what the recorded run was made from: the new one must be made from the same.
    #[must_use]
    pub fn made_from(self, made_from: Made) -> Self {
        Replay { made_from, ..self }
    }

    /// What a run that the script opens must be made from, where it is the recorded one.
    pub(crate) fn expected(&self, opened: &str) -> Made {
        let (recorded, new) = &self.names;
        if opened == recorded || opened == new { self.made_from.clone() } else { Made::new() }
    }

    /// How it ended.
    pub fn end(&self) -> ReplayEnd {
        self.end.get()
    }

    /// The edits that were not reached yet.
    pub fn rest(&self) -> &[Edit] {
        self.edits.get(self.next.get()..).unwrap_or_default()
    }

    /// Says how lines that were typed at the prompt are repeated.
    pub fn set_typed(&self, typed: Typed) {
        *self.typed.borrow_mut() = Some(typed);
    }

    /// The name of a run that the script opens: no recorded run is touched.
    pub(crate) fn name_of(&self, opened: &str) -> String {
        let (recorded, new) = &self.names;
        if opened == recorded || opened == new { new.clone() } else { format!("{opened}-replay") }
    }

    /// The folder of the runs that the script opens.
    pub(crate) fn output_dir(&self) -> &Path {
        &self.output_dir
    }

    /// The boundary between two steps.
    ///
    /// # Errors
    /// An interrupt where it ends; what cannot be repeated.
    pub(super) fn boundary(&self, at: &Boundary, put: &Put) -> Result<()> {
        let Some(run) = at.run.filter(|r| r.run().name() == self.names.1).map(|r| r.run().clone()) else { return Ok(()) };
        let step = run.step();
        while let Some(edit) = self.due(at)? {
            match edit.kind {
                Kind::Resume => return self.stop(&run, ReplayEnd::Restart),
                Kind::Reload | Kind::Typed => self.apply(at, edit, put)?,
            }
        }
        if self.until.is_some_and(|until| step >= until) {
            return self.stop(&run, ReplayEnd::Recorded);
        }
        Ok(())
    }

    /// A step failed: it did so then, if an edit mended it.
    ///
    /// # Errors
    /// What cannot be repeated.
    pub(super) fn failed(&self, at: &Boundary, put: &Put) -> Result<Retry> {
        let mut mended = Retry::Stop;
        while let Some(edit) = self.due(at)? {
            if edit.kind == Kind::Resume {
                break;
            }
            self.apply(at, edit, put)?;
            mended = Retry::Again;
        }
        // It was tried again without an edit, and failed again, before the edit came: a file was saved as it was, for one.
        let here = at.run.map(|run| (run.run().step(), run.run().visit()));
        let is_later = |edit: &Edit| edit.kind != Kind::Resume && here.is_some_and(|(step, visit)| edit.step == step && edit.visit > visit);
        if mended == Retry::Stop && self.rest().first().is_some_and(is_later) {
            mended = Retry::Again;
        }
        Ok(mended)
    }

    /// The next edit, if it took effect here.
    fn due(&self, at: &Boundary) -> Result<Option<&Edit>> {
        let (Some(edit), Some(run)) = (self.rest().first(), at.run) else { return Ok(None) };
        let here = (run.run().step(), run.run().visit());
        match (edit.step, edit.visit).cmp(&here) {
            std::cmp::Ordering::Greater => Ok(None),
            std::cmp::Ordering::Equal => Ok(Some(edit)),
            std::cmp::Ordering::Less => {
                let message =
                    format!("edit {} took effect at step {}, which was passed by: the script does not do the same again", edit.number, edit.step);
                Err(Error::run(message))
            }
        }
    }

    fn apply(&self, at: &Boundary, edit: &Edit, put: &Put) -> Result<()> {
        let doing = |e: Error| e.context(format!("repeating edit {}", edit.number));
        if edit.kind == Kind::Typed {
            self.repeat_typed(at, edit).map_err(doing)?;
        } else {
            let sources = edit.sources(&self.dir).map_err(doing)?;
            rng::apart(|| {
                let prepared = at.program.prepare_recorded(at.rhai, sources)?;
                put(prepared, &edit.settings)
            })
            .map_err(doing)?;
        }
        self.next.set(self.next.get() + 1);
        at.say(&format!("repeated edit {} of step {}", edit.number, edit.step));
        Ok(())
    }

    fn repeat_typed(&self, at: &Boundary, edit: &Edit) -> Result<()> {
        let (text, typed) = (edit.text.as_deref().unwrap_or_default(), self.typed.borrow());
        let (Some(run), Some(typed)) = (at.run, &*typed) else {
            return Err(Error::run(format!("`{text}` was typed at the prompt, which this program has not")));
        };
        run.run().record_edit(NewEdit::typed(text, edit.effects.clone()))?;
        typed(run, text)
    }

    fn stop(&self, run: &crate::train::OpenRun, end: ReplayEnd) -> Result<()> {
        self.end.set(end);
        run.save()?;
        Err(Error::interrupted())
    }
}
