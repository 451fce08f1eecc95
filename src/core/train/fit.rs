//! The training loop: batches in, steps, log lines, samples, checkpoints, and a clean end whatever happens.

mod together;

use super::console::{Console, Report, values};
use super::job::Job;
use super::metrics::{Metrics, NonFinite};
use super::run::{LOADER, OpenRun};
use super::tracked::{Saved, Tracked};
use super::unchanged::Marks;
use super::watcher::{Watcher, part, watched};
use super::{log, rng};
use crate::data::{Batch, Loader};
use crate::dist::{self, Guests};
use crate::error::{Error, Result};
use crate::interrupt;
use crate::nn::State;
use crate::progress::{grouped, human};
use crate::torch::files::write_safetensors;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// An endless source of batches with an exact position.
pub trait Batches: Tracked {
    /// One batch.
    type Batch;

    /// The next batch.
    ///
    /// # Errors
    /// When the data cannot be read.
    fn next_batch(&self) -> Result<Self::Batch>;

    /// A batch as named tensors, to be looked at when its loss is not finite.
    fn tensors(batch: &Self::Batch) -> State;
}

/// For steps that make their own data.
#[derive(Debug, Clone, Copy)]
pub struct NoBatches;

impl Tracked for NoBatches {
    fn kind(&self) -> &'static str {
        "no loader"
    }

    fn save(&self) -> Result<Saved> {
        Ok(Saved::tensors(State::new()))
    }

    fn restore(&self, _: &Saved) -> Result<()> {
        Ok(())
    }
}

impl Batches for NoBatches {
    type Batch = ();

    fn next_batch(&self) -> Result<()> {
        Ok(())
    }

    fn tensors((): &()) -> State {
        State::new()
    }
}

impl Batches for Loader {
    type Batch = Batch;

    fn next_batch(&self) -> Result<Batch> {
        self.next()
    }

    fn tensors(batch: &Batch) -> State {
        batch.tensors().clone()
    }
}

/// What a run does in its steps and between them.
pub trait Steps<B> {
    /// One step. Its metrics are read back only when they are logged. A metric named `loss` or `.._loss` must stay finite.
    ///
    /// # Errors
    /// Anything: the run then stops where its last checkpoint is.
    fn step(&mut self, run: &OpenRun, batch: &B) -> Result<Metrics>;

    /// Every `sample_every` steps, with the step's batch. What it draws at random changes nothing in the training.
    ///
    /// # Errors
    /// Anything.
    fn on_sample(&mut self, _run: &OpenRun, _batch: &B) -> Result<()> {
        Ok(())
    }

    /// At every log line, with its values.
    ///
    /// # Errors
    /// Anything.
    fn on_log(&mut self, _run: &OpenRun, _values: &[(String, f64)]) -> Result<()> {
        Ok(())
    }

    /// Before every step: the moment at which scripts reload.
    ///
    /// # Errors
    /// Anything.
    fn between(&mut self, _run: &OpenRun) -> Result<()> {
        Ok(())
    }

    /// Whether there is something to take in at the next boundary. Of several ranks the first alone is asked.
    fn wants_edit(&mut self) -> bool {
        false
    }

    /// Who is at a prompt that is attached to the run. Of several ranks the first alone is asked.
    fn guests(&mut self) -> Guests {
        Guests::None
    }

    /// Who measures the steps, if anybody does.
    fn watcher(&self) -> Option<Rc<dyn Watcher>> {
        None
    }

    /// Says whether all of several ranks try a step again that fails on one.
    fn retries_together(&mut self, _on: bool) {}

    /// After `between`: what was edited meanwhile.
    fn change_options(&mut self, _options: &mut FitOptions) {}

    /// Before a log line: the moment to look whether the scripts on disk are those that run, see [`OpenRun::set_stale`].
    fn before_log(&mut self, _run: &OpenRun) {}

    /// Whether a step that fails may be tried again, with the same batch and random numbers: those are then kept for it.
    fn may_retry(&self) -> bool {
        false
    }

    /// A step, or what belongs to it, failed with something else than an interrupt. It is tried again after [`Retry::Again`].
    ///
    /// # Errors
    /// The error that ends the run: an interrupt while it waited, or whatever went wrong meanwhile.
    fn failed(&mut self, _run: &OpenRun, _failure: &Failure) -> Result<Retry> {
        Ok(Retry::Stop)
    }

    /// The same in a job of several ranks, of which some failed: called on all of them.
    ///
    /// # Errors
    /// As [`Steps::failed`], on all ranks.
    fn failed_together(&mut self, _run: &OpenRun, _fall: &Fall) -> Result<Retry> {
        Ok(Retry::Stop)
    }
}

/// What failed.
#[derive(Debug)]
pub struct Failure<'a> {
    /// What it failed with.
    pub error: &'a Error,
    /// The function: `step`, `on_sample`, `on_log`.
    pub what: &'static str,
    /// Whether it had changed something that a checkpoint holds before it failed: trying it again then starts from there.
    pub has_changed_state: bool,
}

/// What failed in a step of several ranks.
#[derive(Debug)]
pub struct Fall<'a> {
    /// What it failed with here, where it did.
    pub error: Option<&'a Error>,
    /// What it failed with on each rank where it did, as it is shown.
    pub errors: Vec<(usize, String)>,
    /// Whether every rank had changed something that a checkpoint holds: trying it again then starts from there. Otherwise all have what
    /// was before the step.
    pub has_changed_state: bool,
}

/// What happens after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The run ends with the error.
    Stop,
    /// The same again.
    Again,
}

impl<B, F: FnMut(&OpenRun, &B) -> Result<Metrics>> Steps<B> for F {
    fn step(&mut self, run: &OpenRun, batch: &B) -> Result<Metrics> {
        self(run, batch)
    }
}

/// How long a run trains and how often it does what.
#[derive(Debug, Clone)]
pub struct FitOptions {
    /// Steps in all, over all restarts.
    pub steps: u64,
    /// Steps between log lines: each is the mean over the steps since the last. The first and the last step are logged too. 0 is never.
    pub log_every: u64,
    /// Steps between checkpoints; the last step is always saved. 0 saves nothing else.
    pub save_every: u64,
    /// Steps between calls of `on_sample`; the last step counts too. 0 is never.
    pub sample_every: u64,
}

/// How a fit ended. An interrupt is the error `E0901`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All steps are done and saved.
    Finished,
    /// All steps had been done before; the tracked objects were put back.
    AlreadyFinished,
}

/// Trains until `options.steps` are done. A run with checkpoints goes on from the newest whole one: parameters, optimizers, random
/// generators, the loader's position and the log are as if it had never stopped.
///
/// # Errors
/// `E0901` after Ctrl-C or SIGTERM, with a checkpoint of the last whole step, and so `E0203` without memory; `E0601` inside of its own steps, or when a loss is not finite, with the batch saved in
/// the run folder; whatever a step returns. Checkpoints are never harmed.
pub fn fit<L: Batches + Clone + 'static>(run: &OpenRun, loader: &L, steps: &mut dyn Steps<L::Batch>, options: &FitOptions) -> Result<Outcome> {
    let _training = run.begin_training()?;
    let mut last = Vec::new();
    let outcome = start(run, loader, steps, options, &mut last);
    if let Some(mut console) = run.console().borrow_mut().take() {
        console.finish();
    }
    if let Ok(Outcome::Finished) = outcome {
        run.say(&closing(run, &last));
    }
    if let Err(e) = &outcome {
        run.end_with(e);
        if (e.is_asked() || (e.is_interrupt() && run.is_saved()))
            && let Some(step) = run.saved_step()
        {
            run.say(&format!("  {}  stopped; step {} is saved, and the same command goes on from there", run.name(), grouped(step, ' ')));
        }
    }
    outcome
}

/// `  vae  finished: 1 200 steps in 2m 30s  loss 0.05530  saved in exps/vae/checkpoints/0001200`.
fn closing(run: &OpenRun, last: &[(String, f64)]) -> String {
    let mut parts = vec![format!("finished: {} steps in {}", grouped(run.step(), ' '), human(run.seconds()))];
    if !last.is_empty() {
        parts.push(values(last));
    }
    if let Some(path) = run.saved_path() {
        parts.push(format!("saved in {}", path.display()));
    }
    format!("  {}  {}", run.name(), parts.join("  "))
}

/// Trains; `last` gets the values of the last log line.
fn start<L: Batches + Clone + 'static>(
    run: &OpenRun,
    loader: &L,
    steps: &mut dyn Steps<L::Batch>,
    options: &FitOptions,
    last: &mut Vec<(String, f64)>,
) -> Result<Outcome> {
    if !run.tracks(LOADER) {
        run.track(LOADER, Rc::new(loader.clone()))?;
    }
    run.resume()?;
    run.update_status(|s| s.steps = Some(options.steps))?;
    let owed = run.take_owed();
    if run.step() >= options.steps && owed.is_none() {
        let done = grouped(run.step(), ' ');
        run.say(&format!("  {}  is finished: {done} of {} steps are done", run.name(), grouped(options.steps, ' ')));
        run.finish()?;
        return Ok(Outcome::AlreadyFinished);
    }
    let job = Job::begin(steps.may_retry())?;
    steps.retries_together(job.as_ref().is_some_and(Job::retries));
    if let Some(job) = &job {
        run.say(&format!("  {}  {}", run.name(), job.describe()));
        if loader.kind() == NoBatches.kind() {
            run.warn("the steps have no loader: every rank does all of each step");
        }
    }
    if run.is_owner() {
        *run.console().borrow_mut() = Some(Console::new(run.name(), run.step(), options.steps));
    }
    // A step that began is done to its end; then the loop looks.
    let _hold = interrupt::hold();
    let options = options.clone();
    let mut fit = Fit {
        run,
        job,
        loader,
        steps,
        options,
        history: Vec::new(),
        busy: Duration::ZERO,
        counted: 0,
        speed: Speed::default(),
        marks: None,
        marked: 0,
        last,
    };
    if let Some(before) = owed {
        loader.restore_changed(&before, run.allowed().loader())?;
        let batch = loader.next_batch()?;
        fit.sample(&batch)?;
    }
    while run.step() < fit.options.steps {
        fit.one()?;
    }
    run.set_heard(dist::Word::default());
    run.finish()?;
    Ok(Outcome::Finished)
}

/// Steps and seconds of this process, for the time that is left.
#[derive(Default)]
struct Speed {
    steps: u64,
    time: Duration,
}

/// What is called beside the steps.
type Callback<'a, B> = &'a mut dyn FnMut(&mut dyn Steps<B>) -> Result<()>;

struct Fit<'a, L: Batches> {
    run: &'a OpenRun,
    /// The other ranks, if there are any.
    job: Option<Job>,
    loader: &'a L,
    steps: &'a mut dyn Steps<L::Batch>,
    options: FitOptions,
    /// Where the loader was before each step whose metrics were not read yet.
    history: Vec<(u64, Saved)>,
    /// Time in steps since the last log line.
    busy: Duration,
    /// Steps since the last log line.
    counted: u64,
    speed: Speed,
    /// What the run's tensors were before the step, and how often that was noted.
    marks: Option<Marks>,
    marked: u64,
    /// The values of the last log line.
    last: &'a mut Vec<(String, f64)>,
}

impl<L: Batches> Fit<'_, L> {
    /// Whether something that is done every `n` steps is due.
    fn due(&self, n: u64) -> bool {
        let done = self.run.step();
        n > 0 && (done.is_multiple_of(n) || done == self.options.steps)
    }

    /// One step, measured if somebody does.
    fn one(&mut self) -> Result<()> {
        let Some(watcher) = self.steps.watcher() else { return self.once() };
        watcher.begins(self.run);
        let done = self.once();
        watcher.ends(self.run);
        done
    }

    /// The next batch.
    fn batch(&self) -> Result<L::Batch> {
        watched(self.steps.watcher(), part::BATCH, || self.loader.next_batch())
    }

    /// Writes a checkpoint.
    fn save(&self, owed: Option<Saved>) -> Result<()> {
        watched(self.steps.watcher(), part::SAVE, || self.run.save_owing(owed).map(drop))
    }

    fn once(&mut self) -> Result<()> {
        let run = self.run;
        watched(self.steps.watcher(), part::BETWEEN, || self.steps.between(run))?;
        let start = Instant::now();
        let before = self.loader.save()?;
        let (metrics, batch) = match &self.job {
            Some(_) => self.step_of_all(&before)?,
            None => self.step(&before)?,
        };
        self.change_options()?;
        let o = self.options.clone();
        let index = run.step();
        run.set_step(index + 1);
        let seen = run.window().borrow_mut().push(index, &metrics)?;
        drop(metrics);
        self.history.push((index, before.clone()));
        let last = run.step() == o.steps;
        let (log, sample) = (self.due(o.log_every) || (index == 0 && o.log_every > 0), self.due(o.sample_every));
        let save = self.due(o.save_every) || last;
        let bad = self.check(seen, log || save || interrupt::pending())?;
        self.busy += start.elapsed();
        self.counted += 1;
        self.refuse_bad(bad, log || save || sample || self.stops(), &batch)?;
        if log {
            watched(self.steps.watcher(), part::LOG, || self.log())?;
        } else if let Some(console) = &mut *run.console().borrow_mut() {
            console.advance(run.step());
        }
        // A sample may take minutes, and whoever stops a run may not have them: the resumed run makes up for it.
        let owed = sample && self.stops();
        // A sample may put other weights in their place for a while.
        let weights = if sample && !owed { run.versions()? } else { Vec::new() };
        if sample
            && !owed
            && let Err(e) = self.sample(&batch)
        {
            // A checkpoint is the work of all ranks, who do not know of this.
            if e.is_memory() && self.job.is_none() && !run.is_saved() && run.versions()? == weights {
                self.check_now(&batch)?;
                run.save_owing(Some(before))?;
                run.say(&format!("  {}  out of memory in `on_sample`: step {} is saved, and makes up for it", run.name(), grouped(run.step(), ' ')));
            }
            return Err(e);
        }
        let stop = self.stops();
        if (save || stop) && !run.is_saved() {
            self.check_now(&batch)?;
            self.save(owed.then_some(before))?;
        }
        if stop && (owed || !last) { Err(interrupt::stopped()) } else { Ok(()) }
    }

    /// Whether it was asked to stop: of several ranks, what all have heard.
    fn stops(&self) -> bool {
        self.job.as_ref().map_or_else(interrupt::pending, |job| job.heard().stop)
    }

    /// Fails where a loss is not finite: here, or on any rank.
    fn refuse_bad(&self, bad: Option<NonFinite>, now: bool, batch: &L::Batch) -> Result<()> {
        match (&self.job, bad) {
            (Some(job), bad) => match job.agree(bad, now)? {
                Some(bad) => Err(job.refuse(bad, |own| self.refuse(own, batch))),
                None => Ok(()),
            },
            (None, Some(bad)) => Err(self.refuse(&bad, batch)),
            (None, None) => Ok(()),
        }
    }

    /// One step with its batch. When it fails and is mended it is tried again, with the same batch and the same random numbers. When it had too
    /// little memory, the steps before it are saved.
    fn step(&mut self, before: &Saved) -> Result<(Metrics, L::Batch)> {
        let run = self.run;
        let may_retry = self.steps.may_retry();
        let random = rng::save()?;
        let state = if may_retry { Some(run.versions()?) } else { None };
        if !may_retry {
            self.mark();
        }
        loop {
            let batch = self.batch()?;
            run.set_in_step(true);
            let metrics = watched(self.steps.watcher(), part::STEP, || self.steps.step(run, &batch));
            run.set_in_step(false);
            let error = match metrics {
                Ok(metrics) => return Ok((metrics, batch)),
                Err(e) if !(may_retry || e.is_interrupt() || e.is_memory()) => return Err(e),
                Err(e) => e,
            };
            // The script may have changed the batch in place.
            self.loader.restore(before)?;
            rng::restore(&random)?;
            let has_changed_state = match &state {
                Some(state) => run.versions()? != *state,
                // What cannot be told counts as changed.
                None => !self.marks.as_ref().is_some_and(|marks| marks.hold(run).unwrap_or(false)),
            };
            let outcome = if may_retry && !error.is_interrupt() {
                self.steps.failed(run, &Failure { error: &error, what: "step", has_changed_state })
            } else {
                Ok(Retry::Stop)
            };
            if let Ok(Retry::Again) = outcome {
                continue;
            }
            let error = outcome.err().unwrap_or(error);
            // The step is not done: the steps before it are whole, and worth a checkpoint.
            if !has_changed_state && !run.is_saved() && run.step() > 0 {
                self.check_now(&batch)?;
                run.save_owing(None)?;
            }
            // What stopped the whole process is told at the end.
            if error.is_memory() && !(error.is_interrupt() && run.is_saved()) {
                self.say_saved(has_changed_state);
            }
            return Err(error);
        }
    }

    /// Takes note of what the run's tensors are before a step.
    fn mark(&mut self) {
        // The first steps make some that stay then; later it is a matter of scripts that replace them.
        if self.marked.is_power_of_two() || self.marked.is_multiple_of(64) {
            self.marks = Marks::new(self.run).ok();
        }
        self.marked += 1;
        if let Some(marks) = &mut self.marks
            && marks.take().is_err()
        {
            self.marks = None;
        }
    }

    /// Says where a run that had too little memory goes on.
    fn say_saved(&self, has_changed_state: bool) {
        let run = self.run;
        let saved = match run.saved_step() {
            Some(step) => format!("step {} is saved, and the same command goes on from there", grouped(step, ' ')),
            None => "no step is saved yet".to_owned(),
        };
        let lost = if has_changed_state { "the step had changed the weights before it failed, so they are not saved; " } else { "" };
        run.say(&format!("  {}  out of memory in step {}: {lost}{saved}", run.name(), grouped(run.step() + 1, ' ')));
    }

    /// A callback that belongs to a step, tried again when it fails and the script is mended. What it draws at random changes nothing.
    fn callback(&mut self, what: &'static str, call: Callback<'_, L::Batch>) -> Result<()> {
        loop {
            let error = match rng::apart(|| call(self.steps)) {
                Err(e) if self.job.is_none() && self.steps.may_retry() && !e.is_interrupt() => e,
                other => return other,
            };
            if self.steps.failed(self.run, &Failure { error: &error, what, has_changed_state: false })? == Retry::Stop {
                return Err(error);
            }
        }
    }

    /// Takes over what was edited; the new number of steps counts from here.
    fn change_options(&mut self) -> Result<()> {
        let steps = self.options.steps;
        self.steps.change_options(&mut self.options);
        if self.options.steps != steps {
            // The step at hand is done in any case.
            self.options.steps = self.options.steps.max(self.run.step() + 1);
            let steps = self.options.steps;
            if let Some(console) = &mut *self.run.console().borrow_mut() {
                console.set_steps(steps);
            }
            self.run.update_status(|s| s.steps = Some(steps))?;
        }
        Ok(())
    }

    /// Reads what waits before a checkpoint is written: none may hold what a loss that is not finite made of the weights.
    fn check_now(&mut self, batch: &L::Batch) -> Result<()> {
        let bad = self.check(None, true)?;
        self.refuse_bad(bad, true, batch)
    }

    /// The first loss that is not finite: `seen`, or one among the values on a GPU, which are read when `now`, and every 64 steps.
    fn check(&mut self, seen: Option<NonFinite>, now: bool) -> Result<Option<NonFinite>> {
        let mut window = self.run.window().borrow_mut();
        if window.waiting() > 0 && !now && seen.is_none() && self.history.len() < 64 {
            return Ok(None);
        }
        let bad = seen.into_iter().chain(window.read()?).min_by_key(|bad| bad.step);
        if self.options.log_every == 0 {
            window.take();
        }
        if bad.is_none() {
            self.history.clear();
        }
        Ok(bad)
    }

    /// The error for a loss that is not finite; saves the batch of its step.
    fn refuse(&self, bad: &NonFinite, current: &L::Batch) -> Error {
        let run = self.run;
        let done = bad.step + 1;
        let message = format!("`{}` is {} at step {} of `{}`", bad.name, bad.value, grouped(done, ' '), run.name());
        let rank = if run.is_owner() { String::new() } else { format!("-rank{}", dist::rank()) };
        let path = run.dir().join(format!("nonfinite-{done:07}{rank}.safetensors"));
        let info = [("step".to_owned(), done.to_string()), ("metric".to_owned(), bad.name.clone())];
        let saved = self.batch_of(bad.step, current).and_then(|state| match state.is_empty() {
            true => Ok(false),
            false => write_safetensors(&path, &state, &info.into_iter().collect()).map(|()| true),
        });
        let last =
            run.saved_step().map_or("no checkpoint was written yet".to_owned(), |s| format!("the last checkpoint is of step {}", grouped(s, ' ')));
        let help = match saved {
            Ok(true) => format!("its batch: `let batch = io::load(\"{}\");`; {last}", path.display()),
            Ok(false) => last,
            Err(e) => format!("its batch could not be saved ({e}); {last}"),
        };
        Error::run(message).help(help)
    }

    fn batch_of(&self, step: u64, current: &L::Batch) -> Result<State> {
        if step + 1 == self.run.step() {
            return Ok(L::tensors(current));
        }
        match self.history.iter().find(|(s, _)| *s == step) {
            Some((_, before)) => {
                self.loader.restore(before)?;
                Ok(L::tensors(&self.loader.next_batch()?))
            }
            None => Ok(State::new()),
        }
    }

    fn log(&mut self) -> Result<()> {
        let run = self.run;
        let values = match &self.job {
            Some(job) => job.means(run.window().borrow_mut().take_sums())?,
            None => run.window().borrow_mut().take(),
        };
        let rate = self.counted as f64 / self.busy.as_secs_f64().max(1e-9);
        self.speed.steps += self.counted;
        self.speed.time += self.busy;
        (self.counted, self.busy) = (0, Duration::ZERO);
        let left = self.options.steps.saturating_sub(run.step());
        let eta = (left > 0).then(|| left as f64 * self.speed.time.as_secs_f64() / self.speed.steps.max(1) as f64);
        run.write(&values)?;
        run.write_events(&[("perf/steps_per_second".into(), rate)])?;
        self.steps.before_log(run);
        let report = Report { step: run.step(), rate, eta, values: &values, mark: &run.stale_mark() };
        if let Some(console) = &mut *run.console().borrow_mut() {
            log::write(&format!("{}\n", console.report(&report)));
        }
        let loss = values.iter().find(|(name, _)| name == "loss").map(|(_, x)| *x);
        run.update_status(|s| (s.loss, s.rate) = (loss.or(s.loss), Some(rate)))?;
        self.last.clone_from(&values);
        self.callback("on_log", &mut |steps| steps.on_log(run, &values))
    }

    fn sample(&mut self, batch: &L::Batch) -> Result<()> {
        watched(self.steps.watcher(), part::SAMPLE, || self.draw(batch))
    }

    fn draw(&mut self, batch: &L::Batch) -> Result<()> {
        let run = self.run;
        // One rank draws, and the others wait for it.
        self.callback("on_sample", &mut |steps| run.whole(|| dist::alone("on_sample", || steps.on_sample(run, batch)).map(|_| ())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::torch::{DType, Device, Tensor};
    use crate::train::run::Options;
    use std::cell::Cell;

    /// Batches that hold their own number.
    #[derive(Clone, Default)]
    struct Numbers(Rc<Cell<u64>>);

    impl Tracked for Numbers {
        fn kind(&self) -> &'static str {
            "numbers"
        }
        fn save(&self) -> Result<Saved> {
            Saved::meta(&self.0.get())
        }
        fn restore(&self, saved: &Saved) -> Result<()> {
            self.0.set(saved.read_meta()?);
            Ok(())
        }
    }

    impl Batches for Numbers {
        type Batch = Tensor;
        fn next_batch(&self) -> Result<Tensor> {
            Tensor::full(&[1], self.0.replace(self.0.get() + 1) as f64, DType::Float, Device::Cpu)
        }
        fn tensors(batch: &Tensor) -> State {
            [("x".to_owned(), batch.clone())].into_iter().collect()
        }
    }

    /// Runs with values that wait to be read, as on a GPU; the loss is not finite from the 0-based step `bad` on.
    fn go(bad: u64, options: &FitOptions) -> (tempfile::TempDir, Result<Outcome>) {
        let dir = tempfile::tempdir().unwrap();
        let run = OpenRun::open(Options { output_dir: dir.path().to_owned(), name: "try1".into(), ..Options::default() }).unwrap();
        run.window().borrow_mut().patient = true;
        let mut step = |run: &OpenRun, x: &Tensor| -> Result<Metrics> {
            let mut m = Metrics::new();
            m.insert("loss".into(), x.add(if run.step() >= bad { f64::NAN } else { 1.0 })?.into());
            Ok(m)
        };
        let outcome = fit(&run, &Numbers::default(), &mut step, options);
        (dir, outcome)
    }

    #[test]
    fn a_loss_read_late_stops_the_run_with_the_batch_of_its_own_step() {
        for (options, at) in [
            // Seen when the log line is made, when a checkpoint is due, and after 64 steps.
            (FitOptions { steps: 500, log_every: 30, save_every: 0, sample_every: 0 }, 30),
            (FitOptions { steps: 500, log_every: 400, save_every: 25, sample_every: 0 }, 25),
            (FitOptions { steps: 500, log_every: 0, save_every: 0, sample_every: 0 }, 64),
        ] {
            let (dir, outcome) = go(17, &options);
            assert_eq!(outcome.unwrap_err().to_string(), "`loss` is NaN at step 18 of `try1`");
            let (batch, info) = crate::torch::files::read_safetensors(&dir.path().join("try1/nonfinite-0000018.safetensors")).unwrap();
            assert_eq!((batch["x"].item().unwrap(), info["metric"].as_str()), (17.0, "loss"));
            let status = crate::train::status::Status::read(&dir.path().join("try1")).unwrap();
            assert_eq!(status.step, at, "{options:?}");
            // No checkpoint may hold what the bad steps made of the weights.
            assert_eq!(crate::train::checkpoint::list(&dir.path().join("try1/checkpoints")).unwrap(), []);
        }
    }

    #[test]
    fn values_read_late_are_logged_as_those_read_at_once() {
        let (dir, outcome) = go(1000, &FitOptions { steps: 100, log_every: 40, save_every: 50, sample_every: 0 });
        assert_eq!(outcome.unwrap(), Outcome::Finished);
        let lines = crate::train::metrics::read(&dir.path().join("try1/metrics.jsonl")).unwrap();
        let got: Vec<(u64, f64)> = lines.iter().map(|l| (l.step, l.values[0].1)).collect();
        assert_eq!(got, [(1, 1.0), (40, 21.0), (80, 60.5), (100, 90.5)]);
    }
}
