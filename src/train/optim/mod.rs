//! Optimizing: AdamW, SGD, gradient clipping, moving averages of weights, loss scaling. All on libtorch's multi-tensor kernels,
//! with PyTorch's arithmetic and its names for the state.

mod adamw;
mod algorithm;
mod clip;
mod ema;
mod optimizer;
mod overlap;
mod param_group;
mod scaler;
mod sgd;
mod state;
mod step;
#[cfg(test)]
mod tests;

pub use adamw::{AdamWOptions, adamw};
pub use algorithm::{Algorithm, Kept, OnePass, PassItem, Ready};
pub use clip::clip_grad_norm;
pub use ema::Ema;
pub use optimizer::Optimizer;
pub use param_group::{ParamGroup, ParamGroups, Rates};
pub use scaler::{GradScaler, GradScalerOptions};
pub use sgd::{SgdOptions, sgd};
pub use step::step;

use crate::torch::{DType, Device, Tensor};

/// Indices of tensors that one multi-tensor kernel can take together: same device, same dtype.
fn groups<'a>(tensors: impl IntoIterator<Item = &'a Tensor>) -> Vec<Vec<usize>> {
    let mut out: Vec<((Device, DType), Vec<usize>)> = Vec::new();
    for (i, t) in tensors.into_iter().enumerate() {
        let key = (t.device(), t.dtype());
        match out.iter_mut().find(|(k, _)| *k == key) {
            Some((_, list)) => list.push(i),
            None => out.push((key, vec![i])),
        }
    }
    out.into_iter().map(|(_, list)| list).collect()
}
