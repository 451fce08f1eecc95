//! What an autoencoder can do, and its posterior.

use crate::api;
use crate::models::{AutoencoderKl, Posterior};
use crate::script::bind::Model;
use crate::torch::Tensor;
use rhai::{Dynamic, Map};

crate::script_handle!(Posterior, "a posterior");

api! {
    model AutoencoderKl as "vae";

    /// Mean and log-variance of pictures, before clamping and splitting.
    ///
    /// # Shapes
    /// - `[B, C, H, W]` in [-1, 1] -> `[B, 2 D, h, w]`
    /// # Errors
    /// `E0202` for a module without it, or another rank.
    /// # Example
    /// ```rhai
    /// let vae = models::vae(#{ch: 8, ch_mult: [1, 2], num_res_blocks: 1, norm_groups: 4});
    /// assert_eq(vae.moments(torch::zeros([1, 3, 8, 8])).shape, [1, 8, 4, 4]);
    /// ```
    fn moments(vae: Model<AutoencoderKl>, x: Tensor) -> Tensor { vae.moments(&x) }

    /// The posterior of pictures: `.mean .std .logvar .sample() .kl() .mode()`.
    ///
    /// # Shapes
    /// - `[B, C, H, W]` in [-1, 1] -> a posterior of `[B, D, h, w]`
    /// # Errors
    /// `E0202` for a module without it, or another rank.
    /// # Example
    /// ```rhai
    /// let vae = models::vae(#{ch: 8, ch_mult: [1, 2], num_res_blocks: 1, norm_groups: 4});
    /// let posterior = vae.encode(torch::zeros([1, 3, 8, 8]));
    /// assert_eq(posterior.kl().shape, [1]);
    /// ```
    fn encode(vae: Model<AutoencoderKl>, x: Tensor) -> Posterior { vae.encode(&x) }

    /// Pictures from latents.
    ///
    /// # Shapes
    /// - `[B, D, h, w]` -> `[B, C, H, W]`
    /// # Errors
    /// `E0202` for a module without it, or another rank.
    /// # Example
    /// ```rhai
    /// let vae = models::vae(#{ch: 8, ch_mult: [1, 2], num_res_blocks: 1, norm_groups: 4});
    /// assert_eq(vae.decode(torch::zeros([1, 4, 4, 4])).shape, [1, 3, 8, 8]);
    /// ```
    fn decode(vae: Model<AutoencoderKl>, z: Tensor) -> Tensor { vae.decode(&z) }
}

api! {
    fn posterior_functions;
    methods Posterior;

    /// The mean.
    ///
    /// # Shapes
    /// - `[B, D, h, w]`
    /// # Example
    /// ```rhai
    /// let p = models::posterior(torch::zeros([1, 4, 2, 2]));
    /// assert_eq(p.mean.shape, [1, 2, 2, 2]);
    /// ```
    fn mean as "get$mean"(posterior: Posterior) -> Tensor { Ok(posterior.mean.clone()) }

    /// The logarithm of the variance, clamped to [-30, 20].
    ///
    /// # Shapes
    /// - `[B, D, h, w]`
    /// # Example
    /// ```rhai
    /// let p = models::posterior(torch::full([1, 2, 1, 1], 50.0));
    /// assert_eq(p.logvar.item(), 20.0);
    /// ```
    fn logvar as "get$logvar"(posterior: Posterior) -> Tensor { Ok(posterior.logvar.clone()) }

    /// The standard deviation, `exp(logvar / 2)`.
    ///
    /// # Shapes
    /// - `[B, D, h, w]`
    /// # Example
    /// ```rhai
    /// let p = models::posterior(torch::zeros([1, 4, 2, 2]));
    /// assert_eq(p.std.mean().item(), 1.0);
    /// ```
    fn std as "get$std"(posterior: Posterior) -> Tensor { posterior.std() }

    /// The variance, `exp(logvar)`.
    ///
    /// # Shapes
    /// - `[B, D, h, w]`
    /// # Example
    /// ```rhai
    /// let p = models::posterior(torch::zeros([1, 4, 2, 2]));
    /// assert_eq(p.var.mean().item(), 1.0);
    /// ```
    fn variance as "get$var"(posterior: Posterior) -> Tensor { posterior.var() }

    /// A draw, `mean + std * noise`, with fresh noise of N(0, 1) or the given one.
    ///
    /// # Shapes
    /// - `noise`: `[B, D, h, w]` -> `[B, D, h, w]`
    /// # Errors
    /// `E0201` when the noise does not fit.
    /// # Example
    /// ```rhai
    /// let p = models::posterior(torch::zeros([1, 4, 2, 2]));
    /// assert_eq(p.sample(torch::ones([1, 2, 2, 2])).sum().item(), 8.0);
    /// ```
    fn sample(posterior: Posterior, noise: Option<Tensor>) -> Tensor { posterior.sample(noise.as_ref()) }

    /// The most likely latent: the mean.
    ///
    /// # Shapes
    /// - `[B, D, h, w]`
    /// # Errors
    /// None: the mean is there already.
    /// # Example
    /// ```rhai
    /// assert_eq(models::posterior(torch::zeros([1, 4, 2, 2])).mode().shape, [1, 2, 2, 2]);
    /// ```
    fn mode(posterior: Posterior) -> Tensor { Ok(posterior.mode()) }

    /// Divergence from N(0, 1), `0.5 * sum(mean^2 + var - 1 - logvar)`, summed over all but the batch.
    ///
    /// # Shapes
    /// - `[B]`
    /// # Errors
    /// `E0203` without memory.
    /// # Example
    /// ```rhai
    /// assert_eq(models::posterior(torch::zeros([3, 4, 2, 2])).kl().to_array(), [0.0, 0.0, 0.0]);
    /// ```
    fn kl(posterior: Posterior) -> Tensor { posterior.kl() }

    /// Negative log-likelihood of a latent, summed over all but the batch.
    ///
    /// # Shapes
    /// - `x`: `[B, D, h, w]` -> `[B]`
    /// # Errors
    /// `E0201` when `x` does not fit.
    /// # Example
    /// ```rhai
    /// let p = models::posterior(torch::zeros([1, 2, 1, 1]));
    /// assert_close(p.nll(torch::zeros([1, 1, 1, 1])).item(), 0.918938533);
    /// ```
    fn nll(posterior: Posterior, x: Tensor) -> Tensor { posterior.nll(&x) }
}

api! {
    fn namespace_functions;
    namespace "models";

    /// A posterior from moments, as `vae.moments(x)` gives them; or a map `#{mean, std}` of cached latents.
    ///
    /// # Shapes
    /// - `[B, 2 D, h, w]` -> a posterior of `[B, D, h, w]`
    /// # Errors
    /// `E0202` when the number of channels is odd.
    /// # Example
    /// ```rhai
    /// let p = models::posterior(#{mean: torch::zeros([1, 4, 2, 2]), std: torch::ones([1, 4, 2, 2])});
    /// assert_eq(p.kl().item(), 0.0);
    /// ```
    fn posterior(moments: TensorOrMap) -> Posterior {
        match moments {
            TensorOrMap::Tensor(t) => Posterior::new(&t),
            TensorOrMap::MeanStd(mean, std) => Ok(Posterior { logvar: std.square()?.log()?.clamp(Some(-30.0), Some(20.0))?, mean }),
        }
    }
}

/// What a posterior is made of.
pub enum TensorOrMap {
    /// Moments.
    Tensor(Tensor),
    /// Mean and standard deviation.
    MeanStd(Tensor, Tensor),
}

impl crate::script::lang::value::FromArg for TensorOrMap {
    const NAME: &'static str = "a tensor or a map with `mean` and `std`";
    fn from_dynamic(d: &Dynamic) -> Option<Self> {
        if let Some(t) = Tensor::from_dynamic(d) {
            return Some(TensorOrMap::Tensor(t));
        }
        let map = d.read_lock::<Map>()?;
        Some(TensorOrMap::MeanStd(Tensor::from_dynamic(map.get("mean")?)?, Tensor::from_dynamic(map.get("std")?)?))
    }
}
