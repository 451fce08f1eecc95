//! `lathe replay RUN`: trains a run again from its record.

use super::paths::{Paths, fetching};
use super::ranks::ranked;
use super::run::{own_device, prepare};
use crate::dist::{self, World, launch};
use crate::error::{Error, Result};
use crate::files;
use crate::script::lang::value::from_json;
use crate::script::rhai::{Dynamic, Map};
use crate::script::{Config, Engine, EngineOptions, HotOptions, Origin, Permissions, Replay, ReplayEnd, RunContext};
use crate::torch;
use crate::train::checkpoint::Checkpoint;
use crate::train::edits::{self, Edit, Kind, Start};
use crate::train::{Sources, compare, log, metrics, settings};
use serde_json::Value;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

/// Train a run again from the scripts and settings that it recorded, each edit at its step, and compare the numbers. The scripts on
/// disk do not matter. On the CPU the losses are the same bit for bit.
#[derive(clap::Args)]
pub struct Args {
    /// The run's folder, such as exps/try1.
    run: PathBuf,
    /// The name of the new run; default: the old one's with `-replay`.
    #[arg(long, value_name = "NAME")]
    exp_name: Option<String>,
    /// The folder of the new run's folder; default: where the old one lies.
    #[arg(long, value_name = "DIR")]
    output_dir: Option<PathBuf>,
    /// How many CPU threads to use; default: as many as the run used. With others, sums differ in the last bits.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    threads: Option<u32>,
    #[command(flatten)]
    paths: Paths,
}

/// Repeats the run, and says whether its numbers are the same.
///
/// # Errors
/// `E0301` or `E0302` when the record cannot be read, `E0601` when the numbers differ; whatever the script throws.
pub fn run(args: &Args) -> Result<()> {
    ranked(|world| start(args, world))
}

impl Args {
    /// How many processes to start: as many ranks as trained the part of the run that comes next, unless a launcher did.
    ///
    /// # Errors
    /// `E0301` or `E0302` when the record cannot be read.
    pub(super) fn nproc(&self) -> Result<Option<usize>> {
        if launch::world(&|name| std::env::var(name).ok())?.is_some() {
            return Ok(None);
        }
        let places = self.places()?;
        // Where no part was, its checkpoints need not be read twice.
        let parts = edits::list(&places.dir)?.into_iter().filter_map(|e| e.start).chain(edits::start(&places.dir).ok());
        if parts.map(|p| p.ranks).max().unwrap_or(1) <= 1 {
            return Ok(None);
        }
        let ranks = where_to_go_on(&places.dir, &places.new)?.start.ranks;
        Ok((ranks > 1).then_some(ranks))
    }

    fn places(&self) -> Result<Places> {
        let real = |p: &Path| p.canonicalize().map_err(|e| Error::io("open", p, e).help("give a run folder such as `exps/NAME`"));
        let dir = real(&self.run)?;
        let recorded = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let name = self.exp_name.clone().unwrap_or_else(|| format!("{recorded}-replay"));
        let output_dir = match &self.output_dir {
            Some(given) => std::path::absolute(given).map_err(|e| Error::io("open", given, e))?,
            None => dir.parent().unwrap_or(&dir).to_owned(),
        };
        let new = output_dir.join(&name);
        Ok(Places { dir, recorded, name, output_dir, new })
    }
}

/// The recorded run, and where the new one goes.
struct Places {
    dir: PathBuf,
    recorded: String,
    name: String,
    output_dir: PathBuf,
    new: PathBuf,
}

/// More threads than any machine has cores.
const MOST_THREADS: usize = 4096;

/// Where a replay goes on: after so many edits, with these scripts and settings.
struct From {
    sources: Sources,
    settings: serde_json::Map<String, Value>,
    start: Start,
    rest: Vec<Edit>,
}

fn start(args: &Args, world: Option<World>) -> Result<()> {
    let Places { dir, recorded, name, output_dir, new } = args.places()?;
    if new == dir {
        return Err(Error::usage(format!("`{}` is the run itself", new.display())).help("choose another --exp-name"));
    }
    if new.is_symlink() && args.output_dir.is_none() && args.exp_name.is_none() {
        let message = format!("`{}`, where the new run would go, is a link to `{}`", new.display(), files::resolve(&new).display());
        return Err(Error::usage(message).help("name the new run yourself: `--exp-name NAME`, or `--output-dir DIR`"));
    }
    let last = metrics::read(&dir.join("metrics.jsonl"))?.last().map_or(0, |l| l.step);
    let from = where_to_go_on(&dir, &new)?;
    if let Some(world) = world {
        let mut options = dist::Options::default();
        from.start.dist.iter().try_for_each(|(flag, value)| options.set(flag, value))?;
        dist::join(world, options)?;
    }
    if from.start.ranks != dist::size() {
        let message = format!("this part of `{}` was trained by {} ranks, here are {}", dir.display(), from.start.ranks, dist::size());
        return Err(Error::run(message).help("the same command again goes on with it, with as many ranks; under a launcher start as many"));
    }
    if from.start.reloads_before > 0 {
        let n = from.start.reloads_before;
        log::say(&format!(
            "warning: the scripts were reloaded {n} times before the run was opened; what they did until then is done with the later ones"
        ));
    }
    // The rights are those of whoever types this, where it is typed: what the record says of folders may be somebody else's wish.
    let mut permissions = Permissions::for_script(Path::new("replay"));
    permissions.allow_read(&dir);
    permissions.allow_write(args.output_dir.as_ref().map_or(&new, |_| &output_dir));
    args.paths.grant(&mut permissions);
    let here = std::env::current_dir().map_err(|e| Error::io("open", ".", e))?;
    go_to(&from.start.folder)?;
    // Constants and `params` run before anything may be written.
    let engine = Engine::new(EngineOptions { permissions: Some(permissions.clone().read_only()), ..EngineOptions::default() });
    let entry = from.sources.entry.clone();
    engine.load_recorded(from.sources, &here)?;
    engine.params()?;
    let mut config = Config::default();
    for (key, value) in &from.settings {
        config.fill(key, from_json(value), Origin::Lathe);
    }
    if config.get("exp_name").is_some_and(|n| n.to_string() == recorded) {
        config.fill("exp_name", name.clone().into(), Origin::Lathe);
    }
    let text = |key: &str| config.get(key).map(Dynamic::to_string).unwrap_or_default();
    let (device, dtype) = (own_device(&text("device"))?, torch::parse_dtype(&text("dtype"))?);
    let threads = args.threads.map_or(from.start.threads, |n| n as usize);
    if !(1..=MOST_THREADS).contains(&threads) {
        let message = format!("says that it used {threads} threads");
        return Err(Error::data(dir.join("start.json"), message).help("`--threads N` says how many to use"));
    }
    if threads != from.start.threads {
        log::say(&format!("warning: {threads} threads instead of {}: the numbers may differ in the last bits", from.start.threads));
    }
    prepare(&config, device, Some(threads))?;
    engine.host().put(RunContext {
        script: entry.into(),
        args: std::env::args().collect(),
        sources: engine.sources(),
        config: config.clone(),
        device,
        dtype,
    });
    permissions.allow_settings(&config);
    engine.set_permissions(permissions);
    engine.host().put(fetching(&here, args.paths.fetch)?);
    let replay = Replay::new(&dir, &output_dir, &name, from.rest, Some(last)).made_from(from.start.made_from);
    replay.set_typed(crate::script::prompt::attached::typed_again());
    let hot = engine.install_hot(HotOptions { color: super::wants_color(), replay: Some(replay), ..HotOptions::default() });
    let map: Map = config.map();
    let result = engine.run(map);
    let replay = hot.replay().expect("it was just installed");
    match (replay.end(), result) {
        (ReplayEnd::Restart, _) => again(&here),
        (ReplayEnd::Script, Err(e)) => Err(e),
        // It ended where the recorded run was started anew, to train longer for example.
        (ReplayEnd::Script, Ok(_)) if replay.rest().first().is_some_and(|e| e.kind == Kind::Resume) && is_at(&new, replay.rest()[0].step)? => {
            again(&here)
        }
        (ReplayEnd::Script, Ok(_)) if !replay.rest().is_empty() => {
            let edit = &replay.rest()[0];
            Err(Error::run(format!("the script ended before step {}, at which edit {} took effect", edit.step, edit.number)))
        }
        _ if !dist::is_main() => Ok(()),
        _ => judge(&dir, &new),
    }
}

/// Whether the newest checkpoint of a run is of that step.
fn is_at(run: &Path, step: u64) -> Result<bool> {
    Ok(newest(run)?.is_some_and(|c| c.head().step == step))
}

fn newest(run: &Path) -> Result<Option<Checkpoint>> {
    crate::train::checkpoint::latest(&run.join("checkpoints"), &mut |w| log::say(&format!("warning: {w}")))
}

/// Starts this very command anew in the folder where it was typed: a part of the run that another process did is done by another process.
fn again(here: &Path) -> Result<()> {
    let program = std::env::current_exe().map_err(|e| Error::io("open", "the program itself", e))?;
    Err(Error::io("start", &program, std::process::Command::new(&program).args(std::env::args_os().skip(1)).current_dir(here).exec()))
}

/// What the new run has done so far tells which scripts and settings come next.
fn where_to_go_on(dir: &Path, new: &Path) -> Result<From> {
    let all = edits::list(dir)?;
    let found = newest(new)?;
    let mut done = found.as_ref().map_or(0, |c| usize::try_from(c.head().generation).unwrap_or(usize::MAX)).min(all.len());
    // Going on with other scripts or settings is the edit that comes next.
    if let Some(c) = &found
        && all.get(done).is_some_and(|e| e.kind == Kind::Resume && e.step == c.head().step)
    {
        done += 1;
    }
    let sources = match done.checked_sub(1) {
        Some(last) => all[last].sources(dir)?,
        None => edits::first_sources(dir)?,
    };
    let begun = all[..done].iter().rposition(|e| e.start.is_some());
    let start = match begun.and_then(|at| all[at].start.clone()) {
        Some(start) => start,
        None => edits::start(dir).map_err(|e| e.help("runs of early versions do not record how they began"))?,
    };
    let Some(mut values) = start.settings.clone() else {
        return Err(Error::run(format!("`{}` was not started by `lathe run`: there is no command to repeat", dir.display())));
    };
    // A replay that was stopped begins with what had been edited by then.
    for change in all[begun.map_or(0, |at| at + 1)..done].iter().flat_map(|e| &e.settings) {
        settings::set(&mut values, &change.name, change.new.clone());
    }
    Ok(From { sources, settings: values, start, rest: all[done..].to_vec() })
}

/// Relative paths in settings are meant from the folder in which the run was started.
fn go_to(folder: &Path) -> Result<()> {
    if !folder.is_dir() {
        log::say(&format!(
            "warning: `{}`, where the run was started, is not here: relative paths are taken from the working directory",
            folder.display()
        ));
        return Ok(());
    }
    std::env::set_current_dir(folder).map_err(|e| Error::io("open", folder, e))
}

/// Says whether the numbers are the same.
fn judge(dir: &Path, new: &Path) -> Result<()> {
    let (same, parting) = compare::parting(dir, new)?;
    let Some(parting) = parting else {
        log::say(&format!("the numbers are those of `{}`, bit for bit: {same} lines", dir.display()));
        return Ok(());
    };
    let error = Error::run(format!("after {same} equal lines the numbers are not those of `{}`: {parting}", dir.display()));
    let other = compare::environment(dir, new)?;
    if other.is_empty() {
        return Err(error.help("operators that are not deterministic, or files that have changed since, make such a difference"));
    }
    let list: Vec<String> = other.iter().map(|p| format!("{} {} then, {} now", p.name, p.a, p.b)).collect();
    Err(error.help(format!("this is not the machine or the program of then: {}", list.join("; "))))
}
