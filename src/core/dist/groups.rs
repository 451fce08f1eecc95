//! The groups of ranks, and new ones for those that something has failed in the middle of.

use super::{Backend, Dist, Options, World};
use crate::error::Result;
use crate::torch::bridge::dist::{Group, Reduce, Store};
use crate::torch::{Device, Tensor};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long what was sent last has to arrive before connections end.
const SETTLE: Duration = Duration::from_millis(50);
/// Groups that are not used any more. To free them would wait for whatever still hangs in them.
static OLD: Mutex<Vec<Arc<Groups>>> = Mutex::new(Vec::new());

/// The groups that are in use together.
pub(super) struct Groups {
    /// How many there were before.
    pub number: u64,
    /// For tensors: NCCL on GPUs, Gloo on CPUs.
    pub data: Arc<Group>,
    /// As `data`, for what autograd sends by itself: it must not come between the buckets of gradients.
    pub sync: Arc<Group>,
    /// Always Gloo on the CPU, for what ranks must agree on.
    pub control: Arc<Group>,
}

impl Groups {
    /// Meets the other ranks at the store.
    pub fn meet(store: &Store, world: &World, options: &Options, number: u64) -> Result<Groups> {
        let again = if number > 0 { Some(store.within(&format!("again/{number}"))?) } else { None };
        let store = again.as_ref().unwrap_or(store);
        let group =
            |backend: &str, name: &str| Group::new(store, backend, name, world.rank, world.size, options.timeout, &options.iface).map(Arc::new);
        let backend = if options.backend == Backend::Nccl { "nccl" } else { "gloo" };
        let control = group("gloo", "control")?;
        let sync = group(backend, "sync")?;
        Ok(Groups { number, data: group(backend, "data")?, sync, control })
    }
}

impl Dist {
    pub(super) fn groups(&self) -> Arc<Groups> {
        self.groups.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn control(&self) -> Arc<Group> {
        self.groups().control.clone()
    }

    /// The group for gradients on a device, and how many there were before: what was made for an earlier one must be made anew. NCCL takes
    /// nothing of a CPU's, where a machine with GPUs was told to train on it.
    pub(crate) fn data(&self, on: Device) -> (u64, Arc<Group>) {
        let groups = self.groups();
        let by_gloo = on == Device::Cpu && self.options.backend == Backend::Nccl;
        (groups.number, if by_gloo { groups.control.clone() } else { groups.data.clone() })
    }

    /// Ends all connections to other ranks: those that wait for this one in a collective stop waiting.
    pub(super) fn part(&self) -> Result<()> {
        std::thread::sleep(SETTLE);
        let groups = self.groups();
        [&groups.control, &groups.data, &groups.sync].into_iter().try_for_each(|g| g.abort())
    }

    /// Leaves the groups in use, whatever hangs in them, and meets the others in new ones. All ranks must come.
    pub(super) fn renew(&self) -> Result<()> {
        self.part()?;
        let old = self.groups();
        let new = Arc::new(Groups::meet(&self.store, &self.world, &self.options, old.number + 1)?);
        *self.groups.write().unwrap_or_else(PoisonError::into_inner) = new;
        OLD.lock().unwrap_or_else(PoisonError::into_inner).push(old);
        // A rank that failed has not counted what the others have.
        let counters: [&AtomicU64; 3] = [&self.waits, &self.averages, &self.trials];
        let counts: Vec<i64> = counters.iter().map(|c| i64::try_from(c.load(Ordering::Relaxed)).unwrap_or(0)).collect();
        let most = Tensor::from_vec(&counts, &[3])?;
        self.control().all_reduce(std::slice::from_ref(&most), Reduce::Max)?.wait()?;
        for (counter, most) in counters.iter().zip(most.to_vec_i64()?) {
            counter.store(most.unsigned_abs() + 1, Ordering::Relaxed);
        }
        Ok(())
    }
}
