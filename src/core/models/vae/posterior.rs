//! The diagonal Gaussian that an encoder gives.

use crate::error::{Error, Result};
use crate::torch::Tensor;

/// N(mean, exp(logvar)) for each latent pixel: `[B, D, h, w]`. CompVis' `DiagonalGaussianDistribution`.
#[derive(Clone, Debug)]
pub struct Posterior {
    /// `[B, D, h, w]`.
    pub mean: Tensor,
    /// Clamped to [-30, 20]: `[B, D, h, w]`.
    pub logvar: Tensor,
}

impl Posterior {
    /// Splits moments `[B, 2 D, ..]` into mean and log-variance.
    ///
    /// # Errors
    /// `E0202` when the channels are not even.
    pub fn new(moments: &Tensor) -> Result<Self> {
        let channels = moments.size(1)?;
        if channels % 2 != 0 {
            return Err(Error::value("posterior", format!("mean and log-variance need an even number of channels, got {}", moments.describe())));
        }
        let mean = moments.narrow(1, 0, channels / 2)?;
        let logvar = moments.narrow(1, channels / 2, channels / 2)?.clamp(Some(-30.0), Some(20.0))?;
        Ok(Posterior { mean, logvar })
    }

    /// `exp(logvar / 2)`.
    ///
    /// # Errors
    /// `E0203` without memory.
    pub fn std(&self) -> Result<Tensor> {
        self.logvar.mul(0.5)?.exp()
    }

    /// `exp(logvar)`.
    ///
    /// # Errors
    /// `E0203` without memory.
    pub fn var(&self) -> Result<Tensor> {
        self.logvar.exp()
    }

    /// `mean + std * eps` with `eps` of N(0, 1): the given noise, or a fresh draw.
    ///
    /// # Errors
    /// `E0201` when the noise's shape does not fit.
    pub fn sample(&self, eps: Option<&Tensor>) -> Result<Tensor> {
        let eps = match eps {
            Some(e) => e.clone(),
            None => self.mean.randn_like()?,
        };
        self.mean.add(&self.std()?.mul(&eps)?)
    }

    /// The most likely latent: the mean.
    pub fn mode(&self) -> Tensor {
        self.mean.clone()
    }

    /// Divergence from N(0, 1), summed over all but the batch: `0.5 * sum(mean^2 + var - 1 - logvar)`, `[B]`.
    ///
    /// # Errors
    /// `E0203` without memory.
    pub fn kl(&self) -> Result<Tensor> {
        self.per_sample(&self.mean.square()?.add(&self.var()?)?.sub(1.0)?.sub(&self.logvar)?)
    }

    /// Negative log-likelihood of a latent, summed over all but the batch: `0.5 * sum(log 2 pi + logvar + (x - mean)^2 / var)`, `[B]`.
    ///
    /// # Errors
    /// `E0201` when the shape does not fit.
    pub fn nll(&self, x: &Tensor) -> Result<Tensor> {
        let distance = x.sub(&self.mean)?.square()?.div(&self.var()?)?;
        self.per_sample(&self.logvar.add((2.0 * std::f64::consts::PI).ln())?.add(&distance)?)
    }

    fn per_sample(&self, x: &Tensor) -> Result<Tensor> {
        let dims: Vec<i64> = (1..x.rank() as i64).collect();
        x.sum(&dims, false)?.mul(0.5)
    }
}
