//! The hot operators, by libtorch's typed calls. The long tail goes through [`super::bridge::call`].

use super::draws::{Law, Wanted, draw};
use super::{DType, Device, Number, Operand, Tensor, bridge, operators, refused};
use crate::error::{Error, Result, did_you_mean};

/// Operators without arguments.
macro_rules! unary {
    ($($(#[$doc:meta])* $name:ident => $f:ident;)*) => {
        impl Tensor { $(
            $(#[$doc])*
            pub fn $name(&self) -> Result<Tensor> {
                self.0.$f().map(Tensor).map_err(|e| refused(stringify!($name), &[self], e))
            }
        )* }
    };
}

/// Operators whose other side is a tensor or a number. Numbers go by name: where an operator refuses, the typed call panics,
/// since dropping `tch::Scalar` trips over the operator's error before that is read (tch 0.24, `Drop for Scalar`).
macro_rules! binary {
    ($($(#[$doc:meta])* $name:ident => $t:ident, $s:literal;)*) => {
        impl Tensor { $(
            $(#[$doc])*
            pub fn $name<'a>(&self, other: impl Into<Operand<'a>>) -> Result<Tensor> {
                match other.into() {
                    Operand::Tensor(o) => self.0.$t(&o.0).map(Tensor).map_err(|e| refused(stringify!($name), &[self, o], e)),
                    Operand::Float(x) => bridge::call1($s, &[self.into(), x.into()], &[]),
                    Operand::Int(x) => bridge::call1($s, &[self.into(), x.into()], &[]),
                }
            }
        )* }
    };
}

pub(super) use {binary, unary};

unary! {
    /// `e^x`.
    exp => f_exp;
    /// Natural logarithm.
    log => f_log;
    /// Square root.
    sqrt => f_sqrt;
    /// `1 / sqrt(x)`.
    rsqrt => f_rsqrt;
    /// Absolute value.
    abs => f_abs;
    /// `-x`.
    neg => f_neg;
    /// `x * x`.
    square => f_square;
    /// `1 / x`.
    reciprocal => f_reciprocal;
    /// Sine.
    sin => f_sin;
    /// Cosine.
    cos => f_cos;
    /// Arc tangent.
    atan => f_atan;
    /// Hyperbolic tangent.
    tanh => f_tanh;
    /// `1 / (1 + e^-x)`.
    sigmoid => f_sigmoid;
    /// `max(x, 0)`.
    relu => f_relu;
    /// `x * sigmoid(x)`, also called swish.
    silu => f_silu;
    /// `log(1 + e^x)`.
    softplus => f_softplus;
    /// Nearest integer, halves to even.
    round => f_round;
    /// Largest integer not above.
    floor => f_floor;
    /// Error function.
    erf => f_erf;
    /// Sign: -1, 0 or 1.
    sign => f_sign;
    /// Bool tensor: neither infinite nor NaN, for each element.
    isfinite => f_isfinite;
    /// Boolean negation.
    logical_not => f_logical_not;
    /// Largest element.
    max => f_max;
    /// Smallest element.
    min => f_min;
    /// Euclidean norm of all elements.
    norm => f_norm;
    /// Swaps the two dimensions of a matrix.
    t => f_tr;
    /// Row-major copy, or itself where it is one already.
    contiguous => f_contiguous;
    /// A new tensor of the same shape, dtype and device, filled with zeros.
    zeros_like => f_zeros_like;
    /// Filled with ones.
    ones_like => f_ones_like;
    /// Not filled.
    empty_like => f_empty_like;
}

binary! {
    /// Sum; shapes broadcast.
    add => f_add, "add.Scalar";
    /// Difference.
    sub => f_sub, "sub.Scalar";
    /// Product.
    mul => f_mul, "mul.Scalar";
    /// Quotient.
    div => f_div, "div.Scalar";
    /// Power.
    pow => f_pow, "pow.Tensor_Scalar";
    /// Bool tensor `self == other`.
    eq => f_eq_tensor, "eq.Scalar";
    /// Bool tensor `self != other`.
    ne => f_ne_tensor, "ne.Scalar";
    /// Bool tensor `self < other`.
    lt => f_lt_tensor, "lt.Scalar";
    /// Bool tensor `self <= other`.
    le => f_le_tensor, "le.Scalar";
    /// Bool tensor `self > other`.
    gt => f_gt_tensor, "gt.Scalar";
    /// Bool tensor `self >= other`.
    ge => f_ge_tensor, "ge.Scalar";
}

impl Tensor {
    /// Remainder with the divisor's sign, as Python's `%`.
    ///
    /// # Errors
    /// `E0202` for the least integer by -1, `E0201` for shapes that do not go together.
    pub fn remainder<'a>(&self, other: impl Into<Operand<'a>>) -> Result<Tensor> {
        operators::call_own1("remainder", &[self.into(), other.into().into()], &[])
    }

    pub(super) fn map1(&self, op: &str, r: Result<tch::Tensor, tch::TchError>) -> Result<Tensor> {
        r.map(Tensor).map_err(|e| refused(op, &[self], e))
    }

    pub(super) fn map2(&self, other: &Tensor, op: &str, r: Result<tch::Tensor, tch::TchError>) -> Result<Tensor> {
        r.map(Tensor).map_err(|e| refused(op, &[self, other], e))
    }

    pub(super) fn many(&self, op: &str, r: Result<Vec<tch::Tensor>, tch::TchError>) -> Result<Vec<Tensor>> {
        r.map(|v| v.into_iter().map(Tensor).collect()).map_err(|e| refused(op, &[self], e))
    }

    pub(super) fn pair(&self, op: &str, r: Result<(tch::Tensor, tch::Tensor), tch::TchError>) -> Result<(Tensor, Tensor)> {
        r.map(|(a, b)| (Tensor(a), Tensor(b))).map_err(|e| refused(op, &[self], e))
    }

    // ---- creation

    /// Zeros of that shape.
    pub fn zeros(shape: &[i64], dtype: DType, device: Device) -> Result<Tensor> {
        tch::Tensor::f_zeros(shape, (dtype, device)).map(Tensor).map_err(|e| refused("zeros", &[], e))
    }

    /// Ones of that shape.
    pub fn ones(shape: &[i64], dtype: DType, device: Device) -> Result<Tensor> {
        tch::Tensor::f_ones(shape, (dtype, device)).map(Tensor).map_err(|e| refused("ones", &[], e))
    }

    /// Every element `value`.
    pub fn full(shape: &[i64], value: impl Into<Number>, dtype: DType, device: Device) -> Result<Tensor> {
        bridge::call1("full", &[shape.into(), value.into().into()], &[("dtype", dtype.into()), ("device", device.into())])
    }

    /// Not filled.
    pub fn empty(shape: &[i64], dtype: DType, device: Device) -> Result<Tensor> {
        tch::Tensor::f_empty(shape, (dtype, device)).map(Tensor).map_err(|e| refused("empty", &[], e))
    }

    /// Drawn from N(0, 1) with the device's global generator.
    pub fn randn(shape: &[i64], dtype: DType, device: Device) -> Result<Tensor> {
        draw(Wanted { law: Law::Normal, shape, dtype, device, bounds: (0, 0), like: None }, || {
            tch::Tensor::f_randn(shape, (dtype, device)).map(Tensor).map_err(|e| refused("randn", &[], e))
        })
    }

    /// Drawn from U(0, 1) with the device's global generator.
    pub fn rand(shape: &[i64], dtype: DType, device: Device) -> Result<Tensor> {
        draw(Wanted { law: Law::Uniform, shape, dtype, device, bounds: (0, 0), like: None }, || {
            tch::Tensor::f_rand(shape, (dtype, device)).map(Tensor).map_err(|e| refused("rand", &[], e))
        })
    }

    /// Drawn from N(0, 1), in the shape, dtype and device of this tensor.
    pub fn randn_like(&self) -> Result<Tensor> {
        draw(self.wanted(Law::Normal, &self.shape()), || self.map1("randn_like", self.0.f_randn_like()))
    }

    /// Drawn from U(0, 1), in the shape, dtype and device of this tensor.
    pub fn rand_like(&self) -> Result<Tensor> {
        draw(self.wanted(Law::Uniform, &self.shape()), || self.map1("rand_like", self.0.f_rand_like()))
    }

    fn wanted<'a>(&'a self, law: Law, shape: &'a [i64]) -> Wanted<'a> {
        Wanted { law, shape, dtype: self.dtype(), device: self.device(), bounds: (0, 0), like: Some(self) }
    }

    /// Integers in `[low, high)`.
    pub fn randint(low: i64, high: i64, shape: &[i64], device: Device) -> Result<Tensor> {
        draw(Wanted { law: Law::Int, shape, dtype: DType::Int64, device, bounds: (low, high), like: None }, || {
            tch::Tensor::f_randint_low(low, high, shape, (DType::Int64, device)).map(Tensor).map_err(|e| refused("randint", &[], e))
        })
    }

    /// A permutation of `0..n`, i64.
    pub fn randperm(n: i64, device: Device) -> Result<Tensor> {
        draw(Wanted { law: Law::Permutation, shape: &[n], dtype: DType::Int64, device, bounds: (0, n), like: None }, || {
            tch::Tensor::f_randperm(n, (DType::Int64, device)).map(Tensor).map_err(|e| refused("randperm", &[], e))
        })
    }

    /// `start, start + step, ...` below `end`.
    pub fn arange(start: f64, end: f64, step: f64, dtype: DType, device: Device) -> Result<Tensor> {
        let args = [start.into(), end.into(), step.into()];
        bridge::call1("arange.start_step", &args, &[("dtype", dtype.into()), ("device", device.into())])
    }

    /// `steps` values from `start` to `end`, both included.
    pub fn linspace(start: f64, end: f64, steps: i64, dtype: DType, device: Device) -> Result<Tensor> {
        let args = [start.into(), end.into(), steps.into()];
        bridge::call1("linspace", &args, &[("dtype", dtype.into()), ("device", device.into())])
    }

    /// The unit matrix `[n, n]`.
    pub fn eye(n: i64, dtype: DType, device: Device) -> Result<Tensor> {
        tch::Tensor::f_eye(n, (dtype, device)).map(Tensor).map_err(|e| refused("eye", &[], e))
    }

    /// Joins along an existing dimension.
    pub fn cat<T: AsRef<Tensor>>(tensors: &[T], dim: i64) -> Result<Tensor> {
        let list: Vec<&tch::Tensor> = tensors.iter().map(|t| &t.as_ref().0).collect();
        let shown: Vec<&Tensor> = tensors.iter().map(AsRef::as_ref).collect();
        tch::Tensor::f_cat(&list, dim).map(Tensor).map_err(|e| refused("cat", &shown, e))
    }

    /// Joins along a new dimension.
    pub fn stack<T: AsRef<Tensor>>(tensors: &[T], dim: i64) -> Result<Tensor> {
        let list: Vec<&tch::Tensor> = tensors.iter().map(|t| &t.as_ref().0).collect();
        let shown: Vec<&Tensor> = tensors.iter().map(AsRef::as_ref).collect();
        tch::Tensor::f_stack(&list, dim).map(Tensor).map_err(|e| refused("stack", &shown, e))
    }

    /// `condition ? self : other`, element by element.
    pub fn where_(&self, condition: &Tensor, other: &Tensor) -> Result<Tensor> {
        self.0.f_where_self(&condition.0, &other.0).map(Tensor).map_err(|e| refused("where", &[condition, self, other], e))
    }

    /// Einstein summation.
    pub fn einsum(equation: &str, tensors: &[&Tensor]) -> Result<Tensor> {
        let list: Vec<&tch::Tensor> = tensors.iter().map(|t| &t.0).collect();
        tch::Tensor::f_einsum(equation, &list, None::<i64>).map(Tensor).map_err(|e| refused("einsum", tensors, e))
    }

    // ---- shape

    /// The same elements in another shape, without a copy; one size may be -1.
    pub fn view(&self, shape: &[i64]) -> Result<Tensor> {
        self.map1("view", self.0.f_view(shape))
    }

    /// The same elements in another shape, copied where it must be.
    pub fn reshape(&self, shape: &[i64]) -> Result<Tensor> {
        self.map1("reshape", self.0.f_reshape(shape))
    }

    /// Dimensions in another order.
    pub fn permute(&self, dims: &[i64]) -> Result<Tensor> {
        self.map1("permute", self.0.f_permute(dims))
    }

    /// Swaps two dimensions.
    pub fn transpose(&self, a: i64, b: i64) -> Result<Tensor> {
        self.map1("transpose", self.0.f_transpose(a, b))
    }

    /// Joins dimensions `start..=end`.
    pub fn flatten(&self, start: i64, end: i64) -> Result<Tensor> {
        self.map1("flatten", self.0.f_flatten(start, end))
    }

    /// Drops dimension `dim` where its size is 1, or all such dimensions.
    pub fn squeeze(&self, dim: Option<i64>) -> Result<Tensor> {
        self.map1(
            "squeeze",
            match dim {
                Some(d) => self.0.f_squeeze_dim(d),
                None => self.0.f_squeeze(),
            },
        )
    }

    /// Inserts a dimension of size 1.
    pub fn unsqueeze(&self, dim: i64) -> Result<Tensor> {
        self.map1("unsqueeze", self.0.f_unsqueeze(dim))
    }

    /// Repeats dimensions of size 1 without a copy; -1 keeps a size.
    pub fn expand(&self, shape: &[i64]) -> Result<Tensor> {
        self.map1("expand", self.0.f_expand(shape, false))
    }

    /// Repeats the data.
    pub fn repeat(&self, times: &[i64]) -> Result<Tensor> {
        self.map1("repeat", self.0.f_repeat(times))
    }

    /// `chunks` equal parts along `dim`, the last one smaller.
    pub fn chunk(&self, chunks: i64, dim: i64) -> Result<Vec<Tensor>> {
        let length = self.size(dim).unwrap_or(0);
        self.check_parts("chunk", dim, length / chunks.clamp(1, length.max(1)))?;
        self.many("chunk", self.0.f_chunk(chunks, dim))
    }

    /// Parts of `size` along `dim`.
    pub fn split(&self, size: i64, dim: i64) -> Result<Vec<Tensor>> {
        self.check_parts("split", dim, size)?;
        self.many("split", self.0.f_split(size, dim))
    }

    /// One tensor for each index of `dim`.
    pub fn unbind(&self, dim: i64) -> Result<Vec<Tensor>> {
        self.check_parts("unbind", dim, 1)?;
        self.many("unbind", self.0.f_unbind(dim))
    }

    /// Index `index` of `dim`, which is dropped.
    pub fn select(&self, dim: i64, index: i64) -> Result<Tensor> {
        self.map1("select", self.0.f_select(dim, index))
    }

    /// `length` entries of `dim` from `start`.
    pub fn narrow(&self, dim: i64, start: i64, length: i64) -> Result<Tensor> {
        self.map1("narrow", self.0.f_narrow(dim, start, length))
    }

    /// Entries `start..end` of `dim`; ends beyond the size are cut, negative ones count from the end.
    pub fn slice(&self, dim: i64, start: Option<i64>, end: Option<i64>, step: i64) -> Result<Tensor> {
        self.map1("slice", self.0.f_slice(dim, start, end, step))
    }

    /// Entries of `dim` named by an i64 tensor.
    pub fn index_select(&self, dim: i64, index: &Tensor) -> Result<Tensor> {
        self.map2(index, "index_select", self.0.f_index_select(dim, &index.0))
    }

    /// Elements along `dim` at the places of `index`.
    pub fn gather(&self, dim: i64, index: &Tensor) -> Result<Tensor> {
        self.map2(index, "gather", self.0.f_gather(dim, &index.0, false))
    }

    /// Flips the order of the given dimensions.
    pub fn flip(&self, dims: &[i64]) -> Result<Tensor> {
        self.map1("flip", self.0.f_flip(dims))
    }

    // ---- dtype, device

    /// Converted to another dtype; itself where it has that dtype.
    pub fn to_dtype(&self, dtype: DType) -> Result<Tensor> {
        if self.dtype() == dtype {
            return Ok(self.clone());
        }
        self.map1("to_dtype", self.0.f_totype(dtype))
    }

    /// On another device; itself where it is there.
    pub fn to_device(&self, device: Device) -> Result<Tensor> {
        if self.device() == device {
            return Ok(self.clone());
        }
        self.map1("to_device", self.0.f_to(device))
    }

    /// A copy with storage of its own, in the same graph.
    pub fn copy(&self) -> Result<Tensor> {
        // tch's f_clone is the `out=` variant, which autograd refuses.
        bridge::call1("clone", &[self.into()], &[])
    }

    // ---- reductions; an empty `dims` means all

    /// Sum over `dims`.
    pub fn sum(&self, dims: &[i64], keepdim: bool) -> Result<Tensor> {
        self.map1("sum", if dims.is_empty() { self.0.f_sum(None) } else { self.0.f_sum_dim_intlist(dims, keepdim, None) })
    }

    /// Mean over `dims`.
    pub fn mean(&self, dims: &[i64], keepdim: bool) -> Result<Tensor> {
        self.map1("mean", if dims.is_empty() { self.0.f_mean(None) } else { self.0.f_mean_dim(dims, keepdim, None) })
    }

    /// Variance over `dims` with divisor `n - correction` (1 is unbiased).
    pub fn var(&self, dims: &[i64], correction: i64, keepdim: bool) -> Result<Tensor> {
        let dims = if dims.is_empty() { None } else { Some(dims) };
        bridge::call1("var.correction", &[self.into(), dims.into()], &[("correction", correction.into()), ("keepdim", keepdim.into())])
    }

    /// Standard deviation over `dims` with divisor `n - correction` (1 is unbiased).
    pub fn std(&self, dims: &[i64], correction: i64, keepdim: bool) -> Result<Tensor> {
        let dims = if dims.is_empty() { None } else { Some(dims) };
        bridge::call1("std.correction", &[self.into(), dims.into()], &[("correction", correction.into()), ("keepdim", keepdim.into())])
    }

    /// Largest values over `dims`.
    pub fn amax(&self, dims: &[i64], keepdim: bool) -> Result<Tensor> {
        self.map1("amax", self.0.f_amax(dims, keepdim))
    }

    /// Smallest values over `dims`.
    pub fn amin(&self, dims: &[i64], keepdim: bool) -> Result<Tensor> {
        self.map1("amin", self.0.f_amin(dims, keepdim))
    }

    /// Largest values along `dim`, and where they are.
    pub fn max_dim(&self, dim: i64, keepdim: bool) -> Result<(Tensor, Tensor)> {
        self.pair("max", self.0.f_max_dim(dim, keepdim))
    }

    /// Smallest values along `dim`, and where they are.
    pub fn min_dim(&self, dim: i64, keepdim: bool) -> Result<(Tensor, Tensor)> {
        self.pair("min", self.0.f_min_dim(dim, keepdim))
    }

    /// Where the largest value is, along `dim` or in the flattened tensor.
    pub fn argmax(&self, dim: Option<i64>, keepdim: bool) -> Result<Tensor> {
        self.map1("argmax", self.0.f_argmax(dim, keepdim))
    }

    /// p-norm over `dims`.
    pub fn norm_dims(&self, p: f64, dims: &[i64], keepdim: bool) -> Result<Tensor> {
        bridge::call1("norm.ScalarOpt_dim", &[self.into(), p.into(), dims.into(), keepdim.into()], &[])
    }

    /// Running sum along `dim`.
    pub fn cumsum(&self, dim: i64) -> Result<Tensor> {
        self.map1("cumsum", self.0.f_cumsum(dim, None))
    }

    /// Values in order along `dim`, and where they came from.
    pub fn sort(&self, dim: i64, descending: bool) -> Result<(Tensor, Tensor)> {
        self.pair("sort", self.0.f_sort(dim, descending))
    }

    /// The `k` largest (or smallest) along `dim`, and where they are.
    pub fn topk(&self, k: i64, dim: i64, largest: bool) -> Result<(Tensor, Tensor)> {
        self.pair("topk", self.0.f_topk(k, dim, largest, true))
    }

    /// Softmax along `dim`.
    pub fn softmax(&self, dim: i64) -> Result<Tensor> {
        self.map1("softmax", self.0.f_softmax(dim, None))
    }

    /// Logarithm of softmax along `dim`.
    pub fn log_softmax(&self, dim: i64) -> Result<Tensor> {
        self.map1("log_softmax", self.0.f_log_softmax(dim, None))
    }

    /// Whether all elements are finite. Reads one value from the device.
    pub fn is_finite(&self) -> Result<bool> {
        if !self.is_float() {
            return Ok(true);
        }
        let all = self.isfinite()?;
        Ok(all.map1("all", all.0.f_all())?.item()? != 0.0)
    }

    // ---- elementwise with arguments

    /// Between `min` and `max`, either of which may be missing.
    pub fn clamp(&self, min: Option<f64>, max: Option<f64>) -> Result<Tensor> {
        if min.is_none() && max.is_none() {
            return Ok(self.clone());
        }
        bridge::call1("clamp", &[self.into(), min.into(), max.into()], &[])
    }

    /// GELU; `tanh` takes the approximation.
    pub fn gelu(&self, tanh: bool) -> Result<Tensor> {
        self.map1("gelu", self.0.f_gelu(if tanh { "tanh" } else { "none" }))
    }

    /// `x > 0 ? x : slope * x`.
    pub fn leaky_relu(&self, slope: f64) -> Result<Tensor> {
        // tch's f_leaky_relu has the slope fixed at 0.01.
        bridge::call1("leaky_relu", &[self.into(), slope.into()], &[])
    }

    /// `self + weight * (end - self)`.
    pub fn lerp(&self, end: &Tensor, weight: f64) -> Result<Tensor> {
        bridge::call1("lerp.Scalar", &[self.into(), end.into(), weight.into()], &[])
    }

    /// `self + a * b`; shapes broadcast.
    pub fn addcmul(&self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        self.0.f_addcmul(&a.0, &b.0).map(Tensor).map_err(|e| refused("addcmul", &[self, a, b], e))
    }

    /// Matrix product `[.., n, k] @ [.., k, m]`.
    pub fn matmul(&self, other: &Tensor) -> Result<Tensor> {
        self.map2(other, "matmul", self.0.f_matmul(&other.0))
    }

    // ---- networks

    /// `self @ weight.t() + bias`: `[.., in]`, `[out, in]`, `[out]` -> `[.., out]`.
    pub fn linear(&self, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
        self.map2(weight, "linear", self.0.f_linear(&weight.0, bias.map(|b| &b.0)))
    }

    /// `[B, Cin, H, W]`, `[Cout, Cin / groups, kh, kw]` -> `[B, Cout, H', W']`.
    pub fn conv2d(
        &self,
        weight: &Tensor,
        bias: Option<&Tensor>,
        stride: [i64; 2],
        padding: [i64; 2],
        dilation: [i64; 2],
        groups: i64,
    ) -> Result<Tensor> {
        operators::windows("conv2d", "stride", &stride, 1)?;
        operators::windows("conv2d", "dilation", &dilation, 1)?;
        operators::windows("conv2d", "padding", &padding, -operators::WIDEST)?;
        self.map2(weight, "conv2d", self.0.f_conv2d(&weight.0, bias.map(|b| &b.0), stride, padding, dilation, groups))
    }

    /// Normalised over the last dimensions `shape`.
    pub fn layer_norm(&self, shape: &[i64], weight: Option<&Tensor>, bias: Option<&Tensor>, eps: f64) -> Result<Tensor> {
        self.map1("layer_norm", self.0.f_layer_norm(shape, weight.map(|t| &t.0), bias.map(|t| &t.0), eps, true))
    }

    /// Normalised over groups of channels.
    pub fn group_norm(&self, groups: i64, weight: Option<&Tensor>, bias: Option<&Tensor>, eps: f64) -> Result<Tensor> {
        self.map1("group_norm", self.0.f_group_norm(groups, weight.map(|t| &t.0), bias.map(|t| &t.0), eps, true))
    }

    /// Normalised over the batch; in training the running statistics are updated in place.
    #[allow(clippy::too_many_arguments)]
    pub fn batch_norm(
        &self,
        weight: Option<&Tensor>,
        bias: Option<&Tensor>,
        mean: Option<&Tensor>,
        var: Option<&Tensor>,
        training: bool,
        momentum: f64,
        eps: f64,
    ) -> Result<Tensor> {
        let r = self.0.f_batch_norm(weight.map(|t| &t.0), bias.map(|t| &t.0), mean.map(|t| &t.0), var.map(|t| &t.0), training, momentum, eps, true);
        self.map1("batch_norm", r)
    }

    /// Zeroes elements with probability `p` and scales the others by `1 / (1 - p)`, in training.
    pub fn dropout(&self, p: f64, training: bool) -> Result<Tensor> {
        self.map1("dropout", super::bridge::moving(|| self.0.f_dropout(p, training)))
    }

    /// Rows of the table `self` `[N, D]` named by `index`: `[..]` -> `[.., D]`.
    pub fn embedding(&self, index: &Tensor) -> Result<Tensor> {
        self.map2(index, "embedding", tch::Tensor::f_embedding(&self.0, &index.0, -1, false, false))
    }

    /// `softmax(q k^T * scale) v` over `[B, heads, N, d]`; `scale` is `d^-0.5` unless given.
    pub fn attention(q: &Tensor, k: &Tensor, v: &Tensor, mask: Option<&Tensor>, causal: bool, scale: Option<f64>) -> Result<Tensor> {
        operators::attention::pairs("attention", q, k, v)?;
        tch::Tensor::f_scaled_dot_product_attention(&q.0, &k.0, &v.0, mask.map(|m| &m.0), 0.0, causal, scale, false)
            .map(Tensor)
            .map_err(|e| refused("attention", &[q, k, v], e))
    }

    /// Nearest-neighbour resize to `[H, W]`.
    pub fn upsample_nearest2d(&self, size: [i64; 2]) -> Result<Tensor> {
        self.map1("upsample_nearest2d", self.0.f_upsample_nearest2d(size, None, None))
    }

    /// Bicubic (a = -0.75) resize to `[H, W]` without antialiasing, as `F.interpolate`.
    pub fn upsample_bicubic2d(&self, size: [i64; 2], align_corners: bool) -> Result<Tensor> {
        self.map1("upsample_bicubic2d", self.0.f_upsample_bicubic2d(size, align_corners, None, None))
    }

    /// Bilinear resize to `[H, W]` without antialiasing, as `F.interpolate`.
    pub fn upsample_bilinear2d(&self, size: [i64; 2], align_corners: bool) -> Result<Tensor> {
        self.map1("upsample_bilinear2d", self.0.f_upsample_bilinear2d(size, align_corners, None, None))
    }

    /// Resize to `[H, W]` as `F.interpolate`: `mode` is `nearest`, `nearest-exact`, `bilinear`, `bicubic` or `area`; `antialias`
    /// (bilinear and bicubic only) filters when shrinking, as Pillow does.
    ///
    /// # Errors
    /// `E0202` for another mode or an option that the mode does not have; `E0201` when libtorch refuses.
    pub fn interpolate(&self, size: [i64; 2], mode: &str, align_corners: bool, antialias: bool) -> Result<Tensor> {
        let smooth = matches!(mode, "bilinear" | "bicubic");
        if (antialias || align_corners) && !smooth {
            return Err(Error::value("interpolate", format!("`align_corners` and `antialias` go with bilinear and bicubic, not `{mode}`")));
        }
        let op = match mode {
            "nearest" => return self.upsample_nearest2d(size),
            "area" => return self.adaptive_avg_pool2d(size),
            "nearest-exact" => return bridge::call1("_upsample_nearest_exact2d", &[self.into(), size.into()], &[]),
            "bilinear" if antialias => "_upsample_bilinear2d_aa",
            "bicubic" if antialias => "_upsample_bicubic2d_aa",
            "bilinear" => return self.upsample_bilinear2d(size, align_corners),
            "bicubic" => return self.upsample_bicubic2d(size, align_corners),
            other => {
                let known = ["nearest", "nearest-exact", "bilinear", "bicubic", "area"];
                return Err(Error::value("interpolate", format!("unknown mode `{other}`{}", did_you_mean(other, known)))
                    .help(format!("one of {}", known.join(", "))));
            }
        };
        bridge::call1(op, &[self.into(), size.into(), align_corners.into()], &[])
    }

    /// Mean over windows: `[B, C, H, W]` -> `[B, C, H', W']`.
    pub fn avg_pool2d(&self, kernel: [i64; 2], stride: [i64; 2], padding: [i64; 2], count_include_pad: bool) -> Result<Tensor> {
        operators::windows("avg_pool2d", "kernel_size", &kernel, 1)?;
        operators::windows("avg_pool2d", "stride", &stride, 1)?;
        operators::windows("avg_pool2d", "padding", &padding, 0)?;
        self.map1("avg_pool2d", self.0.f_avg_pool2d(kernel, stride, padding, false, count_include_pad, None))
    }

    /// Maximum over windows: `[B, C, H, W]` -> `[B, C, H', W']`.
    pub fn max_pool2d(&self, kernel: [i64; 2], stride: [i64; 2], padding: [i64; 2]) -> Result<Tensor> {
        operators::windows("max_pool2d", "kernel_size", &kernel, 1)?;
        operators::windows("max_pool2d", "stride", &stride, 1)?;
        operators::windows("max_pool2d", "padding", &padding, 0)?;
        self.map1("max_pool2d", self.0.f_max_pool2d(kernel, stride, padding, [1, 1], false))
    }

    /// Mean over windows such that the result is `[B, C, size]`.
    pub fn adaptive_avg_pool2d(&self, size: [i64; 2]) -> Result<Tensor> {
        self.map1("adaptive_avg_pool2d", self.0.f_adaptive_avg_pool2d(size))
    }

    /// Transposed convolution: `[B, Cin, H, W]`, `[Cin, Cout / groups, kh, kw]` -> `[B, Cout, H', W']`.
    #[allow(clippy::too_many_arguments)]
    pub fn conv_transpose2d(
        &self,
        weight: &Tensor,
        bias: Option<&Tensor>,
        stride: [i64; 2],
        padding: [i64; 2],
        output_padding: [i64; 2],
        groups: i64,
        dilation: [i64; 2],
    ) -> Result<Tensor> {
        for (name, two, least) in
            [("stride", &stride, 1), ("padding", &padding, 0), ("output_padding", &output_padding, 0), ("dilation", &dilation, 1)]
        {
            operators::windows("conv_transpose2d", name, two, least)?;
        }
        let r = self.0.f_conv_transpose2d(&weight.0, bias.map(|b| &b.0), stride, padding, output_padding, groups, dilation);
        self.map2(weight, "conv_transpose2d", r)
    }

    /// Rearranges `[B, C * r^2, H, W]` to `[B, C, H * r, W * r]`.
    pub fn pixel_shuffle(&self, factor: i64) -> Result<Tensor> {
        self.map1("pixel_shuffle", self.0.f_pixel_shuffle(factor))
    }

    /// The reverse of [`Tensor::pixel_shuffle`].
    pub fn pixel_unshuffle(&self, factor: i64) -> Result<Tensor> {
        self.map1("pixel_unshuffle", self.0.f_pixel_unshuffle(factor))
    }

    /// The same values with another order in memory: `channels_last` makes convolutions faster on the CPU, `contiguous` is row-major.
    ///
    /// # Errors
    /// `E0202` for an unknown format, `E0201` when the rank does not fit.
    pub fn to_memory_format(&self, format: &str) -> Result<Tensor> {
        bridge::call1("contiguous", &[self.into()], &[("memory_format", format.into())])
    }

    // ---- losses; `reduction` is `mean`, `sum` or `none`

    /// Squared difference.
    ///
    /// # Errors
    /// `E0202` for another reduction or shapes that differ.
    pub fn mse_loss(&self, target: &Tensor, reduction: &str) -> Result<Tensor> {
        self.same_shape("mse_loss", target)?;
        bridge::call1("mse_loss", &[self.into(), target.into(), reduction_code("mse_loss", reduction)?], &[])
    }

    /// Absolute difference.
    ///
    /// # Errors
    /// As [`Tensor::mse_loss`].
    pub fn l1_loss(&self, target: &Tensor, reduction: &str) -> Result<Tensor> {
        self.same_shape("l1_loss", target)?;
        bridge::call1("l1_loss", &[self.into(), target.into(), reduction_code("l1_loss", reduction)?], &[])
    }

    /// Squared below `beta`, absolute above.
    ///
    /// # Errors
    /// As [`Tensor::mse_loss`].
    pub fn smooth_l1_loss(&self, target: &Tensor, reduction: &str, beta: f64) -> Result<Tensor> {
        self.same_shape("smooth_l1_loss", target)?;
        bridge::call1("smooth_l1_loss", &[self.into(), target.into(), reduction_code("smooth_l1_loss", reduction)?, beta.into()], &[])
    }

    /// Cross entropy of logits `[B, K, ..]` and class indices `[B, ..]` (or probabilities of the logits' shape).
    ///
    /// # Errors
    /// `E0202` for another reduction, `E0201` when shapes or indices do not fit.
    pub fn cross_entropy(&self, target: &Tensor, weight: Option<&Tensor>, reduction: &str, label_smoothing: f64) -> Result<Tensor> {
        let args = [self.into(), target.into(), weight.into(), reduction_code("cross_entropy", reduction)?, (-100i64).into(), label_smoothing.into()];
        bridge::call1("cross_entropy_loss", &args, &[])
    }

    /// Binary cross entropy of logits and targets in 0..1.
    ///
    /// # Errors
    /// As [`Tensor::mse_loss`].
    pub fn bce_with_logits(&self, target: &Tensor, weight: Option<&Tensor>, pos_weight: Option<&Tensor>, reduction: &str) -> Result<Tensor> {
        let args = [self.into(), target.into(), weight.into(), pos_weight.into(), reduction_code("bce_with_logits", reduction)?];
        bridge::call1("binary_cross_entropy_with_logits", &args, &[])
    }

    /// Cosine of the angle between vectors along `dim`.
    pub fn cosine_similarity(&self, other: &Tensor, dim: i64, eps: f64) -> Result<Tensor> {
        self.map2(other, "cosine_similarity", tch::Tensor::f_cosine_similarity(&self.0, &other.0, dim, eps))
    }

    fn same_shape(&self, op: &str, other: &Tensor) -> Result<()> {
        // PyTorch broadcasts here with a warning; a forgotten dimension would train on nonsense.
        if self.shape() == other.shape() {
            return Ok(());
        }
        Err(Error::value(op, format!("input and target differ in shape: {:?} and {:?}", self.shape(), other.shape())))
    }

    /// Pads the last dimensions, last one first: `[left, right, top, bottom]`.
    pub fn pad(&self, pad: &[i64], mode: &str, value: Option<f64>) -> Result<Tensor> {
        self.map1("pad", self.0.f_pad(pad, mode, value))
    }
}

/// libtorch's number for a reduction.
fn reduction_code(op: &str, name: &str) -> Result<bridge::Value> {
    match name {
        "none" => Ok(0i64.into()),
        "mean" => Ok(1i64.into()),
        "sum" => Ok(2i64.into()),
        other => Err(Error::value(op, format!("unknown reduction `{other}`")).help("`mean`, `sum` or `none`")),
    }
}

impl AsRef<Tensor> for Tensor {
    fn as_ref(&self) -> &Tensor {
        self
    }
}
