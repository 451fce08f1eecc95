//! Gradients of some tensors with respect to others, without touching any `grad`.

use super::ffi::{self, RawGrad};
use crate::error::Result;
use crate::torch::{Tensor, from_message, out_of_memory};
use std::ffi::{c_int, c_void};

/// The options of [`grad`].
#[derive(Debug, Clone, Default)]
pub struct GradOptions {
    /// The gradient of each output, one for each; `None` stands for 1, which only outputs of one element may have.
    pub grad_outputs: Option<Vec<Option<Tensor>>>,
    /// Whether the graph can be gone through again; by default where it is recorded.
    pub retain_graph: Option<bool>,
    /// Whether the gradients themselves are recorded, for gradients of gradients.
    pub create_graph: bool,
    /// Whether inputs that the outputs do not depend on are given as `None` instead of refused.
    pub allow_unused: bool,
}

/// Gradients of the sum of `outputs` with respect to each of `inputs`: PyTorch's `torch.autograd.grad`.
///
/// # Errors
/// `E0201` for an output of several elements without its gradient, an input that was not recorded, or one that is not used.
pub fn grad(outputs: &[Tensor], inputs: &[Tensor], options: &GradOptions) -> Result<Vec<Option<Tensor>>> {
    let pointer = |t: &Tensor| -> *mut c_void { t.0.as_ptr().cast_mut().cast() };
    let of = |tensors: &[Tensor]| -> Vec<*mut c_void> { tensors.iter().map(pointer).collect() };
    let (out, inp) = (of(outputs), of(inputs));
    let weights: Option<Vec<*mut c_void>> =
        options.grad_outputs.as_ref().map(|all| all.iter().map(|t| t.as_ref().map_or(std::ptr::null_mut(), pointer)).collect());
    if weights.as_ref().is_some_and(|w| w.len() != out.len()) {
        let message = format!("{} outputs, but {} of their gradients", out.len(), weights.map_or(0, |w| w.len()));
        return Err(crate::error::Error::torch("grad", message));
    }
    let raw = RawGrad {
        outputs: out.as_ptr(),
        output_count: out.len() as i64,
        inputs: inp.as_ptr(),
        input_count: inp.len() as i64,
        grad_outputs: weights.as_ref().map_or(std::ptr::null(), |w| w.as_ptr()),
        retain_graph: c_int::from(options.retain_graph.unwrap_or(options.create_graph)),
        create_graph: c_int::from(options.create_graph),
        allow_unused: c_int::from(options.allow_unused),
    };
    let mut grads = vec![std::ptr::null_mut(); inp.len()];
    // SAFETY: the lists and the tensors in them outlive the call, and `grads` has a place for each input.
    let done = ffi::checked(|err| unsafe { ffi::lathe_grad(&raw, grads.as_mut_ptr(), err) });
    let take = |p: *mut c_void| -> Option<Tensor> {
        // SAFETY: what is not null is a new handle, taken over once.
        (!p.is_null()).then(|| Tensor(unsafe { tch::Tensor::from_ptr(p.cast()) }))
    };
    let grads = grads.into_iter().map(take).collect();
    done.map_err(|f| {
        if let Some(e) = super::recompute::thrown() {
            return e;
        }
        let shown: Vec<&Tensor> = outputs.iter().chain(inputs).take(4).collect();
        if f.class == ffi::MEMORY { out_of_memory("grad", &f.message) } else { from_message("grad", &shown, &f.message) }
    })?;
    Ok(grads)
}
