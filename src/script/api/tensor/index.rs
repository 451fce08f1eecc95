//! The tensor in scripts: `x[..]` for reading and writing.

use crate::api;
use crate::error::{Error, Result};
use crate::script::lang::indices::{Index, Indices};
use crate::script::lang::value::{FromArg, TensorOrNumber, type_name};
use crate::torch::{Pick, Tensor};
use rhai::{Array, Dynamic};

api! {
    methods Tensor;

    /// An entry or part, as in PyTorch. For each dimension an int (negative counts from the end), a range or slice (`1..3`, `1..=3`, `-2..`, `1:3`,
    /// `:-1`, `::2`, `:`), an array of ints, an i64 tensor or a bool mask; `..` stands for all dimensions that are not named, `()` adds one of size 1.
    ///
    /// # Shapes
    /// - int: `[N, ..]` -> `[..]`
    /// - range, slice, array: `[N, ..]` -> `[n, ..]`
    /// - i64 tensor `[i]`: -> `[i, ..]`; bool mask over several dimensions: -> `[n, ..]`
    /// - several: `x[0, :, 1:3]`: `[N, C, W]` -> `[C, 2]`; `x[.., -1]`: `[.., W]` -> `[..]`; `x[(), ..]`: -> `[1, ..]`
    /// # Errors
    /// `E0201` for an index out of range, more indices than dimensions, a step below 1; `E0202` for an index of another type.
    /// # Example
    /// ```rhai
    /// let x = torch::tensor([[1, 2], [3, 4], [5, 6]]);
    /// assert_eq(x[-1].to_array(), [5, 6]);
    /// assert_eq(x[0..2].shape, [2, 2]);
    /// assert_eq(x[[2, 0]].to_array(), [[5, 6], [1, 2]]);
    /// assert_eq(x[x.gt(4)].to_array(), [5, 6]);
    /// assert_eq(x[2, 0].item(), 5);
    /// assert_eq(x[:, 1].to_array(), [2, 4, 6]);
    /// assert_eq(x[::2, .., ()].shape, [2, 2, 1]);
    /// ```
    fn get_at as "index$get$"(x: Tensor, index: Dynamic) -> Tensor {
        match At::read(&index)? {
            At::Entry(i) => x.select(0, i),
            At::Slice(a, b) => x.slice(0, a, b, 1),
            At::Places(t) => x.index(&t.to_device(x.device())?),
            At::Several(picks) => x.pick(&picks),
        }
    }

    /// Overwrites an entry or part, in place; indices as for reading.
    ///
    /// # Shapes
    /// - `value`: a number, or a tensor that broadcasts to the part
    /// # Errors
    /// `E0201` when the shapes do not broadcast, or for a leaf that records gradients outside `torch::no_grad`.
    /// # Example
    /// ```rhai
    /// let x = torch::zeros([3, 2]);
    /// x[0] = 5;
    /// x[1..3] = torch::ones([2]);
    /// assert_eq(x.to_array(), [[5.0, 5.0], [1.0, 1.0], [1.0, 1.0]]);
    /// x[1:, 0] += 2;
    /// x[x.eq(5)] = 0;
    /// assert_eq(x.to_array(), [[0.0, 0.0], [3.0, 1.0], [3.0, 1.0]]);
    /// ```
    fn set_at as "index$set$"(x: Tensor, index: Dynamic, value: Filling) -> () {
        x.put(&At::read(&index)?.picks(), &value.0)
    }
}

/// What is written into a part.
struct Filling(TensorOrNumber);

impl FromArg for Filling {
    const NAME: &'static str = "a tensor, a number or a bool";
    fn from_dynamic(d: &Dynamic) -> Option<Self> {
        TensorOrNumber::from_dynamic(d).or_else(|| d.as_bool().ok().map(|on| TensorOrNumber::Int(on.into()))).map(Filling)
    }
}

/// What stands in `x[..]`: the kinds that are met in loops by themselves.
enum At {
    Entry(i64),
    Slice(Option<i64>, Option<i64>),
    Places(Tensor),
    Several(Vec<Pick>),
}

impl At {
    fn read(index: &Dynamic) -> Result<At> {
        if let Some(i) = i64::from_dynamic(index) {
            return Ok(At::Entry(i));
        }
        if let Some((a, b)) = range(index) {
            return Ok(At::Slice(a, b));
        }
        if let Some(t) = Tensor::from_dynamic(index).filter(|t| t.rank() > 0) {
            return Ok(At::Places(t));
        }
        if let Some(list) = Vec::<i64>::from_dynamic(index) {
            return Ok(At::Places(Tensor::from_slice(&list)?));
        }
        match Indices::of(index).map_err(|e| Error::value("index", e))? {
            Some(list) => list.iter().map(pick).collect::<Result<_>>().map(At::Several),
            None => Ok(At::Several(vec![value(index)?])),
        }
    }

    fn picks(self) -> Vec<Pick> {
        match self {
            At::Entry(i) => vec![Pick::At(i)],
            At::Slice(a, b) => vec![Pick::Slice(a, b, 1)],
            At::Places(t) => vec![Pick::Places(t)],
            At::Several(picks) => picks,
        }
    }
}

/// A range of the language.
fn range(index: &Dynamic) -> Option<(Option<i64>, Option<i64>)> {
    if let Some(r) = index.read_lock::<std::ops::Range<i64>>() {
        return Some((Some(r.start), Some(r.end)));
    }
    let r = index.read_lock::<std::ops::RangeInclusive<i64>>()?;
    // `..=-1` ends with the last element, for which a half-open range has no number.
    Some((Some(*r.start()), if *r.end() == -1 { None } else { Some(r.end().saturating_add(1)) }))
}

fn pick(index: &Index) -> Result<Pick> {
    match index {
        Index::Rest => Ok(Pick::Rest),
        Index::Value(v) => value(v),
        Index::Slice(a, b, step) => Ok(Pick::Slice(bound(a)?, bound(b)?, bound(step)?.unwrap_or(1))),
    }
}

/// One index by itself.
fn value(v: &Dynamic) -> Result<Pick> {
    if v.is_unit() {
        return Ok(Pick::New);
    }
    if let Some(i) = i64::from_dynamic(v) {
        return Ok(Pick::At(i));
    }
    if let Ok(on) = v.as_bool() {
        return Tensor::from_slice(&[on])?.view(&[]).map(Pick::Places);
    }
    if let Some((a, b)) = range(v) {
        return Ok(Pick::Slice(a, b, 1));
    }
    if let Some(t) = Tensor::from_dynamic(v) {
        let is_entry = t.rank() == 0 && !t.is_float() && !matches!(crate::torch::dtype_name(t.dtype()), "bool" | "u8");
        return if is_entry { t.item().map(|i| Pick::At(i as i64)) } else { Ok(Pick::Places(t)) };
    }
    let of_bools = || v.read_lock::<Array>()?.iter().map(|b| b.as_bool().ok()).collect::<Option<Vec<bool>>>().filter(|l| !l.is_empty());
    if let Some(list) = of_bools() {
        return Tensor::from_slice(&list).map(Pick::Places);
    }
    if let Some(list) = Vec::<i64>::from_dynamic(v) {
        return Tensor::from_slice(&list).map(Pick::Places);
    }
    Err(Error::value("index", format!("an int, a range or slice, an array of ints, a tensor, `..` or `()` is needed, got {}", type_name(v)))
        .help("`x[2]`, `x[0, 1]`, `x[:, 1:3]`, `x[.., -1]`, `x[[3, 1]]`, `x[mask]`"))
}

/// A bound of a slice, or its step.
fn bound(v: &Dynamic) -> Result<Option<i64>> {
    if v.is_unit() {
        return Ok(None);
    }
    let of_tensor = || Tensor::from_dynamic(v).filter(|t| t.numel() == 1 && !t.is_float())?.item().ok().map(|i| i as i64);
    let int = i64::from_dynamic(v).or_else(of_tensor);
    int.map(Some).ok_or_else(|| Error::value("index", format!("the bounds and the step of a slice are ints, got {}", type_name(v))))
}
