//! The tensor in scripts: reductions, running sums, order.

use crate::api;
use crate::error::{Error, Result};
use crate::script::lang::options::Named;
use crate::script::lang::value::{Dims, IntoScript, TensorOrNumber};
use crate::torch::Tensor;
use rhai::{Dynamic, Map};

api! {
    methods Tensor;

    /// Sum of all elements, or over `dim`.
    ///
    /// # Shapes
    /// - `[..]` -> `[]`, or without the dimensions `dim`; with `keepdim` these stay with size 1
    /// # Errors
    /// `E0201` for a dimension that is not there.
    /// # Example
    /// ```rhai
    /// let x = torch::tensor([[1.0, 2.0], [3.0, 4.0]]);
    /// assert_eq(x.sum().item(), 10.0);
    /// assert_eq(x.sum(1).to_array(), [3.0, 7.0]);
    /// assert_eq(x.sum([0, 1], #{keepdim: true}).shape, [1, 1]);
    /// ```
    fn sum(x: Tensor, dim: Named<Dims>, keepdim: Named<bool>) -> Tensor {
        let (dims, keep) = over(&x, dim, keepdim);
        x.sum(&dims, keep)
    }

    /// Mean of all elements, or over `dim`.
    ///
    /// # Shapes
    /// - `[..]` -> `[]`, or without the dimensions `dim`; with `keepdim` these stay with size 1
    /// # Errors
    /// `E0201` for a dimension that is not there, or an integer tensor: `x.float().mean()`.
    /// # Example
    /// ```rhai
    /// let x = torch::tensor([[1.0, 2.0], [3.0, 4.0]]);
    /// assert_eq(x.mean().item(), 2.5);
    /// assert_eq(x.mean(1).to_array(), [1.5, 3.5]);
    /// assert_eq(x.mean([0, 1], #{keepdim: true}).shape, [1, 1]);
    /// ```
    fn mean(x: Tensor, dim: Named<Dims>, keepdim: Named<bool>) -> Tensor {
        let (dims, keep) = over(&x, dim, keepdim);
        x.mean(&dims, keep)
    }

    /// Largest value of all, or over `dim`.
    ///
    /// # Shapes
    /// - `[..]` -> `[]`, or without the dimensions `dim`; with `keepdim` these stay with size 1
    /// # Errors
    /// `E0201` for a dimension that is not there.
    /// # Example
    /// ```rhai
    /// let x = torch::tensor([[1.0, 2.0], [3.0, 4.0]]);
    /// assert_eq(x.amax().item(), 4.0);
    /// assert_eq(x.amax(1).to_array(), [2.0, 4.0]);
    /// assert_eq(x.amax([0, 1], #{keepdim: true}).shape, [1, 1]);
    /// ```
    fn amax(x: Tensor, dim: Named<Dims>, keepdim: Named<bool>) -> Tensor {
        let (dims, keep) = over(&x, dim, keepdim);
        x.amax(&dims, keep)
    }

    /// Smallest value of all, or over `dim`.
    ///
    /// # Shapes
    /// - `[..]` -> `[]`, or without the dimensions `dim`; with `keepdim` these stay with size 1
    /// # Errors
    /// `E0201` for a dimension that is not there.
    /// # Example
    /// ```rhai
    /// let x = torch::tensor([[1.0, 2.0], [3.0, 4.0]]);
    /// assert_eq(x.amin().item(), 1.0);
    /// assert_eq(x.amin(1).to_array(), [1.0, 3.0]);
    /// assert_eq(x.amin([0, 1], #{keepdim: true}).shape, [1, 1]);
    /// ```
    fn amin(x: Tensor, dim: Named<Dims>, keepdim: Named<bool>) -> Tensor {
        let (dims, keep) = over(&x, dim, keepdim);
        x.amin(&dims, keep)
    }

    /// Bool: whether any element is true (not zero), of all or over `dim`.
    ///
    /// # Shapes
    /// - `[..]` -> `[]`, or without the dimensions `dim`; with `keepdim` these stay with size 1
    /// # Errors
    /// `E0201` when libtorch refuses the input.
    /// # Example
    /// ```rhai
    /// let x = torch::tensor([[1, 0], [1, 1]]);
    /// assert_eq(x.any(1).to_array(), [true, true]);
    /// if x.any().item() { print("yes"); }
    /// ```
    fn any(x: Tensor, dim: Named<Dims>, keepdim: Named<bool>) -> Tensor {
        let (dims, keep) = over(&x, dim, keepdim);
        x.any(&dims, keep)
    }

    /// Bool: whether all elements are true (not zero), of all or over `dim`.
    ///
    /// # Shapes
    /// - `[..]` -> `[]`, or without the dimensions `dim`; with `keepdim` these stay with size 1
    /// # Errors
    /// `E0201` when libtorch refuses the input.
    /// # Example
    /// ```rhai
    /// let x = torch::tensor([[1, 0], [1, 1]]);
    /// assert_eq(x.all(1).to_array(), [false, true]);
    /// if x.all().item() { print("yes"); }
    /// ```
    fn all(x: Tensor, dim: Named<Dims>, keepdim: Named<bool>) -> Tensor {
        let (dims, keep) = over(&x, dim, keepdim);
        x.all(&dims, keep)
    }

    /// `log(sum(exp(x)))` over all or `dim`, without overflow.
    ///
    /// # Shapes
    /// - `[..]` -> `[]`, or without the dimensions `dim`; with `keepdim` these stay with size 1
    /// # Errors
    /// `E0201` when libtorch refuses the input.
    /// # Example
    /// ```rhai
    /// assert_close(torch::tensor([1000.0, 1000.0]).logsumexp().item(), 1000.6931, #{rtol: 1e-6});
    /// ```
    fn logsumexp(x: Tensor, dim: Named<Dims>, keepdim: Named<bool>) -> Tensor {
        let (dims, keep) = over(&x, dim, keepdim);
        x.logsumexp(&dims, keep)
    }

    /// Variance of all elements, or over `dim`, with divisor `n - correction`: 1 (unbiased) unless `#{correction: 0}`.
    ///
    /// # Shapes
    /// - `[..]` -> `[]`, or without the dimensions `dim`; with `keepdim` these stay with size 1
    /// # Errors
    /// `E0201` when libtorch refuses the input.
    /// # Example
    /// ```rhai
    /// let x = torch::tensor([[1.0, 2.0], [3.0, 4.0]]);
    /// assert_close(x.var(1), torch::tensor([0.5, 0.5]));
    /// assert_close(x.var(#{correction: 0}).item(), 1.25, #{rtol: 1e-6});
    /// ```
    fn var(x: Tensor, dim: Named<Dims>, keepdim: Named<bool>;
        /// whether 1 is taken from the number of elements: PyTorch's older word for `correction`
        unbiased: bool = true,
        /// what is taken from the number of elements; by `unbiased` unless given
        correction: Option<i64>,
    ) -> Tensor {
        let correction = correction.unwrap_or(i64::from(unbiased));
        let (dims, keep) = over(&x, dim, keepdim);
        x.var(&dims, correction, keep)
    }

    /// Standard deviation of all elements, or over `dim`, with divisor `n - correction`: 1 (unbiased) unless `#{correction: 0}`.
    ///
    /// # Shapes
    /// - `[..]` -> `[]`, or without the dimensions `dim`; with `keepdim` these stay with size 1
    /// # Errors
    /// `E0201` when libtorch refuses the input.
    /// # Example
    /// ```rhai
    /// let x = torch::tensor([[1.0, 2.0], [3.0, 4.0]]);
    /// assert_close(x.std(1), torch::tensor([0.70710678, 0.70710678]));
    /// assert_close(x.std(#{correction: 0}).item(), 1.118034, #{rtol: 1e-6});
    /// ```
    fn std(x: Tensor, dim: Named<Dims>, keepdim: Named<bool>;
        /// whether 1 is taken from the number of elements: PyTorch's older word for `correction`
        unbiased: bool = true,
        /// what is taken from the number of elements; by `unbiased` unless given
        correction: Option<i64>,
    ) -> Tensor {
        let correction = correction.unwrap_or(i64::from(unbiased));
        let (dims, keep) = over(&x, dim, keepdim);
        x.std(&dims, correction, keep)
    }

    /// p-norm of all elements, or over `dim`; p is 2 unless given. As in PyTorch, a single number is `p`, not `dim`.
    ///
    /// # Shapes
    /// - `[..]` -> `[]`, or without the dimensions `dim`; with `keepdim` these stay with size 1
    /// # Errors
    /// `E0201` when libtorch refuses the input.
    /// # Example
    /// ```rhai
    /// let x = torch::tensor([[3.0, 4.0]]);
    /// assert_eq(x.norm().item(), 5.0);
    /// assert_eq(x.norm(1).item(), 7.0);
    /// assert_eq(x.norm(#{dim: 1, keepdim: true}).shape, [1, 1]);
    /// ```
    fn norm(x: Tensor, p: Named<f64>, dim: Named<Dims>, keepdim: Named<bool>) -> Tensor {
        let (mut dims, keep) = over(&x, dim, keepdim);
        if dims.is_empty() {
            dims = (0..x.rank() as i64).collect();
        }
        x.norm_dims(p.0.unwrap_or(2.0), &dims, keep)
    }

    /// The largest element; with `dim` a map of `values` and `indices`; with a tensor the larger of both.
    ///
    /// # Shapes
    /// - `[..]` -> `[]`, or without the dimensions `dim`; with `keepdim` these stay with size 1
    /// # Errors
    /// `E0201` when libtorch refuses the input.
    /// # Example
    /// ```rhai
    /// let x = torch::tensor([[1.0, 2.0], [3.0, 4.0]]);
    /// assert_eq(x.max().item(), 4.0);
    /// assert_eq(x.max(1).values.to_array(), [2.0, 4.0]);
    /// assert_eq(x.max(1).indices.to_array(), [1, 1]);
    /// ```
    fn max(x: Tensor, dim: Named<TensorOrNumber>, keepdim: Named<bool>) -> Dynamic { extreme(&x, dim, keepdim, Extreme::Max) }

    /// The smallest element; with `dim` a map of `values` and `indices`; with a tensor the smaller of both.
    ///
    /// # Shapes
    /// - `[..]` -> `[]`, or without the dimensions `dim`; with `keepdim` these stay with size 1
    /// # Errors
    /// `E0201` when libtorch refuses the input.
    /// # Example
    /// ```rhai
    /// let x = torch::tensor([[1.0, 2.0], [3.0, 4.0]]);
    /// assert_eq(x.min().item(), 1.0);
    /// assert_eq(x.min(1).values.to_array(), [1.0, 3.0]);
    /// assert_eq(x.min(1).indices.to_array(), [0, 0]);
    /// ```
    fn min(x: Tensor, dim: Named<TensorOrNumber>, keepdim: Named<bool>) -> Dynamic { extreme(&x, dim, keepdim, Extreme::Min) }

    /// Where the largest value is, along `dim` or in the flattened tensor: i64.
    ///
    /// # Shapes
    /// - `[..]` -> `[]`, or without the dimensions `dim`; with `keepdim` these stay with size 1
    /// # Errors
    /// `E0201` when libtorch refuses the input.
    /// # Example
    /// ```rhai
    /// let x = torch::tensor([[1.0, 2.0], [3.0, 4.0]]);
    /// assert_eq(x.argmax().item(), 3);
    /// assert_eq(x.argmax(0).to_array(), [1, 1]);
    /// ```
    fn argmax(x: Tensor, dim: Named<i64>, keepdim: Named<bool>) -> Tensor {
        let (dim, keep) = along(dim, keepdim);
        x.argmax(dim, keep)
    }

    /// Where the smallest value is, along `dim` or in the flattened tensor: i64.
    ///
    /// # Shapes
    /// - `[..]` -> `[]`, or without the dimensions `dim`; with `keepdim` these stay with size 1
    /// # Errors
    /// `E0201` when libtorch refuses the input.
    /// # Example
    /// ```rhai
    /// let x = torch::tensor([[1.0, 2.0], [3.0, 4.0]]);
    /// assert_eq(x.argmin().item(), 0);
    /// assert_eq(x.argmin(0).to_array(), [0, 0]);
    /// ```
    fn argmin(x: Tensor, dim: Named<i64>, keepdim: Named<bool>) -> Tensor {
        let (dim, keep) = along(dim, keepdim);
        x.argmin(dim, keep)
    }

    /// Product of all elements, or along `dim`.
    ///
    /// # Shapes
    /// - `[..]` -> `[]`, or without the dimensions `dim`; with `keepdim` these stay with size 1
    /// # Errors
    /// `E0201` when libtorch refuses the input.
    /// # Example
    /// ```rhai
    /// let x = torch::tensor([[1.0, 2.0], [3.0, 4.0]]);
    /// assert_eq(x.prod().item(), 24.0);
    /// assert_eq(x.prod(0).to_array(), [3.0, 8.0]);
    /// ```
    fn prod(x: Tensor, dim: Named<i64>, keepdim: Named<bool>) -> Tensor {
        let (dim, keep) = along(dim, keepdim);
        x.prod(dim, keep)
    }

    /// The median of all elements (the lower one of two); with `dim` a map of `values` and `indices`.
    ///
    /// # Shapes
    /// - `[..]` -> `[]`, or without the dimensions `dim`; with `keepdim` these stay with size 1
    /// # Errors
    /// `E0201` when libtorch refuses the input.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([3.0, 1.0, 2.0]).median().item(), 2.0);
    /// ```
    fn median(x: Tensor, dim: Named<i64>, keepdim: Named<bool>) -> Dynamic {
        let (dim, keep) = along(dim, keepdim);
        match dim {
            None => Ok(x.median()?.into_script()),
            Some(d) => x.median_dim(d, keep).map(pair),
        }
    }

    /// The `q`-quantile (0 to 1) of all elements or along `dim`, linearly interpolated.
    ///
    /// # Shapes
    /// - `[..]` -> `[]`, or without the dimensions `dim`; with `keepdim` these stay with size 1
    /// # Errors
    /// `E0201` for an integer tensor or `q` outside 0 to 1.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([0.0, 1.0, 2.0]).quantile(0.25).item(), 0.5);
    /// ```
    fn quantile(x: Tensor, q: f64, dim: Named<i64>, keepdim: Named<bool>) -> Tensor {
        let (dim, keep) = along(dim, keepdim);
        x.quantile(q, dim, keep)
    }

    /// Softmax along `dim`: positive, sum 1.
    ///
    /// # Shapes
    /// - `[..]` -> the same shape
    /// # Errors
    /// `E0201` for a dimension that is not there.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::zeros([2, 4]).softmax(-1).to_array()[0], [0.25, 0.25, 0.25, 0.25]);
    /// ```
    fn softmax(x: Tensor, dim: i64) -> Tensor { x.softmax(dim) }

    /// Logarithm of the softmax along `dim`.
    ///
    /// # Shapes
    /// - `[..]` -> the same shape
    /// # Errors
    /// `E0201` for a dimension that is not there.
    /// # Example
    /// ```rhai
    /// assert_close(torch::zeros([1, 4]).log_softmax(-1)[0][0].item(), -1.3862944, #{rtol: 1e-6});
    /// ```
    fn log_softmax(x: Tensor, dim: i64) -> Tensor { x.log_softmax(dim) }

    /// Running sum along `dim`.
    ///
    /// # Shapes
    /// - `[..]` -> the same shape
    /// # Errors
    /// `E0201` for a dimension that is not there.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([1, 2, 3]).cumsum(0).to_array(), [1, 3, 6]);
    /// ```
    fn cumsum(x: Tensor, dim: i64) -> Tensor { x.cumsum(dim) }

    /// Running product along `dim`.
    ///
    /// # Shapes
    /// - `[..]` -> the same shape
    /// # Errors
    /// `E0201` for a dimension that is not there.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([1, 2, 3]).cumprod(0).to_array(), [1, 2, 6]);
    /// ```
    fn cumprod(x: Tensor, dim: i64) -> Tensor { x.cumprod(dim) }

    /// Values in order along `dim` (the last one unless given), as a map of `values` and `indices`.
    ///
    /// # Shapes
    /// - `[..]` -> two of the same shape
    /// # Errors
    /// `E0201` when libtorch refuses the input.
    /// # Example
    /// ```rhai
    /// let s = torch::tensor([3, 1, 2]).sort(#{descending: true});
    /// assert_eq(s.values.to_array(), [3, 2, 1]);
    /// assert_eq(s.indices.to_array(), [0, 2, 1]);
    /// ```
    fn sort(x: Tensor, dim: Named<i64>, descending: Named<bool>) -> Dynamic {
        let (dim, descending) = order(dim, descending);
        x.sort(dim, descending).map(pair)
    }

    /// The places from which sorted values come, along `dim`: i64.
    ///
    /// # Shapes
    /// - `[..]` -> the same shape
    /// # Errors
    /// `E0201` when libtorch refuses the input.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([3, 1, 2]).argsort().to_array(), [1, 2, 0]);
    /// ```
    fn argsort(x: Tensor, dim: Named<i64>, descending: Named<bool>) -> Tensor {
        let (dim, descending) = order(dim, descending);
        Ok(x.sort(dim, descending)?.1)
    }

    /// The `k` largest (or smallest) along `dim`, sorted, as a map of `values` and `indices`.
    ///
    /// # Shapes
    /// - `[.., n]` -> two of `[.., k]`
    /// # Errors
    /// `E0201` when there are fewer than `k`.
    /// # Example
    /// ```rhai
    /// assert_eq(torch::tensor([3, 1, 2]).topk(2).values.to_array(), [3, 2]);
    /// assert_eq(torch::tensor([3, 1, 2]).topk(1, #{largest: false}).indices.to_array(), [1]);
    /// ```
    fn topk(x: Tensor, k: i64, dim: Named<i64>, largest: Named<bool>) -> Dynamic {
        x.topk(k, dim.0.unwrap_or(-1), largest.0.unwrap_or(true)).map(pair)
    }
}

/// Dimensions (all of them unless given) and `keepdim` of a reduction.
fn over(x: &Tensor, dim: Named<Dims>, keepdim: Named<bool>) -> (Vec<i64>, bool) {
    let keep = keepdim.0.unwrap_or(false);
    let dims = dim.0.map_or(Vec::new(), |d| d.0);
    if keep && dims.is_empty() {
        return ((0..x.rank() as i64).collect(), keep);
    }
    (dims, keep)
}

/// The same for operators that reduce at most one dimension.
fn along(dim: Named<i64>, keepdim: Named<bool>) -> (Option<i64>, bool) {
    (dim.0, keepdim.0.unwrap_or(false))
}

fn order(dim: Named<i64>, descending: Named<bool>) -> (i64, bool) {
    (dim.0.unwrap_or(-1), descending.0.unwrap_or(false))
}

/// Two results with their names, as PyTorch's named tuples.
fn pair((values, indices): (Tensor, Tensor)) -> Dynamic {
    Map::from([("values".into(), values.into_script()), ("indices".into(), indices.into_script())]).into()
}

#[derive(Clone, Copy)]
enum Extreme {
    Max,
    Min,
}

fn extreme(x: &Tensor, dim: Named<TensorOrNumber>, keepdim: Named<bool>, which: Extreme) -> Result<Dynamic> {
    let dim = match dim.0 {
        None => None,
        Some(TensorOrNumber::Int(d)) => Some(d),
        Some(TensorOrNumber::Tensor(y)) => {
            return Ok(match which {
                Extreme::Max => x.maximum(&y)?,
                Extreme::Min => x.minimum(&y)?,
            }
            .into_script());
        }
        Some(TensorOrNumber::Float(v)) => {
            let op = if matches!(which, Extreme::Max) { "max" } else { "min" };
            return Err(Error::value(op, format!("`{v}` is not a dimension")).help(format!("`x.{op}imum({v})` compares with a number")));
        }
    };
    let keep = keepdim.0.unwrap_or(false);
    Ok(match (which, dim) {
        (Extreme::Max, None) => x.max()?.into_script(),
        (Extreme::Min, None) => x.min()?.into_script(),
        (Extreme::Max, Some(d)) => pair(x.max_dim(d, keep)?),
        (Extreme::Min, Some(d)) => pair(x.min_dim(d, keep)?),
    })
}
