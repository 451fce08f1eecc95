//! All that follows a backward pass: clipping, the optimizer's step, the moving average. On the CPU in one pass over memory.

use super::clip::{coefficient, gradients, scale, total_norm};
use super::{Ema, Optimizer, PassItem, Ready};
use crate::dist;
use crate::error::Result;
use crate::torch::bridge::total_norm_cpu;
use crate::torch::{DType, Device, Tensor, no_grad};
use std::collections::{HashMap, HashSet};

/// Scales the gradients of `params` as [`super::clip_grad_norm`], takes the optimizer's step, and updates `ema`. Returns the norm before
/// clipping. The same as the three calls, and where everything is f32 on the CPU in one pass over memory instead of three.
///
/// # Errors
/// `E0202` when `max_norm` is negative or NaN, and as the three.
pub fn step(opt: &Optimizer, params: &[Tensor], max_norm: f64, ema: Option<&Ema>) -> Result<Tensor> {
    no_grad(|| {
        let grads = gradients(params, max_norm)?;
        let norm = if grads.iter().all(one_pass) {
            Tensor::full(&[], total_norm_cpu(&grads)?, DType::Float, Device::Cpu)?
        } else {
            total_norm(&grads, params)?
        };
        let coefficient = coefficient(&norm, max_norm)?;
        let clipped: HashSet<_> = params.iter().map(Tensor::id).collect();
        let whole = opt.params().iter().all(|(_, p)| clipped.contains(&p.id()));
        let pairs = ema.map(Ema::pairs).transpose()?.unwrap_or_default();
        let mut averages: HashMap<_, _> = pairs.iter().map(|(now, average)| (now.id(), average)).collect();
        // Where ranks share them out, new weights come from other ranks before the average can follow them.
        let is_shared = opt.is_shared() || ema.is_some_and(Ema::is_shared);
        let pass = opt.one_pass().filter(|_| !is_shared && whole && opt.params().iter().all(|(_, p)| one_pass(p)));
        let Some(pass) = pass else {
            if let Some(coefficient) = &coefficient {
                scale(&grads, coefficient)?;
                dist::rescaled(params)?;
            }
            opt.step()?;
            ema.map_or(Ok(()), Ema::update)?;
            return Ok(norm);
        };
        let mut item = |ready: Ready| {
            // A gradient of another layout was copied: the pass scales the copy.
            if let (Some(original), Some(coefficient)) = (ready.param.grad()?.filter(|g| g.id() != ready.grad.id()), &coefficient) {
                scale(&[original], coefficient)?;
            }
            let average = averages.get(&ready.param.id()).filter(|a| one_pass(a) && a.strides() == ready.param.strides()).map(|a| (*a).clone());
            if average.is_some() {
                averages.remove(&ready.param.id());
            }
            Ok(PassItem { ready, average })
        };
        if !whole {
            dist::average("step", || opt.tensors())?;
        }
        let (factor, decay) = (coefficient.as_ref().map_or(Ok(1.0), Tensor::item)?, ema.map_or(0.0, Ema::begin));
        for (rates, ready) in opt.begin_step()? {
            let items = ready.into_iter().filter(|r| r.param.numel() > 0).map(&mut item).collect::<Result<_>>()?;
            pass.pass(items, rates, factor, decay)?;
        }
        if let Some(ema) = ema {
            ema.follow(pairs.iter().filter(|(now, _)| averages.contains_key(&now.id())))?;
        }
        Ok(norm)
    })
}

fn one_pass(t: &Tensor) -> bool {
    t.device() == Device::Cpu && t.dtype() == DType::Float && t.is_dense()
}
