//! The nearest orthogonal matrix, roughly: a few steps of a polynomial iteration on the singular values, in bf16 or f16. Matrices of one size go
//! together, `[B, R, C]` -> `[B, R, C]`.

use crate::error::{Error, Result};
use crate::interrupt;
use crate::torch::bridge::call1;
use crate::torch::{DType, Tensor};

/// The coefficients of one step: `a x + b x^3 + c x^5` of each singular value.
pub type Quintic = [f64; 3];

/// Steps of You Jiacheng, <https://x.com/YouJiacheng/status/1905861218138804534>.
pub const YOU: [Quintic; 5] =
    [[4.0848, -6.8946, 2.9270], [3.9505, -6.3029, 2.6377], [3.7418, -5.5913, 2.3037], [2.8769, -3.1427, 1.2046], [2.8366, -3.0525, 1.2012]];

/// Polar Express (arXiv 2505.16932), with room of 5 % for rounding as Dao-AILab/gram-newton-schulz takes it.
pub fn polar_express() -> Vec<Quintic> {
    const ROOM: f64 = 1.05;
    let steps = [
        [8.287_212_018_145_63, -23.595_886_519_098_837, 17.300_387_312_530_933],
        [4.107_059_111_542_203, -2.947_849_916_737_910_6, 0.544_843_108_292_660_1],
        [3.948_690_853_482_294_6, -2.908_902_115_962_949, 0.551_819_139_437_013_7],
        [3.318_419_657_370_601_5, -2.488_488_024_314_874, 0.510_048_940_123_72],
        [2.300_652_019_954_817, -1.668_903_984_574_749_3, 0.418_807_311_952_567_3],
    ];
    steps.map(|[a, b, c]| [a / ROOM, b / ROOM.powi(3), c / ROOM.powi(5)]).to_vec()
}

/// Which arithmetic orthogonalizes.
#[derive(Debug, Clone, PartialEq)]
pub enum NewtonSchulz {
    /// `torch.optim.Muon`'s, in bf16.
    Torch {
        /// The polynomial, the same in each step.
        coefficients: Quintic,
        /// How many steps.
        steps: i64,
        /// The smallest norm that a matrix is divided by.
        eps: f64,
    },
    /// That of Dao-AILab/gram-newton-schulz, in f16: steps on the small Gram matrix where a matrix is not square.
    Gram {
        /// The polynomial of each step.
        coefficients: Vec<Quintic>,
        /// Before which steps the Gram matrix is computed anew; `None` never works on the Gram matrix.
        restarts: Option<Vec<usize>>,
        /// Added to the norm that a matrix is divided by.
        eps: f64,
    },
}

impl NewtonSchulz {
    /// Orthogonalizes matrices, which come and go as bf16.
    ///
    /// # Errors
    /// `E0201` when libtorch refuses.
    pub fn apply(&self, x: &Tensor) -> Result<Tensor> {
        let (rows, columns) = (x.size(-2)?, x.size(-1)?);
        match self {
            NewtonSchulz::Torch { coefficients, steps, eps } => {
                let is_tall = rows > columns;
                let x = x.to_dtype(DType::BFloat16)?;
                let x = if is_tall { turned(&x)? } else { x };
                let x = torch(&x.div(&norm(&x)?.clamp(Some(*eps), None)?)?, *coefficients, *steps)?;
                if is_tall { turned(&x) } else { Ok(x) }
            }
            NewtonSchulz::Gram { coefficients, restarts, eps } => {
                let y = x.to_dtype(DType::Float)?;
                let y = y.div(&norm(&y)?.add(*eps)?)?.to_dtype(DType::Half)?;
                let y = match restarts {
                    Some(restarts) if rows != columns => gram(y, coefficients, restarts, rows > columns)?,
                    _ => standard(y, coefficients, rows > columns)?,
                };
                y.to_dtype(x.dtype())
            }
        }
    }
}

fn turned(x: &Tensor) -> Result<Tensor> {
    x.transpose(-2, -1)
}

/// The Frobenius norm of each, `[B, 1, 1]`.
fn norm(x: &Tensor) -> Result<Tensor> {
    call1("linalg_vector_norm", &[x.into(), 2i64.into(), [-2, -1].into(), true.into()], &[])
}

/// `beta c + alpha a @ b`.
fn fused(c: &Tensor, a: &Tensor, b: &Tensor, beta: f64, alpha: f64) -> Result<Tensor> {
    call1("baddbmm", &[c.into(), a.into(), b.into()], &[("beta", beta.into()), ("alpha", alpha.into())])
}

fn torch(x: &Tensor, [a, b, c]: Quintic, steps: i64) -> Result<Tensor> {
    let mut x = x.clone();
    for _ in 0..steps {
        let gram = x.matmul(&turned(&x)?)?;
        x = fused(&x, &fused(&gram, &gram, &gram, b, c)?, &x, a, 1.0)?;
    }
    Ok(x)
}

/// The smaller Gram matrix.
fn gram_of(x: &Tensor, is_tall: bool) -> Result<Tensor> {
    if is_tall { turned(x)?.matmul(x) } else { x.matmul(&turned(x)?) }
}

fn standard(mut x: Tensor, coefficients: &[Quintic], is_tall: bool) -> Result<Tensor> {
    for [a, b, c] in coefficients {
        let g = gram_of(&x, is_tall)?;
        let z = fused(&g, &g, &g, *b, *c)?;
        x = if is_tall { fused(&x, &x, &z, *a, 1.0)? } else { fused(&x, &z, &x, *a, 1.0)? };
    }
    Ok(x)
}

fn gram(mut x: Tensor, coefficients: &[Quintic], restarts: &[usize], is_tall: bool) -> Result<Tensor> {
    let through = |x: &Tensor, q: &Tensor| if is_tall { x.matmul(q) } else { q.matmul(x) };
    let mut r = gram_of(&x, is_tall)?;
    let one = Tensor::eye(r.size(-1)?, r.dtype(), r.device())?;
    let mut product: Option<Tensor> = None;
    for (i, [a, b, c]) in coefficients.iter().enumerate() {
        if i != 0
            && restarts.contains(&i)
            && let Some(q) = product.take()
        {
            x = through(&x, &q)?;
            r = gram_of(&x, is_tall)?;
        }
        let z = fused(&r, &r, &r, *b, *c)?;
        product = Some(match product {
            None => z.add(&one.mul(*a)?)?,
            Some(q) => fused(&q, &q, &z, *a, 1.0)?,
        });
        if i + 1 < coefficients.len() && !restarts.contains(&(i + 1)) {
            let rz = fused(&r, &r, &z, *a, 1.0)?;
            r = fused(&rz, &z, &rz, *a, 1.0)?;
        }
    }
    match product {
        Some(q) => through(&x, &q),
        None => Ok(x),
    }
}

/// Before which `count` steps the Gram matrix is best computed anew, so that its rounding does not blow up.
///
/// # Errors
/// `E0202` when no places keep it in bounds, or there are too few steps; `E0901` when interrupted: every choice of places is tried.
pub fn best_restarts(coefficients: &[Quintic], count: usize) -> Result<Vec<usize>> {
    let places: Vec<usize> = (1..coefficients.len()).collect();
    if count == 0 {
        return Ok(Vec::new());
    }
    if count > places.len() {
        return Err(Error::value("gram_restarts", format!("{} steps have no {count} places for a restart", coefficients.len())));
    }
    let mut best = (f64::INFINITY, Vec::new());
    choose(&places, count, &mut Vec::new(), &mut |restarts| {
        interrupt::check()?;
        let condition = condition(coefficients, restarts);
        if condition < best.0 {
            best = (condition, restarts.to_vec());
        }
        Ok(())
    })?;
    if best.0 >= 1e8 {
        return Err(Error::value("gram_restarts", format!("no {count} restarts keep these steps in bounds")).help("take more restarts"));
    }
    Ok(best.1)
}

/// Every choice of `count` of `places`, in order.
fn choose(places: &[usize], count: usize, chosen: &mut Vec<usize>, each: &mut dyn FnMut(&[usize]) -> Result<()>) -> Result<()> {
    if count == 0 {
        return each(chosen);
    }
    for (i, place) in places.iter().enumerate().take((places.len() + 1).saturating_sub(count)) {
        chosen.push(*place);
        choose(&places[i + 1..], count - 1, chosen, each)?;
        chosen.pop();
    }
    Ok(())
}

/// The largest condition of the products that arise on singular values of 1 to 1e-10, where the Gram matrix is off by -4e-4.
fn condition(coefficients: &[Quintic], restarts: &[usize]) -> f64 {
    const VALUES: usize = 10_000;
    let mut x: Vec<f64> = (0..VALUES).map(|i| 10f64.powf(-10.0 * i as f64 / (VALUES - 1) as f64)).collect();
    let (mut r, mut q) = (Vec::new(), vec![1.0; VALUES]);
    let mut worst = 0f64;
    for (i, [a, b, c]) in coefficients.iter().enumerate() {
        if i == 0 || restarts.contains(&i) {
            x.iter_mut().zip(&q).for_each(|(x, q)| *x *= q);
            r = x.iter().map(|x| x * x - 4e-4).collect();
            q.fill(1.0);
        }
        let (mut small, mut large) = (f64::INFINITY, 0f64);
        for (r, q) in r.iter_mut().zip(&mut q) {
            let z = a + *r * (b + *r * c);
            *q *= z;
            *r *= z * z;
            if !q.is_finite() {
                return f64::INFINITY;
            }
            (small, large) = (small.min(q.abs()), large.max(q.abs()));
        }
        worst = worst.max(large / small);
    }
    worst
}
