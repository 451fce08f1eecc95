//! The centre crop of the ADM code base, which every latent-diffusion code since uses.
//!
//! While the shorter side is at least twice the resolution, both sides are halved with a BOX filter; then the picture is
//! scaled with BICUBIC so that its shorter side is the resolution; then the middle is cut out
//! (`center_crop_arr` of openai/guided-diffusion). The result equals Pillow's, byte for byte.

use super::decode::Picture;
use super::resize::{Filter, Window, resize};
use crate::error::{Error, Result};
use std::borrow::Cow;

/// The middle of a picture at `resolution` x `resolution`.
///
/// # Errors
/// `E0202` for an empty picture, or one whose longer side is more than 10,000 times its shorter.
pub fn center_crop(picture: &Picture, resolution: usize) -> Result<Picture> {
    let mut picture = Cow::Borrowed(picture);
    let (w, h) = (picture.width, picture.height);
    let bad = |message: String| Error::value("center_crop", message);
    if resolution == 0 || w == 0 || h == 0 || picture.rgb.len() != w * h * 3 {
        return Err(bad(format!("a picture of {w} x {h} pixels and a resolution of {resolution}")));
    }
    if w.max(h) / w.min(h) > 10_000 {
        return Err(bad(format!("{w} x {h} pixels is too long and thin")));
    }
    while picture.width.min(picture.height) >= 2 * resolution {
        let (w, h) = (picture.width / 2, picture.height / 2);
        picture = Cow::Owned(resize(&picture, w, h, Filter::Box, Window { x: 0, y: 0, width: w, height: h }));
    }
    let scale = resolution as f64 / picture.width.min(picture.height) as f64;
    let scaled = |x: usize| (x as f64 * scale).round_ties_even() as usize;
    let (w, h) = (scaled(picture.width), scaled(picture.height));
    let window = Window { x: (w - resolution) / 2, y: (h - resolution) / 2, width: resolution, height: resolution };
    Ok(resize(&picture, w, h, Filter::Bicubic, window))
}

/// `[H, W, 3]` interleaved to `[3, H, W]` planes.
pub fn to_planes(rgb: &[u8], planes: &mut [u8]) {
    let n = planes.len() / 3;
    let (r, rest) = planes.split_at_mut(n);
    let (g, b) = rest.split_at_mut(n);
    for (((p, r), g), b) in rgb.chunks_exact(3).zip(r).zip(g).zip(b) {
        (*r, *g, *b) = (p[0], p[1], p[2]);
    }
}
