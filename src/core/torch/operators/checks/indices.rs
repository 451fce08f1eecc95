//! Indices, lengths and offsets that kernels take as they are.

use super::{Bound, refuse, within};
use crate::error::Result;
use crate::torch::bridge::Value;
use crate::torch::{DType, Tensor};

fn numbers(t: &Tensor) -> Result<Vec<i64>> {
    t.detach()?.to_dtype(DType::Int64)?.reshape(&[-1])?.to_vec_i64()
}

/// Each not below the one before, from 0 to `n`.
fn rising(b: &Bound, param: &str, values: &[i64], n: i64) -> Result<()> {
    let falls = values.windows(2).any(|w| w[1] < w[0]);
    let out = values.iter().find(|v| !(0..=n).contains(*v));
    if falls || out.is_some() {
        let shown = out.map_or_else(|| "they fall".to_owned(), |v| format!("got {v}"));
        return Err(refuse(b, format!("`{param}` must rise from 0 to at most {n}; {shown}")));
    }
    Ok(())
}

/// Indices of rows of `weight`, and where each bag begins.
pub(super) fn embedding_bag(b: &Bound) -> Result<()> {
    let (Some(weight), Some(indices)) = (b.tensor("weight"), b.tensor("indices")) else { return Ok(()) };
    if weight.rank() != 2 {
        return Err(refuse(b, format!("`weight` must be [N, D], got {}", weight.describe())));
    }
    if weight.numel() == 0 || indices.is_float() {
        return Err(refuse(
            b,
            format!("integers of rows of a weight that is not empty are needed, got {} of {}", indices.describe(), weight.describe()),
        ));
    }
    let mode = b.int("mode").unwrap_or(0);
    if !(0..=2).contains(&mode) {
        return Err(refuse(b, format!("`mode` must be 0 (sum), 1 (mean) or 2 (max), got {mode}")));
    }
    let rows = weight.size(0)?;
    if let Some(p) = b.int("padding_idx")
        && !(-rows..rows).contains(&p)
    {
        return Err(refuse(b, format!("`padding_idx` must be an index of {rows}, got {p}")));
    }
    within(b, "indices", indices, rows)?;
    if b.tensor("offsets").is_some_and(|o| o.is_float() || o.rank() != 1) {
        return Err(refuse(b, "`offsets` must be one row of integers"));
    }
    if let Some(offsets) = b.tensor("offsets") {
        let values = numbers(offsets)?;
        rising(b, "offsets", &values, indices.numel() as i64)?;
        if values.first() != Some(&0) {
            return Err(refuse(b, "the first of `offsets` must be 0"));
        }
        if b.flag("include_last_offset") && (values.len() < 2 || values.last() != Some(&(indices.numel() as i64))) {
            return Err(refuse(b, format!("the last of at least two `offsets` must be the end, {}", indices.numel())));
        }
    }
    if let Some(w) = b.tensor("per_sample_weights")
        && (w.shape() != indices.shape() || w.dtype() != weight.dtype())
    {
        return Err(refuse(b, format!("`per_sample_weights` must be like `indices` in the dtype of `weight`, got {}", w.describe())));
    }
    Ok(())
}

/// The lengths of a batch, given as a list or a tensor.
fn lengths(b: &Bound, param: &str) -> Result<Vec<i64>> {
    match b.get(param) {
        Some(Value::Tensor(t)) if !t.is_float() => numbers(t),
        Some(Value::Tensor(t)) => Err(refuse(b, format!("`{param}` must be integers, got {}", t.describe()))),
        _ => Ok(b.ints(param)),
    }
}

/// Targets are classes, and as many as their lengths say.
pub(super) fn ctc_loss(b: &Bound) -> Result<()> {
    let (Some(log_probs), Some(targets)) = (b.tensor("log_probs"), b.tensor("targets")) else { return Ok(()) };
    let (time, batch, classes) = match *log_probs.shape() {
        [t, n, c] => (t, n, c),
        [t, c] => (t, 1, c),
        _ => return Err(refuse(b, format!("`log_probs` must be [T, N, C] or [T, C], got {}", log_probs.describe()))),
    };
    if targets.is_float() {
        return Err(refuse(b, format!("`targets` must be integers, got {}", targets.describe())));
    }
    if !(0..classes).contains(&b.int("blank").unwrap_or(0)) {
        return Err(refuse(b, format!("`blank` must be a class, 0 to {}", classes - 1)));
    }
    let (inputs, wanted) = (lengths(b, "input_lengths")?, lengths(b, "target_lengths")?);
    let as_many = |n: usize| n as i64 == batch;
    if !as_many(inputs.len()) || !as_many(wanted.len()) {
        return Err(refuse(b, format!("{batch} lengths are needed, got {} and {}", inputs.len(), wanted.len())));
    }
    if let Some(n) = inputs.iter().find(|n| !(1..=time).contains(*n)) {
        return Err(refuse(b, format!("`input_lengths` must be between 1 and {time}, got {n}")));
    }
    let most = match *targets.shape() {
        [n, s] if n == batch => s,
        [total] => total,
        _ => return Err(refuse(b, format!("`targets` must be [N, S] or all in one row, got {}", targets.describe()))),
    };
    if let Some(n) = wanted.iter().find(|n| !(0..=most).contains(*n)) {
        return Err(refuse(b, format!("`target_lengths` must be between 0 and {most}, got {n}")));
    }
    let total = wanted.iter().sum::<i64>();
    if targets.rank() == 1 && total > most {
        return Err(refuse(b, format!("`target_lengths` sum to more than the {most} targets")));
    }
    // What fills up a row is not read.
    let all = numbers(targets)?;
    let read: Vec<&[i64]> = match targets.rank() {
        1 => vec![&all[..total as usize]],
        _ => all.chunks((most as usize).max(1)).zip(&wanted).map(|(row, n)| &row[..*n as usize]).collect(),
    };
    match read.iter().flat_map(|row| row.iter()).find(|c| !(0..classes).contains(*c)) {
        Some(c) => Err(refuse(b, format!("`targets` must be indices of {classes}, 0 to {}, got {c}", classes - 1))),
        None => Ok(()),
    }
}

/// Lengths or offsets of the segments along `axis`.
pub(super) fn segment_reduce(b: &Bound) -> Result<()> {
    let Some(data) = b.tensor("data") else { return Ok(()) };
    if b.tensor("indices").is_some() || data.rank() == 0 {
        return Err(refuse(b, "data of at least one dimension and `lengths` or `offsets` are needed"));
    }
    let axis = b.int("axis").unwrap_or(0);
    let n = data.size(axis)?;
    let (offsets, sizes) = (b.tensor("offsets"), b.tensor("lengths"));
    for t in [offsets, sizes].into_iter().flatten() {
        if t.is_float() || t.rank() != usize::try_from(axis).unwrap_or(0) + 1 {
            return Err(refuse(b, format!("integers along axis {axis} are needed, got {}", t.describe())));
        }
        let before = |t: &Tensor| t.shape()[..t.rank() - 1].to_vec();
        if before(t) != data.shape()[..t.rank() - 1] {
            return Err(refuse(b, format!("{} does not go with data of {}", t.describe(), data.describe())));
        }
        let width = usize::try_from(t.size(-1)?).unwrap_or(0);
        if width == 0 {
            return Err(refuse(b, "there are no segments"));
        }
        for row in numbers(t)?.chunks(width) {
            if offsets.is_some() {
                rising(b, "offsets", row, n)?;
            } else if row.iter().any(|v| *v < 0) || row.iter().try_fold(0i64, |sum, v| sum.checked_add(*v)).is_none_or(|sum| sum > n) {
                return Err(refuse(b, format!("`lengths` must be from 0 and sum to at most {n}")));
            }
        }
    }
    Ok(())
}
