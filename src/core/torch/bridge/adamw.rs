//! AdamW on the CPU in one pass over memory, with the gradient scaled on the way in and a moving average updated on the way out.

use super::ffi;
use crate::error::{Error, Result};
use crate::torch::{DType, Device, Tensor, from_message};
use rayon::prelude::*;
use std::ffi::c_void;

/// Elements of a slice: few enough that the shares of the threads are alike.
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

/// Raw handles of tensors, for threads that work on parts of them.
struct Shared<T>(Vec<T>);
// SAFETY: whoever makes one holds the tensors until the threads are done, and gives no two threads the same elements to write.
unsafe impl<T> Sync for Shared<T> {}

/// Takes the step of all `items`, on as many threads as operators use. The bits do not depend on their number.
///
/// # Errors
/// `E0201` when a tensor is not f32 on the CPU or has another layout than its parameter; then nothing has changed.
pub fn adamw_pass(items: &[AdamWItem], pass: &AdamWPass) -> Result<()> {
    let handle = |t: &Tensor| t.0.as_ptr().cast_mut().cast::<c_void>();
    let raw = items.iter().map(|i| ffi::RawParam {
        param: handle(&i.param),
        grad: handle(&i.grad),
        exp_avg: handle(&i.exp_avg),
        exp_avg_sq: handle(&i.exp_avg_sq),
        average: i.average.as_ref().map_or(std::ptr::null_mut(), handle),
        step: i.step,
    });
    let raw = Shared(raw.collect());
    for (item, raw) in items.iter().zip(&raw.0) {
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
    shares(&slices).for_each(|share| {
        let raw = &raw;
        for &(i, from, to) in share {
            // SAFETY: checked above; the range lies within the tensors and belongs to this thread alone.
            unsafe { ffi::lathe_adamw_pass(&raw.0[i], from, to, &o) };
        }
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
    let raw = Shared(tensors.iter().map(|t| t.0.as_ptr().cast::<c_void>()).collect());
    let sums = shares(&slices).map(|share| {
        let raw = &raw;
        // SAFETY: a dense f32 tensor on the CPU that outlives the call, and a range within it; nothing writes.
        share.iter().map(|&(i, from, to)| unsafe { ffi::lathe_squares(raw.0[i], from, to) }).collect::<Vec<f64>>()
    });
    // Collected before they are summed: the order is that of the slices, however many threads there were.
    Ok(sums.collect::<Vec<_>>().into_iter().flatten().sum::<f64>().sqrt())
}

/// `(tensor, from, to)`, each at most [`SLICE`] elements.
fn slices<'a>(tensors: impl IntoIterator<Item = &'a Tensor>) -> Vec<(usize, i64, i64)> {
    let mut slices = Vec::new();
    for (i, t) in tensors.into_iter().enumerate() {
        let n = t.numel() as i64;
        slices.extend((0..n).step_by(SLICE as usize).map(|from| (i, from, n.min(from + SLICE))));
    }
    slices
}

/// One share of the slices for each thread that an operator may use.
fn shares<T: Sync>(slices: &[T]) -> rayon::slice::Chunks<'_, T> {
    slices.par_chunks(slices.len().div_ceil(crate::torch::num_threads()).max(1))
}
