//! `probe::`, what latents show of their pictures.

use crate::error::{Error, Result};
use crate::eval::probe::{Factor, ProbeOptions, Probed, Summary, mixture, pca, pca_pictures, probe, radial_spectrum, tsne, uniformity};
use crate::script::lang::value::FromArg;
use crate::torch::Tensor;
use crate::{api, options};
use rhai::{Array, Dynamic, Map};

/// The factors of a probe: `[#{name, values}, ..]` of the columns of `targets`.
fn named_factors(list: &Array) -> Result<Vec<Factor>> {
    let wrong = || Error::value("linear", "`attributes` must be what `.attributes` of a set gives: [#{name, values}, ..]");
    let one = |d: &Dynamic| {
        let m = Map::from_dynamic(d)?;
        let name = String::from_dynamic(m.get("name")?)?;
        Some(Factor { name, values: Vec::<String>::from_dynamic(m.get("values")?)? })
    };
    list.iter().map(|d| one(d).ok_or_else(wrong)).collect()
}

/// What is read from latents: a tensor, or what `data::attribute_file` gives, `#{attributes, values}`.
pub struct Targets {
    values: Tensor,
    attributes: Option<Array>,
}

impl FromArg for Targets {
    const NAME: &'static str = "labels [N], factors [N, A], or a map #{attributes, values}";
    fn from_dynamic(d: &Dynamic) -> Option<Self> {
        if let Some(values) = Tensor::from_dynamic(d) {
            return Some(Targets { values, attributes: None });
        }
        let m = Map::from_dynamic(d)?;
        Some(Targets { values: Tensor::from_dynamic(m.get("values")?)?, attributes: Some(Array::from_dynamic(m.get("attributes")?)?) })
    }
}

/// The factor of a column without names: its values are called by their positions, behind `prefix`.
fn unnamed(name: String, prefix: &str, column: &Tensor) -> Result<Factor> {
    let most = if column.numel() == 0 { 0 } else { column.max()?.item()? as i64 };
    if !(0..1 << 16).contains(&most) {
        return Err(Error::value("linear", format!("{name}: values count from 0, the largest is {most}")));
    }
    Ok(Factor { name, values: (0..=most).map(|v| format!("{prefix}{v}")).collect() })
}

fn summary(s: &Summary) -> Dynamic {
    let values: Array = s.values.iter().map(|v| (*v).into()).collect();
    let fields = [("mean", s.mean.into()), ("ci", s.interval.map_or(Dynamic::UNIT, Dynamic::from)), ("values", values.into())];
    Dynamic::from(Map::from_iter(fields.into_iter().map(|(k, v): (&str, Dynamic)| (k.into(), v))))
}

fn result(p: &Probed, o: &ProbeOptions) -> Map {
    let factor = |(name, f1, ap): &(String, Summary, Summary)| {
        let fields = [("name", Dynamic::from(name.clone())), ("f1", summary(f1)), ("ap", summary(ap))];
        Dynamic::from(Map::from_iter(fields.into_iter().map(|(k, v)| (k.into(), v))))
    };
    let fields: [(&str, Dynamic); 11] = [
        ("f1_macro", summary(&p.f1_macro)),
        ("f1_micro", summary(&p.f1_micro)),
        ("ap", summary(&p.ap)),
        ("top5", p.top5.as_ref().map_or(Dynamic::UNIT, summary)),
        ("factors", p.factors.iter().map(factor).collect::<Array>().into()),
        ("train", (p.sizes[0] as i64).into()),
        ("test", (p.sizes[1] as i64).into()),
        ("seeds", o.seeds.iter().map(|s| Dynamic::from(*s as i64)).collect::<Array>().into()),
        ("c", o.c.into()),
        ("steps", (p.steps as i64).into()),
        ("left_out", p.left_out.iter().map(|s| Dynamic::from(s.clone())).collect::<Array>().into()),
    ];
    Map::from_iter(fields.map(|(k, v)| (k.into(), v)))
}

options! {
    ProbeOptions {
        /// one division into training and test pictures for each
        seeds,
        /// the part of the pictures that is tested on
        test,
        /// scikit-learn's `C`: the inverse of the regularisation
        c,
        /// most steps of L-BFGS
        iterations,
    }
}

api! {
    namespace "probe";

    /// How well linear models read factors of pictures from their latents: attribute probing, and with labels the semantic gap. For each of
    /// `seeds` the pictures are divided into training and test pictures by a permutation that depends on the
    /// seed alone, features are flattened and standardised by the training pictures, and each factor gets a logistic regression with L2
    /// regularisation, fitted by L-BFGS until no element of the mean loss's gradient exceeds 1e-6. Targets are labels `[N]`; columns of factors `[N, A]`, with their names by `attributes: [#{name, values}, ..]` as `.attributes` of a set
    /// gives them; or the map that `data::attribute_file` gives. `factors: ["hair", ..]` chooses some. A factor of two values that say no and yes (`-1`/`1`, `0`/`1`) is binary, with the F1 of yes; of another the F1 is
    /// averaged over its values. Returns `#{f1_macro, f1_micro, ap, top5, factors, train, test, seeds, c, steps, left_out}`, each figure `#{mean, ci, values}`:
    /// the mean over seeds and half the width of its 95 % interval. `top5` is the part of true answers among a picture's five highest scores, where
    /// there are more than five to choose from.
    ///
    /// # Shapes
    /// - `z`: `[N, ..]`, `targets`: i64 `[N]`, or u8 or i64 `[N, A]`
    /// # Errors
    /// `E0202` for latents that are not finite, a factor with one value (by its name), an unknown factor, other sizes, or a fit that does not converge.
    /// # Example
    /// ```rhai
    /// let labels = torch::arange(200) % 4;
    /// let z = labels.float().view([200, 1]).cos() + torch::randn([200, 3]) * 0.01;
    /// let p = probe::linear(z, labels, #{seeds: [0, 1]});
    /// assert(p.f1_macro.mean > 0.3 && p.f1_macro.values.len() == 2, "cosines of 0 to 3 differ");
    /// ```
    /// ```rhai
    /// let attrs = torch::stack([torch::arange(200) % 2, torch::arange(200) % 3], 1);
    /// let z = attrs.float() + torch::randn([200, 2]) * 0.1;
    /// assert(probe::linear(z, attrs).f1_macro.mean > 0.9, "both factors are in the latents");
    /// ```
    fn linear(z: Tensor, targets: Targets;
        options: ProbeOptions,
        /// the columns' names and values, as `.attributes` of a set gives them
        attributes: Option<Array>,
        /// the names of those that are read; all unless given
        factors: Option<Vec<String>>,
    ) -> Map {
        let options = ProbeOptions { iterations: options.iterations.clamp(1, 1_000_000), ..options };
        let Targets { values: targets, attributes: own } = targets;
        let (mut list, mut columns) = match (attributes.or(own), targets.rank()) {
            (Some(a), 2) => (named_factors(&a)?, targets),
            (None, 1) => (vec![unnamed("class".into(), "class ", &targets)?], targets.unsqueeze(1)?),
            (None, 2) => {
                let list = targets.unbind(1)?.iter().enumerate().map(|(i, c)| unnamed(format!("attribute {i}"), "", c)).collect::<Result<_>>()?;
                (list, targets)
            }
            _ => {
                let message = format!("targets are labels [N], or factors [N, A] with or without `attributes`; got {}", targets.describe());
                return Err(Error::value("linear", message));
            }
        };
        if let Some(names) = factors {
            let find = |n: &String| {
                let near = crate::error::did_you_mean(n, list.iter().map(|f| f.name.as_str()));
                list.iter().position(|f| f.name == *n).ok_or_else(|| Error::value("linear", format!("there is no factor `{n}`{near}")))
            };
            let at: Vec<usize> = names.iter().map(find).collect::<Result<_>>()?;
            let index: Vec<i64> = at.iter().map(|i| *i as i64).collect();
            columns = columns.index_select(1, &Tensor::from_slice(&index)?.to_device(columns.device())?)?;
            list = at.iter().map(|i| list[*i].clone()).collect();
        }
        Ok(result(&probe(&z, &columns, &list, &options)?, &options))
    }

    /// The first three principal components of latents as colours, for `show` and `viz::grid`: each place is a sample of its channels; a component
    /// is stretched from its 1 % to its 99 % quantile over the batch.
    ///
    /// # Shapes
    /// - `[B, C, H, W]`, or tokens `[B, N, D]` of a square grid or of `grid` -> u8 `[B, 3, H * scale, W * scale]`
    /// # Errors
    /// `E0202` for another shape or grid, values that are not finite, or latents that do not vary.
    /// # Example
    /// ```rhai
    /// assert_eq(probe::pca(torch::randn([2, 8, 4, 4])).shape, [2, 3, 32, 32]);
    /// assert_eq(probe::pca(torch::randn([2, 6, 8]), #{grid: [2, 3]}).shape, [2, 3, 16, 24]);
    /// ```
    fn pca(z: Tensor;
        /// pixels a place
        scale: i64 = 8,
        /// of tokens, their [rows, columns], such as `encoder.grid_size`; a square unless given
        grid: Option<[i64; 2]>,
    ) -> Tensor {
        pca_pictures(&z, scale, grid)
    }

    /// The first `k` (3) principal components as numbers: `#{projected, directions, explained, mean}`.
    ///
    /// # Shapes
    /// - `[B, C, H, W]` or `[B, N, D]` -> `projected`: f64 `[B, K, H, W]`, `directions`: `[K, C]`, `mean`: `[C]`
    /// # Errors
    /// As `probe::pca`; `E0202` for more components than channels.
    /// # Example
    /// ```rhai
    /// let c = probe::components(torch::randn([2, 8, 4, 4]), #{k: 2});
    /// assert_eq(c.projected.shape, [2, 2, 4, 4]);
    /// assert(c.explained[0] >= c.explained[1], "the largest comes first");
    /// ```
    fn components(z: Tensor;
        /// how many components
        k: i64 = 3,
        /// of tokens, their [rows, columns], such as `encoder.grid_size`; a square unless given
        grid: Option<[i64; 2]>,
    ) -> Map {
        let c = pca(&z, k, grid)?;
        let explained: Array = c.explained.iter().map(|v| (*v).into()).collect();
        let fields = [
            ("projected", Dynamic::from(c.projected)),
            ("directions", Dynamic::from(c.directions)),
            ("mean", Dynamic::from(c.mean)),
            ("explained", explained.into()),
        ];
        Ok(Map::from_iter(fields.map(|(k, v)| (k.into(), v))))
    }

    /// The radial power spectrum of latents: entry `r` is the mean power of spatial frequencies of about `r` cycles a picture, over channels and
    /// pictures; white noise of variance 1 has 1 everywhere.
    ///
    /// # Shapes
    /// - `[B, C, H, W]` -> an array of `min(H, W) / 2 + 1` numbers
    /// # Errors
    /// `E0202` for another shape, or values that are not finite.
    /// # Example
    /// ```rhai
    /// let s = probe::spectrum(torch::ones([1, 1, 8, 8]));
    /// assert_eq(s.len(), 5);
    /// assert_close(s[0], 64.0);
    /// assert_close(s[1], 0.0, #{atol: 1e-9});
    /// ```
    fn spectrum(z: Tensor) -> Array { Ok(radial_spectrum(&z)?.into_iter().map(Dynamic::from).collect()) }

    /// t-SNE in the plane (Barnes and Hut's approximation), begun at the first two principal components, so that it depends on the points alone.
    ///
    /// # Shapes
    /// - `[N, ..]` (flattened) -> f64 `[N, 2]`
    /// # Errors
    /// `E0202` for values that are not finite, or fewer than `3 * perplexity + 1` points.
    /// # Example
    /// ```rhai
    /// assert_eq(probe::tsne(torch::randn([40, 5]), #{perplexity: 5, epochs: 50}).shape, [40, 2]);
    /// ```
    fn tsne(z: Tensor;
        /// about how many neighbours a point has
        perplexity: f64 = 30.0,
        /// passes over the points
        epochs: i64 = 1000,
    ) -> Tensor {
        tsne(&z, perplexity, epochs.clamp(0, 1_000_000) as usize)
    }

    /// How evenly points are spread, `#{cv, gini, entropy}`, by a Gaussian kernel density (scipy's `gaussian_kde`) at the points themselves: its
    /// deviation over its mean, its Gini coefficient, and its entropy over the largest possible. For latents see `std/probe`, which embeds them first.
    ///
    /// # Shapes
    /// - `[N, D]`
    /// # Errors
    /// `E0202` for values that are not finite, too few points, or points on a line.
    /// # Example
    /// ```rhai
    /// let even = probe::evenness(torch::rand([200, 2]));
    /// let uneven = probe::evenness(torch::randn([200, 2]).pow(3));
    /// assert(even.gini < uneven.gini && even.entropy > uneven.entropy, "a square is more even");
    /// ```
    fn evenness(points: Tensor) -> Map {
        let u = uniformity(&points)?;
        Ok(Map::from_iter([("cv".into(), u.cv.into()), ("gini".into(), u.gini.into()), ("entropy".into(), u.entropy.into())]))
    }

    /// Fits `k` Gaussians with full covariances to points, `#{log_likelihood, weights, means, iterations, converged}`: the mean log-likelihood of a
    /// point, in nats.
    ///
    /// # Shapes
    /// - `[N, D]` -> `weights`: `[K]`, `means`: `[K, D]`
    /// # Errors
    /// `E0202` for values that are not finite, or too few points.
    /// # Example
    /// ```rhai
    /// let z = torch::cat([torch::randn([50, 2]), torch::randn([50, 2]) + 8.0]);
    /// assert(probe::mixture(z, 2).log_likelihood > probe::mixture(z, 1).log_likelihood, "there are two");
    /// ```
    fn mixture(points: Tensor, k: i64;
        /// of the starting means
        seed: i64 = 0,
        /// a gain of the likelihood that ends the fit
        tolerance: f64 = 1e-3,
        /// most steps
        iterations: i64 = 200,
    ) -> Map {
        let m = mixture(&points, k, None, seed as u64, tolerance, iterations.clamp(1, 1_000_000) as usize)?;
        let fields = [
            ("log_likelihood", Dynamic::from(m.log_likelihood)),
            ("weights", Dynamic::from(m.weights)),
            ("means", Dynamic::from(m.means)),
            ("iterations", Dynamic::from(m.iterations as i64)),
            ("converged", m.converged.into()),
        ];
        Ok(Map::from_iter(fields.map(|(k, v)| (k.into(), v))))
    }
}
