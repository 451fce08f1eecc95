//! The Frechet distance between two sets of features (FID with the features of Inception), after Heusel et al., arXiv 1706.08500.

use crate::error::{Error, Result};
use crate::torch::{DType, Device, Tensor, bridge, no_grad};

/// Mean and covariance of features.
#[derive(Clone, Debug)]
pub struct FeatureStats {
    /// `[D]` f64.
    pub mu: Tensor,
    /// `[D, D]` f64, divisor `n - 1`.
    pub cov: Tensor,
    /// How many features; 0 where a file does not say.
    pub n: i64,
    /// The network that made the features, where it is known: distances between features of two networks mean nothing.
    pub extractor: Option<String>,
}

/// Mean and covariance (divisor `n - 1`, as `np.cov`) of features `[N, D]`, computed in f64 on the CPU.
///
/// # Errors
/// `E0202` for another rank, fewer than two rows, or a feature that is not finite.
pub fn feature_stats(features: &Tensor) -> Result<FeatureStats> {
    let [n, _] = features.shape()[..] else {
        return Err(Error::value("feature_stats", format!("features must be [N, D], got {}", features.describe())));
    };
    if n < 2 {
        return Err(Error::value("feature_stats", format!("a covariance needs at least 2 features, got {n}")));
    }
    no_grad(|| {
        let x = double("feature_stats", "features", features)?;
        let mu = x.mean(&[0], false)?;
        let centred = x.sub(&mu)?;
        let cov = centred.t()?.matmul(&centred)?.div((n - 1) as f64)?;
        Ok(FeatureStats { mu, cov, n, extractor: None })
    })
}

/// `|mu1 - mu2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2))` in f64.
///
/// The trace of the root is the sum of the singular values of `S1^(1/2) S2^(1/2)`. Eigenvalues that rounding leaves where a covariance of
/// fewer samples than dimensions has zeros are taken for zero, so such covariances need no jitter (the reference's `sqrtm` of a singular
/// product does) and cost no digits.
///
/// # Shapes
/// - `mu1`, `mu2`: `[D]`; `s1`, `s2`: `[D, D]`, symmetric
/// # Errors
/// `E0202` for other shapes, values that are not finite, or a matrix that is no covariance.
pub fn frechet(mu1: &Tensor, s1: &Tensor, mu2: &Tensor, s2: &Tensor) -> Result<f64> {
    let d = mu1.shape();
    if d.len() != 1 || d[0] < 1 || mu2.shape() != d || s1.shape() != [d[0], d[0]] || s2.shape() != s1.shape() {
        let shapes = [mu1, s1, mu2, s2].map(Tensor::describe).join(", ");
        return Err(Error::value("frechet", format!("expected [D], [D, D], [D], [D, D], got {shapes}")));
    }
    no_grad(|| {
        let (mu1, mu2) = (double("frechet", "mu1", mu1)?, double("frechet", "mu2", mu2)?);
        let (s1, s2) = (symmetric("s1", s1)?, symmetric("s2", s2)?);
        let product = root("s1", &s1)?.t()?.matmul(&root("s2", &s2)?)?;
        let root_trace = bridge::call1("linalg_svdvals", &[(&product).into()], &[])?.sum(&[], false)?.item()?;
        let trace = |s: &Tensor| s.diag(0)?.sum(&[], false)?.item();
        let shift = mu1.sub(&mu2)?.square()?.sum(&[], false)?.item()?;
        // Rounding may leave a tiny negative distance of equal sets.
        Ok((shift + trace(&s1)? + trace(&s2)? - 2.0 * root_trace).max(0.0))
    })
}

/// A factor `[D, R]` of a covariance, `F F^T = S`, of as many columns as it has eigenvalues above rounding (at least one).
fn root(name: &str, s: &Tensor) -> Result<Tensor> {
    let (values, vectors) = s.eigh()?;
    let list = values.to_vec_f64()?;
    let largest = list.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    let lowest = list.first().copied().unwrap_or(0.0);
    // Covariances that were computed in f32 have eigenvalues of about -1e-7 of the largest.
    if lowest < -1e-3 * largest {
        return Err(Error::value("frechet", format!("`{name}` is no covariance: it has the eigenvalue {lowest:.3e}")));
    }
    let least = largest * list.len() as f64 * f64::EPSILON;
    // Ascending: the zeros come first.
    let zeros = list.iter().take_while(|v| **v <= least).count().min(list.len() - 1) as i64;
    let kept = list.len() as i64 - zeros;
    let roots = values.narrow(0, zeros, kept)?.clamp(Some(0.0), None)?.sqrt()?;
    vectors.narrow(1, zeros, kept)?.mul(&roots)
}

/// The distance of two sets of features.
///
/// # Errors
/// As [`frechet`]; `E0202` when the sets are of different extractors.
pub fn frechet_of(op: &str, a: &FeatureStats, b: &FeatureStats) -> Result<f64> {
    if let (Some(x), Some(y)) = (&a.extractor, &b.extractor)
        && x != y
    {
        return Err(Error::value(op, format!("the statistics were made by different extractors: `{x}` and `{y}`"))
            .help("a distance has a meaning only between features of one network: compute both with the same"));
    }
    frechet(&a.mu, &a.cov, &b.mu, &b.cov).map_err(|e| e.context(op.to_owned()))
}

pub(super) fn double(op: &str, name: &str, x: &Tensor) -> Result<Tensor> {
    let x = x.detach()?.to_device(Device::Cpu)?.to_dtype(DType::Double)?;
    if !x.is_finite()? {
        return Err(Error::value(op, format!("`{name}` holds NaN or infinite values")));
    }
    Ok(x)
}

fn symmetric(name: &str, s: &Tensor) -> Result<Tensor> {
    let s = double("frechet", name, s)?;
    let scale = if s.numel() == 0 { 0.0 } else { s.abs()?.max()?.item()? };
    let off = if s.numel() == 0 { 0.0 } else { s.sub(&s.t()?)?.abs()?.max()?.item()? };
    // Covariances computed in f32 differ from their transpose by rounding.
    if off > 1e-4 * scale {
        return Err(Error::value("frechet", format!("`{name}` is no covariance: it differs from its transpose by {off:.3e}")));
    }
    s.add(&s.t()?)?.mul(0.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sets(rows: i64) -> (FeatureStats, FeatureStats) {
        let f = |g: fn(f64, f64) -> f64| {
            let v: Vec<f64> = (0..rows).flat_map(|n| (0..5).map(move |d| g(n as f64, d as f64))).collect();
            feature_stats(&Tensor::from_vec(&v, &[rows, 5]).unwrap()).unwrap()
        };
        (f(|n, d| (n * 1.7 + d * 0.9).sin() + 0.1 * d), f(|n, d| (n * 0.8 + d * 1.3).cos() * 1.5))
    }

    /* numpy 2, scipy:
    n, d = np.meshgrid(np.arange(12), np.arange(5), indexing="ij")
    a = np.sin(n*1.7 + d*0.9) + 0.1*d; b = np.cos(n*0.8 + d*1.3)*1.5
    m1, s1 = a.mean(0), np.cov(a, rowvar=False); m2, s2 = b.mean(0), np.cov(b, rowvar=False)
    ((m1-m2)**2).sum() + np.trace(s1) + np.trace(s2) - 2*np.trace(scipy.linalg.sqrtm(s1@s2).real)  # 2.320323393184486
    */
    #[test]
    fn agrees_with_scipy() {
        let (a, b) = sets(12);
        assert!((a.mu.to_vec_f64().unwrap()[1] - 0.15703561).abs() < 1e-8);
        assert!((a.cov.to_vec_f64().unwrap()[1] - 0.30590353).abs() < 1e-8);
        let d = frechet(&a.mu, &a.cov, &b.mu, &b.cov).unwrap();
        assert!((d - 2.320323393184486).abs() < 1e-6, "{d}");
        assert!(frechet(&a.mu, &a.cov, &a.mu, &a.cov).unwrap() < 1e-7);
    }

    /* With a, b = a[:3], b[:3] and the factors A = (a - a.mean(0)) / sqrt(2), B alike, the trace of the root is the nuclear norm of A B^T:
    ((a.mean(0)-b.mean(0))**2).sum() + (A**2).sum() + (B**2).sum() - 2*np.linalg.svd(A@B.T, compute_uv=False).sum()  # 5.351314346575414
    */
    #[test]
    fn fewer_samples_than_dimensions_are_no_trouble() {
        let (a, b) = sets(3);
        let d = frechet(&a.mu, &a.cov, &b.mu, &b.cov).unwrap();
        assert!((d - 5.351314346575414).abs() < 1e-12, "{d}");
    }

    #[test]
    fn wrong_input_is_refused() {
        let (a, b) = sets(3);
        assert!(frechet(&a.mu, &a.mu, &b.mu, &b.cov).is_err());
        assert!(frechet(&a.mu, &a.cov, &b.mu, &b.cov.triu(0).unwrap()).is_err());
        assert!(frechet(&a.mu.mul(f64::NAN).unwrap(), &a.cov, &b.mu, &b.cov).is_err());
        assert!(feature_stats(&a.mu).is_err() && feature_stats(&a.mu.unsqueeze(0).unwrap()).is_err());
    }
}
