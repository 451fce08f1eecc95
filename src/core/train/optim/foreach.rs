//! libtorch's multi-tensor operators, by the names that PyTorch's optimizers call them by.

use crate::error::Result;
use crate::torch::Tensor;
use crate::torch::bridge::{Value, call};

/// A list of tensors, all of one device and dtype.
pub(super) type List = Vec<Tensor>;

fn list(tensors: &[Tensor]) -> Value {
    Value::list(tensors)
}

fn new(name: &str, args: &[Value], kw: &[(&str, Value)]) -> Result<List> {
    call(name, args, kw)?.into_iter().next().unwrap_or(Value::None).into_tensors()
}

fn change(name: &str, args: &[Value], kw: &[(&str, Value)]) -> Result<()> {
    call(name, args, kw).map(drop)
}

/// `a *= x`.
pub(super) fn mul_(a: &[Tensor], x: f64) -> Result<()> {
    change("_foreach_mul_.Scalar", &[list(a), x.into()], &[])
}

/// `a * x`.
pub(super) fn mul(a: &[Tensor], x: f64) -> Result<List> {
    new("_foreach_mul.Scalar", &[list(a), x.into()], &[])
}

/// `a += alpha * b`.
pub(super) fn add_(a: &[Tensor], b: &[Tensor], alpha: f64) -> Result<()> {
    change("_foreach_add_.List", &[list(a), list(b)], &[("alpha", alpha.into())])
}

/// `a += x`.
pub(super) fn add_number_(a: &[Tensor], x: f64) -> Result<()> {
    change("_foreach_add_.Scalar", &[list(a), x.into()], &[])
}

/// `a += value * b * c`.
pub(super) fn addcmul_(a: &[Tensor], b: &[Tensor], c: &[Tensor], value: f64) -> Result<()> {
    change("_foreach_addcmul_.Scalar", &[list(a), list(b), list(c), value.into()], &[])
}

/// `a / x`.
pub(super) fn div_number(a: &[Tensor], x: f64) -> Result<List> {
    new("_foreach_div.Scalar", &[list(a), x.into()], &[])
}

/// `a / b`.
pub(super) fn div(a: &[Tensor], b: &[Tensor]) -> Result<List> {
    new("_foreach_div.List", &[list(a), list(b)], &[])
}

/// `sqrt(a)` in place.
pub(super) fn sqrt_(a: &[Tensor]) -> Result<()> {
    change("_foreach_sqrt_", &[list(a)], &[])
}

/// `sign(a)` in place.
pub(super) fn sign_(a: &[Tensor]) -> Result<()> {
    change("_foreach_sign_", &[list(a)], &[])
}

/// `a += weight * (b - a)`.
pub(super) fn lerp_(a: &[Tensor], b: &[Tensor], weight: f64) -> Result<()> {
    change("_foreach_lerp_.Scalar", &[list(a), list(b), weight.into()], &[])
}

/// `a + weight * (b - a)`.
pub(super) fn lerp(a: &[Tensor], b: &[Tensor], weight: f64) -> Result<List> {
    new("_foreach_lerp.Scalar", &[list(a), list(b), weight.into()], &[])
}
