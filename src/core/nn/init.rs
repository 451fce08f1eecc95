//! How a parameter gets its first values.

use crate::error::Result;
use crate::torch::{Tensor, no_grad};

/// An initialisation rule, with PyTorch's names. `fan_in` and `fan_out` follow `torch.nn.init`: for a weight
/// `[out, in, ..receptive field]` they are `in * field` and `out * field`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    /// All zero.
    Zeros,
    /// All one.
    Ones,
    /// All `0`.
    Const(f64),
    /// N(mean, std).
    Normal(f64, f64),
    /// U(lo, hi).
    Uniform(f64, f64),
    /// U(-b, b) with `b = 1 / sqrt(fan_in)`: the default of `nn.Linear` and `nn.Conv2d` weights (Kaiming uniform, a = sqrt 5).
    FanIn,
    /// U(-b, b) with `b = 1 / sqrt(n)`: the default of their biases, whose own shape does not tell the fan-in `n`.
    Bias(i64),
    /// U(-b, b) with `b = sqrt(6 / (fan_in + fan_out))`, as `xavier_uniform_`.
    XavierUniform,
    /// The same for a convolution seen as a matrix `[out, in * field]`, as `xavier_uniform_(w.view(w.shape[0], -1))`.
    XavierUniformFlat,
    /// The values are set later, by the caller or by a checkpoint.
    Empty,
}

impl Init {
    /// Fills `t` in place.
    ///
    /// # Errors
    /// `E0201` when libtorch refuses.
    pub fn fill(self, t: &Tensor) -> Result<()> {
        let shape = t.shape();
        let field: i64 = shape.iter().skip(2).product();
        let (out, inn) = (shape.first().copied().unwrap_or(1), shape.get(1).copied().unwrap_or(1));
        let bound = |fan: i64| 1.0 / (fan.max(1) as f64).sqrt();
        let (lo, hi) = no_grad(|| -> Result<Option<f64>> {
            Ok(match self {
                Init::Zeros => t.zero_().map(|_| None)?,
                Init::Ones => t.fill_(1.0).map(|_| None)?,
                Init::Const(v) => t.fill_(v).map(|_| None)?,
                Init::Normal(mean, std) => t.normal_(mean, std).map(|_| None)?,
                Init::Uniform(lo, hi) => t.uniform_(lo, hi).map(|_| None)?,
                Init::FanIn => Some(bound(inn * field)),
                Init::Bias(n) => Some(bound(n)),
                Init::XavierUniform => Some((6.0 / ((inn + out) * field) as f64).sqrt()),
                Init::XavierUniformFlat => Some((6.0 / (out + inn * field) as f64).sqrt()),
                Init::Empty => None,
            })
        })?
        .map_or((0.0, 0.0), |b| (-b, b));
        if hi > lo {
            no_grad(|| t.uniform_(lo, hi))?;
        }
        Ok(())
    }
}
