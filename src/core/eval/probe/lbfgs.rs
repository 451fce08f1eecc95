//! Minimising a smooth convex function by L-BFGS (Nocedal and Wright, Numerical Optimization, algorithms 7.4 and 7.5).

use crate::error::{Error, Result};
use crate::interrupt;
use crate::torch::Tensor;
use std::collections::VecDeque;

/// Pairs of steps and gradient changes that are kept.
const MEMORY: usize = 10;
/// Armijo's condition: the least part of the promised decrease.
const DECREASE: f64 = 1e-4;
/// Halvings of a step before the function is as low as rounding lets it be.
const HALVINGS: usize = 40;

/// Where a minimisation ended.
#[derive(Debug, Clone)]
pub struct Minimum {
    /// The parameters.
    pub at: Tensor,
    /// Steps taken.
    pub steps: usize,
}

/// Minimises `f`, which gives value and gradient, from `start`, until no element of the gradient is larger than `tolerance`.
///
/// # Errors
/// `E0202` when that takes more than `most` steps, naming the gradient; what `f` returns; `E0901` when interrupted.
pub fn minimise(start: Tensor, tolerance: f64, most: usize, f: impl Fn(&Tensor) -> Result<(f64, Tensor)>) -> Result<Minimum> {
    let mut x = start;
    let (mut value, mut g) = f(&x)?;
    let mut pairs: VecDeque<(Tensor, Tensor, f64)> = VecDeque::new();
    let mut steps = 0;
    loop {
        interrupt::check()?;
        let gradient = g.abs()?.max()?.item()?;
        if gradient <= tolerance {
            return Ok(Minimum { at: x, steps });
        }
        if steps == most {
            return Err(Error::value("probe", format!("no convergence in {most} steps: the gradient is {gradient:.2e}, {tolerance:.0e} is wanted"))
                .help("regularise more (`c` smaller), or allow more `iterations`"));
        }
        let mut direction = two_loops(&g, &pairs)?;
        let mut slope = dot(&direction, &g)?;
        if slope >= 0.0 {
            pairs.clear();
            direction = g.neg()?;
            slope = dot(&direction, &g)?;
        }
        // The first step has no scale yet.
        let mut step = if pairs.is_empty() { (1.0 / dot(&g, &g)?.sqrt()).min(1.0) } else { 1.0 };
        let mut moved = None;
        for _ in 0..HALVINGS {
            let next = x.add(&direction.mul(step)?)?;
            let (v, ng) = f(&next)?;
            if v <= value + DECREASE * step * slope {
                moved = Some((next, v, ng));
                break;
            }
            step *= 0.5;
        }
        let Some((next, v, ng)) = moved else {
            // Flat to the last digit of the value: as near as f64 comes, and near enough if the gradient says so.
            if gradient <= 100.0 * tolerance {
                return Ok(Minimum { at: x, steps });
            }
            return Err(Error::value("probe", format!("the fit stalls with a gradient of {gradient:.2e}; {tolerance:.0e} is wanted")));
        };
        let (s, y) = (next.sub(&x)?, ng.sub(&g)?);
        let sy = dot(&s, &y)?;
        if sy > 1e-12 * dot(&y, &y)?.sqrt() * dot(&s, &s)?.sqrt() {
            if pairs.len() == MEMORY {
                pairs.pop_front();
            }
            pairs.push_back((s, y, sy));
        }
        (x, value, g) = (next, v, ng);
        steps += 1;
    }
}

/// The direction `-H g` of the pairs' inverse Hessian.
fn two_loops(g: &Tensor, pairs: &VecDeque<(Tensor, Tensor, f64)>) -> Result<Tensor> {
    let mut q = g.neg()?;
    let mut parts = Vec::with_capacity(pairs.len());
    for (s, y, sy) in pairs.iter().rev() {
        let a = dot(s, &q)? / sy;
        q = q.sub(&y.mul(a)?)?;
        parts.push(a);
    }
    if let Some((_, y, sy)) = pairs.back() {
        q = q.mul(sy / dot(y, y)?)?;
    }
    for ((s, y, sy), a) in pairs.iter().zip(parts.iter().rev()) {
        let b = dot(y, &q)? / sy;
        q = q.add(&s.mul(a - b)?)?;
    }
    Ok(q)
}

fn dot(a: &Tensor, b: &Tensor) -> Result<f64> {
    a.mul(b)?.sum(&[], false)?.item()
}
