//! Fixtures keep large tensors as every so manyth element. Where a sidecar does not say by which steps, the stored shape does, up to a few
//! candidates: of 6 elements 2 are left by steps of 3, 4 and 5. The right one is the one that agrees; a wrong tensor agrees with none.

use lathe::error::Result;
use lathe::torch::{DType, Tensor};

/// More combinations of steps than this are not tried.
const MOST: usize = 4096;

/// The steps that leave `kept` of `have` elements.
fn steps(have: i64, kept: i64) -> Vec<i64> {
    if have == kept {
        return vec![1];
    }
    (1..=have).filter(|s| (have + s - 1) / s == kept).collect()
}

/// The slice of `got` with the shape of `want` that comes nearest to it; `got` itself where no steps lead there.
pub fn strided(got: &Tensor, want: &Tensor) -> Result<Tensor> {
    let (have, kept) = (got.shape(), want.shape());
    if have == kept || have.len() != kept.len() {
        return Ok(got.clone());
    }
    let per_dim: Vec<Vec<i64>> = have.iter().zip(&kept).map(|(h, k)| steps(*h, *k)).collect();
    let count: usize = per_dim.iter().map(Vec::len).product();
    if count == 0 || count > MOST {
        return Ok(got.clone());
    }
    let want = want.to_dtype(DType::Double)?;
    let mut best: Option<(f64, Tensor)> = None;
    for i in 0..count {
        let (mut rest, mut slice) = (i, got.clone());
        for (d, steps) in per_dim.iter().enumerate() {
            slice = slice.slice(d as i64, None, None, steps[rest % steps.len()])?;
            rest /= steps.len();
        }
        let error = slice.to_dtype(DType::Double)?.sub(&want)?.abs()?.max()?.item()?;
        if best.as_ref().is_none_or(|(least, _)| error < *least) {
            best = Some((error, slice));
        }
    }
    Ok(best.map_or_else(|| got.clone(), |(_, t)| t))
}
