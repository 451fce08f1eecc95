//! `eval::`, measures of pictures and features.

pub mod features;

use crate::error::{Error, Result};
use crate::eval::{FeatureStats, Range, correlation, feature_stats, frechet, psnr, ssim};
use crate::script::api::viz::numbers;
use crate::script::lang::given::Given;
use crate::script::lang::value::IntoScript;
use crate::torch::Tensor;
use crate::{api, choices, entries};
use rhai::{Dynamic, Map};

api! {
    namespace "eval";

    /// Peak signal-to-noise ratio in dB, `10 log10(width^2 / mse)` of each picture; infinite for equal ones.
    ///
    /// # Shapes
    /// - `a`, `b`: `[B, C, H, W]` or `[C, H, W]`, u8, or float with `range`
    /// # Errors
    /// `E0202` for shapes or dtypes that differ, or floats without a range.
    /// # Example
    /// ```rhai
    /// let x = torch::zeros([2, 3, 16, 16]);
    /// assert_close(eval::psnr(x, x + 0.1, #{range: [0, 1]}), 20.0, #{rtol: 1e-5});
    /// ```
    fn psnr(a: Tensor, b: Tensor;
        /// what black and white are in floats: `[-1, 1]`, `[0, 1]`
        range: Option<Range>,
        /// the mean over the pictures, or all of them as a tensor `[B]`
        reduction: Reduction = Reduction::Mean,
    ) -> Dynamic { reduction.of(psnr(&a, &b, range)?) }

    /// Structural similarity (Wang et al. 2004), 1 for equal pictures: Gaussian window of 11 x 11 pixels with deviation 1.5, as scikit-image with
    /// `gaussian_weights=True, use_sample_covariance=False`.
    ///
    /// # Shapes
    /// - `a`, `b`: `[B, C, H, W]` or `[C, H, W]`, u8, or float with `range`, at least 11 x 11
    /// # Errors
    /// `E0202` for shapes or dtypes that differ, or floats without a range.
    /// # Example
    /// ```rhai
    /// let x = torch::rand([2, 3, 16, 16]);
    /// assert_close(eval::ssim(x, x, #{range: [0, 1]}), 1.0);
    /// ```
    fn ssim(a: Tensor, b: Tensor;
        /// what black and white are in floats: `[-1, 1]`, `[0, 1]`
        range: Option<Range>,
        /// the mean over the pictures, or all of them as a tensor `[B]`
        reduction: Reduction = Reduction::Mean,
    ) -> Dynamic { reduction.of(ssim(&a, &b, range)?) }

    /// Mean and covariance (divisor `n - 1`) of features, in f64 on the CPU: `#{mu, cov, n}`. Option `extractor`: the network that made them,
    /// which goes along so that `eval::fid` refuses statistics of another one.
    ///
    /// # Shapes
    /// - `[N, D]` -> `mu`: `[D]`, `cov`: `[D, D]`
    /// # Errors
    /// `E0202` for fewer than two rows or values that are not finite.
    /// # Example
    /// ```rhai
    /// let s = eval::feature_stats(torch::randn([32, 4]));
    /// assert_eq([s.mu.shape, s.cov.shape, s.n], [[4], [4, 4], 32]);
    /// ```
    fn feature_stats(features: Tensor;
        /// the network that made the features
        extractor: Option<String>,
    ) -> Map {
        Ok(stats_map(FeatureStats { extractor, ..feature_stats(&features)? }))
    }

    /// Frechet distance of two normal distributions, `|mu1 - mu2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2))`, in f64: FID with the features of Inception.
    /// Exact for covariances of fewer samples than dimensions too.
    ///
    /// # Shapes
    /// - `mu1`, `mu2`: `[D]`; `s1`, `s2`: `[D, D]`, symmetric
    /// # Errors
    /// `E0202` for other shapes, values that are not finite, or a matrix that is not symmetric.
    /// # Example
    /// ```rhai
    /// let s = torch::eye(3);
    /// assert_close(eval::frechet(torch::zeros([3]), s, torch::ones([3]), s * 4), 6.0, #{rtol: 1e-6});
    /// ```
    fn frechet(mu1: Tensor, s1: Tensor, mu2: Tensor, s2: Tensor) -> f64 { frechet(&mu1, &s1, &mu2, &s2) }

    /// How two lists of figures go together: `#{n, pearson, spearman}`. `n` counts the pairs in which both are finite; a pair with `()`, NaN or an
    /// infinity is left out. For fewer than three pairs, or where one list does not vary, both correlations are `()`: say `n` beside them always.
    ///
    /// # Shapes
    /// - arrays or vectors `[N]`
    /// # Errors
    /// `E0202` for lists of different lengths, or of something else than numbers.
    /// # Example
    /// ```rhai
    /// let c = eval::correlation([0.6, 0.7, 0.8, ()], [50.0, 45.0, 20.0, 10.0]);
    /// assert_eq([c.n, c.spearman], [3, -1.0]);
    /// assert_eq(eval::correlation([0.6, 0.7], [50.0, 45.0]).pearson, ());
    /// ```
    fn correlation(x: Dynamic, y: Dynamic) -> Map {
        let c = correlation(&numbers(&x)?, &numbers(&y)?)?;
        let number = |r: Option<f64>| r.map_or(Dynamic::UNIT, Dynamic::from);
        Ok(Map::from_iter([("n".into(), (c.n as i64).into()), ("pearson".into(), number(c.pearson)), ("spearman".into(), number(c.spearman))]))
    }
}

/// Statistics as scripts see them.
pub(crate) fn stats_map(s: FeatureStats) -> Map {
    let fields = [("mu", s.mu.into_script()), ("cov", s.cov.into_script()), ("n", s.n.into())];
    let extractor = s.extractor.map(|e| ("extractor", e.into()));
    fields.into_iter().chain(extractor).map(|(k, v)| (k.into(), v)).collect()
}

/// Statistics from a map; files call the covariance `sigma`.
pub(crate) fn stats_of(op: &str, map: Map) -> Result<FeatureStats> {
    let mut given = Given::new(op, map);
    entries!(given; mu: Tensor, cov: Option<Tensor>, sigma: Option<Tensor>, n: i64 = 0, extractor: Option<String>);
    let cov = cov.or(sigma).ok_or_else(|| Error::value(op, "statistics need `mu` and `cov` (or `sigma`)"))?;
    Ok(FeatureStats { mu, cov, n, extractor })
}

/// What becomes of the values of each picture.
#[derive(Clone, Copy)]
enum Reduction {
    Mean,
    None,
}
choices! { Reduction { Mean = "mean", None = "none" } }

impl Reduction {
    fn of(self, values: Tensor) -> Result<Dynamic> {
        match self {
            Reduction::Mean => Ok(values.mean(&[], false)?.item()?.into()),
            Reduction::None => Ok(values.into_script()),
        }
    }
}
