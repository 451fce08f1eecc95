//! `train::`, runs, checkpoints and the fit loop.

pub mod origin;

use crate::api;
use crate::data::Loader;
use crate::error::{Error, ErrorKind, Result};
use crate::fetch::is_reference;
use crate::nn::{Module, State};
use crate::script::bind::Cx;
use crate::script::lang::value::{from_json, type_name, within_levels};
use crate::script::prompt::attached::Attached;
use crate::script::training::hot::Hot;
use crate::script::training::open::{options, text};
use crate::script::training::profile::Profiled;
use crate::script::training::run::{Guests, OWN, Run};
use crate::script::training::steps::{Callback, FailedStep, ScriptSteps, is_same_object, metrics_of, tracked};
use crate::script::training::stopping::Stopping;
use crate::script::training::values::TrackedValue;
use crate::script::units::at::At;
use crate::torch::Tensor;
use crate::train::{self, FitOptions, NoBatches, Outcome, settings};
use rhai::{Array, Dynamic, Map};
use serde_json::Value;
use std::path::Path;
use std::rc::Rc;

/// A checkpoint as scripts hold it.
#[derive(Clone)]
pub struct Checkpoint(Rc<train::Checkpoint>);
crate::script_handle!(Checkpoint, "a checkpoint");

fn state_map(state: State) -> Map {
    state.into_iter().map(|(name, t)| (name.into(), Dynamic::from(t))).collect()
}

fn find(cx: &Cx, path: &str, step: Option<i64>) -> Result<train::Checkpoint> {
    cx.readable_within(path)?;
    let step = step.and_then(|s| u64::try_from(s).ok());
    train::Checkpoint::find(Path::new(path), step, &mut |w| train::log::say(&format!("warning: {w}")))
}

/// The run folder that holds a checkpoint.
fn run_of(checkpoint: &Path) -> &Path {
    checkpoint.parent().and_then(Path::parent).unwrap_or(Path::new("."))
}

fn map(value: Value) -> Map {
    from_json(&value).try_cast().unwrap_or_default()
}

api! {
    namespace "train";

    /// Opens the run folder `cfg.output_dir`/`cfg.exp_name`, or goes on with it, and seeds the random generators with `cfg.seed`.
    ///
    /// The folder gets `config.toml`, `command.txt`, `env.json`, `sources/`, `metrics.jsonl`, TensorBoard events, `samples/`,
    /// `checkpoints/` and `log.txt`, and is locked until the run is let go. A run that has checkpoints goes on from the newest whole one
    /// at `fit` or `run.resume()`, or from that of `resume_step`: what came after it is then put aside, in the folder `superseded/`. Settings that differ from
    /// those it was started with are shown; `seed`, `model`, `model_config`, `vae`, `vae_config` and `vae_arch` must be the same, and so must what the run was
    /// made from (`run.made_from`) and the loader's set and batch size. `#{resume: "force"}` accepts every difference; settings `cfg.resume` and `cfg.force`
    /// (a bool) mean the same, `cfg.resume_step` that of the option. `cfg.allow_change`, names of settings joined by commas (`batch_size,data_dir`), accepts
    /// those; the run records them as an edit.
    ///
    /// # Errors
    /// `E0101` when the settings do not fit the run or there is no checkpoint of that step, `E0202` for one nested more than 48 deep, `E0601` when another process works on it, `E0301` when the folder cannot be written.
    /// # Example
    /// ```rhai
    /// let run = train::run(#{output_dir: io::temp_dir(), exp_name: "try1", seed: 7});
    /// assert_eq(run.name, "try1");
    /// assert_eq(run.cfg.seed, 7);
    /// ```
    fn run[cx](cfg: Map;
        /// `auto`, or `force`: goes on although settings differ; as `cfg.resume` unless given
        resume: Option<String>["auto", "force"],
        /// goes on from the checkpoint of that step; 0 takes the newest; as `cfg.resume_step` unless given
        resume_step: Option<i64>[0..],
    ) -> Run {
        let resume = match resume {
            Some(resume) => resume,
            None => text(&cfg, "resume")?.unwrap_or_else(|| "auto".into()),
        };
        if resume != "auto" && resume != "force" {
            let near = crate::error::did_you_mean(&resume, ["auto", "force"]);
            return Err(Error::value("run", format!("`resume` must be \"auto\" or \"force\", got `{resume}`{near}")));
        }
        cfg.iter().try_for_each(|(name, value)| within_levels("run", name, value))?;
        let mut options = options(cx, &cfg, resume == "force")?;
        if let Some(step) = resume_step {
            options.resume_step = u64::try_from(step).ok().filter(|s| *s > 0);
        }
        train::check_name(&options.name)?;
        cx.writable_within(options.output_dir.join(&options.name))?;
        let run = train::OpenRun::open(options)?;
        cx.host().put(crate::script::api::show::ShowFolder(run.dir().join("samples")));
        let guests = Attached::start(&run).map(|a| Box::new(a) as Box<dyn Guests>);
        let run = Run::new(run, cx.program()?.current().number, cfg, guests);
        if let Some(hot) = cx.host().get::<Hot>() {
            hot.opened(&run);
        }
        Ok(run)
    }

    /// Trains: calls the function named `step` of the calling script with `(run, batch)` until `steps` are done.
    ///
    /// The function is looked up at every step, so that an edited script takes effect (`lathe run --watch`), a closure by where it stands. It
    /// returns a map of metrics, numbers or tensors with one element, which are read back only when they are logged, as the mean since the last line.
    /// A metric named `loss` or `.._loss` that is not finite stops the run, and its batch is saved. `loader` may be `()` for steps that make
    /// their own data. A run with checkpoints goes on from the newest whole one, as if it had never stopped; one that is finished
    /// gets its objects back and does nothing else. Ctrl-C and SIGTERM end the step, save and stop.
    ///
    /// The first and the last step are logged too, and the last is always saved; 0 steps between two of them is never. `on_sample` is a function
    /// of `(run, batch)` or `(run)`, `on_log` of `(run, values)`.
    ///
    /// # Errors
    /// `E0601` when a loss is not finite, `E0401` when a checkpoint belongs to other objects, `E0503` when a function is missing, and
    /// whatever the step throws.
    /// # Example
    /// ```rhai
    /// let run = train::run(#{output_dir: io::temp_dir(), exp_name: "try1", seed: 0});
    /// train::fit(run, (), |run, batch| #{loss: torch::rand([1])}, #{steps: 3, log_every: 1});
    /// assert_eq(run.step, 3);
    /// assert_eq(train::metrics(run.dir).len(), 3);
    /// ```
    fn fit[cx](run: Run, loader: Dynamic, step: Dynamic;
        /// how many steps there are, over all restarts
        steps: i64[1..],
        /// steps between two lines of metrics
        log_every: i64[0..] = 50,
        /// steps between two checkpoints
        save_every: i64[0..] = 1000,
        /// steps between two calls of `on_sample`
        sample_every: i64[0..] = 500,
        /// what draws samples
        on_sample: Option<Dynamic>,
        /// what gets each line of metrics
        on_log: Option<Dynamic>,
        /// how many of the newest checkpoints stay; all unless given
        keep_last: Option<usize>,
        /// the checkpoints of every so many steps stay as well; alone, with the newest one
        keep_every: Option<usize>,
        /// `keep_last` by its first name
        keep: Option<usize>,
    ) -> bool {
        let [steps, log_every, save_every, sample_every] = [steps, log_every, save_every, sample_every].map(i64::unsigned_abs);
        let last = keep_last.or(keep);
        if last.is_some() || keep_every.is_some() {
            let every = keep_every.filter(|n| *n > 0).map(|n| n as u64);
            run.run().set_keep(train::Keep { last: last.filter(|n| *n > 0), every });
        }
        let options = FitOptions { steps, log_every, save_every, sample_every: if on_sample.is_some() { sample_every } else { 0 } };
        let hot = cx.host().get::<Hot>();
        let mut script = ScriptSteps {
            cx,
            run: run.clone(),
            _busy: hot.as_ref().map(|hot| hot.busy(true)),
            hot,
            profile: cx.host().get::<Profiled>().map(|p| p.0.clone()),
            _work: cx.program()?.at_work(cx.native()),
            step: Callback::new(cx, "step", &step, &[2, 1])?,
            on_sample: on_sample.map(|f| Callback::new(cx, "on_sample", &f, &[2, 1])).transpose()?,
            on_log: on_log.map(|f| Callback::new(cx, "on_log", &f, &[2])).transpose()?,
        };
        let outcome = match loader.read_lock::<Loader>().map(|l| l.clone()) {
            Some(loader) => train::fit(run.run(), &loader, &mut script, &options),
            None if loader.is_unit() => train::fit(run.run(), &NoBatches, &mut script, &options),
            None => return Err(Error::value("fit", format!("argument `loader` must be a loader or (), got {}", type_name(&loader)))),
        };
        run.detach();
        // It holds the run, which keeps its folder locked.
        cx.host().remove::<FailedStep>();
        Ok(outcome? == Outcome::Finished)
    }

    /// Opens a checkpoint: the newest whole one of a run folder, or that of the option `step`, or one by its own folder.
    ///
    /// # Errors
    /// `E0301` or `E0302` when there is none or it is damaged.
    /// # Example
    /// ```rhai
    /// let run = train::run(#{output_dir: io::temp_dir(), exp_name: "try1", seed: 0});
    /// run.track("net", nn::linear(2, 3));
    /// run.save();
    /// let net = nn::linear(2, 3);
    /// train::checkpoint(run.dir, #{step: 0}).load("net", net);
    /// assert_eq(net.state().weight, run.net.state().weight);
    /// ```
    fn checkpoint[cx](path: String;
        /// which one; the newest whole one unless given
        step: Option<i64>[0..],
    ) -> Checkpoint { find(cx, &path, step).map(|c| Checkpoint(Rc::new(c))) }

    /// Reads a whole checkpoint: a map from each tracked name to its tensors.
    ///
    /// # Errors
    /// `E0301` or `E0302` when there is none or it is damaged.
    /// # Example
    /// ```rhai
    /// let run = train::run(#{output_dir: io::temp_dir(), exp_name: "try1", seed: 0});
    /// run.track("net", nn::linear(2, 3));
    /// run.save();
    /// assert_eq(train::load_checkpoint(run.dir).net.weight.shape, [3, 2]);
    /// ```
    fn load_checkpoint[cx](path: String;
        /// which one; the newest whole one unless given
        step: Option<i64>[0..],
    ) -> Map {
        let c = find(cx, &path, step)?;
        c.parts().into_iter().map(|(name, _)| Ok((name.into(), state_map(c.read(name)?.tensors).into()))).collect()
    }

    /// Whether a path is a run folder or a checkpoint in one.
    ///
    /// # Errors
    /// None: a path where nothing is, is no run.
    /// # Example
    /// ```rhai
    /// let run = train::run(#{output_dir: io::temp_dir(), exp_name: "try1", seed: 0});
    /// assert(train::is_run(run.dir), "just opened");
    /// assert(!train::is_run("weights.safetensors"), "a file");
    /// ```
    fn is_run[cx](path: String) -> bool {
        if is_reference(&path) {
            return Ok(false);
        }
        cx.readable(&path)?;
        let path = Path::new(&path);
        Ok(path.join(train::status::FILE).is_file() || path.join("state.json").is_file())
    }

    /// The logged values of a run folder, or of a `metrics.jsonl`: an array of maps with `step`, `time` and the metrics of each line.
    ///
    /// # Errors
    /// `E0301` when there is no log.
    /// # Example
    /// ```rhai
    /// let run = train::run(#{output_dir: io::temp_dir(), exp_name: "try1", seed: 0});
    /// run.resume();
    /// run.log(#{psnr: 21.5});
    /// assert_eq(train::metrics(run.dir)[0].psnr, 21.5);
    /// ```
    fn metrics[cx](path: String) -> Array {
        let path = Path::new(&path);
        let file = if path.is_dir() { path.join("metrics.jsonl") } else { path.to_owned() };
        cx.readable(&file)?;
        let row = |l: train::metrics::Line| {
            let mut m: Map = l.values.into_iter().map(|(k, v)| (k.into(), v.into())).collect();
            m.insert("step".into(), i64::try_from(l.step).unwrap_or(i64::MAX).into());
            m.insert("time".into(), l.time.into());
            Dynamic::from(m)
        };
        Ok(train::metrics::read(&file)?.into_iter().map(row).collect())
    }

    /// The pictures in a run folder: the newest of each name that `run.image` saved, and the newest set that `sample.rhai` drew. An array of
    /// `#{name, step, path, is_set}`; `step` is `()` where the file's name does not tell it, and a set is a folder or `.npz` for `data::pictures`.
    ///
    /// # Errors
    /// `E0301` when the folder cannot be listed.
    /// # Example
    /// ```rhai
    /// let run = train::run(#{output_dir: io::temp_dir(), exp_name: "try1", seed: 0});
    /// run.image("noise", torch::rand([4, 3, 8, 8]));
    /// assert_eq(train::pictures(run.dir)[0].name, "noise");
    /// ```
    fn pictures[cx](run: String) -> Array {
        cx.readable_within(&run)?;
        let row = |p: train::compare::RunPicture| {
            let step = p.step.map_or(Dynamic::UNIT, |s| i64::try_from(s).unwrap_or(i64::MAX).into());
            let fields = [("name", p.name.into()), ("step", step), ("path", p.path.display().to_string().into()), ("is_set", p.is_set.into())];
            Dynamic::from(Map::from_iter(fields.into_iter().map(|(k, v): (&str, Dynamic)| (k.into(), v))))
        };
        Ok(train::compare::pictures(Path::new(&run))?.into_iter().map(row).collect())
    }
}

api! {
    fn run_methods;
    methods Run;

    /// The name of the run: its folder's.
    ///
    /// # Example
    /// ```rhai
    /// assert_eq(train::run(#{output_dir: io::temp_dir(), exp_name: "try1"}).name, "try1");
    /// ```
    fn name as "get$name"(run: Run) -> String { Ok(run.run().name().to_owned()) }

    /// The folder of the run.
    ///
    /// # Example
    /// ```rhai
    /// let dir = io::temp_dir();
    /// assert_eq(train::run(#{output_dir: dir, exp_name: "try1"}).dir, dir + "/try1");
    /// ```
    fn dir as "get$dir"(run: Run) -> String { Ok(run.run().dir().display().to_string()) }

    /// The step, from 0: in a step the one being done, else how many are done.
    ///
    /// # Example
    /// ```rhai
    /// assert_eq(train::run(#{output_dir: io::temp_dir(), exp_name: "try1"}).step, 0);
    /// ```
    fn step as "get$step"(run: Run) -> i64 { Ok(i64::try_from(run.run().step()).unwrap_or(i64::MAX)) }

    /// Says how many steps are done, in a loop of one's own.
    ///
    /// # Errors
    /// `E0202` when it is negative.
    /// # Example
    /// ```rhai
    /// let run = train::run(#{output_dir: io::temp_dir(), exp_name: "try1", seed: 0});
    /// for i in run.resume()..3 {
    ///     run.step = i + 1;
    ///     run.log(#{loss: 1.0 / (i + 1)});
    ///     run.save();
    /// }
    /// assert_eq(train::checkpoint(run.dir).step, 3);
    /// ```
    fn set_step as "set$step"[cx](run: Run, step: i64) -> () {
        run.run().set_step(u64::try_from(step).map_err(|_| Error::value("step", format!("must not be negative, got {step}")))?);
        run.answer(&At { rhai: cx.native().engine(), program: &cx.program()?, host: cx.host() }, true)
    }

    /// Seconds of training so far, over all restarts, without the time in between.
    ///
    /// # Example
    /// ```rhai
    /// assert_eq(train::run(#{output_dir: io::temp_dir(), exp_name: "try1"}).seconds, 0.0);
    /// ```
    fn seconds as "get$seconds"(run: Run) -> f64 { Ok(run.run().seconds()) }

    /// The settings the run was opened with.
    ///
    /// # Example
    /// ```rhai
    /// assert_eq(train::run(#{output_dir: io::temp_dir(), exp_name: "try1", lr: 0.1}).cfg.lr, 0.1);
    /// ```
    fn cfg as "get$cfg"(run: Run) -> Map { Ok(run.settings()) }

    /// Changes settings for the steps that follow, in this process: `config.toml` keeps those the run was opened with.
    ///
    /// # Errors
    /// `E0202` for anything but a map.
    /// # Example
    /// ```rhai
    /// let run = train::run(#{output_dir: io::temp_dir(), exp_name: "try1", lr: 0.1});
    /// run.cfg.lr = 0.05;
    /// assert_eq(run.cfg.lr, 0.05);
    /// ```
    fn set_cfg as "set$cfg"(run: Run, cfg: Map) -> () {
        run.set_settings(cfg);
        Ok(())
    }

    /// An object that was given to the run with `track` or `set`; `run.vae` is the same as `run["vae"]`.
    ///
    /// # Errors
    /// `E0202` when it has none of that name, with the nearest.
    /// # Example
    /// ```rhai
    /// let run = train::run(#{output_dir: io::temp_dir(), exp_name: "try1"});
    /// run.set("classes", 10);
    /// assert_eq(run.classes, 10);
    /// assert_eq(run["classes"], 10);
    /// ```
    fn get as "index$get$"(run: Run, name: String) -> Dynamic {
        run.object(&name).ok_or_else(|| {
            let objects = run.objects();
            let names: Vec<&str> = objects.iter().map(|(name, _)| name.as_str()).chain(OWN.iter().copied()).collect();
            let near = crate::error::did_you_mean(&name, names.iter().copied());
            Error::value("run", format!("the run has no `{name}`{near}")).help(format!("it has: {}", names.join(", ")))
        })
    }

    /// Registers what checkpoints hold: a module, an optimizer, an EMA, a gradient scaler, a loader, or a value: a tensor, number, bool, string,
    /// array or map. Afterwards it is `run.name`. Everything must be tracked before `fit`, `resume` or `save`.
    ///
    /// A resumed run restores objects and tensors in place: every variable that holds one sees it. Values belong to the run: change them as
    /// `run.best = 0.5` or `run.history.push(x)`, and read them there; a variable that held one before keeps what it held.
    ///
    /// # Errors
    /// `E0202` for something that has no state, for a name that is taken or no file name, or when the run has begun.
    /// # Example
    /// ```rhai
    /// let run = train::run(#{output_dir: io::temp_dir(), exp_name: "try1"});
    /// run.track("net", nn::linear(2, 3));
    /// assert_eq(run.net.forward(torch::ones([1, 2])).shape, [1, 3]);
    /// run.track("history", []);
    /// run.history.push(0.5);
    /// run.save();
    /// assert_eq(run.history, [0.5]);
    /// ```
    fn track(run: Run, name: String, object: Dynamic) -> () {
        let known = match tracked(&object) {
            Some(known) => known,
            None => Rc::new(TrackedValue::new(&run, &name, &object)?),
        };
        let before = run.object(&name);
        run.put(&name, object)?;
        run.run().track(&name, known).inspect_err(|_| run.put_back(&name, before))
    }

    /// Gives what the run has under a name another value, `run.best = 0.5` or `run["best"] = 0.5`.
    ///
    /// # Errors
    /// `E0202` where it has nothing of that name (`run.set` makes a new one), and for another object in the place of one that is tracked.
    /// # Example
    /// ```rhai
    /// let run = train::run(#{output_dir: io::temp_dir(), exp_name: "try1"});
    /// run.track("best", 0.0);
    /// run.best = 0.5;
    /// run["best"] = run.best / 2;
    /// assert_eq(run.best, 0.25);
    /// ```
    fn set_at as "index$set$"(run: Run, name: String, value: Dynamic) -> () {
        let Some(old) = run.object(&name) else {
            let objects = run.objects();
            let near = crate::error::did_you_mean(&name, objects.iter().map(|(name, _)| name.as_str()).chain(OWN.iter().copied()));
            let help = format!("`run.set(\"{name}\", value)` gives it one, `run.track` one that checkpoints hold");
            return Err(Error::value("run", format!("the run has no `{name}`{near}")).help(help));
        };
        // The engine writes every object back after a call of one of its methods.
        if is_same_object(&old, &value) {
            return Ok(());
        }
        if run.run().tracks(&name) && tracked(&old).is_some() {
            let message = format!("`run.{name}` is tracked: another object in its place would not be what checkpoints hold");
            return Err(Error::value("run", message).help("load the new weights into it, or track both from the start"));
        }
        if run.run().tracks(&name) {
            TrackedValue::new(&run, &name, &value)?;
        }
        run.put(&name, value)
    }

    /// Gives the run a value under a name, for the steps: `run.name`. Checkpoints do not hold it.
    ///
    /// # Errors
    /// `E0202` for a name that the run itself uses.
    /// # Example
    /// ```rhai
    /// let run = train::run(#{output_dir: io::temp_dir(), exp_name: "try1"});
    /// run.set("weights", [1.0, 0.5]);
    /// assert_eq(run.weights.len(), 2);
    /// ```
    fn set(run: Run, name: String, value: Dynamic) -> () { run.put(&name, value) }

    /// Logs values at once, with the present step: a line in `metrics.jsonl`, scalars for TensorBoard.
    ///
    /// # Shapes
    /// - tensors: one element
    /// # Errors
    /// `E0202` for a value that is not one number, or a metric called `step`, `time` or `edit`; `E0301` when the disk is full.
    /// # Example
    /// ```rhai
    /// let run = train::run(#{output_dir: io::temp_dir(), exp_name: "try1"});
    /// run.resume();
    /// run.log(#{accuracy: torch::ones([1]) / 2, n: 3});
    /// assert_eq(train::metrics(run.dir)[0].accuracy, 0.5);
    /// ```
    fn log(run: Run, values: Map) -> () { run.run().log(&metrics_of("log", &Dynamic::from(values))?) }

    /// Saves a grid of pictures as `samples/step-0000500-NAME.png` and for TensorBoard; returns the path.
    ///
    /// # Shapes
    /// - `images`: `[B, C, H, W]`, `[C, H, W]` or `[H, W]` with C 1 or 3; u8, or float in [-1, 1]
    /// # Errors
    /// `E0202` for a tensor that is no picture or a name that is no file name, `E0301` when the disk is full.
    /// # Example
    /// ```rhai
    /// let run = train::run(#{output_dir: io::temp_dir(), exp_name: "try1"});
    /// let path = run.image("noise", torch::rand([9, 3, 8, 8]) * 2 - 1);
    /// assert(path.ends_with("step-0000000-noise.png"), path);
    /// ```
    fn image(run: Run, name: String, images: Tensor) -> String { run.run().image(&name, &images).map(|p| p.display().to_string()) }

    /// Goes on from the newest whole checkpoint, if there is one, and returns the number of steps done; for loops of one's own, as `fit`
    /// does it by itself. A second call changes nothing.
    ///
    /// # Errors
    /// `E0401` when the checkpoint belongs to other objects, `E0302` when every checkpoint is damaged.
    /// # Example
    /// ```rhai
    /// let run = train::run(#{output_dir: io::temp_dir(), exp_name: "try1"});
    /// assert_eq(run.resume(), 0);
    /// ```
    fn resume(run: Run) -> i64 { run.run().resume().map(|s| i64::try_from(s).unwrap_or(i64::MAX)) }

    /// Writes a checkpoint of the steps done and returns its folder.
    ///
    /// # Errors
    /// `E0601` inside a step, which is not done yet; `E0301` when the disk is full: older checkpoints stay.
    /// # Example
    /// ```rhai
    /// let run = train::run(#{output_dir: io::temp_dir(), exp_name: "try1"});
    /// assert(run.save().ends_with("checkpoints/0000000"), "the folder is named after the step");
    /// ```
    fn save(run: Run) -> String { run.run().save().map(|p| p.display().to_string()) }

    /// Lets the checkpoint of the present step stay under a name, such as "best", in the place of the one that had it: neither `keep_last`
    /// nor `keep_every` removes it. It need not be saved yet. `checkpoints/kept.json` has the names and their steps.
    ///
    /// # Errors
    /// `E0301` when the disk is full.
    /// # Example
    /// ```rhai
    /// let run = train::run(#{output_dir: io::temp_dir(), exp_name: "try1"});
    /// run.save();
    /// run.keep("best");
    /// assert_eq(io::load(run.dir + "/checkpoints/kept.json"), #{best: 0});
    /// ```
    fn keep(run: Run, name: String) -> () { run.run().keep_as(&name) }

    /// Whether Ctrl-C or SIGTERM asks to stop, for a loop of one's own: from the first call on, the request waits for the script, which saves
    /// and ends its loop. A second Ctrl-C ends the process at once. Of several ranks all get the same answer, and all must ask.
    ///
    /// # Errors
    /// `E0802` when another rank is gone.
    /// # Example
    /// ```rhai
    /// let run = train::run(#{output_dir: io::temp_dir(), exp_name: "try1", seed: 0});
    /// for i in run.resume()..3 {
    ///     run.step = i + 1;
    ///     if run.stopping() { break; }
    /// }
    /// run.finish();
    /// ```
    fn stopping[cx](run: Run) -> bool {
        Stopping::begin(cx.host());
        run.run().stopping()
    }

    /// Saves what no checkpoint holds yet, and marks the run as finished in `lathe runs`, after a loop of one's own; as stopped where
    /// `stopping` ended the loop.
    ///
    /// # Errors
    /// `E0301` when the disk is full.
    /// # Example
    /// ```rhai
    /// train::run(#{output_dir: io::temp_dir(), exp_name: "try1"}).finish();
    /// ```
    fn finish(run: Run) -> () { run.run().finish() }

    /// The run in one line.
    ///
    /// # Example
    /// ```rhai
    /// assert_eq(train::run(#{output_dir: io::temp_dir(), exp_name: "try1"}).to_string(), "run `try1` at step 0");
    /// ```
    fn to_string(run: Run) -> String { Ok(format!("run `{}` at step {}", run.run().name(), run.run().step())) }
}

api! {
    fn checkpoint_methods;
    methods Checkpoint;

    /// The number of the last edit in effect when it was written; 0 when scripts and settings were as the run began with them.
    ///
    /// # Example
    /// ```rhai
    /// let run = train::run(#{output_dir: io::temp_dir(), exp_name: "try1"});
    /// assert_eq(train::checkpoint(run.save()).edit, 0);
    /// ```
    fn edit as "get$edit"(checkpoint: Checkpoint) -> i64 { Ok(i64::try_from(checkpoint.0.head().generation).unwrap_or(i64::MAX)) }

    /// How many steps were done.
    ///
    /// # Example
    /// ```rhai
    /// let run = train::run(#{output_dir: io::temp_dir(), exp_name: "try1"});
    /// assert_eq(train::checkpoint(run.save()).step, 0);
    /// ```
    fn step as "get$step"(checkpoint: Checkpoint) -> i64 { Ok(i64::try_from(checkpoint.0.head().step).unwrap_or(i64::MAX)) }

    /// Its folder.
    ///
    /// # Example
    /// ```rhai
    /// let run = train::run(#{output_dir: io::temp_dir(), exp_name: "try1"});
    /// let path = run.save();
    /// assert_eq(train::checkpoint(run.dir, #{step: 0}).path, path);
    /// ```
    fn path as "get$path"(checkpoint: Checkpoint) -> String { Ok(checkpoint.0.path().display().to_string()) }

    /// What it holds: a map from each tracked name to its kind.
    ///
    /// # Example
    /// ```rhai
    /// let run = train::run(#{output_dir: io::temp_dir(), exp_name: "try1"});
    /// run.track("net", nn::linear(2, 3));
    /// assert_eq(train::checkpoint(run.save()).objects, #{net: "module"});
    /// ```
    fn objects as "get$objects"(checkpoint: Checkpoint) -> Map {
        Ok(checkpoint.0.parts().into_iter().map(|(n, k)| (n.into(), k.to_owned().into())).collect())
    }

    /// The settings of its run, from `config.toml`. Settings that were `()` are left out.
    ///
    /// # Errors
    /// `E0301` or `E0302` when the run folder has no readable `config.toml`.
    /// # Example
    /// ```rhai
    /// let run = train::run(#{output_dir: io::temp_dir(), exp_name: "try1", vae: "f8d4"});
    /// assert_eq(train::checkpoint(run.save()).config.vae, "f8d4");
    /// ```
    fn config as "get$config"[cx](checkpoint: Checkpoint) -> Map {
        let file = run_of(checkpoint.0.path()).join("config.toml");
        cx.readable(&file)?;
        Ok(map(Value::Object(settings::read_toml(&file)?)))
    }

    /// Copies the state of the module or EMA tracked as `name` into `module`.
    ///
    /// # Errors
    /// `E0401` when there is none of that name, or with the difference when it is another architecture; nothing is changed then.
    /// # Example
    /// ```rhai
    /// let run = train::run(#{output_dir: io::temp_dir(), exp_name: "try1"});
    /// run.track("net", nn::linear(2, 3));
    /// let other = nn::linear(2, 3);
    /// train::checkpoint(run.save()).load("net", other);
    /// assert_eq(other.state().bias, run.net.state().bias);
    /// ```
    fn load(checkpoint: Checkpoint, name: String, module: Module;
        /// whether everything must fit; else what fits is loaded
        strict: bool = true,
    ) -> () {
        let state = checkpoint.0.read(&name)?.tensors;
        let report = module.load_state(&state, strict).map_err(|e| e.context(format!("loading `{name}` from `{}`", checkpoint.0.path().display())))?;
        if !report.is_complete() && report.missing.len() + report.mismatched.len() == module.state().len() {
            return Err(Error::new(ErrorKind::Weights { message: format!("nothing in `{name}` of `{}` fits this {}", checkpoint.0.path().display(), module.kind()) }));
        }
        Ok(())
    }

    /// The tensors of the object tracked as `name`: a map, on the CPU.
    ///
    /// # Errors
    /// `E0401` when there is none of that name.
    /// # Example
    /// ```rhai
    /// let run = train::run(#{output_dir: io::temp_dir(), exp_name: "try1"});
    /// run.track("net", nn::linear(2, 3));
    /// assert_eq(train::checkpoint(run.save()).state("net").weight.shape, [3, 2]);
    /// ```
    fn state(checkpoint: Checkpoint, name: String) -> Map { checkpoint.0.read(&name).map(|s| state_map(s.tensors)) }

    /// The shapes of the tensors of the object tracked as `name`, without reading them: a map of arrays.
    ///
    /// # Errors
    /// `E0401` when there is none of that name.
    /// # Example
    /// ```rhai
    /// let run = train::run(#{output_dir: io::temp_dir(), exp_name: "try1"});
    /// run.track("net", nn::linear(2, 3));
    /// assert_eq(train::checkpoint(run.save()).shapes("net").weight, [3, 2]);
    /// ```
    fn shapes(checkpoint: Checkpoint, name: String) -> Map {
        let dims = |shape: Vec<usize>| shape.into_iter().map(|d| Dynamic::from(i64::try_from(d).unwrap_or(i64::MAX))).collect::<Array>();
        Ok(checkpoint.0.shapes(&name)?.into_iter().map(|(n, shape)| (n.into(), dims(shape).into())).collect())
    }

    /// The checkpoint in one line.
    ///
    /// # Example
    /// ```rhai
    /// let run = train::run(#{output_dir: io::temp_dir(), exp_name: "try1"});
    /// assert(train::checkpoint(run.save()).to_string().ends_with("0000000"), "its folder");
    /// ```
    fn to_string(checkpoint: Checkpoint) -> String { Ok(format!("{:?}", checkpoint.0)) }
}
