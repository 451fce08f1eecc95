//! Scores of predictions, as scikit-learn defines them.

/// F1 from counts of true positives, false positives and false negatives; 0 where there is nothing to find and nothing was found.
pub fn f1(tp: u64, fp: u64, missed: u64) -> f64 {
    let all = 2 * tp + fp + missed;
    if all == 0 { 0.0 } else { 2.0 * tp as f64 / all as f64 }
}

/// Average precision, `sum (R_i - R_{i-1}) P_i` over the distinct scores from the highest (`average_precision_score`); `None` without a positive.
pub fn average_precision(scores: &[f64], truth: &[bool]) -> Option<f64> {
    let positives = truth.iter().filter(|t| **t).count();
    if positives == 0 {
        return None;
    }
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    let (mut tp, mut seen, mut sum, mut recall) = (0usize, 0usize, 0.0, 0.0);
    let mut i = 0;
    while i < order.len() {
        // Equal scores share one threshold.
        let score = scores[order[i]];
        while i < order.len() && scores[order[i]] == score {
            tp += usize::from(truth[order[i]]);
            seen += 1;
            i += 1;
        }
        let now = tp as f64 / positives as f64;
        sum += (now - recall) * tp as f64 / seen as f64;
        recall = now;
    }
    Some(sum)
}

/// Mean and half the width of its 95 % confidence interval by Student's t; the latter is `None` for one value.
pub fn interval(values: &[f64]) -> (f64, Option<f64>) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    if values.len() < 2 {
        return (mean, None);
    }
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (mean, Some(t975(values.len() - 1) * (variance / n).sqrt()))
}

/// The 97.5 % quantile of Student's t: a table to 30 degrees of freedom, Cornish and Fisher's expansion above (error below 1e-3).
fn t975(freedom: usize) -> f64 {
    const TABLE: [f64; 30] = [
        12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
        2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
    ];
    let z: f64 = 1.959_964;
    TABLE.get(freedom.wrapping_sub(1)).copied().unwrap_or(z + (z.powi(3) + z) / (4.0 * freedom as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    /* scikit-learn 1.9.1:
    average_precision_score([1, 0, 1, 1, 0, 0], [.9, .8, .8, .3, .2, .1])   # 0.8055555555555556
    scipy.stats.t.ppf(.975, [1, 4, 29, 60])                                # 12.7062, 2.77645, 2.04523, 2.0003
    */
    #[test]
    fn by_scikit_learn() {
        let truth = [true, false, true, true, false, false];
        let ap = average_precision(&[0.9, 0.8, 0.8, 0.3, 0.2, 0.1], &truth).unwrap();
        assert!((ap - 0.8055555555555556).abs() < 1e-12, "{ap}");
        assert!(average_precision(&[0.1], &[false]).is_none());
        assert_eq!((f1(2, 1, 1), f1(0, 0, 0), f1(0, 3, 0)), (4.0 / 6.0, 0.0, 0.0));
        for (n, t) in [(1, 12.7062), (4, 2.77645), (29, 2.04523), (60, 2.0003)] {
            assert!((t975(n) - t).abs() < 1e-3, "{n}");
        }
        let (mean, half) = interval(&[1.0, 2.0, 3.0]);
        assert!((mean - 2.0).abs() < 1e-12 && (half.unwrap() - 4.303 / 3f64.sqrt()).abs() < 1e-9);
        assert_eq!(interval(&[5.0]), (5.0, None));
    }
}
