//! Tables of learned positions, brought to another grid than the one they were trained on.

use super::size::{Size, area};
use crate::error::{Error, Result};
use crate::torch::bridge::call1;
use crate::torch::{DType, Tensor};

/// How a network itself interpolates its positions when a picture has another number of patches than the table.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Interpolation {
    /// Added to the number of patches when the scale is computed: 0.1 in DINO and DINOv2. With 0 the scale follows from the sizes.
    pub offset: f64,
    /// Whether the bicubic filter widens when it shrinks, as in DINOv2 with registers.
    pub antialias: bool,
    /// Bilinear instead of bicubic, as in Perception Encoder.
    pub bilinear: bool,
}

/// timm's `resample_abs_pos_embed`, which REPA applies to published weights: bicubic with antialiasing, in f32; the first `prefix` rows
/// (the class token's) stay as they are. A table of that grid comes back unchanged.
///
/// # Shapes
/// - `table`: `[1, prefix + N, D]` with the N places of `from` -> `[1, prefix + M, D]` with the M of `grid`, `[rows, columns]` both
/// # Errors
/// `E0202` when the table is of another grid than `from`.
pub fn resample_positions(table: &Tensor, from: Size, grid: Size, prefix: i64) -> Result<Tensor> {
    remap(table, from, grid, prefix, |map| map.interpolate(grid, "bicubic", false, true))
}

/// What a model does in its forward pass (`interpolate_pos_encoding`): in DINO and DINOv2 bicubic, with the offset in the scale that their
/// published weights were evaluated with, of each side by itself. A table of that grid comes back unchanged.
///
/// # Shapes
/// - `table`: `[1, prefix + N, D]` with the N places of `from` -> `[1, prefix + M, D]` with the M of `grid`, `[rows, columns]` both
/// # Errors
/// `E0202` when the table is of another grid than `from`.
pub fn interpolate_positions(table: &Tensor, from: Size, grid: Size, prefix: i64, how: Interpolation) -> Result<Tensor> {
    remap(table, from, grid, prefix, |map| {
        let filter = if how.bilinear { "bilinear" } else { "bicubic" };
        if how.offset == 0.0 {
            return map.interpolate(grid, filter, false, how.antialias);
        }
        let op = format!("{}upsample_{filter}2d{}", if how.antialias { "_" } else { "" }, if how.antialias { "_aa" } else { "" });
        let scale = |side: usize| (grid[side] as f64 + how.offset) / from[side] as f64;
        call1(&op, &[map.into(), grid.into(), false.into(), scale(0).into(), scale(1).into()], &[])
    })
}

/// Applies `f` to the table's grid `[1, D, rows, columns]`.
fn remap(table: &Tensor, from: Size, grid: Size, prefix: i64, f: impl FnOnce(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    let (_, rows, dim) = table.size3()?;
    let [height, width] = from;
    if height < 1 || width < 1 || rows - prefix != area(from) {
        let message = format!("a table of {rows} rows, {prefix} of them before the grid, belongs to no grid of {height}x{width}");
        return Err(Error::value("resample_positions", message));
    }
    if grid.iter().any(|side| *side < 1) {
        return Err(Error::value("resample_positions", format!("a grid of {}x{} has no place", grid[0], grid[1])));
    }
    if from == grid {
        return Ok(table.clone());
    }
    let float = table.to_dtype(DType::Float)?;
    let map = float.narrow(1, prefix, area(from))?.reshape(&[1, height, width, dim])?.permute(&[0, 3, 1, 2])?;
    let cells = f(&map)?.permute(&[0, 2, 3, 1])?.reshape(&[1, area(grid), dim])?;
    Tensor::cat(&[float.narrow(1, 0, prefix)?, cells], 1)?.to_dtype(table.dtype())
}
