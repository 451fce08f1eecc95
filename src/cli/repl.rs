//! `lathe repl [SCRIPT] [--load RUN]`: a prompt.

use super::paths::{Paths, fetching};
use crate::error::{Error, Result};
use crate::repl::{Local, Repl};
use crate::script::rhai::Map;
use crate::script::{Engine, EngineOptions, Origin, Permissions, on_big_stack};
use crate::torch;
use crate::train::checkpoint::Checkpoint;
use crate::train::{Sources, settings, status::Status};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Try things at a prompt; from a pipe, run what it brings line by line.
#[derive(clap::Args)]
pub struct Args {
    /// A script whose functions the prompt has, and its settings as `cfg`; when it is saved, the next line runs the new functions. Nothing
    /// of it runs by itself but `params()`.
    script: Option<PathBuf>,
    /// A run folder or checkpoint: `ckpt`, its settings `cfg`, and the functions of the script that trained it.
    #[arg(long, value_name = "RUN")]
    load: Option<PathBuf>,
    /// Run this line, print its value, and leave. May be given several times.
    #[arg(short, long = "expr", value_name = "EXPR")]
    expr: Vec<String>,
    /// How many CPU threads to use.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    #[command(flatten)]
    paths: Paths,
}

/// Opens the prompt.
///
/// # Errors
/// What is wrong with the script or the run; from a pipe and with `-e`, what a line threw.
pub fn run(args: &Args) -> Result<()> {
    on_big_stack(|| start(args))?
}

fn start(args: &Args) -> Result<()> {
    if let Some(n) = args.threads {
        super::run::limit_threads(n);
    }
    let loaded = args.load.as_deref().map(find).transpose()?;
    let mut permissions = Permissions::interactive(args.script.as_deref());
    args.load.iter().chain(loaded.iter().map(|l| &l.run)).for_each(|path| permissions.allow_read(path));
    args.paths.grant(&mut permissions);
    // Constants run before anything may be written.
    let options = EngineOptions { allow_eval: true, permissions: Some(permissions.clone().read_only()), ..EngineOptions::default() };
    let engine = Rc::new(Engine::new(options));
    crate::repl::on_breakpoint(&engine);
    match (&args.script, &loaded) {
        (Some(script), _) => engine.load(script)?,
        // As the run recorded it: what lies in somebody else's folder decides nothing here.
        (None, Some(loaded)) if Sources::are_in(&loaded.sources) => {
            let here = std::env::current_dir().map_err(|e| Error::io("open", ".", e))?;
            let recorded = Sources::read(&loaded.sources)?;
            engine.load_recorded(recorded, &here).map_err(|e| e.context(format!("loading `{}`", loaded.sources.display())))?
        }
        _ => {}
    }
    engine.set_permissions(permissions);
    let folder = args.script.as_deref().and_then(Path::parent).filter(|f| !f.as_os_str().is_empty());
    engine.host().put(fetching(folder.unwrap_or(Path::new(".")), args.paths.fetch)?);
    let settings = if loaded.is_none() { settings_of(&engine)? } else { None };
    let mut local = Local::new(engine)?;
    if let Some(cfg) = &settings {
        local.session().set("cfg", cfg.clone().into());
    }
    if let Some(loaded) = &loaded {
        local.open(&loaded.checkpoint.path().display().to_string())?;
    }
    let mut repl = Repl::new(local);
    if !args.expr.is_empty() {
        return args.expr.iter().try_for_each(|e| repl.run_text(e));
    }
    if repl.is_terminal() {
        println!("lathe {}; :help lists what there is, Ctrl-D leaves", env!("CARGO_PKG_VERSION"));
        if settings.is_some() {
            println!("cfg: the script's settings, as `main` gets them without flags");
        }
        if let Some(l) = &loaded {
            let parts: Vec<String> = l.checkpoint.parts().into_iter().map(|(name, kind)| format!("{name} ({kind})")).collect();
            println!(
                "ckpt: step {} of `{}`, holds {}; `ckpt.load(\"NAME\", object)` fills an object, `ckpt.state(\"NAME\")` has the tensors",
                l.checkpoint.head().step,
                l.run.display(),
                parts.join(", ")
            );
        }
    }
    repl.run()
}

/// What `main` of the loaded script gets without flags; `None` for a script without settings.
fn settings_of(engine: &Engine) -> Result<Option<Map>> {
    if !engine.has_fn("params", 0) {
        return Ok(None);
    }
    let mut params = engine.params()?;
    super::run::declare_common(&mut params);
    let mut config = params.defaults();
    config.fill("device", torch::device_name(torch::default_device()).into(), Origin::Lathe);
    Ok(Some(config.map()))
}

struct Loaded {
    run: PathBuf,
    checkpoint: Checkpoint,
    /// The scripts as the run recorded them.
    sources: PathBuf,
}

fn find(path: &Path) -> Result<Loaded> {
    let checkpoint = Checkpoint::find(path, None, &mut |w| crate::space::say(&format!("warning: {w}")))?;
    let run = checkpoint.path().ancestors().find(|a| a.join(crate::train::status::FILE).is_file());
    let run = run.map(Path::to_owned).ok_or_else(|| Error::data(path, "is not in a run folder"))?;
    Status::read(&run)?;
    // A run without readable settings is no run that could be looked at.
    settings::read_toml(&run.join("config.toml"))?;
    let sources = run.join("sources");
    Ok(Loaded { run, checkpoint, sources })
}
