//! Gradient clipping by the norm of all gradients together, as `torch.nn.utils.clip_grad_norm_`.

use super::groups;
use crate::dist;
use crate::error::{Error, Result};
use crate::torch::bridge::{Value, call, call1};
use crate::torch::{DType, Device, Tensor, no_grad};

/// Scales the gradients of `params` by `min(1, max_norm / (norm + 1e-6))` in place; with `max_norm` 0 they stay as they are. Returns the norm before, an
/// f32 scalar on the first gradient's device, without waiting for the device. Parameters without a gradient do not count; with none at all the norm is 0.
///
/// # Errors
/// `E0202` when `max_norm` is negative or NaN, `E0201` when libtorch refuses.
pub fn clip_grad_norm(params: &[Tensor], max_norm: f64) -> Result<Tensor> {
    no_grad(|| {
        let grads = gradients(params, max_norm)?;
        let norm = total_norm(&grads, params)?;
        if let Some(coefficient) = coefficient(&norm, max_norm)? {
            scale(&grads, &coefficient)?;
            // The same was done to the gradients of all ranks.
            dist::rescaled(params)?;
        }
        Ok(norm)
    })
}

/// The gradients that there are.
pub(super) fn gradients(params: &[Tensor], max_norm: f64) -> Result<Vec<Tensor>> {
    if max_norm.is_nan() || max_norm < 0.0 {
        return Err(Error::value("clip_grad_norm", format!("the maximum must be above 0, or 0 for no clipping, got {max_norm}")));
    }
    dist::average("clip_grad_norm", || params.to_vec())?;
    let mut grads = Vec::new();
    for p in params {
        grads.extend(p.grad()?);
    }
    Ok(grads)
}

fn lists(grads: &[Tensor], groups: &[Vec<usize>]) -> Vec<Value> {
    groups.iter().map(|g| Value::List(g.iter().map(|&i| (&grads[i]).into()).collect())).collect()
}

/// The norm of all gradients together, an f32 scalar on the first one's device.
pub(super) fn total_norm(grads: &[Tensor], params: &[Tensor]) -> Result<Tensor> {
    let Some(device) = grads.first().map(Tensor::device) else {
        return Tensor::zeros(&[], DType::Float, params.first().map_or(Device::Cpu, Tensor::device));
    };
    let groups = groups(grads);
    let mut norms = Vec::new();
    for (group, list) in groups.iter().zip(lists(grads, &groups)) {
        // Squares of halves overflow at 256: they are summed in f32.
        let dtype = matches!(grads[group[0]].dtype(), DType::Half | DType::BFloat16).then_some(DType::Float);
        let kw = dtype.map(|d| ("dtype", d.into()));
        for n in call("_foreach_norm", &[list, 2i64.into()], kw.as_slice())?.remove(0).into_tensors()? {
            norms.push(n.to_device(device)?.to_dtype(DType::Float)?);
        }
    }
    call1("linalg_vector_norm", &[Tensor::stack(&norms, 0)?.into()], &[])
}

/// What gradients of that norm are multiplied by: `min(1, max_norm / (norm + 1e-6))`; `None` where they are not clipped.
pub(super) fn coefficient(norm: &Tensor, max_norm: f64) -> Result<Option<Tensor>> {
    if max_norm == 0.0 {
        return Ok(None);
    }
    call1("div", &[max_norm.into(), norm.add(1e-6)?.into()], &[])?.clamp(None, Some(1.0)).map(Some)
}

pub(super) fn scale(grads: &[Tensor], coefficient: &Tensor) -> Result<()> {
    let groups = groups(grads);
    for (group, list) in groups.iter().zip(lists(grads, &groups)) {
        let on = coefficient.to_device(grads[group[0]].device())?;
        call("_foreach_mul_.Tensor", &[list, on.into()], &[])?;
    }
    Ok(())
}
