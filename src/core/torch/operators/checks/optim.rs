//! The fused optimizers walk all lists in step without comparing their tensors.

use super::{Bound, refuse};
use crate::error::Result;
use crate::torch::{DType, Tensor};

/// Their names.
pub(super) const FUSED: &[&str] =
    &["_fused_adam", "_fused_adam_", "_fused_adamw", "_fused_adamw_", "_fused_sgd", "_fused_sgd_", "_fused_adagrad", "_fused_adagrad_"];

/// Every list mirrors the parameters; counters of steps are scalars of their own.
pub(super) fn mirrored(b: &Bound) -> Result<()> {
    let params = b.tensors("self");
    if let Some(t) = params.iter().find(|t| !t.is_float() || !t.is_dense()) {
        return Err(refuse(b, format!("float tensors without gaps are needed, got {}", t.describe())));
    }
    let alike = |a: &Tensor, t: &Tensor| {
        a.shape() == t.shape() && a.dtype() == t.dtype() && a.device() == t.device() && a.as_tch().stride() == t.as_tch().stride()
    };
    for name in ["grads", "exp_avgs", "exp_avg_sqs", "max_exp_avg_sqs", "momentum_buffer_list", "state_sums"] {
        let list = b.tensors(name);
        // What a variant of the optimizer does not keep.
        let may_be_empty = match name {
            "max_exp_avg_sqs" => !b.flag("amsgrad"),
            "momentum_buffer_list" => b.number("momentum").unwrap_or(0.0) == 0.0,
            _ => b.get(name).is_none(),
        };
        if list.is_empty() && may_be_empty {
            continue;
        }
        if list.len() != params.len() {
            return Err(refuse(b, format!("`{name}` has {} tensors, there are {} parameters", list.len(), params.len())));
        }
        if let Some((p, t)) = params.iter().zip(&list).find(|(p, t)| !alike(p, t)) {
            return Err(refuse(b, format!("`{name}`: {} does not go with {}", t.describe(), p.describe())));
        }
    }
    if b.get("state_steps").is_some() {
        let steps = b.tensors("state_steps");
        let scalar = |t: &&Tensor| t.rank() == 0 && t.dtype() == DType::Float;
        if steps.len() != params.len() || !steps.iter().all(scalar) {
            return Err(refuse(b, format!("`state_steps` must be {} scalars in f32", params.len())));
        }
    }
    for name in ["lr", "grad_scale", "found_inf"] {
        if let Some(t) = b.tensor(name)
            && (t.numel() != 1 || t.dtype() != DType::Float)
        {
            return Err(refuse(b, format!("`{name}` must be one f32, got {}", t.describe())));
        }
    }
    Ok(())
}
