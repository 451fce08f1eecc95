//! PyTorch's c10d out of libtorch: the store where processes meet, groups and their collectives, the Reducer.

mod order;

pub use order::Order;

use super::ffi::{self, RawGroup, RawReducer, RawStore, RawWork};
use crate::error::{Error, Result};
use crate::torch::{Tensor, from_message, out_of_memory};
use std::ffi::{CString, c_char, c_int, c_void};
use std::ptr::null_mut;
use std::sync::Arc;
use std::time::Duration;

/// What failed, as c10d says it, on one line.
fn failed(what: &str, f: ffi::Failure) -> Error {
    if f.class == ffi::MEMORY {
        return out_of_memory(what, &f.message);
    }
    Error::lost(format!("{what}: {}", f.message.lines().next().unwrap_or_default().trim()))
}

fn checked(what: &str, f: impl FnOnce(*mut *mut c_char) -> c_int) -> Result<()> {
    ffi::checked(f).map_err(|f| failed(what, f))
}

fn text(s: &str) -> Result<CString> {
    CString::new(s).map_err(|_| Error::usage(format!("`{}` holds a zero byte", s.escape_default())))
}

fn millis(t: Duration) -> i64 {
    i64::try_from(t.as_millis()).unwrap_or(i64::MAX)
}

fn pointer(t: &Tensor) -> *mut c_void {
    t.0.as_ptr().cast_mut().cast()
}

/// Lets libtorch read `TORCH_CPP_LOG_LEVEL`, which is `ERROR` where the user says nothing: without this a store that died writes a trace for
/// every call.
pub fn init_log() {
    // SAFETY: reads the environment.
    unsafe { ffi::lathe_dist_log() };
}

/// Where processes meet: texts by name.
pub struct Store(*mut RawStore);

// SAFETY: c10d's stores are guarded by a lock of their own.
unsafe impl Send for Store {}
// SAFETY: as above.
unsafe impl Sync for Store {}

impl Store {
    /// Connects to the store at `host`, or serves it there. Returns its port as well: 0 asks for a free one.
    ///
    /// # Errors
    /// `E0802` when nobody answers in time, or the port is in use.
    pub fn tcp(host: &str, port: u16, serves: bool, timeout: Duration) -> Result<(Store, u16)> {
        let (host, mut out, mut at) = (text(host)?, null_mut(), c_int::from(port));
        // SAFETY: a terminated text; on success `out` is a new store, taken over here.
        checked("the store", |e| unsafe { ffi::lathe_store_tcp(host.as_ptr(), &mut at, c_int::from(serves), millis(timeout), &mut out, e) })?;
        Ok((Store(out), u16::try_from(at).unwrap_or(port)))
    }

    /// The same store with names of its own.
    ///
    /// # Errors
    /// `E0802` when c10d refuses.
    pub fn within(&self, prefix: &str) -> Result<Store> {
        let (prefix, mut out) = (text(prefix)?, null_mut());
        // SAFETY: as above; the new store shares what it needs of the old one.
        checked("the store", |e| unsafe { ffi::lathe_store_prefix(self.0, prefix.as_ptr(), &mut out, e) })?;
        Ok(Store(out))
    }

    /// Gives a name its text. A store that died may not be noticed before the next question.
    ///
    /// # Errors
    /// `E0802` when it does not answer.
    pub fn set(&self, key: &str, bytes: &[u8]) -> Result<()> {
        let (key, n) = (text(key)?, i64::try_from(bytes.len()).unwrap_or(i64::MAX));
        // SAFETY: `n` bytes that outlive the call.
        checked("the store", |e| unsafe { ffi::lathe_store_set(self.0, key.as_ptr(), bytes.as_ptr().cast(), n, e) })
    }

    /// The text of a name, once it has one.
    ///
    /// # Errors
    /// `E0802` when it has none in time, or the store does not answer.
    pub fn get(&self, key: &str, timeout: Duration) -> Result<Vec<u8>> {
        let (key, mut bytes, mut n) = (text(key)?, null_mut(), 0);
        // SAFETY: on success `bytes` are `n` bytes that are freed here.
        unsafe {
            checked("the store", |e| ffi::lathe_store_get(self.0, key.as_ptr(), millis(timeout), &mut bytes, &mut n, e))?;
            let value = std::slice::from_raw_parts(bytes.cast::<u8>(), usize::try_from(n).unwrap_or(0)).to_vec();
            ffi::lathe_free_str(bytes);
            Ok(value)
        }
    }

    /// Whether a name has a text.
    ///
    /// # Errors
    /// `E0802` when the store does not answer.
    pub fn has(&self, key: &str) -> Result<bool> {
        let (key, mut there) = (text(key)?, 0);
        // SAFETY: a terminated text.
        checked("the store", |e| unsafe { ffi::lathe_store_has(self.0, key.as_ptr(), &mut there, e) })?;
        Ok(there != 0)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // SAFETY: made by the functions above, and freed once.
        unsafe { ffi::lathe_store_free(self.0) };
    }
}

/// How numbers of several ranks become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reduce {
    /// Their sum.
    Sum = 0,
    /// The largest.
    Max = 1,
    /// The smallest.
    Min = 2,
}

/// What gradients are sent as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wire {
    /// In their own dtype.
    #[default]
    Same = 0,
    /// As bf16.
    Bf16 = 1,
    /// As f16.
    Fp16 = 2,
}

/// Processes that work together, by one backend.
pub struct Group {
    raw: *mut RawGroup,
    size: usize,
}

// SAFETY: c10d's groups queue their work under locks of their own.
unsafe impl Send for Group {}
// SAFETY: as above.
unsafe impl Sync for Group {}

/// A collective that has begun.
#[must_use]
pub struct Work(*mut RawWork);

impl Work {
    /// Waits for its end.
    ///
    /// # Errors
    /// `E0802` when another rank is gone, or did not come in time.
    pub fn wait(self) -> Result<()> {
        let raw = self.0;
        std::mem::forget(self);
        // SAFETY: the call takes the work over.
        checked("a collective", |e| unsafe { ffi::lathe_work_wait(raw, e) })
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        // SAFETY: the call takes the work over. What is written while nobody waits must be written before its memory goes.
        let _ = ffi::checked(|e| unsafe { ffi::lathe_work_wait(self.0, e) });
    }
}

impl Group {
    /// Meets the others of `size` ranks at the store. `backend` is `gloo` or `nccl`; `iface` the interface or address to listen at, or empty.
    ///
    /// # Errors
    /// `E0802` when they do not come in time, or there is no such backend.
    pub fn new(store: &Store, backend: &str, name: &str, rank: usize, size: usize, timeout: Duration, iface: &str) -> Result<Group> {
        let (backend, name, iface, mut out) = (text(backend)?, text(name)?, text(iface)?, null_mut());
        let (r, s) = (c_int::try_from(rank).unwrap_or(0), c_int::try_from(size).unwrap_or(1));
        // SAFETY: terminated texts; on success `out` is a new group, taken over here.
        checked("a group", |e| unsafe {
            ffi::lathe_group(store.0, backend.as_ptr(), name.as_ptr(), r, s, millis(timeout), iface.as_ptr(), &mut out, e)
        })?;
        Ok(Group { raw: out, size })
    }

    /// How many ranks it has.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Ends its connections: collectives of other ranks that wait for this one fail, and nothing can be sent any more.
    ///
    /// # Errors
    /// `E0802` when c10d refuses.
    pub fn abort(&self) -> Result<()> {
        // SAFETY: a group that outlives the call.
        checked("a group", |e| unsafe { ffi::lathe_group_abort(self.raw, e) })
    }

    /// Reduces tensors over all ranks, in place. Several go as one where they are of one dtype.
    ///
    /// # Errors
    /// `E0802` when the others are gone, or c10d refuses.
    pub fn all_reduce(&self, tensors: &[Tensor], op: Reduce) -> Result<Work> {
        let (list, mut out) = (tensors.iter().map(pointer).collect::<Vec<_>>(), null_mut());
        let (n, coalesced) = (list.len() as i64, c_int::from(list.len() > 1));
        // SAFETY: tensors that the work keeps alive.
        checked("all_reduce", |e| unsafe { ffi::lathe_all_reduce(self.raw, list.as_ptr(), n, op as c_int, coalesced, &mut out, e) })?;
        Ok(Work(out))
    }

    /// Writes the tensor of the rank `root` into those of all others.
    ///
    /// # Errors
    /// As [`Group::all_reduce`].
    pub fn broadcast(&self, tensor: &Tensor, root: usize) -> Result<Work> {
        let (root, mut out) = (c_int::try_from(root).unwrap_or(0), null_mut());
        // SAFETY: as above.
        checked("broadcast", |e| unsafe { ffi::lathe_broadcast(self.raw, pointer(tensor), root, &mut out, e) })?;
        Ok(Work(out))
    }

    /// The tensors of all ranks, by rank; they must be of one shape and dtype.
    ///
    /// # Errors
    /// As [`Group::all_reduce`].
    pub fn all_gather(&self, tensor: &Tensor) -> Result<Vec<Tensor>> {
        let all = (0..self.size).map(|_| tensor.detach()?.contiguous()?.zeros_like()).collect::<Result<Vec<_>>>()?;
        let (list, mut out) = (all.iter().map(pointer).collect::<Vec<_>>(), null_mut());
        let tensor = tensor.detach()?.contiguous()?;
        // SAFETY: as above; there is an output for each rank.
        checked("all_gather", |e| unsafe { ffi::lathe_all_gather(self.raw, pointer(&tensor), list.as_ptr(), &mut out, e) })?;
        Work(out).wait()?;
        Ok(all)
    }

    /// The sum over all ranks, whose gradient is the sum of all ranks' gradients, as `torch.distributed.nn.functional.all_reduce`.
    ///
    /// # Errors
    /// As [`Group::all_reduce`].
    pub fn all_reduce_grad(&self, x: &Tensor) -> Result<Tensor> {
        let mut out = null_mut();
        // SAFETY: on success `out` is a new tensor, taken over here.
        unsafe {
            checked("all_reduce", |e| ffi::lathe_all_reduce_grad(self.raw, pointer(x), &mut out, e))?;
            Ok(Tensor(tch::Tensor::from_ptr(out.cast())))
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // SAFETY: made above, and freed once.
        unsafe { ffi::lathe_group_free(self.raw) };
    }
}

/// Averages gradients while they are computed.
pub struct Reducer {
    raw: *mut RawReducer,
    // It sends through the group for as long as it lives.
    _group: Arc<Group>,
}

impl Reducer {
    /// Of these parameters, in buckets of `bucket` bytes that are sent one after the other: `order` says which gradients come first, all of them by
    /// their numbers. The first bucket is of `first` bytes.
    ///
    /// # Errors
    /// `E0802` when the order is not one of these parameters, or c10d refuses: parameters of several devices, or that differ between ranks in shape.
    pub fn new(group: Arc<Group>, params: &[Tensor], order: &[usize], first: i64, bucket: i64, wire: Wire) -> Result<Reducer> {
        let all: std::collections::BTreeSet<usize> = order.iter().copied().filter(|i| *i < params.len()).collect();
        if all.len() != params.len() || order.len() != params.len() {
            return Err(Error::lost(format!("the reducer: an order of {} for {} parameters", order.len(), params.len())));
        }
        let (list, mut out) = (params.iter().map(pointer).collect::<Vec<_>>(), null_mut());
        let numbers: Vec<i64> = order.iter().map(|i| *i as i64).collect();
        let n = list.len() as i64;
        // SAFETY: tensors that the reducer keeps alive, and as many numbers; on success `out` is a new one, taken over here.
        checked("the reducer", |e| unsafe {
            ffi::lathe_reducer(group.raw, list.as_ptr(), numbers.as_ptr(), n, first, bucket, wire as c_int, &mut out, e)
        })?;
        Ok(Reducer { raw: out, _group: group })
    }

    /// Between the forward and the backward pass of `loss`.
    ///
    /// # Errors
    /// `E0802` when the last backward pass did not come to its end.
    pub fn prepare(&self, loss: &Tensor) -> Result<()> {
        // SAFETY: a tensor that outlives the call.
        checked("the reducer", |e| unsafe { ffi::lathe_reducer_prepare(self.raw, pointer(loss), e) })
    }
}

impl Drop for Reducer {
    fn drop(&mut self) {
        // SAFETY: made above, and freed once.
        unsafe { ffi::lathe_reducer_free(self.raw) };
    }
}

/// Whether the backward pass of `loss` comes to any of these leaves.
///
/// # Errors
/// `E0201` when libtorch refuses.
pub fn reaches(loss: &Tensor, params: &[Tensor]) -> Result<bool> {
    let (list, mut any) = (params.iter().map(pointer).collect::<Vec<_>>(), 0);
    let n = list.len() as i64;
    // SAFETY: tensors that outlive the call.
    let done = ffi::checked(|e| unsafe { ffi::lathe_reaches(pointer(loss), list.as_ptr(), n, &mut any, e) });
    done.map_err(|f| from_message("backward", &[loss], &f.message))?;
    Ok(any != 0)
}

/// Gives a leaf its gradient.
///
/// # Errors
/// `E0201` when it does not fit.
pub fn set_grad(t: &Tensor, grad: &Tensor) -> Result<()> {
    // SAFETY: tensors that outlive the call.
    ffi::checked(|e| unsafe { ffi::lathe_set_grad(pointer(t), pointer(grad), e) }).map_err(|f| from_message("set_grad", &[t, grad], &f.message))
}

/// What is known of a parameter's gradient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gradient {
    /// There is none.
    None = 0,
    /// It is that of all ranks.
    Marked = 1,
    /// Something was added, or changed, since it was.
    New = 2,
}

/// Notes that a parameter's gradient is that of all ranks.
///
/// # Errors
/// `E0201` when libtorch refuses.
pub fn mark_grad(t: &Tensor) -> Result<()> {
    // SAFETY: a tensor that outlives the call.
    ffi::checked(|e| unsafe { ffi::lathe_mark_grad(pointer(t), e) }).map_err(|f| from_message("grad", &[t], &f.message))
}

/// Whether a parameter has a gradient, and whether it is still the one that was marked.
///
/// # Errors
/// `E0201` when libtorch refuses.
pub fn grad_state(t: &Tensor) -> Result<Gradient> {
    let mut state = 0;
    // SAFETY: a tensor that outlives the call.
    ffi::checked(|e| unsafe { ffi::lathe_grad_state(pointer(t), &mut state, e) }).map_err(|f| from_message("grad", &[t], &f.message))?;
    Ok(match state {
        0 => Gradient::None,
        1 => Gradient::Marked,
        _ => Gradient::New,
    })
}

/// Whether this libtorch has an NCCL that fits; why not otherwise.
///
/// # Errors
/// The reason, as the text of an `E0802`.
pub fn nccl() -> Result<String> {
    let mut text = null_mut();
    // SAFETY: on success `text` is a terminated text, taken over here.
    checked("nccl", |e| unsafe { ffi::lathe_nccl(&mut text, e) })?;
    Ok(ffi::take_string(text))
}
