//! More elementwise operators and reductions: what scripts use beside the hot ones of `ops`.

use super::ops::{binary, unary};
use super::{Operand, Tensor, bridge, refused};
use crate::error::Result;

unary! {
    /// `log(1 + x)`, exact near 0.
    log1p => f_log1p;
    /// Base-2 logarithm.
    log2 => f_log2;
    /// Base-10 logarithm.
    log10 => f_log10;
    /// `e^x - 1`, exact near 0.
    expm1 => f_expm1;
    /// Tangent.
    tan => f_tan;
    /// Arc sine.
    asin => f_asin;
    /// Arc cosine.
    acos => f_acos;
    /// Hyperbolic sine.
    sinh => f_sinh;
    /// Hyperbolic cosine.
    cosh => f_cosh;
    /// Smallest integer not below.
    ceil => f_ceil;
    /// Towards zero.
    trunc => f_trunc;
    /// `x * tanh(softplus(x))`.
    mish => f_mish;
    /// `x > 0 ? x : e^x - 1`.
    elu => f_elu;
    /// `log(sigmoid(x))`, exact for large negative `x`.
    logsigmoid => f_log_sigmoid;
    /// Bool tensor: NaN, for each element.
    isnan => f_isnan;
    /// Bool tensor: infinite, for each element.
    isinf => f_isinf;
    /// All dimensions in reverse order, as `x.T` in PyTorch.
    reversed_dims => f_numpy_t;
    /// Places of the elements that are not zero: `[n, rank]` i64.
    nonzero => f_nonzero;
    /// The median of all elements; the lower one of two.
    median => f_median;
}

binary! {
    /// `value - self`: the subtraction with the sides swapped.
    rsub => f_rsub, "rsub.Scalar";
    /// Bitwise and; logical for bool tensors.
    bitwise_and => f_bitwise_and_tensor, "bitwise_and.Scalar";
    /// Bitwise or; logical for bool tensors.
    bitwise_or => f_bitwise_or_tensor, "bitwise_or.Scalar";
    /// Bitwise exclusive or; logical for bool tensors.
    bitwise_xor => f_bitwise_xor_tensor, "bitwise_xor.Scalar";
}

impl Tensor {
    /// A number as a tensor without dimensions on this tensor's device, with PyTorch's rules of type promotion.
    fn scalar_beside(&self, x: &Operand) -> Result<Tensor> {
        match x {
            Operand::Tensor(t) => Ok((*t).clone()),
            Operand::Float(v) => {
                let dtype = if self.is_float() { self.dtype() } else { super::DType::Float };
                Tensor::full(&[], *v, dtype, self.device())
            }
            Operand::Int(v) => {
                let dtype = if self.dtype() == super::DType::Bool { super::DType::Int64 } else { self.dtype() };
                Tensor::from_slice(&[*v])?.to_device(self.device())?.to_dtype(dtype)?.view(&[])
            }
        }
    }

    /// The larger of both, element by element; NaN wins.
    pub fn maximum<'a>(&self, other: impl Into<Operand<'a>>) -> Result<Tensor> {
        let o = self.scalar_beside(&other.into())?;
        self.map2(&o, "maximum", self.0.f_maximum(&o.0))
    }

    /// The smaller of both, element by element; NaN wins.
    pub fn minimum<'a>(&self, other: impl Into<Operand<'a>>) -> Result<Tensor> {
        let o = self.scalar_beside(&other.into())?;
        self.map2(&o, "minimum", self.0.f_minimum(&o.0))
    }

    /// `base ^ self` for a number.
    pub fn rpow<'a>(&self, base: impl Into<Operand<'a>>) -> Result<Tensor> {
        self.scalar_beside(&base.into())?.pow(self)
    }

    /// `value % self` for a number, with the divisor's sign.
    pub fn rremainder<'a>(&self, value: impl Into<Operand<'a>>) -> Result<Tensor> {
        self.scalar_beside(&value.into())?.remainder(self)
    }

    /// The angle of the point `(other, self)`.
    pub fn atan2(&self, other: &Tensor) -> Result<Tensor> {
        self.map2(other, "atan2", self.0.f_atan2(&other.0))
    }

    /// Between `min` and `max`, keeping an integer dtype.
    pub fn clamp_int(&self, min: Option<i64>, max: Option<i64>) -> Result<Tensor> {
        if min.is_none() && max.is_none() {
            return Ok(self.clone());
        }
        bridge::call1("clamp", &[self.into(), min.into(), max.into()], &[])
    }

    /// `self + weight * (end - self)` with a weight for each element.
    pub fn lerp_tensor(&self, end: &Tensor, weight: &Tensor) -> Result<Tensor> {
        self.0.f_lerp_tensor(&end.0, &weight.0).map(Tensor).map_err(|e| refused("lerp", &[self, end, weight], e))
    }

    /// Gated linear unit: the first half along `dim` times the sigmoid of the second.
    pub fn glu(&self, dim: i64) -> Result<Tensor> {
        self.map1("glu", self.0.f_glu(dim))
    }

    // ---- reductions; an empty `dims` means all

    /// Bool: whether any element over `dims` is not zero.
    pub fn any(&self, dims: &[i64], keepdim: bool) -> Result<Tensor> {
        self.map1("any", if dims.is_empty() { self.0.f_any() } else { self.0.f_any_dims(dims, keepdim) })
    }

    /// Bool: whether no element over `dims` is zero.
    pub fn all(&self, dims: &[i64], keepdim: bool) -> Result<Tensor> {
        self.map1("all", if dims.is_empty() { self.0.f_all() } else { self.0.f_all_dims(dims, keepdim) })
    }

    /// Product of all elements, or along one dimension.
    pub fn prod(&self, dim: Option<i64>, keepdim: bool) -> Result<Tensor> {
        self.map1(
            "prod",
            match dim {
                Some(d) => self.0.f_prod_dim_int(d, keepdim, None),
                None => self.0.f_prod(None),
            },
        )
    }

    /// Running product along `dim`.
    pub fn cumprod(&self, dim: i64) -> Result<Tensor> {
        self.map1("cumprod", self.0.f_cumprod(dim, None))
    }

    /// `log(sum(exp(x)))` over `dims`, without overflow.
    pub fn logsumexp(&self, dims: &[i64], keepdim: bool) -> Result<Tensor> {
        let all: Vec<i64> = (0..self.rank() as i64).collect();
        self.map1("logsumexp", self.0.f_logsumexp(if dims.is_empty() { &all } else { dims }, keepdim))
    }

    /// Medians along `dim` (the lower one of two), and where they are.
    pub fn median_dim(&self, dim: i64, keepdim: bool) -> Result<(Tensor, Tensor)> {
        // libtorch's kernel walks past the end of what was expanded.
        self.pair("median", self.0.f_contiguous().and_then(|x| x.f_median_dim(dim, keepdim)))
    }

    /// The `q`-quantile (0 to 1) of all elements or along `dim`, linearly interpolated.
    pub fn quantile(&self, q: f64, dim: Option<i64>, keepdim: bool) -> Result<Tensor> {
        self.map1("quantile", self.0.f_quantile_scalar(q, dim, keepdim, "linear"))
    }

    /// Where the smallest value is, along `dim` or in the flattened tensor.
    pub fn argmin(&self, dim: Option<i64>, keepdim: bool) -> Result<Tensor> {
        self.map1("argmin", self.0.f_argmin(dim, keepdim))
    }

    // ---- in place (on the shared storage)

    /// Subtracts in place.
    pub fn sub_<'a>(&self, other: impl Into<Operand<'a>>) -> Result<Tensor> {
        match other.into() {
            Operand::Tensor(o) => self.0.shallow_clone().f_sub_(&o.0).map(Tensor).map_err(|e| refused("sub_", &[self, o], e)),
            Operand::Float(x) => bridge::call1("sub_.Scalar", &[self.into(), x.into()], &[]),
            Operand::Int(x) => bridge::call1("sub_.Scalar", &[self.into(), x.into()], &[]),
        }
    }

    /// Divides in place.
    pub fn div_<'a>(&self, other: impl Into<Operand<'a>>) -> Result<Tensor> {
        match other.into() {
            Operand::Tensor(o) => self.0.shallow_clone().f_div_(&o.0).map(Tensor).map_err(|e| refused("div_", &[self, o], e)),
            Operand::Float(x) => bridge::call1("div_.Scalar", &[self.into(), x.into()], &[]),
            Operand::Int(x) => bridge::call1("div_.Scalar", &[self.into(), x.into()], &[]),
        }
    }

    /// Cuts every element to `[min, max]` in place.
    pub fn clamp_(&self, min: f64, max: f64) -> Result<Tensor> {
        bridge::call1("clamp_", &[self.into(), min.into(), max.into()], &[])
    }

    /// Makes every element 1 with probability `p`, else 0, in place.
    pub fn bernoulli_(&self, p: f64) -> Result<Tensor> {
        super::bridge::moving(|| self.0.shallow_clone().f_bernoulli_float_(p)).map(Tensor).map_err(|e| refused("bernoulli_", &[self], e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::torch::{DType, Device};

    /// tch's typed calls panic here.
    #[test]
    fn numbers_that_an_operator_refuses_are_errors() {
        let flags = Tensor::ones(&[2], DType::Bool, Device::Cpu).unwrap();
        assert!(flags.sub(1i64).is_err() && flags.rsub(1.0).is_err());
        let leaf = Tensor::ones(&[2], DType::Float, Device::Cpu).unwrap().requires_grad_(true).unwrap();
        assert!(leaf.add_(1.0).is_err() && leaf.mul_(2i64).is_err() && leaf.sub_(1.0).is_err() && leaf.div_(2.0).is_err());
        assert!(leaf.fill_(1.0).is_err() && leaf.clamp_(0.0, 1.0).is_err() && leaf.lerp_(&flags, 0.5).is_err());
        assert!(leaf.lerp(&flags, 0.5).is_err() && leaf.bitwise_and(1i64).is_err() && leaf.masked_fill(&leaf, 1.0).is_err());
        assert!(leaf.var(&[5], 1, false).is_err() && leaf.std(&[5], 1, false).is_err() && leaf.norm_dims(2.0, &[5], false).is_err());
        assert!(Tensor::full(&[-1], 0.0, DType::Float, Device::Cpu).is_err());
        assert!(Tensor::arange(0.0, 1.0, 0.0, DType::Float, Device::Cpu).is_err());
        assert!(Tensor::linspace(0.0, 1.0, -1, DType::Float, Device::Cpu).is_err());
        let ints = Tensor::from_slice(&[5i64, 2]).unwrap();
        assert!(ints.pow(-1i64).is_err() && ints.remainder(0i64).is_err());
    }
}
