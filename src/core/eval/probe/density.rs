//! How evenly latents are spread: the density of an embedding in the plane, and figures of its unevenness (LightningDiT, arXiv 2501.01423).

use crate::error::{Error, Result};
use crate::torch::{DType, Device, Tensor, no_grad};

/// Figures of a density at the points themselves.
#[derive(Debug, Clone, PartialEq)]
pub struct Uniformity {
    /// Deviation (divisor `N`) over mean.
    pub cv: f64,
    /// Gini coefficient: 0 where all densities are equal.
    pub gini: f64,
    /// Entropy of the densities as shares of their sum, over its largest value `ln N`: 1 where all are equal.
    pub entropy: f64,
}

/// Gaussian kernel density of points `[N, D]` at the points themselves, with the covariance of the points times Scott's factor
/// `N^(-1 / (D + 4))` squared, as scipy's `gaussian_kde`: `[N]`.
///
/// # Errors
/// `E0202` for another shape, values that are not finite, too few points, or points on a line.
pub fn kernel_density(points: &Tensor) -> Result<Tensor> {
    let wrong = |m: String| Error::value("uniformity", m);
    let [n, d] = points.shape()[..] else { return Err(wrong(format!("points are [N, D], got {}", points.describe()))) };
    if n <= d || d < 1 {
        return Err(wrong(format!("{n} points of {d} dimensions have no density")));
    }
    no_grad(|| {
        let x = points.detach()?.to_device(Device::Cpu)?.to_dtype(DType::Double)?;
        if !x.is_finite()? {
            return Err(wrong("the points hold NaN or infinite values".into()));
        }
        let x = x.sub(&x.mean(&[0], false)?)?;
        let cov = x.t()?.matmul(&x)?.div((n - 1) as f64)?;
        let (values, vectors) = cov.eigh()?;
        let list = values.to_vec_f64()?;
        if list.first().copied().unwrap_or(0.0) <= 1e-12 * list.last().copied().unwrap_or(0.0) || list.last().is_none_or(|v| *v <= 0.0) {
            return Err(wrong("the points lie on a line or in one place".into()));
        }
        let factor = (n as f64).powf(-1.0 / (d as f64 + 4.0));
        // In these coordinates the kernel is round.
        let round = x.matmul(&vectors.mul(&values.rsqrt()?)?)?.div(factor)?;
        let norm = (2.0 * std::f64::consts::PI).powf(d as f64 / 2.0) * list.iter().product::<f64>().sqrt() * factor.powi(d as i32) * n as f64;
        let squares = round.square()?.sum(&[1], true)?;
        let block = |part: &Tensor| -> Result<Tensor> {
            crate::interrupt::check()?;
            let distance = part.square()?.sum(&[1], true)?.add(&squares.t()?)?.sub(&part.matmul(&round.t()?)?.mul(2.0)?)?;
            distance.clamp(Some(0.0), None)?.mul(-0.5)?.exp()?.sum(&[1], false)?.div(norm)
        };
        Tensor::cat(&round.split(1024, 0)?.iter().map(block).collect::<Result<Vec<_>>>()?, 0)
    })
}

/// The unevenness of the density of points `[N, D]`.
///
/// # Errors
/// As [`kernel_density`].
pub fn uniformity(points: &Tensor) -> Result<Uniformity> {
    let mut p = kernel_density(points)?.to_vec_f64()?;
    p.sort_by(f64::total_cmp);
    let n = p.len() as f64;
    let sum: f64 = p.iter().sum();
    let mean = sum / n;
    let cv = (p.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt() / mean;
    let ranked: f64 = p.iter().enumerate().map(|(i, v)| (2.0 * (i as f64 + 1.0) - n - 1.0) * v).sum();
    let entropy = -p.iter().map(|v| v / sum).filter(|s| *s > 0.0).map(|s| s * s.ln()).sum::<f64>() / n.ln();
    Ok(Uniformity { cv, gini: ranked / (n * sum), entropy })
}
