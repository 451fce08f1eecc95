//! Gaussian mixtures with full covariances, fitted by expectation and maximisation, as scikit-learn's `GaussianMixture`: how well few modes
//! describe latents (MAETok, arXiv 2502.03444).

use crate::error::{Error, Result};
use crate::interrupt;
use crate::torch::{DType, Device, Tensor, bridge, no_grad};
use rand::{Rng, SeedableRng};

/// Added to the diagonal of each covariance, scikit-learn's `reg_covar`.
const RIDGE: f64 = 1e-6;

/// A fitted mixture.
#[derive(Debug, Clone)]
pub struct Mixture {
    /// `[K]`.
    pub weights: Tensor,
    /// `[K, D]`.
    pub means: Tensor,
    /// Mean log-likelihood of a point, natural logarithm.
    pub log_likelihood: f64,
    /// Iterations taken.
    pub iterations: usize,
    /// Whether the last one gained less than the tolerance.
    pub converged: bool,
}

/// Fits `k` Gaussians to points `[N, D]`, from the given means `[K, D]` (or points drawn as k-means++ does, by `seed`), equal weights and the
/// covariance of all points, until an iteration gains less than `tolerance` of mean log-likelihood.
///
/// # Errors
/// `E0202` for another shape, values that are not finite, fewer points than `k + 1`, or points of a singular covariance; `E0901` when interrupted.
pub fn mixture(points: &Tensor, k: i64, means: Option<&Tensor>, seed: u64, tolerance: f64, most: usize) -> Result<Mixture> {
    let wrong = |m: String| Error::value("discrimination", m);
    let [n, d] = points.shape()[..] else { return Err(wrong(format!("points are [N, D], got {}", points.describe()))) };
    if k < 1 || n <= k || d < 1 {
        return Err(wrong(format!("{k} Gaussians for {n} points of {d} dimensions")));
    }
    no_grad(|| {
        let x = points.detach()?.to_device(Device::Cpu)?.to_dtype(DType::Double)?;
        if !x.is_finite()? {
            return Err(wrong("the points hold NaN or infinite values".into()));
        }
        let mut means = match means {
            Some(m) if m.shape() == [k, d] => m.to_device(Device::Cpu)?.to_dtype(DType::Double)?,
            Some(m) => return Err(wrong(format!("means are [{k}, {d}], got {}", m.describe()))),
            None => spread(&x, k, seed)?,
        };
        let ridge = Tensor::eye(d, DType::Double, Device::Cpu)?.mul(RIDGE)?;
        let centred = x.sub(&x.mean(&[0], false)?)?;
        let whole = centred.t()?.matmul(&centred)?.div(n as f64)?.add(&ridge)?;
        let mut covs = whole.unsqueeze(0)?.repeat(&[k, 1, 1])?;
        let mut weights = Tensor::full(&[k], 1.0 / k as f64, DType::Double, Device::Cpu)?;
        let mut last = f64::NEG_INFINITY;
        for iterations in 1..=most {
            interrupt::check()?;
            let log_p = densities(&x, &means, &covs)?.add(&weights.log()?)?;
            let total = log_p.logsumexp(&[1], true)?;
            let now = total.mean(&[], false)?.item()?;
            let shares = log_p.sub(&total)?.exp()?;
            let counts = shares.sum(&[0], false)?.add(10.0 * f64::EPSILON)?;
            means = shares.t()?.matmul(&x)?.div(&counts.unsqueeze(1)?)?;
            let one = |i: i64| -> Result<Tensor> {
                let off = x.sub(&means.select(0, i)?)?;
                let weighted = off.mul(&shares.select(1, i)?.unsqueeze(1)?)?;
                weighted.t()?.matmul(&off)?.div(&counts.select(0, i)?)?.add(&ridge)
            };
            covs = Tensor::stack(&(0..k).map(one).collect::<Result<Vec<_>>>()?, 0)?;
            weights = counts.div(&counts.sum(&[], false)?)?;
            let converged = (now - last).abs() < tolerance;
            last = now;
            if converged || iterations == most {
                // Of the parameters that are returned, one step beyond the last expectation.
                let log_p = densities(&x, &means, &covs)?.add(&weights.log()?)?;
                let log_likelihood = log_p.logsumexp(&[1], false)?.mean(&[], false)?.item()?;
                return Ok(Mixture { weights, means, log_likelihood, iterations, converged });
            }
        }
        Err(wrong("at least one iteration is needed".into()))
    })
}

/// `[N, K]` log densities.
fn densities(x: &Tensor, means: &Tensor, covs: &Tensor) -> Result<Tensor> {
    let (k, d) = (means.size(0)?, means.size(1)?);
    let factors = bridge::call1("linalg_cholesky", &[covs.into()], &[])?;
    let one = |i: i64| -> Result<Tensor> {
        let l = factors.select(0, i)?;
        let off = x.sub(&means.select(0, i)?)?.t()?.contiguous()?;
        let solved = bridge::call1("linalg_solve_triangular", &[(&l).into(), (&off).into()], &[("upper", false.into())])?;
        let log_det = l.diag(0)?.log()?.sum(&[], false)?;
        solved.square()?.sum(&[0], false)?.add(d as f64 * (2.0 * std::f64::consts::PI).ln())?.mul(-0.5)?.sub(&log_det)
    };
    Tensor::stack(&(0..k).map(one).collect::<Result<Vec<_>>>()?, 1)
}

/// Points far from each other, drawn as k-means++ does.
fn spread(x: &Tensor, k: i64, seed: u64) -> Result<Tensor> {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let n = x.size(0)?;
    let mut chosen = vec![rng.random_range(0..n)];
    let mut nearest: Option<Vec<f64>> = None;
    while (chosen.len() as i64) < k {
        let last = x.select(0, chosen[chosen.len() - 1])?;
        let d = x.sub(&last)?.square()?.sum(&[1], false)?.to_vec_f64()?;
        let near: Vec<f64> = nearest.map_or_else(|| d.clone(), |old| old.iter().zip(&d).map(|(a, b)| a.min(*b)).collect());
        let mut left = rng.random::<f64>() * near.iter().sum::<f64>();
        let at = near.iter().position(|v| {
            left -= v;
            left < 0.0
        });
        chosen.push(at.map_or_else(|| rng.random_range(0..n), |i| i as i64));
        nearest = Some(near);
    }
    x.index_select(0, &Tensor::from_slice(&chosen)?)
}
