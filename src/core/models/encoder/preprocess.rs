//! From pictures to what a vision model takes.

use super::size::Size;
use crate::error::{Error, Result};
use crate::torch::{DType, Tensor};

/// Mean and deviation of ImageNet's pictures in [0, 1], RGB.
pub const IMAGENET: ([f64; 3], [f64; 3]) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);

/// The same of CLIP's pictures.
pub const CLIP: ([f64; 3], [f64; 3]) = ([0.481_454_66, 0.457_827_5, 0.408_210_73], [0.268_629_54, 0.261_302_58, 0.275_777_11]);

/// The mean and the deviation of SigLIP's and Perception Encoder's: to [-1, 1].
pub const HALF: ([f64; 3], [f64; 3]) = ([0.5; 3], [0.5; 3]);

/// How pictures of another size are resized.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resize {
    /// Bicubic without antialiasing, as REPA does.
    Bicubic,
    /// Bilinear, with a filter that widens when it shrinks, as Pillow and torchvision do.
    Bilinear,
}

/// Divide, normalise, resize: the steps of REPA's `preprocess_raw_image`, in the model's own order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Preprocess {
    /// The pixel value that becomes 1.
    pub unit: f64,
    /// Subtracted after the division, RGB.
    pub mean: [f64; 3],
    /// Divides then.
    pub std: [f64; 3],
    /// Whether pictures are resized before they are normalised (CLIP) or after (the others).
    pub resize_first: bool,
    /// How they are resized.
    pub resize: Resize,
    /// The height and width that pictures get.
    pub resolution: Size,
}

impl Preprocess {
    /// Pictures `[B, 3, H, W]`, u8 or floats in [-1, 1], as the model's input, `[B, 3, ..]` with the height and width of `resolution`. Pictures of
    /// that size are not resized.
    ///
    /// # Errors
    /// `E0202` for another shape or dtype.
    pub fn apply(&self, images: &Tensor) -> Result<Tensor> {
        let (_, c, _, _) = images.size4()?;
        if c != 3 {
            return Err(Error::value("encoder", format!("pictures have 3 channels, got {}", images.describe())));
        }
        let pixels = match images.dtype() {
            DType::Uint8 => images.to_dtype(DType::Float)?,
            _ if images.is_float() => images.add(1.0)?.mul(127.5)?,
            _ => return Err(Error::value("encoder", format!("pictures are u8, or floats in [-1, 1]; got {}", images.describe()))),
        };
        let scaled = if self.unit == 1.0 { pixels } else { pixels.div(&constant(&pixels, [self.unit; 3])?)? };
        if self.resize_first { self.normalise(&self.resized(&scaled)?) } else { self.resized(&self.normalise(&scaled)?) }
    }

    fn normalise(&self, x: &Tensor) -> Result<Tensor> {
        x.sub(&constant(x, self.mean)?)?.div(&constant(x, self.std)?)
    }

    fn resized(&self, x: &Tensor) -> Result<Tensor> {
        let (_, _, h, w) = x.size4()?;
        let size = self.resolution;
        match self.resize {
            _ if [h, w] == size => Ok(x.clone()),
            Resize::Bicubic => x.upsample_bicubic2d(size, false),
            Resize::Bilinear => x.interpolate(size, "bilinear", false, true),
        }
    }
}

/// One number a channel, beside `like`. A quotient by a tensor is rounded once on every device; by a number, CUDA multiplies by its inverse.
fn constant(like: &Tensor, v: [f64; 3]) -> Result<Tensor> {
    Tensor::from_vec(&v, &[1, 3, 1, 1])?.to_device(like.device())?.to_dtype(like.dtype())
}
