//! `lathe run SCRIPT [flags]`.

use super::config_files;
use super::flags::{self, Flags};
use super::help;
use super::memory;
use super::paths::{Paths, fetching};
use super::ranks::ranked;
use crate::dist::{self, World};
use crate::error::{Error, Result};
use crate::interrupt;
use crate::script::rhai::Dynamic;
use crate::script::{Arg, Choose, Config, Engine, EngineOptions, HotOptions, Origin, Params, Permissions, RunContext, WatchMode};
use crate::torch;
use crate::torch::bridge::Profiler;
use std::path::{Path, PathBuf};

/// Run a script. Its own flags come after its name; `lathe run SCRIPT --help` lists them.
#[derive(clap::Args)]
#[command(override_usage = "lathe run [OPTIONS] SCRIPT [FLAGS]")]
#[command(after_help = "Every script has, besides its own settings:
  --device auto|cpu|cuda|cuda:N   where tensors and models are made (auto: cuda where it works)
  --dtype f32|bf16|f16            what the script computes in: for scripts that read cfg.dtype, refused by others
  --config FILE.toml|RECIPE       values for settings, or a recipe: recipes/RECIPE.toml beside the script; flags go before it,
                                  and of several the last
  --print-config                  show every value with where it comes from, and stop
  --threads N                     how many CPU threads to use
  --max-memory SIZE               how much memory it may use: 8G, 0.9 of the machine (the default), none
  --nproc N                       train with N processes on this machine, one for each GPU; torchrun, srun and mpirun start them as well
  --dist-.., --rng, --shard-optimizer
                                  how they work together: docs/guide/many-gpus.md
  --fetch                         fetch published weights that are missing: docs/guide/weights.md
  --watch                         take saved edits in between two steps (SIGHUP does it once without)
  --profile[=STEPS]               measure where the time of STEPS steps goes (10): docs/guide/debugging.md
  --find-nan                      end with the first line whose result or gradient is not finite
  --help                          the script's settings")]
pub struct Args {
    #[command(flatten)]
    paths: Paths,
    /// Take saved edits of the scripts in between two steps. `--watch=poll` looks at the files instead of waiting for events.
    #[arg(long, value_name = "HOW", num_args = 0..=1, require_equals = true, default_missing_value = "auto")]
    watch: Option<String>,
    /// Measure where the time of steps goes, line by line, and record a trace of some more: in `profile/` of the run.
    #[arg(long, value_name = "STEPS", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    profile: Option<String>,
    /// End with the first line and call whose result, or whose gradient, is not finite. Slow.
    #[arg(long)]
    find_nan: bool,
    /// Train with N processes on this machine, one for each GPU. `batch_size` is the batch of all of them.
    #[arg(long, value_name = "N")]
    nproc: Option<usize>,
    /// The script, a .rhai file, and its own flags: `--learning-rate 1e-4 --mapper.depth 2 --no-shuffle`.
    // One list: everything after the script's name is the script's, `--help` too.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true, value_name = "SCRIPT [FLAGS]")]
    command: Vec<String>,
}

impl Args {
    fn script(&self) -> PathBuf {
        self.command.first().map(PathBuf::from).unwrap_or_default()
    }

    /// `--watch` before the script's name works as after it.
    fn watch(&self) -> Result<Option<WatchMode>> {
        self.watch.as_deref().map(|how| flags::watch_mode(Some(how))).transpose()
    }

    /// `--log-level` among the script's flags works as before the script's name.
    pub(super) fn log_level(&self) -> Option<&str> {
        self.behind("--log-level")
    }

    /// Whether `--profile` stands before the script's name or after it.
    fn profiles(&self) -> bool {
        self.profile.is_some() || self.command.iter().any(|a| a == "--profile" || a.starts_with("--profile="))
    }

    /// How many processes to start, with `--nproc` before the script's name or after it.
    ///
    /// # Errors
    /// `E0101` for no number.
    pub(super) fn nproc(&self) -> Result<Option<usize>> {
        let Some(text) = self.behind("--nproc") else { return Ok(self.nproc) };
        text.parse().map(Some).map_err(|_| Error::usage(format!("`--nproc` must be a number of processes, got `{text}`")))
    }

    /// The value of a flag among the script's.
    fn behind(&self, flag: &str) -> Option<&str> {
        let at = self.command.iter().position(|a| a.strip_prefix(flag).is_some_and(|rest| rest.is_empty() || rest.starts_with('=')))?;
        self.command[at].split_once('=').map(|(_, v)| v).or_else(|| self.command.get(at + 1).map(String::as_str))
    }
}

/// Runs the script.
///
/// # Errors
/// `E0101` for wrong flags, `E0204` for a missing device, else whatever is wrong with the script or what it threw.
pub fn run(args: &Args) -> Result<()> {
    if args.profiles() {
        Profiler::ready();
    }
    ranked(|world| start(args, world))
}

fn start(args: &Args, world: Option<World>) -> Result<()> {
    let script = args.script();
    let mut permissions = Permissions::for_script(&script);
    let engine = Engine::new(EngineOptions { permissions: Some(permissions.clone().read_only()), ..EngineOptions::default() });
    engine.load(&script)?;
    let mut params = engine.params()?;
    declare_common(&mut params);
    let mut flags = flags::parse(&args.command[1..], &params)?;
    if flags.help {
        return help::print(&script, &engine, &params);
    }
    flags.config = config_files::find(&script, &flags.config)?;
    if let Some(world) = world.filter(|_| !flags.print_config) {
        dist::join(world, flags.dist.clone())?;
    }
    let (config, device, dtype) = choose(&params, &flags)?;
    if dtype != torch::DType::Float && !reads_dtype(&engine.sources()) {
        return Err(dtype_unread(&script, dtype));
    }
    if flags.print_config {
        return help::print_config(&config);
    }
    prepare(&config, device, flags.threads)?;
    if let Some(size) = &flags.max_memory {
        memory::set(size)?;
    }
    // Before the script's name and after it.
    args.paths.grant(&mut permissions);
    flags.paths.grant(&mut permissions);
    permissions.allow_settings(&config);
    engine.set_permissions(permissions);
    let folder = script.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
    engine.host().put(fetching(folder, args.paths.fetch || flags.paths.fetch)?);
    let profiled = args.profile.as_deref().map(|steps| flags::profile_steps(Some(steps))).transpose()?.or(flags.profile);
    // Every rank looks at its own part of the batch; one is measured.
    let profiled = profiled.filter(|_| dist::is_main()).map(|steps| (script.clone(), steps));
    let finds_nan = args.find_nan || flags.find_nan;
    let context = RunContext { script, args: std::env::args().collect(), sources: engine.sources(), config: config.clone(), device, dtype };
    engine.host().put(context);
    // Rank 0 alone watches: what it takes in all take in.
    let watch = args.watch()?.or(flags.watch).filter(|_| dist::is_main());
    let files = flags.config.clone();
    let again: Choose = Box::new(move |mut params| {
        declare_common(&mut params);
        let (config, ..) = choose(&params, &flags)?;
        Ok((params, config))
    });
    interrupt::install_reload()?;
    let settings = Some((again, params, config.clone(), files));
    engine.install_hot(HotOptions { watch, color: super::wants_color(), settings, replay: None });
    crate::repl::on_breakpoint(&engine);
    let looking = finds_nan.then(|| engine.find_nan()).transpose()?;
    let profile = profiled.map(|(script, steps)| engine.profile(&script, steps));
    let result = engine.run(config.map());
    if let Some(profile) = profile {
        profile.end();
    }
    drop(looking);
    // A script that ends early because the reader of its output went away, or that was stopped in Rust code, says so.
    if result.is_ok() && interrupt::requested() {
        return Err(interrupt::stopped());
    }
    result.map(|_| ())
}

/// The settings that every script has.
pub(super) fn declare_common(params: &mut Params) {
    let text = |default: &str, help: &str| Arg { help: help.to_owned(), ..Arg::plain(default.to_owned().into()) };
    params.declare("device", text("auto", "auto, cpu, cuda or cuda:N"));
    params.declare("dtype", text("f32", "f32, bf16 or f16"));
}

/// Every value: the script's default, then the configuration file, then the flags; and the device and dtype they name.
fn choose(params: &Params, flags: &Flags) -> Result<(Config, torch::Device, torch::DType)> {
    let mut config = params.defaults();
    for path in &flags.config {
        params.set_file(&mut config, path)?;
    }
    for (name, text) in &flags.values {
        params.set_text(&mut config, name, text, Origin::Flag(format!("--{}", crate::script::settings::params::dashed(name))))?;
    }
    let named = |key: &str| config.get(key).map(Dynamic::to_string).unwrap_or_default();
    let (device, dtype) = (named("device"), named("dtype"));
    let device = match device.as_str() {
        "auto" | "" | "()" => {
            let found = if torch::cuda_is_available() { "cuda" } else { "cpu" };
            config.fill("device", found.to_owned().into(), Origin::Lathe);
            own_device(found)?
        }
        given => own_device(given)?,
    };
    let dtype = torch::parse_dtype(&dtype).map_err(|e| Error::usage(format!("--dtype: {e}")).help(e.help_text().unwrap_or_default()))?;
    Ok((config, device, dtype))
}

/// Whether one of these texts, ids first, reads the setting: `cfg.dtype`, or that of the map as `main` calls it.
fn reads_dtype(sources: &[(String, String)]) -> bool {
    let main = sources
        .first()
        .and_then(|(_, text)| text.split_once("fn main("))
        .and_then(|(_, rest)| rest.split_once(')'))
        .map_or("cfg", |(name, _)| name.trim());
    let reads = |text: &str, map: &str| {
        let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        text.contains(&format!("{map}.dtype")) || text.contains(&format!("{map}[\"dtype\"]"))
    };
    sources.iter().any(|(_, text)| reads(text, "cfg")) || (!main.is_empty() && sources.first().is_some_and(|(_, text)| reads(text, main)))
}

fn dtype_unread(script: &Path, dtype: torch::DType) -> Error {
    let (script, name) = (script.display(), torch::dtype_name(dtype));
    Error::usage(format!("--dtype {name}: {script} does not read `cfg.dtype`, so nothing in it would be computed in {name}"))
        .help("leave it out; a script that has --mixed-precision trains with bf16 or fp16 by that, and a script of your own honours `cfg.dtype` once it reads it")
}

/// The device of a name; of several processes on a machine each has its own GPU.
pub(super) fn own_device(name: &str) -> Result<torch::Device> {
    match dist::current() {
        Some(d) if name == "cuda" => torch::parse_device(&format!("cuda:{}", d.world.local_rank)),
        Some(d) if d.world.local_size > 1 && name.starts_with("cuda:") => {
            Err(Error::usage(format!("`--device {name}` would give one GPU to {} processes", d.world.local_size))
                .help("`--device cuda`: each takes its own"))
        }
        _ => torch::parse_device(name),
    }
}

/// Lets no operator, and no loop over pictures or points, use more than `n` threads; more than any machine has are not started.
pub(super) fn limit_threads(n: usize) {
    let n = n.min(flags::MOST_THREADS);
    torch::set_num_threads(n);
    // A pool that runs already keeps its size: then a host program made it.
    let _ = rayon::ThreadPoolBuilder::new().num_threads(n).build_global();
}

/// Puts the process into the state that the settings ask for.
pub(super) fn prepare(config: &Config, device: torch::Device, threads: Option<usize>) -> Result<()> {
    torch::set_default_device(device);
    if let Some(n) = threads {
        limit_threads(n);
    }
    if let Some(seed) = config.get("seed").and_then(|s| s.as_int().ok()) {
        torch::bridge::manual_seed(seed)?;
    }
    Ok(())
}
