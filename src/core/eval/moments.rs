//! Mean and covariance of features that come in batches.

use super::frechet::{FeatureStats, double};
use crate::error::{Error, Result};
use crate::torch::{Tensor, no_grad};

/// Sums of features in f64, from which mean and covariance follow: what is held does not grow with the number of pictures.
///
/// Sums of batches are combined as Chan, Golub and LeVeque do (each batch's covariance about its own mean), which loses no digits where the
/// mean is large against the deviation.
#[derive(Clone, Debug, Default)]
pub struct Moments {
    n: i64,
    /// Mean `[D]` and scatter `[D, D]`: the sum of `(x - mean)(x - mean)^T`.
    sums: Option<(Tensor, Tensor)>,
}

impl Moments {
    /// How many features there were.
    pub fn n(&self) -> i64 {
        self.n
    }

    /// Adds features `[N, D]`.
    ///
    /// # Errors
    /// `E0202` for another rank or width than before, or a feature that is not finite.
    pub fn push(&mut self, features: &Tensor) -> Result<()> {
        let [rows, width] = features.shape()[..] else {
            return Err(Error::value("moments", format!("features must be [N, D], got {}", features.describe())));
        };
        if rows == 0 {
            return Ok(());
        }
        no_grad(|| {
            let x = double("moments", "features", features)?;
            let mean = x.mean(&[0], false)?;
            let centred = x.sub(&mean)?;
            let scatter = centred.t()?.matmul(&centred)?;
            let joined = match &self.sums {
                None => (mean, scatter),
                Some((old, sum)) if old.shape() == [width] => {
                    let total = (self.n + rows) as f64;
                    let shift = mean.sub(old)?;
                    let between = shift.unsqueeze(1)?.matmul(&shift.unsqueeze(0)?)?.mul(self.n as f64 * rows as f64 / total)?;
                    (old.add(&shift.mul(rows as f64 / total)?)?, sum.add(&scatter)?.add(&between)?)
                }
                Some((old, _)) => {
                    return Err(Error::value("moments", format!("features of width {width} came after features of width {}", old.numel())));
                }
            };
            self.n += rows;
            self.sums = Some(joined);
            Ok(())
        })
    }

    /// Mean, and covariance with divisor `n - 1`.
    ///
    /// # Errors
    /// `E0202` for fewer than two features.
    pub fn stats(&self) -> Result<FeatureStats> {
        match &self.sums {
            Some((mean, scatter)) if self.n >= 2 => no_grad(|| {
                let cov = scatter.div((self.n - 1) as f64)?;
                Ok(FeatureStats { mu: mean.clone(), cov, n: self.n, extractor: None })
            }),
            _ => Err(Error::value("moments", format!("a covariance needs at least 2 features, got {}", self.n))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::feature_stats;
    use crate::torch::{DType, Device};

    #[test]
    fn batches_give_what_all_at_once_give() {
        // Far from zero, where sums of squares would lose 8 digits.
        let x = Tensor::arange(0.0, 7.0 * 23.0, 1.0, DType::Double, Device::Cpu).unwrap().view(&[23, 7]).unwrap().sin().unwrap().add(1e4).unwrap();
        let whole = feature_stats(&x).unwrap();
        let mut m = Moments::default();
        for (start, n) in [(0, 1), (1, 9), (10, 13)] {
            m.push(&x.narrow(0, start, n).unwrap()).unwrap();
        }
        let got = m.stats().unwrap();
        assert_eq!(got.n, 23);
        assert!(got.mu.sub(&whole.mu).unwrap().abs().unwrap().max().unwrap().item().unwrap() < 1e-11);
        assert!(got.cov.sub(&whole.cov).unwrap().abs().unwrap().max().unwrap().item().unwrap() < 1e-11);
    }

    #[test]
    fn wrong_input_is_refused() {
        let mut m = Moments::default();
        m.push(&Tensor::ones(&[1, 3], DType::Float, Device::Cpu).unwrap()).unwrap();
        assert!(m.stats().is_err());
        assert!(m.push(&Tensor::ones(&[1, 4], DType::Float, Device::Cpu).unwrap()).is_err());
        assert!(m.push(&Tensor::full(&[1, 3], f64::NAN, DType::Float, Device::Cpu).unwrap()).is_err());
        assert_eq!(m.n(), 1);
    }
}
