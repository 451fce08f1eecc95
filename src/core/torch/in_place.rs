//! Operations in place, on the storage that all handles of a tensor share.

use super::{Number, Operand, Tensor, bridge, refused};
use crate::error::Result;

impl Tensor {
    /// Overwrites the elements with those of `src`, converting dtype and device; shapes broadcast.
    pub fn copy_(&self, src: &Tensor) -> Result<Tensor> {
        let mut t = self.0.shallow_clone();
        t.f_copy_(&src.0).map_err(|e| refused("copy_", &[self, src], e))?;
        Ok(Tensor(t))
    }

    /// Sets every element to `value`.
    pub fn fill_(&self, value: impl Into<Number>) -> Result<Tensor> {
        bridge::call1("fill_.Scalar", &[self.into(), value.into().into()], &[])
    }

    /// Sets every element to zero.
    pub fn zero_(&self) -> Result<Tensor> {
        self.0.shallow_clone().f_zero_().map(Tensor).map_err(|e| refused("zero_", &[self], e))
    }

    /// Draws every element from N(mean, std).
    pub fn normal_(&self, mean: f64, std: f64) -> Result<Tensor> {
        super::bridge::moving(|| self.0.shallow_clone().f_normal_(mean, std)).map(Tensor).map_err(|e| refused("normal_", &[self], e))
    }

    /// Draws every element from U(lo, hi).
    pub fn uniform_(&self, lo: f64, hi: f64) -> Result<Tensor> {
        super::bridge::moving(|| self.0.shallow_clone().f_uniform_(lo, hi)).map(Tensor).map_err(|e| refused("uniform_", &[self], e))
    }

    /// `self + weight * (end - self)`.
    pub fn lerp_(&self, end: &Tensor, weight: f64) -> Result<Tensor> {
        bridge::call1("lerp_.Scalar", &[self.into(), end.into(), weight.into()], &[])
    }

    /// Adds in place.
    pub fn add_<'a>(&self, other: impl Into<Operand<'a>>) -> Result<Tensor> {
        match other.into() {
            Operand::Tensor(o) => self.0.shallow_clone().f_add_(&o.0).map(Tensor).map_err(|e| refused("add_", &[self, o], e)),
            Operand::Float(x) => bridge::call1("add_.Scalar", &[self.into(), x.into()], &[]),
            Operand::Int(x) => bridge::call1("add_.Scalar", &[self.into(), x.into()], &[]),
        }
    }

    /// Multiplies in place.
    pub fn mul_<'a>(&self, other: impl Into<Operand<'a>>) -> Result<Tensor> {
        match other.into() {
            Operand::Tensor(o) => self.0.shallow_clone().f_mul_(&o.0).map(Tensor).map_err(|e| refused("mul_", &[self, o], e)),
            Operand::Float(x) => bridge::call1("mul_.Scalar", &[self.into(), x.into()], &[]),
            Operand::Int(x) => bridge::call1("mul_.Scalar", &[self.into(), x.into()], &[]),
        }
    }
}
