//! Many processes that train one model: data-parallel on PyTorch's own c10d, out of libtorch.
//!
//! Each process is a rank with a device of its own. They meet at a store (`join`), and then have two groups: `data` for tensors, by NCCL
//! on GPUs and Gloo on CPUs, and `control`, always Gloo on the CPU, for what they must agree on. A process alone has none of this, and pays
//! nothing.

mod agree;
mod average;
mod fallen;
mod groups;
mod join;
pub mod launch;
mod lost;
mod options;
mod shard;
mod trial;
mod word;

pub use agree::{Alone, alone};
pub use average::{average, marked, rescaled};
pub use fallen::Fell;
pub use join::{join, leave};
pub use launch::World;
pub use lost::{explain, report};
pub use options::{Backend, FLAGS, Options, Rng, SWITCHES};
pub use shard::owners;
pub use trial::{Tried, trial};
pub use word::{Bad, Guests, Posted, Word};

use crate::error::{Error, Result};
use crate::torch::bridge::dist::{Group, Reduce, Store};
use crate::torch::{Device, Tensor};
use groups::Groups;
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, RwLock};

/// The job that this process is a part of.
pub struct Dist {
    /// Who it is.
    pub world: World,
    /// How ranks work together.
    pub options: Options,
    store: Store,
    /// Those in use: what failed in the middle of a collective needs new ones.
    groups: RwLock<Arc<Groups>>,
    /// How often ranks have waited for one of them: the same number everywhere.
    waits: AtomicU64,
    /// How often they have averaged gradients.
    averages: AtomicU64,
    /// How often they have tried something that may end differently.
    trials: AtomicU64,
}

static CURRENT: OnceLock<Dist> = OnceLock::new();

thread_local! {
    /// Whether this rank does something that the others wait for: nothing of all ranks is possible then.
    static ALONE: Cell<bool> = const { Cell::new(false) };
}

/// The job, if this process has joined one.
pub fn current() -> Option<&'static Dist> {
    CURRENT.get()
}

/// The job, where it has several ranks and all of them are at work.
///
/// # Errors
/// `E0202` while one rank works alone, as in `on_sample`: the others would not come.
pub fn together(op: &str) -> Result<Option<&'static Dist>> {
    match current() {
        Some(d) if d.world.size > 1 => {
            if ALONE.get() {
                let message = "one rank works alone here, and the others wait for it: nothing of all ranks is possible";
                return Err(
                    Error::value(op, message).help("gradients, synchronised batch norm and `dist::` belong into a step; evaluate with `.eval()`")
                );
            }
            Ok(Some(d))
        }
        _ => Ok(None),
    }
}

/// The job, where it has several ranks and this one does what all do: not while it works alone.
pub fn at_work() -> Option<&'static Dist> {
    current().filter(|d| d.world.size > 1 && !ALONE.get())
}

/// Refuses what several ranks would do to one folder.
///
/// # Errors
/// `E0101` on all ranks but the first.
pub fn first_rank_only(what: &str) -> Result<()> {
    match at_work().filter(|d| d.world.rank > 0) {
        Some(d) => Err(Error::usage(format!("{what} is for the first rank, and this is rank {} of {}", d.world.rank, d.world.size))
            .help("write behind `if dist::get_rank() == 0`, what all ranks have made: std/ranks")),
        None => Ok(()),
    }
}

/// Runs `f` with this rank alone at work, whatever the others do: what is of all ranks is refused in it instead of waiting for them.
pub fn apart<T>(f: impl FnOnce() -> T) -> T {
    let before = ALONE.replace(true);
    let value = f();
    ALONE.set(before);
    value
}

/// Which process this is; 0 for one alone.
pub fn rank() -> usize {
    current().map_or(0, |d| d.world.rank)
}

/// How many processes train together.
pub fn size() -> usize {
    current().map_or(1, |d| d.world.size)
}

/// Whether this process owns the run folder: rank 0, or the only one.
pub fn is_main() -> bool {
    rank() == 0
}

impl Dist {
    /// Reduces tensors over all ranks, in place: by the group of their device.
    ///
    /// # Errors
    /// `E0802` when another rank is gone.
    pub fn all_reduce(&self, tensors: &[Tensor], op: Reduce) -> Result<()> {
        let Some(first) = tensors.first() else { return Ok(()) };
        self.group_of(first)?.all_reduce(tensors, op)?.wait()
    }

    /// Writes the tensor of the rank `root` into those of all others.
    ///
    /// # Errors
    /// `E0802` when another rank is gone.
    pub fn broadcast(&self, tensor: &Tensor, root: usize) -> Result<()> {
        self.group_of(tensor)?.broadcast(tensor, root)?.wait()
    }

    /// The tensors of all ranks, by rank.
    ///
    /// # Errors
    /// `E0802` when another rank is gone.
    pub fn all_gather(&self, tensor: &Tensor) -> Result<Vec<Tensor>> {
        self.group_of(tensor)?.all_gather(tensor)
    }

    /// The sum over all ranks, whose gradient is the sum of all ranks' gradients.
    ///
    /// # Errors
    /// `E0802` when another rank is gone.
    pub fn all_reduce_grad(&self, x: &Tensor) -> Result<Tensor> {
        self.group_of(x)?;
        let groups = self.groups();
        if x.device() == Device::Cpu && self.options.backend == Backend::Nccl {
            groups.control.all_reduce_grad(x)
        } else {
            groups.sync.all_reduce_grad(x)
        }
    }

    /// Gradients and batches of several devices have groups of their own.
    fn group_of(&self, t: &Tensor) -> Result<Arc<Group>> {
        let groups = self.groups();
        match (t.device(), self.options.backend) {
            (Device::Cpu, Backend::Nccl) => Ok(groups.control.clone()),
            (Device::Cpu, _) | (_, Backend::Nccl) => Ok(groups.data.clone()),
            (device, _) => Err(Error::value("dist", format!("{} is on {device:?}, where Gloo does not work", t.describe()))
                .help("`--dist-backend nccl`, or `auto`, which takes NCCL for GPUs")),
        }
    }

    fn next_wait(&self) -> u64 {
        self.waits.fetch_add(1, Ordering::Relaxed)
    }
}
