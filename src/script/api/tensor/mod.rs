//! The tensor in scripts: what it is, and its gradient.
//!
//! The other files `tensor_*.rs` add conversions, indexing, operators, functions, reductions, shapes and changes in place.

pub mod binary;
pub mod convert;
pub mod in_place;
pub mod index;
pub mod math;
pub mod number;
pub mod operators;
pub mod reduce;
pub mod shape;

use crate::api;
use crate::script::lang::value::IntoScript;
use crate::torch::bridge::{Value, call};
use crate::torch::{Tensor, device_name, dtype_name};
use rhai::Dynamic;

api! {
    methods Tensor;

    /// The sizes of all dimensions.
    ///
    /// # Shapes
    /// - any shape
    /// # Errors
    /// None.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::zeros([2, 3]).shape, [2, 3]);
    /// ```
    fn shape as "get$shape"(x: Tensor) -> Vec<i64> { Ok(x.shape()) }

    /// The element type: `f32`, `f16`, `bf16`, `f64`, `i64`, `u8`, `bool`, ...
    ///
    /// # Shapes
    /// - any shape
    /// # Errors
    /// None.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::zeros([2]).dtype, "f32");
    /// ```
    fn dtype as "get$dtype"(x: Tensor) -> String { Ok(dtype_name(x.dtype()).to_owned()) }

    /// Where the data lies: `cpu`, `cuda:0`, ...
    ///
    /// # Shapes
    /// - any shape
    /// # Errors
    /// None.
    /// # Example
    /// ```rhai
    /// let x = torch::zeros([2]);
    /// assert_eq(x.device, torch::device());
    /// ```
    fn device as "get$device"(x: Tensor) -> String { Ok(device_name(x.device())) }

    /// Whether gradients are recorded for it.
    ///
    /// # Shapes
    /// - any shape
    /// # Errors
    /// None.
    /// # Example
    /// ```rhai
    /// assert(!torch::zeros([2]).requires_grad);
    /// ```
    fn requires_grad as "get$requires_grad"(x: Tensor) -> bool { Ok(x.requires_grad()) }

    /// Switches the recording of gradients, as `requires_grad_`.
    ///
    /// # Shapes
    /// - any shape
    /// # Errors
    /// `E0201` for a tensor that is not a float one.
    /// # Example
    /// ```rhai
    /// let w = torch::zeros([2]);
    /// w.requires_grad = true;
    /// assert(w.requires_grad);
    /// ```
    fn set_requires_grad as "set$requires_grad"(x: Tensor, on: bool) -> () { x.requires_grad_(on).map(drop) }

    /// The number of dimensions.
    ///
    /// # Shapes
    /// - any shape
    /// # Errors
    /// None.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::zeros([2, 3]).ndim, 2);
    /// ```
    fn ndim as "get$ndim"(x: Tensor) -> i64 { Ok(x.rank() as i64) }

    /// All dimensions in reverse order; the transpose of a matrix.
    ///
    /// # Shapes
    /// - `[a, .., z]` -> `[z, .., a]`
    /// # Errors
    /// `E0201` when libtorch refuses the input.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::zeros([2, 3]).T.shape, [3, 2]);
    /// ```
    fn transposed as "get$T"(x: Tensor) -> Tensor { x.reversed_dims() }

    /// The gradient that `backward` left, or `()`.
    ///
    /// # Shapes
    /// - any shape
    /// # Errors
    /// `E0201` when libtorch refuses the input.
    /// # Example
    /// ```rhai
    /// let w = torch::ones([2]).requires_grad_(true);
    /// (w * 3.0).sum().backward();
    /// assert_eq(w.grad.to_array(), [3.0, 3.0]);
    /// ```
    fn get_grad as "get$grad"(x: Tensor) -> Option<Tensor> { x.grad() }

    /// The gradient that `backward` left, or `()`; the same as `x.grad`.
    ///
    /// # Shapes
    /// - any shape
    /// # Errors
    /// `E0201` when libtorch refuses the input.
    /// # Example
    /// ```rhai
    /// let w = torch::ones([2]).requires_grad_(true);
    /// assert_eq(w.grad(), ());
    /// ```
    fn grad(x: Tensor) -> Option<Tensor> { x.grad() }

    /// The size of one dimension, or all sizes; negative dimensions count from the end.
    ///
    /// # Shapes
    /// - any shape
    /// # Errors
    /// `E0202` when there is no such dimension.
    /// # Example
    /// ```rhai
    /// let x = torch::zeros([2, 3]);
    /// assert_eq(x.size(-1), 3);
    /// assert_eq(x.size(), [2, 3]);
    /// ```
    fn size(x: Tensor, dim: Option<i64>) -> Dynamic {
        Ok(match dim {
            Some(d) => x.size(d)?.into(),
            None => x.shape().into_script(),
        })
    }

    /// The number of dimensions, as `x.ndim`.
    ///
    /// # Shapes
    /// - any shape
    /// # Errors
    /// None.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::zeros([2, 3]).dim(), 2);
    /// ```
    fn dim(x: Tensor) -> i64 { Ok(x.rank() as i64) }

    /// The number of elements.
    ///
    /// # Shapes
    /// - any shape
    /// # Errors
    /// None.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::zeros([2, 3]).numel(), 6);
    /// ```
    fn numel(x: Tensor) -> i64 { Ok(x.numel() as i64) }

    /// The size of the first dimension.
    ///
    /// # Shapes
    /// - any shape
    /// # Errors
    /// `E0202` for a tensor without dimensions.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::zeros([2, 3]).len(), 2);
    /// ```
    fn len(x: Tensor) -> i64 { x.size(0) }

    /// Whether no element is NaN or infinite.
    ///
    /// # Shapes
    /// - any shape
    /// # Errors
    /// `E0201` when libtorch refuses the input.
    /// # Example
    /// ```rhai
    /// assert(torch::ones([3]).is_finite());
    /// assert(!torch::tensor([0.0]).log().is_finite());
    /// ```
    fn is_finite(x: Tensor) -> bool { x.is_finite() }

    /// Whether the dtype is f16, bf16, f32 or f64.
    ///
    /// # Shapes
    /// - any shape
    /// # Errors
    /// None.
    /// # Example
    /// ```rhai
    /// assert(torch::ones([3]).is_floating_point());
    /// ```
    fn is_floating_point(x: Tensor) -> bool { Ok(x.is_float()) }

    /// Marks it as a leaf whose gradient is wanted, in place.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` for a tensor that is not a float one.
    /// # Example
    /// ```rhai
    /// assert(torch::ones([2]).requires_grad_().requires_grad);
    /// ```
    fn requires_grad_(x: Tensor, on: Option<bool>) -> Tensor { x.requires_grad_(on.unwrap_or(true)) }

    /// Gradients of this scalar (or, for a given `gradient` of the same shape, of their product) with respect to every leaf, added to their `grad`.
    ///
    /// # Shapes
    /// - one element, unless `gradient` is given
    /// # Errors
    /// `E0201` for more than one element, or when nothing was recorded.
    /// # Example
    /// ```rhai
    /// let w = torch::tensor([2.0]).requires_grad_();
    /// w.square().sum().backward();
    /// assert_eq(w.grad.item(), 4.0);
    /// ```
    fn backward(x: Tensor, gradient: Option<Tensor>;
        /// whether another pass through the same graph is possible
        retain_graph: bool = false,
        /// whether the gradients themselves are recorded
        create_graph: bool = false,
    ) -> () {
        if gradient.is_none() && !retain_graph && !create_graph {
            return x.backward();
        }
        call("_backward", &[(&x).into(), Value::List(Vec::new()), gradient.into(), (retain_graph || create_graph).into(), create_graph.into()], &[]).map(drop)
    }

    /// Sets the gradient to zero, if there is one.
    ///
    /// # Shapes
    /// - any shape
    /// # Errors
    /// `E0201` when libtorch refuses the input.
    /// # Example
    /// ```rhai
    /// let w = torch::tensor([2.0]).requires_grad_();
    /// w.sum().backward();
    /// w.zero_grad();
    /// assert_eq(w.grad.item(), 0.0);
    /// ```
    fn zero_grad(x: Tensor) -> () { x.zero_grad() }
}
