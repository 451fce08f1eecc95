//! Fixed positions of a grid of tokens.

use crate::error::{Error, Result};
use crate::memory;
use crate::nn::bounds::{WIDEST, within};
use crate::torch::Tensor;

/// The 2-D sine-cosine table of MAE and DiT for a grid of `height * width` tokens in row order: `[height * width, dim]` f32.
///
/// The first half of the channels tells the column, the second half the row; each half is sines, then cosines, of the index
/// times `10000^(-i / (dim / 4))`, computed in f64.
///
/// # Errors
/// `E0202` unless `dim` is a positive multiple of 4.
pub fn sincos_2d(dim: i64, height: i64, width: i64) -> Result<Tensor> {
    if dim < 4 || dim % 4 != 0 || height < 1 || width < 1 {
        return Err(Error::value("sincos_2d", format!("the width {dim} must be a multiple of 4, for a grid of at least 1x1 (got {height}x{width})")));
    }
    within("sincos_2d", &[("dim", dim), ("height", height), ("width", width)], WIDEST)?;
    let len = usize::try_from(dim * height * width).unwrap_or(usize::MAX);
    memory::room_for("sincos_2d", len, 4)?;
    let quarter = dim / 4;
    let omega: Vec<f64> = (0..quarter).map(|i| 1.0 / 10000f64.powf(i as f64 / quarter as f64)).collect();
    let mut table = Vec::with_capacity(len);
    for (row, column) in (0..height).flat_map(|r| (0..width).map(move |c| (r, c))) {
        for index in [column, row] {
            table.extend(omega.iter().map(|w| (index as f64 * w).sin() as f32));
            table.extend(omega.iter().map(|w| (index as f64 * w).cos() as f32));
        }
    }
    Tensor::from_vec(&table, &[height * width, dim])
}
