//! The tensor in scripts: shapes, parts and places of elements.

use crate::api;
use crate::script::lang::value::{Dims, FromArg, TensorOrNumber};
use crate::torch::Tensor;
use rhai::Dynamic;

/// A shape: an array of ints, or one int for a vector.
struct Sizes(Vec<i64>);

impl FromArg for Sizes {
    const NAME: &'static str = "an array of ints";
    fn from_dynamic(d: &Dynamic) -> Option<Self> {
        Dims::from_dynamic(d).map(|d| Sizes(d.0))
    }
}

api! {
    methods Tensor;

    /// The same elements in another shape, without a copy; one size may be -1.
    ///
    /// # Shapes
    /// - `[..]` -> `shape`
    /// # Errors
    /// `E0201` when the count does not fit or a copy would be needed (then `reshape`).
    /// # Example
    /// ```rhai
    /// assert_eq(torch::zeros([2, 6]).view([3, -1]).shape, [3, 4]);
    /// assert_eq(torch::zeros([2, 6]).view(-1).shape, [12]);
    /// ```
    fn view(x: Tensor, shape: Sizes) -> Tensor { x.view(&shape.0) }

    /// The same elements in another shape, copied where it must be; one size may be -1.
    ///
    /// # Shapes
    /// - `[..]` -> `shape`
    /// # Errors
    /// `E0201` when the sizes do not fit.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::zeros([2, 6]).t().reshape([3, 4]).shape, [3, 4]);
    /// ```
    fn reshape(x: Tensor, shape: Sizes) -> Tensor { x.reshape(&shape.0) }

    /// The same elements in the shape of another tensor.
    ///
    /// # Shapes
    /// - `[..]` -> the shape of `other`
    /// # Errors
    /// `E0201` when the sizes do not fit.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::zeros([6]).view_as(torch::ones([2, 3])).shape, [2, 3]);
    /// ```
    fn view_as(x: Tensor, other: Tensor) -> Tensor { x.view(&other.shape()) }

    /// Dimensions in another order.
    ///
    /// # Shapes
    /// - `[a, b, c]`, `[2, 0, 1]` -> `[c, a, b]`
    /// # Errors
    /// `E0201` when the sizes do not fit.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::zeros([2, 3, 4]).permute([2, 0, 1]).shape, [4, 2, 3]);
    /// ```
    fn permute(x: Tensor, dims: Vec<i64>) -> Tensor { x.permute(&dims) }

    /// Swaps two dimensions.
    ///
    /// # Shapes
    /// - `[.., a, .., b, ..]` -> `[.., b, .., a, ..]`
    /// # Errors
    /// `E0201` when the sizes do not fit.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::zeros([2, 3, 4]).transpose(1, 2).shape, [2, 4, 3]);
    /// ```
    fn transpose(x: Tensor, dim0: i64, dim1: i64) -> Tensor { x.transpose(dim0, dim1) }

    /// Transpose of a matrix; a vector stays as it is.
    ///
    /// # Shapes
    /// - `[n, m]` -> `[m, n]`
    /// # Errors
    /// `E0201` for more than two dimensions.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::zeros([2, 3]).t().shape, [3, 2]);
    /// ```
    fn t(x: Tensor) -> Tensor { x.t() }

    /// Moves dimensions to other places, keeping the order of the rest.
    ///
    /// # Shapes
    /// - `[a, b, c]`, 0 to -1 -> `[b, c, a]`
    /// # Errors
    /// `E0201` when the sizes do not fit.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::zeros([2, 3, 4]).movedim(0, -1).shape, [3, 4, 2]);
    /// ```
    fn movedim(x: Tensor, source: Dims, destination: Dims) -> Tensor { x.movedim(&source.0, &destination.0) }

    /// Joins the dimensions `start_dim` to `end_dim`, both included; all unless given.
    ///
    /// # Shapes
    /// - `[a, b, c]`, 1 -> `[a, b * c]`
    /// # Errors
    /// `E0201` when the sizes do not fit.
    /// # Example
    /// ```rhai
    /// let x = torch::zeros([2, 3, 4]);
    /// assert_eq(x.flatten().shape, [24]);
    /// assert_eq(x.flatten(1).shape, [2, 12]);
    /// ```
    fn flatten(x: Tensor, start_dim: Option<i64>, end_dim: Option<i64>) -> Tensor { x.flatten(start_dim.unwrap_or(0), end_dim.unwrap_or(-1)) }

    /// Splits a dimension into several; one size may be -1.
    ///
    /// # Shapes
    /// - `[a, b * c]`, 1, `[b, c]` -> `[a, b, c]`
    /// # Errors
    /// `E0201` when the sizes do not fit.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::zeros([2, 12]).unflatten(1, [3, -1]).shape, [2, 3, 4]);
    /// ```
    fn unflatten(x: Tensor, dim: i64, sizes: Vec<i64>) -> Tensor {
        let mut shape = x.shape();
        x.size(dim)?;
        let at = if dim < 0 { dim + shape.len() as i64 } else { dim } as usize;
        shape.splice(at..=at, sizes);
        x.reshape(&shape)
    }

    /// Drops dimension `dim` where its size is 1, or all such dimensions.
    ///
    /// # Shapes
    /// - `[1, n, 1]` -> `[n]`
    /// # Errors
    /// `E0201` when the sizes do not fit.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::zeros([1, 3, 1]).squeeze().shape, [3]);
    /// assert_eq(torch::zeros([1, 3, 1]).squeeze(0).shape, [3, 1]);
    /// ```
    fn squeeze(x: Tensor, dim: Option<i64>) -> Tensor { x.squeeze(dim) }

    /// Inserts a dimension of size 1.
    ///
    /// # Shapes
    /// - `[n]`, 0 -> `[1, n]`
    /// # Errors
    /// `E0201` when the sizes do not fit.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::zeros([3]).unsqueeze(0).shape, [1, 3]);
    /// ```
    fn unsqueeze(x: Tensor, dim: i64) -> Tensor { x.unsqueeze(dim) }

    /// Repeats dimensions of size 1 without a copy; -1 keeps a size.
    ///
    /// # Shapes
    /// - `[n, 1]`, `[-1, m]` -> `[n, m]`
    /// # Errors
    /// `E0201` when the sizes do not fit.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::zeros([3, 1]).expand([-1, 4]).shape, [3, 4]);
    /// ```
    fn expand(x: Tensor, shape: Sizes) -> Tensor { x.expand(&shape.0) }

    /// Repeats dimensions of size 1 to the shape of another tensor, without a copy.
    ///
    /// # Shapes
    /// - `[n, 1]` -> the shape of `other`
    /// # Errors
    /// `E0201` when the sizes do not fit.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::zeros([3, 1]).expand_as(torch::ones([3, 4])).shape, [3, 4]);
    /// ```
    fn expand_as(x: Tensor, other: Tensor) -> Tensor { x.expand(&other.shape()) }

    /// Repeats the data along each dimension.
    ///
    /// # Shapes
    /// - `[a, b]`, `[m, n]` -> `[a * m, b * n]`
    /// # Errors
    /// `E0201` when the sizes do not fit.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::zeros([2, 3]).repeat([2, 1]).shape, [4, 3]);
    /// ```
    fn repeat(x: Tensor, times: Sizes) -> Tensor { x.repeat(&times.0) }

    /// Every entry `repeats` times in a row along `dim`, or of the flattened tensor.
    ///
    /// # Shapes
    /// - `[n]` -> `[n * repeats]`
    /// # Errors
    /// `E0201` when the sizes do not fit.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([1, 2]).repeat_interleave(2).to_array(), [1, 1, 2, 2]);
    /// ```
    fn repeat_interleave(x: Tensor, repeats: i64, dim: Option<i64>) -> Tensor { x.repeat_interleave(repeats, dim) }

    /// `chunks` parts of equal size along `dim` (the first unless given), the last one smaller.
    ///
    /// # Shapes
    /// - `[.., n, ..]` -> arrays of `[.., n / chunks, ..]`
    /// # Errors
    /// `E0201` when the sizes do not fit.
    /// # Example
    /// ```rhai
    /// let parts = torch::zeros([2, 6]).chunk(3, 1);
    /// assert_eq(parts.len(), 3);
    /// assert_eq(parts[0].shape, [2, 2]);
    /// ```
    fn chunk(x: Tensor, chunks: i64, dim: Option<i64>) -> Vec<Tensor> { x.chunk(chunks, dim.unwrap_or(0)) }

    /// Parts of `size` along `dim` (the first unless given), or parts of the sizes in an array.
    ///
    /// # Shapes
    /// - `[.., n, ..]` -> arrays of `[.., size, ..]`
    /// # Errors
    /// `E0201` when the sizes of an array do not add up to the dimension.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::zeros([5]).split(2).len(), 3);
    /// assert_eq(torch::zeros([5]).split([1, 4])[1].shape, [4]);
    /// ```
    fn split(x: Tensor, size: Dims, dim: Option<i64>) -> Vec<Tensor> {
        let dim = dim.unwrap_or(0);
        match size.0[..] {
            [size] => x.split(size, dim),
            _ => x.split_sizes(&size.0, dim),
        }
    }

    /// One tensor for each index of `dim` (the first unless given).
    ///
    /// # Shapes
    /// - `[n, ..]` -> n of `[..]`
    /// # Errors
    /// `E0201` when the sizes do not fit.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::zeros([3, 2]).unbind().len(), 3);
    /// ```
    fn unbind(x: Tensor, dim: Option<i64>) -> Vec<Tensor> { x.unbind(dim.unwrap_or(0)) }

    /// `length` entries of `dim` from `start`, sharing the data.
    ///
    /// # Shapes
    /// - `[.., n, ..]` -> `[.., length, ..]`
    /// # Errors
    /// `E0201` when they reach beyond the size.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::arange(5).narrow(0, 1, 2).to_array(), [1, 2]);
    /// ```
    fn narrow(x: Tensor, dim: i64, start: i64, length: i64) -> Tensor { x.narrow(dim, start, length) }

    /// Entry `index` of `dim`, which is dropped; negative counts from the end.
    ///
    /// # Shapes
    /// - `[.., n, ..]` -> `[.., ..]`
    /// # Errors
    /// `E0201` when the index is out of range.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::zeros([2, 3]).select(1, -1).shape, [2]);
    /// ```
    fn select(x: Tensor, dim: i64, index: i64) -> Tensor { x.select(dim, index) }

    /// Entries `start..end` of `dim`; ends beyond the size are cut, negative ones count from the end, `()` means open.
    ///
    /// # Shapes
    /// - `[.., n, ..]` -> `[.., (end - start) / step, ..]`
    /// # Errors
    /// `E0201` for a step below 1.
    /// # Example
    /// ```rhai
    /// let x = torch::arange(6);
    /// assert_eq(x.slice(0, 1, -1).to_array(), [1, 2, 3, 4]);
    /// assert_eq(x.slice(0, (), (), 2).to_array(), [0, 2, 4]);
    /// ```
    fn slice(x: Tensor, dim: i64, start: Option<i64>, end: Option<i64>, step: Option<i64>) -> Tensor { x.slice(dim, start, end, step.unwrap_or(1)) }

    /// Entries of `dim` named by an i64 tensor.
    ///
    /// # Shapes
    /// - `[.., n, ..]`, `[i]` -> `[.., i, ..]`
    /// # Errors
    /// `E0201` when an index is out of range.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([5, 6, 7]).index_select(0, torch::tensor([2, 0])).to_array(), [7, 5]);
    /// ```
    fn index_select(x: Tensor, dim: i64, index: Tensor) -> Tensor { x.index_select(dim, &index) }

    /// Elements along `dim` at the places of `index`.
    ///
    /// # Shapes
    /// - `x` and `index` of one rank -> the shape of `index`
    /// # Errors
    /// `E0201` when an index is out of range.
    /// # Example
    /// ```rhai
    /// let x = torch::tensor([[1, 2], [3, 4]]);
    /// assert_eq(x.gather(1, torch::tensor([[0], [1]])).to_array(), [[1], [4]]);
    /// ```
    fn gather(x: Tensor, dim: i64, index: Tensor) -> Tensor { x.gather(dim, &index) }

    /// Places the elements of `src` (or a number) along `dim` where `index` says; the inverse of `gather`.
    ///
    /// # Shapes
    /// - `index` and `src` of one shape -> the shape of `x`
    /// # Errors
    /// `E0201` when an index is out of range.
    /// # Example
    /// ```rhai
    /// let x = torch::zeros([1, 3]);
    /// assert_eq(x.scatter(1, torch::tensor([[2]]), 1).to_array(), [[0.0, 0.0, 1.0]]);
    /// ```
    fn scatter(x: Tensor, dim: i64, index: Tensor, src: TensorOrNumber) -> Tensor {
        let src = match src {
            TensorOrNumber::Tensor(t) => t,
            TensorOrNumber::Int(v) => Tensor::full(&index.shape(), v, x.dtype(), x.device())?,
            TensorOrNumber::Float(v) => Tensor::full(&index.shape(), v, x.dtype(), x.device())?,
        };
        x.scatter(dim, &index, &src)
    }

    /// Adds the elements of `src` along `dim` where `index` says.
    ///
    /// # Shapes
    /// - -> the shape of `x`
    /// # Errors
    /// `E0201` when an index is out of range.
    /// # Example
    /// ```rhai
    /// let x = torch::zeros([3]);
    /// assert_eq(x.scatter_add(0, torch::tensor([1, 1]), torch::ones([2])).to_array(), [0.0, 2.0, 0.0]);
    /// ```
    fn scatter_add(x: Tensor, dim: i64, index: Tensor, src: Tensor) -> Tensor { x.scatter_add(dim, &index, &src) }

    /// Adds the entries of `src` to the entries of `dim` named by `index`.
    ///
    /// # Shapes
    /// - -> the shape of `x`
    /// # Errors
    /// `E0201` when an index is out of range.
    /// # Example
    /// ```rhai
    /// let x = torch::zeros([3]);
    /// assert_eq(x.index_add(0, torch::tensor([1, 1]), torch::ones([2])).to_array(), [0.0, 2.0, 0.0]);
    /// ```
    fn index_add(x: Tensor, dim: i64, index: Tensor, src: Tensor) -> Tensor { x.index_add(dim, &index, &src) }

    /// `value` where `mask` is true, else `x`.
    ///
    /// # Shapes
    /// - `mask`: bool, broadcasts to `x` -> the shape of `x`
    /// # Errors
    /// `E0201` when libtorch refuses the input.
    /// # Example
    /// ```rhai
    /// let x = torch::tensor([1.0, -1.0]);
    /// assert_eq(x.masked_fill(x < 0, 0).to_array(), [1.0, 0.0]);
    /// ```
    fn masked_fill(x: Tensor, mask: Tensor, value: TensorOrNumber) -> Tensor { x.masked_fill(&mask, &value) }

    /// The elements where `mask` is true.
    ///
    /// # Shapes
    /// - any shape -> `[n]`
    /// # Errors
    /// `E0201` when libtorch refuses the input.
    /// # Example
    /// ```rhai
    /// let x = torch::tensor([1, 2, 3]);
    /// assert_eq(x.masked_select(x > 1).to_array(), [2, 3]);
    /// ```
    fn masked_select(x: Tensor, mask: Tensor) -> Tensor { x.masked_select(&mask) }

    /// `x` where `condition` is true, else `other` (a tensor or a number).
    ///
    /// # Shapes
    /// - shapes broadcast
    /// # Errors
    /// `E0201` when libtorch refuses the input.
    /// # Example
    /// ```rhai
    /// let x = torch::tensor([1.0, -1.0]);
    /// assert_eq(x.where(x > 0, 0.5).to_array(), [1.0, 0.5]);
    /// ```
    fn where_ as "where"(x: Tensor, condition: Tensor, other: TensorOrNumber) -> Tensor {
        x.where_(&condition, &other.beside(&x)?)
    }

    /// The places of the elements that are not zero: i64.
    ///
    /// # Shapes
    /// - `[..]` -> `[n, rank]`
    /// # Errors
    /// `E0201` when libtorch refuses the input.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([0, 5, 6]).nonzero().to_array(), [[1], [2]]);
    /// ```
    fn nonzero(x: Tensor) -> Tensor { x.nonzero() }

    /// Reverses the order along the given dimensions.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` when libtorch refuses the input.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([1, 2, 3]).flip(0).to_array(), [3, 2, 1]);
    /// ```
    fn flip(x: Tensor, dims: Dims) -> Tensor { x.flip(&dims.0) }

    /// Rolls elements around along `dims`, or in the flattened tensor.
    ///
    /// # Shapes
    /// - any shape -> the same shape
    /// # Errors
    /// `E0201` when libtorch refuses the input.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([1, 2, 3]).roll(1).to_array(), [3, 1, 2]);
    /// ```
    fn roll(x: Tensor, shifts: Dims, dims: Option<Dims>) -> Tensor { x.roll(&shifts.0, &dims.map_or(Vec::new(), |d| d.0)) }

    /// The lower triangle of a matrix; the rest is zero.
    ///
    /// # Shapes
    /// - `[.., n, m]` -> the same shape
    /// # Errors
    /// `E0201` when libtorch refuses the input.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::ones([2, 2]).tril().to_array(), [[1.0, 0.0], [1.0, 1.0]]);
    /// ```
    fn tril(x: Tensor, diagonal: Option<i64>) -> Tensor { x.tril(diagonal.unwrap_or(0)) }

    /// The upper triangle of a matrix; the rest is zero.
    ///
    /// # Shapes
    /// - `[.., n, m]` -> the same shape
    /// # Errors
    /// `E0201` when libtorch refuses the input.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::ones([2, 2]).triu().to_array(), [[1.0, 1.0], [0.0, 1.0]]);
    /// ```
    fn triu(x: Tensor, diagonal: Option<i64>) -> Tensor { x.triu(diagonal.unwrap_or(0)) }

    /// A vector as a diagonal matrix, or the diagonal of a matrix.
    ///
    /// # Shapes
    /// - `[n]` -> `[n, n]`; `[n, m]` -> `[min(n, m)]`
    /// # Errors
    /// `E0201` when libtorch refuses the input.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([1, 2]).diag().to_array(), [[1, 0], [0, 2]]);
    /// assert_eq(torch::eye(3).diag().shape, [3]);
    /// ```
    fn diag(x: Tensor, diagonal: Option<i64>) -> Tensor { x.diag(diagonal.unwrap_or(0)) }
}
