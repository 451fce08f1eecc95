//! Integers that the processor traps on, or that overflow.

use super::{Bound, named, range, refuse};
use crate::error::Result;
use crate::torch::bridge::{self, Value, call1};
use crate::torch::{DType, parse_dtype};

/// Operators that divide integers.
pub(super) const DIVISIONS: &[&str] =
    &["div", "div_", "divide", "divide_", "floor_divide", "floor_divide_", "fmod", "fmod_", "remainder", "remainder_", "__ifloordiv__"];

fn least(dtype: DType) -> Option<i64> {
    match dtype {
        DType::Int64 => Some(i64::MIN),
        DType::Int => Some(i32::MIN.into()),
        DType::Int16 => Some(i16::MIN.into()),
        DType::Int8 => Some(i8::MIN.into()),
        _ => None,
    }
}

/// The least integer divided by -1 is no integer: the processor ends the process. What counts is the type that both are converted to.
pub(super) fn least_by_minus_one(b: &Bound) -> Result<()> {
    let (Some(a), Some(d)) = (b.get("self"), b.get("other")) else { return Ok(()) };
    let is_true_division = b.op().starts_with("div") && b.get("rounding_mode").is_none();
    let is_integral = |v: &Value| match v {
        Value::Int(_) | Value::Bool(_) => true,
        Value::Tensor(t) => least(t.dtype()).is_some() || matches!(t.dtype(), DType::Bool | DType::Uint8),
        _ => false,
    };
    if is_true_division || !is_integral(a) || !is_integral(d) {
        return Ok(());
    }
    // libtorch's numbers of its types.
    let common = match bridge::call("result_type", &[a.clone(), d.clone()], &[])?.first() {
        Some(Value::Int(3)) => DType::Int,
        Some(Value::Int(4)) => DType::Int64,
        _ => return Ok(()),
    };
    let (smallest, minus_one) = (least(common).unwrap_or(i64::MIN), -1);
    if holds_as(d, common, minus_one)? && holds_as(a, common, smallest)? {
        return Err(refuse(b, "the least integer cannot be divided by -1: the result is no integer"));
    }
    Ok(())
}

/// Whether a number stands in a tensor, or is the value, once converted to `dtype`.
fn holds_as(value: &Value, dtype: DType, wanted: i64) -> Result<bool> {
    match value {
        Value::Int(i) if dtype == DType::Int => Ok(i64::from(*i as i32) == wanted),
        Value::Int(i) => Ok(*i == wanted),
        Value::Tensor(t) => Ok(t.numel() > 0 && call1("any", &[t.to_dtype(dtype)?.eq(wanted)?.into()], &[])?.item()? != 0.0),
        _ => Ok(false),
    }
}

/// Numbers beyond which the count of what lies between two is no integer.
const FAR: f64 = (1i64 << 61) as f64;

/// Where a range of integers begins and ends, and its step, which libtorch cuts to an integer before it divides by it.
pub(super) fn range_of_integers(b: &Bound) -> Result<()> {
    let integers = b.text("dtype").and_then(|t| parse_dtype(t).ok()).is_some_and(|t| least(t).is_some() || matches!(t, DType::Uint8 | DType::Bool));
    if let Some(step) = b.number("step")
        && integers
        && step.abs() < 1.0
    {
        return Err(refuse(b, format!("`step` must be at least 1, or at most -1, for integers, got {step}")));
    }
    for name in ["start", "end", "step"] {
        if let Some(x) = b.number(name)
            && x.abs() > FAR
        {
            return Err(refuse(b, format!("`{name}` must be within 2^61 of 0, got {x}")));
        }
    }
    Ok(())
}

/// The least integer has no positive counterpart.
pub(super) fn no_least(b: &Bound) -> Result<()> {
    for name in ["self", "other"] {
        let Some(v) = b.get(name) else { continue };
        let dtype = if let Value::Tensor(t) = v { t.dtype() } else { DType::Int64 };
        if let Some(smallest) = least(dtype)
            && holds_as(v, dtype, smallest)?
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

/// Places in a picture, which is from -1 to 1, are made integers before they are held against its sides.
pub(super) fn places(b: &Bound) -> Result<()> {
    let Some(grid) = b.tensor("grid").filter(|t| t.numel() > 0) else { return Ok(()) };
    let near = call1("abs", &[grid.into()], &[])?.lt(named::WIDEST)?;
    if call1("all", &[near.into()], &[])?.item()? == 0.0 {
        return Err(refuse(b, format!("`grid` has places that are not finite, or further than {} outside", named::WIDEST)));
    }
    Ok(())
}
