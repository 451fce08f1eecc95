//! BMP and WebP through the `image` crate.

use super::{Admit, Picture, Reason, from_grey, take_rgb};
use image::codecs::{bmp::BmpDecoder, webp::WebPDecoder};
use image::{DynamicImage, ImageDecoder, ImageError, Limits};
use std::io::Cursor;

pub(super) fn bmp(bytes: &[u8], admit: &Admit) -> Result<Picture, Reason> {
    pixels(BmpDecoder::new(Cursor::new(bytes)).map_err(plain)?, admit)
}

pub(super) fn webp(bytes: &[u8], admit: &Admit) -> Result<Picture, Reason> {
    pixels(WebPDecoder::new(Cursor::new(bytes)).map_err(plain)?, admit)
}

fn plain(e: ImageError) -> Reason {
    match e {
        ImageError::IoError(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => "the file is truncated".into(),
        e => e.to_string(),
    }
}

fn pixels(mut decoder: impl ImageDecoder, admit: &Admit) -> Result<Picture, Reason> {
    let (width, height) = decoder.dimensions();
    admit(width.into(), height.into())?;
    let mut limits = Limits::default();
    limits.max_alloc = Some(3 << 30);
    decoder.set_limits(limits).map_err(plain)?;
    let picture = DynamicImage::from_decoder(decoder).map_err(plain)?;
    let (w, h) = (width as usize, height as usize);
    match picture {
        DynamicImage::ImageLuma8(p) => from_grey(w, h, p.as_raw()),
        DynamicImage::ImageRgb8(p) => Ok(Picture { width: w, height: h, rgb: p.into_raw() }),
        DynamicImage::ImageRgba8(p) => take_rgb(w, h, p.as_raw(), 4),
        other => Err(format!("pixels of the kind {:?} are not read here", other.color())),
    }
}
