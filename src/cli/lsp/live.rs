//! Runs that are running, for the language server: which of them has a script in it, what it logged last, and what its calls return.

use crate::lsp::host::{Live, Logged, Returned};
use crate::lsp::live::{Settings, Show};
use crate::plain::shown;
use crate::progress::short;
use crate::script::prompt::attached::{Call, Got, Reply, Want};
use crate::script::training::shapes::Shape;
use crate::train::{attach, edits, metrics, status};
use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long what was found is taken for what is there.
const FRESH: Duration = Duration::from_secs(2);
/// How long is waited before a run that did not answer is asked again.
const PATIENCE: Duration = Duration::from_secs(10);

/// A run as it began, with the number of its newest edit: what its scripts are.
type Version = (PathBuf, u64, u64);

/// A run that is running, and its scripts by their paths.
struct Running {
    version: Version,
    name: String,
    started: f64,
    scripts: HashMap<PathBuf, (String, Arc<str>)>,
}

/// What runs have told of their calls.
#[derive(Default)]
struct Told {
    asked: HashMap<Version, Instant>,
    shapes: HashMap<Version, Vec<Shape>>,
}

#[derive(Default)]
struct Found {
    when: Option<Instant>,
    folders: Vec<PathBuf>,
    runs: Vec<Rc<Running>>,
}

/// The runs that are running.
#[derive(Default)]
pub(super) struct Runs {
    found: RefCell<Found>,
    told: Arc<Mutex<Told>>,
}

/// The folders in which runs are looked for.
fn places(folders: &[PathBuf], settings: &Settings) -> Vec<PathBuf> {
    let here = std::env::current_dir().unwrap_or_default();
    let roots = if folders.is_empty() { vec![here] } else { folders.to_vec() };
    let mut all: Vec<PathBuf> = roots.iter().map(|f| f.join("exps")).collect();
    all.extend(settings.runs.iter().flat_map(|dir| roots.iter().map(move |root| root.join(dir))));
    all.sort();
    all.dedup();
    all.retain(|dir| dir.is_dir());
    all
}

/// The scripts of a run by their paths. Relative ones are meant from the folder that the run was started in.
fn scripts(dir: &Path) -> Option<HashMap<PathBuf, (String, Arc<str>)>> {
    let sources = edits::newest_sources(dir).ok()?;
    let folder = edits::start(dir).ok()?.folder;
    let path = |shown: &str| folder.join(shown).canonicalize().ok();
    Some(sources.units.into_iter().filter_map(|u| Some((path(&u.shown)?, (u.id, u.text)))).collect())
}

impl Runs {
    /// What is running, the newest first.
    fn running(&self, folders: &[PathBuf], settings: &Settings) -> Vec<Rc<Running>> {
        let places = places(folders, settings);
        let mut found = self.found.borrow_mut();
        if found.when.is_some_and(|t| t.elapsed() < FRESH) && found.folders == places {
            return found.runs.clone();
        }
        let mut runs: Vec<Rc<Running>> = Vec::new();
        for (dir, status) in places.iter().flat_map(|p| status::running(p)) {
            let version = (dir.clone(), status.started.to_bits(), edits::newest(&dir));
            let known = found.runs.iter().find(|r| r.version == version).cloned();
            let read = || {
                let name = dir.file_name().map(|n| shown(&n.to_string_lossy())).unwrap_or_default();
                Some(Rc::new(Running { name, started: status.started, scripts: scripts(&dir)?, version: version.clone() }))
            };
            // One that is just being written is there the next time.
            runs.extend(known.or_else(read));
        }
        runs.sort_by(|a, b| b.started.total_cmp(&a.started));
        runs.dedup_by(|a, b| a.version == b.version);
        *found = Found { when: Some(Instant::now()), folders: places, runs: runs.clone() };
        runs
    }

    /// The newest run of a script, and how many others there are.
    fn newest(&self, script: &Path, folders: &[PathBuf], settings: &Settings) -> Option<(Rc<Running>, usize)> {
        let mut all = self.running(folders, settings).into_iter().filter(|r| r.scripts.contains_key(script));
        let newest = all.next()?;
        Some((newest, all.count()))
    }

    /// What the newest run of a script tells of it.
    pub(super) fn live(&self, script: &Path, folders: &[PathBuf], settings: &Settings) -> Option<Live> {
        let (run, others) = self.newest(script, folders, settings)?;
        let (unit, text) = run.scripts.get(script)?;
        // A run that has logged nothing yet has no file.
        let last = metrics::last(&run.version.0.join("metrics.jsonl")).unwrap_or_default();
        let metrics = last.into_iter().filter(|(name, _)| name != metrics::EDIT);
        let metrics = metrics.map(|(name, (step, x))| Logged { name, value: short(x), step }).collect();
        let shapes = if settings.show == Show::Shapes { self.shapes(&run.version) } else { Vec::new() };
        let of_script = shapes.into_iter().filter(|s| s.unit == *unit);
        let shapes = of_script.map(|s| Returned { line: s.line, column: s.column, call: s.call, shown: shown(&s.shown) }).collect();
        Some(Live { run: run.name.clone(), others, text: text.clone(), metrics, shapes })
    }

    /// What the calls of a run return. It is asked once, for one step; until it has answered there is nothing.
    fn shapes(&self, version: &Version) -> Vec<Shape> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shapes) = told.shapes.get(version) {
            return shapes.clone();
        }
        if told.asked.get(version).is_none_or(|t| t.elapsed() > PATIENCE) {
            told.asked.insert(version.clone(), Instant::now() + Duration::from_secs(86_400));
            let (version, all) = (version.clone(), self.told.clone());
            // A step may take minutes, and the editor does not wait.
            let ask = std::thread::Builder::new().name("shapes".into()).spawn(move || {
                let answer = ask(&version.0);
                let mut told = all.lock().unwrap_or_else(PoisonError::into_inner);
                match answer {
                    Some(shapes) => drop(told.shapes.insert(version, shapes)),
                    None => drop(told.asked.insert(version, Instant::now())),
                }
            });
            if let Err(e) = ask {
                eprintln!("warning: no thread can be started that asks a run for shapes: {e}");
            }
        }
        Vec::new()
    }

    /// A number that is another one once [`Runs::live`] tells something else of one of these scripts.
    pub(super) fn state(&self, scripts: &[PathBuf], folders: &[PathBuf], settings: &Settings) -> u64 {
        let mut state = DefaultHasher::new();
        for script in scripts {
            let Some((run, others)) = self.newest(script, folders, settings) else { continue };
            let log = run.version.0.join("metrics.jsonl");
            let told = self.told.lock().unwrap_or_else(PoisonError::into_inner).shapes.contains_key(&run.version);
            (script, &run.version, others, crate::files::size(&log).unwrap_or(0), told).hash(&mut state);
        }
        state.finish()
    }
}

/// Asks a run what the calls of its next step return; `None` where it does not say.
fn ask(dir: &Path) -> Option<Vec<Shape>> {
    let mut stream = attach::connect(dir).ok()?;
    let call = serde_json::to_string(&Call { id: 1, want: Want::Shapes }).ok()?;
    stream.write_all(format!("{call}\n").as_bytes()).ok()?;
    let replies = BufReader::new(stream).lines().map_while(Result::ok).filter_map(|line| serde_json::from_str::<Reply>(&line).ok());
    match replies.take(8).find(|r| r.id <= 1)?.got {
        Got::Shapes(shapes) => Some(shapes),
        Got::Error(e) => {
            eprintln!("{}: {}", dir.display(), shown(&e));
            None
        }
        _ => None,
    }
}
