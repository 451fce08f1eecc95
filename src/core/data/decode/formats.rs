//! BMP and WebP through the `image` crate.

use super::{Picture, Reason, Task, drop_alpha, from_grey};
use image::codecs::{bmp::BmpDecoder, webp::WebPDecoder};
use image::{DynamicImage, ImageDecoder, ImageError, Limits};
use std::io::Cursor;

pub(super) fn bmp(bytes: &[u8], task: &Task) -> Result<Picture, Reason> {
    pixels(BmpDecoder::new(Cursor::new(bytes)).map_err(plain)?, task)
}

pub(super) fn webp(bytes: &[u8], task: &Task) -> Result<Picture, Reason> {
    pixels(WebPDecoder::new(Cursor::new(bytes)).map_err(plain)?, task)
}

fn plain(e: ImageError) -> Reason {
    match e {
        ImageError::IoError(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => "the file is truncated".into(),
        e => e.to_string(),
    }
}

fn pixels(mut decoder: impl ImageDecoder, task: &Task) -> Result<Picture, Reason> {
    let (width, height) = decoder.dimensions();
    task.admit(width.into(), height.into())?;
    let mut limits = Limits::default();
    limits.max_alloc = Some(3 << 30);
    decoder.set_limits(limits).map_err(plain)?;
    let picture = DynamicImage::from_decoder(decoder).map_err(plain)?;
    let (w, h) = (width as usize, height as usize);
    match picture {
        DynamicImage::ImageLuma8(p) => from_grey(w, h, p.as_raw()),
        DynamicImage::ImageRgb8(p) => Ok(Picture { width: w, height: h, rgb: p.into_raw() }),
        DynamicImage::ImageRgba8(p) => drop_alpha(w, h, p.as_raw(), task),
        other => Err(format!("pixels of the kind {:?} are not read here", other.color())),
    }
}
