//! Rotary positions of patches on a grid (Su et al., arXiv 2104.09864): pairs of channels of queries and keys are turned by angles that grow with the
//! patch's row and column.
//!
//! Shapes: N patches, P tokens before them, which are not turned, d channels of a head.

use super::size::{Size, area};
use crate::error::Result;
use crate::torch::{DType, Device, Tensor};
use std::f64::consts::TAU;

/// Whose angles, and which channels make a pair.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rope {
    /// DINOv3's `RopePositionEmbedding`: centres of the patches in [-1, 1] along each side, `d / 4` periods from 1 to almost `base`; first the rows'
    /// angles, then the columns'; channel i goes with channel `i + d / 2`.
    Centres {
        /// 100 in all published weights.
        base: f64,
    },
    /// Perception Encoder's `Rope2D`: places counted from `first`, frequencies `theta^(-4 j / d)`; first the columns' angles, then the rows';
    /// neighbours make a pair. On a larger grid the counting goes on.
    Counted {
        /// 10000.
        theta: f64,
        /// The place of the first patch: 1 beside a class token, whose own place is 0.
        first: f64,
    },
}

/// The angles of a network's tokens, as cosines and sines `[P + N, d]`.
pub struct Turn {
    cos: Tensor,
    sin: Tensor,
    neighbours: bool,
}

impl Rope {
    /// The angles for a grid with `prefix` tokens before it.
    ///
    /// # Errors
    /// `E0201` when libtorch refuses.
    pub fn turn(self, grid: Size, prefix: i64, head: i64, device: Device) -> Result<Turn> {
        let quarter = head / 4;
        let [rows, columns] = grid;
        let angle = |place: i64, of: i64, j: i64| match self {
            Rope::Centres { base } => TAU * (2.0 * (place as f64 + 0.5) / of as f64 - 1.0) / base.powf(4.0 * j as f64 / head as f64),
            Rope::Counted { theta, first } => (place as f64 + first) / theta.powf(4.0 * j as f64 / head as f64),
        };
        let axis = |place: i64, of: i64| (0..quarter).map(move |j| angle(place, of, j));
        let mut angles = vec![0.0; (prefix * head) as usize];
        for (row, column) in (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))) {
            match self {
                Rope::Centres { .. } => {
                    let half: Vec<f64> = axis(row, rows).chain(axis(column, columns)).collect();
                    angles.extend(half.iter().chain(&half));
                }
                Rope::Counted { .. } => angles.extend(axis(column, columns).chain(axis(row, rows)).flat_map(|a| [a, a])),
            }
        }
        let table = |f: fn(f64) -> f64| {
            let values: Vec<f32> = angles.iter().map(|a| f(*a) as f32).collect();
            Tensor::from_vec(&values, &[prefix + area(grid), head])?.to_device(device)
        };
        Ok(Turn { cos: table(f64::cos)?, sin: table(f64::sin)?, neighbours: matches!(self, Rope::Counted { .. }) })
    }
}

impl Turn {
    /// Queries or keys `[B, heads, P + N, d]`, turned in f32.
    ///
    /// # Errors
    /// `E0202` for other shapes.
    pub fn apply(&self, x: &Tensor) -> Result<Tensor> {
        x.to_dtype(DType::Float)?.rope(&self.cos, &self.sin, self.neighbours)?.to_dtype(x.dtype())
    }
}
