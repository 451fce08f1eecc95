//! t-SNE in the plane (van der Maaten, arXiv 1301.3342), by the crate `bhtsne`.

use crate::error::{Error, Result};
use crate::torch::{DType, Tensor};

/// Barnes and Hut's angle.
const THETA: f32 = 0.5;

/// Embeds points `[N, ..]` (flattened) in the plane: `[N, 2]` f64, begun at the first two principal components (deviation 1e-4, as
/// scikit-learn's `init="pca"`), so that the result depends on the points alone.
///
/// # Errors
/// `E0202` for values that are not finite, or fewer than `3 * perplexity + 1` points.
pub fn tsne(points: &Tensor, perplexity: f64, epochs: usize) -> Result<Tensor> {
    if points.rank() < 2 {
        return Err(Error::value("tsne", format!("points are [N, ..], got {}", points.describe())));
    }
    let n = points.size(0)? as usize;
    if perplexity.is_nan() || perplexity < 1.0 || (n as f64) < 3.0 * perplexity + 1.0 || epochs < 1 {
        return Err(Error::value(
            "tsne",
            format!("{n} points and a perplexity of {perplexity}: at least 1, and 3 times it must be below the number of points"),
        ));
    }
    let x = points.detach()?.to_dtype(DType::Double)?.flatten(1, -1)?;
    if !x.is_finite()? {
        return Err(Error::value("tsne", "the points hold NaN or infinite values"));
    }
    let width = x.size(1)? as usize;
    let start = super::pca::pca(&x.unsqueeze(2)?.unsqueeze(3)?, 2.min(width as i64), None)?.projected.flatten(1, -1)?;
    let start = if width < 2 { Tensor::cat(&[&start, &start.mul(0.0)?], 1)? } else { start };
    let start = start.mul(1e-4 / start.select(1, 0)?.std(&[], 0, false)?.item()?)?.contiguous()?.to_vec_f32()?;
    // The result does not depend on the scale; squared distances of points like these would be none that f32 holds.
    let largest = x.abs()?.max()?.item()?;
    let x = if largest > 0.0 && !(1e-6..1e6).contains(&largest) { x.div(largest)? } else { x };
    let flat = x.to_vec_f32()?;
    let rows: Vec<&[f32]> = flat.chunks(width).collect();
    let distance = |a: &&[f32], b: &&[f32]| a.iter().zip(b.iter()).map(|(x, y)| (x - y).powi(2)).sum::<f32>().sqrt();
    // The crate checks its input by panics: what it refuses must not end a session.
    let made = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let mut t = bhtsne::tSNE::<f32, &[f32], 2>::new(&rows);
        t.perplexity(perplexity as f32).epochs(epochs).initial_embedding(start);
        t.barnes_hut(THETA, distance);
        t.embedding()
    }));
    let made = made.map_err(|_| Error::value("tsne", format!("t-SNE failed for {n} points with perplexity {perplexity}")))?;
    Tensor::from_vec(&made, &[n as i64, 2])?.to_dtype(DType::Double)
}
