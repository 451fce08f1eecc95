//! The tensor in scripts: functions of each element.

use crate::torch::Tensor;
use crate::{api, choices};

api! {
    methods Tensor;

    /// `e^x`.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` for a dtype that libtorch does not support here.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([0.0]).exp().to_array(), [1.0]);
    /// ```
    fn exp(x: Tensor) -> Tensor { x.exp() }

    /// Natural logarithm.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` for a dtype that libtorch does not support here.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([1.0]).log().to_array(), [0.0]);
    /// ```
    fn log(x: Tensor) -> Tensor { x.log() }

    /// `log(1 + x)`, exact near 0.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` for a dtype that libtorch does not support here.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([0.0]).log1p().to_array(), [0.0]);
    /// ```
    fn log1p(x: Tensor) -> Tensor { x.log1p() }

    /// Base-2 logarithm.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` for a dtype that libtorch does not support here.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([8.0]).log2().to_array(), [3.0]);
    /// ```
    fn log2(x: Tensor) -> Tensor { x.log2() }

    /// Base-10 logarithm.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` for a dtype that libtorch does not support here.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([100.0]).log10().to_array(), [2.0]);
    /// ```
    fn log10(x: Tensor) -> Tensor { x.log10() }

    /// `e^x - 1`, exact near 0.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` for a dtype that libtorch does not support here.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([0.0]).expm1().to_array(), [0.0]);
    /// ```
    fn expm1(x: Tensor) -> Tensor { x.expm1() }

    /// Square root.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` for a dtype that libtorch does not support here.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([9.0]).sqrt().to_array(), [3.0]);
    /// ```
    fn sqrt(x: Tensor) -> Tensor { x.sqrt() }

    /// `1 / sqrt(x)`.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` for a dtype that libtorch does not support here.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([4.0]).rsqrt().to_array(), [0.5]);
    /// ```
    fn rsqrt(x: Tensor) -> Tensor { x.rsqrt() }

    /// `x * x`.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` for a dtype that libtorch does not support here.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([-3.0]).square().to_array(), [9.0]);
    /// ```
    fn square(x: Tensor) -> Tensor { x.square() }

    /// `1 / x`.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` for a dtype that libtorch does not support here.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([4.0]).reciprocal().to_array(), [0.25]);
    /// ```
    fn reciprocal(x: Tensor) -> Tensor { x.reciprocal() }

    /// Absolute value.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` for a dtype that libtorch does not support here.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([-2.0]).abs().to_array(), [2.0]);
    /// ```
    fn abs(x: Tensor) -> Tensor { x.abs() }

    /// `-x`.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` for a dtype that libtorch does not support here.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([2.0]).neg().to_array(), [-2.0]);
    /// ```
    fn neg(x: Tensor) -> Tensor { x.neg() }

    /// -1, 0 or 1.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` for a dtype that libtorch does not support here.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([-2.0, 0.0]).sign().to_array(), [-1.0, 0.0]);
    /// ```
    fn sign(x: Tensor) -> Tensor { x.sign() }

    /// Sine.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` for a dtype that libtorch does not support here.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([0.0]).sin().to_array(), [0.0]);
    /// ```
    fn sin(x: Tensor) -> Tensor { x.sin() }

    /// Cosine.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` for a dtype that libtorch does not support here.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([0.0]).cos().to_array(), [1.0]);
    /// ```
    fn cos(x: Tensor) -> Tensor { x.cos() }

    /// Tangent.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` for a dtype that libtorch does not support here.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([0.0]).tan().to_array(), [0.0]);
    /// ```
    fn tan(x: Tensor) -> Tensor { x.tan() }

    /// Arc sine.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` for a dtype that libtorch does not support here.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([0.0]).asin().to_array(), [0.0]);
    /// ```
    fn asin(x: Tensor) -> Tensor { x.asin() }

    /// Arc cosine.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` for a dtype that libtorch does not support here.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([1.0]).acos().to_array(), [0.0]);
    /// ```
    fn acos(x: Tensor) -> Tensor { x.acos() }

    /// Arc tangent.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` for a dtype that libtorch does not support here.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([0.0]).atan().to_array(), [0.0]);
    /// ```
    fn atan(x: Tensor) -> Tensor { x.atan() }

    /// Hyperbolic sine.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` for a dtype that libtorch does not support here.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([0.0]).sinh().to_array(), [0.0]);
    /// ```
    fn sinh(x: Tensor) -> Tensor { x.sinh() }

    /// Hyperbolic cosine.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` for a dtype that libtorch does not support here.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([0.0]).cosh().to_array(), [1.0]);
    /// ```
    fn cosh(x: Tensor) -> Tensor { x.cosh() }

    /// `log(1 + e^x)`.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` for a dtype that libtorch does not support here.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([100.0]).softplus().to_array(), [100.0]);
    /// ```
    fn softplus(x: Tensor) -> Tensor { x.softplus() }

    /// Nearest integer, halves to even.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` for a dtype that libtorch does not support here.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([0.5, 1.5]).round().to_array(), [0.0, 2.0]);
    /// ```
    fn round(x: Tensor) -> Tensor { x.round() }

    /// Largest integer not above.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` for a dtype that libtorch does not support here.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([-0.5]).floor().to_array(), [-1.0]);
    /// ```
    fn floor(x: Tensor) -> Tensor { x.floor() }

    /// Smallest integer not below.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` for a dtype that libtorch does not support here.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([0.5]).ceil().to_array(), [1.0]);
    /// ```
    fn ceil(x: Tensor) -> Tensor { x.ceil() }

    /// Cut towards zero.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` for a dtype that libtorch does not support here.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([-1.5]).trunc().to_array(), [-1.0]);
    /// ```
    fn trunc(x: Tensor) -> Tensor { x.trunc() }

    /// Error function.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` for a dtype that libtorch does not support here.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([0.0]).erf().to_array(), [0.0]);
    /// ```
    fn erf(x: Tensor) -> Tensor { x.erf() }

    /// GELU with the error function; `#{approximate: "tanh"}` takes the tanh approximation.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0202` for another approximation.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([0.0]).gelu().item(), 0.0);
    /// torch::randn([4]).gelu(#{approximate: "tanh"});
    /// ```
    fn gelu(x: Tensor;
        /// `"tanh"` for the approximation by tanh
        approximate: Approximate = Approximate::None,
    ) -> Tensor { x.gelu(approximate.is_tanh()) }

    /// `x > 0 ? x : slope * x`.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` when libtorch refuses the input.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([-1.0, 2.0]).leaky_relu(0.5).to_array(), [-0.5, 2.0]);
    /// ```
    fn leaky_relu(x: Tensor, negative_slope: Option<f64>) -> Tensor { x.leaky_relu(negative_slope.unwrap_or(0.01)) }

    /// Bool tensor, true where the element is NaN.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` when libtorch refuses the input.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([-1.0, 1.0]).log().isnan().to_array(), [true, false]);
    /// ```
    fn isnan(x: Tensor) -> Tensor { x.isnan() }

    /// Bool tensor, true where the element is infinite.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` when libtorch refuses the input.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([0.0, 1.0]).log().isinf().to_array(), [true, false]);
    /// ```
    fn isinf(x: Tensor) -> Tensor { x.isinf() }

    /// Bool tensor, true where the element is neither NaN nor infinite.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` when libtorch refuses the input.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([0.0, 1.0]).log().isfinite().to_array(), [false, true]);
    /// ```
    fn isfinite(x: Tensor) -> Tensor { x.isfinite() }
}

/// How GELU is computed.
#[derive(Clone, Copy)]
pub(crate) enum Approximate {
    None,
    Tanh,
}
choices! { Approximate { None = "none", Tanh = "tanh" } }

impl Approximate {
    pub(crate) fn is_tanh(self) -> bool {
        matches!(self, Approximate::Tanh)
    }
}
