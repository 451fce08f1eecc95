//! The Inception Score (Salimans et al., arXiv 1606.03498), as ADM's evaluation suite computes it.

use super::frechet::double;
use crate::error::{Error, Result};
use crate::torch::{Tensor, no_grad};

/// Pictures in a group: ADM's.
pub const SPLIT: i64 = 5000;

/// `exp(mean KL(p(y | x) || p(y)))` of each group of `split` pictures (the last may be smaller), averaged over the groups, in f64.
///
/// # Shapes
/// - `probabilities`: `[N, K]`, the softmax of the classifier's logits (of Inception: without its bias)
/// # Errors
/// `E0202` for another rank, no picture, a split below 1, or rows that are no probabilities.
pub fn inception_score(probabilities: &Tensor, split: i64) -> Result<f64> {
    let wrong = |m: String| Err(Error::value("inception_score", m));
    let [n, k] = probabilities.shape()[..] else {
        return wrong(format!("probabilities must be [N, K], got {}", probabilities.describe()));
    };
    if n < 1 || k < 1 || split < 1 {
        return wrong(format!("at least one picture, class and picture in a split are needed, got {n}, {k} and {split}"));
    }
    no_grad(|| {
        let p = double("inception_score", "probabilities", probabilities)?;
        let (low, off) = (p.min()?.item()?, p.sum(&[1], false)?.sub(1.0)?.abs()?.max()?.item()?);
        if low < 0.0 || off > 1e-2 {
            return wrong(format!("rows must be probabilities: the smallest value is {low:.3e}, and a row's sum differs from 1 by {off:.3e}"))
                .map_err(|e| e.help("give `logits.softmax(1)`"));
        }
        let mut scores = Vec::new();
        let mut start = 0;
        while start < n {
            let rows = split.min(n - start);
            let part = p.narrow(0, start, rows)?;
            let mean = part.mean(&[0], true)?;
            // 0 log 0 is 0: a class that f32 rounded away.
            let ratio = part.div(&mean.clamp(Some(f64::MIN_POSITIVE), None)?)?.clamp(Some(f64::MIN_POSITIVE), None)?.log()?;
            scores.push(part.mul(&ratio)?.sum(&[1], false)?.mean(&[], false)?.item()?.exp());
            start += rows;
        }
        Ok(scores.iter().sum::<f64>() / scores.len() as f64)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(v: &[f64], shape: &[i64]) -> Tensor {
        Tensor::from_vec(v, shape).unwrap()
    }

    #[test]
    fn sure_and_even_answers_score_the_number_of_classes() {
        let sure = rows(&[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0], &[3, 3]);
        assert!((inception_score(&sure, SPLIT).unwrap() - 3.0).abs() < 1e-12);
        assert!((inception_score(&sure, 1).unwrap() - 1.0).abs() < 1e-12);
        let unsure = rows(&[0.5, 0.5, 0.5, 0.5], &[2, 2]);
        assert!((inception_score(&unsure, SPLIT).unwrap() - 1.0).abs() < 1e-12);
        // By hand: the groups of 2 and 1 score 2 and 1.
        assert!((inception_score(&sure, 2).unwrap() - 1.5).abs() < 1e-12);
    }

    #[test]
    fn wrong_input_is_refused() {
        assert!(inception_score(&rows(&[2.0, 1.0], &[1, 2]), SPLIT).is_err());
        assert!(inception_score(&rows(&[2.0, -1.0], &[1, 2]), SPLIT).is_err());
        assert!(inception_score(&rows(&[0.5, 0.5], &[1, 2]), 0).is_err());
        assert!(inception_score(&rows(&[0.5, f64::NAN], &[1, 2]), SPLIT).is_err());
        assert!(inception_score(&rows(&[1.0], &[1]), SPLIT).is_err());
    }
}
