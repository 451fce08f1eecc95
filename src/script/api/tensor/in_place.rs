//! The tensor in scripts: changes of the storage itself, seen by everything that shares it.

use crate::api;
use crate::script::lang::value::TensorOrNumber;
use crate::torch::{Number, Tensor};

api! {
    methods Tensor;

    /// Adds in place.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` when the shapes do not broadcast, or for a leaf that records gradients outside `torch::no_grad`.
    /// # Example
    /// ```rhai
    /// let x = torch::ones([2]);
    /// x.add_(2);
    /// assert_eq(x.to_array(), [3.0, 3.0]);
    /// ```
    fn add_(x: Tensor, other: TensorOrNumber) -> Tensor { x.add_(&other) }

    /// Subtracts in place.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` when the shapes do not broadcast, or for a leaf that records gradients outside `torch::no_grad`.
    /// # Example
    /// ```rhai
    /// let x = torch::ones([2]);
    /// x.sub_(2);
    /// assert_eq(x.to_array(), [-1.0, -1.0]);
    /// ```
    fn sub_(x: Tensor, other: TensorOrNumber) -> Tensor { x.sub_(&other) }

    /// Multiplies in place.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` when the shapes do not broadcast, or for a leaf that records gradients outside `torch::no_grad`.
    /// # Example
    /// ```rhai
    /// let x = torch::ones([2]);
    /// x.mul_(2);
    /// assert_eq(x.to_array(), [2.0, 2.0]);
    /// ```
    fn mul_(x: Tensor, other: TensorOrNumber) -> Tensor { x.mul_(&other) }

    /// Divides in place.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` when the shapes do not broadcast, or for a leaf that records gradients outside `torch::no_grad`.
    /// # Example
    /// ```rhai
    /// let x = torch::ones([2]);
    /// x.div_(2);
    /// assert_eq(x.to_array(), [0.5, 0.5]);
    /// ```
    fn div_(x: Tensor, other: TensorOrNumber) -> Tensor { x.div_(&other) }

    /// Overwrites the elements with those of `src`, converting dtype and device; shapes broadcast.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` when the shapes do not broadcast, or for a leaf that records gradients outside `torch::no_grad`.
    /// # Example
    /// ```rhai
    /// let x = torch::zeros([2]);
    /// x.copy_(torch::tensor([1, 2]));
    /// assert_eq(x.to_array(), [1.0, 2.0]);
    /// ```
    fn copy_(x: Tensor, src: Tensor) -> Tensor { x.copy_(&src) }

    /// Sets every element to `value`.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` when the shapes do not broadcast, or for a leaf that records gradients outside `torch::no_grad`.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::zeros([2]).fill_(7).to_array(), [7.0, 7.0]);
    /// ```
    fn fill_(x: Tensor, value: Number) -> Tensor { x.fill_(value) }

    /// Sets every element to zero.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` when the shapes do not broadcast, or for a leaf that records gradients outside `torch::no_grad`.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::ones([2]).zero_().to_array(), [0.0, 0.0]);
    /// ```
    fn zero_(x: Tensor) -> Tensor { x.zero_() }

    /// `x + weight * (end - x)` in place.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` when the shapes do not broadcast, or for a leaf that records gradients outside `torch::no_grad`.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::zeros([1]).lerp_(torch::ones([1]), 0.25).item(), 0.25);
    /// ```
    fn lerp_(x: Tensor, end: Tensor, weight: f64) -> Tensor { x.lerp_(&end, weight) }

    /// Cuts every element to `[min, max]` in place.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` when the shapes do not broadcast, or for a leaf that records gradients outside `torch::no_grad`.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([-2.0, 2.0]).clamp_(-1, 1).to_array(), [-1.0, 1.0]);
    /// ```
    fn clamp_(x: Tensor, min: f64, max: f64) -> Tensor { x.clamp_(min, max) }

    /// Sets the elements where `mask` is true, in place.
    ///
    /// # Shapes
    /// - `mask`: bool, broadcasts to `x`
    /// # Errors
    /// `E0201` when the shapes do not broadcast, or for a leaf that records gradients outside `torch::no_grad`.
    /// # Example
    /// ```rhai
    /// let x = torch::tensor([1.0, -1.0]);
    /// x.masked_fill_(x.lt(0), 0);
    /// assert_eq(x.to_array(), [1.0, 0.0]);
    /// ```
    fn masked_fill_(x: Tensor, mask: Tensor, value: TensorOrNumber) -> Tensor { x.masked_fill_(&mask, &value) }

    /// Draws every element from N(mean, std), in place.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` when the shapes do not broadcast, or for a leaf that records gradients outside `torch::no_grad`.
    /// # Example
    /// ```rhai
    /// torch::zeros([2]).normal_(0, 0.02);
    /// ```
    fn normal_(x: Tensor, mean: Option<f64>, std: Option<f64>) -> Tensor { x.normal_(mean.unwrap_or(0.0), std.unwrap_or(1.0)) }

    /// Draws every element from U(from, to), in place.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` when the shapes do not broadcast, or for a leaf that records gradients outside `torch::no_grad`.
    /// # Example
    /// ```rhai
    /// torch::zeros([2]).uniform_(-1, 1);
    /// ```
    fn uniform_(x: Tensor, from: Option<f64>, to: Option<f64>) -> Tensor { x.uniform_(from.unwrap_or(0.0), to.unwrap_or(1.0)) }

    /// Makes every element 1 with probability `p`, else 0, in place.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` when the shapes do not broadcast, or for a leaf that records gradients outside `torch::no_grad`.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::zeros([2]).bernoulli_(1.0).to_array(), [1.0, 1.0]);
    /// ```
    fn bernoulli_(x: Tensor, p: f64) -> Tensor { x.bernoulli_(p) }
}
