//! How two lists of figures go together.

use crate::error::{Error, Result};

/// Correlation of two lists.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Correlation {
    /// Pairs in which both figures are finite.
    pub n: usize,
    /// Pearson's r; none for fewer than three pairs, or where one list does not vary.
    pub pearson: Option<f64>,
    /// Spearman's rho: Pearson's r of the ranks, equal figures sharing the mean of theirs.
    pub spearman: Option<f64>,
}

/// Fewer pairs lie on a line always, or nearly.
const LEAST: usize = 3;

/// Pearson's and Spearman's correlation of the pairs `(x[i], y[i])`; pairs with a figure that is not finite do not count.
///
/// # Errors
/// `E0202` when the lists differ in length.
pub fn correlation(x: &[f64], y: &[f64]) -> Result<Correlation> {
    if x.len() != y.len() {
        return Err(Error::value("correlation", format!("the lists have {} and {} figures", x.len(), y.len())));
    }
    let pairs: Vec<(f64, f64)> = x.iter().copied().zip(y.iter().copied()).filter(|(a, b)| a.is_finite() && b.is_finite()).collect();
    let n = pairs.len();
    if n < LEAST {
        return Ok(Correlation { n, pearson: None, spearman: None });
    }
    let (x, y): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
    Ok(Correlation { n, pearson: pearson(&x, &y), spearman: pearson(&ranks(&x), &ranks(&y)) })
}

fn pearson(x: &[f64], y: &[f64]) -> Option<f64> {
    let (x, y) = (deviations(x)?, deviations(y)?);
    let r: f64 = x.iter().zip(&y).map(|(a, b)| a * b).sum();
    Some(r.clamp(-1.0, 1.0))
}

/// Distances from the mean, scaled to a sum of squares of 1; none where all figures are the same.
fn deviations(x: &[f64]) -> Option<Vec<f64>> {
    // Halves first, so that the largest numbers have a finite mean and finite distances.
    let large = x.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    let x: Vec<f64> = x.iter().map(|v| if large > 0.0 { v / large } else { 0.0 }).collect();
    let mean = x.iter().sum::<f64>() / x.len() as f64;
    let d: Vec<f64> = x.iter().map(|v| v - mean).collect();
    let norm = d.iter().map(|v| v * v).sum::<f64>().sqrt();
    // What rounding of the mean leaves of equal figures is no variation.
    (norm > 1e-13 * (x.len() as f64).sqrt()).then(|| d.iter().map(|v| v / norm).collect())
}

/// Ranks from 1; equal figures share the mean of theirs.
fn ranks(x: &[f64]) -> Vec<f64> {
    let below = |v: f64| x.iter().filter(|w| **w < v).count() as f64;
    let equal = |v: f64| x.iter().filter(|w| **w == v).count() as f64;
    x.iter().map(|v| below(*v) + (equal(*v) + 1.0) / 2.0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_scipy() {
        // scipy 1.17.1: stats.pearsonr(x, y) and stats.spearmanr(x, y).
        let x = [0.71, 0.64, 0.71, 0.55, 0.8, 0.62];
        let y = [41.5, 60.25, 48.0, 66.5, 39.75, 71.0];
        let c = correlation(&x, &y).unwrap();
        assert_eq!(c.n, 6);
        assert!((c.pearson.unwrap() - -0.890_303_712_734_865_1).abs() < 1e-12, "{c:?}");
        assert!((c.spearman.unwrap() - -0.927_633_657_043_917_4).abs() < 1e-12, "{c:?}");
    }

    #[test]
    fn few_or_constant_figures_have_none() {
        assert_eq!(correlation(&[1.0, 2.0], &[3.0, 4.0]).unwrap(), Correlation { n: 2, pearson: None, spearman: None });
        let gap = correlation(&[1.0, 2.0, f64::NAN, 3.0], &[1.0, f64::INFINITY, 2.0, 5.0]).unwrap();
        assert_eq!(gap, Correlation { n: 2, pearson: None, spearman: None });
        let flat = correlation(&[0.1, 0.1, 0.1], &[1.0, 2.0, 4.0]).unwrap();
        assert_eq!((flat.n, flat.pearson, flat.spearman), (3, None, None));
        let huge = correlation(&[1e308, -1e308, 0.0], &[1.0, -1.0, 0.0]).unwrap();
        assert!((huge.pearson.unwrap() - 1.0).abs() < 1e-12);
        assert!(correlation(&[1.0], &[]).is_err());
    }
}
