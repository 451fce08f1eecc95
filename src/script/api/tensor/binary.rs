//! The tensor in scripts: functions of two tensors, comparisons, limits and products.

use crate::api;
use crate::error::{Error, Result};
use crate::script::lang::options::Named;
use crate::script::lang::value::TensorOrNumber;
use crate::torch::{DType, Tensor};

api! {
    methods Tensor;

    /// Cut to `[min, max]`; either may be missing (`()`), a number or a tensor, or given as an option.
    ///
    /// # Shapes
    /// - shapes broadcast
    /// # Errors
    /// `E0201` when shapes do not broadcast.
    /// # Example
    /// ```rhai
    /// let x = torch::tensor([-2.0, 0.5, 2.0]);
    /// assert_eq(x.clamp(-1, 1).to_array(), [-1.0, 0.5, 1.0]);
    /// assert_eq(x.clamp(#{min: 0}).to_array(), [0.0, 0.5, 2.0]);
    /// ```
    fn clamp(x: Tensor, min: Named<TensorOrNumber>, max: Named<TensorOrNumber>) -> Tensor { clamp(&x, min.0, max.0) }

    /// Sum, element by element, as `x + other`.
    ///
    /// # Shapes
    /// - shapes broadcast
    /// # Errors
    /// `E0201` when the shapes do not broadcast.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([1, 2]).add(2).to_array(), [3, 4]);
    /// ```
    fn add(x: Tensor, other: TensorOrNumber) -> Tensor { x.add(&other) }

    /// Difference.
    ///
    /// # Shapes
    /// - shapes broadcast
    /// # Errors
    /// `E0201` when the shapes do not broadcast.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([1, 2]).sub(2).to_array(), [-1, 0]);
    /// ```
    fn sub(x: Tensor, other: TensorOrNumber) -> Tensor { x.sub(&other) }

    /// Product, element by element.
    ///
    /// # Shapes
    /// - shapes broadcast
    /// # Errors
    /// `E0201` when the shapes do not broadcast.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([1, 2]).mul(2).to_array(), [2, 4]);
    /// ```
    fn mul(x: Tensor, other: TensorOrNumber) -> Tensor { x.mul(&other) }

    /// Quotient.
    ///
    /// # Shapes
    /// - shapes broadcast
    /// # Errors
    /// `E0201` when the shapes do not broadcast.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([1, 2]).div(2).to_array(), [0.5, 1.0]);
    /// ```
    fn div(x: Tensor, other: TensorOrNumber) -> Tensor { x.div(&other) }

    /// Power.
    ///
    /// # Shapes
    /// - shapes broadcast
    /// # Errors
    /// `E0201` when the shapes do not broadcast.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([1, 2]).pow(2).to_array(), [1, 4]);
    /// ```
    fn pow(x: Tensor, other: TensorOrNumber) -> Tensor { x.pow(&other) }

    /// Remainder with the divisor's sign.
    ///
    /// # Shapes
    /// - shapes broadcast
    /// # Errors
    /// `E0201` when the shapes do not broadcast.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([1, 2]).remainder(2).to_array(), [1, 0]);
    /// ```
    fn remainder(x: Tensor, other: TensorOrNumber) -> Tensor { x.remainder(&other) }

    /// The larger of both, element by element; NaN wins.
    ///
    /// # Shapes
    /// - shapes broadcast
    /// # Errors
    /// `E0201` when the shapes do not broadcast.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([1, 2]).maximum(2).to_array(), [2, 2]);
    /// ```
    fn maximum(x: Tensor, other: TensorOrNumber) -> Tensor { x.maximum(&other) }

    /// The smaller of both, element by element; NaN wins.
    ///
    /// # Shapes
    /// - shapes broadcast
    /// # Errors
    /// `E0201` when the shapes do not broadcast.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([1, 2]).minimum(1).to_array(), [1, 1]);
    /// ```
    fn minimum(x: Tensor, other: TensorOrNumber) -> Tensor { x.minimum(&other) }

    /// Bool tensor `x == other`.
    ///
    /// # Shapes
    /// - shapes broadcast
    /// # Errors
    /// `E0201` when the shapes do not broadcast.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([1, 2]).eq(2).to_array(), [false, true]);
    /// ```
    fn eq(x: Tensor, other: TensorOrNumber) -> Tensor { x.eq(&other) }

    /// Bool tensor `x != other`.
    ///
    /// # Shapes
    /// - shapes broadcast
    /// # Errors
    /// `E0201` when the shapes do not broadcast.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([1, 2]).ne(2).to_array(), [true, false]);
    /// ```
    fn ne(x: Tensor, other: TensorOrNumber) -> Tensor { x.ne(&other) }

    /// Bool tensor `x < other`.
    ///
    /// # Shapes
    /// - shapes broadcast
    /// # Errors
    /// `E0201` when the shapes do not broadcast.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([1, 2]).lt(2).to_array(), [true, false]);
    /// ```
    fn lt(x: Tensor, other: TensorOrNumber) -> Tensor { x.lt(&other) }

    /// Bool tensor `x <= other`.
    ///
    /// # Shapes
    /// - shapes broadcast
    /// # Errors
    /// `E0201` when the shapes do not broadcast.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([1, 2]).le(2).to_array(), [true, true]);
    /// ```
    fn le(x: Tensor, other: TensorOrNumber) -> Tensor { x.le(&other) }

    /// Bool tensor `x > other`.
    ///
    /// # Shapes
    /// - shapes broadcast
    /// # Errors
    /// `E0201` when the shapes do not broadcast.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([1, 2]).gt(1).to_array(), [false, true]);
    /// ```
    fn gt(x: Tensor, other: TensorOrNumber) -> Tensor { x.gt(&other) }

    /// Bool tensor `x >= other`.
    ///
    /// # Shapes
    /// - shapes broadcast
    /// # Errors
    /// `E0201` when the shapes do not broadcast.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([1, 2]).ge(1).to_array(), [true, true]);
    /// ```
    fn ge(x: Tensor, other: TensorOrNumber) -> Tensor { x.ge(&other) }

    /// The angle of the point `(other, x)`.
    ///
    /// # Shapes
    /// - shapes broadcast
    /// # Errors
    /// `E0201` when libtorch refuses the input.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([0.0]).atan2(torch::tensor([1.0])).item(), 0.0);
    /// ```
    fn atan2(x: Tensor, other: Tensor) -> Tensor { x.atan2(&other) }

    /// `x + weight * (end - x)`.
    ///
    /// # Shapes
    /// - shapes broadcast
    /// # Errors
    /// `E0201` when libtorch refuses the input.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::zeros([1]).lerp(torch::ones([1]), 0.25).item(), 0.25);
    /// ```
    fn lerp(x: Tensor, end: Tensor, weight: TensorOrNumber) -> Tensor {
        match weight {
            TensorOrNumber::Tensor(w) => x.lerp_tensor(&end, &w),
            TensorOrNumber::Int(w) => x.lerp(&end, w as f64),
            TensorOrNumber::Float(w) => x.lerp(&end, w),
        }
    }

    /// Bool tensor, true where the element is zero or false; also `!x`.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` when libtorch refuses the input.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([1, 0]).logical_not().to_array(), [false, true]);
    /// ```
    fn logical_not(x: Tensor) -> Tensor { x.logical_not() }

    /// Logical and of what is not zero: a bool tensor.
    ///
    /// # Shapes
    /// - shapes broadcast
    /// # Errors
    /// `E0201` when libtorch refuses the input.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([1, 1]).logical_and(torch::tensor([0, 2])).to_array(), [false, true]);
    /// ```
    fn logical_and(x: Tensor, other: Tensor) -> Tensor { x.to_dtype(DType::Bool)?.bitwise_and(&other.to_dtype(DType::Bool)?) }

    /// Logical or of what is not zero: a bool tensor.
    ///
    /// # Shapes
    /// - shapes broadcast
    /// # Errors
    /// `E0201` when libtorch refuses the input.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([1, 1]).logical_or(torch::tensor([0, 2])).to_array(), [true, true]);
    /// ```
    fn logical_or(x: Tensor, other: Tensor) -> Tensor { x.to_dtype(DType::Bool)?.bitwise_or(&other.to_dtype(DType::Bool)?) }

    /// Logical xor of what is not zero: a bool tensor.
    ///
    /// # Shapes
    /// - shapes broadcast
    /// # Errors
    /// `E0201` when libtorch refuses the input.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([1, 1]).logical_xor(torch::tensor([0, 2])).to_array(), [true, false]);
    /// ```
    fn logical_xor(x: Tensor, other: Tensor) -> Tensor { x.to_dtype(DType::Bool)?.bitwise_xor(&other.to_dtype(DType::Bool)?) }

    /// Matrix product, as `x @ other`.
    ///
    /// # Shapes
    /// - `[.., n, k]`, `[.., k, m]` -> `[.., n, m]`
    /// # Errors
    /// `E0201` when the inner sizes differ.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::ones([2, 3]).matmul(torch::ones([3, 4])).shape, [2, 4]);
    /// ```
    fn matmul(x: Tensor, other: Tensor) -> Tensor { x.matmul(&other) }

    /// Batched matrix product.
    ///
    /// # Shapes
    /// - `[B, n, k]`, `[B, k, m]` -> `[B, n, m]`
    /// # Errors
    /// `E0201` when the inner sizes differ.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::ones([5, 2, 3]).bmm(torch::ones([5, 3, 4])).shape, [5, 2, 4]);
    /// ```
    fn bmm(x: Tensor, other: Tensor) -> Tensor { x.matmul(&other) }

    /// Sum of the products of two vectors.
    ///
    /// # Shapes
    /// - `[n]`, `[n]` -> `[]`
    /// # Errors
    /// `E0201` when libtorch refuses the input.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([1.0, 2.0]).dot(torch::tensor([3.0, 4.0])).item(), 11.0);
    /// ```
    fn dot(x: Tensor, other: Tensor) -> Tensor { x.mul(&other)?.sum(&[], false) }
}

fn clamp(x: &Tensor, min: Option<TensorOrNumber>, max: Option<TensorOrNumber>) -> Result<Tensor> {
    use TensorOrNumber as N;
    let number = |n: &Option<N>| match n {
        Some(N::Int(i)) => Some(*i as f64),
        Some(N::Float(f)) => Some(*f),
        _ => None,
    };
    let int = |n: &Option<N>| match n {
        Some(N::Int(i)) => Some(*i),
        _ => None,
    };
    let is = |n: &Option<N>, f: fn(&N) -> bool| n.as_ref().is_none_or(f);
    let whole = |n: &Option<N>| is(n, |n| matches!(n, N::Int(_)));
    if min.is_none() && max.is_none() {
        return Err(Error::value("clamp", "at least one of `min` and `max` is needed"));
    }
    if !x.is_float() && whole(&min) && whole(&max) {
        return x.clamp_int(int(&min), int(&max));
    }
    if is(&min, |n| !matches!(n, N::Tensor(_))) && is(&max, |n| !matches!(n, N::Tensor(_))) {
        return x.clamp(number(&min), number(&max));
    }
    let y = min.map_or_else(|| Ok(x.clone()), |m| x.maximum(&m))?;
    max.map_or_else(|| Ok(y.clone()), |m| y.minimum(&m))
}
