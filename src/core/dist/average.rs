//! Gradients that are those of all ranks: before anything uses them, whether they were reduced during the backward pass or not at all.

use super::agree::{CALL, call_numbers, is_one_call};
use super::{Dist, together};
use crate::error::{Error, Result};
use crate::torch::bridge::dist::{Gradient, Reduce, Wire, Work, grad_state, mark_grad, set_grad};
use crate::torch::{DType, Device, Tensor, no_grad};
use std::sync::atomic::Ordering;

/// So many bytes of gradients go as one.
const CHUNK: usize = 32 << 20;

/// Makes the gradients of `params` (asked for in a job alone) the mean over all ranks, where they are not already. A rank whose loss did not reach a parameter counts as
/// zero and gets the mean as well; a parameter that no rank reached stays without a gradient. `what` asks is compared between ranks.
///
/// # Errors
/// `E0803` when ranks do not ask for the same, `E0802` when one is gone, `E0202` for a sparse gradient.
pub fn average(what: &str, params: impl FnOnce() -> Vec<Tensor>) -> Result<()> {
    let Some(d) = together(what)? else { return Ok(()) };
    let params = &params()[..];
    let states = agree(d, what, params)?;
    let new: Vec<&Tensor> = params.iter().zip(states).filter(|(_, state)| *state == Gradient::New as i64).map(|(p, _)| p).collect();
    no_grad(|| {
        let mut chunk: Vec<(&Tensor, Tensor)> = Vec::new();
        let mut bytes = 0;
        for p in new {
            let grad = match p.grad()? {
                Some(g) if g.is_sparse() => return Err(Error::value(what, "a gradient is sparse, which cannot be averaged")),
                Some(g) => g,
                None => p.detach()?.zeros_like()?,
            };
            let fits = |first: &Tensor| first.dtype() == grad.dtype() && first.device() == grad.device();
            let own = size_of(&grad);
            if chunk.first().is_some_and(|(_, first)| !fits(first) || bytes + own > CHUNK) {
                send(d, &std::mem::take(&mut chunk))?;
                bytes = 0;
            }
            bytes += own;
            chunk.push((p, grad));
        }
        send(d, &chunk)
    })?;
    marked(params)
}

/// Notes that the gradients of `params` are those of all ranks.
///
/// # Errors
/// `E0201` when libtorch refuses.
pub fn marked(params: &[Tensor]) -> Result<()> {
    params.iter().try_for_each(mark_grad)
}

/// Notes that the gradients of all ranks were changed in the same way.
///
/// # Errors
/// `E0201` when libtorch refuses.
pub fn rescaled(params: &[Tensor]) -> Result<()> {
    if super::at_work().is_some() { marked(params) } else { Ok(()) }
}

fn size_of(t: &Tensor) -> usize {
    t.numel() * t.dtype().elt_size_in_bytes()
}

/// What is known of the gradient of each parameter on any rank. Ranks that ask for different things would mix what does not belong together.
fn agree(d: &Dist, what: &str, params: &[Tensor]) -> Result<Vec<i64>> {
    let mut numbers = call_numbers(what, d.averages.fetch_add(1, Ordering::Relaxed)).to_vec();
    let states = params.iter().map(|p| Ok(grad_state(p)? as i64)).collect::<Result<Vec<i64>>>()?;
    numbers.extend(&states);
    numbers.extend(states.iter().map(|s| -s));
    let heard = Tensor::from_vec(&numbers, &[numbers.len() as i64])?;
    let differ = |why: String| {
        Error::disagree(format!("ranks want the gradients of different things: here `{what}` of {} parameters{why}", params.len()))
            .help("every rank must call the same optimizers in the same order, even where its loss does not reach them")
    };
    let done = d.control().all_reduce(std::slice::from_ref(&heard), Reduce::Max).and_then(Work::wait);
    // Gloo compares how much each of them sends.
    done.map_err(|e| if e.to_string().contains("preamble") { differ(", elsewhere of another number".to_owned()) } else { e })?;
    let heard = heard.to_vec_i64()?;
    if !is_one_call(&heard) {
        return Err(differ(", elsewhere another call".to_owned()));
    }
    // One that a rank has dropped since all had it is nobody's any more: that rank counts as zero.
    let (most, least) = heard[CALL..].split_at(params.len());
    let of = |(most, least): (&i64, &i64)| if *most == Gradient::Marked as i64 && *least == 0 { Gradient::New as i64 } else { *most };
    Ok(most.iter().zip(least).map(of).collect())
}

/// Averages some gradients of one dtype and device.
fn send(d: &Dist, chunk: &[(&Tensor, Tensor)]) -> Result<()> {
    let Some((_, first)) = chunk.first() else { return Ok(()) };
    let wire = match d.options.wire {
        Wire::Bf16 if first.dtype() == DType::Float => Some(DType::BFloat16),
        Wire::Fp16 if first.dtype() == DType::Float => Some(DType::Half),
        _ => None,
    };
    let mut sent = Vec::new();
    for (_, grad) in chunk {
        grad.div_(d.world.size as f64)?;
        // Its own memory where it is sent as it is: what collectives take must have no gaps.
        sent.push(match wire {
            Some(dtype) => grad.to_dtype(dtype)?.contiguous()?,
            None if grad.is_dense() && grad.device() != Device::Cpu => grad.clone(),
            None => grad.contiguous()?,
        });
    }
    d.all_reduce(&sent, Reduce::Sum)?;
    for ((param, grad), sent) in chunk.iter().zip(&sent) {
        if !sent.is_same(grad) {
            grad.copy_(sent)?;
        }
        if param.grad()?.is_none() {
            set_grad(param, grad)?;
        }
    }
    Ok(())
}
