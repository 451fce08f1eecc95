//! `F::`, functional operations.

use crate::api;
use crate::torch::Tensor;

api! {
    namespace "F";

    /// Affine map `x @ weight.t() + bias`.
    ///
    /// # Shapes
    /// - `x`: `[.., in]`, `weight`: `[out, in]`, `bias`: `[out]` -> `[.., out]`
    /// # Errors
    /// `E0201` when the sizes do not fit.
    /// # Example
    /// ```rhai
    /// let y = F::linear(torch::ones([2, 3]), torch::ones([4, 3]));
    /// assert_eq(y.shape, [2, 4]);
    /// ```
    fn linear(x: Tensor, weight: Tensor, bias: Option<Tensor>) -> Tensor { x.linear(&weight, bias.as_ref()) }
}
