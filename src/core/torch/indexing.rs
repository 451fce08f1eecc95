//! Operators that pick, place and rearrange elements, and the eigendecomposition.

use super::bridge::Value;
use super::{Operand, Tensor, bridge, operators, refused};
use crate::error::Result;

impl Tensor {
    /// `value` where `mask` is true.
    pub fn masked_fill<'a>(&self, mask: &Tensor, value: impl Into<Operand<'a>>) -> Result<Tensor> {
        bridge::call1("masked_fill", &[self.into(), mask.into(), value.into().into()], &[])
    }

    /// `value` where `mask` is true, in place.
    pub fn masked_fill_<'a>(&self, mask: &Tensor, value: impl Into<Operand<'a>>) -> Result<Tensor> {
        bridge::call1("masked_fill_", &[self.into(), mask.into(), value.into().into()], &[])
    }

    /// The elements where `mask` is true: `[n]`.
    pub fn masked_select(&self, mask: &Tensor) -> Result<Tensor> {
        self.map2(mask, "masked_select", self.0.f_masked_select(&mask.0))
    }

    /// `self[index]`: rows named by an i64 tensor of any shape, or chosen by a bool mask over the leading dimensions.
    pub fn index(&self, index: &Tensor) -> Result<Tensor> {
        self.map2(index, "index", self.0.f_index(&[Some(&index.0)]))
    }

    /// `self[index] = values`, in place.
    pub fn index_put_(&self, index: &Tensor, values: &Tensor) -> Result<Tensor> {
        let mut t = self.0.shallow_clone();
        t.f_index_put_(&[Some(&index.0)], &values.0, false).map(Tensor).map_err(|e| refused("index_put_", &[self, index, values], e))
    }

    /// Places the elements of `src` along `dim` where `index` says; the inverse of `gather`.
    pub fn scatter(&self, dim: i64, index: &Tensor, src: &Tensor) -> Result<Tensor> {
        self.0.f_scatter(dim, &index.0, &src.0).map(Tensor).map_err(|e| refused("scatter", &[self, index, src], e))
    }

    /// Adds the elements of `src` along `dim` where `index` says.
    pub fn scatter_add(&self, dim: i64, index: &Tensor, src: &Tensor) -> Result<Tensor> {
        self.0.f_scatter_add(dim, &index.0, &src.0).map(Tensor).map_err(|e| refused("scatter_add", &[self, index, src], e))
    }

    /// Adds the rows of `src` to the rows of `dim` named by `index`.
    pub fn index_add(&self, dim: i64, index: &Tensor, src: &Tensor) -> Result<Tensor> {
        self.0.f_index_add(dim, &index.0, &src.0).map(Tensor).map_err(|e| refused("index_add", &[self, index, src], e))
    }

    /// Rolls elements around along `dims`; without dims, in the flattened tensor.
    pub fn roll(&self, shifts: &[i64], dims: &[i64]) -> Result<Tensor> {
        self.map1("roll", self.0.f_roll(shifts, dims))
    }

    /// Parts of the given sizes along `dim`.
    pub fn split_sizes(&self, sizes: &[i64], dim: i64) -> Result<Vec<Tensor>> {
        self.many("split", self.0.f_split_with_sizes(sizes, dim))
    }

    /// Every element `repeats` times in a row along `dim`, or flattened.
    pub fn repeat_interleave(&self, repeats: i64, dim: Option<i64>) -> Result<Tensor> {
        self.map1("repeat_interleave", self.0.f_repeat_interleave_self_int(repeats, dim, None))
    }

    /// Moves dimensions to other places, keeping the order of the rest.
    pub fn movedim(&self, source: &[i64], destination: &[i64]) -> Result<Tensor> {
        self.map1("movedim", self.0.f_movedim(source, destination))
    }

    /// The lower triangle; the rest is zero.
    pub fn tril(&self, diagonal: i64) -> Result<Tensor> {
        self.map1("tril", self.0.f_tril(diagonal))
    }

    /// The upper triangle; the rest is zero.
    pub fn triu(&self, diagonal: i64) -> Result<Tensor> {
        self.map1("triu", self.0.f_triu(diagonal))
    }

    /// A vector as a diagonal matrix, or the diagonal of a matrix.
    pub fn diag(&self, diagonal: i64) -> Result<Tensor> {
        self.map1("diag", self.0.f_diag(diagonal))
    }

    /// `[..]` i64 -> `[.., classes]` i64 of zeros and ones; -1 takes the largest index.
    pub fn one_hot(&self, classes: i64) -> Result<Tensor> {
        self.map1("one_hot", self.0.f_one_hot(classes))
    }

    /// Eigenvalues in ascending order and eigenvectors (columns) of a symmetric matrix `[.., n, n]`.
    pub fn eigh(&self) -> Result<(Tensor, Tensor)> {
        let mut pair = operators::call_own("linalg_eigh", &[self.into(), "L".into()], &[])?.into_iter();
        let mut next = || pair.next().unwrap_or(Value::None).into_tensor();
        Ok((next()?, next()?))
    }

    /// Counts of the values in `bins` equal bins from `min` to `max`: `[bins]`.
    pub fn histogram(&self, bins: usize, min: f64, max: f64) -> Result<Vec<u64>> {
        let mut out = vec![0u64; bins.max(1)];
        let width = (max - min) / bins.max(1) as f64;
        for v in self.to_vec_f64()? {
            if v.is_finite() && v >= min && v <= max {
                let at = if width > 0.0 { ((v - min) / width) as usize } else { 0 };
                out[at.min(bins.max(1) - 1)] += 1;
            }
        }
        Ok(out)
    }
}
