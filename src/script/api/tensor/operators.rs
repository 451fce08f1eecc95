//! The tensor in scripts: operators, with tensors and numbers on either side.
//!
//! They follow PyTorch with one exception that the language needs: `==` and `!=` give one bool for the whole tensor
//! (`torch.equal`); `<`, `<=`, `>` and `>=` compare element by element, as do the methods `eq ne lt le gt ge`.
//! `x += y` makes a new tensor and rebinds `x`; `x.add_(y)` changes the storage.

use crate::api;
use crate::error::{Error, Result};
use crate::script::lang::value::{FromArg, TensorOrNumber};
use crate::torch::Tensor;
use rhai::Dynamic;

api! {
    methods Tensor;

    /// Matrix product `x @ y`.
    ///
    /// # Shapes
    /// - `[.., n, k]`, `[.., k, m]` -> `[.., n, m]`
    /// # Errors
    /// `E0201` when the inner sizes differ.
    /// # Example
    /// ```rhai
    /// assert_eq((torch::ones([2, 3]) @ torch::ones([3, 4])).shape, [2, 4]);
    /// ```
    fn matmul_op as "@"(x: Tensor, y: Tensor) -> Tensor { x.matmul(&y) }

    /// Sum, element by element.
    ///
    /// # Shapes
    /// - shapes broadcast
    /// # Errors
    /// `E0201` when the shapes do not broadcast.
    /// # Example
    /// ```rhai
    /// assert_eq((torch::tensor([6, 7]) + 2).to_array(), [8, 9]);
    /// ```
    fn op_add as "+"(x: Tensor, other: TensorOrNumber) -> Tensor { x.add(&other) }

    /// Difference, element by element.
    ///
    /// # Shapes
    /// - shapes broadcast
    /// # Errors
    /// `E0201` when the shapes do not broadcast.
    /// # Example
    /// ```rhai
    /// assert_eq((torch::tensor([6, 7]) - 2).to_array(), [4, 5]);
    /// ```
    fn op_sub as "-"(x: Tensor, other: TensorOrNumber) -> Tensor { x.sub(&other) }

    /// Product, element by element.
    ///
    /// # Shapes
    /// - shapes broadcast
    /// # Errors
    /// `E0201` when the shapes do not broadcast.
    /// # Example
    /// ```rhai
    /// assert_eq((torch::tensor([6, 7]) * 2).to_array(), [12, 14]);
    /// ```
    fn op_mul as "*"(x: Tensor, other: TensorOrNumber) -> Tensor { x.mul(&other) }

    /// Quotient, element by element; ints give f32.
    ///
    /// # Shapes
    /// - shapes broadcast
    /// # Errors
    /// `E0201` when the shapes do not broadcast.
    /// # Example
    /// ```rhai
    /// assert_eq((torch::tensor([6, 7]) / 2).to_array(), [3.0, 3.5]);
    /// ```
    fn op_div as "/"(x: Tensor, other: TensorOrNumber) -> Tensor { x.div(&other) }

    /// Remainder with the divisor's sign, as in Python.
    ///
    /// # Shapes
    /// - shapes broadcast
    /// # Errors
    /// `E0201` when the shapes do not broadcast.
    /// # Example
    /// ```rhai
    /// assert_eq((torch::tensor([-7, 7]) % 3).to_array(), [2, 1]);
    /// ```
    fn op_remainder as "%"(x: Tensor, other: TensorOrNumber) -> Tensor { x.remainder(&other) }

    /// Power, element by element.
    ///
    /// # Shapes
    /// - shapes broadcast
    /// # Errors
    /// `E0201` when the shapes do not broadcast.
    /// # Example
    /// ```rhai
    /// assert_eq((torch::tensor([6, 7]) ** 2).to_array(), [36, 49]);
    /// ```
    fn op_pow as "**"(x: Tensor, other: TensorOrNumber) -> Tensor { x.pow(&other) }

    /// The negative of every element.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` when libtorch refuses the input.
    /// # Example
    /// ```rhai
    /// assert_eq((-torch::tensor([1, -2])).to_array(), [-1, 2]);
    /// ```
    fn op_neg as "-"(x: Tensor) -> Tensor { x.neg() }

    /// And; logical for bool tensors.
    ///
    /// # Shapes
    /// - shapes broadcast
    /// # Errors
    /// `E0201` for float tensors.
    /// # Example
    /// ```rhai
    /// let x = torch::tensor([1, 2, 3]);
    /// assert_eq((x.gt(1) & x.lt(3)).to_array(), [false, true, false]);
    /// ```
    fn op_bitwise_and as "&"(x: Tensor, other: TensorOrNumber) -> Tensor { x.bitwise_and(&other) }

    /// Or; logical for bool tensors.
    ///
    /// # Shapes
    /// - shapes broadcast
    /// # Errors
    /// `E0201` for float tensors.
    /// # Example
    /// ```rhai
    /// let x = torch::tensor([1, 2, 3]);
    /// assert_eq((x.lt(2) | x.gt(2)).to_array(), [true, false, true]);
    /// ```
    fn op_bitwise_or as "|"(x: Tensor, other: TensorOrNumber) -> Tensor { x.bitwise_or(&other) }

    /// Exclusive or; logical for bool tensors.
    ///
    /// # Shapes
    /// - shapes broadcast
    /// # Errors
    /// `E0201` for float tensors.
    /// # Example
    /// ```rhai
    /// let x = torch::tensor([1, 2, 3]);
    /// assert_eq((x ^ 1).to_array(), [0, 3, 2]);
    /// ```
    fn op_bitwise_xor as "^"(x: Tensor, other: TensorOrNumber) -> Tensor { x.bitwise_xor(&other) }

    /// Bool tensor, true where the element is zero or false.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` when libtorch refuses the input.
    /// # Example
    /// ```rhai
    /// assert_eq((!torch::tensor([1, 0])).to_array(), [false, true]);
    /// ```
    fn op_not as "!"(x: Tensor) -> Tensor { x.logical_not() }

    /// Whether both have the same shape and equal elements, as `torch.equal`: a single bool, since `if`, `switch` and `contains` need one. Element
    /// by element it is `x.eq(y)`.
    ///
    /// # Shapes
    /// - any shapes -> one bool
    /// # Errors
    /// `E0202` when a tensor of more than one element is compared with a number.
    /// # Example
    /// ```rhai
    /// let x = torch::tensor([1, 2]);
    /// assert(x == torch::tensor([1, 2]));
    /// assert(!(x == torch::tensor([1, 3])));
    /// assert_eq(x.eq(1).to_array(), [true, false]);
    /// assert(torch::tensor([3.0]).sum() == 3);
    /// ```
    fn op_eq as "=="(x: Tensor, other: Dynamic) -> bool { equal(&x, &other) }

    /// The opposite of `==`: a single bool. Element by element it is `x.ne(y)`.
    ///
    /// # Shapes
    /// - any shapes -> one bool
    /// # Errors
    /// `E0202` when a tensor of more than one element is compared with a number.
    /// # Example
    /// ```rhai
    /// assert(torch::tensor([1, 2]) != torch::tensor([1, 3]));
    /// ```
    fn op_ne as "!="(x: Tensor, other: Dynamic) -> bool { equal(&x, &other).map(|e| !e) }

    /// Bool tensor, element by element, as `x.lt(y)`. For an `if`, read the number: `x.item() < y`.
    ///
    /// # Shapes
    /// - shapes broadcast
    /// # Errors
    /// `E0201` when the shapes do not broadcast.
    /// # Example
    /// ```rhai
    /// assert_eq((torch::tensor([1, 2, 3]) < 2).to_array(), [true, false, false]);
    /// ```
    fn op_lt as "<"(x: Tensor, other: TensorOrNumber) -> Tensor { x.lt(&other) }

    /// Bool tensor, element by element, as `x.le(y)`. For an `if`, read the number: `x.item() <= y`.
    ///
    /// # Shapes
    /// - shapes broadcast
    /// # Errors
    /// `E0201` when the shapes do not broadcast.
    /// # Example
    /// ```rhai
    /// assert_eq((torch::tensor([1, 2, 3]) <= 2).to_array(), [true, true, false]);
    /// ```
    fn op_le as "<="(x: Tensor, other: TensorOrNumber) -> Tensor { x.le(&other) }

    /// Bool tensor, element by element, as `x.gt(y)`. For an `if`, read the number: `x.item() > y`.
    ///
    /// # Shapes
    /// - shapes broadcast
    /// # Errors
    /// `E0201` when the shapes do not broadcast.
    /// # Example
    /// ```rhai
    /// assert_eq((torch::tensor([1, 2, 3]) > 2).to_array(), [false, false, true]);
    /// ```
    fn op_gt as ">"(x: Tensor, other: TensorOrNumber) -> Tensor { x.gt(&other) }

    /// Bool tensor, element by element, as `x.ge(y)`. For an `if`, read the number: `x.item() >= y`.
    ///
    /// # Shapes
    /// - shapes broadcast
    /// # Errors
    /// `E0201` when the shapes do not broadcast.
    /// # Example
    /// ```rhai
    /// assert_eq((torch::tensor([1, 2, 3]) >= 2).to_array(), [false, true, true]);
    /// ```
    fn op_ge as ">="(x: Tensor, other: TensorOrNumber) -> Tensor { x.ge(&other) }
}

/// One bool for the whole comparison: see `==`.
pub(crate) fn equal(x: &Tensor, other: &Dynamic) -> Result<bool> {
    let all = |mask: Tensor| Ok(mask.all(&[], false)?.item()? != 0.0);
    match TensorOrNumber::from_dynamic(other) {
        None => Ok(false),
        Some(TensorOrNumber::Tensor(y)) => {
            if x.shape() != y.shape() || x.device() != y.device() {
                return Ok(false);
            }
            all(x.eq(&y)?)
        }
        Some(number) if x.numel() == 1 => all(x.eq(&number)?),
        Some(_) => Err(Error::value("==", format!("a tensor {} cannot be compared with a number as a whole", x.describe()))
            .help("`x.eq(3)` compares element by element; `x.eq(3).all().item()` asks for all of them")),
    }
}
