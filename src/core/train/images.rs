//! Sample grids: a batch of pictures as one PNG.

use crate::error::{Error, Result};
use crate::torch::{DType, Tensor};
use image::{ExtendedColorType, ImageEncoder};

/// An encoded grid.
pub struct Png {
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// The file's bytes.
    pub bytes: Vec<u8>,
}

/// Pixels between pictures.
const GAP: usize = 2;

/// Lays pictures out in a nearly square grid and encodes it. Takes `[B, C, H, W]`, `[C, H, W]` or `[H, W]` with 1 or 3 channels:
/// u8 as it is, floats from [-1, 1] (the networks' range), clamped; NaN becomes black.
///
/// # Errors
/// `E0202` for another shape or dtype, or for more than 100 million pixels.
pub fn grid(x: &Tensor) -> Result<Png> {
    let wrong = || Error::value("image", format!("expected [B, 3, H, W] u8, or float in [-1, 1], got {}", x.describe()));
    let x4 = match x.rank() {
        4 => x.clone(),
        3 => x.unsqueeze(0)?,
        2 => x.unsqueeze(0)?.unsqueeze(0)?,
        _ => return Err(wrong()),
    };
    let (b, c, h, w) = x4.size4()?;
    if (c != 1 && c != 3) || b < 1 || h < 1 || w < 1 {
        return Err(wrong());
    }
    let pixels = match x.dtype() {
        DType::Uint8 => x4.to_bytes()?,
        DType::Bool => x4.to_bytes()?.into_iter().map(|v| v * 255).collect(),
        _ if x.is_float() => x4.to_vec_f32()?.into_iter().map(|v| ((v + 1.0) * 127.5).round().clamp(0.0, 255.0) as u8).collect(),
        _ => return Err(wrong()),
    };
    let size = |n: i64| usize::try_from(n).map_err(|_| wrong());
    let (b, c, h, w) = (size(b)?, size(c)?, size(h)?, size(w)?);
    let columns = (b as f64).sqrt().ceil() as usize;
    let rows = b.div_ceil(columns);
    let (width, height) = (columns * (w + GAP) - GAP, rows * (h + GAP) - GAP);
    if width.saturating_mul(height) > 100_000_000 {
        return Err(Error::value("image", format!("a grid of {width} x {height} pixels is too large")).help("narrow the batch first"));
    }
    let mut out = vec![255u8; width * height * 3];
    for i in 0..b {
        let (top, left) = (i / columns * (h + GAP), i % columns * (w + GAP));
        for y in 0..h {
            for x in 0..w {
                for channel in 0..3 {
                    let from = ((i * c + channel.min(c - 1)) * h + y) * w + x;
                    out[((top + y) * width + left + x) * 3 + channel] = pixels[from];
                }
            }
        }
    }
    let (width, height) = (width as u32, height as u32);
    let mut bytes = Vec::new();
    let encoder = image::codecs::png::PngEncoder::new(&mut bytes);
    encoder.write_image(&out, width, height, ExtendedColorType::Rgb8).map_err(|e| Error::value("image", e.to_string()))?;
    Ok(Png { width, height, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::torch::Device;

    #[test]
    fn pixels_land_in_their_cells() {
        let x = Tensor::from_bytes(&[10, 20, 30, 40, 50, 60, 70, 80, 90], &[3, 1, 1, 3], DType::Uint8).unwrap();
        let png = grid(&x).unwrap();
        assert_eq!((png.width, png.height), (8, 4));
        let back = image::load_from_memory(&png.bytes).unwrap().to_rgb8();
        assert_eq!(back.get_pixel(2, 0).0, [30; 3]);
        assert_eq!(back.get_pixel(3, 0).0, [255; 3], "the gap is white");
        assert_eq!(back.get_pixel(5, 0).0, [40; 3]);
        assert_eq!(back.get_pixel(1, 3).0, [80; 3]);
    }

    #[test]
    fn floats_are_clamped_and_wrong_shapes_refused() {
        let x = Tensor::full(&[3, 2, 2], 0.0, DType::Float, Device::Cpu).unwrap();
        let back = |x: &Tensor| image::load_from_memory(&grid(x).unwrap().bytes).unwrap().to_rgb8().get_pixel(0, 0).0;
        assert_eq!(back(&x), [128; 3]);
        assert_eq!(back(&x.add(9.0).unwrap()), [255; 3]);
        assert_eq!(back(&x.mul(f64::NAN).unwrap()), [0; 3]);
        for shape in [&[2, 5, 4, 4][..], &[4], &[0, 3, 2, 2], &[3, 0, 2]] {
            let e = grid(&Tensor::zeros(shape, DType::Float, Device::Cpu).unwrap()).err().unwrap();
            assert_eq!(e.code(), "E0202", "{shape:?}");
        }
        assert!(grid(&Tensor::zeros(&[3, 2, 2], DType::Int64, Device::Cpu).unwrap()).is_err());
    }
}
