//! What must hold before a kernel is called that does not look itself, by families.

pub(in crate::torch) mod attention;
mod indices;
mod linalg;
mod named;
mod norm;
mod numbers;
mod optim;
mod recurrent;

use super::{Bound, Schema};
use crate::error::{Error, Result};
use crate::torch::bridge::call1;
use crate::torch::{DType, Tensor};

pub(in crate::torch) use named::{WIDEST, windows};

/// Refuses what the kernel would not.
pub(super) type Check = fn(&Bound) -> Result<()>;

/// The families: which operators, and what is checked.
const FAMILIES: &[(&[&str], Check)] = &[
    (numbers::DIVISIONS, numbers::least_by_minus_one),
    (&["arange", "range"], numbers::range_of_integers),
    (linalg::NORMS, linalg::finite_if_decomposed),
    (&["gcd", "gcd_", "lcm", "lcm_"], numbers::no_least),
    (&["_weight_norm"], norm::weight),
    (&["view"], named::same_kind),
    (&["grid_sampler", "grid_sampler_2d", "grid_sampler_3d"], numbers::places),
    (&["unfold", "unfold_copy"], named::steps),
    (&["binary_cross_entropy"], named::target_like_input),
    (&["pdist", "channel_shuffle", "native_channel_shuffle"], named::not_empty),
    (named::MAXIMA, named::windows_hold_something),
    (&["rrelu_with_noise", "rrelu_with_noise_", "rrelu_with_noise_functional"], named::noise),
    (&["repeat_interleave"], numbers::repeats),
    (&["embedding_bag"], indices::embedding_bag),
    (&["ctc_loss", "_ctc_loss"], indices::ctc_loss),
    (&["segment_reduce"], indices::segment_reduce),
    (&["scaled_dot_product_attention", "_scaled_dot_product_attention_math"], attention::grouped),
    (linalg::SPECTRAL, linalg::finite),
    (&["lu_solve", "linalg_lu_solve", "linalg_ldl_solve", "lu_unpack"], linalg::pivots),
    (norm::BATCH, norm::of_channels),
    (recurrent::NAMES, recurrent::layers),
    (recurrent::CELLS, recurrent::cell),
    (&["linalg_lstsq"], linalg::batches),
    (&["median", "nanmedian"], named::apart),
    (optim::FUSED, optim::mirrored),
];

/// Families by how a name begins.
const BEGINNINGS: &[(&str, Check)] = &[("_foreach_", named::lists), ("upsample_", named::scales), ("_upsample_", named::scales)];

/// The checks of an operator.
pub(super) fn of(base: &str, overloads: &[Schema]) -> Vec<Check> {
    // First what bounds the numbers that the others compute with.
    let mut all: Vec<Check> = Vec::new();
    if overloads.iter().any(named::concerns) {
        all.push(named::in_range);
    }
    all.extend(FAMILIES.iter().filter(|(names, _)| names.contains(&base)).map(|(_, check)| *check));
    all.extend(BEGINNINGS.iter().filter(|(start, _)| base.starts_with(start)).map(|(_, check)| *check));
    all
}

/// What is written by kernels that do not tell autograd: lists of the fused operators, and noise.
const UNSEEN: &[(&str, &[&str])] = &[
    ("_fused_", &["self", "grads", "exp_avgs", "exp_avg_sqs", "max_exp_avg_sqs", "momentum_buffer_list", "state_sums", "state_steps"]),
    ("_amp_foreach_", &["self", "found_inf"]),
    ("rrelu_with_noise", &["noise"]),
];

/// The parameters that an operator writes unseen.
pub(super) fn unseen(base: &str) -> &'static [&'static str] {
    UNSEEN.iter().find(|(start, _)| base.starts_with(start)).map_or(&[], |(_, params)| *params)
}

/// An argument that is refused.
fn refuse(b: &Bound, message: impl AsRef<str>) -> Error {
    Error::value(b.op(), message.as_ref())
}

/// The smallest and the largest of integers; `None` where there are none.
fn range(t: &Tensor) -> Result<Option<(i64, i64)>> {
    if t.numel() == 0 || t.is_float() {
        return Ok(None);
    }
    let number = |op: &str| call1(op, &[t.into()], &[])?.to_dtype(DType::Int64)?.to_vec_i64();
    Ok(number("min")?.first().copied().zip(number("max")?.first().copied()))
}

/// Refuses integers that are no index of `n` elements.
fn within(b: &Bound, param: &str, t: &Tensor, n: i64) -> Result<()> {
    match range(t)? {
        Some((low, high)) if low < 0 || high >= n => Err(refuse(b, format!("`{param}` must be indices of {n}, 0 to {}, got {low} to {high}", n - 1))),
        _ => Ok(()),
    }
}
