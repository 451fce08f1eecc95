//! The loader: batches in a seeded order from background threads, with a position that can be saved and restored.

use super::batch::{Batch, Samples};
use super::draws::drawn;
use super::flip::{flipped, is_flipped};
use super::order::{epoch_order, share, share_len};
use crate::dist;
use crate::error::{Error, Result};
use crate::interrupt;
use crate::torch::share::{Share, set_share};
use serde::{Deserialize, Serialize};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Tells what is drawn for crops from other draws.
const CROPS: u64 = 0x6372_6f70;

/// How a [`Loader`] draws.
#[derive(Debug, Clone)]
pub struct LoaderOptions {
    /// Samples in a batch: of all processes that train together.
    pub batch: usize,
    /// A new order for each epoch, or the set's own.
    pub shuffle: bool,
    /// Decides about the orders together with the epoch.
    pub seed: u64,
    /// Leave out the last batch of an epoch when it is short.
    pub drop_last: bool,
    /// Mirror half of the pictures, others in each epoch: by seed, epoch and position.
    pub flip: bool,
    /// Cut another part out of every picture in each epoch: by seed, epoch and position. For pictures that are cropped when they are drawn.
    pub random_crop: bool,
    /// Background threads.
    pub workers: usize,
    /// Which of `world` processes this is; each gets its own share of every epoch. Of a job that trains together these are the job's.
    pub rank: usize,
    /// How many processes share the set.
    pub world: usize,
}

/// What of a batch is here.
fn own_share(mut o: LoaderOptions) -> Result<LoaderOptions> {
    let Some(d) = dist::at_work() else { return Ok(o) };
    let (rank, size) = (d.world.rank, d.world.size);
    if o.world != 1 {
        return Err(Error::value("loader", format!("`world` is {}, but this is rank {rank} of {size} already", o.world))
            .help("leave `rank` and `world` out: each rank gets its part of every batch"));
    }
    if o.batch == 0 || !o.batch.is_multiple_of(size) {
        let next = o.batch.next_multiple_of(size).max(size);
        return Err(Error::usage(format!("a batch of {} cannot be shared by {size} ranks", o.batch))
            .help(format!("`batch_size` is that of all ranks together: {next} would do")));
    }
    (o.batch, o.rank, o.world) = (o.batch / size, rank, size);
    Ok(o)
}

impl Default for LoaderOptions {
    fn default() -> Self {
        LoaderOptions { batch: 32, shuffle: false, seed: 0, drop_last: false, flip: false, random_crop: false, workers: 2, rank: 0, world: 1 }
    }
}

/// The exact position of a loader, and what it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoaderState {
    /// From 0.
    pub epoch: u64,
    /// Batches of this epoch that were handed out.
    pub batch_in_epoch: usize,
    /// Samples of the set.
    pub len: usize,
    /// As in [`LoaderOptions`].
    pub batch: usize,
    /// As in [`LoaderOptions`].
    pub shuffle: bool,
    /// As in [`LoaderOptions`].
    pub seed: u64,
    /// As in [`LoaderOptions`].
    pub drop_last: bool,
    /// As in [`LoaderOptions`].
    #[serde(default)]
    pub flip: bool,
    /// As in [`LoaderOptions`].
    #[serde(default)]
    pub random_crop: bool,
    /// How many processes shared the set without being one job: their shares are other batches. Ranks of one job do not count.
    pub world: usize,
    /// The identity of the set; empty where it is not known.
    #[serde(default)]
    pub set: String,
}

/// What may be another one when a loader goes on from a saved position.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Changed {
    /// The size of a batch.
    pub batch: bool,
    /// The set.
    pub set: bool,
}

/// Draws batches from a set. Clones are the same loader.
#[derive(Clone)]
pub struct Loader(Rc<Inner>);

struct Inner {
    samples: Arc<dyn Samples>,
    options: LoaderOptions,
    /// Samples in a batch of all ranks.
    global: usize,
    /// The identity of the set, asked for once: a position is saved before every step.
    set: String,
    batches: usize,
    state: RefCell<State>,
}

struct State {
    epoch: u64,
    batch: usize,
    pipeline: Option<Pipeline>,
}

impl std::fmt::Debug for Loader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (o, s) = (&self.0.options, self.state());
        write!(f, "loader of {} samples, batch {}, at epoch {} batch {}/{}", s.len, o.batch, s.epoch, s.batch_in_epoch, self.0.batches)
    }
}

impl Loader {
    /// Whether both are the same loader.
    pub fn is_same(&self, other: &Loader) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }

    /// A loader at the start of epoch 0. Its threads start with the first batch.
    ///
    /// # Errors
    /// `E0202` for an empty set, options out of range, or a batch larger than the set with `drop_last`, which would
    /// leave nothing. Without `drop_last` such a batch is simply the whole set.
    pub fn new(samples: impl Samples + 'static, options: LoaderOptions) -> Result<Loader> {
        let bad = |message: String| Error::value("loader", message);
        let o = &options;
        for (name, value, most) in [("batch", o.batch, 1 << 24), ("workers", o.workers, 256), ("world", o.world, 1 << 20)] {
            if !(1..=most).contains(&value) {
                return Err(bad(format!("option `{name}` must be in 1..={most}, got {value}")));
            }
        }
        if o.rank >= o.world {
            return Err(bad(format!("option `rank` must be below `world`, got {} of {}", o.rank, o.world)));
        }
        let global = options.batch;
        let options = own_share(options)?;
        let o = &options;
        if o.flip && !samples.has_pictures() {
            return Err(bad("option `flip` is for pictures: mirrored latents are no latents of mirrored pictures".into())
                .help("`cache_latents --flip` keeps the latents of both"));
        }
        if o.random_crop && !samples.has_crops() {
            return Err(bad("option `random_crop` is for pictures that are cropped when they are drawn, and these are cropped already".into())
                .help("give the pictures themselves (a folder, tars, parquet), not shards or latents of them; `cache_latents --crops` keeps latents of several crops"));
        }
        let len = samples.len();
        if len == 0 {
            return Err(bad("the set is empty".into()));
        }
        let mine = share_len(len, o.world, o.drop_last);
        let batches = if o.drop_last { mine / o.batch } else { mine.div_ceil(o.batch) };
        if batches == 0 {
            let ranks = if o.world > 1 { format!(" for each of {} processes", o.world) } else { String::new() };
            return Err(bad(format!("a batch of {} is larger than the set: {mine} samples{ranks}, and `drop_last` leaves nothing", o.batch))
                .help("choose a smaller batch, or leave `drop_last` out"));
        }
        if o.world > 1 && !o.drop_last && !len.is_multiple_of(o.world) {
            tracing::warn!(
                "{len} samples are not shared evenly by {} ranks: each epoch ends with {} of its first ones again",
                o.world,
                o.world - len % o.world
            );
        }
        let state = RefCell::new(State { epoch: 0, batch: 0, pipeline: None });
        let set = samples.identity();
        Ok(Loader(Rc::new(Inner { samples: Arc::new(samples), options, global, set, batches, state })))
    }

    /// Samples of the set.
    pub fn len(&self) -> usize {
        self.0.samples.len()
    }

    /// Never: a loader of nothing cannot be made.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// How it draws.
    pub fn options(&self) -> &LoaderOptions {
        &self.0.options
    }

    /// Batches in an epoch.
    pub fn batches(&self) -> usize {
        self.0.batches
    }

    /// The epoch of the next batch that [`Loader::next`] gives, from 0.
    pub fn epoch(&self) -> u64 {
        let s = self.0.state.borrow();
        s.epoch + u64::from(s.batch == self.0.batches)
    }

    /// The next batch; after the last of an epoch comes the first of the next.
    ///
    /// # Errors
    /// What a worker met (`E0203` without memory), or `E0901` when interrupted while waiting.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&self) -> Result<Batch> {
        self.start_epoch();
        let mut s = self.0.state.borrow_mut();
        if s.pipeline.is_none() {
            s.pipeline = Some(Pipeline::start(&self.0, s.epoch, s.batch)?);
        }
        let batch = s.pipeline.as_ref().expect("started above").take();
        match &batch {
            Ok(batch) => {
                s.batch += 1;
                share_draws(batch)?;
            }
            // The position stays, and the threads begin again there.
            Err(_) => s.pipeline = None,
        }
        batch
    }

    /// The next batch of this epoch, or `None` once after its last; then the next epoch begins.
    ///
    /// # Errors
    /// As for [`Loader::next`].
    pub fn next_in_epoch(&self) -> Result<Option<Batch>> {
        if self.0.state.borrow().batch == self.0.batches {
            self.start_epoch();
            return Ok(None);
        }
        self.next().map(Some)
    }

    /// Leaves an epoch whose batches are all handed out: a `for` loop begins with the next one.
    pub fn start_epoch(&self) {
        let mut s = self.0.state.borrow_mut();
        if s.batch == self.0.batches {
            s.epoch += 1;
            s.batch = 0;
        }
    }

    /// The positions in the set of the next `n` samples, of all ranks together, at most as many as the set has. Nothing is read.
    pub fn upcoming(&self, n: usize) -> Vec<usize> {
        let len = self.len();
        let together = self.0.global != self.0.options.batch;
        let o = &LoaderOptions { batch: self.0.global, ..self.0.options.clone() };
        let (rank, world) = if together { (0, 1) } else { (o.rank, o.world) };
        let (mut epoch, mut batch) = {
            let s = self.0.state.borrow();
            (s.epoch, s.batch)
        };
        let mut out = Vec::new();
        while out.len() < n.min(len) {
            if batch == self.0.batches {
                (epoch, batch) = (epoch + 1, 0);
            }
            let order = share(&epoch_order(len, o.shuffle, o.seed, epoch), rank, world, o.drop_last);
            let end = order.len().min(self.0.batches * o.batch);
            out.extend_from_slice(&order[batch * o.batch..end]);
            batch = self.0.batches;
        }
        out.truncate(n.min(len));
        out
    }

    /// The position: what was handed out, whatever is prepared already.
    pub fn state(&self) -> LoaderState {
        let (s, o) = (self.0.state.borrow(), &self.0.options);
        LoaderState {
            epoch: s.epoch,
            batch_in_epoch: s.batch,
            len: self.len(),
            batch: self.0.global,
            shuffle: o.shuffle,
            seed: o.seed,
            drop_last: o.drop_last,
            flip: o.flip,
            random_crop: o.random_crop,
            world: if self.0.global == o.batch { o.world } else { 1 },
            set: self.0.set.clone(),
        }
    }

    /// Goes to a saved position: the same batches follow, bit for bit.
    ///
    /// # Errors
    /// `E0601` when the position belongs to another set or to other options, with the difference.
    pub fn set_state(&self, state: &LoaderState) -> Result<()> {
        let now = self.state();
        let same_set = state.set.is_empty() || now.set.is_empty() || state.set == now.set;
        let expected = LoaderState { epoch: state.epoch, batch_in_epoch: state.batch_in_epoch, set: state.set.clone(), ..now.clone() };
        let short = |id: &str| id.get(..12).unwrap_or(id).to_owned();
        let difference = match () {
            () if state.len != now.len => format!("a set of {} samples, this one has {}", state.len, now.len),
            () if !same_set => format!("a set of other content, {}, this one is {}", short(&state.set), short(&now.set)),
            () if state.batch != now.batch => format!("`batch` {}, now it is {}", state.batch, now.batch),
            () if state.flip != now.flip => format!("`flip` {}, now it is {}", state.flip, now.flip),
            () if state.random_crop != now.random_crop => format!("`random_crop` {}, now it is {}", state.random_crop, now.random_crop),
            () if state.seed != now.seed => format!("`seed` {}, now it is {}", state.seed, now.seed),
            () if *state != expected => format!("other options: {state:?}, now {now:?}"),
            () if state.batch_in_epoch > self.0.batches => format!("batch {} of an epoch of {}", state.batch_in_epoch, self.0.batches),
            () => String::new(),
        };
        if !difference.is_empty() {
            return Err(Error::run(format!("the saved position of the loader belongs to {difference}"))
                .help("resume with the same data and loader options, or start a new run; a run may go on with others when told so: `--allow-change batch_size,data_dir`"));
        }
        let mut s = self.0.state.borrow_mut();
        *s = State { epoch: state.epoch, batch: state.batch_in_epoch, pipeline: None };
        Ok(())
    }

    /// Goes to a saved position with batches of another size, or in another set, where that is allowed. With another size it goes on with the batch that holds the
    /// sample that would have come next; in another set, whose order is another one, with the next epoch. Says what it did; nothing where all is the same.
    ///
    /// # Errors
    /// As [`Loader::set_state`] for what is not allowed.
    pub fn set_state_changed(&self, state: &LoaderState, may: Changed) -> Result<Option<String>> {
        let now = self.state();
        let known = !state.set.is_empty() && !now.set.is_empty();
        let other_set = may.set && (state.len != now.len || (known && state.set != now.set));
        let other_batch = may.batch && state.batch != now.batch;
        let mut to = state.clone();
        if other_set {
            (to.len, to.set) = (now.len, now.set.clone());
        }
        if other_batch {
            to.batch = now.batch;
        }
        if other_set && state.batch_in_epoch > 0 {
            (to.epoch, to.batch_in_epoch) = (state.epoch + 1, 0);
        } else if other_batch {
            to.batch_in_epoch = (state.batch_in_epoch.saturating_mul(state.batch) / now.batch).min(self.0.batches);
        }
        self.set_state(&to)?;
        let place = format!("epoch {}, batch {} of {}", to.epoch, to.batch_in_epoch, self.0.batches);
        Ok((other_set || other_batch)
            .then(|| format!("the loader goes on at {place} (it was at epoch {}, batch {})", state.epoch, state.batch_in_epoch)))
    }
}

/// What is drawn for a batch from now on is drawn for the part of it that is here.
fn share_draws(batch: &Batch) -> Result<()> {
    let Some(d) = dist::at_work().filter(|d| d.options.rng == dist::Rng::Global) else { return Ok(()) };
    let rows = batch.tensors().values().next().map_or(0, |t| t.shape().first().copied().unwrap_or(0));
    set_share(Some(Share { rank: d.world.rank, size: d.world.size, rows }))
}

/// The threads, and what they have ready.
struct Pipeline {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    samples: Arc<dyn Samples>,
    options: LoaderOptions,
    batches: usize,
    /// Where ticket 0 is.
    first: (u64, usize),
    /// How many batches may be ready or in work.
    ahead: usize,
    line: Mutex<Line>,
    /// Signalled when a batch is ready, one was taken, or all is over.
    changed: Condvar,
}

/// Batches are numbered by tickets from the pipeline's start.
struct Line {
    next: u64,
    taken: u64,
    ready: HashMap<u64, Result<Batch>>,
    /// The orders of the epochs in work.
    orders: Vec<(u64, Arc<Vec<usize>>)>,
    stop: bool,
}

impl Pipeline {
    fn start(inner: &Inner, epoch: u64, batch: usize) -> Result<Pipeline> {
        let options = inner.options.clone();
        let workers = options.workers;
        let line = Line { next: 0, taken: 0, ready: HashMap::new(), orders: Vec::new(), stop: false };
        let shared = Arc::new(Shared {
            samples: inner.samples.clone(),
            options,
            batches: inner.batches,
            first: (epoch, batch),
            ahead: workers + 1,
            line: Mutex::new(line),
            changed: Condvar::new(),
        });
        let mut pipeline = Pipeline { shared: shared.clone(), threads: Vec::new() };
        for i in 0..workers {
            let shared = shared.clone();
            let thread = std::thread::Builder::new().name(format!("loader-{i}")).spawn(move || shared.work());
            pipeline.threads.push(thread.map_err(|e| Error::run(format!("cannot start the threads of a loader: {e}")))?);
        }
        Ok(pipeline)
    }

    /// Waits for the next batch.
    fn take(&self) -> Result<Batch> {
        let mut line = self.shared.lock();
        loop {
            let ticket = line.taken;
            if let Some(batch) = line.ready.remove(&ticket) {
                line.taken += 1;
                self.shared.changed.notify_all();
                return batch;
            }
            interrupt::check()?;
            // The time-out is for Ctrl-C alone.
            line = self.shared.changed.wait_timeout(line, Duration::from_millis(200)).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.changed.notify_all();
        for t in self.threads.drain(..) {
            // A worker catches its own panics, so there is nothing to learn from it here.
            let _ = t.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        loop {
            let mut line = self.lock();
            while !line.stop && line.next >= line.taken + self.ahead as u64 {
                line = self.changed.wait(line).unwrap_or_else(PoisonError::into_inner);
            }
            if line.stop {
                return;
            }
            let ticket = line.next;
            line.next += 1;
            let at = self.first.1 as u64 + ticket;
            let (epoch, batch) = (self.first.0 + at / self.batches as u64, (at % self.batches as u64) as usize);
            let order = self.order(&mut line, epoch);
            drop(line);
            let positions = &order[batch * self.options.batch..((batch + 1) * self.options.batch).min(order.len())];
            let made = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.gather(positions, epoch)))
                .unwrap_or_else(|_| Err(Error::run("a loader thread failed")));
            self.lock().ready.insert(ticket, made);
            self.changed.notify_all();
        }
    }

    fn gather(&self, positions: &[usize], epoch: u64) -> Result<Batch> {
        let o = &self.options;
        let batch = if o.random_crop {
            let draws: Vec<u64> = positions.iter().map(|p| drawn(CROPS, o.seed, epoch, *p)).collect();
            self.samples.gather_cropped(positions, &draws)?
        } else {
            self.samples.gather(positions)?
        };
        if !o.flip {
            return Ok(batch);
        }
        flipped(batch, &positions.iter().map(|p| is_flipped(self.options.seed, epoch, *p)).collect::<Vec<_>>())
    }

    /// This rank's order of an epoch, made once; two epochs are in work at most around an epoch's end, more in tiny sets.
    fn order(&self, line: &mut Line, epoch: u64) -> Arc<Vec<usize>> {
        if let Some((_, order)) = line.orders.iter().find(|(e, _)| *e == epoch) {
            return order.clone();
        }
        let o = &self.options;
        let all = epoch_order(self.samples.len(), o.shuffle, o.seed, epoch);
        let order = Arc::new(if o.world == 1 { all } else { share(&all, o.rank, o.world, o.drop_last) });
        line.orders.retain(|(e, _)| e + 2 > epoch);
        line.orders.push((epoch, order.clone()));
        order
    }
}
