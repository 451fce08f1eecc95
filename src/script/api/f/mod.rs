//! `F::`, functional operations: maps, norms, attention and activations. Options and defaults are those of `torch.nn.functional`.

pub mod activation;
pub mod loss;
pub mod vision;

use crate::api;
use crate::error::Error;
use crate::script::api::tensor::math::Approximate;
use crate::script::lang::options::Named;
use crate::script::lang::value::Dims;
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

    /// Rows of a table named by an integer tensor.
    ///
    /// # Shapes
    /// - `index`: `[..]`, `weight`: `[N, D]` -> `[.., D]`
    /// # Errors
    /// `E0201` when an index is out of range.
    /// # Example
    /// ```rhai
    /// assert_eq(F::embedding(torch::tensor([2, 0]), torch::eye(3)).shape, [2, 3]);
    /// ```
    fn embedding(index: Tensor, weight: Tensor) -> Tensor { weight.embedding(&index) }

    /// Zeros and a one at each index: i64; as many classes as needed unless given.
    ///
    /// # Shapes
    /// - i64 `[..]` -> i64 `[.., num_classes]`
    /// # Errors
    /// `E0201` for a negative index or one beyond the classes.
    /// # Example
    /// ```rhai
    /// assert_eq(F::one_hot(torch::tensor([2, 0]), 3).to_array(), [[0, 0, 1], [1, 0, 0]]);
    /// ```
    fn one_hot(index: Tensor, num_classes: Option<i64>) -> Tensor { index.one_hot(num_classes.unwrap_or(-1)) }

    /// Normalised over the last dimensions.
    ///
    /// # Shapes
    /// - `[.., normalized_shape]` -> the same; `weight`, `bias`: `normalized_shape`
    /// # Errors
    /// `E0201` when the sizes do not fit, `E0202` for an unknown option.
    /// # Example
    /// ```rhai
    /// let y = F::layer_norm(torch::randn([2, 8]), [8], #{eps: 1e-6});
    /// assert_close(y.mean(1), torch::zeros([2]), #{atol: 1e-5});
    /// ```
    fn layer_norm(x: Tensor, normalized_shape: Dims, weight: Option<Tensor>, bias: Option<Tensor>;
        /// added to the denominator, against division by zero
        eps: f64 = 1e-5,
    ) -> Tensor {
        x.layer_norm(&normalized_shape.0, weight.as_ref(), bias.as_ref(), eps)
    }

    /// Normalised by the root mean square over the last dimension (arXiv 1910.07467), which is taken in f32 at least.
    ///
    /// # Shapes
    /// - `[.., D]` -> the same; `weight`: `[D]`
    /// # Errors
    /// `E0201` when the sizes do not fit, `E0202` for an unknown option.
    /// # Example
    /// ```rhai
    /// assert_close(F::rms_norm(torch::tensor([3.0, 4.0])).square().mean().item(), 1.0, #{atol: 1e-5});
    /// ```
    fn rms_norm(x: Tensor, weight: Option<Tensor>;
        /// added to the mean square
        eps: f64[0.0..] = 1e-6,
        /// whether the weight multiplies before the result is cast back to the dtype of x (JiT), or after (LightningDiT, RAE)
        in_float: bool = false,
    ) -> Tensor {
        x.rms_norm(weight.as_ref(), eps, in_float)
    }

    /// Rotary position embedding (RoPE, arXiv 2104.09864): `x * cos + rotated(x) * sin`, where each pair `(a, b)` of the last dimension is rotated
    /// to `(-b, a)`.
    ///
    /// # Shapes
    /// - `[.., N, D]` -> the same; `cos`, `sin`: `[N, D]`
    /// # Errors
    /// `E0202` for an odd D, tables that do not cover N tokens, or an unknown option.
    /// # Example
    /// ```rhai
    /// let angle = torch::tensor([[0.0, 0.0], [1.5707963, 1.5707963]]);
    /// let y = F::rope(torch::tensor([[1.0, 2.0], [1.0, 2.0]]), angle.cos(), angle.sin());
    /// assert_close(y, torch::tensor([[1.0, 2.0], [-2.0, 1.0]]), #{atol: 1e-6});
    /// ```
    fn rope(x: Tensor, cos: Tensor, sin: Tensor;
        /// whether a pair is of neighbours, or of one in each half
        interleaved: bool = true,
    ) -> Tensor {
        x.rope(&cos, &sin, interleaved)
    }

    /// Stochastic depth (arXiv 1603.09382): in training whole rows of the batch are zero with probability `p`, and the others divided by `1 - p`.
    ///
    /// # Shapes
    /// - `[B, ..]` -> the same
    /// # Errors
    /// `E0202` for a probability outside of 0 to 1.
    /// # Example
    /// ```rhai
    /// assert_eq(F::drop_path(torch::ones([2, 3]), 0.5, false).sum().item(), 6.0);
    /// ```
    fn drop_path(x: Tensor, p: f64, training: bool) -> Tensor { x.drop_path(p, training) }

    /// Normalised over groups of channels.
    ///
    /// # Shapes
    /// - `[B, C, ..]` -> the same; `weight`, `bias`: `[C]`
    /// # Errors
    /// `E0201` when the sizes do not fit, `E0202` for an unknown option.
    /// # Example
    /// ```rhai
    /// assert_eq(F::group_norm(torch::randn([2, 8, 4, 4]), 4).shape, [2, 8, 4, 4]);
    /// ```
    fn group_norm(x: Tensor, num_groups: i64, weight: Option<Tensor>, bias: Option<Tensor>;
        /// added to the denominator, against division by zero
        eps: f64 = 1e-5,
    ) -> Tensor {
        if num_groups < 1 {
            return Err(Error::value("group_norm", format!("`num_groups` must be at least 1, got {num_groups}")));
        }
        x.group_norm(num_groups, weight.as_ref(), bias.as_ref(), eps)
    }

    /// Normalised over the batch for each channel: by the running statistics, or with `training` by the batch, updating them in place.
    /// `()` leaves a tensor out.
    ///
    /// # Shapes
    /// - `[B, C, ..]` -> the same; the others `[C]`
    /// # Errors
    /// `E0201` without running statistics outside training.
    /// # Example
    /// ```rhai
    /// let x = torch::randn([8, 3, 4, 4]);
    /// let y = F::batch_norm(x, (), (), #{training: true});
    /// assert_close(y.mean([0, 2, 3]), torch::zeros([3]), #{atol: 1e-5});
    /// ```
    fn batch_norm(x: Tensor, running_mean: Option<Tensor>, running_var: Option<Tensor>, weight: Option<Tensor>, bias: Option<Tensor>;
        /// whether the batch is used, and the running statistics follow it
        training: bool = false,
        /// weight of the batch in the running statistics
        momentum: f64 = 0.1,
        /// added to the denominator, against division by zero
        eps: f64 = 1e-5,
    ) -> Tensor {
        x.batch_norm(weight.as_ref(), bias.as_ref(), running_mean.as_ref(), running_var.as_ref(), training, momentum, eps)
    }

    /// Divided by its p-norm along `dim`.
    ///
    /// # Shapes
    /// - any shape -> the same
    /// # Errors
    /// `E0201` when the sizes do not fit, `E0202` for an unknown option.
    /// # Example
    /// ```rhai
    /// let y = F::normalize(torch::tensor([[3.0, 4.0]]));
    /// assert_close(y, torch::tensor([[0.6, 0.8]]));
    /// ```
    fn normalize(x: Tensor;
        /// which norm
        p: f64 = 2.0,
        /// along which dimension
        dim: i64 = 1,
        /// the least divisor
        eps: f64 = 1e-12,
    ) -> Tensor {
        x.div(&x.norm_dims(p, &[dim], true)?.clamp(Some(eps), None)?)
    }

    /// `softmax(q k^T * scale) v`, fused.
    ///
    /// # Shapes
    /// - `q`: `[B, heads, N, d]`, `k`, `v`: `[B, heads, M, d]`, `mask`: broadcasts to `[B, heads, N, M]` -> `[B, heads, N, d]`
    /// # Errors
    /// `E0201` when the sizes do not fit, `E0202` for an unknown option.
    /// # Example
    /// ```rhai
    /// let q = torch::randn([2, 4, 16, 8]);
    /// assert_eq(F::attention(q, q, q).shape, [2, 4, 16, 8]);
    /// ```
    fn attention(q: Tensor, k: Tensor, v: Tensor;
        /// bool: true takes part; float: added
        mask: Option<Tensor>,
        /// whether each token sees only those before it
        causal: bool = false,
        /// factor of the products; `d^-0.5` unless given
        scale: Option<f64>,
    ) -> Tensor {
        if causal && mask.is_some() {
            return Err(Error::value("attention", "`mask` and `causal` exclude each other"));
        }
        Tensor::attention(&q, &k, &v, mask.as_ref(), causal, scale)
    }

    /// GELU with the error function; `#{approximate: "tanh"}` takes the tanh approximation.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0202` for another approximation.
    /// # Example
    /// ```rhai
    /// assert_eq(F::gelu(torch::tensor([0.0])).item(), 0.0);
    /// ```
    fn gelu(x: Tensor;
        /// `"tanh"` for the approximation by tanh
        approximate: Approximate = Approximate::None,
    ) -> Tensor { x.gelu(approximate.is_tanh()) }

    /// `x > 0 ? x : slope * x`; the slope is 0.01 unless given.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` when libtorch refuses the input.
    /// # Example
    /// ```rhai
    /// assert_eq(F::leaky_relu(torch::tensor([-1.0, 2.0]), 0.5).to_array(), [-0.5, 2.0]);
    /// ```
    fn leaky_relu(x: Tensor, negative_slope: Named<f64>) -> Tensor { x.leaky_relu(negative_slope.0.unwrap_or(0.01)) }

    /// `log(1 + e^(beta x)) / beta`.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` when libtorch refuses the input.
    /// # Example
    /// ```rhai
    /// assert_close(F::softplus(torch::tensor([0.0])).item(), 0.6931472, #{rtol: 1e-6});
    /// ```
    fn softplus(x: Tensor;
        /// sharpness of the bend
        beta: f64 = 1.0,
    ) -> Tensor {
        if beta == 1.0 { x.softplus() } else { x.mul(beta)?.softplus()?.div(beta) }
    }

    /// Softmax along `dim`.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` for a dimension that is not there.
    /// # Example
    /// ```rhai
    /// assert_eq(F::softmax(torch::zeros([2, 4]), -1).shape, [2, 4]);
    /// ```
    fn softmax(x: Tensor, dim: i64) -> Tensor { x.softmax(dim) }

    /// Logarithm of the softmax along `dim`.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` for a dimension that is not there.
    /// # Example
    /// ```rhai
    /// assert_eq(F::log_softmax(torch::zeros([2, 4]), -1).shape, [2, 4]);
    /// ```
    fn log_softmax(x: Tensor, dim: i64) -> Tensor { x.log_softmax(dim) }

    /// Zeroes elements with probability `p` (0.5) and scales the others by `1 / (1 - p)`, unless `training` is false.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` for a probability outside 0 to 1.
    /// # Example
    /// ```rhai
    /// assert_eq(F::dropout(torch::ones([4]), 0.5, false).sum().item(), 4.0);
    /// ```
    fn dropout(x: Tensor, p: Named<f64>, training: Named<bool>) -> Tensor { x.dropout(p.0.unwrap_or(0.5), training.0.unwrap_or(true)) }
}
