//! Checkpoints: folders `checkpoints/0000500/` that appear whole or not at all.
//!
//! A checkpoint holds one safetensors file for each tracked object and `state.json`: the step, the clock, what else is not
//! a tensor, and the size and CRC-32C of every file. It is written to `.tmp-..`, every file and the folder synced, and renamed; so
//! a kill or a full disk at any moment leaves the one before. A damaged folder is recognised by its sums and passed over.

use super::sum::{Sum, sum};
use super::tracked::{Saved, Tracked};
use crate::data::Changed;
use crate::error::{Error, Result, did_you_mean};
use crate::files::{self, Pass};
use crate::nn::{State, digest_state};
use crate::origin::{Made, Origin};
use crate::torch::files::{read_safetensors, safetensors_info, write_safetensors};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The version of the folder's layout; a newer one is refused.
pub const FORMAT: u32 = 1;

const STATE: &str = "state.json";

/// More steps than any run does.
const MOST_STEPS: u64 = 1 << 48;

/// What a checkpoint says beside its objects.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Head {
    /// How many steps were done.
    pub step: u64,
    /// Seconds of training up to it, over all restarts, without the time in between.
    pub seconds: f64,
    /// The number of the last edit in effect; 0 when scripts and settings were as the run began with them.
    pub generation: u64,
    /// Callbacks of this step that an interrupt cut off and that the resumed run owes.
    #[serde(default)]
    pub owed: Vec<String>,
    /// The step that the run was last made to go back to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back_to: Option<u64>,
    /// What the run was made from: the content of its data, of the weights that it began with. Empty where an earlier version wrote it.
    #[serde(default, skip_serializing_if = "Made::is_empty")]
    pub made_from: Made,
}

/// One object on its way into a checkpoint.
pub struct Part {
    /// The name under which it is tracked.
    pub name: String,
    /// What it is.
    pub kind: String,
    /// Its state.
    pub saved: Saved,
}

#[derive(Serialize, Deserialize)]
struct Record {
    format: u32,
    lathe: String,
    saved_at: String,
    #[serde(flatten)]
    head: Head,
    parts: IndexMap<String, PartRecord>,
}

#[derive(Serialize, Deserialize)]
struct PartRecord {
    kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tensors: Option<Sum>,
    #[serde(default, skip_serializing_if = "Value::is_null")]
    meta: Value,
    /// The identity of the weights, of modules and averages: what `module.hash()` gives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hash: Option<String>,
}

/// The kinds whose tensors are the weights of a module.
const WEIGHTS: &[&str] = &["module", "ema"];

/// A whole checkpoint on disk. Its tensors are read when they are asked for.
pub struct Checkpoint {
    path: PathBuf,
    record: Record,
    /// By what right its files are opened later.
    pass: Pass,
}

impl std::fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "checkpoint {}", self.path.display())
    }
}

/// Writes a checkpoint into the folder `dir` and returns its path.
///
/// # Errors
/// `E0301` when the system refuses, as with a full disk: the checkpoints that are there stay as they are.
pub fn write(dir: &Path, head: Head, parts: &[Part]) -> Result<PathBuf> {
    files::create_dir(dir)?;
    let path = dir.join(folder_name(head.step));
    let doing =
        |e: Error| e.context("the checkpoint was not written").help("the last good checkpoint is untouched; make room and run the same command");
    let temp = files::temporary_dir(&path).map_err(doing)?;
    fill(temp.path(), head, parts).map_err(doing)?;
    let old = dir.join(format!(".old-{}", path.file_name().unwrap_or_default().to_string_lossy()));
    if path.exists() {
        files::rename(&path, &old).map_err(doing)?;
    }
    temp.persist().map_err(doing)?;
    files::remove_dir(&old)?;
    Ok(path)
}

fn fill(dir: &Path, head: Head, parts: &[Part]) -> Result<()> {
    let mut record = Record {
        format: FORMAT,
        lathe: env!("CARGO_PKG_VERSION").to_owned(),
        saved_at: files::iso_time(files::unix_time()),
        head,
        parts: IndexMap::new(),
    };
    for part in parts {
        let mut tensors = None;
        if !part.saved.tensors.is_empty() {
            let path = dir.join(file_name(&part.name));
            let info = [("kind".to_owned(), part.kind.clone()), ("step".to_owned(), record.head.step.to_string())];
            write_safetensors(&path, &part.saved.tensors, &info.into_iter().collect())?;
            tensors = Some(sum(&path)?);
        }
        let hash = WEIGHTS.contains(&part.kind.as_str()).then(|| digest_state(&part.saved.tensors)).transpose()?;
        record.parts.insert(part.name.clone(), PartRecord { kind: part.kind.clone(), tensors, meta: part.saved.meta.clone(), hash });
    }
    let text = serde_json::to_vec_pretty(&record).map_err(|e| Error::run(format!("the state cannot be written as JSON: {e}")))?;
    files::write(&dir.join(STATE), &text)
}

fn file_name(part: &str) -> String {
    format!("{part}.safetensors")
}

pub(super) fn folder_name(step: u64) -> String {
    format!("{step:07}")
}

/// All checkpoint folders of `dir`, oldest first, whole or not.
///
/// # Errors
/// `E0301` when the folder cannot be listed.
pub fn list(dir: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let is_step = |name: &str| name.len() >= 7 && name.bytes().all(|b| b.is_ascii_digit());
    let found = files::list(dir)?.into_iter().filter(|(name, path)| is_step(name) && path.is_dir());
    let mut out: Vec<(u64, PathBuf)> = found.filter_map(|(name, path)| Some((name.parse().ok()?, path))).collect();
    out.sort();
    Ok(out)
}

/// Removes what a killed process left: half-written folders, and replaced ones that were about to go.
///
/// # Errors
/// `E0301` when the system refuses.
pub fn recover(dir: &Path) -> Result<()> {
    for (name, path) in files::list(dir)? {
        if name.starts_with(".tmp-") {
            if path.is_dir() { files::remove_dir(&path)? } else { files::remove(&path)? }
        } else if let Some(step) = name.strip_prefix(".old-") {
            let kept = dir.join(step);
            if kept.exists() { files::remove_dir(&path)? } else { files::rename(&path, &kept)? }
        }
    }
    Ok(())
}

fn skipped(e: &Error) -> String {
    format!("skipping a damaged checkpoint: {e}")
}

/// The newest whole checkpoint of `dir`; damaged ones are named to `warn` and passed over. `None` when there is none at all.
///
/// # Errors
/// `E0302` when there are checkpoints and all are damaged: starting over would hide that.
pub fn latest(dir: &Path, warn: &mut dyn FnMut(String)) -> Result<Option<Checkpoint>> {
    let all = list(dir)?;
    let mut last = None;
    for (_, path) in all.iter().rev() {
        match Checkpoint::open(path) {
            Ok(c) => return Ok(Some(c)),
            // A format of the future is not damage: going on from an older step would throw work away.
            Err(e) if matches!(e.kind(), crate::error::ErrorKind::Usage { .. }) => return Err(e),
            Err(e) => {
                warn(skipped(&e));
                last = Some(e);
            }
        }
    }
    let Some(last) = last else { return Ok(None) };
    Err(Error::data(dir, format!("none of its {} checkpoints is whole; {last}", all.len()))
        .help("restore one from a backup, or remove the folder to start over"))
}

impl Checkpoint {
    /// Opens a checkpoint folder and checks every file against its sum.
    ///
    /// # Errors
    /// `E0301` or `E0302` when a file is missing, truncated or altered; `E0101` when a newer lathe wrote it.
    pub fn open(path: &Path) -> Result<Self> {
        let whole = Self::peek(path)?;
        for (name, part) in &whole.record.parts {
            let Some(want) = part.tensors else { continue };
            let file = path.join(file_name(name));
            if sum(&file)? != want {
                return Err(Error::data(&file, "was altered: its checksum differs"));
            }
        }
        Ok(whole)
    }

    /// Opens a checkpoint folder without reading its tensors: files must be there and have their lengths. For what only looks at names and
    /// shapes; reading all of a large checkpoint takes minutes.
    ///
    /// # Errors
    /// As [`Checkpoint::open`], but altered tensors are not noticed.
    pub fn peek(path: &Path) -> Result<Self> {
        let state = path.join(STATE);
        let text = files::read_record(&state)?;
        let record: Record = serde_json::from_str(&text).map_err(|e| Error::data(&state, format!("is cut off or altered: {e}")))?;
        if record.format > FORMAT {
            let message = format!("`{}` has format {}, and this lathe reads up to {FORMAT}", path.display(), record.format);
            return Err(Error::usage(message).help(format!("lathe {} wrote it", record.lathe)));
        }
        if record.head.step > MOST_STEPS {
            return Err(Error::data(&state, format!("was altered: no run has done {} steps", record.head.step)));
        }
        if let Some(name) = record.parts.keys().find(|name| name.contains(['/', '\\'])) {
            return Err(Error::data(&state, format!("was altered: a part called `{name}` would lie outside of the folder")));
        }
        for (name, part) in &record.parts {
            let Some(want) = part.tensors else { continue };
            let file = path.join(file_name(name));
            // The length first: it is known at once, and most damage shows in it.
            let length = files::size(&file)?;
            if length != want.bytes {
                return Err(Error::data(&file, format!("has {length} bytes and should have {}", want.bytes)));
            }
        }
        Ok(Checkpoint { path: path.to_owned(), record, pass: Pass::here() })
    }

    /// Finds a checkpoint: `path` is a run folder, its `checkpoints` folder, or one checkpoint. Without a step, the newest whole one.
    ///
    /// # Errors
    /// `E0301` or `E0302` when there is none, or the one asked for is damaged.
    pub fn find(path: &Path, step: Option<u64>, warn: &mut dyn FnMut(String)) -> Result<Self> {
        if path.join(STATE).is_file() {
            let c = Self::open(path)?;
            return match step {
                Some(s) if s != c.head().step => Err(Error::data(path, format!("is the checkpoint of step {}, not {s}", c.head().step))),
                _ => Ok(c),
            };
        }
        files::open_dir(path).map_err(|e| e.help("give a run folder such as `exps/NAME`"))?;
        let inside = path.join("checkpoints");
        let dir = if inside.is_dir() { inside } else { path.to_owned() };
        let all = list(&dir)?;
        let Some(step) = step else {
            return latest(&dir, warn)?.ok_or_else(|| Error::data(path, "holds no checkpoint").help("`lathe runs` lists the runs"));
        };
        let found = all.iter().find(|(s, _)| *s == step).ok_or_else(|| {
            let steps: Vec<String> = all.iter().map(|(s, _)| s.to_string()).collect();
            Error::data(path, format!("holds no checkpoint of step {step}")).help(format!("it has: {}", steps.join(", ")))
        })?;
        Self::open(&found.1)
    }

    /// The same without reading tensors, for what only asks what a checkpoint is.
    ///
    /// # Errors
    /// As [`Checkpoint::find`], but altered tensors are not noticed.
    pub fn find_unread(path: &Path, step: Option<u64>) -> Result<Self> {
        if path.join(STATE).is_file() {
            return Self::peek(path);
        }
        let inside = path.join("checkpoints");
        let all = list(&if inside.is_dir() { inside } else { path.to_owned() })?;
        let say = |e: &Error| crate::space::say(&format!("warning: {}", skipped(e)));
        let whole = |(s, p): &(u64, PathBuf)| if step.is_none_or(|step| step == *s) { Self::peek(p).inspect_err(say).ok() } else { None };
        let found = all.iter().rev().find_map(whole);
        found.ok_or_else(|| Error::data(path, step.map_or("holds no checkpoint".into(), |s| format!("holds no checkpoint of step {s}"))))
    }

    /// The origin of the weights tracked as `name`: their hash, the step, and what the run was made from. Checkpoints of earlier versions keep no hash:
    /// their tensors are read for it.
    ///
    /// # Errors
    /// `E0401` when there is none of that name, or it has no weights.
    pub fn origin(&self, name: &str) -> Result<Origin> {
        let part = self.part(name)?;
        if !WEIGHTS.contains(&part.kind.as_str()) {
            return Err(Error::weights(format!("`{name}` of `{}` is {}, which has no weights", self.path.display(), part.kind)));
        }
        let hash = match &part.hash {
            Some(hash) => hash.clone(),
            None => digest_state(&self.read(name)?.tensors)?,
        };
        let about = format!("{name}, step {}", self.head().step);
        Ok(Origin::new("weights", self.run_folder()).about(about).with_id(hash).made(self.head().made_from.clone(), serde_json::Map::new()))
    }

    /// The run folder that holds it.
    pub fn run_folder(&self) -> &Path {
        self.path.parent().and_then(Path::parent).filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }

    /// Its folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Step and clock.
    pub fn head(&self) -> &Head {
        &self.record.head
    }

    /// The names and kinds of what it holds, without the run's own parts, whose names start with `_`.
    pub fn parts(&self) -> Vec<(&str, &str)> {
        self.record.parts.iter().filter(|(n, _)| !n.starts_with('_')).map(|(n, p)| (n.as_str(), p.kind.as_str())).collect()
    }

    /// Reads one object's state.
    ///
    /// # Errors
    /// `E0401` when it holds none of that name, naming the nearest; `E0301` or `E0302` when the file cannot be read.
    pub fn read(&self, name: &str) -> Result<Saved> {
        let part = self.part(name)?;
        let _pass = self.pass.enter();
        let tensors = if part.tensors.is_some() { read_safetensors(&self.path.join(file_name(name)))?.0 } else { State::new() };
        Ok(Saved { tensors, meta: part.meta.clone() })
    }

    /// The names and shapes of one object's tensors, without reading them.
    ///
    /// # Errors
    /// As [`Checkpoint::read`].
    pub fn shapes(&self, name: &str) -> Result<Vec<(String, Vec<usize>)>> {
        if self.part(name)?.tensors.is_none() {
            return Ok(Vec::new());
        }
        let _pass = self.pass.enter();
        let info = safetensors_info(&self.path.join(file_name(name)))?;
        Ok(info.tensors.into_iter().map(|(name, _, shape)| (name, shape)).collect())
    }

    /// How many numbers each module holds, by name: parameters and buffers of floats.
    ///
    /// # Errors
    /// As [`Checkpoint::read`].
    pub fn module_sizes(&self) -> Result<Vec<(String, u64)>> {
        let _pass = self.pass.enter();
        let modules = self.record.parts.iter().filter(|(n, p)| !n.starts_with('_') && p.kind == "module" && p.tensors.is_some());
        let size = |(name, _): (&String, &PartRecord)| {
            let info = safetensors_info(&self.path.join(file_name(name)))?;
            let floats = info.tensors.iter().filter(|(_, dtype, _)| dtype.contains('F'));
            Ok((name.clone(), floats.map(|(_, _, shape)| shape.iter().map(|n| *n as u64).product::<u64>()).sum()))
        };
        modules.map(size).collect()
    }

    fn part(&self, name: &str) -> Result<&PartRecord> {
        self.record.parts.get(name).ok_or_else(|| {
            let names: Vec<&str> = self.parts().into_iter().map(|(n, _)| n).collect();
            let near = did_you_mean(name, names.iter().copied());
            Error::weights(format!("`{}` holds no `{name}`{near}", self.path.display())).help(format!("it has: {}", names.join(", ")))
        })
    }

    /// Whether it holds an object of that name.
    pub fn has(&self, name: &str) -> bool {
        self.record.parts.contains_key(name)
    }

    /// Puts the state `name` back into `object`.
    ///
    /// # Errors
    /// `E0401` when there is none of that name, or it is of another kind or architecture.
    pub fn restore(&self, name: &str, object: &dyn Tracked) -> Result<()> {
        self.restore_changed(name, object, Changed::default()).map(|_| ())
    }

    /// The same where data or batches may be others than they were; what that comes to, for people.
    ///
    /// # Errors
    /// As [`Checkpoint::restore`].
    pub fn restore_changed(&self, name: &str, object: &dyn Tracked, may: Changed) -> Result<Option<String>> {
        let saved = self.read(name)?;
        let kind = &self.part(name)?.kind;
        let doing = format!("restoring `{name}` from `{}`", self.path.display());
        if kind != object.kind() {
            return Err(Error::weights(format!("it is {kind} there and {} here", object.kind())).context(doing));
        }
        object.restore_changed(&saved, may).map_err(|e| e.context(doing))
    }
}
