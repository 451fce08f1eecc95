//! The tensor in scripts: `x[..]` for reading and writing.

use crate::api;
use crate::error::{Error, Result};
use crate::script::lang::value::{FromArg, TensorOrNumber, type_name};
use crate::torch::{Operand, Tensor};
use rhai::Dynamic;

api! {
    methods Tensor;

    /// An entry or part of the first dimension: by an int (negative counts from the end), a range (`1..3`, `1..=3`, `-2..`, `0..-1`), an array of
    /// ints, an i64 tensor or a bool mask.
    ///
    /// # Shapes
    /// - int: `[N, ..]` -> `[..]`
    /// - range, array: `[N, ..]` -> `[n, ..]`
    /// - i64 tensor `[i]`: -> `[i, ..]`; bool mask of the leading dimensions: -> `[n, ..]`
    /// # Errors
    /// `E0201` when the index is out of range, `E0202` for an index of another type.
    /// # Example
    /// ```rhai
    /// let x = torch::tensor([[1, 2], [3, 4], [5, 6]]);
    /// assert_eq(x[-1].to_array(), [5, 6]);
    /// assert_eq(x[0..2].shape, [2, 2]);
    /// assert_eq(x[[2, 0]].to_array(), [[5, 6], [1, 2]]);
    /// assert_eq(x[x.gt(4)].to_array(), [5, 6]);
    /// ```
    fn get_at as "index$get$"(x: Tensor, index: Dynamic) -> Tensor { Pick::read(&index)?.of(&x) }

    /// Overwrites an entry or part of the first dimension, in place; indices as for reading.
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
    /// ```
    fn set_at as "index$set$"(x: Tensor, index: Dynamic, value: TensorOrNumber) -> () { Pick::read(&index)?.set(&x, &value) }
}

/// What stands in `x[..]`.
enum Pick {
    At(i64),
    Slice(Option<i64>, Option<i64>),
    Places(Tensor),
}

impl Pick {
    fn read(index: &Dynamic) -> Result<Pick> {
        if let Some(i) = i64::from_dynamic(index) {
            return Ok(Pick::At(i));
        }
        if let Some(r) = index.read_lock::<std::ops::Range<i64>>() {
            return Ok(Pick::Slice(Some(r.start), Some(r.end)));
        }
        if let Some(r) = index.read_lock::<std::ops::RangeInclusive<i64>>() {
            // `..=-1` ends with the last element, for which a half-open range has no number.
            let end = if *r.end() == -1 { None } else { Some(r.end().saturating_add(1)) };
            return Ok(Pick::Slice(Some(*r.start()), end));
        }
        if let Some(t) = Tensor::from_dynamic(index) {
            return Ok(Pick::Places(t));
        }
        if let Some(list) = Vec::<i64>::from_dynamic(index) {
            return Ok(Pick::Places(Tensor::from_slice(&list)?));
        }
        Err(Error::value("index", format!("an int, a range, an array of ints or a tensor is needed, got {}", type_name(index)))
            .help("`x[2]`, `x[0..8]`, `x[[3, 1]]`, `x[mask]`; other dimensions with `x.select(dim, i)`, `x.slice(dim, a, b)`"))
    }

    fn of(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Pick::At(i) => x.select(0, *i),
            Pick::Slice(a, b) => x.slice(0, *a, *b, 1),
            Pick::Places(t) => x.index(&t.to_device(x.device())?),
        }
    }

    fn set(&self, x: &Tensor, value: &TensorOrNumber) -> Result<()> {
        if let Pick::Places(t) = self {
            let value = match Operand::from(value) {
                Operand::Tensor(v) => v.to_device(x.device())?.to_dtype(x.dtype())?,
                Operand::Float(v) => Tensor::full(&[], v, x.dtype(), x.device())?,
                Operand::Int(v) => Tensor::from_slice(&[v])?.to_dtype(x.dtype())?.to_device(x.device())?.view(&[])?,
            };
            return x.index_put_(&t.to_device(x.device())?, &value).map(drop);
        }
        let part = self.of(x)?;
        match value {
            // The engine writes `x[0]` back after `x[0].add_(1)`: nothing is left to do then.
            TensorOrNumber::Tensor(v) if v.is_same(&part) => Ok(()),
            TensorOrNumber::Tensor(v) => part.copy_(v).map(drop),
            TensorOrNumber::Int(v) => part.fill_(*v as f64).map(drop),
            TensorOrNumber::Float(v) => part.fill_(*v).map(drop),
        }
    }
}
