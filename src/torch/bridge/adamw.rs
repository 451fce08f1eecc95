//! AdamW on the CPU in one pass over memory, with the gradient scaled on the way in and a moving average updated on the way out.

use super::ffi;
use crate::error::Result;
use crate::torch::{Tensor, from_message};
use std::ffi::c_void;

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
    let mut slices: Vec<(usize, i64, i64)> = Vec::new();
    for (i, item) in items.iter().enumerate() {
        let n = item.param.numel() as i64;
        slices.extend((0..n).step_by(SLICE as usize).map(|from| (i, from, n.min(from + SLICE))));
    }
    let o = ffi::RawAdamW {
        lr: pass.lr,
        beta1: pass.betas.0,
        beta2: pass.betas.1,
        eps: pass.eps,
        weight_decay: pass.weight_decay,
        scale: pass.scale,
        decay: pass.decay,
    };
    let (raw, next) = (Shared(&raw), std::sync::atomic::AtomicUsize::new(0));
    let work = || {
        let raw = &raw;
        while let Some(&(i, from, to)) = slices.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
            // SAFETY: checked above; the range lies within the tensors and belongs to this thread alone.
            unsafe { ffi::lathe_adamw_pass(&raw.0[i], from, to, &o) };
        }
    };
    std::thread::scope(|s| {
        for _ in 1..crate::torch::num_threads().min(slices.len()) {
            s.spawn(work);
        }
        work();
    });
    for item in items {
        for t in [Some(&item.param), Some(&item.grad), Some(&item.exp_avg), Some(&item.exp_avg_sq), item.average.as_ref()].into_iter().flatten() {
            // SAFETY: a tensor. Autograd thereby knows that it was written.
            unsafe { ffi::lathe_bump_version(handle(t)) };
        }
    }
    Ok(())
}
