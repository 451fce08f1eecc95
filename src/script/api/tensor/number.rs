//! Operators with a number on the left of a tensor. The documentation of each is that of the tensor's own operator.

use crate::api;
use crate::script::api::tensor::operators::equal;
use crate::torch::Tensor;

/// The operators of one type of numbers.
macro_rules! operators {
    ($list:ident, $number:ident) => {
        api! {
            fn $list;
            methods $number;

            /// A number plus a tensor.
            ///
            /// # Shapes
            /// - `other`: any shape -> the same shape
            /// # Errors
            /// `E0201` when libtorch refuses the input.
            /// # Example
            /// ```rhai
            /// assert_eq((2 + torch::tensor([1.0, 4.0])).to_array(), [3.0, 6.0]);
            /// assert_eq((2.0 + torch::tensor([1.0, 4.0])).to_array(), [3.0, 6.0]);
            /// ```
            fn num_add as "+"(x: $number, other: Tensor) -> Tensor { other.add(x) }

            /// A number minus a tensor.
            ///
            /// # Shapes
            /// - `other`: any shape -> the same shape
            /// # Errors
            /// `E0201` when libtorch refuses the input.
            /// # Example
            /// ```rhai
            /// assert_eq((2 - torch::tensor([1.0, 4.0])).to_array(), [1.0, -2.0]);
            /// assert_eq((2.0 - torch::tensor([1.0, 4.0])).to_array(), [1.0, -2.0]);
            /// ```
            fn num_sub as "-"(x: $number, other: Tensor) -> Tensor { other.rsub(x) }

            /// A number times a tensor.
            ///
            /// # Shapes
            /// - `other`: any shape -> the same shape
            /// # Errors
            /// `E0201` when libtorch refuses the input.
            /// # Example
            /// ```rhai
            /// assert_eq((2 * torch::tensor([1.0, 4.0])).to_array(), [2.0, 8.0]);
            /// assert_eq((2.0 * torch::tensor([1.0, 4.0])).to_array(), [2.0, 8.0]);
            /// ```
            fn num_mul as "*"(x: $number, other: Tensor) -> Tensor { other.mul(x) }

            /// A number divided by a tensor.
            ///
            /// # Shapes
            /// - `other`: any shape -> the same shape
            /// # Errors
            /// `E0201` when libtorch refuses the input.
            /// # Example
            /// ```rhai
            /// assert_eq((2 / torch::tensor([1.0, 4.0])).to_array(), [2.0, 0.5]);
            /// assert_eq((2.0 / torch::tensor([1.0, 4.0])).to_array(), [2.0, 0.5]);
            /// ```
            fn num_div as "/"(x: $number, other: Tensor) -> Tensor { other.reciprocal()?.mul(x) }

            /// Remainder of a number by a tensor, with the divisor's sign.
            ///
            /// # Shapes
            /// - `other`: any shape -> the same shape
            /// # Errors
            /// `E0201` when libtorch refuses the input.
            /// # Example
            /// ```rhai
            /// assert_eq((2 % torch::tensor([1.0, 4.0])).to_array(), [0.0, 2.0]);
            /// assert_eq((2.0 % torch::tensor([1.0, 4.0])).to_array(), [0.0, 2.0]);
            /// ```
            fn num_rem as "%"(x: $number, other: Tensor) -> Tensor { other.rremainder(x) }

            /// A number to the power of a tensor.
            ///
            /// # Shapes
            /// - `other`: any shape -> the same shape
            /// # Errors
            /// `E0201` when libtorch refuses the input.
            /// # Example
            /// ```rhai
            /// assert_eq((2 ** torch::tensor([1.0, 4.0])).to_array(), [2.0, 16.0]);
            /// assert_eq((2.0 ** torch::tensor([1.0, 4.0])).to_array(), [2.0, 16.0]);
            /// ```
            fn num_pow as "**"(x: $number, other: Tensor) -> Tensor { other.rpow(x) }

            /// Whether a tensor of one element equals a number.
            ///
            /// # Shapes
            /// - any shape -> one bool
            /// # Errors
            /// `E0202` for a tensor of more than one element.
            /// # Example
            /// ```rhai
            /// assert_eq(2 == torch::tensor([2.0]), true);
            /// assert_eq(2.0 == torch::tensor([2.0]), true);
            /// ```
            fn num_eq as "=="(x: $number, other: Tensor) -> bool { equal(&other, &x.into()) }

            /// Whether a tensor of one element differs from a number.
            ///
            /// # Shapes
            /// - any shape -> one bool
            /// # Errors
            /// `E0202` for a tensor of more than one element.
            /// # Example
            /// ```rhai
            /// assert_eq(2 != torch::tensor([2.0]), false);
            /// assert_eq(2.0 != torch::tensor([2.0]), false);
            /// ```
            fn num_ne as "!="(x: $number, other: Tensor) -> bool { equal(&other, &x.into()).map(|e| !e) }

            /// A number compared with each element: a bool tensor.
            ///
            /// # Shapes
            /// - `other`: any shape -> the same shape
            /// # Errors
            /// `E0201` when libtorch refuses the input.
            /// # Example
            /// ```rhai
            /// assert_eq((2 < torch::tensor([1.0, 4.0])).to_array(), [false, true]);
            /// assert_eq((2.0 < torch::tensor([1.0, 4.0])).to_array(), [false, true]);
            /// ```
            fn num_lt as "<"(x: $number, other: Tensor) -> Tensor { other.gt(x) }

            /// A number compared with each element: a bool tensor.
            ///
            /// # Shapes
            /// - `other`: any shape -> the same shape
            /// # Errors
            /// `E0201` when libtorch refuses the input.
            /// # Example
            /// ```rhai
            /// assert_eq((2 <= torch::tensor([1.0, 4.0])).to_array(), [false, true]);
            /// assert_eq((2.0 <= torch::tensor([1.0, 4.0])).to_array(), [false, true]);
            /// ```
            fn num_le as "<="(x: $number, other: Tensor) -> Tensor { other.ge(x) }

            /// A number compared with each element: a bool tensor.
            ///
            /// # Shapes
            /// - `other`: any shape -> the same shape
            /// # Errors
            /// `E0201` when libtorch refuses the input.
            /// # Example
            /// ```rhai
            /// assert_eq((2 > torch::tensor([1.0, 4.0])).to_array(), [true, false]);
            /// assert_eq((2.0 > torch::tensor([1.0, 4.0])).to_array(), [true, false]);
            /// ```
            fn num_gt as ">"(x: $number, other: Tensor) -> Tensor { other.lt(x) }

            /// A number compared with each element: a bool tensor.
            ///
            /// # Shapes
            /// - `other`: any shape -> the same shape
            /// # Errors
            /// `E0201` when libtorch refuses the input.
            /// # Example
            /// ```rhai
            /// assert_eq((2 >= torch::tensor([1.0, 4.0])).to_array(), [true, false]);
            /// assert_eq((2.0 >= torch::tensor([1.0, 4.0])).to_array(), [true, false]);
            /// ```
            fn num_ge as ">="(x: $number, other: Tensor) -> Tensor { other.le(x) }
        }
    };
}

operators!(with_int, i64);
operators!(with_float, f64);
