//! `eval::`, measures of sets of features: the distances and scores of ADM's evaluation suite.

use crate::error::{Error, Result};
use crate::eval::{
    Distances, FeatureStats, Moments, SPLIT, frechet_of, has_stats, inception_score, manifold_radii, precision_recall, read_stats, write_stats,
};
use crate::origin::Origin;
use crate::script::api::data::origin::made_of;
use crate::script::api::eval::{stats_map, stats_of};
use crate::script::lang::value::FromArg;
use crate::script_handle;
use crate::torch::Tensor;
use crate::{api, choices};
use rhai::{Dynamic, Map};
use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;

/// Sums of features as scripts hold them.
#[derive(Clone, Default)]
pub struct Sums(Rc<RefCell<Moments>>);
script_handle!(Sums, "sums of features");

/// Features, or what is known of them.
pub struct Features(Dynamic);

impl FromArg for Features {
    const NAME: &'static str = "features [N, D] or a map of statistics";
    fn from_dynamic(d: &Dynamic) -> Option<Self> {
        (d.is_map() || Tensor::from_dynamic(d).is_some()).then(|| Features(d.clone()))
    }
}

impl Features {
    /// Of maps `[N, H, W, C]` the first channels.
    fn spatial(&self, channels: i64) -> Result<Features> {
        match Tensor::from_dynamic(&self.0) {
            Some(t) if t.rank() == 4 && (1..=t.size(3)?).contains(&channels) => Ok(Features(Dynamic::from(t.narrow(3, 0, channels)?))),
            Some(t) if t.rank() == 4 => {
                Err(Error::value("sfid", format!("{channels} channels of maps [N, H, W, C] are wanted, got {}", t.describe())))
            }
            _ => Ok(Features(self.0.clone())),
        }
    }

    /// Their statistics; features of more dimensions are flattened.
    fn stats(&self, op: &str) -> Result<FeatureStats> {
        match Tensor::from_dynamic(&self.0) {
            Some(t) if t.rank() >= 2 => crate::eval::feature_stats(&t.flatten(1, -1)?),
            Some(t) => Err(Error::value(op, format!("features must be [N, D], got {}", t.describe()))),
            None => stats_of(op, Map::from_dynamic(&self.0).unwrap_or_default()),
        }
    }
}

/// Channels of `mixed_6/conv` behind sFID in ADM's suite.
const SPATIAL_CHANNELS: i64 = 7;

fn distance(op: &str, a: &Features, b: &Features) -> Result<f64> {
    frechet_of(op, &a.stats(op)?, &b.stats(op)?)
}

choices! { Distances { F32 = "f32", F64 = "f64", F16 = "f16" } }

api! {
    namespace "eval";

    /// Frechet inception distance (Heusel et al., arXiv 1706.08500) of two sets: `eval::frechet` of their means and covariances (divisor `N - 1`)
    /// in f64. Called FID only where the features are Inception's 2048; of another network say its name. Each set is a tensor of features, or
    /// their statistics `#{mu, cov, n, extractor}` as `eval::feature_stats` or a file gives them.
    ///
    /// # Shapes
    /// - `[N, D]` and `[M, D]`, or maps with `mu`: `[D]`, `cov`: `[D, D]`
    /// # Errors
    /// `E0202` for other shapes, values that are not finite, fewer than two features, or statistics of different extractors.
    /// # Example
    /// ```rhai
    /// let a = torch::randn([64, 4]);
    /// assert_close(eval::fid(a, a + 3.0), 36.0, #{rtol: 1e-4});
    /// assert_close(eval::fid(a, eval::feature_stats(a)), 0.0, #{atol: 1e-6});
    /// ```
    fn fid(a: Features, b: Features) -> f64 { distance("fid", &a, &b) }

    /// sFID (Nash et al., arXiv 2103.03841): the same distance of spatial features. Of maps `[N, H, W, C]`, such as Inception's `mixed_6/conv`, the
    /// first 7 channels count unless told otherwise, as in ADM's suite.
    ///
    /// # Shapes
    /// - `[N, H, W, C]`, or `[N, D]` of chosen channels (Inception: 17 * 17 * 7 = 2023), or statistics as in `eval::fid`
    /// # Errors
    /// As `eval::fid`; `E0202` for maps with fewer channels.
    /// # Example
    /// ```rhai
    /// let a = torch::randn([64, 2, 2, 8]);
    /// assert_close(eval::sfid(a, a + 1.0), 28.0, #{rtol: 1e-4});
    /// ```
    fn sfid(a: Features, b: Features;
        /// how many channels of maps count
        channels: i64 = SPATIAL_CHANNELS,
    ) -> f64 { distance("sfid", &a.spatial(channels)?, &b.spatial(channels)?) }

    /// rFID: `eval::fid` of pictures and their reconstructions, which are as many.
    ///
    /// # Shapes
    /// - `[N, D]` twice, or statistics as in `eval::fid`
    /// # Errors
    /// As `eval::fid`; `E0202` when the sets differ in number.
    /// # Example
    /// ```rhai
    /// let a = torch::randn([64, 4]);
    /// assert_close(eval::rfid(a, a + 1.0), 4.0, #{rtol: 1e-4});
    /// ```
    fn rfid(pictures: Features, reconstructions: Features) -> f64 {
        let (a, b) = (pictures.stats("rfid")?, reconstructions.stats("rfid")?);
        if a.n != b.n {
            return Err(Error::value("rfid", format!("{} pictures have {} reconstructions", a.n, b.n)));
        }
        frechet_of("rfid", &a, &b)
    }

    /// Inception Score (Salimans et al., arXiv 1606.03498): `exp(mean KL(p(y | x) || p(y)))` of groups of `split` pictures, averaged, in f64.
    ///
    /// # Shapes
    /// - `[N, K]`
    /// # Errors
    /// `E0202` for another rank, rows that are no probabilities, or a split below 1.
    /// # Example
    /// ```rhai
    /// assert_close(eval::inception_score(torch::eye(5)), 5.0, #{rtol: 1e-9});
    /// assert_close(eval::inception_score(torch::zeros([6, 5]), #{logits: true}), 1.0, #{rtol: 1e-6});
    /// ```
    fn inception_score(probabilities: Tensor;
        /// pictures in a group, as in ADM; the last group may be smaller
        split: i64 = SPLIT,
        /// whether the values are logits, not probabilities
        logits: bool = false,
    ) -> f64 {
        if logits && probabilities.rank() == 2 {
            return inception_score(&probabilities.to_dtype(crate::torch::DType::Double)?.softmax(1)?, split);
        }
        inception_score(&probabilities, split)
    }

    /// Precision and recall (Kynkaanniemi et al., arXiv 1904.06991), `#{precision, recall}`: the part of the samples within the reference's
    /// k-nearest-neighbour manifold, and the part of the reference within the samples'.
    ///
    /// # Shapes
    /// - `reference`: `[N, D]`, `samples`: `[M, D]`
    /// # Errors
    /// `E0202` for other shapes, values that are not finite, or fewer than `k + 1` features.
    /// # Example
    /// ```rhai
    /// let a = torch::randn([64, 4]);
    /// let far = eval::precision_recall(a, a + 100.0);
    /// assert_eq([far.precision, far.recall], [0.0, 0.0]);
    /// assert_eq(eval::precision_recall(a, a, #{k: 1}).precision, 1.0);
    /// ```
    fn precision_recall(reference: Tensor, samples: Tensor;
        /// which neighbour
        k: i64 = 3,
        /// the numbers in which distances are computed: `f16` as the reference's GPU does, which moves the third digit
        precision: Distances = Distances::F32,
    ) -> Map {
        let (p, r) = precision_recall(&reference, &samples, k, precision)?;
        Ok(Map::from_iter([("precision".into(), p.into()), ("recall".into(), r.into())]))
    }

    /// The squared distance of each feature to its `k`-th nearest neighbour: the radii of `eval::precision_recall`, with its options.
    ///
    /// # Shapes
    /// - `[N, D]` -> `[N]`
    /// # Errors
    /// As `eval::precision_recall`.
    /// # Example
    /// ```rhai
    /// let x = torch::tensor([0.0, 1.0, 3.0]).view([3, 1]);
    /// assert_eq(eval::manifold_radii(x, #{k: 1}).to_array(), [1.0, 1.0, 4.0]);
    /// ```
    fn manifold_radii(features: Tensor;
        /// which neighbour
        k: i64 = 3,
        /// the numbers in which distances are computed: `f16` as the reference's GPU does, which moves the third digit
        precision: Distances = Distances::F32,
    ) -> Tensor { manifold_radii(&features, k, precision) }

    /// Statistics of features in an `.npz`, `#{mu, cov, n, extractor}`: `mu` and `sigma` as pytorch-fid, ADM and `eval::save_stats` write them. A
    /// file that names no extractor is taken for Inception's.
    ///
    /// # Shapes
    /// - `mu`: `[D]`, `cov`: `[D, D]`, f64
    /// # Errors
    /// `E0302` for a file without these arrays (naming those that it has) or with another dtype.
    /// # Example
    /// ```rhai
    /// let path = io::temp_dir() + "/stats.npz";
    /// eval::save_stats(path, eval::feature_stats(torch::randn([9, 2]), #{extractor: "lite0"}));
    /// assert_eq(eval::load_stats(path).extractor, "lite0");
    /// assert_eq(eval::load_stats(path, #{spatial: true, optional: true}), ());
    /// ```
    fn load_stats[cx](path: String;
        /// ADM's `mu_s` and `sigma_s` in place of `mu` and `sigma`
        spatial: bool = false,
        /// `()` rather than an error where the file holds no such arrays
        optional: bool = false,
    ) -> Dynamic {
        cx.readable(&path)?;
        let (path, suffix) = (Path::new(&path), if spatial { "_s" } else { "" });
        if optional && !has_stats(path, suffix)? {
            return Ok(Dynamic::UNIT);
        }
        Ok(stats_map(read_stats(path, suffix)?).into())
    }

    /// Writes statistics to an `.npz`, with the name of their extractor and what they were made from (`data::origin` reads that).
    ///
    /// # Shapes
    /// - as `eval::feature_stats` gives them
    /// # Errors
    /// `E0202` when they name no extractor, `E0301` when the file cannot be written.
    /// # Example
    /// ```rhai
    /// let path = io::temp_dir() + "/stats.npz";
    /// eval::save_stats(path, eval::feature_stats(torch::randn([9, 2]), #{extractor: "lite0"}));
    /// assert_eq(io::npz(path).sigma.shape, [2, 2]);
    /// ```
    fn save_stats[cx](path: String, stats: Map;
        /// statistics of the spatial features, to be written as well
        spatial: Option<Map>,
        /// what they are made from, by role: `#{pictures: set, extractor: #{kind: "weights", id: net.hash()}}`
        made_from: Map = Map::new(),
    ) -> () {
        cx.writable(&path)?;
        let made_from = made_of("save_stats", &made_from)?;
        let origin = (!made_from.is_empty()).then(|| Origin::new("statistics", "").made(made_from, serde_json::Map::new()));
        let spatial = spatial.map(|m| stats_of("save_stats", m)).transpose()?;
        write_stats(Path::new(&path), &stats_of("save_stats", stats)?, spatial.as_ref(), origin.as_ref())
    }

    /// Sums of features that come in batches, in f64: `.push(features)`, then `.stats()`. What is held does not grow with the number of pictures.
    ///
    /// # Errors
    /// None here; `push` refuses batches of another width.
    /// # Example
    /// ```rhai
    /// let sums = eval::moments();
    /// for i in 0..3 { sums.push(torch::ones([2, 4]) * i); }
    /// assert_close(sums.stats().mu.to_array(), [1.0, 1.0, 1.0, 1.0]);
    /// ```
    fn moments() -> Sums { Ok(Sums::default()) }
}

api! {
    fn sums_functions;
    methods Sums;

    /// Adds features.
    ///
    /// # Shapes
    /// - `[N, D]`
    /// # Errors
    /// `E0202` for another rank or width than before, or values that are not finite.
    /// # Example
    /// ```rhai
    /// let sums = eval::moments();
    /// sums.push(torch::randn([5, 4]));
    /// assert_eq(sums.n, 5);
    /// ```
    fn push(sums: Sums, features: Tensor) -> () { sums.0.borrow_mut().push(&features) }

    /// Mean and covariance (divisor `n - 1`), `#{mu, cov, n}`.
    ///
    /// # Shapes
    /// - `mu`: `[D]`, `cov`: `[D, D]`, f64
    /// # Errors
    /// `E0202` for fewer than two features.
    /// # Example
    /// ```rhai
    /// let sums = eval::moments();
    /// sums.push(torch::randn([5, 4]));
    /// assert_eq(sums.stats(#{extractor: "lite0"}).extractor, "lite0");
    /// ```
    fn stats(sums: Sums;
        /// the network that made the features
        extractor: Option<String>,
    ) -> Map {
        Ok(stats_map(FeatureStats { extractor, ..sums.0.borrow().stats()? }))
    }

    /// How many features there were.
    ///
    /// # Example
    /// ```rhai
    /// assert_eq(eval::moments().n, 0);
    /// ```
    fn n as "get$n"(sums: Sums) -> i64 { Ok(sums.0.borrow().n()) }
}
