//! Integers that the processor traps on, or that overflow.

use super::{Bound, holds, range, refuse};
use crate::error::Result;
use crate::torch::DType;

/// Operators that divide integers.
pub(super) const DIVISIONS: &[&str] = &[
    "div",
    "div_",
    "divide",
    "divide_",
    "floor_divide",
    "floor_divide_",
    "fmod",
    "fmod_",
    "remainder",
    "remainder_",
    "true_divide",
    "true_divide_",
    "_foreach_div",
    "_foreach_div_",
    "__ifloordiv__",
    "bitwise_left_shift",
    "bitwise_right_shift",
];

fn least(dtype: DType) -> Option<i64> {
    match dtype {
        DType::Int64 => Some(i64::MIN),
        DType::Int => Some(i32::MIN.into()),
        DType::Int16 => Some(i16::MIN.into()),
        DType::Int8 => Some(i8::MIN.into()),
        _ => None,
    }
}

/// The least integer divided by -1 is no integer: the processor ends the process.
pub(super) fn least_by_minus_one(b: &Bound) -> Result<()> {
    let (Some(a), Some(d)) = (b.get("self"), b.get("other")) else { return Ok(()) };
    let minus_one = |dtype: DType| least(dtype).map(|_| -1);
    if holds(a, least)? && holds(d, minus_one)? {
        return Err(refuse(b, "the least integer cannot be divided by -1: the result is no integer"));
    }
    Ok(())
}

/// The least integer has no positive counterpart.
pub(super) fn no_least(b: &Bound) -> Result<()> {
    for name in ["self", "other"] {
        if let Some(v) = b.get(name)
            && holds(v, least)?
        {
            return Err(refuse(b, format!("`{name}` holds the least integer, whose magnitude is no integer")));
        }
    }
    Ok(())
}

/// More elements than any memory holds.
const MOST: i64 = 1 << 40;

/// Counts of repetitions, whose sum libtorch does not watch.
pub(super) fn repeats(b: &Bound) -> Result<()> {
    let Some(t) = b.tensor("repeats") else {
        return match b.int("repeats") {
            Some(n) if !(0..=MOST).contains(&n) => Err(refuse(b, format!("`repeats` must be between 0 and {MOST}, got {n}"))),
            _ => Ok(()),
        };
    };
    let Some((low, high)) = range(t)? else { return Ok(()) };
    let most = MOST / (t.numel() as i64).max(1);
    if low < 0 || high > most {
        return Err(refuse(b, format!("`repeats` must be between 0 and {most}, got {low} to {high}")));
    }
    Ok(())
}
