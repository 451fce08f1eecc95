//! AdamW on the CPU in one pass over memory, with the gradient scaled on the way in and a moving average updated on the way out.

use super::ffi;
use crate::error::{Error, Result};
use crate::torch::{DType, Device, Tensor, from_message};
use std::ffi::c_void;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU64, AtomicUsize};

/// Elements that a thread takes at a time: enough that starting costs nothing, and few enough that threads end together.
const SLICE: i64 = 1 << 18;

/// A parameter with all that its step touches: f32 tensors of one layout on the CPU.
pub struct AdamWItem {
    /// The parameter.
    pub param: Tensor,
    /// Its gradient, which is scaled in place.
    pub grad: Tensor,
    /// The average of the gradient.
    pub exp_avg: Tensor,
    /// The average of its square.
    pub exp_avg_sq: Tensor,
    /// A moving average of the parameter to update.
    pub average: Option<Tensor>,
    /// The number of this step, from 1.
    pub step: f64,
}

/// What is the same for all parameters.
pub struct AdamWPass {
    /// Learning rate.
    pub lr: f64,
    /// Decay of the averages of the gradient and of its square.
    pub betas: (f64, f64),
    /// Added to the denominator.
    pub eps: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// What gradients are multiplied by first.
    pub scale: f64,
    /// How much of the moving averages is kept.
    pub decay: f64,
}

/// Raw handles that a scope's threads share.
struct Shared<'a>(&'a [ffi::RawParam]);
// SAFETY: the tensors outlive the scope, and no two slices hold the same elements.
unsafe impl Sync for Shared<'_> {}

/// Takes the step of all `items`, on as many threads as operators use. The bits do not depend on their number.
///
/// # Errors
/// `E0201` when a tensor is not f32 on the CPU or has another layout than its parameter; then nothing has changed.
pub fn adamw_pass(items: &[AdamWItem], pass: &AdamWPass) -> Result<()> {
    let handle = |t: &Tensor| t.0.as_ptr().cast_mut().cast::<c_void>();
    let raw: Vec<ffi::RawParam> = items
        .iter()
        .map(|i| ffi::RawParam {
            param: handle(&i.param),
            grad: handle(&i.grad),
            exp_avg: handle(&i.exp_avg),
            exp_avg_sq: handle(&i.exp_avg_sq),
            average: i.average.as_ref().map_or(std::ptr::null_mut(), handle),
            step: i.step,
        })
        .collect();
    for (item, raw) in items.iter().zip(&raw) {
        // SAFETY: tensors that `items` holds.
        unsafe { ffi::checked(|e| ffi::lathe_adamw_check(raw, e)) }.map_err(|f| from_message("adamw_pass", &[&item.param], &f.message))?;
    }
    let slices = slices(items.iter().map(|i| &i.param));
    let o = ffi::RawAdamW {
        lr: pass.lr,
        beta1: pass.betas.0,
        beta2: pass.betas.1,
        eps: pass.eps,
        weight_decay: pass.weight_decay,
        scale: pass.scale,
        decay: pass.decay,
    };
    let raw = Shared(&raw);
    on_threads(&slices, |_, &(i, from, to)| {
        let raw = &raw;
        // SAFETY: checked above; the range lies within the tensors and belongs to this thread alone.
        unsafe { ffi::lathe_adamw_pass(&raw.0[i], from, to, &o) };
    });
    for item in items {
        for t in [Some(&item.param), Some(&item.grad), Some(&item.exp_avg), Some(&item.exp_avg_sq), item.average.as_ref()].into_iter().flatten() {
            // SAFETY: a tensor. Autograd thereby knows that it was written.
            unsafe { ffi::lathe_bump_version(handle(t)) };
        }
    }
    Ok(())
}

/// The norm of all tensors together, which are f32 without gaps on the CPU: squares are summed in f32 within short blocks, blocks in f64. The
/// bits do not depend on the number of threads.
///
/// # Errors
/// `E0202` for a tensor of another kind.
pub fn total_norm_cpu(tensors: &[Tensor]) -> Result<f64> {
    if let Some(t) = tensors.iter().find(|t| t.device() != Device::Cpu || t.dtype() != DType::Float || !t.is_dense()) {
        return Err(Error::value("total_norm_cpu", format!("f32 tensors without gaps on the CPU are needed, got {}", t.describe())));
    }
    let slices = slices(tensors);
    let handles: Vec<Handle> = tensors.iter().map(|t| Handle(t.0.as_ptr().cast::<c_void>())).collect();
    let sums: Vec<AtomicU64> = slices.iter().map(|_| AtomicU64::new(0)).collect();
    on_threads(&slices, |at, &(i, from, to)| {
        let handle = &handles[i];
        // SAFETY: a dense f32 tensor on the CPU that outlives the call, and a range within it; nothing writes.
        let sum = unsafe { ffi::lathe_squares(handle.0, from, to) };
        sums[at].store(sum.to_bits(), Relaxed);
    });
    Ok(sums.iter().map(|s| f64::from_bits(s.load(Relaxed))).sum::<f64>().sqrt())
}

/// A tensor that threads only read.
struct Handle(*const c_void);
// SAFETY: see `total_norm_cpu`.
unsafe impl Sync for Handle {}

/// `(tensor, from, to)`, each at most [`SLICE`] elements.
fn slices<'a>(tensors: impl IntoIterator<Item = &'a Tensor>) -> Vec<(usize, i64, i64)> {
    let mut slices = Vec::new();
    for (i, t) in tensors.into_iter().enumerate() {
        let n = t.numel() as i64;
        slices.extend((0..n).step_by(SLICE as usize).map(|from| (i, from, n.min(from + SLICE))));
    }
    slices
}

/// Works through `list` on as many threads as operators use.
fn on_threads<T: Sync>(list: &[T], work: impl Fn(usize, &T) + Sync) {
    let next = AtomicUsize::new(0);
    let run = || {
        loop {
            let at = next.fetch_add(1, Relaxed);
            let Some(item) = list.get(at) else { break };
            work(at, item);
        }
    };
    std::thread::scope(|s| {
        for _ in 1..crate::torch::num_threads().min(list.len()) {
            s.spawn(run);
        }
        run();
    });
}
