//! L2-regularised logistic regression, the minimum of scikit-learn's `LogisticRegression(C)`: `sum of log losses + |W|^2 / (2 C)`, biases free.

use super::lbfgs::minimise;
use crate::error::Result;
use crate::torch::{DType, Device, Tensor, no_grad};

/// Mean and deviation of training features, to standardise with.
#[derive(Debug, Clone)]
pub struct Standardise {
    mean: Tensor,
    scale: Tensor,
}

impl Standardise {
    /// Of features `[N, D]`, divisor `N` as scikit-learn's `StandardScaler`; a feature that does not vary is left as large as it is.
    ///
    /// # Errors
    /// `E0201` when libtorch refuses.
    pub fn of(x: &Tensor) -> Result<Self> {
        no_grad(|| {
            let scale = x.std(&[0], 0, false)?;
            let scale = scale.masked_fill(&scale.le(1e-12)?, 1.0)?;
            Ok(Standardise { mean: x.mean(&[0], false)?, scale })
        })
    }

    /// `(x - mean) / deviation`.
    ///
    /// # Errors
    /// `E0201` for another width.
    pub fn apply(&self, x: &Tensor) -> Result<Tensor> {
        no_grad(|| x.sub(&self.mean)?.div(&self.scale))
    }
}

/// A fitted model: scores are `x W + b`.
#[derive(Debug, Clone)]
pub struct Fitted {
    /// `[D, K]`.
    pub weight: Tensor,
    /// `[K]`.
    pub bias: Tensor,
    /// Steps of L-BFGS.
    pub steps: usize,
}

impl Fitted {
    /// Scores `[N, K]` of features `[N, D]`.
    ///
    /// # Errors
    /// `E0201` for another width.
    pub fn scores(&self, x: &Tensor) -> Result<Tensor> {
        no_grad(|| x.matmul(&self.weight)?.add(&self.bias))
    }
}

/// The largest element of the gradient of the mean loss at the end.
const TOLERANCE: f64 = 1e-6;

/// Classes `y` `[N]` (0 to `classes - 1`) by softmax.
///
/// # Errors
/// `E0202` without convergence in `iterations` steps, `E0901` when interrupted.
pub fn fit_classes(x: &Tensor, y: &Tensor, classes: i64, c: f64, iterations: usize) -> Result<Fitted> {
    let target = y.one_hot(classes)?.to_dtype(x.dtype())?;
    fit(x, classes, c, iterations, |scores| {
        let loss = scores.logsumexp(&[1], false)?.sub(&scores.mul(&target)?.sum(&[1], false)?)?.sum(&[], false)?;
        Ok((loss, scores.softmax(1)?.sub(&target)?))
    })
}

/// Independent answers `y` `[N, K]` of 0 and 1 by logistic functions.
///
/// # Errors
/// As [`fit_classes`].
pub fn fit_binary(x: &Tensor, y: &Tensor, c: f64, iterations: usize) -> Result<Fitted> {
    let target = y.to_dtype(x.dtype())?;
    fit(x, target.size(1)?, c, iterations, |scores| {
        let loss = scores.softplus()?.sub(&scores.mul(&target)?)?.sum(&[], false)?;
        Ok((loss, scores.sigmoid()?.sub(&target)?))
    })
}

/// `losses` gives the sum of losses and its gradient by the scores.
fn fit(x: &Tensor, outputs: i64, c: f64, iterations: usize, losses: impl Fn(&Tensor) -> Result<(Tensor, Tensor)>) -> Result<Fitted> {
    no_grad(|| {
        let (n, d) = (x.size(0)?, x.size(1)?);
        let split = |p: &Tensor| -> Result<(Tensor, Tensor)> {
            let p = p.to_dtype(x.dtype())?.view(&[d + 1, outputs])?;
            Ok((p.narrow(0, 0, d)?, p.select(0, d)?))
        };
        let transposed = x.t()?;
        let start = Tensor::zeros(&[(d + 1) * outputs], DType::Double, Device::Cpu)?;
        let end = minimise(start, TOLERANCE, iterations, |p| {
            let (w, b) = split(p)?;
            let (loss, by_scores) = losses(&x.matmul(&w)?.add(&b)?)?;
            let value = loss.item()? + w.square()?.sum(&[], false)?.item()? / (2.0 * c);
            let by_w = transposed.matmul(&by_scores)?.add(&w.div(c)?)?;
            let gradient = Tensor::cat(&[&by_w, &by_scores.sum(&[0], true)?], 0)?.flatten(0, -1)?.to_dtype(DType::Double)?;
            Ok((value / n as f64, gradient.div(n as f64)?))
        })?;
        let (weight, bias) = split(&end.at)?;
        Ok(Fitted { weight, bias, steps: end.steps })
    })
}
