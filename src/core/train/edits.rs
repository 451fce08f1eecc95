//! What was changed in a run while it ran: each change of its scripts and settings, with the step before which it took effect.
//!
//! `sources/` holds the scripts that the run began with, `start.json` its settings. An edit is a folder `edits/0001-step-1262/` that
//! appears whole or not at all: `edit.json`, the unified diff `diff.patch`, and in `sources/` the full text of every script from then
//! on. Together they are all that is needed to train again: `lathe replay`.

use super::settings;
use super::sources::{Difference, Sources};
use crate::error::{Error, Result};
use crate::files;
use crate::origin::Made;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The folder of edits in a run folder.
const EDITS: &str = "edits";
/// Where edits go that no checkpoint has in it: the run went on from before them.
const SUPERSEDED: &str = "superseded";
const RECORD: &str = "edit.json";
const START: &str = "start.json";
/// The scripts in a run folder and in an edit.
const SOURCES: &str = "sources";

/// How a change came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Scripts or live settings were edited and taken in between two steps.
    Reload,
    /// The run went on from a checkpoint with other scripts or settings; `main` ran anew.
    Resume,
    /// A line typed at the prompt of a running job.
    Typed,
}

impl Kind {
    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Reload => "reload",
            Kind::Resume => "resume",
            Kind::Typed => "typed",
        }
    }
}

/// A setting that got another value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SettingChange {
    /// Its name, with dots for settings in a map.
    pub name: String,
    /// Before; null where there was none.
    pub old: Value,
    /// Now; null where it is gone.
    pub new: Value,
}

impl std::fmt::Display for SettingChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = |v: &Value| if v.is_null() { "absent".to_owned() } else { v.to_string() };
        write!(f, "{} {} -> {}", self.name, text(&self.old), text(&self.new))
    }
}

/// How a process began to work on a run: what a replay must begin with.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Start {
    /// The settings that the run was opened with.
    pub config: Map<String, Value>,
    /// The settings that the started script got; none where a program without settings runs it.
    pub settings: Option<Map<String, Value>>,
    /// CPU threads of one operator: sums depend on it in the last bits.
    pub threads: usize,
    /// How many processes trained it together: sums depend on that as well.
    #[serde(default = "one")]
    pub ranks: usize,
    /// The flags by which they worked together, as far as they decide about the numbers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dist: BTreeMap<String, String>,
    /// The working directory, against which relative paths in settings are meant.
    pub folder: PathBuf,
    /// How often the scripts were reloaded in this process before the run was opened.
    pub reloads_before: u64,
    /// What the run was made from then: the content of its data, of the weights that it began with.
    #[serde(default, skip_serializing_if = "Made::is_empty")]
    pub made_from: Made,
}

fn one() -> usize {
    1
}

/// A change that is to be recorded.
#[derive(Debug, Clone)]
pub struct NewEdit {
    /// How it came about.
    pub kind: Kind,
    /// The scripts from now on; `None` when they are the same.
    pub sources: Option<Sources>,
    /// The functions that are new, gone or different, by script.
    pub functions: BTreeMap<String, Vec<String>>,
    /// The settings that got another value.
    pub settings: Vec<SettingChange>,
    /// What was typed.
    pub text: Option<String>,
    /// What that changed, for people.
    pub effects: Vec<String>,
    /// What of the scripts runs in an older version until the run is started anew, for people.
    pub at_restart: Vec<String>,
    /// For [`Kind::Resume`].
    pub start: Option<Start>,
}

impl NewEdit {
    /// An edit of nothing, to be filled.
    pub fn new(kind: Kind) -> Self {
        NewEdit {
            kind,
            sources: None,
            functions: BTreeMap::new(),
            settings: Vec::new(),
            text: None,
            effects: Vec::new(),
            at_restart: Vec::new(),
            start: None,
        }
    }

    /// A line typed at the prompt, which was evaluated between two steps, and what it changed.
    pub fn typed(text: impl Into<String>, effects: Vec<String>) -> Self {
        NewEdit { text: Some(text.into()), effects, ..Self::new(Kind::Typed) }
    }
}

/// One script in an edit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// The script's id.
    pub script: String,
    /// Its functions that are new, gone or different.
    pub functions: Vec<String>,
}

/// A recorded edit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Edit {
    /// Its number in the run, from 1.
    pub number: u64,
    /// How it came about.
    pub kind: Kind,
    /// It took effect when so many steps were done.
    pub step: u64,
    /// Before which try of the step, from 0, or which of several calls between two steps in a loop of the script's own.
    pub visit: u64,
    /// Seconds of training before it.
    pub time: f64,
    /// When, in UTC.
    pub at: String,
    /// The hash of all scripts from then on.
    pub hash: String,
    /// The scripts whose text is another one.
    pub changed: Vec<Changed>,
    /// The settings that got another value.
    pub settings: Vec<SettingChange>,
    /// What was typed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// What that changed, for people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub effects: Vec<String>,
    /// What of the scripts runs in an older version until the run is started anew, for people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub at_restart: Vec<String>,
    /// How the process began that went on with other scripts or settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Start>,
}

impl Edit {
    /// Its folder in a run folder.
    pub fn folder(&self, run: &Path) -> PathBuf {
        run.join(EDITS).join(format!("{:04}-step-{}", self.number, self.step))
    }

    /// All scripts from this edit on.
    ///
    /// # Errors
    /// `E0301` or `E0302` when they are missing or were altered.
    pub fn sources(&self, run: &Path) -> Result<Sources> {
        Sources::read(&self.folder(run).join(SOURCES))
    }
}

/// What a run has been so far: the state that the next edit starts from.
#[derive(Debug, Clone, Default)]
pub(super) struct Lineage {
    /// The number of the last edit in effect; 0 as the run began.
    pub number: u64,
    /// The scripts in effect.
    pub sources: Sources,
    /// The settings in effect, as the run knows them.
    pub config: Map<String, Value>,
    /// Whether something of the scripts waits for the run to be started anew.
    pub waits: bool,
}

impl Lineage {
    /// Writes an edit from this state to `new` into the run folder, if this process has one. `edit` has everything but what only this state knows.
    ///
    /// # Errors
    /// `E0301` when the system refuses: nothing is recorded then, and nothing has changed here.
    pub fn record(&mut self, run: Option<&Path>, mut edit: Edit, new: Sources, functions: &BTreeMap<String, Vec<String>>) -> Result<Edit> {
        let differences = self.sources.differences(&new);
        edit.number = self.number + 1;
        edit.hash = new.hash();
        edit.changed = differences
            .iter()
            .map(|d| d.source().id.clone())
            .map(|script| Changed { functions: functions.get(&script).cloned().unwrap_or_default(), script })
            .collect();
        if let Some(run) = run {
            write(run, &edit, &differences, &new).map_err(|e| e.context("the edit was not recorded"))?;
        }
        for s in &edit.settings {
            settings::set(&mut self.config, &s.name, s.new.clone());
        }
        (self.number, self.sources, self.waits) = (edit.number, new, waits(self.waits, &edit));
        Ok(edit)
    }
}

/// Whether something waits for a restart after an edit; `before`: whether it did before.
fn waits(before: bool, edit: &Edit) -> bool {
    match edit.kind {
        Kind::Reload => !edit.at_restart.is_empty(),
        Kind::Resume => false,
        Kind::Typed => before,
    }
}

fn write(run: &Path, edit: &Edit, differences: &[Difference], sources: &Sources) -> Result<()> {
    let path = edit.folder(run);
    let dir = run.join(EDITS);
    files::create_dir(&dir)?;
    let temp = files::temporary_dir(&path)?;
    sources.write(&temp.path().join(SOURCES))?;
    if !differences.is_empty() {
        let diff: String = differences.iter().map(Difference::unified).collect();
        files::write_synced(&temp.path().join("diff.patch"), diff.as_bytes())?;
    }
    files::write_synced(&temp.path().join(RECORD), &files::json(edit)?)?;
    files::sync_dir(temp.path())?;
    temp.persist()
}

/// Writes down how a run begins: its scripts and settings. Edits of an earlier beginning are put aside.
///
/// # Errors
/// `E0301` when the system refuses.
pub(super) fn begin(run: &Path, sources: &Sources, start: &Start) -> Result<()> {
    supersede(run, 0)?;
    let dir = run.join(SOURCES);
    files::remove_dir(&dir)?;
    sources.write(&dir)?;
    files::write(&run.join(START), &files::json(start)?)
}

/// The scripts that a run began with.
///
/// # Errors
/// `E0301` or `E0302` when they are missing or were altered.
pub fn first_sources(run: &Path) -> Result<Sources> {
    Sources::read(&run.join(SOURCES))
}

/// How a run began.
///
/// # Errors
/// `E0301` or `E0302` when it is not written down or cannot be read.
pub fn start(run: &Path) -> Result<Start> {
    let path = run.join(START);
    files::read_json(&path)
}

/// Adds to what is written down of a run's beginning what it is made from.
///
/// # Errors
/// `E0301` or `E0302` when it is not written down or cannot be read.
pub(super) fn add_made_from(run: &Path, made_from: &Made) -> Result<()> {
    let start = Start { made_from: made_from.clone(), ..start(run)? };
    files::write(&run.join(START), &files::json(&start)?)
}

/// Whether a run folder says how it began: those of early versions do not.
pub(super) fn is_recorded(run: &Path) -> bool {
    run.join(START).is_file() && Sources::are_in(&run.join(SOURCES))
}

/// The edits of a run, in order.
///
/// # Errors
/// `E0301` or `E0302` when one cannot be read.
pub fn list(run: &Path) -> Result<Vec<Edit>> {
    let mut edits = Vec::new();
    for (name, path) in files::list(&run.join(EDITS))? {
        if !name.starts_with(|c: char| c.is_ascii_digit()) {
            continue;
        }
        let record = path.join(RECORD);
        let edit: Edit = files::read_json(&record)?;
        edits.push(edit);
    }
    edits.sort_by_key(|e| e.number);
    Ok(edits)
}

/// The number of the newest edit of a run, from the names in its folder; 0 without one.
pub fn newest(run: &Path) -> u64 {
    let number = |name: &str| name.split('-').next().and_then(|n| n.parse().ok());
    files::list(&run.join(EDITS)).unwrap_or_default().iter().filter_map(|(name, _)| number(name)).max().unwrap_or(0)
}

/// The scripts of a run as its newest edit left them.
///
/// # Errors
/// `E0301` or `E0302` when they are missing or cannot be read.
pub fn newest_sources(run: &Path) -> Result<Sources> {
    list(run)?.last().map_or_else(|| first_sources(run), |edit| edit.sources(run))
}

/// Removes what a killed process left half-written.
///
/// # Errors
/// `E0301` when the system refuses.
pub(super) fn recover(run: &Path) -> Result<()> {
    for (name, path) in files::list(&run.join(EDITS))? {
        if name.starts_with(".tmp-") {
            files::remove_dir(&path)?;
        }
    }
    Ok(())
}

/// Puts the edits after number `keep` aside, into `edits/superseded/`: the run goes on from before them. Returns how many.
///
/// # Errors
/// `E0301` when the system refuses.
pub(super) fn supersede(run: &Path, keep: u64) -> Result<usize> {
    let gone: Vec<Edit> = list(run)?.into_iter().filter(|e| e.number > keep).collect();
    if gone.is_empty() {
        return Ok(0);
    }
    let aside = run.join(EDITS).join(SUPERSEDED);
    files::create_dir(&aside)?;
    for edit in &gone {
        let from = edit.folder(run);
        let name = from.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let to = files::free(std::iter::once(aside.join(&name)).chain((1..).map(|n| aside.join(format!("{name}.{n}")))))?;
        files::rename(&from, &to)?;
    }
    files::sync_dir(&aside)?;
    Ok(gone.len())
}

/// The scripts and settings of a run after its edit `number`.
///
/// # Errors
/// `E0302` when an edit is missing, `E0301` or `E0302` when something cannot be read.
pub(super) fn lineage(run: &Path, number: u64) -> Result<Lineage> {
    let edits: Vec<Edit> = list(run)?.into_iter().filter(|e| e.number <= number).collect();
    if edits.len() as u64 != number {
        let held: Vec<String> = edits.iter().map(|e| e.number.to_string()).collect();
        return Err(Error::data(run.join(EDITS), format!("should hold {number} edits and holds {} ({})", edits.len(), held.join(", "))));
    }
    let sources = edits.last().map_or_else(|| first_sources(run), |e| e.sources(run))?;
    let mut config = start(run)?.config;
    for edit in &edits {
        match &edit.start {
            Some(start) => config.clone_from(&start.config),
            None => edit.settings.iter().for_each(|s| settings::set(&mut config, &s.name, s.new.clone())),
        }
    }
    let waits = edits.iter().fold(false, waits);
    Ok(Lineage { number, sources, config, waits })
}

#[cfg(test)]
mod tests {
    use super::super::sources::Source;
    use super::*;
    use serde_json::json;

    fn sources(text: &str) -> Sources {
        let unit = |id: &str, text: &str| Source { id: id.into(), shown: id.into(), text: text.into(), imports: BTreeMap::new() };
        Sources { entry: "a.rhai".into(), units: vec![unit("a.rhai", text), unit("std/b.rhai", "fn b() { }\n")] }
    }

    fn edit(kind: Kind, step: u64) -> Edit {
        Edit {
            number: 0,
            kind,
            step,
            visit: 0,
            time: 1.5,
            at: files::iso_time(0.0),
            hash: String::new(),
            changed: vec![],
            settings: vec![],
            text: None,
            effects: vec![],
            at_restart: vec![],
            start: None,
        }
    }

    #[test]
    fn edits_follow_each_other_and_can_be_put_aside() {
        let dir = tempfile::tempdir().unwrap();
        let run = dir.path();
        let config = json!({"lr": 0.1, "deep": {"x": 1}}).as_object().unwrap().clone();
        let first = sources("fn step() { 1 }\n");
        begin(run, &first, &Start { config: config.clone(), ..Start::default() }).unwrap();
        let mut line = lineage(run, 0).unwrap();
        assert_eq!((&line.sources, &line.config), (&first, &config));

        let functions = BTreeMap::from([("a.rhai".to_owned(), vec!["step()".to_owned()])]);
        let one = line.record(Some(run), edit(Kind::Reload, 7), sources("fn step() { 2 }\n"), &functions).unwrap();
        let live = SettingChange { name: "deep.x".into(), old: json!(1), new: json!(2) };
        let two = Edit { settings: vec![live], ..edit(Kind::Reload, 9) };
        let same = line.sources.clone();
        let two = line.record(Some(run), two, same, &BTreeMap::new()).unwrap();
        assert_eq!((one.number, two.number, list(run).unwrap()), (1, 2, vec![one.clone(), two.clone()]));
        assert_eq!(one.changed, [Changed { script: "a.rhai".into(), functions: vec!["step()".into()] }]);
        let read = |e: &Edit, name: &str| std::fs::read_to_string(e.folder(run).join(name));
        assert_eq!(read(&one, "diff.patch").unwrap(), "--- a/a.rhai\n+++ b/a.rhai\n@@ -1 +1 @@\n-fn step() { 1 }\n+fn step() { 2 }\n");
        assert!(run.join("edits/0002-step-9/sources/std/b.rhai").is_file() && read(&two, "diff.patch").is_err());
        let back = lineage(run, 2).unwrap();
        assert_eq!((&back.sources, &back.config), (&line.sources, &line.config));
        assert_eq!(back.config["deep"]["x"], 2);
        assert_eq!(lineage(run, 1).unwrap().config["deep"]["x"], 1);

        assert_eq!(supersede(run, 1).unwrap(), 1);
        let mut line = lineage(run, 1).unwrap();
        assert_eq!(line.record(Some(run), edit(Kind::Typed, 9), sources("fn step() { 3 }\n"), &BTreeMap::new()).unwrap().number, 2);
        assert_eq!(supersede(run, 1).unwrap(), 1);
        assert!(run.join("edits/superseded/0002-step-9.1/edit.json").is_file(), "nothing is overwritten");
        std::fs::remove_dir_all(one.folder(run)).unwrap();
        assert!(lineage(run, 1).unwrap_err().to_string().contains("should hold 1 edits and holds 0"));
    }
}
