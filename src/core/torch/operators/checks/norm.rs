//! Normalisation: what belongs to a channel has as many elements as there are channels.

use super::{Bound, refuse};
use crate::error::Result;

/// Operators that normalise over a batch.
pub(super) const BATCH: &[&str] = &[
    "native_batch_norm",
    "_native_batch_norm_legit",
    "_native_batch_norm_legit_functional",
    "_native_batch_norm_legit_no_training",
    "batch_norm_update_stats",
    "batch_norm",
    "_batch_norm_no_update",
    "_batch_norm_with_update",
    "_batch_norm_with_update_functional",
    "_batch_norm_impl_index",
    "instance_norm",
    "batch_norm_stats",
    "batch_norm_elemt",
    "batch_norm_gather_stats",
];

/// Weights and statistics are vectors of the channels, in dimension 1, and in one dtype with each other.
pub(super) fn of_channels(b: &Bound) -> Result<()> {
    let Some(input) = b.tensor("input").or_else(|| b.tensor("self")) else { return Ok(()) };
    if input.rank() < 2 {
        return Err(refuse(b, format!("the input must be [B, C, ..], got {}", input.describe())));
    }
    let channels = input.size(1)?;
    let mut dtype = None;
    for name in ["weight", "bias", "running_mean", "running_var"] {
        let Some(t) = b.tensor(name) else { continue };
        if t.shape() != [channels] || !t.is_float() || t.device() != input.device() {
            return Err(refuse(b, format!("`{name}` must be [{channels}] floats beside the input, got {}", t.describe())));
        }
        if *dtype.get_or_insert(t.dtype()) != t.dtype() {
            return Err(refuse(b, format!("`{name}` is {}, others are not", t.describe())));
        }
        if !t.is_dense() {
            return Err(refuse(b, format!("`{name}` must lie without gaps; `.contiguous()` makes it so")));
        }
    }
    let (mean, var) = (b.tensor("running_mean"), b.tensor("running_var"));
    if mean.is_some() != var.is_some() {
        return Err(refuse(b, "`running_mean` and `running_var` go together"));
    }
    let trains = ["training", "train"].iter().any(|n| b.flag(n));
    if mean.is_none() && !trains && ["native_batch_norm", "batch_norm", "_batch_norm_impl_index"].contains(&b.op()) {
        return Err(refuse(b, "without `training`, `running_mean` and `running_var` are needed"));
    }
    Ok(())
}

/// A magnitude for each slice along `dim`, the first or the last.
pub(super) fn weight(b: &Bound) -> Result<()> {
    let (Some(v), Some(g)) = (b.tensor("v"), b.tensor("g")) else { return Ok(()) };
    let (at, rank) = (b.int("dim").unwrap_or(0), v.rank() as i64);
    // Other dimensions are put together from operators that look themselves.
    if rank == 0 || !(at == 0 || at == rank - 1) {
        return Ok(());
    }
    let wanted: Vec<i64> = v.shape().iter().enumerate().map(|(i, n)| if i as i64 == at { *n } else { 1 }).collect();
    if g.shape() != wanted || g.dtype() != v.dtype() || !v.is_float() || v.numel() == 0 {
        return Err(refuse(b, format!("`g` must be {wanted:?} for {}, both floats, got {}", v.describe(), g.describe())));
    }
    Ok(())
}
