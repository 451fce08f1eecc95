//! The statistics of latents, added up shard by shard.

use super::latent_layout::Precision;
use super::manifest::{LatentStats, Rounding};
use serde::{Deserialize, Serialize};

/// Sums for the statistics of one shard. They are kept for each shard and added in order at the end, so that an
/// interrupted run gives the same figures as an uninterrupted one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Sums {
    mean: Vec<f64>,
    mean_squared: Vec<f64>,
    variance: Vec<f64>,
    /// Of what rounding took away from the means: the sum of the squares, and the largest.
    #[serde(default)]
    pub(super) squared: f64,
    #[serde(default)]
    pub(super) worst: f64,
}

/// Adds up what a shard holds, which is what training sees.
pub(super) fn sums(channels: usize, area: usize, precision: Precision, mean: &[u8], std: &[u8]) -> Sums {
    let none = || vec![0.0; channels];
    let mut s = Sums { mean: none(), mean_squared: none(), variance: none(), ..Sums::default() };
    for (i, (m, d)) in precision.read(mean).zip(precision.read(std)).enumerate() {
        let c = i / area % channels;
        let (m, d) = (f64::from(m), f64::from(d));
        s.mean[c] += m;
        s.mean_squared[c] += m * m;
        s.variance[c] += d * d;
    }
    s
}

/// The law of total variance: `z = mean + std * eps` has variance `var(mean) + E[std^2]`, without drawing any `eps`.
pub(super) fn statistics<'a>([c, h, w]: [usize; 3], count: usize, done: impl Iterator<Item = &'a Sums> + Clone) -> LatentStats {
    let n = (count * h * w) as f64;
    let total = |pick: fn(&Sums) -> &Vec<f64>| -> Vec<f64> { (0..c).map(|i| done.clone().map(|d| pick(d)[i]).sum::<f64>() / n).collect() };
    let (mean, squared, variance) = (total(|s| &s.mean), total(|s| &s.mean_squared), total(|s| &s.variance));
    let of_mean: Vec<f64> = (0..c).map(|i| (squared[i] - mean[i] * mean[i]).max(0.0)).collect();
    LatentStats {
        count,
        std: of_mean.iter().zip(&variance).map(|(m, v)| (m + v).sqrt()).collect(),
        std_of_mean: of_mean.iter().map(|v| v.sqrt()).collect(),
        mean,
    }
}

/// What rounding has cost.
pub(super) fn rounding<'a>(
    shape: [usize; 3],
    count: usize,
    precision: Precision,
    stats: &LatentStats,
    done: impl Iterator<Item = &'a Sums> + Clone,
) -> Option<Rounding> {
    if precision.is_whole() {
        return None;
    }
    let n = (count * shape.iter().product::<usize>()) as f64;
    let squared: f64 = done.clone().map(|d| d.squared).sum();
    let variance = stats.std.iter().map(|s| s * s).sum::<f64>() / shape[0] as f64;
    let relative = if variance > 0.0 { (squared / n / variance).sqrt() } else { 0.0 };
    Some(Rounding { max: done.map(|d| d.worst).fold(0.0, f64::max), relative })
}
