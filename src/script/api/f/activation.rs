//! Activations without options: functions of `F`, and methods of tensors.

use crate::api;
use crate::torch::Tensor;

/// The same functions for the receiver that `api!` is told in `head`.
macro_rules! activations {
    ($($head:tt)*) => { api! {
        $($head)*

        /// `max(x, 0)`.
        ///
        /// # Shapes
        /// - any shape -> the same shape
        /// # Errors
        /// `E0201` when libtorch refuses the input.
        /// # Example
        /// ```rhai
        /// assert_eq(F::relu(torch::tensor([-1.0, 2.0])).to_array(), [0.0, 2.0]);
        /// assert_eq(torch::tensor([-1.0, 2.0]).relu().to_array(), [0.0, 2.0]);
        /// ```
        fn relu(x: Tensor) -> Tensor { x.relu() }

        /// `x * sigmoid(x)`, also called swish.
        ///
        /// # Shapes
        /// - any shape -> the same shape
        /// # Errors
        /// `E0201` when libtorch refuses the input.
        /// # Example
        /// ```rhai
        /// assert_eq(F::silu(torch::tensor([0.0])).item(), 0.0);
        /// assert_eq(torch::tensor([0.0]).silu().to_array(), [0.0]);
        /// ```
        fn silu(x: Tensor) -> Tensor { x.silu() }

        /// Hyperbolic tangent.
        ///
        /// # Shapes
        /// - any shape -> the same shape
        /// # Errors
        /// `E0201` when libtorch refuses the input.
        /// # Example
        /// ```rhai
        /// assert_eq(F::tanh(torch::tensor([0.0])).item(), 0.0);
        /// assert_eq(torch::tensor([0.0]).tanh().to_array(), [0.0]);
        /// ```
        fn tanh(x: Tensor) -> Tensor { x.tanh() }

        /// `1 / (1 + e^-x)`.
        ///
        /// # Shapes
        /// - any shape -> the same shape
        /// # Errors
        /// `E0201` when libtorch refuses the input.
        /// # Example
        /// ```rhai
        /// assert_eq(F::sigmoid(torch::tensor([0.0])).item(), 0.5);
        /// assert_eq(torch::tensor([0.0]).sigmoid().to_array(), [0.5]);
        /// ```
        fn sigmoid(x: Tensor) -> Tensor { x.sigmoid() }

        /// `log(sigmoid(x))`, exact for large negative `x`.
        ///
        /// # Shapes
        /// - any shape -> the same shape
        /// # Errors
        /// `E0201` when libtorch refuses the input.
        /// # Example
        /// ```rhai
        /// assert_eq(F::logsigmoid(torch::tensor([-100.0])).item(), -100.0);
        /// assert_eq(torch::tensor([-100.0]).logsigmoid().to_array(), [-100.0]);
        /// ```
        fn logsigmoid(x: Tensor) -> Tensor { x.logsigmoid() }

        /// `x * tanh(softplus(x))`.
        ///
        /// # Shapes
        /// - any shape -> the same shape
        /// # Errors
        /// `E0201` when libtorch refuses the input.
        /// # Example
        /// ```rhai
        /// assert_eq(F::mish(torch::tensor([0.0])).item(), 0.0);
        /// assert_eq(torch::tensor([0.0]).mish().to_array(), [0.0]);
        /// ```
        fn mish(x: Tensor) -> Tensor { x.mish() }

        /// `x > 0 ? x : e^x - 1`.
        ///
        /// # Shapes
        /// - any shape -> the same shape
        /// # Errors
        /// `E0201` when libtorch refuses the input.
        /// # Example
        /// ```rhai
        /// assert_eq(F::elu(torch::tensor([2.0])).item(), 2.0);
        /// assert_eq(torch::tensor([2.0]).elu().to_array(), [2.0]);
        /// ```
        fn elu(x: Tensor) -> Tensor { x.elu() }

        /// Gated linear unit: the first half along `dim` times the sigmoid of the second.
        ///
        /// # Shapes
        /// - `[.., 2 n]` -> `[.., n]`
        /// # Errors
        /// `E0201` for an odd size.
        /// # Example
        /// ```rhai
        /// assert_eq(F::glu(torch::ones([2, 6])).shape, [2, 3]);
        /// assert_eq(torch::ones([2, 6]).glu().shape, [2, 3]);
        /// ```
        fn glu(x: Tensor, dim: Option<i64>) -> Tensor { x.glu(dim.unwrap_or(-1)) }
    } };
}

activations! { fn functions; namespace "F"; }
activations! { fn methods; methods Tensor; }
