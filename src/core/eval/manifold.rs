//! Precision and recall of two sets of features by their k-nearest-neighbour manifolds (Kynkaanniemi et al., arXiv 1904.06991), as ADM's
//! evaluation suite computes them.

use super::frechet::double;
use crate::error::{Error, Result};
use crate::interrupt;
use crate::space;
use crate::torch::{DType, Tensor, no_grad};

/// In which numbers distances are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distances {
    /// Exactly.
    F64,
    /// As the reference does where f16 overflows.
    F32,
    /// As the reference does on a GPU: f16 with f32 sums in products; a block of 10,000 x 10,000 distances of which one is not finite is
    /// computed in f32.
    F16,
}

impl Distances {
    /// Features in a block: the reference's for f16, where it decides what is computed; otherwise what fits a cache's neighbourhood.
    fn block(self) -> i64 {
        if self == Distances::F16 { 10_000 } else { 2048 }
    }

    /// The same, or f64 where squares of these features are none that f32 holds.
    fn for_all(self, sets: &[&Tensor]) -> Result<Distances> {
        let largest = sets.iter().filter(|x| x.numel() > 0).try_fold(0.0f64, |most, x| Ok::<_, Error>(most.max(x.abs()?.max()?.item()?)))?;
        let fits = |range: std::ops::Range<f64>| largest == 0.0 || range.contains(&largest);
        if !fits(1e-140..1e140) {
            return Err(Error::value("precision_recall", format!("features as large as {largest:e} have no squared distances in f64"))
                .help("scale both sets"));
        }
        if self == Distances::F64 || fits(1e-14..1e14) {
            return Ok(self);
        }
        space::say(&format!("warning: f32 does not hold the squares of features of {largest:e}: distances are computed in f64"));
        Ok(Distances::F64)
    }

    /// Squared distances of all pairs: `[N, D]`, `[M, D]` f64 -> `[N, M]` f32 or f64.
    fn between(self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        match self {
            Distances::F64 => squared(a, b, |x| Ok(x.clone())),
            Distances::F32 => squared(&a.to_dtype(DType::Float)?, &b.to_dtype(DType::Float)?, |x| Ok(x.clone())),
            Distances::F16 => {
                let round = |x: &Tensor| x.to_dtype(DType::Half)?.to_dtype(DType::Float);
                let half = squared(&round(&a.to_dtype(DType::Float)?)?, &round(&b.to_dtype(DType::Float)?)?, round)?;
                if half.is_finite()? { Ok(half) } else { Distances::F32.between(a, b) }
            }
        }
    }
}

/// `max(0, |a|^2 - 2 a b + |b|^2)`, each intermediate result rounded by `round`.
fn squared(a: &Tensor, b: &Tensor, round: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    let norm = |x: &Tensor| round(&round(&x.square()?)?.sum(&[1], false)?);
    let product = round(&a.matmul(&b.t()?)?)?;
    let sum = round(&norm(a)?.unsqueeze(1)?.sub(&round(&product.mul(2.0)?)?)?)?;
    round(&sum.add(&norm(b)?.unsqueeze(0)?)?)?.clamp(Some(0.0), None)
}

/// Squared distance of each feature to its `k`-th nearest neighbour in the same set: `[N, D]` -> `[N]`.
///
/// # Errors
/// `E0202` for another rank, a feature that is not finite, or fewer than `k + 1` features; `E0901` when interrupted.
pub fn manifold_radii(features: &Tensor, k: i64, precision: Distances) -> Result<Tensor> {
    let x = checked("features", features, k)?;
    radii_in_blocks(&x, k, precision.for_all(&[&x])?, precision.block())
}

fn radii_in_blocks(x: &Tensor, k: i64, precision: Distances, size: i64) -> Result<Tensor> {
    no_grad(|| {
        let blocks = x.split(size, 0)?;
        let row = |a: &Tensor| {
            let mut nearest: Option<Tensor> = None;
            for b in &blocks {
                interrupt::check()?;
                let d = precision.between(a, b)?;
                let all = match &nearest {
                    Some(n) => Tensor::cat(&[n, &d], 1)?,
                    None => d,
                };
                // The feature itself is among them, at distance 0.
                let wanted = k.saturating_add(1).min(all.size(1)?);
                nearest = Some(all.topk(wanted, 1, false)?.0);
            }
            let nearest = nearest.ok_or_else(|| Error::value("precision_recall", "no features"))?;
            nearest.amax(&[1], false)
        };
        Tensor::cat(&blocks.iter().map(row).collect::<Result<Vec<_>>>()?, 0)
    })
}

/// Precision (the part of `samples` that lies within a neighbourhood of `reference`) and recall (the part of `reference` that lies within one
/// of `samples`). A neighbourhood is the ball about a feature whose radius is the distance of its `k`-th nearest neighbour, its surface
/// included.
///
/// # Errors
/// As [`manifold_radii`]; `E0202` for sets of other widths.
pub fn precision_recall(reference: &Tensor, samples: &Tensor, k: i64, precision: Distances) -> Result<(f64, f64)> {
    in_blocks(reference, samples, k, precision, precision.block())
}

fn in_blocks(reference: &Tensor, samples: &Tensor, k: i64, precision: Distances, size: i64) -> Result<(f64, f64)> {
    let (a, b) = (checked("reference", reference, k)?, checked("samples", samples, k)?);
    if a.size(1)? != b.size(1)? {
        return Err(Error::value("precision_recall", format!("the features differ in width: {} and {}", a.describe(), b.describe())));
    }
    let precision = precision.for_all(&[&a, &b])?;
    let (radii_a, radii_b) = (radii_in_blocks(&a, k, precision, size)?, radii_in_blocks(&b, k, precision, size)?);
    no_grad(|| {
        let (mut in_b, mut in_a): (Vec<Tensor>, Vec<Option<Tensor>>) = (Vec::new(), Vec::new());
        let columns: Vec<(Tensor, Tensor)> = b.split(size, 0)?.into_iter().zip(radii_b.split(size, 0)?).collect();
        in_a.resize_with(columns.len(), || None);
        for (a, ra) in a.split(size, 0)?.iter().zip(radii_a.split(size, 0)?) {
            let mut row: Option<Tensor> = None;
            for ((b, rb), seen) in columns.iter().zip(&mut in_a) {
                interrupt::check()?;
                let d = precision.between(a, b)?;
                let merge = |old: &Option<Tensor>, new: Tensor| old.as_ref().map_or(Ok(new.clone()), |o| o.bitwise_or(&new));
                row = Some(merge(&row, d.le(&rb.unsqueeze(0)?)?.any(&[1], false)?)?);
                *seen = Some(merge(seen, d.le(&ra.unsqueeze(1)?)?.any(&[0], false)?)?);
            }
            in_b.extend(row);
        }
        let part = |t: &[Tensor]| Tensor::cat(t, 0)?.to_dtype(DType::Double)?.mean(&[], false)?.item();
        let in_a: Vec<Tensor> = in_a.into_iter().flatten().collect();
        Ok((part(&in_a)?, part(&in_b)?))
    })
}

fn checked(name: &str, x: &Tensor, k: i64) -> Result<Tensor> {
    let [n, _] = x.shape()[..] else {
        return Err(Error::value("precision_recall", format!("`{name}` must be [N, D], got {}", x.describe())));
    };
    if k < 1 || n <= k {
        return Err(Error::value(
            "precision_recall",
            format!("`{name}` has {n} features: a {k}-th nearest neighbour needs at least {}", k.max(0).saturating_add(1)),
        ));
    }
    double("precision_recall", name, x)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(v: &[f64]) -> Tensor {
        Tensor::from_vec(v, &[v.len() as i64, 1]).unwrap()
    }

    #[test]
    fn by_hand_on_a_line() {
        let a = line(&[0.0, 1.0, 3.0, 6.0]);
        // Nearest: 1, 1, 2, 3; second nearest: 3, 2, 3, 5.
        assert_eq!(manifold_radii(&a, 1, Distances::F64).unwrap().to_vec_f64().unwrap(), [1.0, 1.0, 4.0, 9.0]);
        assert_eq!(manifold_radii(&a, 2, Distances::F32).unwrap().to_vec_f64().unwrap(), [9.0, 4.0, 9.0, 25.0]);
        // -1 lies on the surface of the ball about 0, 20 and 21 in none; only 0 is within a ball about -1 (radius 21) ...
        let b = line(&[-1.0, 20.0, 21.0, 40.0]);
        let (p, r) = precision_recall(&a, &b, 1, Distances::F64).unwrap();
        assert_eq!((p, r), (0.25, 1.0));
    }

    /// Blocks make no difference: 5,000 features against the same in one block.
    #[test]
    fn blocks_are_joined() {
        let x = Tensor::arange(0.0, 1000.0, 1.0, DType::Double, crate::torch::Device::Cpu).unwrap().mul(0.37).unwrap().sin().unwrap();
        let x = x.unsqueeze(1).unwrap();
        // As far apart as neighbours are.
        let y = x.add(0.0015).unwrap();
        // Three blocks, the last one smaller; and one.
        let in_three = in_blocks(&x, &y, 3, Distances::F64, 410).unwrap();
        let d = squared(&x, &y, |t| Ok(t.clone())).unwrap();
        let radius = |t: &Tensor| squared(t, t, |t| Ok(t.clone())).unwrap().topk(4, 1, false).unwrap().0.amax(&[1], false).unwrap();
        let share = |m: Tensor, dim: i64| m.any(&[dim], false).unwrap().to_dtype(DType::Double).unwrap().mean(&[], false).unwrap().item().unwrap();
        let p = share(d.le(&radius(&x).unsqueeze(1).unwrap()).unwrap(), 0);
        let r = share(d.le(&radius(&y).unsqueeze(0).unwrap()).unwrap(), 1);
        assert_eq!((in_three, precision_recall(&x, &y, 3, Distances::F64).unwrap()), ((p, r), (p, r)));
        assert!(p > 0.1 && p < 1.0, "{p} says something");
    }

    #[test]
    fn overflow_of_f16_falls_back_to_f32() {
        let a = line(&[0.0, 300.0, 700.0, 1500.0]);
        assert_eq!(manifold_radii(&a, 1, Distances::F16).unwrap().to_vec_f64().unwrap(), [9e4, 9e4, 1.6e5, 6.4e5]);
    }

    #[test]
    fn wrong_input_is_refused() {
        let a = line(&[0.0, 1.0, 2.0]);
        assert!(precision_recall(&a, &a, 3, Distances::F64).is_err());
        assert!(precision_recall(&a, &a, 0, Distances::F64).is_err());
        assert!(precision_recall(&a, &line(&[0.0, 1.0, f64::NAN]), 1, Distances::F64).is_err());
        assert!(precision_recall(&a, &Tensor::from_vec(&[0.0; 6], &[3, 2]).unwrap(), 1, Distances::F64).is_err());
    }
}
