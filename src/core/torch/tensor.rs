//! The tensor: a handle to libtorch's, with fallible operations only. Cloning shares the storage.

use super::{DType, Device, bridge, device_name, dtype_name, refused};
use crate::error::{Error, Result};
use crate::memory;

/// A handle to a libtorch tensor. `clone` shares the data; [`Tensor::copy`] copies it.
pub struct Tensor(pub(crate) tch::Tensor);

impl Clone for Tensor {
    fn clone(&self) -> Self {
        Tensor(self.0.shallow_clone())
    }
}

impl std::fmt::Debug for Tensor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "tensor{}", self.describe())
    }
}

/// An int or a float: an int keeps all of its digits on the way to libtorch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// An int.
    Int(i64),
    /// A float.
    Float(f64),
}

impl From<i64> for Number {
    fn from(n: i64) -> Self {
        Number::Int(n)
    }
}
impl From<f64> for Number {
    fn from(x: f64) -> Self {
        Number::Float(x)
    }
}

/// The other side of a binary operation: a tensor or a number.
pub enum Operand<'a> {
    /// A tensor; shapes broadcast.
    Tensor(&'a Tensor),
    /// A float, which turns an integer tensor into a float one.
    Float(f64),
    /// An integer, which keeps the tensor's dtype.
    Int(i64),
}

impl<'a> From<&'a Tensor> for Operand<'a> {
    fn from(t: &'a Tensor) -> Self {
        Operand::Tensor(t)
    }
}
impl From<f64> for Operand<'_> {
    fn from(x: f64) -> Self {
        Operand::Float(x)
    }
}
impl From<i64> for Operand<'_> {
    fn from(x: i64) -> Self {
        Operand::Int(x)
    }
}

impl Tensor {
    /// Takes over a `tch` tensor: for hosts that register operators of their own.
    pub fn from_tch(t: tch::Tensor) -> Self {
        Tensor(t)
    }

    /// Where its values lie and how many bytes they take: the same for handles to one tensor. `None` where they lie in no one place.
    pub fn memory(&self) -> Option<(usize, u64)> {
        let is_plain = self.0.defined() && !self.0.is_sparse() && !self.0.is_mkldnn();
        is_plain.then(|| (self.0.data_ptr() as usize, self.numel() as u64 * self.0.kind().elt_size_in_bytes() as u64))
    }

    /// How often its values were changed in place.
    ///
    /// # Errors
    /// `E0201` for a tensor that does not count, as one made in inference mode.
    pub fn version(&self) -> Result<i64> {
        self.0.f_internal_version().map_err(|e| refused("version", &[self], e))
    }

    /// The `tch` tensor behind this handle.
    pub fn as_tch(&self) -> &tch::Tensor {
        &self.0
    }

    /// `[2, 3] f32`, with the device where it is not the CPU: for messages.
    pub fn describe(&self) -> String {
        if !self.0.defined() {
            return "undefined".into();
        }
        let device = match self.device() {
            Device::Cpu => String::new(),
            d => format!(" {}", device_name(d)),
        };
        format!("{:?} {}{device}", self.shape(), dtype_name(self.dtype()))
    }

    // ---- what it is

    /// The sizes of all dimensions.
    pub fn shape(&self) -> Vec<i64> {
        self.0.size()
    }

    /// The size of dimension `dim`; negative counts from the end.
    ///
    /// # Errors
    /// `E0202` when there is no such dimension.
    pub fn size(&self, dim: i64) -> Result<i64> {
        let shape = self.shape();
        let at = if dim < 0 { dim + shape.len() as i64 } else { dim };
        usize::try_from(at)
            .ok()
            .and_then(|i| shape.get(i).copied())
            .ok_or_else(|| Error::value("size", format!("dimension {dim} of a tensor {shape:?}")))
    }

    /// `[B, C, H, W]` of a batch of maps.
    ///
    /// # Errors
    /// `E0202` for another rank.
    pub fn size4(&self) -> Result<(i64, i64, i64, i64)> {
        match *self.shape() {
            [b, c, h, w] => Ok((b, c, h, w)),
            ref s => Err(Error::value("shape", format!("expected [B, C, H, W], got {s:?}"))),
        }
    }

    /// `[B, N, D]` of a batch of tokens.
    ///
    /// # Errors
    /// `E0202` for another rank.
    pub fn size3(&self) -> Result<(i64, i64, i64)> {
        match *self.shape() {
            [b, n, d] => Ok((b, n, d)),
            ref s => Err(Error::value("shape", format!("expected [B, N, D], got {s:?}"))),
        }
    }

    /// The number of dimensions.
    pub fn rank(&self) -> usize {
        self.0.dim()
    }

    /// The number of elements.
    pub fn numel(&self) -> usize {
        let shape = self.0.size();
        // The sizes beside a 0 may be so large that their product is no number.
        if shape.contains(&0) { 0 } else { shape.iter().product::<i64>() as usize }
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.0.kind()
    }

    /// Where the data lies.
    pub fn device(&self) -> Device {
        self.0.device()
    }

    /// Whether the dtype is f16, bf16, f32 or f64.
    pub fn is_float(&self) -> bool {
        matches!(self.dtype(), DType::Half | DType::BFloat16 | DType::Float | DType::Double)
    }

    /// Whether the dtype is one of ints, or bool.
    pub fn is_integral(&self) -> bool {
        matches!(self.dtype(), DType::Uint8 | DType::Int8 | DType::Int16 | DType::Int | DType::Int64 | DType::Bool)
    }

    /// Whether gradients are recorded for it.
    pub fn requires_grad(&self) -> bool {
        self.0.requires_grad()
    }

    /// Whether its elements lie in memory without gaps, in whatever order of dimensions.
    pub fn is_dense(&self) -> bool {
        let mut dims: Vec<(i64, i64)> = self.0.stride().into_iter().zip(self.shape()).filter(|(_, n)| *n != 1).collect();
        dims.sort_unstable();
        let mut expected = 1;
        let dense = dims.into_iter().all(|(stride, n)| {
            let fits = stride == expected;
            expected = expected.saturating_mul(n);
            fits
        });
        dense || self.numel() == 0
    }

    /// Whether both handles are the same tensor.
    pub fn is_same(&self, other: &Tensor) -> bool {
        self.0.defined() && other.0.defined() && self.numel() > 0 && self.0.data_ptr() == other.0.data_ptr() && self.shape() == other.shape()
    }

    /// Whether only some elements are stored; such a tensor has no strides.
    pub fn is_sparse(&self) -> bool {
        self.0.is_sparse()
    }

    /// How many elements apart neighbours in each dimension lie.
    pub fn strides(&self) -> Vec<i64> {
        self.0.stride()
    }

    /// What tells tensors apart: the address of the data, the sizes and the strides. Equal for all handles to one tensor.
    pub fn id(&self) -> (usize, Vec<i64>, Vec<i64>) {
        (self.0.data_ptr() as usize, self.shape(), self.0.stride())
    }

    /// Whether it is no result of a recorded computation, so that its gradient is kept.
    pub fn is_leaf(&self) -> bool {
        self.0.is_leaf()
    }

    // ---- from and to Rust

    /// A CPU tensor of the slice's dtype: `[len]`.
    pub fn from_slice<T: tch::kind::Element>(data: &[T]) -> Result<Tensor> {
        tch::Tensor::f_from_slice(data).map(Tensor).map_err(|e| refused("tensor", &[], e))
    }

    /// A CPU tensor of that shape from the slice's elements in row-major order.
    ///
    /// # Errors
    /// `E0201` when the count does not fit.
    pub fn from_vec<T: tch::kind::Element>(data: &[T], shape: &[i64]) -> Result<Tensor> {
        Self::from_slice(data)?.view(shape)
    }

    /// A CPU tensor from raw little-endian bytes, as in safetensors.
    ///
    /// # Errors
    /// `E0201` when the byte count does not fit.
    pub fn from_bytes(data: &[u8], shape: &[i64], dtype: DType) -> Result<Tensor> {
        let want = shape.iter().try_fold(dtype.elt_size_in_bytes(), |n, &d| usize::try_from(d).ok().and_then(|d| n.checked_mul(d)));
        if want != Some(data.len()) {
            return Err(Error::torch("tensor", format!("{} bytes for {shape:?} {}", data.len(), dtype_name(dtype))));
        }
        tch::Tensor::f_from_data_size(data, shape, dtype).map(Tensor).map_err(|e| refused("tensor", &[], e))
    }

    /// All elements in row-major order, converted to f64.
    pub fn to_vec_f64(&self) -> Result<Vec<f64>> {
        let t = self.detach()?.to_device(Device::Cpu)?.to_dtype(DType::Double)?.contiguous()?;
        memory::room_for("to_vec", t.numel(), size_of::<f64>())?;
        let mut out = vec![0f64; t.numel()];
        t.0.f_copy_data(&mut out, t.numel()).map_err(|e| refused("to_vec", &[self], e))?;
        Ok(out)
    }

    /// All elements in row-major order, converted to f32.
    pub fn to_vec_f32(&self) -> Result<Vec<f32>> {
        let t = self.detach()?.to_device(Device::Cpu)?.to_dtype(DType::Float)?.contiguous()?;
        memory::room_for("to_vec", t.numel(), size_of::<f32>())?;
        let mut out = vec![0f32; t.numel()];
        t.0.f_copy_data(&mut out, t.numel()).map_err(|e| refused("to_vec", &[self], e))?;
        Ok(out)
    }

    /// All elements in row-major order, converted to i64.
    pub fn to_vec_i64(&self) -> Result<Vec<i64>> {
        let t = self.detach()?.to_device(Device::Cpu)?.to_dtype(DType::Int64)?.contiguous()?;
        memory::room_for("to_vec", t.numel(), size_of::<i64>())?;
        let mut out = vec![0i64; t.numel()];
        t.0.f_copy_data(&mut out, t.numel()).map_err(|e| refused("to_vec", &[self], e))?;
        Ok(out)
    }

    /// The raw little-endian bytes in row-major order, in the tensor's own dtype.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let t = self.detach()?.to_device(Device::Cpu)?.contiguous()?;
        memory::room_for("to_bytes", t.numel(), t.dtype().elt_size_in_bytes())?;
        let mut out = vec![0u8; t.numel() * t.dtype().elt_size_in_bytes()];
        t.0.f_copy_data_u8(&mut out, t.numel()).map_err(|e| refused("to_bytes", &[self], e))?;
        Ok(out)
    }

    /// The only element as f64.
    ///
    /// # Errors
    /// `E0202` when there is more than one.
    pub fn item(&self) -> Result<f64> {
        if self.numel() != 1 {
            return Err(Error::value("item", format!("a tensor with one element is needed, got {}", self.describe()))
                .help("`.to_array()` gives all of them; `.mean()` or `x[i]` reduces to one"));
        }
        Ok(self.to_vec_f64()?[0])
    }

    // ---- gradients

    /// Marks it as a leaf whose gradient is wanted, in place.
    pub fn requires_grad_(&self, on: bool) -> Result<Tensor> {
        if on && !self.is_float() {
            return Err(Error::torch("requires_grad_", format!("only float tensors have gradients, got {}", self.describe())));
        }
        self.0.shallow_clone().f_requires_grad_(on).map(Tensor).map_err(|e| refused("requires_grad_", &[self], e))
    }

    /// Gradients of this scalar with respect to every leaf, added to their `grad`.
    pub fn backward(&self) -> Result<()> {
        if self.numel() != 1 {
            return Err(Error::torch("backward", format!("gradients need a scalar, got {}", self.describe()))
                .help("reduce it first: `loss.mean().backward()`"));
        }
        self.0.f_backward().map_err(|e| bridge::recompute::thrown().unwrap_or_else(|| refused("backward", &[self], e)))
    }

    /// The gradient, if one was computed.
    pub fn grad(&self) -> Result<Option<Tensor>> {
        let g = self.0.f_grad().map_err(|e| refused("grad", &[self], e))?;
        Ok(g.defined().then_some(Tensor(g)))
    }

    /// Drops the gradient.
    pub fn zero_grad(&self) -> Result<()> {
        if let Some(g) = self.grad()? {
            g.detach()?.zero_()?;
        }
        Ok(())
    }

    /// Shares the data, without history.
    pub fn detach(&self) -> Result<Tensor> {
        self.0.f_detach().map(Tensor).map_err(|e| refused("detach", &[self], e))
    }

    /// Replaces what this handle and all its clones see: shape, dtype and device may differ.
    pub fn set_data(&self, new: &Tensor) -> Result<()> {
        self.0.shallow_clone().f_set_data(&new.0).map_err(|e| refused("set_data", &[self, new], e))
    }
}
