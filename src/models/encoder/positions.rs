//! Tables of learned positions, brought to another grid than the one they were trained on.

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
/// - `table`: `[1, prefix + g * g, D]` -> `[1, prefix + grid * grid, D]`
/// # Errors
/// `E0202` when the table belongs to no square grid.
pub fn resample_positions(table: &Tensor, grid: i64, prefix: i64) -> Result<Tensor> {
    remap(table, grid, prefix, |map, _| map.interpolate([grid, grid], "bicubic", false, true))
}

/// What a model does in its forward pass (`interpolate_pos_encoding`): in DINO and DINOv2 bicubic, with the offset in the scale that their
/// published weights were evaluated with. A table of that grid comes back unchanged.
///
/// # Shapes
/// - `table`: `[1, prefix + g * g, D]` -> `[1, prefix + grid * grid, D]`
/// # Errors
/// `E0202` when the table belongs to no square grid.
pub fn interpolate_positions(table: &Tensor, grid: i64, prefix: i64, how: Interpolation) -> Result<Tensor> {
    remap(table, grid, prefix, |map, from| {
        let filter = if how.bilinear { "bilinear" } else { "bicubic" };
        if how.offset == 0.0 {
            return map.interpolate([grid, grid], filter, false, how.antialias);
        }
        let op = format!("{}upsample_{filter}2d{}", if how.antialias { "_" } else { "" }, if how.antialias { "_aa" } else { "" });
        let scale = (grid as f64 + how.offset) / from as f64;
        call1(&op, &[map.into(), [grid, grid].into(), false.into(), scale.into(), scale.into()], &[])
    })
}

/// The side of the square grid that a table of `rows` rows belongs to.
pub fn grid_of(rows: i64, prefix: i64) -> Option<i64> {
    let cells = rows - prefix;
    let side = (cells.max(0) as f64).sqrt().round() as i64;
    (cells > 0 && side * side == cells).then_some(side)
}

/// Applies `f` to the table's grid `[1, D, g, g]`.
fn remap(table: &Tensor, grid: i64, prefix: i64, f: impl FnOnce(&Tensor, i64) -> Result<Tensor>) -> Result<Tensor> {
    let (_, rows, dim) = table.size3()?;
    let from = grid_of(rows, prefix).ok_or_else(|| {
        Error::value("resample_positions", format!("a table of {rows} rows, {prefix} of them before the grid, belongs to no square grid"))
    })?;
    if grid < 1 {
        return Err(Error::value("resample_positions", format!("a grid of {grid}x{grid} has no place")));
    }
    if from == grid {
        return Ok(table.clone());
    }
    let float = table.to_dtype(DType::Float)?;
    let map = float.narrow(1, prefix, from * from)?.reshape(&[1, from, from, dim])?.permute(&[0, 3, 1, 2])?;
    let cells = f(&map, from)?.permute(&[0, 2, 3, 1])?.reshape(&[1, grid * grid, dim])?;
    Tensor::cat(&[float.narrow(1, 0, prefix)?, cells], 1)?.to_dtype(table.dtype())
}
