//! Tensors as pictures: ranges of values, grids, PNG files.

use crate::error::{Error, Result};
use crate::files;
use crate::torch::{DType, Device, Tensor, no_grad};
use image::{ExtendedColorType, ImageEncoder};
use std::path::Path;

/// More pixels than this are a mistake: one picture of 400 MB.
const MOST_PIXELS: i64 = 1 << 27;

/// What black and white are in float pictures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    low: f64,
    high: f64,
}

impl Range {
    /// From black to white.
    ///
    /// # Errors
    /// `E0202` unless `low < high`, both finite.
    pub fn new(low: f64, high: f64) -> Result<Self> {
        if low < high && low.is_finite() && high.is_finite() {
            return Ok(Range { low, high });
        }
        Err(Error::value("range", format!("a range goes from a smaller to a larger number, got [{low}, {high}]")))
    }

    /// Black.
    pub fn low(&self) -> f64 {
        self.low
    }

    /// White.
    pub fn high(&self) -> f64 {
        self.high
    }

    /// White minus black.
    pub fn width(&self) -> f64 {
        self.high - self.low
    }

    /// From the smallest to the largest finite value of `x`.
    ///
    /// # Errors
    /// `E0201` when libtorch refuses.
    pub fn of(x: &Tensor) -> Result<Self> {
        no_grad(|| {
            let x = x.detach()?.to_dtype(DType::Float)?;
            let good = x.masked_select(&x.isfinite()?)?;
            if good.numel() == 0 {
                return Ok(Range { low: 0.0, high: 1.0 });
            }
            let (low, high) = (good.min()?.item()?, good.max()?.item()?);
            Ok(Range { low, high: if high > low { high } else { low + 1.0 } })
        })
    }
}

/// Any picture or batch of pictures as u8 `[B, 3, H, W]` on the CPU: `[B, C, H, W]`, `[C, H, W]` or `[H, W]` with 1 or 3 channels, u8, bool, or
/// float with a range; floats are rounded and clamped, NaN becomes black.
///
/// # Errors
/// `E0202` for another shape or dtype, or floats without a range.
pub fn pictures(op: &str, x: &Tensor, range: Option<Range>) -> Result<Tensor> {
    let wrong = || Error::value(op, format!("pictures are [B, C, H, W], [C, H, W] or [H, W] with 1 or 3 channels, got {}", x.describe()));
    no_grad(|| {
        let x4 = match x.rank() {
            4 => x.clone(),
            3 => x.unsqueeze(0)?,
            2 => x.unsqueeze(0)?.unsqueeze(0)?,
            _ => return Err(wrong()),
        };
        let x4 = x4.detach()?.to_device(Device::Cpu)?;
        let (b, c, h, w) = x4.size4()?;
        if (c != 1 && c != 3) || b < 1 || h < 1 || w < 1 {
            return Err(wrong());
        }
        let bytes = match (x4.dtype(), range) {
            (DType::Uint8, None) => x4,
            (DType::Uint8, Some(_)) => return Err(Error::value(op, "`range` is for floats; u8 pictures have 0 to 255")),
            (DType::Bool, _) => x4.to_dtype(DType::Uint8)?.mul(255i64)?,
            (_, Some(r)) if x4.is_float() => {
                let f = x4.to_dtype(DType::Float)?;
                let f = f.masked_fill(&f.isnan()?, r.low)?.sub(r.low)?.mul(255.0 / r.width())?;
                f.round()?.clamp(Some(0.0), Some(255.0))?.to_dtype(DType::Uint8)?
            }
            _ => {
                return Err(Error::value(op, format!("pictures must be u8, or float with a range, got {}", x.describe()))
                    .help("state what black and white are: `#{range: [-1, 1]}`, `#{range: [0, 1]}`, or `#{range: \"auto\"}`"));
            }
        };
        bytes.expand(&[b, 3, h, w])
    })
}

/// How pictures are laid out.
#[derive(Debug, Clone, Copy)]
pub struct GridOptions {
    /// Pictures in a row.
    pub nrow: i64,
    /// Pixels around each picture.
    pub pad: i64,
    /// The grey of those pixels.
    pub pad_value: u8,
}

impl Default for GridOptions {
    fn default() -> Self {
        GridOptions { nrow: 8, pad: 2, pad_value: 255 }
    }
}

/// Pictures u8 `[B, 3, H, W]` as one, row by row: u8 `[3, rows * (H + pad) + pad, columns * (W + pad) + pad]`.
///
/// # Errors
/// `E0202` for sizes below 1 or a result of more than 134 million pixels.
pub fn grid(x: &Tensor, o: GridOptions) -> Result<Tensor> {
    let (b, c, h, w) = x.size4()?;
    if o.nrow < 1 || o.pad < 0 {
        return Err(Error::value("grid", format!("`nrow` must be at least 1 and `pad` at least 0, got {} and {}", o.nrow, o.pad)));
    }
    let columns = o.nrow.min(b.max(1));
    let rows = (b + columns - 1) / columns;
    let side = |n: i64, size: i64| size.checked_add(o.pad).and_then(|s| s.checked_mul(n)).and_then(|s| s.checked_add(o.pad));
    let too_large = || Error::value("grid", format!("a grid of {rows} x {columns} pictures of {h} x {w} is too large"));
    let (height, width) = (side(rows, h).ok_or_else(too_large)?, side(columns, w).ok_or_else(too_large)?);
    if height.checked_mul(width).is_none_or(|n| n > MOST_PIXELS) {
        return Err(too_large());
    }
    no_grad(|| {
        let out = Tensor::full(&[c, height, width], f64::from(o.pad_value), DType::Uint8, Device::Cpu)?;
        for (i, picture) in x.unbind(0)?.iter().enumerate() {
            let (row, column) = (i as i64 / columns, i as i64 % columns);
            let place = out.narrow(1, o.pad + row * (h + o.pad), h)?.narrow(2, o.pad + column * (w + o.pad), w)?;
            place.copy_(picture)?;
        }
        Ok(out)
    })
}

/// Width, height and bytes of u8 `[3, H, W]` as a PNG file.
///
/// # Errors
/// `E0202` for another shape.
pub fn png(x: &Tensor) -> Result<(u32, u32, Vec<u8>)> {
    let ([3, h, w], DType::Uint8) = (&x.shape()[..], x.dtype()) else {
        return Err(Error::value("save_png", format!("a picture is u8 [3, H, W], got {}", x.describe())));
    };
    let size = |n: i64| u32::try_from(n).map_err(|_| Error::value("save_png", format!("{n} pixels are too many")));
    let (width, height) = (size(*w)?, size(*h)?);
    let pixels = x.permute(&[1, 2, 0])?.to_bytes()?;
    let mut bytes = Vec::new();
    image::codecs::png::PngEncoder::new(&mut bytes)
        .write_image(&pixels, width, height, ExtendedColorType::Rgb8)
        .map_err(|e| Error::value("save_png", e.to_string()))?;
    Ok((width, height, bytes))
}

/// Writes u8 `[3, H, W]` as a PNG file, which appears whole or not at all.
///
/// # Errors
/// `E0202` for another shape, `E0301` when the file cannot be written.
pub fn save_png(path: &Path, x: &Tensor) -> Result<()> {
    let (_, _, bytes) = png(x)?;
    files::write(path, &bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_rounded_and_clamped() {
        let x = Tensor::from_slice(&[-1.0f32, 0.0, 1.0, 2.0, f32::NAN, 0.5]).unwrap().view(&[1, 2, 3]).unwrap();
        let range = Some(Range::new(-1.0, 1.0).unwrap());
        let y = pictures("grid", &x, range).unwrap();
        assert_eq!(y.shape(), [1, 3, 2, 3]);
        // 127.5 goes to the even 128; 0.5 is 191.25.
        assert_eq!(y.select(1, 2).unwrap().to_vec_i64().unwrap(), [0, 128, 255, 255, 0, 191]);
        assert!(pictures("grid", &x, None).is_err() && Range::new(1.0, 1.0).is_err());
    }

    #[test]
    fn a_grid_places_pictures_row_by_row() {
        let x = Tensor::from_slice(&[10u8, 20, 30]).unwrap().view(&[3, 1, 1, 1]).unwrap();
        let g = grid(&pictures("grid", &x, None).unwrap(), GridOptions { nrow: 2, pad: 1, pad_value: 0 }).unwrap();
        assert_eq!(g.shape(), [3, 5, 5]);
        let want = [0, 0, 0, 0, 0, 0, 10, 0, 20, 0, 0, 0, 0, 0, 0, 0, 30, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(g.select(0, 1).unwrap().to_vec_i64().unwrap(), want);
        assert!(grid(&x, GridOptions { nrow: 1, pad: 1 << 40, pad_value: 0 }).is_err());
        assert!(grid(&x, GridOptions { nrow: 1, pad: i64::MAX, pad_value: 0 }).is_err());
    }

    #[test]
    fn a_png_holds_the_pixels() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.png");
        let x = Tensor::arange(0.0, 60.0, 1.0, DType::Uint8, Device::Cpu).unwrap().view(&[3, 4, 5]).unwrap();
        save_png(&path, &x).unwrap();
        let back = image::open(&path).unwrap().to_rgb8();
        assert_eq!(back.dimensions(), (5, 4));
        assert_eq!(back.get_pixel(2, 3).0, [17, 37, 57]);
        assert!(save_png(&dir.path().join("missing/a.png"), &x).is_err());
        assert!(save_png(&path, &x.to_dtype(DType::Float).unwrap()).is_err());
    }
}
