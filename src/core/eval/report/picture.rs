//! Pictures inside a page.

use crate::data::{Pictures, read_picture};
use crate::error::{Error, Result};
use crate::eval::{GridOptions, grid, png};
use crate::files;
use crate::torch::{DType, Tensor};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::path::Path;

/// An encoded picture.
#[derive(Debug, Clone)]
pub struct Picture {
    kind: &'static str,
    bytes: Vec<u8>,
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
}

impl Picture {
    /// A picture u8 `[3, H, W]` as PNG.
    ///
    /// # Errors
    /// `E0202` for another shape or dtype.
    pub fn of(x: &Tensor) -> Result<Picture> {
        let (width, height, bytes) = png(x)?;
        Ok(Picture { kind: "image/png", bytes, width, height })
    }

    /// A picture file as it is, where browsers know its format; others become PNG.
    ///
    /// # Errors
    /// `E0301` when it cannot be read, `E0302` when it is damaged or no picture.
    pub fn read(path: &Path) -> Result<Picture> {
        // Decoded in any case: a browser would leave a hole for a damaged file, and the size must be known.
        let p = read_picture(path)?;
        let side = |n: usize| u32::try_from(n).map_err(|_| Error::data(path, "the picture is too large"));
        let (width, height) = (side(p.width)?, side(p.height)?);
        let bytes = files::read(path)?;
        let known = match image::guess_format(&bytes) {
            Ok(image::ImageFormat::Png) => Some("image/png"),
            Ok(image::ImageFormat::Jpeg) => Some("image/jpeg"),
            Ok(image::ImageFormat::Gif) => Some("image/gif"),
            Ok(image::ImageFormat::WebP) => Some("image/webp"),
            _ => None,
        };
        match known {
            Some(kind) => Ok(Picture { kind, bytes, width, height }),
            None => {
                let x = Tensor::from_bytes(&p.rgb, &[i64::from(height), i64::from(width), 3], DType::Uint8)?;
                Picture::of(&x.permute(&[2, 0, 1])?.contiguous()?)
            }
        }
    }

    /// The first pictures of a folder or `.npz`, at most `most`, as a grid.
    ///
    /// # Errors
    /// `E0301` or `E0302` when they cannot be read.
    pub fn of_set(path: &Path, most: i64) -> Result<Picture> {
        let set = Pictures::open(path)?;
        let x = set.read(0, set.len().min(most))?;
        Picture::of(&grid(&x, GridOptions::default())?)
    }

    /// The whole picture as an address: `data:image/png;base64,..`.
    pub fn data_uri(&self) -> String {
        format!("data:{};base64,{}", self.kind, STANDARD.encode(&self.bytes))
    }

    /// How many times larger than its pixels it is shown: at most four times, so that the pixels of a small one can be seen.
    pub(super) fn scale(&self, room: u32) -> u32 {
        (room / self.width.max(1)).clamp(1, 4)
    }
}
